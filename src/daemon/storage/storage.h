/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Storage: pools, which are directories, and volumes, which are the files in them.
 *
 * A pool is persistent (its definition is on disk) or lives as long as it is active. An active pool knows its volumes
 * as they were when it was looked through, and looks at each again when it is asked about. New volumes are made aside,
 * in the same file system, and appear under their name when they are whole; so a crash leaves the pool as it was before
 * or as it is after, and what it leaves aside goes with the pool's next start.
 *
 * All on the loop's thread; what takes long is done on others (work.h). Functions return 0, or -1 with the fault set.
 * Those that take `done` start something: when they return 0, done is called once, later, with NULL or the fault. A
 * pool stays as long as works run in it, a volume as long as it has users.
 */
#ifndef PANAL_DAEMON_STORAGE_STORAGE_H
#define PANAL_DAEMON_STORAGE_STORAGE_H

#include "base/list.h"
#include "daemon/rpc/fault.h"
#include "daemon/xml/pooldef.h"

#include <limits.h>
#include <time.h>

struct daemon;
struct storage;
struct works;

/* libvirt's numbers. */
enum pool_state { POOL_INACTIVE, POOL_BUILDING, POOL_RUNNING };
enum pool_event {
	POOL_EVENT_DEFINED,
	POOL_EVENT_UNDEFINED,
	POOL_EVENT_STARTED,
	POOL_EVENT_STOPPED,
	POOL_EVENT_CREATED,
	POOL_EVENT_DELETED
};

struct pool {
	struct list node;
	struct storage *all;
	struct pooldef *def, *next; /* what rules now; what will after the next start, when that is another */
	bool active, persistent, autostart;
	bool starting;
	unsigned works;   /* under way: the pool can neither stop nor go */
	uint64_t changes; /* counts volumes that came and went */
	struct list volumes;
	unsigned volume_count;
};

struct volume {
	struct list node;
	struct pool *pool;
	struct voldef *def;
	unsigned users; /* who reads, writes or changes it now */
	uint64_t inode;
	struct timespec changed; /* what def was read at */
};

/* What the faces are told. */
struct storage_watcher {
	void (*lifecycle)(void *opaque, const struct pool *p, int event);
	void (*refresh)(void *opaque, const struct pool *p);
	void *opaque;
};

typedef void (*pool_done_fn)(void *opaque, struct pool *p, const struct fault *f);
typedef void (*volume_done_fn)(void *opaque, struct volume *v, const struct fault *f);

static inline const char *pool_name(const struct pool *p)
{
	return p->def->name;
}
static inline const uint8_t *pool_uuid(const struct pool *p)
{
	return p->def->uuid.b;
}

/* ---- all of them ---- */

int storage_create(struct storage **out, struct daemon *daemon, const struct storage_watcher *watcher,
		   struct err *e) ATTR_MUST_USE;
/* Breaks off what is under way, and ends its calls; from here on nothing long is started. */
void storage_stop(struct storage *st);
/* After storage_stop, and after the clients are gone. */
void storage_destroy(struct storage *st);
/* Reads the definitions, finds what was active, makes pool "default" when this is the first start ever, and once for
 * each start of the host starts the pools with autostart. */
int storage_load(struct storage *st, struct err *e) ATTR_MUST_USE;
struct works *storage_works(struct storage *st);

struct pool *pool_by_uuid(struct storage *st, const uint8_t uuid[16]);
struct pool *pool_by_name(struct storage *st, const char *name);
/* Of active pools and others. */
struct pool *pool_by_target(struct storage *st, const char *path);
/* f may not add or remove pools. */
void pools_each(struct storage *st, void (*f)(void *opaque, struct pool *p), void *opaque);

/* ---- pools ---- */

int pool_define(struct storage *st, const char *xml, bool validate, struct pool **out, struct fault *f);
enum { POOL_BUILD = 1 }; /* make the directory first */
/* Transient, and started; on a failure it is gone when done is called (with p NULL). */
int pool_create(struct storage *st, const char *xml, bool validate, bool build, pool_done_fn done, void *opaque,
		struct fault *f);
int pool_start(struct pool *p, bool build, pool_done_fn done, void *opaque, struct fault *f);
int pool_refresh(struct pool *p, pool_done_fn done, void *opaque, struct fault *f);
int pool_build(struct pool *p, struct fault *f);
/* A transient pool is gone afterwards. */
int pool_stop(struct pool *p, struct fault *f);
/* Removes the directory, which must be empty. */
int pool_delete(struct pool *p, struct fault *f);
/* The pool is gone afterwards. */
int pool_undefine(struct pool *p, struct fault *f);
int pool_set_autostart(struct pool *p, bool on, struct fault *f);
struct pool_space {
	uint64_t capacity, allocation, available;
};
void pool_space(const struct pool *p, struct pool_space *s);
/* Free it; NULL: no memory. */
char *pool_xml(struct pool *p, bool inactive);

/* ---- volumes ---- */

struct volume *volume_by_name(struct pool *p, const char *name);
/* Of all active pools. */
struct volume *volume_by_path(struct storage *st, const char *path);
/* Where the volume of a machine's disk is; its pool is started when it is not active. NULL: there is none. */
const char *volume_for_machine(struct storage *st, const char *pool, const char *name);
/* Looks at the file again. -1: it is gone, and so is the volume then, or cannot be read. */
int volume_update(struct volume *v, struct fault *f);
int volume_delete(struct volume *v, struct fault *f);

enum { VOLUME_PREALLOC_METADATA = 1, VOLUME_REFLINK = 2, VOLUME_VALIDATE = 4 };
int volume_create(struct pool *p, const char *xml, unsigned flags, volume_done_fn done, void *opaque, struct fault *f);
/* With what `from` holds. */
int volume_clone(struct pool *p, const char *xml, struct volume *from, unsigned flags, volume_done_fn done,
		 void *opaque, struct fault *f);
enum { VOLUME_ALLOCATE = 1, VOLUME_DELTA = 2, VOLUME_SHRINK = 4 };
int volume_resize(struct volume *v, uint64_t size, unsigned flags, volume_done_fn done, void *opaque, struct fault *f);
/* The disk reads as zeros afterwards, and what was in the file is overwritten. */
int volume_wipe(struct volume *v, volume_done_fn done, void *opaque, struct fault *f);

#endif
