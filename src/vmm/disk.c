/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/disk.h"

#include "base/opt.h"
#include "block/block.h"
#include "vmm/order.h"
#include "vmm/usb.h"

#include <errno.h>
#include <string.h>

static const struct opt_desc keys[] = {
	{ .key = "path", .kind = OPT_STRING, .positional = true },
	{ .key = "format", .kind = OPT_STRING },
	{ .key = "snapshot", .kind = OPT_STRING },
	{ .key = "readonly", .kind = OPT_BOOL },
	{ .key = "bus", .kind = OPT_STRING },
	{ .key = "port", .kind = OPT_STRING },
	{ .key = "cache", .kind = OPT_STRING },
	{ .key = "engine", .kind = OPT_STRING },
	{ .key = "cdrom", .kind = OPT_BOOL },
	{ .key = "id", .kind = OPT_STRING },
	{ .key = "bootindex", .kind = OPT_NUMBER },
	{ .key = "unit", .kind = OPT_NUMBER },
	{ .key = "serial", .kind = OPT_STRING },
	{ .key = "werror", .kind = OPT_STRING },
	{ .key = "rerror", .kind = OPT_STRING },
	{ 0 },
};

/* The names that users of other monitors know. */
static const struct {
	const char *name;
	bool direct, ignore_flush;
} caches[] = {
	{ "writeback", false, false },
	{ "none", true, false },
	{ "unsafe", false, true },
};

static int set_cache(struct blk_open *o, const char *name, struct err *e)
{
	for (size_t n = 0; n < COUNT_OF(caches); n++)
		if (!strcmp(caches[n].name, name)) {
			o->direct = caches[n].direct;
			o->ignore_flush = caches[n].ignore_flush;
			return 0;
		}
	return err_set(e, -EINVAL, "cache=%s is unknown; writeback, none and unsafe are possible", name);
}

static int set_bus(struct disk *d, const char *name, struct err *e)
{
	static const char *const names[] = { [BOARD_VIRTIO] = "virtio", [BOARD_SATA] = "sata", [BOARD_USB] = "usb",
					     [BOARD_NVME] = "nvme", [BOARD_IDE] = "ide", [BOARD_SCSI] = "scsi",
					     [BOARD_FLOPPY] = "floppy" };

	for (size_t n = 0; n < COUNT_OF(names); n++)
		if (!strcmp(names[n], name)) {
			d->bus = (enum board_bus)n;
			return 0;
		}
	return err_set(e, -EINVAL, "bus=%s is unknown; virtio, sata, ide, scsi, usb, nvme and floppy are possible",
		       name);
}

static int set_name(struct disk *d, const struct opts *k, struct err *e)
{
	const char *id = opts_string(k, "id", "");

	d->cdrom = opts_bool(k, "cdrom", false);
	if (strlen(id) >= sizeof(d->id))
		return err_set(e, -EINVAL, "id=%s is longer than %zu characters", id, sizeof(d->id) - 1);
	strcpy(d->id, id);
	return 0;
}

/* What the guest knows the drive by. */
static int set_identity(struct disk *d, const struct opts *k, struct err *e)
{
	static const unsigned units[] = { [BOARD_SATA] = BOARD_SATA_UNITS, [BOARD_IDE] = BOARD_IDE_UNITS,
					  [BOARD_SCSI] = BOARD_SCSI_UNITS, [BOARD_FLOPPY] = BOARD_FLOPPY_UNITS };
	const char *serial = opts_string(k, "serial", "");
	uint64_t unit = opts_number(k, "unit", UINT64_MAX);
	unsigned count = d->bus < COUNT_OF(units) ? units[d->bus] : 0;

	if (unit != UINT64_MAX && unit >= count)
		return count ? err_set(e, -EINVAL, "unit=%llu is not possible; 0 to %u are", (unsigned long long)unit,
				       count - 1) :
			       err_set(e, -EINVAL, "unit= is of bus=sata, ide, scsi and floppy");
	d->unit = unit == UINT64_MAX ? 0 : (uint8_t)(unit + 1);
	if (*serial && (d->bus == BOARD_USB || d->bus == BOARD_FLOPPY || d->cdrom))
		return err_set(e, -EINVAL, "serial= is of disks on virtio, sata, ide, scsi and nvme");
	if (strlen(serial) > BOARD_SERIAL)
		return err_set(e, -EINVAL, "serial=%s is longer than %d characters", serial, BOARD_SERIAL);
	for (const char *c = serial; *c; c++)
		if (*c < ' ' || *c > '~')
			return err_set(e, -EINVAL, "serial=%s is not printable ASCII", serial);
	strcpy(d->serial, serial);
	return 0;
}

int disk_open_cdrom(struct disk *out, const char *path, struct loop *loop, struct err *e)
{
	struct blk_open o = { .loop = loop, .path = path, .format = "raw", .read_only = true };

	*out = (struct disk){ .bus = BOARD_SATA, .cdrom = true };
	return strcmp(path, "none") ? blk_open(&out->blk, &o, e) : 0;
}

static bool may_be_empty(const struct disk *d)
{
	return d->cdrom || d->bus == BOARD_FLOPPY;
}

static int set_policy(enum blk_policy *out, const char *key, const char *name, struct err *e)
{
	static const char *const names[] = { [BLK_REPORT] = "report", [BLK_STOP] = "stop", [BLK_ENOSPC] = "enospc",
					     [BLK_IGNORE] = "ignore" };

	for (size_t n = 0; n < COUNT_OF(names); n++)
		if (!strcmp(names[n], name) && (n != BLK_ENOSPC || *key == 'w')) {
			*out = (enum blk_policy)n;
			return 0;
		}
	return err_set(e, -EINVAL, "%s=%s is unknown; report, stop, ignore%s are possible", key, name,
		       *key == 'w' ? ", enospc" : "");
}

static int set_policies(struct disk *d, const struct opts *k, struct err *e)
{
	int ret = set_policy(&d->write_error, "werror", opts_string(k, "werror", "report"), e);

	return ret < 0 ? ret : set_policy(&d->read_error, "rerror", opts_string(k, "rerror", "report"), e);
}

static int set_place(struct disk *d, const struct opts *k, const char *bus, struct err *e)
{
	const char *port = opts_string(k, "port", NULL);
	uint64_t boot = opts_number(k, "bootindex", UINT64_MAX);
	int ret = set_bus(d, opts_string(k, "bus", opts_bool(k, "cdrom", false) ? "sata" : bus), e);

	if (ret == 0 && port)
		ret = d->bus != BOARD_USB ? err_set(e, -EINVAL, "port= is of bus=usb") :
					    usb_parse_port(port, &d->port, e);
	if (ret == 0 && boot != UINT64_MAX)
		ret = order_place(&d->boot, boot, e);
	if (ret == 0)
		ret = set_name(d, k, e);
	if (ret == 0)
		ret = set_identity(d, k, e);
	if (ret == 0 && d->cdrom && d->bus != BOARD_SATA && d->bus != BOARD_IDE && d->bus != BOARD_SCSI)
		ret = err_set(e, -EINVAL, "a CD-ROM drive (cdrom) is possible with bus=sata, ide and scsi");
	return ret;
}

static int open_text(struct disk *out, const char *text, const char *bus, struct loop *loop,
		     const struct disk_files *files, struct err *e)
{
	struct blk_open o = { .loop = loop };
	struct opts k;
	int ret = opts_parse(&k, keys, text, e), file = -1;

	*out = (struct disk){ 0 };
	if (ret < 0)
		return ret;
	o.path = opts_string(&k, "path", NULL);
	o.format = opts_string(&k, "format", "raw");
	o.snapshot = opts_string(&k, "snapshot", NULL);
	o.engine = opts_string(&k, "engine", NULL);
	if (!o.path)
		ret = err_set(e, -EINVAL, "no path given: PATH[,format=raw|qcow2][,readonly]");
	if (ret == 0)
		ret = set_cache(&o, opts_string(&k, "cache", "writeback"), e);
	if (ret == 0)
		ret = set_place(out, &k, bus, e);
	if (ret == 0)
		ret = set_policies(out, &k, e);
	o.read_only = opts_bool(&k, "readonly", false) || out->cdrom;
	if (ret == 0 && files)
		file = files->named(files->opaque, o.path, e);
	if (file < -1)
		ret = file;
	if (file >= 0)
		o.file = &file;
	if (ret == 0 && !(may_be_empty(out) && !strcmp(o.path, "none")))
		ret = blk_open(&out->blk, &o, e);
	opts_free(&k);
	return ret;
}

int disk_open(struct disk *out, const char *text, struct loop *loop, const struct disk_files *files, struct err *e)
{
	return open_text(out, text, "virtio", loop, files, e);
}

int disk_open_floppy(struct disk *out, const char *text, struct loop *loop, struct err *e)
{
	int ret = open_text(out, text, "floppy", loop, NULL, e);

	if (ret < 0 || out->bus == BOARD_FLOPPY)
		return ret;
	blk_close(out->blk);
	out->blk = NULL;
	return err_set(e, -EINVAL, "a floppy drive is on bus=floppy, and nowhere else");
}
