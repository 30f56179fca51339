/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/qcow2_file.h"

#include "base/bytes.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIRECT_ALIGN = 4096, DIRECT_UNIT = 512, IOV_AT_ONCE = 1024 };

struct posix {
	int fd;
	bool own, direct;
};

unsigned iov_part(struct iovec *out, const struct iovec *iov, unsigned count, uint64_t skip, uint64_t len)
{
	unsigned n = 0;
	for (unsigned i = 0; i < count && len; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		uint64_t part = iov[i].iov_len - skip;
		part = part < len ? part : len;
		out[n++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, part};
		len -= part;
		skip = 0;
	}
	assert(len == 0);
	return n;
}

void iov_zero(const struct iovec *iov, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

static uint64_t iov_sum(const struct iovec *iov, unsigned count)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < count; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* All of it. A read that meets the end of the file gets zeros for the rest. */
static int transfer(int fd, bool write, const struct iovec *iov, unsigned count, uint64_t at)
{
	struct iovec part[IOV_AT_ONCE];
	uint64_t done = 0, len = iov_sum(iov, count);
	if (count > IOV_AT_ONCE)
		return -EINVAL;
	while (done < len) {
		unsigned n = iov_part(part, iov, count, done, len - done);
		ssize_t got = write ? pwritev(fd, part, n, at + done) : preadv(fd, part, n, at + done);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0 && write)
			return -EIO;
		if (got == 0) {
			iov_zero(part, n);
			return 0;
		}
		done += got > 0 ? got : 0;
	}
	return 0;
}

/* O_DIRECT wants memory, place and length in units of the disk: metadata goes through a buffer that is. */
static int transfer_direct(int fd, bool write, const struct iovec *iov, unsigned count, uint64_t at)
{
	uint64_t len = iov_sum(iov, count), first = round_down(at, DIRECT_UNIT);
	uint64_t whole = round_up(at + len, DIRECT_UNIT) - first;
	bool partly = first != at || whole != len;
	uint8_t *copy = aligned_alloc(DIRECT_ALIGN, round_up(whole, DIRECT_ALIGN));
	struct iovec one = {copy, whole};
	if (!copy)
		return -ENOMEM;
	int rc = !write || partly ? transfer(fd, false, &one, 1, first) : 0;
	uint8_t *at_copy = copy + (at - first);
	for (unsigned i = 0; !rc && i < count; at_copy += iov[i++].iov_len) {
		if (write)
			memcpy(at_copy, iov[i].iov_base, iov[i].iov_len);
		else
			memcpy(iov[i].iov_base, at_copy, iov[i].iov_len);
	}
	if (!rc && write)
		rc = transfer(fd, true, &one, 1, first);
	free(copy);
	return rc;
}

static int posix_readv(void *f, const struct iovec *iov, unsigned count, uint64_t at)
{
	const struct posix *p = f;
	return (p->direct ? transfer_direct : transfer)(p->fd, false, iov, count, at);
}

static int posix_writev(void *f, const struct iovec *iov, unsigned count, uint64_t at)
{
	const struct posix *p = f;
	return (p->direct ? transfer_direct : transfer)(p->fd, true, iov, count, at);
}

static int posix_sync(void *f)
{
	const struct posix *p = f;
	return fdatasync(p->fd) < 0 ? -errno : 0;
}

static int posix_punch(void *f, uint64_t at, uint64_t len)
{
	const struct posix *p = f;
	return fallocate(p->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, len) < 0 ? -errno : 0;
}

static int64_t posix_size(void *f)
{
	const struct posix *p = f;
	struct stat st;
	uint64_t bytes = 0;
	if (fstat(p->fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	return ioctl(p->fd, BLKGETSIZE64, &bytes) < 0 ? -errno : (int64_t)bytes;
}

static int posix_truncate(void *f, uint64_t size)
{
	const struct posix *p = f;
	return ftruncate(p->fd, size) < 0 ? -errno : 0;
}

static void posix_close(void *f)
{
	struct posix *p = f;
	if (p->own)
		close(p->fd);
	free(p);
}

static const struct q_file_ops posix_ops = {
	.readv = posix_readv, .writev = posix_writev, .sync = posix_sync, .punch = posix_punch, .size = posix_size,
	.truncate = posix_truncate, .close = posix_close,
};

int q_file_posix(struct q_file *f, int fd, bool own, bool direct)
{
	struct posix *p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct posix){.fd = fd, .own = own, .direct = direct};
	*f = (struct q_file){.ops = &posix_ops, .opaque = p};
	return 0;
}

void q_file_close(struct q_file *f)
{
	if (f->ops && f->ops->close)
		f->ops->close(f->opaque);
	f->ops = NULL;
}

int q_file_read(const struct q_file *f, void *to, uint64_t len, uint64_t at)
{
	struct iovec v = {to, len};
	return f->ops->readv(f->opaque, &v, 1, at);
}

int q_file_write(const struct q_file *f, const void *from, uint64_t len, uint64_t at)
{
	struct iovec v = {(void *)(uintptr_t)from, len};
	return f->ops->writev(f->opaque, &v, 1, at);
}
