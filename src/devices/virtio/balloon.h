/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio memory balloon (virtio 1.2, 5.5): inflate, deflate, statistics, deflate on lack of memory, reporting of free
 * pages. */
#ifndef PANAL_DEVICES_VIRTIO_BALLOON_H
#define PANAL_DEVICES_VIRTIO_BALLOON_H

#include "devices/virtio/virtio.h"

struct virtio_balloon;

struct virtio_balloon_config {
	struct virtio_place place;
	bool no_reporting; /* the guest does not tell of free pages */
};

/* Tags of the guest's statistics (5.5.6.3), in order. */
enum virtio_balloon_tag {
	BALLOON_SWAP_IN,
	BALLOON_SWAP_OUT,
	BALLOON_MAJOR_FAULTS,
	BALLOON_MINOR_FAULTS,
	BALLOON_FREE,
	BALLOON_TOTAL,
	BALLOON_AVAILABLE,
	BALLOON_DISK_CACHES,
	BALLOON_HUGE_PAGES_MADE,
	BALLOON_HUGE_PAGES_FAILED,
	BALLOON_TAGS,
};

struct virtio_balloon_info {
	uint64_t target, actual;       /* bytes in the balloon */
	uint64_t reported;             /* bytes given back by free page reporting since the start */
	uint64_t stat[BALLOON_TAGS];   /* UINT64_MAX: the guest did not tell */
	uint64_t told_s;               /* when it last told, seconds of the host's real time; 0: not yet */
};

/* Owned by the machine. out may be NULL. */
int virtio_balloon_create(struct vm *vm, const struct virtio_balloon_config *cfg, struct virtio_balloon **out,
                          struct err *e) ATTR_MUST_USE;
/* Asks the guest to put so many bytes into the balloon. Any thread. */
void virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes);
/* What is known, statistics as of the guest's last answer; asks the guest for newer ones. Any thread. */
void virtio_balloon_query(struct virtio_balloon *b, struct virtio_balloon_info *info);

#endif
