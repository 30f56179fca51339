/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file below a qcow2 image: blocking calls that several threads may make at once. Tests put their own here. */
#ifndef PANAL_BLOCK_QCOW2_FILE_H
#define PANAL_BLOCK_QCOW2_FILE_H

#include "base/err.h"
#include <sys/uio.h>

/* Each returns 0 (size: bytes) or a negative errno. */
struct q_file_ops {
	int (*readv)(void *f, const struct iovec *iov, unsigned count, uint64_t at); /* zeros past the end */
	int (*writev)(void *f, const struct iovec *iov, unsigned count, uint64_t at);
	int (*sync)(void *f);
	int (*punch)(void *f, uint64_t at, uint64_t len); /* the range may become a hole; a wish */
	int64_t (*size)(void *f);
	int (*truncate)(void *f, uint64_t size);
	void (*close)(void *f);
};

struct q_file {
	const struct q_file_ops *ops;
	void *opaque;
};

/* Over a descriptor; own: it is closed with the file. direct: the descriptor is O_DIRECT, buffers are copied. */
int q_file_posix(struct q_file *f, int fd, bool own, bool direct) ATTR_MUST_USE;
void q_file_close(struct q_file *f);
int q_file_read(const struct q_file *f, void *to, uint64_t len, uint64_t at) ATTR_MUST_USE;
int q_file_write(const struct q_file *f, const void *from, uint64_t len, uint64_t at) ATTR_MUST_USE;

/* The part [skip, skip + len) of iov into out, which has room for count: the number of elements. */
unsigned iov_part(struct iovec *out, const struct iovec *iov, unsigned count, uint64_t skip, uint64_t len);
void iov_zero(const struct iovec *iov, unsigned count);

#endif
