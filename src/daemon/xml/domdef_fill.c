/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client leaves out: each step looks at one part of the document and is harmless when repeated. */
#include "daemon/xml/domdef_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* Sets the string where the document says nothing. */
static int dflt(char **member, const char *value)
{
	return *member ? 0 : xstr_set(member, value);
}

static void dflt_num(struct xnum *n, uint64_t v)
{
	if (!n->set)
		*n = xnum(v);
}

static void dflt_enum(int *member, int value)
{
	if (!*member)
		*member = value;
}

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* ---- the machine ---- */

static int fill_memory(struct domdef *d, struct err *e)
{
	uint64_t cells = 0;

	for (unsigned n = 0; d->cpu && n < d->cpu->cells.n; n++) {
		const struct domdef_cell *c = d->cpu->cells.v[n];
		uint64_t scale = xunit_scale(c->unit ? c->unit : "KiB");

		if (!c->memory.set || !scale)
			return err_set(e, -EBADMSG, "Missing or invalid memory of NUMA cell %u", n);
		cells += c->memory.v * scale / 1024;
	}
	if (cells) /* what <memory> says is nothing then */
		d->memory = xnum(cells);
	if (!d->memory.set || !d->memory.v)
		return err_set(e, -EBADMSG,
			       "memory size must be specified with <memory> or in the <numa> configuration");
	if (!d->current_memory.set || !d->current_memory.v)
		d->current_memory = d->memory;
	if (d->current_memory.v > d->memory.v)
		return err_set(e, -EBADMSG, "current memory '%lluk' exceeds maximum '%lluk'",
		               (unsigned long long)d->current_memory.v, (unsigned long long)d->memory.v);
	if (d->max_memory.set && d->max_memory.v < d->memory.v)
		return err_set(e, -EBADMSG, "maximum memory size must be equal or greater than the actual memory size");
	return 0;
}

static int fill_vcpus(struct domdef *d, struct err *e)
{
	dflt_num(&d->vcpu, 1);
	if (!d->vcpu.v)
		return err_set(e, -EBADMSG, "invalid maximum number of vCPUs '0'");
	if (d->vcpu_current.set && d->vcpu_current.v > d->vcpu.v)
		return err_set(e, -EBADMSG, "maxvcpus must not be less than current vcpus (%llu < %llu)",
		               (unsigned long long)d->vcpu.v, (unsigned long long)d->vcpu_current.v);
	if (d->vcpu_current.set && (!d->vcpu_current.v || d->vcpu_current.v == d->vcpu.v))
		d->vcpu_current.set = false;
	return dflt(&d->vcpu_placement, "static") < 0 ? no_memory(e) : 0;
}

static int fill_cpu(struct domdef *d, struct err *e)
{
	struct domdef_cpu *c = d->cpu;
	uint64_t count;
	int ret = 0;

	if (!c)
		return 0;
	if (!c->mode && c->model)
		ret = xstr_set(&c->mode, "custom");
	if (ret == 0 && same(c->mode, "custom"))
		ret = dflt(&c->match, "exact");
	if (ret == 0 && same(c->mode, "host-passthrough"))
		ret = dflt(&c->check, "none");
	if (ret == 0 && same(c->mode, "host-passthrough"))
		ret = dflt(&c->migratable, "on");
	if (ret == 0 && same(c->mode, "host-model"))
		ret = dflt(&c->check, "partial");
	if (ret == 0 && c->sockets.set) {
		dflt_num(&c->dies, 1);
		if (!c->sockets.v || !c->dies.v || !c->cores.v || !c->threads.v)
			return err_set(e, -EBADMSG, "Invalid CPU topology");
		if (__builtin_mul_overflow(c->sockets.v, c->dies.v, &count) ||
		    __builtin_mul_overflow(count, c->clusters.set ? c->clusters.v : 1, &count) ||
		    __builtin_mul_overflow(count, c->cores.v, &count) ||
		    __builtin_mul_overflow(count, c->threads.v, &count) || count != d->vcpu.v)
			return err_set(e, -ENOTSUP, "CPU topology doesn't match maximum vcpu count");
	}
	return ret < 0 ? no_memory(e) : 0;
}

static int fill_boot(struct domdef *d, struct err *e)
{
	bool ordered = d->os.boot.n || d->os.kernel || d->bootloader || d->os.init.n;
	struct domdef_boot *b;

	for (unsigned n = 0; n < d->disks.n; n++)
		ordered |= d->disks.v[n]->dev.boot.set;
	for (unsigned n = 0; n < d->interfaces.n; n++)
		ordered |= d->interfaces.v[n]->dev.boot.set;
	for (unsigned n = 0; n < d->hostdevs.n; n++)
		ordered |= d->hostdevs.v[n]->dev.boot.set;
	if (ordered)
		return 0;
	b = xlist_new(&d->os.boot, sizeof(*b));
	return !b || xstr_set(&b->dev, "hd") < 0 ? no_memory(e) : 0;
}

static int fill_os(struct domdef *d, struct err *e)
{
	const struct domdef_machine *m;

	if (!d->os.type)
		return err_set(e, -EBADMSG, "an os <type> must be specified");
	if (strcmp(d->os.type, "hvm"))
		return err_set(e, -ENOTSUP, "os type '%.40s' is not possible; 'hvm' is", d->os.type);
	if (dflt(&d->os.arch, "x86_64") < 0 || dflt(&d->os.machine, domdef_machines[0].name) < 0)
		return no_memory(e);
	if (strcmp(d->os.arch, "x86_64") && strcmp(d->os.arch, "i686"))
		return err_set(e, -ENOTSUP, "architecture '%.40s' is not possible; x86_64 and i686 are", d->os.arch);
	m = domdef_machine_find(d->os.machine);
	if (!m)
		return err_set(e, -ENOTSUP,
			       "Emulator does not support machine type '%.60s'; q35, pc and panal-micro are possible",
		               d->os.machine);
	return fill_boot(d, e);
}

static int fill_machine(struct domdef *d, struct err *e)
{
	if (!d->uuid.set)
		xuuid_random(&d->uuid);
	dflt_enum(&d->clock.offset, DOM_OFFSET_UTC);
	dflt_enum(&d->on_poweroff, DOM_ACTION_DESTROY);
	dflt_enum(&d->on_reboot, DOM_ACTION_RESTART);
	dflt_enum(&d->on_crash, DOM_ACTION_DESTROY);
	return dflt(&d->emulator, PANAL_EMULATOR) < 0 ? no_memory(e) : 0;
}

/* ---- disks ---- */

int domdef_target_index(const char *target)
{
	static const char *const prefixes[] = { "vd", "sd", "hd", "xvd", "fd", "ubd" };
	int index = 0;

	for (size_t n = 0; n < COUNT_OF(prefixes); n++) {
		size_t len = strlen(prefixes[n]);

		if (strncmp(target, prefixes[n], len) || !target[len])
			continue;
		target += len;
		for (unsigned digits = 0; *target >= 'a' && *target <= 'z' && digits < 4; target++, digits++)
			index = (index + (digits > 0)) * 26 + (*target - 'a');
		return *target ? -1 : index;
	}
	return -1;
}

static int bus_of_target(const char *target)
{
	static const struct {
		const char *prefix;
		int bus;
	} table[] = { { "vd", DOM_BUS_VIRTIO }, { "sd", DOM_BUS_SATA }, { "hd", DOM_BUS_IDE }, { "fd", DOM_BUS_FDC },
		      { "xvd", DOM_BUS_XEN } };

	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (!strncmp(target, table[n].prefix, strlen(table[n].prefix)))
			return table[n].bus;
	return DOM_BUS_VIRTIO;
}

static int disk_source_type(const struct domdef_source *s)
{
	return s->volume ? DOM_SOURCE_VOLUME : s->protocol ? DOM_SOURCE_NETWORK : s->dev ? DOM_SOURCE_BLOCK :
	       DOM_SOURCE_FILE;
}

static int fill_disk(struct domdef *d, struct domdef_disk *k, struct err *e)
{
	int ret;

	dflt_enum(&k->type, disk_source_type(&k->source));
	dflt_enum(&k->device, DOM_DISK_DISK);
	dflt_enum(&k->bus, bus_of_target(k->target));
	if (domdef_target_index(k->target) < 0)
		return err_set(e, -EBADMSG, "Invalid harddisk device name: %.40s", k->target);
	if (k->device == DOM_DISK_DISK && k->type == DOM_SOURCE_FILE && !k->source.file)
		return err_set(e, -EBADMSG, "disk '%s' has no source; only a CD-ROM or a floppy may be empty",
			       k->target);
	if (k->device == DOM_DISK_CDROM)
		k->readonly = true;
	ret = dflt(&k->driver, "qemu"); /* the name is part of the document's format */
	if (ret == 0)
		ret = dflt(&k->format, "raw");
	for (unsigned n = 0; ret == 0 && n < d->disks.n; n++)
		if (d->disks.v[n] != k && !strcmp(d->disks.v[n]->target, k->target))
			return err_set(e, -EBADMSG, "target '%s' duplicated for disk sources '%s' and '%s'", k->target,
			               d->disks.v[n]->source.file ? d->disks.v[n]->source.file : "",
			               k->source.file ? k->source.file : "");
	return ret < 0 ? no_memory(e) : 0;
}

/* ---- networks ---- */

int domdef_random_mac(char **mac)
{
	uint8_t b[3];

	while (getrandom(b, sizeof(b), 0) != sizeof(b))
		;
	return xstr_printf(mac, "52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]);
}

static const char *missing_source(const struct domdef_interface *i)
{
	switch (i->type) {
	case DOM_NET_NETWORK:
		return i->network ? NULL : "No <source> 'network' attribute specified with <interface type='network'/>";
	case DOM_NET_BRIDGE:
		return i->bridge ? NULL : "No <source> 'bridge' attribute specified with <interface type='bridge'/>";
	case DOM_NET_DIRECT:
		return i->source_dev ? NULL : "No <source> 'dev' attribute specified with <interface type='direct'/>";
	default:
		return NULL;
	}
}

static int fill_interface(struct domdef *d, struct domdef_interface *i, struct err *e)
{
	const char *missing = missing_source(i);
	int ret = 0;

	if (missing)
		return err_set(e, -EBADMSG, "%s", missing);
	if (!i->mac)
		ret = domdef_random_mac(&i->mac);
	if (ret == 0 && i->mac && strchr("13579bdf", i->mac[1]))
		return err_set(e, -EBADMSG, "expected unicast mac address, found multicast '%s'", i->mac);
	if (ret == 0 && i->type != DOM_NET_HOSTDEV)
		ret = dflt(&i->model, "virtio");
	if (ret == 0 && i->type == DOM_NET_DIRECT)
		ret = dflt(&i->mode, "vepa");
	return ret < 0 ? no_memory(e) : 0;
}

/* ---- serial ports and consoles ---- */

static struct domdef_chr *add_chr(void *list, int type, const char *target_type)
{
	struct domdef_chr *c = xlist_new(list, sizeof(*c));

	if (!c)
		return NULL;
	c->type = type;
	c->target_port = xnum(0);
	return xstr_set(&c->target_type, target_type) == 0 ? c : NULL;
}

static int copy_source(struct domdef_chr *to, const struct domdef_chr *from)
{
	int ret = xstr_set(&to->path, from->path);

	if (ret == 0)
		ret = xstr_set(&to->mode, from->mode);
	if (ret == 0)
		ret = xstr_set(&to->host, from->host);
	if (ret == 0)
		ret = xstr_set(&to->service, from->service);
	if (ret == 0)
		ret = xstr_set(&to->protocol, from->protocol);
	if (ret == 0)
		ret = xstr_set(&to->append, from->append);
	if (ret == 0)
		ret = xstr_set(&to->tty, from->type == DOM_CHR_PTY ? from->path : from->tty);
	return ret;
}

static bool serial_console(const struct domdef_chr *c)
{
	return !c->target_type || !strcmp(c->target_type, "serial");
}

/* The first console and the first serial port are the same thing under two names, a custom of libvirt's. */
static int mirror_console(struct domdef *d)
{
	struct domdef_chr *made;

	if (d->consoles.n && serial_console(d->consoles.v[0]) && !d->serials.n) {
		made = add_chr(&d->serials, d->consoles.v[0]->type, "isa-serial");
		return made ? copy_source(made, d->consoles.v[0]) : -ENOMEM;
	}
	if (d->serials.n && !d->consoles.n) {
		made = add_chr(&d->consoles, d->serials.v[0]->type, "serial");
		return made ? copy_source(made, d->serials.v[0]) : -ENOMEM;
	}
	/* An edit changes one of them; the serial port has the last word, as with libvirt. */
	if (d->serials.n && serial_console(d->consoles.v[0])) {
		d->consoles.v[0]->type = d->serials.v[0]->type;
		return copy_source(d->consoles.v[0], d->serials.v[0]);
	}
	return 0;
}

static int number_ports(struct xlist *l, const char *type, const char *model)
{
	uint64_t next = 0;
	int ret = 0;

	for (unsigned n = 0; n < l->n && ret == 0; n++) {
		struct domdef_chr *c = l->v[n];

		dflt_num(&c->target_port, next);
		if (c->target_port.v >= next)
			next = c->target_port.v + 1;
		if (type)
			ret = dflt(&c->target_type, type);
		if (ret == 0 && model && same(c->target_type, type))
			ret = dflt(&c->target_model, model);
	}
	return ret;
}

static int fill_chrs(struct domdef *d, struct err *e)
{
	int ret = mirror_console(d);

	if (ret == 0)
		ret = number_ports((struct xlist *)&d->serials, "isa-serial", "isa-serial");
	if (ret == 0)
		ret = number_ports((struct xlist *)&d->parallels, NULL, NULL);
	if (ret == 0)
		ret = number_ports((struct xlist *)&d->consoles, "serial", NULL);
	for (unsigned n = 0; ret == 0 && n < d->channels.n; n++) {
		if (!d->channels.v[n]->target_type)
			return err_set(e, -EBADMSG, "target type must be specified for channel device");
		if (d->channels.v[n]->type == DOM_CHR_SPICEVMC && same(d->channels.v[n]->target_type, "virtio"))
			ret = dflt(&d->channels.v[n]->target_name, "com.redhat.spice.0");
	}
	return ret < 0 ? no_memory(e) : 0;
}

/* ---- displays ---- */

static int add_input(struct domdef *d, const char *type)
{
	struct domdef_input *i;
	int ret;

	for (unsigned n = 0; n < d->inputs.n; n++)
		if (same(d->inputs.v[n]->type, type) && same(d->inputs.v[n]->bus, "ps2"))
			return 0;
	i = xlist_new(&d->inputs, sizeof(*i));
	ret = i ? xstr_set(&i->type, type) : -ENOMEM;
	return ret == 0 ? xstr_set(&i->bus, "ps2") : ret;
}

static int fill_listen(struct domdef_graphics *g)
{
	struct domdef_listen *l;
	int ret;

	if (g->type != DOM_GRAPHICS_VNC && g->type != DOM_GRAPHICS_SPICE && g->type != DOM_GRAPHICS_RDP)
		return 0;
	if (!g->listens.n && g->socket)
		return 0;
	if (!g->listens.n) {
		l = xlist_new(&g->listens, sizeof(*l));
		ret = l ? xstr_set(&l->type, "address") : -ENOMEM;
		if (ret == 0)
			ret = xstr_set(&l->address, g->listen ? g->listen : "127.0.0.1");
		if (ret < 0)
			return ret;
	}
	l = g->listens.v[0];
	if (same(l->type, "address") && !l->address && (ret = xstr_set(&l->address, "127.0.0.1")) < 0)
		return ret;
	return l->address ? xstr_set(&g->listen, l->address) : 0;
}

static int fill_graphics(struct domdef *d, struct domdef_graphics *g)
{
	bool port = g->type == DOM_GRAPHICS_VNC || g->type == DOM_GRAPHICS_SPICE || g->type == DOM_GRAPHICS_RDP;
	bool free_port = !g->port || same(g->port, "-1") || same(g->port, "0");
	int ret = fill_listen(g);

	if (ret == 0 && port && free_port && !(g->type == DOM_GRAPHICS_SPICE && g->tls_port)) {
		if (!g->autoport || same(g->autoport, "yes"))
			ret = xstr_set(&g->autoport, "yes");
		if (ret == 0 && g->type == DOM_GRAPHICS_VNC)
			ret = xstr_set(&g->port, "-1");
	} else if (ret == 0 && g->type == DOM_GRAPHICS_VNC) {
		ret = dflt(&g->autoport, "no");
	}
	return ret;
}

static int add_other(void *list, const char *id, const char *type)
{
	struct domdef_other *o = xlist_new(list, sizeof(*o));
	int ret = o ? xstr_set(&o->id, id) : -ENOMEM;

	return ret == 0 ? xstr_set(&o->type, type) : ret;
}

static int fill_displays(struct domdef *d, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < d->inputs.n; n++)
		ret = dflt(&d->inputs.v[n]->bus, same(d->inputs.v[n]->type, "tablet") ? "usb" :
		           same(d->inputs.v[n]->type, "passthrough") || same(d->inputs.v[n]->type, "evdev") ?
		           NULL : "ps2");
	for (unsigned n = 0; ret == 0 && n < d->graphics.n; n++)
		ret = fill_graphics(d, d->graphics.v[n]);
	if (ret == 0 && d->graphics.n)
		ret = add_input(d, "mouse");
	if (ret == 0 && d->graphics.n)
		ret = add_input(d, "keyboard");
	if (ret == 0 && (d->graphics.n || d->sounds.n) && !d->audios.n)
		ret = add_other(&d->audios, "1", "none");
	for (unsigned n = 0; ret == 0 && n < d->videos.n; n++) {
		ret = dflt(&d->videos.v[n]->model, "vga");
		if (!same(d->videos.v[n]->model, "none"))
			dflt_num(&d->videos.v[n]->heads, 1);
	}
	if (ret == 0 && d->videos.n && !d->videos.v[0]->primary && !same(d->videos.v[0]->model, "none"))
		ret = xstr_set(&d->videos.v[0]->primary, "yes");
	return ret < 0 ? no_memory(e) : 0;
}

/* ---- small devices ---- */

static int fill_balloon(struct domdef *d)
{
	struct domdef_memballoon *b;

	if (d->memballoons.n)
		return 0;
	b = xlist_new(&d->memballoons, sizeof(*b));
	return b ? xstr_set(&b->model, "virtio") : -ENOMEM;
}

static int fill_small(struct domdef *d, struct err *e)
{
	int ret = fill_balloon(d);

	if (d->memballoons.n > 1)
		return err_set(e, -EBADMSG, "only a single memory balloon device is supported");
	if (d->vsocks.n > 1)
		return err_set(e, -EBADMSG, "only a single vsock device is supported");
	for (unsigned n = 0; ret == 0 && n < d->vsocks.n; n++) {
		ret = dflt(&d->vsocks.v[n]->model, "virtio");
		if (ret == 0 && !d->vsocks.v[n]->cid.set)
			ret = dflt(&d->vsocks.v[n]->cid_auto, "yes");
		else if (ret == 0 && d->vsocks.v[n]->cid.v < 3)
			return err_set(e, -EBADMSG, "guest CIDs must be >= 3");
	}
	for (unsigned n = 0; ret == 0 && n < d->rngs.n; n++)
		if (same(d->rngs.v[n]->backend_model, "random"))
			ret = dflt(&d->rngs.v[n]->backend_path, "/dev/urandom");
	for (unsigned n = 0; ret == 0 && n < d->watchdogs.n; n++)
		ret = dflt(&d->watchdogs.v[n]->action, "reset");
	for (unsigned n = 0; ret == 0 && n < d->panics.n; n++)
		ret = dflt(&d->panics.v[n]->model, "isa");
	for (unsigned n = 0; ret == 0 && n < d->filesystems.n; n++) {
		ret = dflt(&d->filesystems.v[n]->type, "mount");
		if (ret == 0 && !same(d->filesystems.v[n]->driver, "virtiofs"))
			ret = dflt(&d->filesystems.v[n]->accessmode, "passthrough");
	}
	return ret < 0 ? no_memory(e) : 0;
}

static int fill_tpms(struct domdef *d, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < d->tpms.n; n++) {
		if (!d->tpms.v[n]->backend_type)
			return err_set(e, -EBADMSG, "missing TPM device backend");
		ret = dflt(&d->tpms.v[n]->model, "tpm-tis");
		if (ret == 0 && same(d->tpms.v[n]->backend_type, "emulator"))
			ret = dflt(&d->tpms.v[n]->backend_version, "2.0");
	}
	return ret < 0 ? no_memory(e) : 0;
}

static int fill_devices(struct domdef *d, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < d->disks.n; n++)
		ret = fill_disk(d, d->disks.v[n], e);
	for (unsigned n = 0; ret == 0 && n < d->interfaces.n; n++)
		ret = fill_interface(d, d->interfaces.v[n], e);
	if (ret == 0)
		ret = fill_chrs(d, e);
	if (ret == 0)
		ret = fill_displays(d, e);
	if (ret == 0)
		ret = fill_small(d, e);
	return ret == 0 ? fill_tpms(d, e) : ret;
}

int domdef_fill(struct domdef *d, struct err *e)
{
	static int (*const steps[])(struct domdef *d, struct err *e) = {
		fill_machine, fill_memory, fill_vcpus, fill_cpu, fill_os, fill_devices, domdef_assign_addresses,
	};
	int ret = 0;

	for (size_t n = 0; n < COUNT_OF(steps) && ret == 0; n++)
		ret = steps[n](d, e);
	return ret;
}
