/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol of panal-vmm: JSON objects with QMP's framing on a unix socket. A client gets a greeting, says
 * qmp_capabilities, then sends {"execute": NAME, "arguments": {...}, "id": ...} and reads return, error and event
 * objects, one a line. Commands and events that QMP has keep its names and shapes.
 *
 * A command that changes something may have the argument "tag" beside its own: query-tag says which was the last that
 * was carried out. So a client that lost its connection, or is another process by now, learns how its command ended.
 *
 * Clients are hostile input: a message is at most CONTROL_MESSAGE_MAX bytes, nested at most CONTROL_DEPTH_MAX deep, and
 * a client that does not read its answers is dropped at CONTROL_OUTPUT_MAX. All of it runs on the main loop.
 */
#ifndef PANAL_CONTROL_CONTROL_H
#define PANAL_CONTROL_CONTROL_H

#include "base/err.h"
#include "core/vm.h"

struct blk;
struct control;
struct display;
struct input;
struct loop;
struct net;

enum {
	CONTROL_CLIENTS_MAX = 16,
	CONTROL_MESSAGE_MAX = 64 << 10,
	CONTROL_OUTPUT_MAX = 1 << 20,
	CONTROL_DEPTH_MAX = 32,
};

enum { CONTROL_ID_MAX = 32, CONTROL_TAG_MAX = 64 };

/* A disk or CD-ROM drive, and a network card, by name; borrowed for the moment. */
struct control_disk {
	const char *id;
	struct blk *blk; /* NULL: an empty drive */
	bool removable;
};
struct control_nic {
	const char *id;
	struct net *net; /* NULL: connected to nothing */
	const uint8_t *mac;
};

struct control_channel {
	const char *name;
	bool open; /* a program of the guest has it open */
};

/* What is to be in a CD-ROM drive. */
struct control_medium {
	const char *id;   /* of the drive */
	const char *name; /* of the image; NULL: nothing */
	const int *file;  /* it is open already; NULL: it is not */
	bool force;       /* against the guest's lock */
};

/* A device that is to come. */
struct control_plug {
	const char *driver;  /* "disk", "net", "usb", "rng", "balloon" */
	const char *options; /* the text of the option; NULL: none */
	const char *id;      /* NULL: one is made */
	unsigned port;       /* root port, from 1 on; 0: any */
	/* What add-fd brought under a name: the descriptor, borrowed; -1: it is no such name; -ENOENT. */
	int (*file)(void *opaque, const char *name, struct err *e);
	void *opaque;
};

/* A slot for devices that come and go. */
struct control_slot {
	unsigned port;
	const char *id; /* NULL: empty, or what is in it has no name */
	bool filled, asked;
};

enum { CONTROL_BALLOON_STATS = 10 };

struct control_balloon {
	uint64_t bytes; /* that the guest has */
	uint64_t told_s; /* when it last told the following, seconds of real time; 0: not yet */
	uint64_t stat[CONTROL_BALLOON_STATS]; /* virtio 1.2, 5.5.6.3, in the order of its tags; UINT64_MAX: not told */
};

/* A device that can be unplugged. */
struct control_device {
	const char *id;
	bool asked; /* the guest was asked to give it up */
};

/* What the commands act on. */
struct control_target {
	struct vm *vm;
	struct display *display; /* what the screens show; NULL: there are none */
	struct input *input; /* where keys and movement go; NULL: nowhere */
	void (*power_button)(void *opaque);
	void (*quit)(void *opaque);
	/* The guest's memory in bytes; false when the machine has no balloon. */
	bool (*balloon_set)(void *opaque, uint64_t bytes);
	bool (*balloon_get)(void *opaque, struct control_balloon *out);
	/* How often the guest is asked for its figures; 0: only when somebody wants to know. */
	bool (*balloon_period)(void *opaque, unsigned seconds);
	/* The n-th; false: there are fewer. NULL: there are none. */
	bool (*disk)(void *opaque, unsigned n, struct control_disk *out);
	bool (*channel)(void *opaque, unsigned n, struct control_channel *out);
	bool (*nic)(void *opaque, unsigned n, struct control_nic *out);
	/* When the image's file is written beyond that offset (0: none), an event says so. -ENODEV: there is no image
	 * of that disk. NULL: not possible. */
	int (*disk_threshold)(void *opaque, const char *id, uint64_t offset, struct err *e);
	/* -EBUSY: the guest has locked the tray. NULL: not possible. */
	int (*change_medium)(void *opaque, const struct control_medium *want, struct err *e);
	/* NULL: not possible. unplug: -ENODEV: there is none of that name. */
	int (*plug)(void *opaque, const struct control_plug *want, char id[CONTROL_ID_MAX], struct err *e);
	int (*unplug)(void *opaque, const char *id, bool force, struct err *e);
	bool (*slot)(void *opaque, unsigned n, struct control_slot *out);
	/* The n-th; false: there are fewer. NULL: there are none. */
	bool (*device)(void *opaque, unsigned n, struct control_device *out);
	/* The VM generation ID in the order of its text; false: there is none. A new one: "auto" or a UUID's text.
	 * NULL: neither. */
	bool (*generation)(void *opaque, uint8_t id[16]);
	int (*generation_set)(void *opaque, const char *text, uint8_t id[16], struct err *e);
	void *opaque;
};

/* Listens on path (a new socket, mode 0600; removed by control_destroy), or takes over the listening socket N of
 * "fd:N". Errors name the path and the remedy. */
int control_create(struct control **out, const char *path, struct loop *loop, const struct control_target *target,
                   struct err *e) ATTR_MUST_USE;
/* Sends what clients have not read yet as far as that goes without waiting. NULL is allowed. */
void control_destroy(struct control *c);

/* Tells every client. For vm->on_event. */
void control_event(struct control *c, enum vm_event ev, enum vm_request why);
/* The tray of a CD-ROM drive: DEVICE_TRAY_MOVED. */
void control_event_tray(struct control *c, const char *id, bool open);
/* A program of the guest opened a channel or closed it: VSERPORT_CHANGE. */
void control_event_channel(struct control *c, const char *name, bool open);
/* DEVICE_DELETED, DEVICE_UNPLUG_GUEST_ERROR. */
void control_event_device(struct control *c, const char *name, const char *id);
/* A disk's request failed: BLOCK_IO_ERROR. action: "report", "stop", "ignore". */
void control_event_disk(struct control *c, const char *id, bool write, int error, const char *action);
/* BLOCK_WRITE_THRESHOLD */
void control_event_threshold(struct control *c, const char *id, uint64_t threshold, uint64_t by);
/* The guest set its clock, and is so many seconds ahead of UTC: RTC_CHANGE. It has so much memory: BALLOON_CHANGE. */
void control_event_clock(struct control *c, int64_t offset);
void control_event_balloon(struct control *c, uint64_t bytes);
/* The POWERDOWN event of system_powerdown. */
void control_event_named(struct control *c, const char *name);

#endif
