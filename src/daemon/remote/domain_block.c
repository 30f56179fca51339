/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about a machine's disks as files. */
#include "daemon/remote/remote_priv.h"

#include "base/fd.h"
#include "daemon/storage/probe.h"
#include "daemon/storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_PEEK_MAX = 4 << 20, BLOCK_RESIZE_BYTES = 1 };

/* The file or device of a disk; NULL: it has none. */
static const char *path_of(const struct daemon *daemon, const struct domdef_disk *k)
{
	switch (k->type) {
	case DOM_SOURCE_FILE: return k->source.file;
	case DOM_SOURCE_BLOCK: return k->source.dev;
	case DOM_SOURCE_VOLUME: return volume_for_machine(daemon->storage, k->source.pool, k->source.volume);
	default: return NULL;
	}
}

/* By its target or its path. */
static const char *find_disk(struct call *c, const struct domain *d, const char *name, const struct domdef_disk **disk)
{
	for (unsigned n = 0; n < d->def->disks.n; n++) {
		const struct domdef_disk *k = d->def->disks.v[n];
		const char *path = path_of(c->opaque, k);

		if (path && (!strcmp(path, name) || (k->target && !strcmp(k->target, name)))) {
			*disk = k;
			return path;
		}
	}
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "invalid path '%.300s' not assigned to domain", name);
	return NULL;
}

static int peek(struct call *c)
{
	const struct domain *d = remote_domain(c, 0);
	const struct domdef_disk *k;
	const char *path = d ? find_disk(c, d, call_s(c, 1), &k) : NULL;
	uint32_t size = call_u(c, 3);
	struct err e = {0};
	uint8_t *data;
	ssize_t got;
	int fd;

	if (!path || call_unknown_flags(c, 4, 0))
		return CALL_FAILED;
	if (size > BLOCK_PEEK_MAX || call_H(c, 2) > INT64_MAX - size)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "size must be at most %d bytes",
				 BLOCK_PEEK_MAX);
	data = malloc(size ? size : 1);
	fd = fd_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &e);
	got = data && fd >= 0 ? pread(fd, data, size, (off_t)call_H(c, 2)) : -1;
	fd_close(&fd);
	if (got == (ssize_t)size)
		xdr_opaque(&c->out, data, size);
	else
		fault_set(&c->fault, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot read %u bytes of '%s'%s", size, path,
			  got >= 0 ? ": it ends before" : "");
	free(data);
	return got == (ssize_t)size ? CALL_DONE : CALL_FAILED;
}

/* The file's or device's own size, and where the document says that it is an image, what its header says of the disk.
 */
static int measure(const char *path, const struct domdef_disk *k, uint64_t sizes[3])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), ret;
	struct probe p = {0};
	struct stat st;
	off_t end;

	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) < 0 ? -errno : 0;
	end = lseek(fd, 0, SEEK_END);
	if (ret == 0 && k->format && strcmp(k->format, "raw"))
		ret = probe_fd(&p, fd);
	close(fd);
	if (ret < 0)
		return ret;
	sizes[2] = end > 0 ? (uint64_t)end : 0;
	sizes[0] = S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : sizes[2];
	sizes[1] = p.capacity ? p.capacity : sizes[2];
	return 0;
}

static int info(struct call *c)
{
	const struct domain *d = remote_domain(c, 0);
	const struct domdef_disk *k;
	const char *path = d ? find_disk(c, d, call_s(c, 1), &k) : NULL;
	uint64_t sizes[3];
	int ret;

	if (!path || call_unknown_flags(c, 2, 0))
		return CALL_FAILED;
	ret = measure(path, k, sizes);
	if (ret < 0)
		return fault_set(&c->fault, FAULT_SYSTEM, FROM_STORAGE, "cannot look at the image %s: %s", path,
				 strerror(-ret));
	for (unsigned n = 0; n < COUNT_OF(sizes); n++)
		xdr_u64(&c->out, sizes[n]);
	return CALL_DONE;
}

/* The engine takes a disk's size once, at its start. */
static int resize(struct call *c)
{
	const struct domain *d = remote_domain(c, 0);
	const struct domdef_disk *k;

	if (!d || call_unknown_flags(c, 3, BLOCK_RESIZE_BYTES))
		return CALL_FAILED;
	if (!domain_active(d))
		return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	if (!find_disk(c, d, call_s(c, 1), &k))
		return CALL_FAILED;
	return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			 "disks of a running machine keep their size; resize the volume while it is off");
}

const struct handler remote_domain_block[] = {
	{"DOMAIN_GET_BLOCK_INFO", info},
	{"DOMAIN_BLOCK_PEEK", peek},
	{"DOMAIN_BLOCK_RESIZE", resize},
};
const unsigned remote_domain_block_count = COUNT_OF(remote_domain_block);
