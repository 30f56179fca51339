/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/store/store.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char new_suffix[] = ".new";

static int sync_dir(const char *dir, struct err *e)
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

int store_write(const char *dir, const char *name, const void *data, size_t len, bool durable, struct err *e)
{
	char path[PATH_MAX], fresh[PATH_MAX + 8];
	int ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s%s", path, new_suffix);
	ret = write_new(fresh, data, len, durable, e);
	if (ret == 0 && rename(fresh, path) < 0)
		ret = err_errno(e, errno, "cannot replace %s", path);
	if (ret < 0) {
		unlink(fresh);
		return ret;
	}
	return durable ? sync_dir(dir, e) : 0;
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
	return durable ? sync_dir(dir, e) : 0;
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

int store_each(const char *dir, const char *suffix, void (*f)(void *opaque, const char *name), void *opaque,
	       struct err *e)
{
	struct dirent **list;
	int count = scandir(dir, &list, NULL, alphasort);
	char name[NAME_MAX + 1];
	size_t stem;

	if (count < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot read %s", dir);
	for (int n = 0; n < count; n++) {
		if (ends_in(list[n]->d_name, new_suffix, &stem)) {
			if (store_remove(dir, list[n]->d_name, false, NULL) < 0)
				continue; /* it is replaced by the next write */
		} else if (ends_in(list[n]->d_name, suffix, &stem)) {
			snprintf(name, sizeof(name), "%.*s", (int)stem, list[n]->d_name);
			f(opaque, name);
		}
		free(list[n]);
	}
	free(list);
	return 0;
}
