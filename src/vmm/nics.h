/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the text of --net to back ends, cards and their option ROMs. */
#ifndef PANAL_VMM_NICS_H
#define PANAL_VMM_NICS_H

#include "arch/x86/board.h"
#include "base/err.h"
#include "control/control.h"

struct loop;
struct net_helper;
struct media;
struct options;

/* A card, by its option text. */
struct nic_option {
	struct net *net; /* NULL: kind none */
	enum board_nic model;
	uint8_t mac[6], *rom; /* rom: malloc'ed; NULL: none */
	size_t rom_size;
	unsigned boot; /* bootindex=; 0: none */
	char id[CONTROL_ID_MAX]; /* empty: none given */
};

/* n: which card of the machine it is, for an address that stays. firmware: something runs its option ROM. After an
 * error nothing is open. */
int nic_open(struct nic_option *out, const char *spec, unsigned n, bool firmware, struct loop *loop,
	     const struct net_helper *helper, struct err *e) ATTR_MUST_USE;

/* Fills net, nic, nic_rom, mac and their count of bc, and tells media of them. helper_dir: where panal-net-user lies.
 * What was opened before an error stays in bc. */
int nics_open(struct board_config *bc, const struct options *o, struct loop *loop, const char *helper_dir,
	      struct media *media, struct err *e) ATTR_MUST_USE;
/* Frees the option ROMs; the machine is gone. */
void nics_free(struct board_config *bc);

#endif
