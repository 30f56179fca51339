/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/store/store.h"

#include "base/fd.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char new_suffix[] = ".new", pending_suffix[] = ".pending";
enum { UUID_LENGTH = 36 };

int store_sync(const char *dir, struct err *e)
{
	int fd = fd_open(dir, O_RDONLY | O_DIRECTORY, 0, e), ret = 0;

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		ret = err_errno(e, errno, "cannot write %s to disk", dir);
	close(fd);
	return ret;
}

static int write_new(const char *path, const void *data, size_t len, bool durable, struct err *e)
{
	int fd = fd_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, e), ret;

	if (fd < 0)
		return fd;
	ret = fd_write_all(fd, data, len);
	if (ret == 0 && durable && fsync(fd) < 0)
		ret = -errno;
	if (close(fd) < 0 && ret == 0)
		ret = -errno;
	return ret < 0 ? err_errno(e, -ret, "cannot write %s", path) : 0;
}

static void fresh_path(const char *dir, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s%s", dir, name, new_suffix);
}

int store_begin(const char *dir, const char *name, const void *data, size_t len, struct err *e)
{
	char fresh[PATH_MAX];

	fresh_path(dir, name, fresh);
	return write_new(fresh, data, len, false, e);
}

void store_drop(const char *dir, const char *name)
{
	char fresh[PATH_MAX];

	fresh_path(dir, name, fresh);
	unlink(fresh);
}

int store_finish(const char *dir, const char *name, struct err *e)
{
	char fresh[PATH_MAX], path[PATH_MAX];

	fresh_path(dir, name, fresh);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return rename(fresh, path) < 0 ? err_errno(e, errno, "cannot replace %s", path) : 0;
}

int store_write(const char *dir, const char *name, const void *data, size_t len, bool durable, struct err *e)
{
	char fresh[PATH_MAX];
	int ret;

	fresh_path(dir, name, fresh);
	ret = write_new(fresh, data, len, durable, e);
	if (ret == 0)
		ret = store_finish(dir, name, e);
	if (ret < 0) {
		unlink(fresh);
		return ret;
	}
	return durable ? store_sync(dir, e) : 0;
}

/*
 * The first file's fresh contents are begun before the second's, and take their place before the second's do. So a
 * second one that waits belongs to what is there, once the first one waits no more; before that, both are nothing yet.
 */
int store_write_both(const char *dir, const char *name, const void *data, size_t len, const char *beside,
		     const void *beside_data, size_t beside_len, bool durable, struct err *e)
{
	char path[PATH_MAX], fresh[PATH_MAX + 8], second[PATH_MAX], pending[PATH_MAX + 16];
	int ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s%s", path, new_suffix);
	snprintf(second, sizeof(second), "%s/%s", dir, beside);
	snprintf(pending, sizeof(pending), "%s%s", second, pending_suffix);
	ret = write_new(fresh, data, len, durable, e);
	if (ret == 0)
		ret = write_new(pending, beside_data, beside_len, durable, e);
	if (ret == 0 && rename(fresh, path) < 0)
		ret = err_errno(e, errno, "cannot replace %s", path);
	if (ret < 0) {
		unlink(pending);
		unlink(fresh);
		return ret;
	}
	if (rename(pending, second) < 0)
		return err_errno(e, errno, "cannot replace %s", second);
	return durable ? store_sync(dir, e) : 0;
}

int store_read(const char *dir, const char *name, char **out, size_t *len, struct err *e)
{
	char path[PATH_MAX];
	uint8_t *data;
	int ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ret = fd_read_file(path, STORE_FILE_MAX, &data, len, e);
	if (ret == 0)
		*out = (char *)data;
	return ret;
}

int store_remove(const char *dir, const char *name, bool durable, struct err *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot remove %s", path);
	return durable ? store_sync(dir, e) : 0;
}

bool store_has(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static bool ends_in(const char *name, const char *suffix, size_t *stem)
{
	size_t len = strlen(name), end = strlen(suffix);

	if (len <= end || strcmp(name + len - end, suffix))
		return false;
	*stem = len - end;
	return true;
}

/* ---- after a crash ---- */

/* The first file of a pair is UUID + suffix, or its like. */
static void settle_pending(const char *dir, const char *name, const char *suffix)
{
	char fresh[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	size_t stem = strcspn(name, "."), len = strlen(name) - strlen(pending_suffix);

	snprintf(fresh, sizeof(fresh), "%.*s%s%s", (int)stem, name, suffix, new_suffix);
	snprintf(from, sizeof(from), "%s/%s", dir, name);
	snprintf(to, sizeof(to), "%s/%.*s", dir, (int)len, name);
	if (store_has(dir, fresh) ? unlink(from) < 0 : rename(from, to) < 0)
		log_line(LOG_ERROR, "cannot settle %s: %s", from, strerror(errno));
}

static bool begins_with_uuid(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef-");

	return digits == UUID_LENGTH && name[8] == '-' && name[13] == '-' && name[18] == '-' && name[23] == '-' &&
	       name[digits] == '.';
}

static void remove_orphan(const char *dir, const char *name, const char *suffix)
{
	char first[PATH_MAX];

	if (!begins_with_uuid(name))
		return;
	snprintf(first, sizeof(first), "%.*s%s", UUID_LENGTH, name, suffix);
	if (!store_has(dir, first) && store_remove(dir, name, false, NULL) < 0)
		log_line(LOG_WARNING, "cannot remove %s/%s", dir, name);
}

/* One that cannot be removed is replaced by the next write. */
static void remove_new(const char *dir, const char *name)
{
	size_t stem;

	if (ends_in(name, new_suffix, &stem) && store_remove(dir, name, false, NULL) < 0)
		log_line(LOG_WARNING, "cannot remove %s/%s", dir, name);
}

void store_clean(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		remove_new(path, entry->d_name);
	if (dir)
		closedir(dir);
}

static void settle(const char *dir, const char *suffix, struct dirent **list, int count)
{
	size_t stem;

	for (int n = 0; n < count; n++)
		if (ends_in(list[n]->d_name, pending_suffix, &stem))
			settle_pending(dir, list[n]->d_name, suffix);
	for (int n = 0; n < count; n++)
		remove_new(dir, list[n]->d_name);
	for (int n = 0; n < count; n++)
		remove_orphan(dir, list[n]->d_name, suffix);
}

int store_each(const char *dir, const char *suffix, void (*f)(void *opaque, const char *name), void *opaque,
	       struct err *e)
{
	struct dirent **list;
	int count = scandir(dir, &list, NULL, alphasort);
	char name[NAME_MAX + 1];
	size_t stem;

	if (count < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot read %s", dir);
	settle(dir, suffix, list, count);
	for (int n = 0; n < count; n++) {
		if (ends_in(list[n]->d_name, suffix, &stem)) {
			snprintf(name, sizeof(name), "%.*s", (int)stem, list[n]->d_name);
			f(opaque, name);
		}
		free(list[n]);
	}
	free(list);
	return 0;
}
