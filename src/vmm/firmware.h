/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which file a firmware's name stands for. */
#ifndef PANAL_VMM_FIRMWARE_H
#define PANAL_VMM_FIRMWARE_H

#include "base/err.h"

/* name: "bios", a path, or NULL for bios. *path is constant or name itself. -ENOENT: not installed; the message names
 * the package. */
int firmware_find(const char **path, const char *name, struct err *e) ATTR_MUST_USE;

#endif
