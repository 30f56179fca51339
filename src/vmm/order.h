/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --boot-order and bootindex=: places in the firmware's boot order. */
#ifndef PANAL_VMM_ORDER_H
#define PANAL_VMM_ORDER_H

#include "base/err.h"

struct board_config;

enum { ORDER_INDEX_MAX = 65535 };

/* The place of what has bootindex=N; -EINVAL: larger than ORDER_INDEX_MAX. */
int order_place(unsigned *place, uint64_t index, struct err *e) ATTR_MUST_USE;
/* Gives places to the disks and cards that `text` lists ("cdrom,disk1,net") and that have none: disk, cdrom and net
 * are all of the kind, with a number from 0 on one of them. text may be NULL. Errors name the word. */
int order_apply(struct board_config *bc, const char *text, struct err *e) ATTR_MUST_USE;

#endif
