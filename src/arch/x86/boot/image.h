/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the boot room: files as bytes, kernel kinds, and the loaders behind boot.h. */
#ifndef PANAL_ARCH_X86_BOOT_IMAGE_H
#define PANAL_ARCH_X86_BOOT_IMAGE_H

#include "arch/x86/boot/boot.h"

#include <asm/bootparam.h>

/* A file mapped read-only, private. */
struct image {
	const uint8_t *data;
	size_t size;
	const char *path; /* borrowed */
};

enum { IMAGE_SIZE_MAX = 1 << 30 };

int image_open(struct image *im, const char *path, const char *what, struct err *e) ATTR_MUST_USE;
/* Takes over what is in memory. path: borrowed. */
void image_take(struct image *im, struct boot_file *f, const char *path);
void image_close(struct image *im);
/* Gives the pages back to the host; the next access reads them again, or zeros where there is no file. */
void image_release(const struct image *im);

enum kernel_kind { KERNEL_BZIMAGE, KERNEL_ELF_LINUX, KERNEL_ELF_PVH, KERNEL_MULTIBOOT };

struct boot {
	enum kernel_kind kind;
	struct image kernel;
	struct image initrd[BOOT_INITRD_MAX];
	unsigned initrd_count;
	char *path[BOOT_INITRD_MAX + 1]; /* owned: initrds, the kernel last */
	char *cmdline;                   /* owned, never NULL */
	bool guest_decompress;
	/* boot_source's */
	int (*refresh)(void *opaque, struct boot_source *out, struct err *e);
	void *opaque;
	bool installed; /* once: from then on refresh is asked first */
};

/* Where the loaders put their own tables; all below 640 KiB, none where ACPI or the kernel lies. */
enum {
	BOOT_GDT = 0x500,
	BOOT_START_INFO = 0x6000, /* PVH start info or Multiboot info */
	BOOT_ZERO_PAGE = 0x7000,
	BOOT_PAGE_TABLES = 0x9000, /* to 0xf000: PML4, PDPT, four PDs */
	BOOT_CMDLINE = 0x20000,    /* up to 64 KiB */
	BOOT_TABLES_END = BOOT_CMDLINE + BOOT_CMDLINE_MAX + 1,
	BOOT_RESERVED = 0x9fc00, /* from here to 1 MiB the machine has no usable RAM, but its ACPI tables */
	BOOT_HIGH = 0x100000,
};
/* -EINVAL for a kernel that would lie on the tables above. size > 0. */
int image_check_place(uint64_t addr, uint64_t size, const char *what, struct err *e) ATTR_MUST_USE;

/* ---- elf.c ---- */
struct elf_info {
	bool is64;
	uint64_t entry;     /* physical */
	uint64_t low, high; /* span of the loaded segments, physical */
	bool has_pvh;
	uint32_t pvh_entry;
};
bool elf_is(const uint8_t *data, size_t size);
/* Reads headers only. what: the file's name in messages. */
int elf_inspect(const uint8_t *data, size_t size, const char *what, struct elf_info *info, struct err *e) ATTR_MUST_USE;
/* Of a file that elf_inspect took: -EINVAL unless the address lies in what is loaded and below 4 GiB. */
int elf_check_entry(const uint8_t *data, size_t size, const char *what, uint64_t entry, struct err *e) ATTR_MUST_USE;
int elf_load(const uint8_t *data, size_t size, const char *what, struct gmem *mem, struct err *e) ATTR_MUST_USE;

/* ---- payload.c ---- */
/* Unpacks a compressed kernel (gzip, xz, lzma, lz4, zstd) into malloc'ed memory. -ENOTSUP for a format that is not
 * known here: the guest can still do it. */
int payload_unpack(const uint8_t *data, size_t size, uint8_t **out, size_t *out_size, struct err *e) ATTR_MUST_USE;

/* ---- linux.c, pvh.c, multiboot.c ---- */
bool linux_is_bzimage(const uint8_t *data, size_t size);
/* A bzImage taken apart. */
struct bzimage {
	struct setup_header hdr;
	const uint8_t *code; /* protected-mode part */
	size_t code_size;
	const uint8_t *payload; /* NULL when the header does not tell */
	size_t payload_size;
};
int linux_parse(const struct image *im, struct bzimage *bz, struct err *e) ATTR_MUST_USE;
int linux_install_bzimage(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
                          struct err *e) ATTR_MUST_USE;
int linux_install_elf(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
                      struct err *e) ATTR_MUST_USE;
int pvh_install(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
                struct err *e) ATTR_MUST_USE;
bool multiboot_is(const uint8_t *data, size_t size);
int multiboot_install(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
                      struct err *e) ATTR_MUST_USE;

/* ---- entry.c: the CPU as the protocols want it ---- */
int entry_write_gdt(struct gmem *mem, bool is64, struct err *e) ATTR_MUST_USE;
/* Flat 32-bit protected mode, paging off. */
void entry_protected32(struct x86_state *cpu, uint64_t rip);
/* 64-bit mode on identity page tables of the low 4 GiB. */
int entry_long64(struct x86_state *cpu, struct gmem *mem, uint64_t rip, struct err *e) ATTR_MUST_USE;

/* ---- initrd.c ---- */
uint64_t initrd_total(const struct boot *b);
/* Places all initrds one after the other below `limit`, above `floor`, page aligned. */
int initrd_place(struct boot *b, struct gmem *mem, uint64_t floor, uint64_t limit, uint64_t *addr,
                 struct err *e) ATTR_MUST_USE;

#endif
