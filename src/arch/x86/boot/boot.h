/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct boot: puts a kernel, its initial ramdisks and its command line into guest memory and the boot processor at
 * the kernel's entry, as a boot loader would have left it.
 *
 * Kernels: Linux bzImage (64- and 32-bit entry), ELF with a PVH note, Linux vmlinux ELF, Multiboot 1 (ELF or with
 * load addresses). A bzImage is by default unpacked here, and its vmlinux entered directly, which saves the guest
 * the decompression; where that is not possible, or on request, the guest does it.
 *
 * Sources: Linux Documentation/arch/x86/boot.rst, Xen public/arch-x86/hvm/start_info.h, Multiboot 0.6.96.
 */
#ifndef PANAL_ARCH_X86_BOOT_BOOT_H
#define PANAL_ARCH_X86_BOOT_BOOT_H

#include "arch/x86/regs.h"
#include "base/err.h"

struct gmem;
struct boot;

enum { BOOT_INITRD_MAX = 16, BOOT_E820_MAX = 16, BOOT_CMDLINE_MAX = 65535 };

/* A file that is in memory already, and no path of the host's. */
struct boot_file {
	void *data; /* mmap'ed, private; NULL: none */
	size_t size;
	char name[256]; /* for messages */
};

/* Either paths, or kernel_file, with or without initrd_file. */
struct boot_source {
	const char *kernel;
	const char *initrd[BOOT_INITRD_MAX]; /* concatenated, each padded to 4 bytes (Multiboot: one module each) */
	unsigned initrd_count;
	const char *cmdline;   /* may be NULL */
	bool guest_decompress; /* leave a bzImage packed */
	struct boot_file kernel_file, initrd_file[BOOT_INITRD_MAX]; /* taken over by boot_open, also when it fails */
	/* Asked for what to boot at each reset after the first start; NULL: the same again. Fills all of *out. */
	int (*refresh)(void *opaque, struct boot_source *out, struct err *e);
	void *opaque;
};

/* Frees the files in memory. */
void boot_source_drop(struct boot_source *src);

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };
struct e820 {
	uint64_t addr, size;
	enum e820_type type;
};

/* What the loader must know of the board. */
struct boot_layout {
	struct e820 map[BOOT_E820_MAX]; /* rising */
	unsigned map_count;
	uint64_t low_top; /* end of the RAM below 4 GiB that starts at 1 MiB */
	uint64_t rsdp;    /* guest-physical address of the ACPI RSDP, 0: none */
};

/* Opens the files and checks that they are what they should be. Errors name the file and the reason. */
int boot_open(struct boot **out, struct boot_source *src, struct err *e) ATTR_MUST_USE;
void boot_close(struct boot *b); /* NULL is allowed */

/* Writes everything into memory and the entry state into *cpu (already reset). Called at start and at each reset.
 * Errors: -E2BIG (kernel or initrd does not fit; the message says how much memory would do), -EINVAL, -EIO. */
int boot_install(struct boot *b, struct gmem *mem, const struct boot_layout *layout, struct x86_state *cpu,
                 struct err *e) ATTR_MUST_USE;

#endif
