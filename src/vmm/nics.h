/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the text of --net to back ends, cards and their option ROMs. */
#ifndef PANAL_VMM_NICS_H
#define PANAL_VMM_NICS_H

#include "base/err.h"

struct board_config;
struct loop;
struct media;
struct options;

/* Fills net, nic, nic_rom, mac and their count of bc, and tells media of them. helper_dir: where panal-net-user lies.
 * What was opened before an error stays in bc. */
int nics_open(struct board_config *bc, const struct options *o, struct loop *loop, const char *helper_dir,
	      struct media *media, struct err *e) ATTR_MUST_USE;
/* Frees the option ROMs; the machine is gone. */
void nics_free(struct board_config *bc);

#endif
