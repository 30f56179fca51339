/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/disk.h"

#include "block/disk_image.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int disk_overlay(const char *path, const char *raw, uint64_t size, struct err *e)
{
	const struct qcow2_create c = { .size = size, .backing = raw, .backing_format = "raw" };
	struct stat st;

	if (stat(raw, &st) < 0)
		return err_errno(e, errno, _("cannot use %s"), raw);
	if ((uint64_t)st.st_size > size)
		return err_set(e, -EINVAL, _("the disk must hold at least %lld bytes; ask for more with --disk"),
			       (long long)st.st_size);
	return disk_image_create(path, IMAGE_QCOW2, &c, e);
}

/* The next piece of data, from *at on. False: there is none. */
static bool next_data(int fd, off_t size, off_t *at, off_t *end)
{
	off_t start = lseek(fd, *at, SEEK_DATA);

	if (start < 0 && errno != EINVAL)
		return false;
	*at = start < 0 ? *at : start; /* a file system that does not tell: all is data */
	*end = lseek(fd, *at, SEEK_HOLE);
	if (*end < 0)
		*end = size;
	return *at < size;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t in = at, out = at;
		ssize_t n = copy_file_range(from, &in, to, &out, end - at, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
	}
	return 0;
}

static int copy_all(int from, int to)
{
	struct stat st;
	off_t at = 0, end;
	int ret = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
		return -errno;
	for (; ret == 0 && next_data(from, st.st_size, &at, &end); at = end)
		ret = copy_range(from, to, at, end);
	return ret < 0 || fsync(to) == 0 ? ret : -errno;
}

int disk_copy(const char *from, const char *to, struct err *e)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, ret;

	if (in < 0)
		return err_errno(e, errno, _("cannot read %s"), from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ret = out < 0 ? -errno : copy_all(in, out);
	close(in);
	if (out >= 0) {
		close(out);
		if (ret < 0)
			unlink(to);
	}
	return ret < 0 ? err_errno(e, -ret, _("cannot copy %s to %s"), from, to) : 0;
}
