/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Secrets: values that images and servers are opened with, under a UUID and what they are used for. Definition and
 * value are files of mode 0600; an ephemeral secret lives in memory alone. All on the loop's thread. Functions return
 * 0, or -1 with the fault set.
 */
#ifndef PANAL_DAEMON_STORAGE_SECRET_H
#define PANAL_DAEMON_STORAGE_SECRET_H

#include "base/list.h"
#include "daemon/rpc/fault.h"
#include "daemon/xml/smalldef.h"

struct daemon;
struct secrets;

enum { SECRET_VALUE_MAX = 65536 };
enum secret_event { SECRET_EVENT_DEFINED, SECRET_EVENT_UNDEFINED };

struct secret {
	struct list node;
	struct secrets *all;
	struct secretdef *def;
	uint8_t *value; /* NULL: none was set */
	size_t len;
};

struct secret_watcher {
	void (*lifecycle)(void *opaque, const struct secret *s, int event);
	void (*value_changed)(void *opaque, const struct secret *s);
	void *opaque;
};

static inline bool secret_ephemeral(const struct secret *s)
{
	return s->def->ephemeral == 2;
}
static inline bool secret_private(const struct secret *s)
{
	return s->def->private == 2;
}

/* Reads what there is; what cannot be read is left alone, with a line in the log. */
int secrets_create(struct secrets **out, struct daemon *daemon, const struct secret_watcher *watcher,
		   struct err *e) ATTR_MUST_USE;
void secrets_destroy(struct secrets *all);
struct secret *secret_by_uuid(struct secrets *all, const uint8_t uuid[16]);
struct secret *secret_by_usage(struct secrets *all, int usage, const char *id);
/* f may not add or remove secrets. */
void secrets_each(struct secrets *all, void (*f)(void *opaque, struct secret *s), void *opaque);

int secret_define(struct secrets *all, const char *xml, bool validate, struct secret **out, struct fault *f);
int secret_undefine(struct secret *s, struct fault *f);
int secret_set(struct secret *s, const uint8_t *value, size_t len, struct fault *f);

#endif
