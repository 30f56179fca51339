/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files that survive: a write is there wholly or not at all, after a crash too. */
#ifndef PANAL_DAEMON_STORE_STORE_H
#define PANAL_DAEMON_STORE_STORE_H

#include "base/err.h"

enum { STORE_FILE_MAX = 32 << 20 };

/* Replaces dir/name (mode 0600). durable: after the return it survives the host's crash, not only ours. */
int store_write(const char *dir, const char *name, const void *data, size_t len, bool durable, struct err *e)
	ATTR_MUST_USE;
/* The same of two files at once: whenever the daemon is killed, store_each finds both new or both old. `beside` has the
 * stem of `name` (what is before its first dot). */
int store_write_both(const char *dir, const char *name, const void *data, size_t len, const char *beside,
		     const void *beside_data, size_t beside_len, bool durable, struct err *e) ATTR_MUST_USE;
/* The same in two steps, without a wait for the disk: what is begun lies beside the file until it takes its place. */
int store_begin(const char *dir, const char *name, const void *data, size_t len, struct err *e) ATTR_MUST_USE;
int store_finish(const char *dir, const char *name, struct err *e) ATTR_MUST_USE;
void store_drop(const char *dir, const char *name);
/* Waits for the disk: names that were made and removed in dir are so after the host's crash, too. */
int store_sync(const char *dir, struct err *e) ATTR_MUST_USE;
/* The whole file; *out is malloc'ed and terminated. -ENOENT: there is none. */
int store_read(const char *dir, const char *name, char **out, size_t *len, struct err *e) ATTR_MUST_USE;
/* It is no error when there is none. */
int store_remove(const char *dir, const char *name, bool durable, struct err *e) ATTR_MUST_USE;
/* Removes what killed writers left in dir. */
void store_clean(const char *dir);
bool store_has(const char *dir, const char *name);
/* Calls f for each name in dir that ends in suffix. The name is passed without the suffix. Before, what a crash left is
 * brought to its end or removed: what was being written, and files that begin with a UUID which has no file with the
 * suffix (any more): they belonged to one that was being removed. A directory that is not there is empty. */
int store_each(const char *dir, const char *suffix, void (*f)(void *opaque, const char *name), void *opaque,
	       struct err *e) ATTR_MUST_USE;

#endif
