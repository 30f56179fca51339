/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small made kernels, and a machine's memory to put them into. */
#ifndef PANAL_TESTS_BOOT_IMAGES_H
#define PANAL_TESTS_BOOT_IMAGES_H

#include "arch/x86/boot/image.h"

#include <asm/bootparam.h>
#include <elf.h>

enum { IMAGE_MAX = 256 << 10, MIB = 1 << 20, KERNEL_AT = 2 * MIB };

struct file {
	uint8_t data[IMAGE_MAX];
	size_t size;
};

/* ELF64 with one PT_LOAD segment of `filesz` bytes at KERNEL_AT and, if asked, a PVH note whose entry is KERNEL_AT. */
void elf64_make(struct file *f, unsigned filesz, unsigned memsz, bool pvh);
Elf64_Ehdr *elf64_header(struct file *f);
Elf64_Phdr *elf64_segment(struct file *f, unsigned n); /* 0: PT_LOAD, 1: PT_NOTE */

/* bzImage, protocol 2.15, 64-bit, whose payload is these bytes. */
void bzimage_make(struct file *f, const void *payload, size_t size);
struct setup_header *bzimage_header(struct file *f);

/* Multiboot with load addresses, 4096 bytes at KERNEL_AT. */
struct mb_header_fields {
	uint32_t magic, flags, checksum, header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
void multiboot_make(struct file *f);
struct mb_header_fields *multiboot_header(struct file *f);

struct bench {
	struct gmem *mem;
	struct boot_layout layout;
	struct x86_state cpu;
	struct err e;
};
void bench_up(struct bench *b, uint64_t memory);
void bench_down(struct bench *b);

/* What boot_open and boot_install say of this kernel with these initrds (NULL ends them); no boot is left open. */
int bench_boot(struct bench *b, const struct file *kernel, const struct file *const *initrd, const char *cmdline,
               bool guest_decompress);

#endif
