/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions of pools: on disk under their UUID. */
#include "daemon/storage/storage_priv.h"

#include "daemon/store/store.h"
#include "daemon/xml/domdef.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POOL_NAME_MAX = 200 };

static void file_name(const struct pooldef *def, const char *suffix, char out[64])
{
	char uuid[37];

	xuuid_text(def->uuid.b, uuid);
	snprintf(out, 64, "%s%s", uuid, suffix);
}

static int write_definition(const struct storage *st, const struct pooldef *def, struct fault *f)
{
	char *text = pooldef_format(def), name[64];
	struct err e = {0};
	int ret;

	if (!text)
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the definition");
	file_name(def, ".xml", name);
	ret = store_write(st->config_dir, name, text, strlen(text), true, &e);
	free(text);
	return ret < 0 ? fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e) : 0;
}

static struct pooldef *parse(const char *xml, bool validate, struct fault *f)
{
	struct pooldef *def;
	struct want w;
	struct err e = {0};
	int ret = pooldef_parse(&def, xml, strlen(xml), validate, &e);

	if (ret == 0 && def->type != POOLDEF_DIR)
		fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
			  "storage pools of type 'dir' are possible, others are not");
	else if (ret == 0 && strlen(def->name) > POOL_NAME_MAX)
		fault_set(f, FAULT_XML, FROM_STORAGE, "the pool's name has more than %d bytes", POOL_NAME_MAX);
	else if (ret == 0 && strlen(def->path) > PATH_MAX / 2)
		fault_set(f, FAULT_XML, FROM_STORAGE, "the pool's path is too long");
	else if (ret == 0 && permissions_read(&def->permissions, &w, &e) < 0)
		fault_set(f, FAULT_XML, FROM_STORAGE, "%s", e.text);
	else if (ret < 0)
		fault_set(f, domdef_fault(ret), FROM_STORAGE, "%s", e.text);
	else
		return def;
	pooldef_free(def);
	return NULL;
}

/* The pool that the definition is of: same name and same UUID, or neither; and no two of one directory. */
static int find_same(struct storage *st, const struct pooldef *def, struct pool **out, struct fault *f)
{
	struct pool *by_uuid = pool_by_uuid(st, def->uuid.b), *by_name = pool_by_name(st, def->name);
	struct pool *there = pool_by_target(st, def->path);
	char uuid[37];

	*out = by_uuid;
	if (by_uuid != by_name) {
		xuuid_text(pool_uuid(by_uuid ? by_uuid : by_name), uuid);
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_STORAGE, "pool '%s' %s uuid %s",
				 pool_name(by_uuid ? by_uuid : by_name),
				 by_uuid ? "is already defined with" : "already exists with", uuid);
	}
	if (there && there != by_uuid)
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_STORAGE, "Storage source conflict with pool: '%s'",
				 pool_name(there));
	if (by_uuid && by_uuid->starting)
		return fault_set(f, FAULT_INTERNAL, FROM_STORAGE, "pool '%s' has asynchronous jobs running.",
				 def->name);
	return 0;
}

/* ---- define ---- */

static void replace(struct pooldef **place, struct pooldef *def)
{
	pooldef_free(*place);
	*place = def;
}

int pool_define(struct storage *st, const char *xml, bool validate, struct pool **out, struct fault *f)
{
	struct pooldef *def = parse(xml, validate, f);
	struct pool *p;

	if (!def)
		return -1;
	if (find_same(st, def, &p, f) < 0 || write_definition(st, def, f) < 0) {
		pooldef_free(def);
		return -1;
	}
	if (p) {
		replace(p->active ? &p->next : &p->def, def);
	} else {
		p = pool_new(st, def);
		if (!p) {
			pooldef_free(def);
			return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the pool");
		}
	}
	p->persistent = true;
	*out = p;
	pool_lifecycle(p, POOL_EVENT_DEFINED);
	return 0;
}

int pool_create(struct storage *st, const char *xml, bool validate, bool build, pool_done_fn done, void *opaque,
		struct fault *f)
{
	struct pooldef *def = parse(xml, validate, f);
	struct pool *p;

	if (!def)
		return -1;
	if (find_same(st, def, &p, f) < 0) {
		pooldef_free(def);
		return -1;
	}
	if (p && p->active) {
		pooldef_free(def);
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "pool is already active as '%s'",
				 pool_name(p));
	}
	if (p) {
		p->next = p->def;
		p->def = def;
	} else {
		p = pool_new(st, def);
	}
	if (!p) {
		pooldef_free(def);
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the pool");
	}
	if (pool_start(p, build, done, opaque, f) == 0)
		return 0;
	if (p->next) {
		replace(&p->def, p->next);
		p->next = NULL;
	} else {
		pool_free(p);
	}
	return -1;
}

/* ---- the rest of its life ---- */

static int must_be_off(const struct pool *p, struct fault *f)
{
	if (p->active)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "storage pool '%s' is still active",
				 pool_name(p));
	if (p->works)
		return fault_set(f, FAULT_INTERNAL, FROM_STORAGE, "pool '%s' has asynchronous jobs running.",
				 pool_name(p));
	return 0;
}

int pool_undefine(struct pool *p, struct fault *f)
{
	struct err e = {0};
	char name[64];

	if (must_be_off(p, f) < 0)
		return -1;
	file_name(p->def, ".xml", name);
	if (store_remove(p->all->config_dir, name, true, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	file_name(p->def, ".autostart", name);
	if (store_remove(p->all->config_dir, name, false, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	pool_lifecycle(p, POOL_EVENT_UNDEFINED);
	pool_free(p);
	return 0;
}

int pool_build(struct pool *p, struct fault *f)
{
	struct err e = {0};

	if (must_be_off(p, f) < 0)
		return -1;
	if (pool_make_dir(p->def, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	pool_lifecycle(p, POOL_EVENT_CREATED);
	return 0;
}

int pool_delete(struct pool *p, struct fault *f)
{
	struct err e = {0};

	if (must_be_off(p, f) < 0)
		return -1;
	asides_clear(p->def->path);
	if (rmdir(p->def->path) < 0) {
		err_errno(&e, errno, "failed to remove pool '%s'", p->def->path);
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	}
	pool_lifecycle(p, POOL_EVENT_DELETED);
	return 0;
}

int pool_set_autostart(struct pool *p, bool on, struct fault *f)
{
	struct err e = {0};
	char name[64];
	int ret;

	if (!p->persistent)
		return fault_set(f, FAULT_INVALID_ARG, FROM_STORAGE, "pool has no config file");
	if (p->autostart == on)
		return 0;
	file_name(p->def, ".autostart", name);
	ret = on ? store_write(p->all->config_dir, name, "", 0, true, &e)
		 : store_remove(p->all->config_dir, name, true, &e);
	if (ret < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	p->autostart = on;
	return 0;
}
