/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about storage pools. */
#include "daemon/remote/storage_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL_CREATE_BUILD = 1,
	POOL_CREATE_OVERWRITE = 2,
	POOL_CREATE_NO_OVERWRITE = 4,
	POOL_CREATE_FLAGS = POOL_CREATE_BUILD | POOL_CREATE_OVERWRITE | POOL_CREATE_NO_OVERWRITE,
	POOL_DEFINE_VALIDATE = 1,
	POOL_XML_INACTIVE = 1,
	POOL_DELETE_ZEROED = 1,
	/* Of the list: two bits for each question, then one for each type. */
	POOL_LIST_STATES = 0x3f,
	POOL_LIST_DIR = 0x40,
	POOL_LIST_TYPES = 0xfffc0,
};

void remote_put_pool(struct xdr_out *o, const struct pool *p)
{
	xdr_string(o, pool_name(p));
	xdr_uuid(o, pool_uuid(p));
}

static struct pool *by_uuid(struct call *c, const uint8_t *uuid, const char *name)
{
	const struct daemon *daemon = c->opaque;
	struct pool *p = pool_by_uuid(daemon->storage, uuid);
	char text[37];

	if (p)
		return p;
	xuuid_text(uuid, text);
	fault_set(&c->fault, FAULT_NO_POOL, FROM_STORAGE, "no storage pool with matching uuid '%s'%s%.100s%s", text,
		  name ? " (" : "", name ? name : "", name ? ")" : "");
	return NULL;
}

static int find_pool(struct call *c)
{
	c->object = by_uuid(c, call_part(c, 0, 1)->x, call_part(c, 0, 0)->s);
	return c->object ? CALL_DONE : CALL_FAILED;
}

int remote_find_active_pool(struct call *c)
{
	int ret = find_pool(c);
	const struct pool *p = c->object;

	if (ret != CALL_DONE || p->active)
		return ret;
	return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_STORAGE, "storage pool '%s' is not active",
			 pool_name(p));
}

/* ---- lists ---- */

struct listing {
	struct xdr_out *out;
	unsigned flags, count, max;
	bool put, names;
};

static bool listed(const struct pool *p, unsigned flags)
{
	unsigned has = (p->active ? 2u : 1u) | (p->persistent ? 4u : 8u) | (p->autostart ? 16u : 32u);

	for (unsigned group = 3; group < POOL_LIST_STATES; group <<= 2)
		if ((flags & group) && !(flags & group & has))
			return false;
	return !(flags & POOL_LIST_TYPES) || (flags & POOL_LIST_DIR);
}

static void list_one(void *opaque, struct pool *p)
{
	struct listing *l = opaque;

	if (!listed(p, l->flags) || l->count >= l->max)
		return;
	l->count++;
	if (l->put && l->names)
		xdr_string(l->out, pool_name(p));
	else if (l->put)
		remote_put_pool(l->out, p);
}

static int count_of(struct call *c, unsigned flags)
{
	const struct daemon *daemon = c->opaque;
	struct listing l = {.flags = flags, .max = UINT32_MAX};

	pools_each(daemon->storage, list_one, &l);
	xdr_i32(&c->out, (int32_t)l.count);
	return CALL_DONE;
}

static int names_of(struct call *c, unsigned flags)
{
	const struct daemon *daemon = c->opaque;
	struct listing l = {
		.out = &c->out, .flags = flags, .put = true, .names = true, .max = call_i(c, 0) < 0 ? 0 : call_u(c, 0)};
	size_t hole = xdr_hole(&c->out);

	pools_each(daemon->storage, list_one, &l);
	xdr_fill(&c->out, hole, l.count);
	return CALL_DONE;
}

static int count_active(struct call *c)
{
	return count_of(c, 2);
}

static int count_inactive(struct call *c)
{
	return count_of(c, 1);
}

static int names_active(struct call *c)
{
	return names_of(c, 2);
}

static int names_inactive(struct call *c)
{
	return names_of(c, 1);
}

static int list_all(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct listing l = {.out = &c->out, .flags = call_u(c, 1), .put = call_i(c, 0) != 0, .max = UINT32_MAX};
	size_t hole = xdr_hole(&c->out);

	pools_each(daemon->storage, list_one, &l);
	xdr_fill(&c->out, hole, l.put ? l.count : 0);
	xdr_u32(&c->out, l.count);
	return CALL_DONE;
}

/* ---- finding ---- */

static int lookup_name(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const struct pool *p = pool_by_name(daemon->storage, call_s(c, 0));

	if (!p)
		return fault_set(&c->fault, FAULT_NO_POOL, FROM_STORAGE, "no storage pool with matching name '%.200s'",
				 call_s(c, 0));
	remote_put_pool(&c->out, p);
	return CALL_DONE;
}

static int lookup_uuid(struct call *c)
{
	const struct pool *p = by_uuid(c, call_arg(c, 0)->x, NULL);

	if (!p)
		return CALL_FAILED;
	remote_put_pool(&c->out, p);
	return CALL_DONE;
}

static int lookup_volume(struct call *c)
{
	const struct volume *v = c->object;

	remote_put_pool(&c->out, v->pool);
	return CALL_DONE;
}

static int lookup_target(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const struct pool *p = pool_by_target(daemon->storage, call_s(c, 0));

	if (!p || !p->active)
		return fault_set(&c->fault, FAULT_NO_POOL, FROM_STORAGE,
				 "no storage pool with matching target path '%.200s'", call_s(c, 0));
	remote_put_pool(&c->out, p);
	return CALL_DONE;
}

/* ---- what it is ---- */

static int get_info(struct call *c)
{
	const struct pool *p = c->object;
	struct pool_space s;

	pool_space(p, &s);
	xdr_u32(&c->out, p->active ? POOL_RUNNING : POOL_INACTIVE);
	xdr_u64(&c->out, s.capacity);
	xdr_u64(&c->out, s.allocation);
	xdr_u64(&c->out, s.available);
	return CALL_DONE;
}

static int get_xml(struct call *c)
{
	return remote_put_text(c, FROM_STORAGE, pool_xml(c->object, call_u(c, 1) & POOL_XML_INACTIVE));
}

static int put_bool(struct call *c, bool value)
{
	xdr_i32(&c->out, value);
	return CALL_DONE;
}

static int get_autostart(struct call *c)
{
	const struct pool *p = c->object;

	return put_bool(c, p->autostart);
}

static int is_active(struct call *c)
{
	const struct pool *p = c->object;

	return put_bool(c, p->active);
}

static int is_persistent(struct call *c)
{
	const struct pool *p = c->object;

	return put_bool(c, p->persistent);
}

static int get_capabilities(struct call *c)
{
	static const char *const others[] = {"fs",    "netfs", "logical",  "disk",    "iscsi", "iscsi-direct", "scsi",
					     "mpath", "rbd",   "sheepdog", "gluster", "zfs",   "vstorage"};
	static const char dir[] = "<storagepoolCapabilities>\n"
				  "  <pool type='dir' supported='yes'>\n"
				  "    <volOptions>\n"
				  "      <defaultFormat type='raw'/>\n"
				  "      <enum name='targetFormatType'>\n"
				  "        <value>raw</value>\n"
				  "        <value>qcow2</value>\n"
				  "      </enum>\n"
				  "    </volOptions>\n"
				  "  </pool>\n";
	char text[2048];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", dir);

	for (unsigned n = 0; n < COUNT_OF(others); n++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "  <pool type='%s' supported='no'/>\n", others[n]);
	snprintf(text + at, sizeof(text) - at, "</storagepoolCapabilities>\n");
	xdr_string(&c->out, text);
	return CALL_DONE;
}

static int find_sources(struct call *c)
{
	return fault_set(&c->fault, FAULT_NO_SUPPORT, FROM_STORAGE,
			 "pool type '%.40s' does not support source discovery", call_s(c, 0));
}

/* ---- what is done with it ---- */

/* With the pool, where the answer has one. */
static void done(void *opaque, struct pool *p, const struct fault *f)
{
	struct call *c = opaque;

	if (f)
		c->fault = *f;
	else if (*c->proc->ret)
		remote_put_pool(&c->out, p);
	call_end(c, f ? CALL_FAILED : CALL_DONE);
}

static int define(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct pool *p;

	if (pool_define(daemon->storage, call_s(c, 0), call_u(c, 1) & POOL_DEFINE_VALIDATE, &p, &c->fault) < 0)
		return CALL_FAILED;
	remote_put_pool(&c->out, p);
	return CALL_DONE;
}

/* A directory is not formatted: overwriting or not is the same. */
static bool bad_create_flags(struct call *c)
{
	if ((call_u(c, 1) & (POOL_CREATE_OVERWRITE | POOL_CREATE_NO_OVERWRITE)) !=
	    (POOL_CREATE_OVERWRITE | POOL_CREATE_NO_OVERWRITE))
		return false;
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_STORAGE, "overwrite and no overwrite exclude each other");
	return true;
}

static int create_xml(struct call *c)
{
	const struct daemon *daemon = c->opaque;

	if (bad_create_flags(c))
		return CALL_FAILED;
	return remote_started(pool_create(daemon->storage, call_s(c, 0), false, call_u(c, 1) != 0, done, c, &c->fault));
}

static int create(struct call *c)
{
	if (bad_create_flags(c))
		return CALL_FAILED;
	return remote_started(pool_start(c->object, call_u(c, 1) != 0, done, c, &c->fault));
}

static int refresh(struct call *c)
{
	return remote_started(pool_refresh(c->object, done, c, &c->fault));
}

static int build(struct call *c)
{
	return pool_build(c->object, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int destroy(struct call *c)
{
	return pool_stop(c->object, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int delete (struct call *c)
{
	if (call_u(c, 1) & POOL_DELETE_ZEROED)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_STORAGE,
				 "a directory is removed when it is empty; wipe its volumes first");
	return pool_delete(c->object, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int undefine(struct call *c)
{
	return pool_undefine(c->object, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int set_autostart(struct call *c)
{
	return pool_set_autostart(c->object, call_i(c, 1) != 0, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

const struct handler remote_storage_pool[] = {
	{"CONNECT_NUM_OF_STORAGE_POOLS", count_active},
	{"CONNECT_LIST_STORAGE_POOLS", names_active},
	{"CONNECT_NUM_OF_DEFINED_STORAGE_POOLS", count_inactive},
	{"CONNECT_LIST_DEFINED_STORAGE_POOLS", names_inactive},
	{"CONNECT_LIST_ALL_STORAGE_POOLS", list_all, NULL, POOL_LIST_STATES | POOL_LIST_TYPES},
	{"CONNECT_FIND_STORAGE_POOL_SOURCES", find_sources},
	{"CONNECT_GET_STORAGE_POOL_CAPABILITIES", get_capabilities},
	{"STORAGE_POOL_LOOKUP_BY_NAME", lookup_name},
	{"STORAGE_POOL_LOOKUP_BY_UUID", lookup_uuid},
	{"STORAGE_POOL_LOOKUP_BY_VOLUME", lookup_volume, remote_find_volume},
	{"STORAGE_POOL_LOOKUP_BY_TARGET_PATH", lookup_target},
	{"STORAGE_POOL_GET_INFO", get_info, find_pool},
	{"STORAGE_POOL_GET_XML_DESC", get_xml, find_pool, POOL_XML_INACTIVE},
	{"STORAGE_POOL_GET_AUTOSTART", get_autostart, find_pool},
	{"STORAGE_POOL_IS_ACTIVE", is_active, find_pool},
	{"STORAGE_POOL_IS_PERSISTENT", is_persistent, find_pool},
	{"STORAGE_POOL_DEFINE_XML", define, NULL, POOL_DEFINE_VALIDATE},
	{"STORAGE_POOL_CREATE_XML", create_xml, NULL, POOL_CREATE_FLAGS},
	{"STORAGE_POOL_CREATE", create, find_pool, POOL_CREATE_FLAGS},
	{"STORAGE_POOL_REFRESH", refresh, find_pool},
	{"STORAGE_POOL_BUILD", build, find_pool},
	{"STORAGE_POOL_DESTROY", destroy, find_pool},
	{"STORAGE_POOL_DELETE", delete, find_pool, POOL_DELETE_ZEROED},
	{"STORAGE_POOL_UNDEFINE", undefine, find_pool},
	{"STORAGE_POOL_SET_AUTOSTART", set_autostart, find_pool},
};
const unsigned remote_storage_pool_count = COUNT_OF(remote_storage_pool);
