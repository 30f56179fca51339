/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the document to the arguments of panal-vmm. What the machine cannot have is an error that names it, where the
 * guest would do worse without it or something else than was asked for; where it would not notice, or only lacks
 * something it can do without, it is left out with a note.
 */
#include "cpu/fit.h"
#include "daemon/xml/domdef_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 512, NOTES_MAX = 128 };
/* What panal-vmm's board has: numbers on a controller, characters of a drive's serial number. */
enum { SATA_UNITS = 6, IDE_UNITS = 4, SCSI_UNITS = 16, FDC_UNITS = 2, SERIAL_MAX = 20 };

#define NO_PORTS "virtio devices are on PCI bus 0, or behind the first root ports where the document says so"
#define NOT_PIIX "the chipset is a Q35's; virtio devices are on PCI bus 0"

/* q35 is first: what clients choose by themselves, and what a document without a machine gets. */
const struct domdef_machine domdef_machines[] = {
	{ "q35", "pc", DOMDEF_PCI_EXPRESS, NO_PORTS },
	{ "pc-q35-*", "pc", DOMDEF_PCI_EXPRESS, NO_PORTS },
	{ "pc", "pc", DOMDEF_PCI_FLAT, NOT_PIIX },
	{ "pc-i440fx-*", "pc", DOMDEF_PCI_FLAT, NOT_PIIX },
	{ "panal-micro", NULL, DOMDEF_PCI_BOARD, NULL },
	{ NULL },
};

const struct domdef_machine *domdef_machine_find(const char *name)
{
	for (const struct domdef_machine *m = domdef_machines; name && m->name; m++) {
		size_t len = strcspn(m->name, "*");

		if (m->name[len] ? !strncmp(name, m->name, len) : !strcmp(name, m->name))
			return m;
	}
	return NULL;
}

struct making {
	struct domdef_args *out;
	const struct domdef *d;
	const struct domdef_place *place;
	struct err *e;
	int ret; /* the first failure */
	const struct domdef_address *where[DOMDEF_SLOT_LAST]; /* of the board's devices, in its order */
	unsigned where_count;
	uint32_t reserved; /* slots that other devices were given, a bit each */
	uint32_t units[DOM_BUS_XEN + 1]; /* numbers of drives that are given, by bus */
	bool coming; /* one device, which comes while the machine runs */
};

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* ---- arguments and notes ---- */

static void add_line(struct making *m, char **list, unsigned *count, unsigned max, char *text)
{
	if (!text || *count + 1 >= max) {
		free(text);
		m->ret = err_set(m->e, text ? -ENOTSUP : -ENOMEM, text ? "the machine has too many devices" :
				 "out of memory");
		return;
	}
	list[(*count)++] = text;
}

static void ATTR_PRINTF(2, 3) arg(struct making *m, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	if (m->ret < 0)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add_line(m, m->out->argv, &m->out->argc, ARGS_MAX, text);
}

static void ATTR_PRINTF(2, 3) note(struct making *m, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	if (m->ret < 0 || m->out->note_count + 1 >= NOTES_MAX)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add_line(m, m->out->note, &m->out->note_count, NOTES_MAX, text);
}

static void ATTR_PRINTF(2, 3) refuse(struct making *m, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (m->ret < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m->ret = err_set(m->e, -ENOTSUP, "%s", text);
}

/* The path as panal-vmm reads it: a comma is written twice. */
static char *doubled(const char *path)
{
	char *out = malloc(2 * strlen(path) + 1), *at = out;

	for (; out && *path; path++) {
		if (*path == ',')
			*at++ = ',';
		*at++ = *path;
	}
	if (out)
		*at = 0;
	return out;
}

/* ---- processor, memory, boot ---- */

/* The guest's processor in the words of --cpu. Optional features are those that need not be there. */
static void make_cpu_model(struct making *m, const struct domdef_cpu *c)
{
	char words[1024];
	bool named = same(c->mode, "custom") && c->model, enforce = true;
	size_t len = snprintf(words, sizeof(words), "%s", named ? c->model : "host");

	if (named && !cpu_model_find(c->model))
		return refuse(m, "CPU model '%s' is not possible; those of domcapabilities, host-passthrough, "
			      "host-model and maximum are", c->model);
	for (unsigned n = 0; n < c->features.n && len + 64 < sizeof(words); n++) {
		const struct domdef_cpu_feature *f = c->features.v[n];
		bool off = same(f->policy, "disable") || same(f->policy, "forbid");

		if (!f->name || !cpu_set_change(&(struct cpu_set){ 0 }, f->name, true)) {
			note(m, "cpu: feature '%s' is not known and left out", f->name ? f->name : "");
			continue;
		}
		enforce &= !same(f->policy, "optional");
		len += snprintf(words + len, sizeof(words) - len, ",%c%s", off ? '-' : '+', f->name);
	}
	if (named || c->features.n)
		arg(m, "--cpu=%s%s", words, enforce && !same(c->check, "none") ? "" : ",enforce=off");
}

/* "0-3,5" as cpus=0-3,cpus=5 */
static bool cell_cpus(char *out, size_t size, const char *set)
{
	size_t len = 0;

	for (const char *at = set; at && *at;) {
		size_t part = strcspn(at, ",");

		if (!part || strspn(at, "0123456789-") < part || len + part + 8 > size)
			return false;
		len += (size_t)snprintf(out + len, size - len, ",cpus=%.*s", (int)part, at);
		at += part + (at[part] == ',');
	}
	out[len] = 0;
	return true;
}

static void make_cells(struct making *m, const struct domdef_cpu *c)
{
	char cpus[256];

	for (unsigned n = 0; c && n < c->cells.n; n++) {
		const struct domdef_cell *cell = c->cells.v[n];
		uint64_t kib = cell->memory.v * xunit_scale(cell->unit ? cell->unit : "KiB") / 1024;

		if (cell->id.set && cell->id.v != n)
			return refuse(m, "NUMA cells must be in the order of their ids");
		if (!cell_cpus(cpus, sizeof(cpus), cell->cpus))
			return refuse(m, "the CPUs '%s' of NUMA cell %u are not possible; a list as 0-3,5 is",
			              cell->cpus, n);
		arg(m, "--numa=node%s,mem=%lluK", cpus, (unsigned long long)kib);
	}
	for (unsigned n = 0; c && n < c->cells.n; n++) {
		const struct domdef_cell *cell = c->cells.v[n];

		for (unsigned k = 0; k < cell->distances.n; k++)
			arg(m, "--numa=dist,src=%u,dst=%llu,val=%llu", n,
			    (unsigned long long)cell->distances.v[k]->id.v,
			    (unsigned long long)cell->distances.v[k]->value.v);
		if (cell->parts.n)
			note(m, "NUMA cell %u: the guest is not told of its memory's caches", n);
	}
	if (c && c->interconnects.n)
		note(m, "numa: the guest is not told of latencies and bandwidths");
}

static void make_cpu(struct making *m)
{
	const struct domdef *d = m->d;
	const struct domdef_cpu *c = d->cpu;
	uint64_t count = d->vcpu_current.set ? d->vcpu_current.v : d->vcpu.v;

	if (count > DOMDEF_VCPU_MAX)
		return refuse(m, "%llu vCPUs are not possible; at most %d are", (unsigned long long)count,
		              DOMDEF_VCPU_MAX);
	if (c)
		make_cpu_model(m, c);
	if (c && same(c->mode, "host-model"))
		note(m, "cpu: host-model is taken as host-passthrough");
	if (c && c->sockets.set && count == d->vcpu.v && (!c->clusters.set || c->clusters.v <= 1))
		arg(m, "--cpus=%llu,sockets=%llu,%s%.0llu%scores=%llu,threads=%llu", (unsigned long long)count,
		    (unsigned long long)c->sockets.v, c->dies.v > 1 ? "dies=" : "",
		    (unsigned long long)(c->dies.v > 1 ? c->dies.v : 0), c->dies.v > 1 ? "," : "",
		    (unsigned long long)c->cores.v, (unsigned long long)c->threads.v);
	else
		arg(m, "--cpus=%llu", (unsigned long long)count);
	if (count < d->vcpu.v)
		note(m, "vcpu: the machine starts with %llu of %llu, and none can be added while it runs",
		     (unsigned long long)count, (unsigned long long)d->vcpu.v);
	make_cells(m, c);
	/* "kvm" is what clients ask for; which accelerator is the faster here is measured. */
	arg(m, d->type == DOM_TYPE_QEMU ? "--accel=soft" : "--accel=auto");
}

static void make_memory(struct making *m)
{
	const struct domdef *d = m->d;

	if (d->memory.v < DOMDEF_MEMORY_MIN_KIB || d->memory.v > DOMDEF_MEMORY_MAX_KIB)
		return refuse(m, "memory of %llu KiB is not possible; from 2 MiB to 1 TiB is",
		              (unsigned long long)d->memory.v);
	arg(m, "--memory=%lluK", (unsigned long long)(d->memory.v + 3) / 4 * 4);
	if (d->backing.hugepages)
		arg(m, "--hugepages");
	if (d->backing.page.n)
		note(m, "memoryBacking: the size of huge pages is the host's choice");
	if (d->backing.locked)
		refuse(m, "<locked/> in <memoryBacking> is not possible yet");
	if (d->memories.n || d->max_memory.set)
		refuse(m,
		       "memory that is added while the machine runs (<maxMemory>, <memory model=...>) is not possible");
}

/* The kernel is given, or found on the disk: the firmware does not look for it. */
static bool boots_kernel(const struct domdef *d)
{
	return d->os.kernel || d->bootloader;
}

/* The buses that only the board with firmware has. */
static bool is_pc_bus(enum dom_bus bus)
{
	return bus == DOM_BUS_SATA || bus == DOM_BUS_IDE || bus == DOM_BUS_SCSI || bus == DOM_BUS_FDC;
}

static bool pc_video(const struct domdef_video *v)
{
	return same(v->model, "vga") || same(v->model, "bochs") || same(v->model, "virtio");
}

/* Something that only the board with firmware has. */
static bool wants_pc(const struct domdef *d)
{
	bool wants = d->os.firmware || d->os.loader || d->os.nvram;

	for (unsigned n = 0; n < d->disks.n; n++)
		wants |= is_pc_bus(d->disks.v[n]->bus);
	for (unsigned n = 0; n < d->watchdogs.n; n++)
		wants |= same(d->watchdogs.v[n]->model, "i6300esb");
	return wants || (d->videos.n && pc_video(d->videos.v[0]));
}

/* The small board: a kernel is booted, and nothing needs a PC. */
static bool on_micro(const struct domdef *d)
{
	return d->bootloader || !domdef_machine_find(d->os.machine)->board || (d->os.kernel && !wants_pc(d));
}

static void make_files(struct making *m, const struct domdef_os *os)
{
	if (os->dtb)
		return refuse(m, "a device tree (<dtb>) is not possible on x86");
	if (os->kernel)
		arg(m, "--kernel=%s", os->kernel);
	if (os->kernel && os->initrd)
		arg(m, "--initrd=%s", os->initrd);
	if (os->cmdline && (os->kernel || m->d->bootloader))
		arg(m, "--append=%s", os->cmdline);
}

static void make_kernel(struct making *m, const struct domdef_os *os)
{
	if (os->firmware || os->loader || os->nvram)
		return refuse(m, "firmware (<loader>, <nvram>, firmware='%s') is not possible here",
		              os->firmware ? os->firmware : "");
	arg(m, "--board=micro");
	if (!os->kernel)
		arg(m, "--boot-from-disk");
	if (m->d->bootloader && os->kernel)
		note(m, "bootloader: not asked, because a <kernel> is given");
	else if (m->d->bootloader_args)
		note(m, "bootloader_args: Panal's own reader of disks takes none");
	make_files(m, os);
	if (domdef_machine_find(os->machine)->board)
		note(m, "machine %s: a kernel is booted without firmware and chipset", os->machine);
}

static void make_firmware(struct making *m, const struct domdef_os *os)
{
	const char *vars = os->nvram ? os->nvram : m->place->nvram;
	bool uefi = same(os->firmware, "efi") || os->nvram || same(os->loader_type, "pflash");

	if (same(os->loader_secure, "yes"))
		return refuse(m, "firmware with Secure Boot (<loader secure='yes'>) is not possible yet");
	if (os->nvram_template)
		return refuse(m, "<nvram template=...> is not possible; leave the template out");
	/* Documents from libvirt name the distribution's file; its empty variable store is found by the short name. */
	arg(m, "--firmware=%s", os->loader && !strstr(os->loader, "/OVMF_CODE") ? os->loader : uefi ? "uefi" : "bios");
	if (uefi && vars)
		arg(m, "--firmware-vars=%s", vars);
	else if (uefi)
		note(m, "nvram: the firmware's variables are lost when the machine ends; name a file in <nvram>");
	if (same(os->bootmenu, "yes"))
		arg(m, "--boot-menu=%llu", os->bootmenu_timeout.v > 1000 ?
		    (unsigned long long)(os->bootmenu_timeout.v + 999) / 1000 : 3);
}

enum { BOOT_PART = 24 };

/* A device's own <boot order='N'>. */
static const char *boot_part(const struct making *m, const struct domdev *dev, char out[BOOT_PART])
{
	out[0] = 0;
	if (dev->boot.set && dev->boot.v <= UINT16_MAX && !boots_kernel(m->d))
		snprintf(out, BOOT_PART, ",bootindex=%u", (unsigned)dev->boot.v);
	return out;
}

/* <boot dev='...'/>. "hd" alone is what the firmware does anyway. */
static void make_boot_order(struct making *m)
{
	static const char *const names[][2] = { { "hd", "disk" }, { "cdrom", "cdrom" }, { "network", "net" },
					      { "fd", "floppy" } };
	const struct domdef_os *os = &m->d->os;
	char text[64] = "";
	size_t len = 0;

	for (unsigned n = 0; n < os->boot.n; n++)
		for (size_t k = 0; k < COUNT_OF(names); k++)
			if (same(os->boot.v[n]->dev, names[k][0]) && len + 8 < sizeof(text))
				len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "",
				                        names[k][1]);
	if (len && strcmp(text, "disk"))
		arg(m, "--boot-order=%s", text);
}

/* <genid>UUID</genid>, or an empty one for a new one at each start. */
static void make_generation(struct making *m)
{
	const char *text = m->d->genid.n ? m->d->genid.v[0]->text : NULL, *from = text ? strchr(text, '>') : NULL;
	size_t len = from ? strcspn(from + 1, "<") : 0;

	if (text)
		arg(m, "--vmgenid=%.*s", len ? (int)len : 4, len ? from + 1 : "auto");
}

static void make_boot(struct making *m)
{
	const struct domdef_os *os = &m->d->os;
	const struct domdef_machine *machine = domdef_machine_find(os->machine);
	char uuid[37];

	if (boots_kernel(m->d) && on_micro(m->d)) {
		make_kernel(m, os);
	} else if (!machine->board) {
		refuse(m,
		       "machine '%s' has no firmware to boot from a disk; choose machine q35, or give <kernel> in "
		       "<os>, or <bootloader> for the kernel on the disk",
		       os->machine);
	} else {
		xuuid_text(m->d->uuid.b, uuid);
		arg(m, "--board=%s", machine->board);
		arg(m, "--uuid=%s", uuid);
		make_generation(m);
		make_firmware(m, os);
		make_files(m, os);
		if (!os->kernel)
			make_boot_order(m);
		if (machine->pci == DOMDEF_PCI_FLAT)
			note(m, "machine %s: %s", os->machine, machine->note);
	}
	if (os->acpi.n)
		refuse(m, "ACPI tables of one's own (<acpi> in <os>) are not possible");
	if (same(os->smbios_mode, "host") || m->d->sysinfo.n)
		note(m, "sysinfo: of SMBIOS' tables only the UUID can be set");
}

/* ---- places ---- */

/* Devices register in the board's order: disks, cards, console, channels, random numbers, balloon, vsock. */
static void at_place(struct making *m, const struct domdev *dev)
{
	if (m->where_count == DOMDEF_SLOT_LAST)
		refuse(m, "more than %d devices on PCI are not possible", DOMDEF_SLOT_LAST);
	else
		m->where[m->where_count++] = &dev->address;
}

static bool slot_possible(const struct domdef_address *a)
{
	return a->type == DOM_ADDRESS_PCI && !a->bus.v && !a->function.v && a->slot.v >= DOMDEF_SLOT_FIRST &&
	       a->slot.v <= DOMDEF_SLOT_LAST;
}

/* Behind a root port, from 1 on; 0: not so. Two devices cannot be. */
static unsigned port_of(const struct domdef *d, const struct domdef_address *a)
{
	if (a->type != DOM_ADDRESS_PCI || a->bus.v < 1 || a->bus.v > domdef_ports(d) || a->slot.v || a->function.v)
		return 0;
	for (unsigned n = 0; n < d->controllers.n; n++) {
		const struct domdef_controller *c = d->controllers.v[n];

		if (c->type == DOM_CONTROLLER_PCI && c->index.v == a->bus.v)
			return same(c->model, "pcie-root-port") ? (unsigned)a->bus.v : 0;
	}
	return 0;
}

static void make_slots(struct making *m)
{
	char text[8 * DOMDEF_SLOT_LAST + 1] = "";
	uint32_t used = m->reserved;
	unsigned len = 0;
	bool moved = false;

	for (unsigned n = 0; n < m->where_count; n++)
		if (slot_possible(m->where[n]))
			used |= 1u << m->where[n]->slot.v;
	for (unsigned n = 0; n < m->where_count; n++) {
		unsigned slot = slot_possible(m->where[n]) ? (unsigned)m->where[n]->slot.v : 0;
		unsigned port = port_of(m->d, m->where[n]);

		if (port) {
			len += (unsigned)snprintf(text + len, sizeof(text) - len, "%sport%u", n ? "," : "", port);
			continue;
		}
		for (unsigned s = DOMDEF_SLOT_FIRST; !slot; s++)
			if (!(used & 1u << s))
				slot = s, moved |= m->where[n]->type == DOM_ADDRESS_PCI, used |= 1u << s;
		len += (unsigned)snprintf(text + len, sizeof(text) - len, "%s%u", n ? "," : "", slot);
	}
	if (len)
		arg(m, "--pci-slots=%s", text);
	if (moved)
		note(m,
		     "address: only slots %d to %d of PCI bus 0 are possible, and root ports 1 to %u; devices "
		     "elsewhere were given free ones",
		     DOMDEF_SLOT_FIRST, DOMDEF_SLOT_LAST, domdef_ports(m->d));
	arg(m, "--root-ports=%u", domdef_ports(m->d));
}

/* ---- names ---- */

bool domdef_disk_id(const struct domdef_disk *k, char out[DOMDEF_ID_MAX])
{
	size_t len = k->target ? strlen(k->target) : 0;

	if (!len || len >= DOMDEF_ID_MAX ||
	    k->target[strspn(k->target, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")])
		return false;
	strcpy(out, k->target);
	return true;
}

bool domdef_nic_id(const struct domdef_interface *i, char out[DOMDEF_ID_MAX])
{
	unsigned b[6];

	if (!i->mac || sscanf(i->mac, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		return false;
	snprintf(out, DOMDEF_ID_MAX, "net-%02x%02x%02x%02x%02x%02x", b[0] & 0xff, b[1] & 0xff, b[2] & 0xff, b[3] & 0xff,
		 b[4] & 0xff, b[5] & 0xff);
	return true;
}

/* A running machine's device is known by its alias where the engine has no other name for it. */
static const char *alias_part(const struct domdev *dev, const char *before, char out[DOMDEF_ID_MAX + 8])
{
	bool has = dev->alias && strlen(dev->alias) < DOMDEF_ID_MAX;

	snprintf(out, DOMDEF_ID_MAX + 8, "%s%s", has ? before : "", has ? dev->alias : "");
	return out;
}

/* ",id=NAME" or nothing. */
static const char *id_part(bool has, const char *id, char out[DOMDEF_ID_MAX + 8])
{
	snprintf(out, DOMDEF_ID_MAX + 8, "%s%s", has ? ",id=" : "", has ? id : "");
	return out;
}

/* ---- disks ---- */

static const char *disk_path(struct making *m, const struct domdef_disk *k)
{
	if (m->place->file)
		return m->place->file;
	switch (k->type) {
	case DOM_SOURCE_FILE:
		return k->source.file;
	case DOM_SOURCE_BLOCK:
		return k->source.dev;
	case DOM_SOURCE_VOLUME:
		return m->place->volume ? m->place->volume(m->place->opaque, k) : NULL;
	default:
		return NULL;
	}
}

/* What a disk may ask for and not get. */
static bool disk_wishes(struct making *m, const struct domdef_disk *k)
{
	const struct {
		const char *name;
		unsigned count;
	} parts[] = { { "iotune", k->iotune.n }, { "encryption", k->encryption.n }, { "auth", k->auth.n },
		      { "mirror", k->mirror.n }, { "geometry", k->geometry.n }, { "blockio", k->blockio.n },
		      { "transient", k->transient }, { "shareable", k->shareable },
		      { "source with parts of its own", k->source.parts.n } };

	for (size_t n = 0; n < COUNT_OF(parts); n++)
		if (parts[n].count) {
			refuse(m, "<%s> of disk '%s' is not possible yet", parts[n].name, k->target);
			return false;
		}
	return true;
}

static bool one_of(const char *value, const char *const *names)
{
	for (; value && *names; names++)
		if (!strcmp(value, *names))
			return true;
	return !value;
}

static bool on_pc_bus(const struct making *m, const struct domdef_disk *k)
{
	return is_pc_bus(k->bus) && !on_micro(m->d);
}

/* All SCSI drives are on one virtio controller. */
static bool scsi_possible(struct making *m, const struct domdef_disk *k)
{
	for (unsigned n = 0; k->bus == DOM_BUS_SCSI && n < m->d->controllers.n; n++) {
		const struct domdef_controller *c = m->d->controllers.v[n];

		if (c->type == DOM_CONTROLLER_SCSI && c->index.v == k->dev.address.controller.v && c->model &&
		    strcmp(c->model, "virtio-scsi") && strcmp(c->model, "auto")) {
			refuse(m, "drive '%s' is on a SCSI controller of model '%s'; 'virtio-scsi' is possible",
			       k->target, c->model);
			return false;
		}
	}
	return true;
}

static bool drive_possible(struct making *m, const struct domdef_disk *k)
{
	static const char *const buses[] = { "", "virtio", "sata", "scsi", "ide", "usb", "fdc", "sd", "ps2", "xen" };
	static const char *const kinds[] = { "", "disk", "CD-ROM", "floppy", "LUN" };
	bool disk = k->device == DOM_DISK_DISK;

	if ((k->device == DOM_DISK_FLOPPY) != (k->bus == DOM_BUS_FDC)) {
		refuse(m, "drive '%s' is a %s on bus '%s'; floppies, and nothing else, are on fdc", k->target,
		       kinds[k->device], buses[k->bus]);
		return false;
	}
	if (k->device == DOM_DISK_FLOPPY && on_pc_bus(m, k))
		return true;
	if (disk && (k->bus == DOM_BUS_VIRTIO || k->bus == DOM_BUS_USB))
		return true;
	if ((disk || k->device == DOM_DISK_CDROM) && on_pc_bus(m, k))
		return scsi_possible(m, k);
	if (is_pc_bus(k->bus) && on_micro(m->d))
		refuse(m, "drive '%s' is on bus '%s'; with <bootloader>, and on machine panal-micro, only disks on bus "
			  "'virtio' and 'usb' are possible",
		       k->target, buses[k->bus]);
	else
		refuse(m, "drive '%s' is a %s on bus '%s'; disks on virtio, sata, scsi, ide and usb, "
			  "CD-ROMs on sata, scsi and ide, and floppies on fdc are possible",
		       k->target, kinds[k->device], buses[k->bus]);
	return false;
}

/* startupPolicy='optional': a machine starts without its CD. */
static bool missing_medium(struct making *m, const struct domdef_disk *k, const char *path)
{
	if (!same(k->source.startup_policy, "optional") || access(path, F_OK) == 0 || errno != ENOENT)
		return false;
	note(m, "drive %s: %s is not there; the drive is empty", k->target, path);
	return true;
}

static bool contents_possible(struct making *m, const struct domdef_disk *k, const char *path)
{
	static const char *const formats[] = { "raw", "qcow2", NULL };
	static const char *const caches[] = { "default", "none", "writeback", "unsafe", NULL };

	if (!path)
		refuse(m, "the source of disk '%s' is not possible; type 'file', 'block' and 'volume' are", k->target);
	else if (!one_of(k->format, formats) || (k->device == DOM_DISK_CDROM && strcmp(k->format, "raw")))
		refuse(m, "format '%s' of drive '%s' is not possible; 'raw'%s is", k->format, k->target,
		       k->device == DOM_DISK_CDROM ? "" : " or 'qcow2'");
	else if (!one_of(k->cache, caches))
		refuse(m, "cache='%s' of disk '%s' is not possible; none, writeback and unsafe are", k->cache,
		       k->target);
	else
		return disk_wishes(m, k);
	return false;
}

static const char *usb_port(const struct domdev *dev)
{
	const struct domdef_address *a = &dev->address;

	return a->type == DOM_ADDRESS_USB && a->port ? a->port : "";
}

/* The drive's number on its controller, which the guest sees; -1: the next that is free, for drives on controllers that
 * are not there. A SCSI drive is its target's unit 0: the target's number is the document's target, or its unit. */
static int unit_of(struct making *m, const struct domdef_disk *k)
{
	const struct domdef_address *a = &k->dev.address;
	uint64_t unit = a->unit.v, count = SATA_UNITS;

	if (!is_pc_bus(k->bus) || a->type != DOM_ADDRESS_DRIVE)
		return -1;
	if (k->bus == DOM_BUS_IDE) {
		unit = a->bus.v * 2 + a->unit.v;
		count = IDE_UNITS;
	} else if (k->bus == DOM_BUS_SCSI) {
		unit = a->target.v ? a->target.v : a->unit.v;
		count = SCSI_UNITS;
	} else if (k->bus == DOM_BUS_FDC) {
		count = FDC_UNITS;
	}
	if (!a->controller.v && unit < count && !(m->units[k->bus] & 1u << unit) &&
	    (k->bus != DOM_BUS_SCSI || !a->target.v || !a->unit.v) && (k->bus != DOM_BUS_IDE || a->unit.v < 2)) {
		m->units[k->bus] |= 1u << unit;
		return (int)unit;
	}
	note(m, "disk %s: its address is not possible here; it is where the next drive of its bus has its place",
	     k->target);
	return -1;
}

/* ",unit=2,serial=ABC" and such. A serial number longer than devices have room for is cut, as QEMU does. */
static char *identity_text(struct making *m, const struct domdef_disk *k)
{
	char serial[SERIAL_MAX + 1] = "", part[24] = "", *twice, *out = NULL;
	int unit = unit_of(m, k);

	if (unit >= 0)
		snprintf(part, sizeof(part), ",unit=%d", unit);
	if (k->serial && k->device == DOM_DISK_DISK && k->bus != DOM_BUS_USB)
		snprintf(serial, sizeof(serial), "%s", k->serial);
	if (*serial && strlen(k->serial) > SERIAL_MAX)
		note(m, "disk %s: the guest sees the first %d characters of <serial>", k->target, SERIAL_MAX);
	twice = doubled(serial);
	if (!twice || asprintf(&out, "%s%s%s", part, *serial ? ",serial=" : "", twice) < 0)
		out = NULL;
	free(twice);
	return out;
}

enum { POLICIES_PART = 40 };

/* What becomes of failures. Without rerror_policy the one word is for both, where it can be. */
static const char *policies_part(struct making *m, const struct domdef_disk *k, char out[POLICIES_PART])
{
	static const char *const words[] = { "stop", "report", "ignore", "enospace", NULL };
	bool space = same(k->error_policy, "enospace");
	const char *write = space ? "enospc" : k->error_policy;
	const char *read = k->rerror_policy ? k->rerror_policy : space ? NULL : k->error_policy;

	out[0] = 0;
	if (!one_of(k->error_policy, words) || !one_of(k->rerror_policy, words) || same(k->rerror_policy, "enospace"))
		refuse(m, "the error policies of disk '%s' are not possible; stop, report and ignore are, and enospace "
			  "for error_policy", k->target);
	else
		snprintf(out, POLICIES_PART, "%s%s%s%s", write ? ",werror=" : "", write ? write : "",
			 read ? ",rerror=" : "", read ? read : "");
	return out;
}

static void make_disk(struct making *m, const struct domdef_disk *k)
{
	const char *path = disk_path(m, k);
	bool cache = k->cache && strcmp(k->cache, "default");
	const char *port = k->bus == DOM_BUS_USB ? usb_port(&k->dev) : "";
	static const char *const buses[] = { [DOM_BUS_SATA] = ",bus=sata", [DOM_BUS_SCSI] = ",bus=scsi",
					     [DOM_BUS_IDE] = ",bus=ide", [DOM_BUS_USB] = ",bus=usb",
					     [DOM_BUS_FDC] = ",bus=floppy" };
	const char *bus = k->bus < COUNT_OF(buses) && buses[k->bus] ? buses[k->bus] : "";
	char *text, *identity, id[DOMDEF_ID_MAX], part[DOMDEF_ID_MAX + 8], boot[BOOT_PART], policies[POLICIES_PART];

	if (k->device != DOM_DISK_DISK && (!path || missing_medium(m, k, path))) {
		identity = on_pc_bus(m, k) ? identity_text(m, k) : NULL;
		if (identity && drive_possible(m, k))
			arg(m, "--disk=none%s%s%s%s", k->device == DOM_DISK_CDROM ? ",cdrom" : "", bus,
			    id_part(domdef_disk_id(k, id), id, part), identity);
		else
			note(m, "drive %s: it is empty and left out", k->target);
		free(identity);
		return;
	}
	if (!drive_possible(m, k) || !contents_possible(m, k, path))
		return;
	id_part(domdef_disk_id(k, id), id, part);
	text = doubled(path);
	identity = identity_text(m, k);
	if (!text || !identity)
		m->ret = err_set(m->e, -ENOMEM, "out of memory");
	else
		arg(m, "--disk=%s,format=%s%s%s%s%s%s%s%s%s%s%s%s", text, k->format,
		    k->device == DOM_DISK_CDROM ? ",cdrom" : "", bus,
		    k->readonly ? ",readonly" : "", cache ? ",cache=" : "",
		    cache ? k->cache : "", *port ? ",port=" : "", port, part, boot_part(m, &k->dev, boot),
		    identity, policies_part(m, k, policies));
	free(text);
	free(identity);
	if (k->bus == DOM_BUS_VIRTIO)
		at_place(m, &k->dev);
}

static uint64_t sata_port(const struct domdef_disk *k)
{
	return k->dev.address.controller.v * 6 + k->dev.address.unit.v;
}

/* SATA drives in the order of their ports, the others in the document's. */
static void make_disks(struct making *m)
{
	const struct domdef *d = m->d;
	uint64_t done = 0, next;
	bool more = true;

	for (unsigned n = 0; n < d->disks.n && m->ret == 0; n++)
		if (d->disks.v[n]->bus != DOM_BUS_SATA)
			make_disk(m, d->disks.v[n]);
	while (more && m->ret == 0) {
		more = false;
		next = UINT64_MAX;
		for (unsigned n = 0; n < d->disks.n; n++)
			if (d->disks.v[n]->bus == DOM_BUS_SATA && sata_port(d->disks.v[n]) >= done &&
			    sata_port(d->disks.v[n]) < next)
				next = sata_port(d->disks.v[n]);
		for (unsigned n = 0; n < d->disks.n && m->ret == 0; n++)
			if (d->disks.v[n]->bus == DOM_BUS_SATA && sata_port(d->disks.v[n]) == next) {
				make_disk(m, d->disks.v[n]);
				more = true;
			}
		done = next + 1;
	}
}

/* ---- networks ---- */

/* The cable, and the option ROM: a file, or none. */
static const char *rom_part(struct making *m, const struct domdef_interface *i, char out[PATH_MAX + 32])
{
	char *file = i->rom_file ? doubled(i->rom_file) : NULL;
	bool none = same(i->rom_enabled, "no") || same(i->rom_bar, "off");

	if (i->rom_file && (!file || strlen(file) >= PATH_MAX))
		refuse(m, "the path of <rom> of interface %s is too long", i->mac);
	snprintf(out, PATH_MAX + 32, "%s%s%s", same(i->link, "down") ? ",link=off" : "",
		 none || file ? ",romfile=" : "", none ? "none" : file ? file : "");
	free(file);
	return out;
}

/* Of several cards with one address only the first has the name. */
static const char *nic_part(const struct making *m, const struct domdef_interface *i, char out[DOMDEF_ID_MAX + 8])
{
	char id[DOMDEF_ID_MAX], other[DOMDEF_ID_MAX];
	bool has = domdef_nic_id(i, id);

	for (unsigned n = 0; has && n < m->d->interfaces.n && m->d->interfaces.v[n] != i; n++)
		if (domdef_nic_id(m->d->interfaces.v[n], other) && !strcmp(id, other))
			has = false;
	return id_part(has, id, out);
}

/* Cards that panal-vmm has, beside virtio. */
static const char *const card_models[] = { "e1000", "e1000e", "rtl8139" };

static bool card_possible(const struct domdef_interface *i)
{
	for (size_t n = 0; n < COUNT_OF(card_models); n++)
		if (same(i->model, card_models[n]))
			return true;
	return !i->model || same(i->model, "virtio");
}

static const char *model_text(const struct domdef_interface *i)
{
	static const char *const text[] = { ",model=e1000", ",model=e1000e", ",model=rtl8139" };

	for (size_t n = 0; n < COUNT_OF(card_models); n++)
		if (same(i->model, card_models[n]))
			return text[n];
	return "";
}

static void make_user_net(struct making *m, const struct domdef_interface *i)
{
	char part[DOMDEF_ID_MAX + 8], boot[BOOT_PART], rom[PATH_MAX + 32];
	struct buf forwards;

	if (m->place->helper) /* which knows the rest */
		return arg(m, "--net=user,helper=%s,mac=%s%s%s%s", m->place->helper, i->mac, model_text(i),
			   nic_part(m, i, part), rom_part(m, i, rom));
	buf_init(&forwards, 64 << 10);
	if (m->ret == 0)
		m->ret = domdef_forwards(i, &forwards, m->e);
	arg(m, "--net=user,mac=%s%s%s%s%s%.*s", i->mac, model_text(i), boot_part(m, &i->dev, boot),
	    nic_part(m, i, part), rom_part(m, i, rom), (int)forwards.len,
	    forwards.data ? (const char *)forwards.data : "");
	buf_free(&forwards);
}

static void make_interface(struct making *m, const struct domdef_interface *i)
{
	const char *tap = NULL;
	char part[DOMDEF_ID_MAX + 8], boot[BOOT_PART], rom[PATH_MAX + 32];

	if (!card_possible(i))
		return refuse(m, "network card model '%s' (%s) is not possible; "
			      "'virtio', 'e1000', 'e1000e', 'rtl8139' are",
			      i->model, i->mac);
	if (i->type == DOM_NET_USER) {
		make_user_net(m, i);
	} else {
		if (m->place->tap)
			tap = m->place->tap(m->place->opaque, i);
		if (!tap)
			return refuse(
				m, "this type of network interface (%s) is not possible; network, bridge and user are",
				i->mac);
		arg(m, "--net=tap=%s,mac=%s%s%s%s%s", tap, i->mac, model_text(i), boot_part(m, &i->dev, boot),
		    nic_part(m, i, part), rom_part(m, i, rom));
	}
	if (i->filterref.n || i->vlan.n || i->virtualport.n)
		refuse(m, "<filterref>, <vlan> and <virtualport> of interface %s are not possible yet", i->mac);
	at_place(m, &i->dev);
}

/* ---- serial ports and consoles ---- */

static void make_chr(struct making *m, const char *option, const struct domdef_chr *c, const char *pty)
{
	if (c->type == DOM_CHR_PTY && pty)
		arg(m, "--%s=%s", option, pty);
	else if (c->type == DOM_CHR_PTY || c->type == DOM_CHR_NULL)
		arg(m, "--%s=none", option);
	else if (c->type == DOM_CHR_FILE && c->path && !same(c->append, "on"))
		arg(m, "--%s=file:%s", option, c->path);
	else if (c->type == DOM_CHR_UNIX && c->path && !same(c->mode, "connect"))
		arg(m, "--%s=unix:%s", option, c->path);
	else
		refuse(m,
		       "what the %s port is connected to is not possible; pty, null, file and a listening unix socket "
		       "are",
		       option);
	if (c->log_file)
		note(m, "%s: <log> has no effect", option);
}

bool domdef_drop_displays(struct domdef *d)
{
	const struct domdef_kind *k = domdef_kind_find("graphics");
	bool any = d->graphics.n != 0;

	while (d->graphics.n)
		xmap_free(k->map, xlist_take(&d->graphics, d->graphics.n - 1));
	return any;
}

bool domdef_channel_possible(const struct domdef_chr *c)
{
	return c->type == DOM_CHR_UNIX && same(c->target_type, "virtio") && c->target_name && c->path &&
	       !same(c->mode, "connect");
}

/* One controller for all. Beside a console, which has a device of its own, its place is any. */
static void make_channels(struct making *m, bool console)
{
	static const struct domdev anywhere;
	const struct domdef *d = m->d;
	const struct domdev *place = &anywhere;
	unsigned count = 0;

	for (unsigned n = 0; n < d->channels.n; n++) {
		const struct domdef_chr *c = d->channels.v[n];

		if (!c->path && m->place->channel && c->type == DOM_CHR_UNIX && same(c->target_type, "virtio") &&
		    c->target_name)
			continue;
		if (!domdef_channel_possible(c)) {
			note(m, "channel %s: virtio channels on listening unix sockets are possible; it is left out",
			     c->target_name ? c->target_name : "without a name");
			continue;
		}
		if (strchr(c->path, ',') || strchr(c->target_name, ','))
			return refuse(m, "a comma in the name or path of a channel (%s) is not possible", c->path);
		arg(m, "--channel=name=%s,socket=%s", c->target_name, c->path);
		count++;
	}
	for (unsigned n = 0; !console && n < d->controllers.n; n++)
		if (d->controllers.v[n]->type == DOM_CONTROLLER_VIRTIO_SERIAL && !d->controllers.v[n]->index.v)
			place = &d->controllers.v[n]->dev;
	if (count)
		at_place(m, place);
}

static void make_chrs(struct making *m)
{
	const struct domdef *d = m->d;
	const struct domdef_chr *console = NULL;

	for (unsigned n = 0; n < d->consoles.n; n++)
		if (same(d->consoles.v[n]->target_type, "virtio")) {
			if (console)
				return refuse(m, "only one virtio console is possible");
			console = d->consoles.v[n];
		} else if (!same(d->consoles.v[n]->target_type, "serial")) {
			return refuse(m, "a console of type '%s' is not possible; serial and virtio are",
			              d->consoles.v[n]->target_type);
		}
	if (d->serials.n > 4 || d->parallels.n > 1)
		return refuse(m, "more than four serial ports, or than one parallel port, are not possible");
	for (unsigned n = 0; n < d->serials.n; n++) {
		if (n && d->serials.v[n]->type == DOM_CHR_PTY)
			return refuse(m, "only the first serial port can be a pty; null, file and a listening unix "
					 "socket are possible for others");
		make_chr(m, "serial", d->serials.v[n], n ? NULL : m->place->serial);
	}
	if (!d->serials.n)
		arg(m, "--serial=none");
	if (d->parallels.n)
		make_chr(m, "parallel", d->parallels.v[0], NULL);
	if (console) {
		make_chr(m, "console", console, m->place->console);
		for (unsigned n = 0; n < d->controllers.n; n++)
			if (d->controllers.v[n]->type == DOM_CONTROLLER_VIRTIO_SERIAL && !d->controllers.v[n]->index.v)
				at_place(m, &d->controllers.v[n]->dev);
	}
	make_channels(m, console);
}

/* ---- USB and input ---- */

static void make_usb(struct making *m, const char *what, const struct domdev *dev)
{
	const char *port = usb_port(dev);
	char part[DOMDEF_ID_MAX + 8];

	arg(m, "--usb=%s%s%s%s", what, *port ? ",port=" : "", port, m->coming ? "" : alias_part(dev, ",id=", part));
}

static unsigned depth_of(const struct domdev *dev)
{
	unsigned dots = 0;

	for (const char *at = usb_port(dev); *at; at++)
		dots += *at == '.';
	return dots;
}

/* There is one controller, an xHCI; a document's others are it, when something is plugged into them. */
static void make_usb_controller(struct making *m)
{
	const struct domdef *d = m->d;

	for (unsigned n = 0; n < d->controllers.n; n++) {
		const struct domdef_controller *c = d->controllers.v[n];

		if (c->type != DOM_CONTROLLER_USB || (!same(c->model, "qemu-xhci") && !same(c->model, "nec-xhci")))
			continue;
		if (c->index.v) {
			note(m, "there is one USB controller; what is plugged into others is plugged into it");
		} else if (slot_possible(&c->dev.address)) {
			m->reserved |= 1u << c->dev.address.slot.v;
			arg(m, "--usb=controller,slot=%llu", (unsigned long long)c->dev.address.slot.v);
		} else {
			arg(m, "--usb=controller");
		}
	}
}

/* Hubs come before what is plugged into them. */
static void make_hubs(struct making *m)
{
	enum { DEPTH_MAX = 5 };

	for (unsigned depth = 0; depth <= DEPTH_MAX; depth++)
		for (unsigned n = 0; n < m->d->hubs.n; n++)
			if (depth_of(&m->d->hubs.v[n]->dev) == depth)
				make_usb(m, "hub", &m->d->hubs.v[n]->dev);
}

/* The board's order of virtio input devices, one of each kind. */
static void make_inputs(struct making *m)
{
	static const char *const kinds[] = { "keyboard", "mouse", "tablet", NULL };
	const struct domdef *d = m->d;
	unsigned used = 0;

	for (unsigned k = 0; kinds[k]; k++)
		for (unsigned n = 0; n < d->inputs.n; n++) {
			const struct domdef_input *i = d->inputs.v[n];

			if (!same(i->type, kinds[k]))
				continue;
			if (same(i->bus, "usb")) {
				make_usb(m, kinds[k], &i->dev);
			} else if (same(i->bus, "virtio") && !(used & 1u << k)) {
				used |= 1u << k;
				arg(m, "--input=%s", kinds[k]);
				at_place(m, &i->dev);
			} else if (same(i->bus, "virtio")) {
				note(m, "input: one virtio %s is possible, another is left out", kinds[k]);
			}
		}
	for (unsigned n = 0; n < d->inputs.n; n++)
		if (!one_of(d->inputs.v[n]->type, kinds))
			note(m, "input: '%s' is left out", d->inputs.v[n]->type);
}

/* ---- the rest ---- */

/* The cards that the PC board has, one of them; a guest that finds none does with its serial port. */
static void make_video(struct making *m, const struct domdef_video *v, unsigned n)
{
	if (same(v->model, "none"))
		return;
	if (pc_video(v) && n == 0 && !on_micro(m->d))
		arg(m, "--video=%s", same(v->model, "vga") ? "std" : v->model);
	else
		note(m, "video: there is no such graphics card here; '%s' is left out", v->model);
}

static void make_watchdog(struct making *m, const struct domdef_watchdog *w, unsigned n)
{
	static const char *const actions[] = {"reset", "poweroff", "pause", "inject-nmi", "none", NULL};

	if (same(w->model, "itco")) /* part of Q35 chipsets, which documents name by habit */
		return note(m, "watchdog: itco is left out; i6300esb is possible");
	if (n || !same(w->model, "i6300esb") || on_micro(m->d))
		return refuse(m, "watchdog '%s' is not possible; one of model i6300esb on machine q35 or pc is",
			      w->model);
	if (!one_of(w->action, actions))
		return refuse(m,
			      "watchdog action '%s' is not possible; reset, poweroff, pause, inject-nmi and none are",
			      w->action);
	if (slot_possible(&w->dev.address)) {
		m->reserved |= 1u << w->dev.address.slot.v;
		arg(m, "--watchdog=%s,slot=%llu", w->action, (unsigned long long)w->dev.address.slot.v);
	} else {
		arg(m, "--watchdog=%s", w->action);
	}
}

static void make_small(struct making *m)
{
	const struct domdef *d = m->d;
	char part[DOMDEF_ID_MAX + 8];

	for (unsigned n = 0; n < d->rngs.n; n++) {
		if (n || !same(d->rngs.v[n]->model, "virtio") || !same(d->rngs.v[n]->backend_model, "random"))
			return refuse(m, "one rng of model 'virtio' with backend 'random' is possible, no other");
		arg(m, "--rng%s", alias_part(&d->rngs.v[n]->dev, "=", part));
		at_place(m, &d->rngs.v[n]->dev);
		if (d->rngs.v[n]->rate_bytes.set)
			note(m, "rng: its <rate> has no effect");
	}
	if (d->memballoons.n && same(d->memballoons.v[0]->model, "virtio")) {
		arg(m, "--balloon%s", alias_part(&d->memballoons.v[0]->dev, "=", part));
		at_place(m, &d->memballoons.v[0]->dev);
	} else if (d->memballoons.n && !same(d->memballoons.v[0]->model, "none")) {
		refuse(m, "memballoon model '%s' is not possible; virtio and none are", d->memballoons.v[0]->model);
	}
	if (d->vsocks.n && !m->place->vsock)
		refuse(m, "a vsock is not possible here");
	if (d->vsocks.n && m->place->vsock) {
		at_place(m, &d->vsocks.v[0]->dev);
		arg(m, "--vsock=%s", m->place->vsock);
		arg(m, "--vsock-cid=%llu", d->vsocks.v[0]->cid.set ? (unsigned long long)d->vsocks.v[0]->cid.v : 3);
	}
	for (unsigned n = 0; n < d->panics.n; n++)
		if (!same(d->panics.v[n]->model, "isa") && !same(d->panics.v[n]->model, "pvpanic"))
			refuse(m, "panic model '%s' is not possible; 'isa' is", d->panics.v[n]->model);
	make_usb_controller(m);
	make_hubs(m);
	make_inputs(m);
	for (unsigned n = 0; n < d->videos.n; n++)
		make_video(m, d->videos.v[n], n);
	for (unsigned n = 0; n < d->watchdogs.n; n++)
		make_watchdog(m, d->watchdogs.v[n], n);
}

/* Devices and settings with one answer each. count is a list's; a refusal's hint may be "". */
struct verdict {
	const char *name;
	size_t list;
	const char *why, *hint; /* one of them */
};
#define LEFT_OUT(n, l, w) { n, offsetof(struct domdef, l), w, NULL }
#define REFUSED(n, l, h) { n, offsetof(struct domdef, l), NULL, h }
static const struct verdict verdicts[] = {
	REFUSED("hostdev", hostdevs, ""),
	REFUSED("filesystem", filesystems, ""),
	REFUSED("tpm", tpms, " (virt-install: --tpm none)"),
	REFUSED("shmem", shmems, ""),
	REFUSED("iommu", iommus, ""),
	REFUSED("crypto", cryptos, ""),
	REFUSED("nvram", nvrams, ""),
	REFUSED("launchSecurity", launch_security, ""),
	REFUSED("idmap", idmap, ""),
	REFUSED("lease", leases, ""),
	LEFT_OUT("graphics", graphics,
		 "nobody can connect: no display is served; use the serial console, and screenshots"),
	LEFT_OUT("sound", sounds, "there is no sound card"),
	LEFT_OUT("redirdev", redirdevs, "USB devices of elsewhere are not reached"),
	LEFT_OUT("smartcard", smartcards, "there is no reader"),
	LEFT_OUT("hyperv", features.hyperv, "the guest is not offered Hyper-V's interfaces"),
	LEFT_OUT("kvm", features.kvm, "these features have no effect"),
	LEFT_OUT("iothreads", iothread, "one loop serves all devices"),
};

static void judge(struct making *m)
{
	for (size_t n = 0; n < COUNT_OF(verdicts); n++) {
		const struct xlist *l = (const struct xlist *)((const char *)m->d + verdicts[n].list);

		if (l->n && verdicts[n].why)
			note(m, "%s: %s", verdicts[n].name, verdicts[n].why);
		else if (l->n)
			refuse(m, "device or setting '%s' is not possible yet; leave it out%s", verdicts[n].name,
			       verdicts[n].hint);
	}
}

/* Limits are the daemon's to hold the machine to, by cgroups, where there are some. */
static void make_tuning(struct making *m)
{
	const struct domdef *d = m->d;

	if (d->blkio.device.n)
		note(m, "blkiotune: weights and limits of single devices have no effect");
	if (m->place->limits)
		return;
	if (d->cputune.shares.set || d->cputune.quota || d->cputune.global_quota || d->cputune.emulator_quota)
		note(m, "cputune: there are no cgroups here: shares and quotas have no effect; pinning has");
	if (d->hard_limit.set || d->soft_limit.set || d->swap_hard_limit.set)
		note(m, "memtune: there are no cgroups here: the limits have no effect");
	if (d->numatune.nodeset)
		note(m, "numatune: there are no cgroups here: where on the host memory lies is the host's choice");
	if (d->blkio.weight.set)
		note(m, "blkiotune: there are no cgroups here: the weight has no effect");
}

static void add_note(void *opaque, const char *text)
{
	note(opaque, "%s", text);
}

/* The clock of the board; guests that keep local time in it are told so by <clock offset='localtime'/>. */
static void make_clock(struct making *m)
{
	const struct domdef *d = m->d;
	long long seconds = d->clock.adjustment ? strtoll(d->clock.adjustment, NULL, 10) : 0;
	time_t now = time(NULL);
	struct tm tm;

	switch (d->clock.offset) {
	case DOM_OFFSET_TIMEZONE:
		return refuse(m, "clock offset='timezone' is not possible; utc, localtime, variable and absolute are");
	case DOM_OFFSET_ABSOLUTE:
		seconds = (d->clock.start ? strtoll(d->clock.start, NULL, 10) : 0) - (long long)now;
		break;
	case DOM_OFFSET_LOCALTIME:
		seconds += localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
		break;
	case DOM_OFFSET_VARIABLE:
		if (same(d->clock.basis, "localtime"))
			seconds += localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
		break;
	default: break;
	}
	if (seconds)
		arg(m, "--rtc=%+lld", seconds);
}

/* What only the board with firmware has, and can do without. */
static void make_absent(struct making *m)
{
	const struct domdef *d = m->d;

	if (boots_kernel(d) && on_micro(d))
		return;
	if (same(d->suspend_to_mem, "no"))
		arg(m, "--no-s3");
	if (same(d->suspend_to_disk, "no"))
		arg(m, "--no-s4");
	for (unsigned n = 0; n < d->clock.timer.n; n++)
		if (same(d->clock.timer.v[n]->name, "hpet") && same(d->clock.timer.v[n]->present, "no"))
			return arg(m, "--no-hpet");
}

static void check_ends(struct making *m)
{
	const struct domdef *d = m->d;
	const struct {
		const char *name;
		int action;
	} ends[] = { { "on_poweroff", d->on_poweroff }, { "on_reboot", d->on_reboot }, { "on_crash", d->on_crash } };

	for (size_t n = 0; n < COUNT_OF(ends); n++) {
		bool crash = ends[n].name[3] == 'c';

		if (ends[n].action == DOM_ACTION_RENAME_RESTART || (ends[n].action == DOM_ACTION_PRESERVE && !crash))
			refuse(m, "<%s> '%s' is not possible; destroy%s and restart are", ends[n].name,
			       ends[n].action == DOM_ACTION_PRESERVE ? "preserve" : "rename-restart",
			       crash ? ", preserve" : "");
	}
}

static void make_control(struct making *m)
{
	if (m->place->control)
		arg(m, "--control=%s", m->place->control);
	if (m->place->paused)
		arg(m, "--paused");
	if (m->d->on_reboot == DOM_ACTION_DESTROY)
		arg(m, "--no-reboot");
}

int domdef_vmm_args(struct domdef_args *out, const struct domdef *d, const struct domdef_place *place, struct err *e)
{
	struct making m = { .out = out, .d = d, .place = place, .e = e };

	*out = (struct domdef_args){.argv = calloc(ARGS_MAX, sizeof(char *)),
				    .note = calloc(NOTES_MAX, sizeof(char *))};
	if (!out->argv || !out->note)
		m.ret = err_set(e, -ENOMEM, "out of memory");
	if (m.ret == 0)
		judge(&m);
	make_tuning(&m);
	make_boot(&m);
	make_memory(&m);
	make_cpu(&m);
	make_disks(&m);
	for (unsigned n = 0; n < d->interfaces.n && m.ret == 0; n++)
		make_interface(&m, d->interfaces.v[n]);
	make_chrs(&m);
	make_small(&m);
	make_clock(&m);
	make_absent(&m);
	check_ends(&m);
	make_slots(&m);
	domdef_left(d, add_note, &m);
	make_control(&m);
	if (m.ret < 0)
		domdef_args_free(out);
	return m.ret;
}

/* ---- a device that comes while the machine runs ---- */

bool domdef_device_id(const struct domdef_kind *k, const struct domdev *dev, char out[DOMDEF_ID_MAX])
{
	if (!strcmp(k->name, "disk"))
		return domdef_disk_id((const struct domdef_disk *)dev, out);
	if (!strcmp(k->name, "interface"))
		return domdef_nic_id((const struct domdef_interface *)dev, out);
	if (!dev->alias || strlen(dev->alias) >= DOMDEF_ID_MAX)
		return false;
	strcpy(out, dev->alias);
	return true;
}

static void make_coming_disk(struct making *m, const struct domdef_disk *k)
{
	char id[DOMDEF_ID_MAX];

	if (k->device != DOM_DISK_DISK || (k->bus != DOM_BUS_VIRTIO && k->bus != DOM_BUS_USB))
		refuse(m, "drive '%s' cannot be added to a running machine; disks on bus 'virtio' and 'usb' can",
		       k->target);
	else if (!domdef_disk_id(k, id))
		refuse(m, "target '%s' is no name for a disk that is added to a running machine", k->target);
	else
		make_disk(m, k);
}

static void make_coming_input(struct making *m, const struct domdef_input *i)
{
	static const char *const kinds[] = { "keyboard", "mouse", "tablet", NULL };

	if (!same(i->bus, "usb") || !i->type || !one_of(i->type, kinds))
		return refuse(m, "of input devices, keyboards, mice and tablets on bus 'usb' can be added to a running "
			      "machine");
	make_usb(m, i->type, &i->dev);
}

static void make_coming_rng(struct making *m, const struct domdef_rng *r)
{
	if (!same(r->model, "virtio") || !same(r->backend_model, "random"))
		return refuse(m, "an rng of model 'virtio' with backend 'random' is possible, no other");
	arg(m, "--rng");
}

int domdef_vmm_device(char **option, unsigned *port, const struct domdef *d, const struct domdef_kind *k,
		      const struct domdev *dev, const struct domdef_place *place, struct err *e)
{
	struct domdef_args out = { .argv = calloc(ARGS_MAX, sizeof(char *)),
				   .note = calloc(NOTES_MAX, sizeof(char *)) };
	struct making m = { .out = &out, .d = d, .place = place, .e = e, .coming = true };

	*port = port_of(d, &dev->address);
	if (!out.argv || !out.note)
		m.ret = err_set(e, -ENOMEM, "out of memory");
	else if (!strcmp(k->name, "disk"))
		make_coming_disk(&m, (const struct domdef_disk *)dev);
	else if (!strcmp(k->name, "interface"))
		make_interface(&m, (const struct domdef_interface *)dev);
	else if (!strcmp(k->name, "input"))
		make_coming_input(&m, (const struct domdef_input *)dev);
	else if (!strcmp(k->name, "rng"))
		make_coming_rng(&m, (const struct domdef_rng *)dev);
	else
		refuse(&m, "a device '%s' cannot be added to a running machine", k->name);
	if (m.ret == 0 && !out.argc)
		refuse(&m, "such a device '%s' cannot be added to a running machine", k->name);
	if (m.ret == 0) {
		*option = out.argv[0];
		out.argv[0] = NULL;
	}
	domdef_args_free(&out);
	return m.ret;
}

void domdef_args_free(struct domdef_args *a)
{
	for (unsigned n = 0; a->argv && n < a->argc; n++)
		free(a->argv[n]);
	for (unsigned n = 0; a->note && n < a->note_count; n++)
		free(a->note[n]);
	free(a->argv);
	free(a->note);
	*a = (struct domdef_args){ 0 };
}
