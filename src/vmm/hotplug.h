/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that come and go while the machine runs, for the commands device_add and device_del: from the text of an
 * option to a device, who is in which slot, and what the guest says to its being taken away. Main loop.
 */
#ifndef PANAL_VMM_HOTPLUG_H
#define PANAL_VMM_HOTPLUG_H

#include "arch/x86/board_plug.h"
#include "control/control.h"
#include "net/net.h"
#include "vmm/media.h"
#include "vmm/names.h"

#include <stdatomic.h>

enum { HOTPLUG_MAX = BOARD_DISK_MAX + BOARD_NET_MAX + BOARD_USB_MAX + 2, HOTPLUG_ASK_AGAIN_SECONDS = 10 };

struct hotplug {
	struct vm *vm;
	struct board *board;
	struct media *media;
	struct control **control;
	struct net_helper helper;
	bool firmware; /* something runs option ROMs */
	const struct device_names *names; /* of devices that are there from the start */
	struct hotplug_item {
		char id[CONTROL_ID_MAX]; /* empty: nothing */
		struct dev *dev;
		unsigned port;    /* its root port, from 1 on; 0: on USB */
		uint8_t *rom;     /* its option ROM */
		int64_t asked_ns; /* when the guest was asked to give it up; 0: it was not */
	} item[HOTPLUG_MAX];
	char fixed[2][CONTROL_ID_MAX]; /* random numbers and balloon that cannot be unplugged; empty: none such */
	int event_fd; /* the guest said something */
	struct loop_fd *watch;
	_Atomic unsigned ejected, refused; /* a bit a port, from bit 1 on; set by vCPUs */
};

/* The board is made; seats of cfg are those of its devices. The rest of h but its functions' own is set. */
int hotplug_start(struct hotplug *h, const struct board_config *cfg, struct err *e) ATTR_MUST_USE;
/* After the machine is gone. One that was never started is allowed. */
void hotplug_stop(struct hotplug *h);
/* The guest was reset: what it was asked for goes now. */
void hotplug_reset(struct hotplug *h);

/* For struct control_target. */
int hotplug_add(struct hotplug *h, const struct control_plug *want, char id[CONTROL_ID_MAX], struct err *e)
	ATTR_MUST_USE;
int hotplug_remove(struct hotplug *h, const char *id, bool force, struct err *e) ATTR_MUST_USE;
bool hotplug_slot_at(const struct hotplug *h, unsigned n, struct control_slot *out);
/* What is in a place that can be emptied. */
bool hotplug_device_at(const struct hotplug *h, unsigned n, struct control_device *out);

#endif
