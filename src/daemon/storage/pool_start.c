/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pool's start, refresh and stop. The directory is looked through on a thread; what it has found takes the place of
 * what was known, unless volumes came or went meanwhile: then it looks again. */
#include "daemon/storage/storage_priv.h"

#include "daemon/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCANS_MAX = 5 };

struct scan {
	struct work work;
	struct pool *pool;
	char *path;
	struct list found;
	struct err err;
	int ret;
	bool start;
	uint64_t changes;
	unsigned count;
	pool_done_fn done;
	void *opaque;
};

/* ---- volumes ---- */

void pool_forget_volumes(struct pool *p)
{
	list_each_safe(it, &p->volumes) volume_free(list_entry(it, struct volume, node));
}

static void free_found(struct list *found)
{
	list_each_safe(it, found)
	{
		struct found *f = list_entry(it, struct found, node);

		list_remove(it);
		found_free(f);
	}
}

/* Those in use stay as they are: whoever uses them looks at them afterwards. */
static int take_found(struct pool *p, struct list *found)
{
	unsigned kept;

	list_each_safe(it, &p->volumes)
	{
		struct volume *v = list_entry(it, struct volume, node);

		if (!v->users)
			volume_free(v);
	}
	kept = p->volume_count;
	list_each_safe(node, found)
	{
		struct found *f = list_entry(node, struct found, node);

		if (kept && volume_by_name(p, f->def->name))
			continue;
		list_remove(node);
		if (!volume_add(p, f)) {
			found_free(f);
			free_found(found);
			return -ENOMEM;
		}
	}
	free_found(found);
	return 0;
}

/* ---- notes ---- */

static void note_name(const struct pool *p, char out[64])
{
	char uuid[37];

	xuuid_text(pool_uuid(p), uuid);
	snprintf(out, 64, "%s.xml", uuid);
}

int pool_note(const struct pool *p, struct err *e)
{
	char name[64], *text = pooldef_format(p->def);
	int ret;

	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	note_name(p, name);
	ret = store_write(p->all->state_dir, name, text, strlen(text), false, e);
	free(text);
	return ret;
}

void pool_unnote(const struct pool *p)
{
	char name[64];

	note_name(p, name);
	if (store_remove(p->all->state_dir, name, false, NULL) < 0)
		return; /* the next daemon finds it active; it is what can be done */
}

/* ---- start ---- */

int pool_start_now(struct pool *p, struct err *e)
{
	struct list found;
	int ret = scan_dir(&found, p->def->path, e);

	if (ret == 0 && take_found(p, &found) < 0)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (ret == 0)
		ret = pool_note(p, e);
	if (ret < 0)
		pool_forget_volumes(p);
	else
		p->active = true;
	return ret;
}

static void run_scan(struct work *w)
{
	struct scan *s = container_of(w, struct scan, work);

	s->ret = scan_dir(&s->found, s->path, &s->err);
}

/* A start that failed leaves a transient pool nothing to be. */
static struct pool *failed(struct pool *p, bool start)
{
	if (!start)
		return p;
	pool_forget_volumes(p);
	if (p->next) {
		pooldef_free(p->def);
		p->def = p->next;
		p->next = NULL;
	}
	if (p->persistent)
		return p;
	pool_free(p);
	return NULL;
}

static void tell(struct pool *p, bool start)
{
	if (start)
		pool_lifecycle(p, POOL_EVENT_STARTED);
	else
		p->all->watcher.refresh(p->all->watcher.opaque, p);
}

static void scanned(struct work *w)
{
	struct scan *s = container_of(w, struct scan, work);
	struct pool *p = s->pool;
	struct fault f;
	int ret = s->ret;

	if (ret == 0 && p->changes != s->changes && ++s->count < SCANS_MAX) {
		s->changes = p->changes;
		free_found(&s->found);
		if (works_start(p->all->works, w) == 0)
			return;
		ret = err_set(&s->err, -ENOMEM, "no thread to be had");
	}
	p->works--;
	if (s->start)
		p->starting = false;
	if (ret == 0 && take_found(p, &s->found) < 0)
		ret = err_set(&s->err, -ENOMEM, "out of memory");
	if (ret == 0 && s->start)
		ret = pool_note(p, &s->err);
	if (ret == 0 && s->start)
		p->active = true;
	if (ret < 0) {
		fault_from_err(&f, FAULT_SYSTEM, FROM_STORAGE, &s->err);
		p = failed(p, s->start);
	} else {
		tell(p, s->start);
	}
	s->done(s->opaque, p, ret < 0 ? &f : NULL);
	free(s->path);
	free(s);
}

static int scan(struct pool *p, bool start, pool_done_fn done, void *opaque, struct fault *f)
{
	struct scan *s = calloc(1, sizeof(*s));

	if (s) {
		*s = (struct scan){.pool = p, .start = start, .changes = p->changes, .done = done, .opaque = opaque};
		s->work = (struct work){.run = run_scan, .done = scanned};
		list_init(&s->found);
		s->path = strdup(p->def->path);
	}
	if (!s || !s->path || works_start(p->all->works, &s->work) < 0) {
		if (s)
			free(s->path);
		free(s);
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory to look through the pool");
	}
	p->works++;
	p->starting = start;
	return 0;
}

int pool_start(struct pool *p, bool build, pool_done_fn done, void *opaque, struct fault *f)
{
	struct err e = {0};

	if (p->active || p->starting)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "storage pool '%s' is already active",
				 pool_name(p));
	if (build && pool_make_dir(p->def, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	return scan(p, true, done, opaque, f);
}

int pool_refresh(struct pool *p, pool_done_fn done, void *opaque, struct fault *f)
{
	if (!p->active)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "storage pool '%s' is not active",
				 pool_name(p));
	return scan(p, false, done, opaque, f);
}

int pool_stop(struct pool *p, struct fault *f)
{
	if (!p->active)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "storage pool '%s' is not active",
				 pool_name(p));
	if (p->works)
		return fault_set(f, FAULT_INTERNAL, FROM_STORAGE, "pool '%s' has asynchronous jobs running.",
				 pool_name(p));
	list_each(it, &p->volumes) if (list_entry(it, struct volume, node)->users) return fault_set(
		f, FAULT_INTERNAL, FROM_STORAGE, "a volume of pool '%s' is in use", pool_name(p));
	pool_unnote(p);
	p->active = false;
	pool_forget_volumes(p);
	if (p->next) {
		pooldef_free(p->def);
		p->def = p->next;
		p->next = NULL;
	}
	pool_lifecycle(p, POOL_EVENT_STOPPED);
	if (!p->persistent)
		pool_free(p);
	return 0;
}
