/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of machines that panal launch and clone make: qcow2 images of the user's own. */
#ifndef PANAL_CLI_DISK_H
#define PANAL_CLI_DISK_H

#include "base/err.h"

/* A new disk of so many bytes that shows a raw image until it is written to. */
int disk_overlay(const char *path, const char *raw, uint64_t size, struct err *e) ATTR_MUST_USE;
/* A copy of a file, holes and all; shared blocks where the file system can. */
int disk_copy(const char *from, const char *to, struct err *e) ATTR_MUST_USE;

#endif
