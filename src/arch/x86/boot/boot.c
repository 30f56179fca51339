/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int open_files(struct boot *b, const struct boot_source *src, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < src->initrd_count; n++) {
		b->path[n] = strdup(src->initrd[n]);
		if (!b->path[n])
			return -ENOMEM;
		ret = image_open(&b->initrd[n], b->path[n], "initrd", e);
		b->initrd_count = n + 1;
	}
	if (ret < 0)
		return ret;
	b->path[BOOT_INITRD_MAX] = strdup(src->kernel);
	if (!b->path[BOOT_INITRD_MAX])
		return -ENOMEM;
	return image_open(&b->kernel, b->path[BOOT_INITRD_MAX], "kernel", e);
}

int boot_open(struct boot **out, const struct boot_source *src, struct err *e)
{
	struct boot *b;
	int ret;

	if (src->initrd_count > BOOT_INITRD_MAX)
		return err_set(e, -EINVAL, "%u initrds given; at most %d are possible", src->initrd_count,
			       BOOT_INITRD_MAX);
	if (src->cmdline && strlen(src->cmdline) > BOOT_CMDLINE_MAX)
		return err_set(e, -E2BIG, "the kernel command line is longer than %d bytes", BOOT_CMDLINE_MAX);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	b->guest_decompress = src->guest_decompress;
	b->cmdline = strdup(src->cmdline ? src->cmdline : "");
	ret = b->cmdline ? open_files(b, src, e) : -ENOMEM;
	if (ret == -ENOMEM)
		err_set(e, ret, "out of memory");
	if (ret == 0)
		ret = recognise(b, e);
	if (ret < 0) {
		boot_close(b);
		return ret;
	}
	*out = b;
	return 0;
}

void boot_close(struct boot *b)
{
	if (!b)
		return;
	image_close(&b->kernel);
	for (unsigned n = 0; n < b->initrd_count; n++)
		image_close(&b->initrd[n]);
	for (unsigned n = 0; n <= BOOT_INITRD_MAX; n++)
		free(b->path[n]);
	free(b->cmdline);
	free(b);
}

const char *boot_kind(const struct boot *b)
{
	return kinds[b->kind].name;
}

/* The files stay mapped for the next reset, their pages do not stay in memory. */
static void release_pages(struct boot *b)
{
	image_release(&b->kernel);
	for (unsigned n = 0; n < b->initrd_count; n++)
		image_release(&b->initrd[n]);
}

int boot_install(struct boot *b, struct gmem *mem, const struct boot_layout *layout, struct x86_state *cpu,
		 struct err *e)
{
	int ret = kinds[b->kind].install(b, mem, layout, cpu, e);

	release_pages(b);
	return ret;
}
