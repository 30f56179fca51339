/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All the pools, and the directory that a pool is. */
#include "daemon/storage/storage_priv.h"

#include "base/log.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { DEFAULT_DIR_MODE = 0711 };

static const char autostarted[] = "autostarted", initialized[] = "initialized";

int storage_create(struct storage **out, struct daemon *daemon, const struct storage_watcher *watcher, struct err *e)
{
	struct storage *st = calloc(1, sizeof(*st));
	int ret;

	if (!st)
		return err_set(e, -ENOMEM, "out of memory");
	st->daemon = daemon;
	st->watcher = *watcher;
	list_init(&st->pools);
	snprintf(st->config_dir, sizeof(st->config_dir), "%s/storage", daemon->config_dir);
	snprintf(st->state_dir, sizeof(st->state_dir), "%s/storage", daemon->run_dir);
	ret = works_create(&st->works, daemon->loop, e);
	if (ret < 0)
		free(st);
	else
		*out = st;
	return ret;
}

void storage_stop(struct storage *st)
{
	if (st)
		works_stop(st->works);
}

void storage_destroy(struct storage *st)
{
	if (!st)
		return;
	works_destroy(st->works);
	list_each_safe(it, &st->pools) pool_free(list_entry(it, struct pool, node));
	free(st);
}

struct works *storage_works(struct storage *st)
{
	return st->works;
}

/* ---- finding ---- */

struct pool *pool_by_uuid(struct storage *st, const uint8_t uuid[16])
{
	list_each(it, &st->pools)
	{
		struct pool *p = list_entry(it, struct pool, node);

		if (!memcmp(pool_uuid(p), uuid, 16))
			return p;
	}
	return NULL;
}

struct pool *pool_by_name(struct storage *st, const char *name)
{
	list_each(it, &st->pools)
	{
		struct pool *p = list_entry(it, struct pool, node);

		if (!strcmp(pool_name(p), name))
			return p;
	}
	return NULL;
}

/* Slashes at the end and doubled ones mean nothing. */
static bool same_path(const char *a, const char *b)
{
	while (*a && *b) {
		if (*a != *b)
			break;
		for (bool slash = *a == '/'; slash && a[1] == '/';)
			a++;
		for (bool slash = *b == '/'; slash && b[1] == '/';)
			b++;
		a++;
		b++;
	}
	return !a[strspn(a, "/")] && !b[strspn(b, "/")];
}

struct pool *pool_by_target(struct storage *st, const char *path)
{
	list_each(it, &st->pools)
	{
		struct pool *p = list_entry(it, struct pool, node);

		if (same_path(p->def->path, path))
			return p;
	}
	return NULL;
}

void pools_each(struct storage *st, void (*f)(void *opaque, struct pool *p), void *opaque)
{
	list_each(it, &st->pools) f(opaque, list_entry(it, struct pool, node));
}

/* ---- one ---- */

struct pool *pool_new(struct storage *st, struct pooldef *def)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->all = st;
	p->def = def;
	list_init(&p->volumes);
	list_add_tail(&st->pools, &p->node);
	return p;
}

void pool_free(struct pool *p)
{
	list_remove(&p->node);
	pool_forget_volumes(p);
	pooldef_free(p->def);
	pooldef_free(p->next);
	free(p);
}

void pool_lifecycle(const struct pool *p, int event)
{
	p->all->watcher.lifecycle(p->all->watcher.opaque, p, event);
}

void pool_space(const struct pool *p, struct pool_space *s)
{
	struct statvfs fs;

	*s = (struct pool_space){0};
	if (!p->active || statvfs(p->def->path, &fs) < 0)
		return;
	s->capacity = (uint64_t)fs.f_blocks * fs.f_frsize;
	s->available = (uint64_t)fs.f_bavail * fs.f_frsize;
	s->allocation = s->capacity - s->available;
}

char *pool_xml(struct pool *p, bool inactive)
{
	struct pooldef *def = inactive && p->next ? p->next : p->def;
	struct pool_space s;
	struct stat st;

	pool_space(p, &s);
	def->capacity = xnum(s.capacity);
	def->allocation = xnum(s.allocation);
	def->available = xnum(s.available);
	/* An active pool's are what they are, not what was wished for. */
	if (p->active && !inactive && stat(def->path, &st) == 0 &&
	    (xstr_printf(&def->permissions.mode, "%04o", st.st_mode & 07777) < 0 ||
	     xstr_printf(&def->permissions.owner, "%u", st.st_uid) < 0 ||
	     xstr_printf(&def->permissions.group, "%u", st.st_gid) < 0))
		return NULL;
	return pooldef_format(def);
}

/* ---- directories ---- */

static int number(const char *text, int base, int64_t max, int64_t *out, struct err *e)
{
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*out = strtoll(text, &end, base);
	if (errno || end == text || *end || *out < -1 || *out > max)
		return err_set(e, -EBADMSG, "invalid permission '%.40s'", text);
	return 0;
}

int permissions_read(const struct storage_permissions *d, struct want *w, struct err *e)
{
	int64_t mode = -1;
	int ret = number(d->mode, 8, 07777, &mode, e);

	*w = (struct want){.mode = (int)mode, .owner = -1, .group = -1};
	if (ret == 0)
		ret = number(d->owner, 10, UINT32_MAX - 1, &w->owner, e);
	return ret < 0 ? ret : number(d->group, 10, UINT32_MAX - 1, &w->group, e);
}

static int make_parents(const char *path, struct err *e)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		if (snprintf(part, sizeof(part), "%.*s", (int)(p - path), path) >= (int)sizeof(part))
			return err_set(e, -ENAMETOOLONG, "the path %.100s... is too long", path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make the directory %s", part);
	}
	return 0;
}

int pool_make_dir(const struct pooldef *def, struct err *e)
{
	struct want w;
	struct stat st;
	int ret = permissions_read(&def->permissions, &w, e);

	if (ret == 0)
		ret = make_parents(def->path, e);
	if (ret < 0)
		return ret;
	if (mkdir(def->path, w.mode < 0 ? DEFAULT_DIR_MODE : (mode_t)w.mode) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make the directory %s", def->path);
	if (stat(def->path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "%s is no directory", def->path);
	if ((w.owner >= 0 || w.group >= 0) && chown(def->path, (uid_t)w.owner, (gid_t)w.group) < 0)
		return err_errno(e, errno, "cannot give away the directory %s", def->path);
	if (w.mode >= 0 && chmod(def->path, (mode_t)w.mode) < 0)
		return err_errno(e, errno, "cannot set the mode of %s", def->path);
	return 0;
}

/* ---- the daemon's start ---- */

static struct pooldef *read_def(const char *dir, const char *name)
{
	struct pooldef *def = NULL;
	struct err e = {0};
	char file[64], *text;
	size_t len;

	snprintf(file, sizeof(file), "%.36s.xml", name);
	if (store_read(dir, file, &text, &len, &e) == 0) {
		if (pooldef_parse(&def, text, len, false, &e) < 0)
			def = NULL;
		free(text);
	}
	if (!def)
		log_line(LOG_ERROR, "the storage pool in %s/%s is left alone: %s", dir, file, e.text);
	return def;
}

static void load_defined(void *opaque, const char *name)
{
	struct storage *st = opaque;
	struct pooldef *def = read_def(st->config_dir, name);
	struct pool *p = def ? pool_new(st, def) : NULL;
	char file[64];

	if (!p) {
		pooldef_free(def);
		return;
	}
	p->persistent = true;
	snprintf(file, sizeof(file), "%.36s.autostart", name);
	p->autostart = store_has(st->config_dir, file);
}

/* It was active when the last daemon ended. */
static void load_active(void *opaque, const char *name)
{
	struct storage *st = opaque;
	struct pooldef *def = read_def(st->state_dir, name);
	struct pool *p = def ? pool_by_uuid(st, def->uuid.b) : NULL;
	struct err e = {0};

	if (p) {
		p->next = p->def;
		p->def = def;
	} else if (def) {
		p = pool_new(st, def);
	}
	if (!p) {
		pooldef_free(def);
		return;
	}
	if (pool_start_now(p, &e) == 0)
		return;
	log_line(LOG_ERROR, "storage pool %s is no longer active: %s", pool_name(p), e.text);
	pool_unnote(p);
	if (!p->persistent)
		pool_free(p);
}

/* Once ever: whoever undefines it later does not want it back. */
static int make_default(struct storage *st, struct err *e)
{
	const char *path = st->daemon->images_dir;
	char *xml = NULL, name[64], uuid[37];
	struct fault f = {0};
	struct pool *p;
	int ret;

	if (store_has(st->config_dir, initialized))
		return 0;
	if (!pool_by_name(st, "default") && !pool_by_target(st, path)) {
		if (xstr_printf(&xml, "<pool type='dir'><name>default</name><target><path>%s</path></target></pool>",
				path) < 0)
			return err_set(e, -ENOMEM, "out of memory");
		ret = pool_define(st, xml, false, &p, &f);
		free(xml);
		if (ret < 0)
			return err_set(e, -EIO, "%s", f.text);
		xuuid_text(pool_uuid(p), uuid);
		snprintf(name, sizeof(name), "%s.autostart", uuid);
		ret = store_write(st->config_dir, name, "", 0, true, e);
		if (ret < 0)
			return ret;
		p->autostart = true;
		if (pool_make_dir(p->def, e) < 0)
			log_line(LOG_WARNING, "storage pool default has no directory: %s", e->text);
	}
	return store_write(st->config_dir, initialized, "", 0, true, e);
}

static void autostart(void *opaque, struct pool *p)
{
	struct err e = {0};

	if (!p->autostart || p->active)
		return;
	if (pool_start_now(p, &e) < 0)
		log_line(LOG_ERROR, "autostart of storage pool %s: %s", pool_name(p), e.text);
}

static int make_dirs(const struct storage *st, struct err *e)
{
	const char *const dirs[] = {st->config_dir, st->state_dir};

	for (unsigned n = 0; n < COUNT_OF(dirs); n++)
		if (mkdir(dirs[n], 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make the directory %s", dirs[n]);
	return 0;
}

/* Beside the images of the system's instance: where virt-install from another host uploads the kernel of --location,
 * through a pool that it defines there without building it. */
static void make_boot_dir(const struct storage *st)
{
	const char *images = st->daemon->images_dir, *slash = strrchr(images, '/');
	char path[PATH_MAX];
	struct err e;

	if (st->daemon->session || !slash || slash == images)
		return;
	snprintf(path, sizeof(path), "%.*s/boot", (int)(slash - images), images);
	if (make_parents(path, &e) < 0 || (mkdir(path, DEFAULT_DIR_MODE) < 0 && errno != EEXIST))
		log_line(LOG_WARNING, "cannot make the directory %s, where virt-install uploads kernels", path);
}

int storage_load(struct storage *st, struct err *e)
{
	int ret = make_dirs(st, e);

	if (ret == 0)
		ret = store_each(st->config_dir, ".xml", load_defined, st, e);
	if (ret == 0)
		ret = store_each(st->state_dir, ".xml", load_active, st, e);
	if (ret == 0)
		ret = make_default(st, e);
	make_boot_dir(st);
	if (ret < 0)
		return ret;
	if (store_has(st->state_dir, autostarted) || store_write(st->state_dir, autostarted, "", 0, false, NULL) < 0)
		return 0;
	pools_each(st, autostart, st);
	return 0;
}
