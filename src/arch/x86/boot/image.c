/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

static int check_file(int fd, const char *path, const char *what, size_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s %s", what, path);
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "%s %s is a directory; name the file itself", what, path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s %s is not a regular file", what, path);
	if (st.st_size == 0)
		return err_set(e, -EINVAL, "%s %s is empty", what, path);
	if (st.st_size > IMAGE_SIZE_MAX)
		return err_set(e, -EFBIG, "%s %s is larger than 1 GiB%s", what, path,
			       strcmp(what, "kernel") ? "" : "; a disk boots with --board pc");
	*size = (size_t)st.st_size;
	return 0;
}

int image_open(struct image *im, const char *path, const char *what, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t size = 0;
	void *data;
	int ret;

	*im = (struct image){ 0 };
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s %s", what, path);
	ret = check_file(fd, path, what, &size, e);
	if (ret == 0) {
		data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED)
			ret = err_errno(e, errno, "cannot map %s %s", what, path);
		else
			*im = (struct image){ .data = data, .size = size, .path = path };
	}
	close(fd);
	return ret;
}

void image_take(struct image *im, struct boot_file *f, const char *path)
{
	*im = (struct image){ .data = f->data, .size = f->size, .path = path };
	f->data = NULL;
}

void image_close(struct image *im)
{
	if (im->data)
		munmap((void *)im->data, im->size);
	*im = (struct image){ 0 };
}

void image_release(const struct image *im)
{
	if (im->data)
		madvise((void *)im->data, im->size, MADV_DONTNEED);
}

int image_check_place(uint64_t addr, uint64_t size, const char *what, struct err *e)
{
	bool low = addr < BOOT_TABLES_END;
	bool reserved = addr < BOOT_HIGH && (size > BOOT_HIGH || addr + size > BOOT_RESERVED);

	if (low || reserved)
		return err_set(e, -EINVAL,
			       "%s wants to be at 0x%llx, where the boot loader's or the machine's tables lie; "
			       "kernels are linked to 1 MiB or above",
			       what, (unsigned long long)addr);
	return 0;
}
