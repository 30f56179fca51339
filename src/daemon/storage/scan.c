/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory's files as volumes. */
#include "daemon/storage/storage_priv.h"

#include "daemon/storage/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void found_free(struct found *f)
{
	voldef_free(f->def);
	free(f);
}

static int put_time(char **member, struct statx_timestamp t)
{
	return xstr_printf(member, "%lld.%09u", (long long)t.tv_sec, t.tv_nsec);
}

static int put_stat(struct voldef *d, const struct statx *st)
{
	d->allocation = xnum(st->stx_blocks * 512);
	d->physical = xnum(st->stx_size);
	if (xstr_printf(&d->permissions.mode, "%04o", st->stx_mode & 07777) < 0 ||
	    xstr_printf(&d->permissions.owner, "%u", st->stx_uid) < 0 ||
	    xstr_printf(&d->permissions.group, "%u", st->stx_gid) < 0 || put_time(&d->atime, st->stx_atime) < 0 ||
	    put_time(&d->mtime, st->stx_mtime) < 0 || put_time(&d->ctime, st->stx_ctime) < 0)
		return -ENOMEM;
	return st->stx_mask & STATX_BTIME ? put_time(&d->btime, st->stx_btime) : 0;
}

/* A name without a slash at its beginning is meant from the image's directory. */
static int put_backing(struct voldef *d, const char *dir, const struct probe *p)
{
	const char *format = p->backing_format[0] ? p->backing_format : "raw";
	int ret;

	if (!p->backing[0])
		return 0;
	if (p->backing[0] == '/')
		ret = xstr_set(&d->backing_path, p->backing);
	else
		ret = xstr_printf(&d->backing_path, "%s/%s", dir, p->backing);
	return ret < 0 ? ret : xstr_set(&d->backing_format, format);
}

static int put_features(struct voldef *d)
{
	struct xraw *r = calloc(1, sizeof(*r));

	if (!r || xstr_set(&r->name, "features") < 0 ||
	    xstr_set(&r->text, "<features>\n  <lazy_refcounts/>\n</features>") < 0 || xlist_add(&d->features, r) < 0) {
		if (r)
			xraw_free(r);
		return -ENOMEM;
	}
	return 0;
}

static int put_image(struct voldef *d, const char *dir, int fd, const struct statx *st)
{
	struct probe p;
	int ret = probe_fd(&p, fd);
	off_t size = lseek(fd, 0, SEEK_END);

	if (ret < 0)
		return ret;
	d->capacity = xnum(p.capacity ? p.capacity : size > 0 ? (uint64_t)size : st->stx_size);
	ret = xstr_set(&d->format, p.format);
	if (ret == 0 && p.compat)
		ret = xstr_set(&d->compat, p.compat);
	if (p.cluster)
		d->cluster_size = xnum(p.cluster);
	if (ret == 0 && p.lazy_refcounts)
		ret = put_features(d);
	return ret == 0 ? put_backing(d, dir, &p) : ret;
}

static int describe(struct found *f, const char *dir, const char *name, int fd, const struct statx *st)
{
	struct voldef *d = f->def;
	int ret = xstr_set(&d->name, name);

	f->inode = st->stx_ino;
	f->changed = (struct timespec){st->stx_ctime.tv_sec, st->stx_ctime.tv_nsec};
	if (ret == 0)
		ret = xstr_printf(&d->path, "%s/%s", strcmp(dir, "/") ? dir : "", name);
	if (ret == 0)
		ret = xstr_set(&d->key, d->path);
	if (ret == 0)
		ret = put_stat(d, st);
	if (ret < 0)
		return ret;
	d->type = S_ISDIR(st->stx_mode) ? VOLDEF_DIR : S_ISBLK(st->stx_mode) ? VOLDEF_BLOCK : VOLDEF_FILE;
	if (d->type != VOLDEF_DIR)
		return put_image(d, dir, fd, st);
	d->capacity = xnum(st->stx_size);
	return xstr_set(&d->format, "dir");
}

/* Only what opens without waiting, and is no pipe or terminal. */
static int open_file(const char *path, struct statx *st)
{
	struct stat first;
	int fd;

	if (stat(path, &first) < 0)
		return -errno;
	if (!S_ISREG(first.st_mode) && !S_ISDIR(first.st_mode) && !S_ISBLK(first.st_mode))
		return -ESRCH;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, st) == 0 &&
	    ((st->stx_mode ^ first.st_mode) & S_IFMT) == 0)
		return fd;
	close(fd);
	return -ESRCH;
}

struct found *scan_file(const char *dir, const char *name, struct err *e)
{
	struct found *f = calloc(1, sizeof(*f));
	char path[PATH_MAX];
	struct statx st;
	int fd = -ENAMETOOLONG, ret;

	if (f)
		f->def = calloc(1, sizeof(*f->def));
	if (!f || !f->def) {
		free(f);
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path))
		fd = open_file(path, &st);
	ret = fd < 0 ? fd : describe(f, dir, name, fd, &st);
	if (fd >= 0)
		close(fd);
	if (ret == 0)
		return f;
	err_errno(e, -ret, "cannot look at the volume %s", path);
	found_free(f);
	return NULL;
}

/* Names that XML could not carry, and what is never an image. */
static bool is_shown(const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lost+found") || aside_is_name(name))
		return false;
	return probe_is_text(name);
}

/* What cannot be read, or went meanwhile, is not shown; a directory that cannot be read is an error. */
int scan_dir(struct list *found, const char *path, struct err *e)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	list_init(found);
	if (!d)
		return err_errno(e, errno, "cannot open directory '%s'", path);
	asides_clear(path);
	while ((entry = readdir(d))) {
		struct err why = {0};
		struct found *f = is_shown(entry->d_name) ? scan_file(path, entry->d_name, &why) : NULL;

		if (f)
			list_add_tail(found, &f->node);
	}
	closedir(d);
	return 0;
}
