/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about volumes. */
#include "daemon/remote/storage_calls.h"

#include <stdlib.h>
#include <string.h>

enum {
	VOLUME_INFO_PHYSICAL = 1,
	VOLUME_DELETE_ZEROED = 1,
	VOLUME_DELETE_SNAPSHOTS = 2,
	VOLUME_WIPE_ZERO = 0,
};

/* virStorageVolType, by the document's. */
static int type_of(const struct volume *v)
{
	return v->def->type ? v->def->type - VOLDEF_FILE : 0;
}

static void put_volume(struct xdr_out *o, const struct volume *v)
{
	xdr_string(o, pool_name(v->pool));
	xdr_string(o, v->def->name);
	xdr_string(o, v->def->key);
}

static struct volume *find_in(struct call *c, struct pool *p, const char *name)
{
	struct volume *v = volume_by_name(p, name);

	if (!v)
		fault_set(&c->fault, FAULT_NO_VOLUME, FROM_STORAGE, "no storage vol with matching name '%.200s'", name);
	return v;
}

/* By the names of its pool and its own. */
static struct volume *find_volume(struct call *c, unsigned n)
{
	const struct daemon *daemon = c->opaque;
	const char *pool = call_part(c, n, 0)->s;
	struct pool *p = pool_by_name(daemon->storage, pool);

	if (p && p->active)
		return find_in(c, p, call_part(c, n, 1)->s);
	if (p)
		fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_STORAGE, "storage pool '%s' is not active", pool);
	else
		fault_set(&c->fault, FAULT_NO_POOL, FROM_STORAGE, "no storage pool with matching name '%.200s'", pool);
	return NULL;
}

/* The same, as its file is now. */
static struct volume *fresh_volume(struct call *c, unsigned n)
{
	struct volume *v = find_volume(c, n);

	return v && volume_update(v, &c->fault) == 0 ? v : NULL;
}

int remote_find_volume(struct call *c)
{
	c->object = find_volume(c, 0);
	return c->object ? CALL_DONE : CALL_FAILED;
}

static int find_fresh(struct call *c)
{
	c->object = fresh_volume(c, 0);
	return c->object ? CALL_DONE : CALL_FAILED;
}

/* ---- lists ---- */

static int count(struct call *c)
{
	const struct pool *p = c->object;

	xdr_i32(&c->out, (int32_t)p->volume_count);
	return CALL_DONE;
}

static int names(struct call *c)
{
	const struct pool *p = c->object;
	int32_t max = call_i(c, 1), put = 0;
	size_t hole = xdr_hole(&c->out);

	list_each(it, &p->volumes)
	{
		if (put >= max)
			break;
		xdr_string(&c->out, list_entry(it, struct volume, node)->def->name);
		put++;
	}
	xdr_fill(&c->out, hole, (uint32_t)put);
	return CALL_DONE;
}

static int list_all(struct call *c)
{
	const struct pool *p = c->object;

	xdr_u32(&c->out, call_i(c, 1) ? p->volume_count : 0);
	if (call_i(c, 1))
		list_each(it, &p->volumes) put_volume(&c->out, list_entry(it, struct volume, node));
	xdr_u32(&c->out, p->volume_count);
	return CALL_DONE;
}

/* ---- finding ---- */

static int put(struct call *c, const struct volume *v)
{
	if (!v)
		return CALL_FAILED;
	put_volume(&c->out, v);
	return CALL_DONE;
}

static int lookup_name(struct call *c)
{
	return put(c, find_in(c, c->object, call_s(c, 1)));
}

static int lookup_key(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const struct volume *v = volume_by_path(daemon->storage, call_s(c, 0));

	if (!v)
		fault_set(&c->fault, FAULT_NO_VOLUME, FROM_STORAGE, "no storage vol with matching key %.300s",
			  call_s(c, 0));
	return put(c, v);
}

static int lookup_path(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const struct volume *v = volume_by_path(daemon->storage, call_s(c, 0));

	if (!v)
		fault_set(&c->fault, FAULT_NO_VOLUME, FROM_STORAGE, "no storage vol with matching path '%.300s'",
			  call_s(c, 0));
	return put(c, v);
}

/* ---- what it is ---- */

static int put_info(struct call *c, unsigned flags)
{
	const struct volume *v = c->object;

	xdr_i32(&c->out, type_of(v));
	xdr_u64(&c->out, v->def->capacity.v);
	xdr_u64(&c->out, flags & VOLUME_INFO_PHYSICAL ? v->def->physical.v : v->def->allocation.v);
	return CALL_DONE;
}

static int get_info(struct call *c)
{
	return put_info(c, 0);
}

static int get_info_flags(struct call *c)
{
	return put_info(c, call_u(c, 1));
}

static int get_xml(struct call *c)
{
	const struct volume *v = c->object;

	return remote_put_text(c, FROM_STORAGE, voldef_format(v->def));
}

static int get_path(struct call *c)
{
	const struct volume *v = c->object;

	xdr_string(&c->out, v->def->path);
	return CALL_DONE;
}

/* ---- what is done with it ---- */

static void done(void *opaque, struct volume *v, const struct fault *f)
{
	struct call *c = opaque;

	if (f)
		c->fault = *f;
	else if (*c->proc->ret)
		put_volume(&c->out, v);
	call_end(c, f ? CALL_FAILED : CALL_DONE);
}

static int create(struct call *c)
{
	return remote_started(volume_create(c->object, call_s(c, 1), call_u(c, 2), done, c, &c->fault));
}

static int create_from(struct call *c)
{
	struct volume *from = fresh_volume(c, 2);

	if (!from)
		return CALL_FAILED;
	return remote_started(volume_clone(c->object, call_s(c, 1), from, call_u(c, 3), done, c, &c->fault));
}

static int delete (struct call *c)
{
	if (call_u(c, 1) & VOLUME_DELETE_ZEROED)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_STORAGE,
				 "deleting does not overwrite; wipe the volume first");
	return volume_delete(c->object, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int resize(struct call *c)
{
	return remote_started(volume_resize(c->object, call_H(c, 1), call_u(c, 2), done, c, &c->fault));
}

static int wipe_with(struct call *c, unsigned algorithm)
{
	if (algorithm != VOLUME_WIPE_ZERO)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_STORAGE,
				 "volumes are wiped with zeros; wiping algorithm %u is not there", algorithm);
	return remote_started(volume_wipe(c->object, done, c, &c->fault));
}

static int wipe(struct call *c)
{
	return wipe_with(c, VOLUME_WIPE_ZERO);
}

static int wipe_pattern(struct call *c)
{
	return wipe_with(c, call_u(c, 1));
}

const struct handler remote_storage_volume[] = {
	{"STORAGE_POOL_NUM_OF_VOLUMES", count, remote_find_active_pool},
	{"STORAGE_POOL_LIST_VOLUMES", names, remote_find_active_pool},
	{"STORAGE_POOL_LIST_ALL_VOLUMES", list_all, remote_find_active_pool},
	{"STORAGE_VOL_LOOKUP_BY_NAME", lookup_name, remote_find_active_pool},
	{"STORAGE_VOL_LOOKUP_BY_KEY", lookup_key},
	{"STORAGE_VOL_LOOKUP_BY_PATH", lookup_path},
	{"STORAGE_VOL_GET_INFO", get_info, find_fresh},
	{"STORAGE_VOL_GET_INFO_FLAGS", get_info_flags, find_fresh, VOLUME_INFO_PHYSICAL},
	{"STORAGE_VOL_GET_XML_DESC", get_xml, find_fresh},
	{"STORAGE_VOL_GET_PATH", get_path, remote_find_volume},
	{"STORAGE_VOL_CREATE_XML", create, remote_find_active_pool, VOLUME_PREALLOC_METADATA | VOLUME_VALIDATE},
	{"STORAGE_VOL_CREATE_XML_FROM", create_from, remote_find_active_pool,
	 VOLUME_PREALLOC_METADATA | VOLUME_REFLINK | VOLUME_VALIDATE},
	{"STORAGE_VOL_DELETE", delete, remote_find_volume, VOLUME_DELETE_ZEROED | VOLUME_DELETE_SNAPSHOTS},
	{"STORAGE_VOL_RESIZE", resize, find_fresh, VOLUME_ALLOCATE | VOLUME_DELTA | VOLUME_SHRINK},
	{"STORAGE_VOL_WIPE", wipe, find_fresh},
	{"STORAGE_VOL_WIPE_PATTERN", wipe_pattern, find_fresh},
};
const unsigned remote_storage_volume_count = COUNT_OF(remote_storage_volume);
