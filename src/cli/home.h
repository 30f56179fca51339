/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where panal launch keeps what it makes: images/ (what machines of a kind begin with), machines/NAME/ (a machine's own
 * disks), trash/ (deleted machines, until they are purged). /var/lib/panal for root, $XDG_DATA_HOME/panal for others;
 * PANAL_DATA names another.
 */
#ifndef PANAL_CLI_HOME_H
#define PANAL_CLI_HOME_H

#include "base/err.h"

#include <limits.h>

struct path {
	char s[PATH_MAX];
};

/* "DATA/a/b" from a printf format for what follows DATA. */
struct path home_path(const char *fmt, ...) ATTR_PRINTF(1, 2);
/* Makes a directory and those above it, for their owner alone. */
int home_make_dir(const char *path, struct err *e) ATTR_MUST_USE;
/* Removes a directory with all that is in it; what is not there is no error. */
int home_remove(const char *path, struct err *e) ATTR_MUST_USE;
/* Writes a file wholly or not at all. */
int home_write(const char *path, const char *text, struct err *e) ATTR_MUST_USE;
/* A whole text file, at most a megabyte, to be freed. NULL with e set. */
char *home_read(const char *path, struct err *e);
/* What a name of a machine may be: letters, digits, '.', '_', '-', at most 63, not beginning with '.' or '-'. */
int home_check_name(const char *name, struct err *e) ATTR_MUST_USE;

#endif
