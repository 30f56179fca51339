/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that come and go while the machine is started: behind root ports, and at the USB controller. Main loop.
 *
 * What is plugged is there at once, and the guest is told. What is on PCI and goes properly is asked for first
 * (board_unplug_ask); when the guest has let go, `ejected` is called on a vCPU's thread, and board_unplug takes it
 * away.
 */
#ifndef PANAL_ARCH_X86_BOARD_PLUG_H
#define PANAL_ARCH_X86_BOARD_PLUG_H

#include "arch/x86/board.h"

struct dev;

enum board_plug_kind { BOARD_PLUG_DISK, BOARD_PLUG_NIC, BOARD_PLUG_RNG, BOARD_PLUG_BALLOON, BOARD_PLUG_USB };

struct board_plug {
	enum board_plug_kind kind;
	const char *id; /* what a virtio device is called in the machine */
	/* Root port, from 1 on, and 0 for the first that is free; then the one that was taken, 0 for USB. */
	unsigned port;
	uint32_t usb_port; /* as board_usb.port */
	/* The device's from success on, else the caller's. */
	struct blk *blk;
	struct net *net;
	char serial[BOARD_SERIAL + 1]; /* of a disk; empty: the image's */
	enum board_bus bus; /* of a disk: BOARD_VIRTIO, BOARD_NVME, BOARD_USB */
	enum board_nic nic;
	uint8_t mac[6];
	const uint8_t *rom; /* a card's option ROM, which lives as long as the card; NULL: none */
	size_t rom_size;
	enum board_usb_kind usb; /* no hub */
};

/* *out: the device. Errors: -ENOSPC (no slot or port is free), -ENODEV (no such port, no USB controller), -EBUSY (it is
 * taken), -EEXIST (the id), -ENOTSUP (such a device cannot come), the device's own. */
int board_plug(struct board *b, struct board_plug *p, struct dev **out, struct err *e) ATTR_MUST_USE;
/* Asks the guest to give up what is behind the port. -ENODEV, -ENOENT: nothing is. */
int board_unplug_ask(struct board *b, unsigned port, struct err *e) ATTR_MUST_USE;
/* Takes the device away, whether the guest has let go or not. port as board_plug gave it. */
void board_unplug(struct board *b, struct dev *d, unsigned port);
/* Root ports whose slot can take a device: those without the PCI bridges. */
unsigned board_plug_ports(const struct board *b);
bool board_plug_filled(const struct board *b, unsigned port);
/* The guest's answers, on a vCPU's thread, with PCI's lock held: ports are counted from 1. */
struct board_plug_ops {
	void (*ejected)(void *opaque, unsigned port);
	void (*refused)(void *opaque, unsigned port);
	void *opaque;
};
void board_plug_watch(struct board *b, const struct board_plug_ops *ops);

#endif
