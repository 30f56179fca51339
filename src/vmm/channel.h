/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --channel name=NAME,socket=PATH: a named port of virtio-serial and the unix socket that it leads to. */
#ifndef PANAL_VMM_CHANNEL_H
#define PANAL_VMM_CHANNEL_H

#include "arch/x86/board.h"
#include "control/control.h"

enum { CHANNEL_NAME_MAX = 64 };

struct channels {
	struct channel {
		char name[CHANNEL_NAME_MAX];
		char path[108];
		bool open; /* a program of the guest has it open; main loop */
	} item[BOARD_CHANNEL_MAX];
	unsigned count;
	struct control **control; /* told when that changes */
};

/* Checks an option's text and keeps it. */
int channel_add(struct channels *c, const char *text, struct err *e) ATTR_MUST_USE;
/* Makes the sockets, and fills in what the board needs of channels. c stays where it is. */
int channels_open(struct channels *c, struct board_config *bc, struct loop *loop, struct control **control,
		  struct err *e) ATTR_MUST_USE;
/* For struct control_target. */
bool channel_at(const struct channels *c, unsigned n, struct control_channel *out);

#endif
