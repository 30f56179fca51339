/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/media.h"

#include "block/block.h"
#include "core/vm.h"
#include "devices/storage/fdc.h"
#include "devices/storage/scsi.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool taken(const struct media *m, const char *id)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (!strcmp(m->disk[n].id, id))
			return true;
	for (unsigned n = 0; n < BOARD_NET_MAX; n++)
		if (!strcmp(m->nic[n].id, id))
			return true;
	return false;
}

static int set_name(const struct media *m, char out[CONTROL_ID_MAX], const char *id, const char *kind, unsigned n,
		    struct err *e)
{
	char name[CONTROL_ID_MAX];

	if (!id[0])
		snprintf(name, sizeof(name), "%s%u", kind, n);
	else if (strlen(id) >= sizeof(name))
		return err_set(e, -EINVAL, "id=%s is longer than %d characters", id, CONTROL_ID_MAX - 1);
	else
		strcpy(name, id);
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			return err_set(e, -EINVAL, "id=%s has other characters than letters, digits, '-', '_' and '.'",
				       name);
	if (taken(m, name))
		return err_set(e, -EEXIST, "id=%s is there twice; give each device a name of its own", name);
	strcpy(out, name);
	return 0;
}

/* ---- failures ---- */

enum { TELL_AGAIN_MS = 100 }; /* of what does not stop the machine a guest can have as much as it likes */

static void failed(void *opaque, enum blk_op op, int error, enum blk_policy did)
{
	static const char *const actions[] = { [BLK_REPORT] = "report", [BLK_STOP] = "stop", [BLK_IGNORE] = "ignore" };
	struct media_disk *d = opaque;
	struct media *m = d->media;
	struct timespec ts;
	uint64_t now;

	if (did == BLK_STOP && m->vm)
		vm_request(m->vm, VM_REQUEST_DISK);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
	if (did != BLK_STOP && d->told_ns && now - d->told_ns < TELL_AGAIN_MS * UINT64_C(1000000))
		return;
	d->told_ns = now;
	if (m->control && *m->control)
		control_event_disk(*m->control, d->id, op != BLK_READ, error, actions[did]);
}

static void exceeded(void *opaque, uint64_t threshold, uint64_t by)
{
	struct media_disk *d = opaque;

	if (d->media->control && *d->media->control)
		control_event_threshold(*d->media->control, d->id, threshold, by);
}

static void watch_errors(struct media_disk *d)
{
	const struct blk_watch w = { .read = d->read_error, .write = d->write_error, .failed = failed,
				     .exceeded = exceeded, .opaque = d };

	if (d->blk)
		blk_watch(d->blk, &w);
}

void media_on_error(struct media *m, unsigned n, enum blk_policy read, enum blk_policy write)
{
	m->disk[n].read_error = read;
	m->disk[n].write_error = write;
	watch_errors(&m->disk[n]);
}

static void each_image(struct media *m, void (*f)(struct blk *b))
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (m->disk[n].blk)
			f(m->disk[n].blk);
}

void media_retry(struct media *m)
{
	each_image(m, blk_retry);
}

void media_fail(struct media *m)
{
	each_image(m, blk_fail);
}

static void let_go(struct blk *b)
{
	blk_watch(b, &(struct blk_watch){ 0 });
	blk_fail(b);
}

void media_let_go(struct media *m, const char *id)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (m->disk[n].blk && (!id || !strcmp(m->disk[n].id, id)))
			let_go(m->disk[n].blk);
}

int media_threshold(struct media *m, const char *id, uint64_t offset, struct err *e)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (m->disk[n].blk && !strcmp(m->disk[n].id, id)) {
			blk_set_threshold(m->disk[n].blk, offset);
			return 0;
		}
	return err_set(e, -ENODEV, "there is no image of a disk '%.60s'", id);
}

/* ---- what there is ---- */

int media_add_disk(struct media *m, unsigned n, const char *id, struct blk *blk, bool cdrom, struct err *e)
{
	int ret = set_name(m, m->disk[n].id, id, "disk", n, e);

	if (ret == 0) {
		m->disk[n].blk = blk;
		m->disk[n].cdrom = cdrom;
		m->disk[n].media = m;
		watch_errors(&m->disk[n]);
	}
	return ret;
}

int media_add_nic(struct media *m, unsigned n, const char *id, struct net *net, const uint8_t mac[6], struct err *e)
{
	int ret = set_name(m, m->nic[n].id, id, "nic", n, e);

	if (ret == 0) {
		m->nic[n].net = net;
		memcpy(m->nic[n].mac, mac, sizeof(m->nic[n].mac));
	}
	return ret;
}

unsigned media_free_disk(const struct media *m)
{
	unsigned n = 0;

	while (n < BOARD_DISK_MAX && m->disk[n].id[0])
		n++;
	return n;
}

unsigned media_free_nic(const struct media *m)
{
	unsigned n = 0;

	while (n < BOARD_NET_MAX && m->nic[n].id[0])
		n++;
	return n;
}

void media_remove(struct media *m, const char *id)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (m->disk[n].id[0] && !strcmp(m->disk[n].id, id))
			m->disk[n] = (struct media_disk){ .media = m };
	for (unsigned n = 0; n < BOARD_NET_MAX; n++)
		if (m->nic[n].id[0] && !strcmp(m->nic[n].id, id))
			m->nic[n] = (struct media_nic){ 0 };
}

/* ---- CD-ROM drives ---- */

static void tray_moved(void *opaque, bool open)
{
	struct media_disk *d = opaque;

	if (*d->media->control)
		control_event_tray(*d->media->control, d->id, open);
}

void media_drives(struct media *m, const struct board_config *bc, struct control **control, struct vm *vm)
{
	m->control = control;
	m->vm = vm;
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++) {
		struct media_disk *d = &m->disk[n];

		d->cd = bc->disk_cd[n];
		d->floppy = bc->disk_floppy[n];
		if (!d->cd)
			continue;
		d->cd->moved = tray_moved;
		d->cd->moved_opaque = d;
	}
}

static struct media_disk *find_disk(struct media *m, const char *id)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (m->disk[n].id[0] && !strcmp(m->disk[n].id, id))
			return &m->disk[n];
	return NULL;
}

/* A floppy can be written when its file can: a drive looks at the medium's notch, and has no word in it. */
static bool read_only(const struct media_disk *d, const struct control_medium *want)
{
	return d->cd || (want->file && (fcntl(*want->file, F_GETFL) & O_ACCMODE) == O_RDONLY);
}

int media_change(struct media *m, struct loop *loop, const struct control_medium *want, struct err *e)
{
	struct media_disk *d = find_disk(m, want->id);
	struct blk_open o = { .path = want->name, .file = want->file, .format = "raw", .loop = loop };
	struct blk *blk = NULL;
	int ret;

	if (!d || (!d->cd && !d->floppy))
		return err_set(e, -ENOTSUP, "the medium of '%s' cannot be changed while the machine runs", want->id);
	o.read_only = read_only(d, want);
	ret = want->name ? blk_open(&blk, &o, e) : 0;
	if (ret == 0 && d->blk)
		let_go(d->blk); /* nothing of it waits when it is closed */
	if (ret == 0)
		ret = d->cd ? scsi_cd_change(d->cd, blk, want->force, e) : fdc_change(d->floppy, blk, e);
	if (ret < 0)
		blk_close(blk);
	else
		d->blk = blk;
	watch_errors(d);
	return ret;
}

/* ---- what there is ---- */

bool media_disk_at(const struct media *m, unsigned n, struct control_disk *out)
{
	for (unsigned k = 0; k < BOARD_DISK_MAX; k++)
		if (m->disk[k].id[0] && n-- == 0) {
			bool removable = m->disk[k].cdrom || m->disk[k].floppy;

			*out = (struct control_disk){ m->disk[k].id, m->disk[k].blk, removable };
			return true;
		}
	return false;
}

bool media_nic_at(const struct media *m, unsigned n, struct control_nic *out)
{
	for (unsigned k = 0; k < BOARD_NET_MAX; k++)
		if (m->nic[k].id[0] && n-- == 0) {
			*out = (struct control_nic){ m->nic[k].id, m->nic[k].net, m->nic[k].mac };
			return true;
		}
	return false;
}
