/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/soft/codemem.h"

#include "accel/soft/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMFD_EXEC = 0x10 }; /* MFD_EXEC of Linux 6.3: asks for an executable memfd where the default forbids it */

static int open_memfd(void)
{
	int fd = memfd_create("panal-code", MFD_CLOEXEC | MEMFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("panal-code", MFD_CLOEXEC);
	return fd;
}

/* From the start of a huge page on, so that the kernel can make huge pages of it. */
static void *map(int fd, size_t size, int prot)
{
	void *at = pages_map(size, size);
	if (!at)
		return MAP_FAILED;
	void *p = mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		munmap(at, size);
	return p;
}

int codemem_create(struct codemem *m, size_t size, struct err *e)
{
	void *rw = MAP_FAILED, *rx = MAP_FAILED;
	int fd, r = 0;

	memset(m, 0, sizeof(*m));
	size = (size + 4095) & ~(size_t)4095;
	fd = open_memfd();
	if (fd < 0)
		return err_errno(e, errno, "memory for generated code");
	if (ftruncate(fd, size) < 0)
		r = err_errno(e, errno, "memory for generated code (%zu bytes)", size);
	if (!r)
		rw = map(fd, size, PROT_READ | PROT_WRITE);
	if (!r && rw != MAP_FAILED)
		rx = map(fd, size, PROT_READ | PROT_EXEC);
	if (!r && rx == MAP_FAILED)
		r = err_errno(e, errno, "mapping memory for generated code (is executable memory forbidden here?)");
	close(fd);
	if (r) {
		if (rw != MAP_FAILED)
			munmap(rw, size);
		return r;
	}
	*m = (struct codemem){ .rw = rw, .rx = rx, .size = size };
	return 0;
}

int codemem_create_for_perf(struct codemem *m, size_t size, struct err *e)
{
	memset(m, 0, sizeof(*m));
	size = (size + 4095) & ~(size_t)4095;
	void *rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (rw == MAP_FAILED)
		return err_errno(e, errno, "memory for generated code (%zu bytes)", size);
	void *rx = mremap(rw, 0, size, MREMAP_MAYMOVE); /* of shared memory: a second mapping */
	if (rx == MAP_FAILED || mprotect(rx, size, PROT_READ | PROT_EXEC) < 0) {
		int why = errno;
		if (rx != MAP_FAILED)
			munmap(rx, size);
		munmap(rw, size);
		return err_errno(e, why, "mapping memory for generated code (is executable memory forbidden here?)");
	}
	*m = (struct codemem){ .rw = rw, .rx = rx, .size = size };
	return 0;
}

void codemem_destroy(struct codemem *m)
{
	if (m->rw)
		munmap(m->rw, m->size);
	if (m->rx)
		munmap((void *)(uintptr_t)m->rx, m->size);
	memset(m, 0, sizeof(*m));
}
