/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct kind {
	const char *name;
	int (*install)(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
		       struct err *e);
} kinds[] = {
	[KERNEL_BZIMAGE] = { "Linux bzImage", linux_install_bzimage },
	[KERNEL_ELF_LINUX] = { "Linux ELF", linux_install_elf },
	[KERNEL_ELF_PVH] = { "PVH ELF", pvh_install },
	[KERNEL_MULTIBOOT] = { "Multiboot", multiboot_install },
};

/* By what the file says it is, never by its name. Multiboot comes before plain ELF: such kernels are ELF too. */
static int recognise(struct boot *b, struct err *e)
{
	const struct image *im = &b->kernel;
	struct elf_info info;
	int ret;

	if (linux_is_bzimage(im->data, im->size)) {
		b->kind = KERNEL_BZIMAGE;
		return 0;
	}
	if (elf_is(im->data, im->size)) {
		ret = elf_inspect(im->data, im->size, im->path, &info, e);
		if (ret < 0)
			return ret;
		if (!info.has_pvh && multiboot_is(im->data, im->size))
			b->kind = KERNEL_MULTIBOOT;
		else
			b->kind = info.has_pvh ? KERNEL_ELF_PVH : KERNEL_ELF_LINUX;
		return 0;
	}
	if (multiboot_is(im->data, im->size)) {
		b->kind = KERNEL_MULTIBOOT;
		return 0;
	}
	return err_set(e, -EINVAL,
		       "%s is not a kernel that can be booted directly (Linux bzImage, ELF, PVH or Multiboot 1); a "
		       "disk boots with --board pc",
		       im->path);
}

static int keep_path(struct boot *b, unsigned n, const char *path)
{
	b->path[n] = strdup(path);
	return b->path[n] ? 0 : -ENOMEM;
}

static int open_paths(struct boot *b, const struct boot_source *src, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < src->initrd_count; n++) {
		ret = keep_path(b, n, src->initrd[n]);
		if (ret == 0)
			ret = image_open(&b->initrd[n], b->path[n], "initrd", e);
		b->initrd_count = n + 1;
	}
	if (ret == 0)
		ret = keep_path(b, BOOT_INITRD_MAX, src->kernel);
	return ret < 0 ? ret : image_open(&b->kernel, b->path[BOOT_INITRD_MAX], "kernel", e);
}

static int take_files(struct boot *b, struct boot_source *src)
{
	int ret = keep_path(b, BOOT_INITRD_MAX, src->kernel_file.name);

	for (unsigned n = 0; ret == 0 && n < src->initrd_count; n++) {
		ret = keep_path(b, n, src->initrd_file[n].name);
		if (ret == 0)
			image_take(&b->initrd[n], &src->initrd_file[n], b->path[n]);
		b->initrd_count = n + 1;
	}
	if (ret == 0)
		image_take(&b->kernel, &src->kernel_file, b->path[BOOT_INITRD_MAX]);
	return ret;
}

void boot_source_drop(struct boot_source *src)
{
	if (src->kernel_file.data)
		munmap(src->kernel_file.data, src->kernel_file.size);
	src->kernel_file.data = NULL;
	for (unsigned n = 0; n < BOOT_INITRD_MAX; n++) {
		if (src->initrd_file[n].data)
			munmap(src->initrd_file[n].data, src->initrd_file[n].size);
		src->initrd_file[n].data = NULL;
	}
}

static int fill(struct boot *b, struct boot_source *src, struct err *e)
{
	int ret;

	if (src->initrd_count > BOOT_INITRD_MAX)
		return err_set(e, -EINVAL, "%u initrds given; at most %d are possible", src->initrd_count,
			       BOOT_INITRD_MAX);
	if (src->cmdline && strlen(src->cmdline) > BOOT_CMDLINE_MAX)
		return err_set(e, -E2BIG, "the kernel command line is longer than %d bytes", BOOT_CMDLINE_MAX);
	b->guest_decompress = src->guest_decompress;
	b->refresh = src->refresh;
	b->opaque = src->opaque;
	b->cmdline = strdup(src->cmdline ? src->cmdline : "");
	ret = !b->cmdline ? -ENOMEM : src->kernel_file.data ? take_files(b, src) : open_paths(b, src, e);
	if (ret == -ENOMEM)
		err_set(e, ret, "out of memory");
	return ret < 0 ? ret : recognise(b, e);
}

int boot_open(struct boot **out, struct boot_source *src, struct err *e)
{
	struct boot *b = calloc(1, sizeof(*b));
	int ret = b ? fill(b, src, e) : err_set(e, -ENOMEM, "out of memory");

	boot_source_drop(src);
	if (ret < 0) {
		boot_close(b);
		return ret;
	}
	*out = b;
	return 0;
}

static void release(struct boot *b)
{
	image_close(&b->kernel);
	for (unsigned n = 0; n < b->initrd_count; n++)
		image_close(&b->initrd[n]);
	for (unsigned n = 0; n <= BOOT_INITRD_MAX; n++) {
		free(b->path[n]);
		b->path[n] = NULL;
	}
	b->initrd_count = 0;
	free(b->cmdline);
	b->cmdline = NULL;
}

void boot_close(struct boot *b)
{
	if (!b)
		return;
	release(b);
	free(b);
}

/* The files stay mapped for the next reset, their pages do not stay in memory. */
static void release_pages(struct boot *b)
{
	image_release(&b->kernel);
	for (unsigned n = 0; n < b->initrd_count; n++)
		image_release(&b->initrd[n]);
}

/* What is to be booted may be another kernel than the last time. */
static int renew(struct boot *b, struct err *e)
{
	struct boot_source *src = calloc(1, sizeof(*src));
	bool guest_decompress = b->guest_decompress;
	int ret = src ? b->refresh(b->opaque, src, e) : err_set(e, -ENOMEM, "out of memory");

	if (ret == 0) {
		release(b);
		src->guest_decompress = guest_decompress;
		ret = fill(b, src, e);
		boot_source_drop(src);
	}
	free(src);
	return ret;
}

int boot_install(struct boot *b, struct gmem *mem, const struct boot_layout *layout, struct x86_state *cpu,
		 struct err *e)
{
	int ret = b->installed && b->refresh ? renew(b, e) : 0;

	if (ret == 0)
		ret = kinds[b->kind].install(b, mem, layout, cpu, e);
	b->installed = true;
	release_pages(b);
	return ret;
}
