/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "images.h"

#include "core/gmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CODE_AT = 4096, NOTE_AT = 512, SETUP_SECTS = 1, BZ_CODE = (SETUP_SECTS + 1) * 512, BZ_PAYLOAD = 1024 };

Elf64_Ehdr *elf64_header(struct file *f)
{
	return (Elf64_Ehdr *)f->data;
}

Elf64_Phdr *elf64_segment(struct file *f, unsigned n)
{
	return (Elf64_Phdr *)(f->data + sizeof(Elf64_Ehdr)) + n;
}

void elf64_make(struct file *f, unsigned filesz, unsigned memsz, bool pvh)
{
	static const uint32_t note[] = { 4, 4, 18, 0x006e6558, KERNEL_AT };
	Elf64_Ehdr *h = elf64_header(f);

	memset(f, 0, sizeof(*f));
	memcpy(h->e_ident, ELFMAG, SELFMAG);
	h->e_ident[EI_CLASS] = ELFCLASS64;
	h->e_ident[EI_DATA] = ELFDATA2LSB;
	h->e_machine = EM_X86_64;
	h->e_phoff = sizeof(*h);
	h->e_phentsize = sizeof(Elf64_Phdr);
	h->e_phnum = pvh ? 2 : 1;
	h->e_entry = KERNEL_AT;
	*elf64_segment(f, 0) = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = CODE_AT, .p_paddr = KERNEL_AT, .p_filesz = filesz, .p_memsz = memsz,
	};
	if (pvh)
		*elf64_segment(f, 1) = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = sizeof(note) };
	memcpy(f->data + NOTE_AT, note, sizeof(note));
	memset(f->data + CODE_AT, 0xf4, filesz);
	f->size = CODE_AT + filesz;
}

struct setup_header *bzimage_header(struct file *f)
{
	return (struct setup_header *)(f->data + 0x1f1);
}

void bzimage_make(struct file *f, const void *payload, size_t size)
{
	struct setup_header *h = bzimage_header(f);

	memset(f, 0, sizeof(*f));
	f->size = (BZ_CODE + BZ_PAYLOAD + size + 15) / 16 * 16;
	*h = (struct setup_header){
		.setup_sects = SETUP_SECTS,
		.syssize = (uint32_t)((f->size - BZ_CODE) / 16),
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 2 * MIB,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = BZ_PAYLOAD,
		.payload_length = (uint32_t)size,
		.pref_address = KERNEL_AT,
		.init_size = MIB,
	};
	memcpy(f->data + BZ_CODE + BZ_PAYLOAD, payload, size);
}

struct mb_header_fields *multiboot_header(struct file *f)
{
	return (struct mb_header_fields *)f->data;
}

void multiboot_make(struct file *f)
{
	memset(f, 0, sizeof(*f));
	f->size = 4096;
	*multiboot_header(f) = (struct mb_header_fields){
		.magic = 0x1badb002,
		.flags = 1 << 16,
		.checksum = -(0x1badb002u + (1u << 16)),
		.header_addr = KERNEL_AT,
		.load_addr = KERNEL_AT,
		.load_end_addr = KERNEL_AT + 4096,
		.bss_end_addr = KERNEL_AT + 8192,
		.entry_addr = KERNEL_AT + 64,
	};
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

void bench_up(struct bench *b, uint64_t memory)
{
	memset(b, 0, sizeof(*b));
	must(gmem_create(&b->mem, NULL) == 0, "gmem_create");
	must(gmem_add_ram(b->mem, 0, memory, "ram", false, NULL) == 0, "gmem_add_ram");
	/* What the guest left before a reset. */
	must(gmem_fill(b->mem, 0, 0xa5, memory < 8 * MIB ? memory : 8 * MIB) == 0, "gmem_fill");
	b->layout = (struct boot_layout){
		.map = { { 0, 0x9fc00, E820_RAM }, { 0x100000, memory - 0x100000, E820_RAM } },
		.map_count = 2,
		.low_top = memory,
		.rsdp = 0xe0000,
	};
}

void bench_down(struct bench *b)
{
	gmem_destroy(b->mem);
}

static int put(const struct file *f, char *path, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, f->data, f->size) == (ssize_t)f->size, "memfd");
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd;
}

int bench_boot(struct bench *b, const struct file *kernel, const struct file *const *initrd, const char *cmdline,
               bool guest_decompress)
{
	char path[BOOT_INITRD_MAX + 2][32];
	int fd[BOOT_INITRD_MAX + 2], ret;
	struct boot_source src = { .cmdline = cmdline, .guest_decompress = guest_decompress };
	struct boot *boot = NULL;
	unsigned n = 0;

	b->e = (struct err){ 0 };
	for (; initrd && initrd[n]; n++) {
		fd[n] = put(initrd[n], path[n], sizeof(path[n]));
		src.initrd[n] = path[n];
	}
	src.initrd_count = n;
	fd[n] = put(kernel, path[n], sizeof(path[n]));
	src.kernel = path[n++];
	ret = boot_open(&boot, &src, &b->e);
	if (ret == 0)
		ret = boot_install(boot, b->mem, &b->layout, &b->cpu, &b->e);
	boot_close(boot);
	while (n--)
		close(fd[n]);
	return ret;
}
