/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/hotplug.h"

#include "base/fd.h"
#include "block/block.h"
#include "core/loop.h"
#include "core/vm.h"
#include "vmm/disk.h"
#include "vmm/nics.h"
#include "vmm/usb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t SECOND_NS = INT64_C(1000000000);

static struct hotplug_item *find(struct hotplug *h, const char *id)
{
	for (unsigned n = 0; n < HOTPLUG_MAX; n++)
		if (h->item[n].id[0] && !strcmp(h->item[n].id, id))
			return &h->item[n];
	return NULL;
}

static struct hotplug_item *behind(struct hotplug *h, unsigned port)
{
	for (unsigned n = 0; n < HOTPLUG_MAX; n++)
		if (h->item[n].id[0] && h->item[n].port == port)
			return &h->item[n];
	return NULL;
}

static struct hotplug_item *free_item(struct hotplug *h)
{
	unsigned n = 0;

	while (n < HOTPLUG_MAX && h->item[n].id[0])
		n++;
	return n < HOTPLUG_MAX ? &h->item[n] : NULL;
}

/* ---- a device goes ---- */

static void gone(struct hotplug *h, struct hotplug_item *it)
{
	char id[CONTROL_ID_MAX];

	strcpy(id, it->id);
	media_let_go(h->media, id);
	board_unplug(h->board, it->dev, it->port);
	media_remove(h->media, id);
	free(it->rom);
	*it = (struct hotplug_item){ 0 };
	if (*h->control)
		control_event_device(*h->control, "DEVICE_DELETED", id);
}

/* The guest's answers, which vCPUs left here. */
static void on_answers(void *opaque, int fd, unsigned events)
{
	struct hotplug *h = opaque;
	unsigned ejected, refused;

	fd_event_clear(fd);
	refused = atomic_exchange(&h->refused, 0);
	ejected = atomic_exchange(&h->ejected, 0);
	for (unsigned port = 1; port <= BOARD_PORT_MAX; port++) {
		struct hotplug_item *it = behind(h, port);

		if (!it || !it->asked_ns)
			continue;
		if (ejected >> port & 1) {
			gone(h, it);
		} else if (refused >> port & 1) {
			it->asked_ns = 0;
			if (*h->control)
				control_event_device(*h->control, "DEVICE_UNPLUG_GUEST_ERROR", it->id);
		}
	}
}

static void on_ejected(void *opaque, unsigned port)
{
	struct hotplug *h = opaque;

	atomic_fetch_or(&h->ejected, 1u << port);
	fd_event_signal(h->event_fd);
}

static void on_refused(void *opaque, unsigned port)
{
	struct hotplug *h = opaque;

	atomic_fetch_or(&h->refused, 1u << port);
	fd_event_signal(h->event_fd);
}

void hotplug_reset(struct hotplug *h)
{
	for (unsigned n = 0; n < HOTPLUG_MAX; n++)
		if (h->item[n].asked_ns)
			on_ejected(h, h->item[n].port);
}

/* A second press of the button would call the first one off: not before the guest has had its time. */
static int ask(struct hotplug *h, struct hotplug_item *it, struct err *e)
{
	int64_t now = clock_now(timerq_clock(loop_timers(h->vm->loop)));
	int ret;

	if (it->asked_ns && now - it->asked_ns < HOTPLUG_ASK_AGAIN_SECONDS * SECOND_NS)
		return err_set(e, -EBUSY, "Device %s is already in the process of unplug", it->id);
	ret = board_unplug_ask(h->board, it->port, e);
	if (ret == 0)
		it->asked_ns = now;
	return ret;
}

int hotplug_remove(struct hotplug *h, const char *id, bool force, struct err *e)
{
	struct hotplug_item *it = find(h, id);
	struct control_disk disk;
	struct control_nic nic;

	if (it && it->port && !force)
		return ask(h, it, e);
	if (it) {
		gone(h, it);
		return 0;
	}
	for (unsigned n = 0; media_disk_at(h->media, n, &disk); n++)
		if (!strcmp(disk.id, id))
			return err_set(e, -ENOTSUP, "'%s' cannot be unplugged: it is in no slot of a root port", id);
	for (unsigned n = 0; media_nic_at(h->media, n, &nic); n++)
		if (!strcmp(nic.id, id))
			return err_set(e, -ENOTSUP, "'%s' cannot be unplugged: it is in no slot of a root port", id);
	for (unsigned n = 0; n < COUNT_OF(h->fixed); n++)
		if (h->fixed[n][0] && !strcmp(h->fixed[n], id))
			return err_set(e, -ENOTSUP, "'%s' cannot be unplugged: it is in no slot of a root port", id);
	return err_set(e, -ENODEV, "Device '%.60s' not found", id);
}

/* ---- a device comes ---- */

struct coming {
	struct hotplug *h;
	const struct control_plug *want;
	struct board_plug plug;
	char *text; /* the option */
	char id[CONTROL_ID_MAX];
	uint8_t *rom;
};

static int named(void *opaque, const char *name, struct err *e)
{
	const struct control_plug *want = opaque;

	return want->file(want->opaque, name, e);
}

static int add_disk(struct coming *c, struct err *e)
{
	const struct disk_files files = { .named = named, .opaque = (void *)(uintptr_t)c->want };
	struct media *m = c->h->media;
	unsigned n = media_free_disk(m);
	struct disk d = { 0 };
	int ret = n == BOARD_DISK_MAX ? err_set(e, -ENOSPC, "more than %d disks are not possible", BOARD_DISK_MAX) :
					disk_open(&d, c->text, c->h->vm->loop, &files, e);

	if (ret == -EACCES || ret == -EPERM)
		err_wrap(e, "a machine in its sandbox opens no file: hand it over with add-fd, as /dev/fdset/N");
	if (ret < 0)
		return ret;
	if (d.cdrom || d.bus == BOARD_FLOPPY)
		ret = err_set(e, -ENOTSUP, "a %s drive cannot come while the machine runs",
			      d.cdrom ? "CD-ROM" : "floppy");
	if (ret == 0)
		ret = media_add_disk(m, n, d.id, d.blk, false, e);
	if (ret < 0) {
		blk_close(d.blk);
		return ret;
	}
	media_on_error(m, n, d.read_error, d.write_error);
	strcpy(c->id, m->disk[n].id);
	c->plug.kind = BOARD_PLUG_DISK;
	c->plug.blk = d.blk;
	c->plug.bus = d.bus;
	memcpy(c->plug.serial, d.serial, sizeof(d.serial));
	c->plug.usb_port = d.port;
	return 0;
}

/* "...=/dev/fdset/N..." becomes "...=fd:M...", where M is a copy that the back end takes over. */
static int name_file(struct coming *c, int *fd, struct err *e)
{
	char *at = strstr(c->text, "=/dev/fdset/"), name[40], *text = NULL;
	size_t len;

	*fd = -1;
	if (!at)
		return 0;
	len = strcspn(at + 1, ",");
	snprintf(name, sizeof(name), "%.*s", (int)len, at + 1);
	*fd = c->want->file(c->want->opaque, name, e);
	if (*fd < 0)
		return *fd == -1 ? err_set(e, -ENOENT, "%s: there is no such descriptor", name) : *fd;
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	if (*fd < 0)
		return err_errno(e, errno, "cannot copy a descriptor");
	if (asprintf(&text, "%.*s=fd:%d%s", (int)(at - c->text), c->text, *fd, at + 1 + len) < 0) {
		fd_close(fd);
		return err_set(e, -ENOMEM, "out of memory");
	}
	free(c->text);
	c->text = text;
	return 0;
}

static int add_nic(struct coming *c, struct err *e)
{
	struct hotplug *h = c->h;
	unsigned n = media_free_nic(h->media);
	struct nic_option nic = { 0 };
	int fd, ret = n == BOARD_NET_MAX ? err_set(e, -ENOSPC, "more than %d cards are not possible", BOARD_NET_MAX) :
					   name_file(c, &fd, e);

	if (ret < 0)
		return ret;
	ret = nic_open(&nic, c->text, n, h->firmware, h->vm->loop, &h->helper, e);
	if (ret < 0) {
		fd_close(&fd);
		return ret;
	}
	if (!nic.net)
		ret = err_set(e, -EINVAL, "a card that is connected to nothing cannot come; user and tap are possible");
	if (ret == 0)
		ret = media_add_nic(h->media, n, nic.id, nic.net, nic.mac, e);
	if (ret < 0) {
		net_close(nic.net);
		free(nic.rom);
		return ret;
	}
	strcpy(c->id, h->media->nic[n].id);
	c->rom = nic.rom;
	c->plug.kind = BOARD_PLUG_NIC;
	c->plug.net = nic.net;
	c->plug.nic = nic.model;
	c->plug.rom = nic.rom;
	c->plug.rom_size = nic.rom_size;
	memcpy(c->plug.mac, nic.mac, sizeof(nic.mac));
	return 0;
}

static int add_usb(struct coming *c, struct err *e)
{
	struct usb_options o = { 0 };
	int ret = usb_add(&o, c->text, e);

	if (ret == 0 && !o.count)
		ret = err_set(e, -ENOTSUP, "a USB controller cannot come while the machine runs");
	c->plug.kind = BOARD_PLUG_USB;
	c->plug.usb = o.dev[0].kind;
	c->plug.usb_port = o.dev[0].port;
	return ret;
}

static int add_rng(struct coming *c, struct err *e)
{
	c->plug.kind = BOARD_PLUG_RNG;
	return 0;
}

static int add_balloon(struct coming *c, struct err *e)
{
	c->plug.kind = BOARD_PLUG_BALLOON;
	return 0;
}

static const struct driver {
	const char *name;
	int (*add)(struct coming *c, struct err *e);
	bool has_id; /* its text has id= */
} drivers[] = {
	{ "disk", add_disk, true },	 { "net", add_nic, true },	{ "usb", add_usb, false },
	{ "rng", add_rng, false },	 { "balloon", add_balloon, false },
};

static const struct driver *find_driver(const char *name, struct err *e)
{
	for (size_t n = 0; n < COUNT_OF(drivers); n++)
		if (!strcmp(drivers[n].name, name))
			return &drivers[n];
	err_set(e, -EINVAL, "'%.40s' is not a valid device model name; disk, net, usb, rng and balloon are", name);
	return NULL;
}

/* The text that the option's own parser reads. */
static int make_text(struct coming *c, const struct driver *d, struct err *e)
{
	const char *options = c->want->options ? c->want->options : "";
	bool id = d->has_id && c->want->id;

	if (c->want->id && strchr(c->want->id, ','))
		return err_set(e, -EINVAL, "'%.40s' is no name for a device", c->want->id);
	if (asprintf(&c->text, "%s%s%s", options, id ? ",id=" : "", id ? c->want->id : "") < 0) {
		c->text = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/* Of a device whose option has no id=. */
static int choose_id(struct coming *c, const struct driver *d, struct err *e)
{
	struct control_disk disk;
	struct control_nic nic;
	const char *id = c->want->id;

	if (d->has_id)
		return 0;
	for (unsigned n = 0; !id && !c->id[0] && n <= HOTPLUG_MAX; n++) {
		snprintf(c->id, sizeof(c->id), "%s%u", d->name, n);
		if (find(c->h, c->id))
			c->id[0] = 0;
	}
	if (!id)
		return 0;
	if (device_name(c->id, id, e) < 0)
		return -EINVAL;
	for (unsigned n = 0; media_disk_at(c->h->media, n, &disk); n++)
		if (!strcmp(disk.id, id))
			return err_set(e, -EEXIST, "Duplicate device ID '%s'", id);
	for (unsigned n = 0; media_nic_at(c->h->media, n, &nic); n++)
		if (!strcmp(nic.id, id))
			return err_set(e, -EEXIST, "Duplicate device ID '%s'", id);
	return find(c->h, id) ? err_set(e, -EEXIST, "Duplicate device ID '%s'", id) : 0;
}

/* The back ends are open and named: into the slot with it. */
static int put_in(struct coming *c, struct hotplug_item *it, struct err *e)
{
	int ret;

	c->plug.port = c->want->port;
	c->plug.id = c->id;
	ret = board_plug(c->h->board, &c->plug, &it->dev, e);
	if (ret < 0) {
		blk_close(c->plug.blk);
		net_close(c->plug.net);
		media_remove(c->h->media, c->id);
		free(c->rom);
		return ret;
	}
	strcpy(it->id, c->id);
	it->port = c->plug.port;
	it->rom = c->rom;
	return 0;
}

int hotplug_add(struct hotplug *h, const struct control_plug *want, char id[CONTROL_ID_MAX], struct err *e)
{
	struct coming c = { .h = h, .want = want };
	const struct driver *d = find_driver(want->driver, e);
	struct hotplug_item *it = free_item(h);
	int ret = d ? make_text(&c, d, e) : -EINVAL;

	if (ret == 0 && !it)
		ret = err_set(e, -ENOSPC, "more than %d devices are not possible", HOTPLUG_MAX);
	if (ret == 0)
		ret = choose_id(&c, d, e);
	if (ret == 0)
		ret = d->add(&c, e);
	if (ret == 0)
		ret = put_in(&c, it, e);
	free(c.text);
	if (ret == 0)
		strcpy(id, it->id);
	return ret;
}

bool hotplug_slot_at(const struct hotplug *h, unsigned n, struct control_slot *out)
{
	const struct hotplug_item *it = behind((struct hotplug *)(uintptr_t)h, n + 1);

	if (n >= board_plug_ports(h->board))
		return false;
	*out = (struct control_slot){ .port = n + 1, .id = it ? it->id : NULL, .asked = it && it->asked_ns,
				      .filled = board_plug_filled(h->board, n + 1) };
	return true;
}

bool hotplug_device_at(const struct hotplug *h, unsigned n, struct control_device *out)
{
	for (unsigned k = 0; k < HOTPLUG_MAX; k++)
		if (h->item[k].id[0] && n-- == 0) {
			*out = (struct control_device){ h->item[k].id, h->item[k].asked_ns };
			return true;
		}
	return false;
}

/* ---- life ---- */

/* Without a name of its own a device is called as those that come are. */
static void call_it(char out[CONTROL_ID_MAX], const char *id, const char *kind, unsigned n)
{
	if (*id)
		snprintf(out, CONTROL_ID_MAX, "%s", id);
	else
		snprintf(out, CONTROL_ID_MAX, "%s%u", kind, n);
}

static void take_seat(struct hotplug *h, const struct board_seat *s, const char *id, const char *kind, unsigned n)
{
	struct hotplug_item *it = s->dev ? free_item(h) : NULL;

	if (!it)
		return;
	call_it(it->id, id, kind, n);
	it->dev = s->dev;
	it->port = s->port;
}

/* Devices that were there from the start, in places that can be emptied. */
static void take_seats(struct hotplug *h, const struct board_config *cfg)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX + BOARD_NET_MAX; n++) {
		bool disk = n < BOARD_DISK_MAX;
		const struct board_seat *s = disk ? &cfg->disk_place[n] : &cfg->net_place[n - BOARD_DISK_MAX];

		take_seat(h, s, disk ? h->media->disk[n].id : h->media->nic[n - BOARD_DISK_MAX].id, "", n);
	}
	take_seat(h, &cfg->rng_place, h->names->rng, "rng", 0);
	if (cfg->rng && !cfg->rng_place.dev)
		call_it(h->fixed[0], h->names->rng, "rng", 0);
	take_seat(h, &cfg->balloon_place, h->names->balloon, "balloon", 0);
	if (cfg->balloon && !cfg->balloon_place.dev)
		call_it(h->fixed[1], h->names->balloon, "balloon", 0);
	for (unsigned n = 0; n < cfg->usb_count; n++)
		take_seat(h, &cfg->usb_place[n], h->names->usb[n], "usb", n);
}

int hotplug_start(struct hotplug *h, const struct board_config *cfg, struct err *e)
{
	const struct board_plug_ops ops = { .ejected = on_ejected, .refused = on_refused, .opaque = h };

	h->event_fd = fd_event(e);
	if (h->event_fd < 0)
		return h->event_fd;
	take_seats(h, cfg);
	board_plug_watch(h->board, &ops);
	return loop_fd_add(h->vm->loop, h->event_fd, LOOP_READ, on_answers, h, &h->watch, e);
}

void hotplug_stop(struct hotplug *h)
{
	if (!h->board)
		return;
	loop_fd_remove(h->watch);
	fd_close(&h->event_fd);
	for (unsigned n = 0; n < HOTPLUG_MAX; n++)
		free(h->item[n].rom);
}
