/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files are made in a directory beside the others and moved to their names when they are whole. The directory is locked
 * while its maker lives; one that is not locked was left by a crash. */
#include "daemon/storage/storage_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { TRIES = 100, ZERO_CHUNK = 1 << 20 };

static const char prefix[] = ".panal-new.", wipe_name[] = "wipe", file_name[] = "file";

bool aside_is_name(const char *name)
{
	return !strncmp(name, prefix, sizeof(prefix) - 1);
}

/* Between the making and the lock another daemon may clear it: then there is nothing at the name any more. */
static int lock_dir(struct aside *a)
{
	struct stat own, there;

	a->fd = open(a->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (a->fd < 0)
		return -errno;
	if (flock(a->fd, LOCK_EX | LOCK_NB) == 0 && fstat(a->fd, &own) == 0 && stat(a->dir, &there) == 0 &&
	    own.st_ino == there.st_ino)
		return 0;
	close(a->fd);
	return -EAGAIN;
}

int aside_make(struct aside *a, const char *pool_dir, struct err *e)
{
	int ret = -EAGAIN;

	for (unsigned n = 0; n < TRIES && ret < 0; n++) {
		if (snprintf(a->dir, sizeof(a->dir), "%s/%sXXXXXX", pool_dir, prefix) >= (int)sizeof(a->dir) - 16)
			return err_set(e, -ENAMETOOLONG, "the path %.100s... is too long", pool_dir);
		if (!mkdtemp(a->dir))
			return err_errno(e, errno, "cannot make a directory in %s", pool_dir);
		ret = lock_dir(a);
	}
	if (ret < 0)
		return err_errno(e, -ret, "cannot lock a directory in %s", pool_dir);
	snprintf(a->file, sizeof(a->file), "%s/%s", a->dir, file_name);
	return 0;
}

static int sync_parent(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	int fd, ret = 0;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		ret = err_errno(e, errno, "cannot write %s to disk", dir);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int sync_file(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), ret = 0;

	if (fd < 0 || fsync(fd) < 0)
		ret = err_errno(e, errno, "cannot write %s to disk", path);
	if (fd >= 0)
		close(fd);
	return ret;
}

int aside_publish(struct aside *a, const char *path, struct err *e)
{
	int ret = sync_file(a->file, e);

	if (ret < 0)
		return ret;
	if (renameat2(AT_FDCWD, a->file, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
		/* Not every file system has it; a hard link does not replace either. */
		if (errno != EINVAL || link(a->file, path) < 0)
			return err_errno(e, errno, "cannot put the volume to %s", path);
		unlink(a->file);
	}
	return sync_parent(path, e);
}

int aside_exchange(struct aside *a, const char *path, struct err *e)
{
	char wipe[PATH_MAX + 8];
	int ret = sync_file(a->file, e);

	/* From the exchange on the directory holds what is to be overwritten: its name says so to who clears it. */
	snprintf(wipe, sizeof(wipe), "%s/%s", a->dir, wipe_name);
	if (ret == 0 && rename(a->file, wipe) < 0)
		ret = err_errno(e, errno, "cannot rename %s", a->file);
	if (ret < 0)
		return ret;
	snprintf(a->file, sizeof(a->file), "%s", wipe);
	if (renameat2(AT_FDCWD, a->file, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return err_errno(e, errno, "cannot exchange %s", path);
	return sync_parent(path, e);
}

static void clear(const char *dir)
{
	static const char *const names[] = {wipe_name, file_name};
	char path[PATH_MAX + 8];

	for (unsigned n = 0; n < COUNT_OF(names); n++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[n]);
		if (names[n] == wipe_name && access(path, F_OK) == 0 && overwrite_file(path, NULL, NULL) < 0)
			continue; /* it stays, for the next time */
		unlink(path);
	}
	rmdir(dir);
}

void aside_remove(struct aside *a)
{
	if (access(a->file, F_OK) == 0)
		unlink(a->file);
	rmdir(a->dir);
	close(a->fd);
}

void asides_clear(const char *pool_dir)
{
	DIR *d = opendir(pool_dir);
	struct dirent *entry;
	struct aside a;

	while (d && (entry = readdir(d))) {
		if (!aside_is_name(entry->d_name))
			continue;
		snprintf(a.dir, sizeof(a.dir), "%.2048s/%s", pool_dir, entry->d_name);
		if (lock_dir(&a) < 0)
			continue;
		clear(a.dir);
		close(a.fd);
	}
	if (d)
		closedir(d);
}

static int overwrite(int fd, uint8_t *zeros, const atomic_bool *stop)
{
	off_t at = 0, size = lseek(fd, 0, SEEK_END);

	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA), end;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(fd, data, SEEK_HOLE);
		for (at = data; at < end;) {
			size_t len = end - at < ZERO_CHUNK ? (size_t)(end - at) : ZERO_CHUNK;
			ssize_t done = pwrite(fd, zeros, len, at);

			if (done < 0 && errno != EINTR)
				return -errno;
			if (stop && atomic_load(stop))
				return -ECANCELED;
			at += done > 0 ? done : 0;
		}
	}
	return 0;
}

int overwrite_file(const char *path, const atomic_bool *stop, struct err *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), ret;
	uint8_t *zeros = calloc(1, ZERO_CHUNK);

	ret = fd < 0 ? -errno : zeros ? overwrite(fd, zeros, stop) : -ENOMEM;
	if (ret == 0 && fsync(fd) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	free(zeros);
	return ret < 0 ? err_errno(e, -ret, "cannot overwrite %s", path) : 0;
}
