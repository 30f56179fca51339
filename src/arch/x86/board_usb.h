/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The USB controller of a board and what is plugged into it, in the order of the configuration. Boards use it. */
#ifndef PANAL_ARCH_X86_BOARD_USB_H
#define PANAL_ARCH_X86_BOARD_USB_H

#include "arch/x86/board_base.h"

/* Where nothing asks for it there is no controller. The bus is there, the virtio devices not yet: they get other slots.
 * Takes back ends out of cfg, see board.h. */
int board_usb_add(struct board *b, struct board_config *cfg, struct err *e) ATTR_MUST_USE;
/* The machine is started: another device at the controller. -ENODEV: there is none; -ENOSPC, -ENOENT: no such port. */
int board_usb_plug(struct board *b, const struct board_usb *u, struct err *e) ATTR_MUST_USE;
int board_usb_plug_disk(struct board *b, struct blk *blk, uint32_t port, struct err *e) ATTR_MUST_USE;

#endif
