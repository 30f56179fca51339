/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the storage room. */
#ifndef PANAL_DAEMON_STORAGE_STORAGE_PRIV_H
#define PANAL_DAEMON_STORAGE_STORAGE_PRIV_H

#include "daemon/daemon.h"
#include "daemon/storage/storage.h"
#include "daemon/storage/work.h"

#include <sys/stat.h>

struct storage {
	struct daemon *daemon;
	struct storage_watcher watcher;
	struct works *works;
	struct list pools;
	char config_dir[PATH_MAX / 2]; /* the definitions */
	char state_dir[PATH_MAX / 2];  /* the pools that are active */
};

/* ---- pools.c ---- */

struct pool *pool_new(struct storage *st, struct pooldef *def);
/* Out of the list, and its memory. */
void pool_free(struct pool *p);
void pool_lifecycle(const struct pool *p, int event);
/* What the definition wants of the directory's mode and owner; -1: as it is. */
struct want {
	int mode;
	int64_t owner, group;
};
int permissions_read(const struct storage_permissions *d, struct want *w, struct err *e) ATTR_MUST_USE;
/* The directory and those above it. */
int pool_make_dir(const struct pooldef *def, struct err *e) ATTR_MUST_USE;

/* ---- pool_start.c ---- */

/* Looks through the directory here and now, for the daemon's start. */
int pool_start_now(struct pool *p, struct err *e) ATTR_MUST_USE;
void pool_forget_volumes(struct pool *p);
/* Notes that the pool is active, for the next daemon. */
int pool_note(const struct pool *p, struct err *e) ATTR_MUST_USE;
void pool_unnote(const struct pool *p);

/* ---- scan.c: any thread ---- */

struct found {
	struct list node;
	struct voldef *def;
	uint64_t inode;
	struct timespec changed;
};

/* The files in the directory. */
int scan_dir(struct list *found, const char *path, struct err *e) ATTR_MUST_USE;
void found_free(struct found *f);
/* One file. NULL with e set: it cannot be looked at; with -ESRCH it is nothing that a pool shows. */
struct found *scan_file(const char *dir, const char *name, struct err *e) ATTR_MUST_USE;

/* ---- aside.c: where new files are made; any thread ---- */

/* A directory of this process's own in the pool's, with a file's place in it. */
struct aside {
	int fd; /* keeps others from clearing it */
	char dir[PATH_MAX];
	char file[PATH_MAX + 8];
};

int aside_make(struct aside *a, const char *pool_dir, struct err *e) ATTR_MUST_USE;
/* Puts the file, synced, to its name, which must not be there: -EEXIST. */
int aside_publish(struct aside *a, const char *path, struct err *e) ATTR_MUST_USE;
/* Exchanges it with the one at the path: it then holds what was there. */
int aside_exchange(struct aside *a, const char *path, struct err *e) ATTR_MUST_USE;
/* Removes the directory with what is still in it. */
void aside_remove(struct aside *a);
/* What crashes left in the pool's directory. */
void asides_clear(const char *pool_dir);
bool aside_is_name(const char *name);
/* Overwrites what the file has on disk with zeros. */
int overwrite_file(const char *path, const atomic_bool *stop, struct err *e) ATTR_MUST_USE;

/* ---- volume.c ---- */

/* A volume of what was found, which is taken over. NULL: no memory; nothing was taken. */
struct volume *volume_add(struct pool *p, struct found *f);
void volume_free(struct volume *v);
void volume_take(struct volume *v, struct found *f);

#endif
