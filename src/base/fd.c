/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int fd_open(const char *path, int flags, unsigned mode, struct err *e)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? err_errno(e, errno, "cannot open %s", path) : fd;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_write_all(int fd, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	while (len) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

int64_t fd_read_all(int fd, void *buf, size_t len)
{
	uint8_t *to = buf;
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, to + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int fd_memfd(const char *name, uint64_t size, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "cannot create shared memory %s", name);
	if (size > INT64_MAX || ftruncate(fd, (off_t)size) < 0) {
		int reason = size > INT64_MAX ? EFBIG : errno;

		close(fd);
		return err_errno(e, reason, "cannot size shared memory %s to %llu MiB", name,
				 (unsigned long long)(size >> 20));
	}
	return fd;
}

int fd_event(struct err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? err_errno(e, errno, "cannot create an eventfd") : fd;
}

void fd_event_signal(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	/* EAGAIN: the counter is full, so it is signalled. */
}

bool fd_event_clear(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static int read_whole(int fd, const char *path, size_t max, uint8_t **out, size_t *len, struct err *e)
{
	struct stat st;
	uint8_t *data;
	int64_t n;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(e, -EFBIG, "%s is too large: %lld bytes, at most %zu", path, (long long)st.st_size, max);
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return err_set(e, -ENOMEM, "no memory for the %lld bytes of %s", (long long)st.st_size, path);
	n = fd_read_all(fd, data, (size_t)st.st_size);
	if (n < 0) {
		free(data);
		return err_errno(e, (int)-n, "cannot read %s", path);
	}
	data[n] = 0;
	*out = data;
	*len = (size_t)n;
	return 0;
}

int fd_read_file(const char *path, size_t max, uint8_t **out, size_t *len, struct err *e)
{
	int fd = fd_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, e), ret;

	if (fd < 0)
		return fd;
	ret = read_whole(fd, path, max, out, len, e);
	close(fd);
	return ret;
}
