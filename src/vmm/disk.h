/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --disk PATH[,format=raw][,readonly][,cache=...]: an image by its option text. */
#ifndef PANAL_VMM_DISK_H
#define PANAL_VMM_DISK_H

#include "base/err.h"

struct blk;
struct loop;

int disk_open(struct blk **out, const char *text, struct loop *loop, struct err *e) ATTR_MUST_USE;

#endif
