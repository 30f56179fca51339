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

void remote_put_volume(struct xdr_out *o, const struct volume *v)
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

struct volume *remote_volume(struct call *c, unsigned n)
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
	struct volume *v = remote_volume(c, n);

	return v && volume_update(v, &c->fault) == 0 ? v : NULL;
}

/* ---- lists ---- */

static int count(struct call *c)
{
	const struct pool *p = remote_active_pool(c, 0);

	if (!p)
		return CALL_FAILED;
	xdr_i32(&c->out, (int32_t)p->volume_count);
	return CALL_DONE;
}

static int names(struct call *c)
{
	const struct pool *p = remote_active_pool(c, 0);
	int32_t max = call_i(c, 1), put = 0;
	size_t hole = xdr_hole(&c->out);

	if (!p)
		return CALL_FAILED;
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
	const struct pool *p = remote_active_pool(c, 0);

	if (!p || call_unknown_flags(c, 2, 0))
		return CALL_FAILED;
	xdr_u32(&c->out, call_i(c, 1) ? p->volume_count : 0);
	if (call_i(c, 1))
		list_each(it, &p->volumes) remote_put_volume(&c->out, list_entry(it, struct volume, node));
	xdr_u32(&c->out, p->volume_count);
	return CALL_DONE;
}

/* ---- finding ---- */

static int put(struct call *c, const struct volume *v)
{
	if (!v)
		return CALL_FAILED;
	remote_put_volume(&c->out, v);
	return CALL_DONE;
}

static int lookup_name(struct call *c)
{
	struct pool *p = remote_active_pool(c, 0);

	return p ? put(c, find_in(c, p, call_s(c, 1))) : CALL_FAILED;
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

static int put_info(struct call *c, const struct volume *v, unsigned flags)
{
	if (!v)
		return CALL_FAILED;
	xdr_i32(&c->out, type_of(v));
	xdr_u64(&c->out, v->def->capacity.v);
	xdr_u64(&c->out, flags & VOLUME_INFO_PHYSICAL ? v->def->physical.v : v->def->allocation.v);
	return CALL_DONE;
}

static int get_info(struct call *c)
{
	return put_info(c, fresh_volume(c, 0), 0);
}

static int get_info_flags(struct call *c)
{
	if (call_unknown_flags(c, 1, VOLUME_INFO_PHYSICAL))
		return CALL_FAILED;
	return put_info(c, fresh_volume(c, 0), call_u(c, 1));
}

static int get_xml(struct call *c)
{
	const struct volume *v = fresh_volume(c, 0);

	if (!v || call_unknown_flags(c, 1, 0))
		return CALL_FAILED;
	return remote_put_text(c, voldef_format(v->def));
}

static int get_path(struct call *c)
{
	const struct volume *v = remote_volume(c, 0);

	if (!v)
		return CALL_FAILED;
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
		remote_put_volume(&c->out, v);
	call_end(c, f ? CALL_FAILED : CALL_DONE);
}

static int later(int ret)
{
	return ret < 0 ? CALL_FAILED : CALL_LATER;
}

static int create(struct call *c)
{
	struct pool *p = remote_active_pool(c, 0);

	if (!p || call_unknown_flags(c, 2, VOLUME_PREALLOC_METADATA | VOLUME_VALIDATE))
		return CALL_FAILED;
	return later(volume_create(p, call_s(c, 1), call_u(c, 2), done, c, &c->fault));
}

static int create_from(struct call *c)
{
	struct pool *p = remote_active_pool(c, 0);
	struct volume *from = p ? fresh_volume(c, 2) : NULL;

	if (!from || call_unknown_flags(c, 3, VOLUME_PREALLOC_METADATA | VOLUME_REFLINK | VOLUME_VALIDATE))
		return CALL_FAILED;
	return later(volume_clone(p, call_s(c, 1), from, call_u(c, 3), done, c, &c->fault));
}

static int delete (struct call *c)
{
	struct volume *v = remote_volume(c, 0);

	if (!v || call_unknown_flags(c, 1, VOLUME_DELETE_ZEROED | VOLUME_DELETE_SNAPSHOTS))
		return CALL_FAILED;
	if (call_u(c, 1) & VOLUME_DELETE_ZEROED)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_STORAGE,
				 "deleting does not overwrite; wipe the volume first");
	return volume_delete(v, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int resize(struct call *c)
{
	struct volume *v = fresh_volume(c, 0);

	if (!v || call_unknown_flags(c, 2, VOLUME_ALLOCATE | VOLUME_DELTA | VOLUME_SHRINK))
		return CALL_FAILED;
	return later(volume_resize(v, call_H(c, 1), call_u(c, 2), done, c, &c->fault));
}

static int wipe_with(struct call *c, unsigned algorithm, unsigned flags_at)
{
	struct volume *v = fresh_volume(c, 0);

	if (!v || call_unknown_flags(c, flags_at, 0))
		return CALL_FAILED;
	if (algorithm != VOLUME_WIPE_ZERO)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_STORAGE,
				 "volumes are wiped with zeros; wiping algorithm %u is not there", algorithm);
	return later(volume_wipe(v, done, c, &c->fault));
}

static int wipe(struct call *c)
{
	return wipe_with(c, VOLUME_WIPE_ZERO, 1);
}

static int wipe_pattern(struct call *c)
{
	return wipe_with(c, call_u(c, 1), 2);
}

const struct handler remote_storage_volume[] = {
	{"STORAGE_POOL_NUM_OF_VOLUMES", count},
	{"STORAGE_POOL_LIST_VOLUMES", names},
	{"STORAGE_POOL_LIST_ALL_VOLUMES", list_all},
	{"STORAGE_VOL_LOOKUP_BY_NAME", lookup_name},
	{"STORAGE_VOL_LOOKUP_BY_KEY", lookup_key},
	{"STORAGE_VOL_LOOKUP_BY_PATH", lookup_path},
	{"STORAGE_VOL_GET_INFO", get_info},
	{"STORAGE_VOL_GET_INFO_FLAGS", get_info_flags},
	{"STORAGE_VOL_GET_XML_DESC", get_xml},
	{"STORAGE_VOL_GET_PATH", get_path},
	{"STORAGE_VOL_CREATE_XML", create},
	{"STORAGE_VOL_CREATE_XML_FROM", create_from},
	{"STORAGE_VOL_DELETE", delete},
	{"STORAGE_VOL_RESIZE", resize},
	{"STORAGE_VOL_WIPE", wipe},
	{"STORAGE_VOL_WIPE_PATTERN", wipe_pattern},
};
const unsigned remote_storage_volume_count = COUNT_OF(remote_storage_volume);
