/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes: finding, looking again, deleting. */
#include "daemon/storage/storage_priv.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct volume *volume_add(struct pool *p, struct found *f)
{
	struct volume *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->pool = p;
	list_add_tail(&p->volumes, &v->node);
	p->volume_count++;
	volume_take(v, f);
	return v;
}

void volume_take(struct volume *v, struct found *f)
{
	voldef_free(v->def);
	v->def = f->def;
	v->inode = f->inode;
	v->changed = f->changed;
	free(f);
}

void volume_free(struct volume *v)
{
	list_remove(&v->node);
	v->pool->volume_count--;
	voldef_free(v->def);
	free(v);
}

struct volume *volume_by_name(struct pool *p, const char *name)
{
	list_each(it, &p->volumes)
	{
		struct volume *v = list_entry(it, struct volume, node);

		if (!strcmp(v->def->name, name))
			return v;
	}
	return NULL;
}

struct volume *volume_by_path(struct storage *st, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	struct pool *p;

	if (!slash || (size_t)(slash - path) >= sizeof(dir) - 1)
		return NULL;
	memcpy(dir, path, (size_t)(slash - path) + 1);
	dir[slash - path + 1] = 0;
	p = pool_by_target(st, dir);
	return p && p->active ? volume_by_name(p, slash + 1) : NULL;
}

const char *volume_for_machine(struct storage *st, const char *pool, const char *name)
{
	struct pool *p = pool && name ? pool_by_name(st, pool) : NULL;
	struct volume *v;
	struct err e = {0};

	if (p && !p->active && !p->starting) {
		if (pool_start_now(p, &e) < 0)
			log_line(LOG_ERROR, "storage pool %s does not start: %s", pool, e.text);
		else
			pool_lifecycle(p, POOL_EVENT_STARTED);
	}
	v = p && p->active ? volume_by_name(p, name) : NULL;
	return v ? v->def->path : NULL;
}

int volume_update(struct volume *v, struct fault *f)
{
	struct err e = {0};
	struct found *fresh;
	struct stat st;

	/* Reading changes the time of access alone, and clients ask for many volumes at once. */
	if (stat(v->def->path, &st) == 0 && st.st_ino == v->inode && st.st_ctim.tv_sec == v->changed.tv_sec &&
	    st.st_ctim.tv_nsec == v->changed.tv_nsec && v->def->allocation.v == (uint64_t)st.st_blocks * 512)
		return 0;
	fresh = scan_file(v->pool->def->path, v->def->name, &e);
	if (fresh) {
		volume_take(v, fresh);
		return 0;
	}
	fault_set(f, FAULT_NO_VOLUME, FROM_STORAGE, "%s", e.text);
	if ((e.code == -ENOENT || e.code == -ESRCH) && !v->users) {
		v->pool->changes++;
		volume_free(v);
	}
	return -1;
}

int volume_delete(struct volume *v, struct fault *f)
{
	struct pool *p = v->pool;
	struct err e = {0};

	if (v->users)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "volume '%s' is still in use.",
				 v->def->name);
	if ((v->def->type == VOLDEF_DIR ? rmdir(v->def->path) : unlink(v->def->path)) < 0 && errno != ENOENT) {
		err_errno(&e, errno, "cannot unlink file '%s'", v->def->path);
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	}
	p->changes++;
	volume_free(v);
	return 0;
}
