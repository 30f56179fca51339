/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1 (specification 0.6.96): ELF kernels and those that give load addresses in their header. */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>

enum {
	HEADER_MAGIC = 0x1badb002,
	LOADER_MAGIC = 0x2badb002,
	HEADER_SEARCH = 8192,
	FLAG_KLUDGE = 1 << 16, /* load addresses are in the header */
	FLAGS_MUST = 0xffff & ~7, /* of the lower half, page alignment, memory and video are understood */
	INFO_MEM = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODS = 1 << 3,
	INFO_MMAP = 1 << 6,
	INFO_NAME = 1 << 9,
};

struct mb_header {
	uint32_t magic, flags, checksum, header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table;
};

struct mb_module {
	uint32_t start, end, string, reserved;
};

struct ATTR_PACKED mb_mmap {
	uint32_t size; /* of the rest */
	uint64_t addr, len;
	uint32_t type;
};

struct mb_block {
	struct mb_info info;
	struct mb_module module[BOOT_INITRD_MAX];
	struct mb_mmap map[BOOT_E820_MAX];
	char name[8];
};

/* The header lies 4-byte aligned within the first 8 KiB. Returns its offset, or -1. */
static int64_t find_header(const uint8_t *data, size_t size, struct mb_header *h)
{
	size_t end = size < HEADER_SEARCH ? size : HEADER_SEARCH;

	for (size_t at = 0; range_inside(at, 12, end); at += 4) {
		if (load_le32(data + at) != HEADER_MAGIC)
			continue;
		memset(h, 0, sizeof(*h));
		memcpy(h, data + at, size - at < sizeof(*h) ? size - at : sizeof(*h));
		if (h->magic + h->flags + h->checksum == 0)
			return (int64_t)at;
	}
	return -1;
}

bool multiboot_is(const uint8_t *data, size_t size)
{
	struct mb_header h;

	return find_header(data, size, &h) >= 0;
}

static int load_kludge(struct boot *b, struct gmem *mem, const struct mb_header *h, int64_t at, uint64_t *end,
		       struct err *e)
{
	uint64_t skip, len, bss;

	if (h->load_addr > h->header_addr || (uint64_t)(h->header_addr - h->load_addr) > (uint64_t)at)
		return err_set(e, -EINVAL, "kernel %s: its Multiboot header places the load address outside the file",
			       b->kernel.path);
	skip = (uint64_t)at - (h->header_addr - h->load_addr);
	len = h->load_end_addr ? (uint64_t)h->load_end_addr - h->load_addr : b->kernel.size - skip;
	if (h->load_end_addr && (h->load_end_addr < h->load_addr || !range_inside(skip, len, b->kernel.size)))
		return err_set(e, -EINVAL, "kernel %s is truncated: its Multiboot header promises %llu bytes",
			       b->kernel.path, (unsigned long long)(skip + len));
	if (image_check_place(h->load_addr, len, b->kernel.path, e) < 0)
		return -EINVAL;
	bss = h->bss_end_addr > h->load_addr + len ? h->bss_end_addr - (h->load_addr + len) : 0;
	if (gmem_write(mem, h->load_addr, b->kernel.data + skip, len) < 0 ||
	    gmem_fill(mem, h->load_addr + len, 0, bss) < 0)
		return err_set(e, -E2BIG, "kernel %s does not fit into memory; give the machine more with --memory",
			       b->kernel.path);
	*end = h->load_addr + len + bss;
	return 0;
}

static int load_kernel(struct boot *b, struct gmem *mem, uint64_t *entry, uint64_t *end, struct err *e)
{
	struct mb_header h = { 0 };
	struct elf_info info;
	int64_t at = find_header(b->kernel.data, b->kernel.size, &h);
	int ret;

	if (at < 0 || (h.flags & FLAGS_MUST))
		return err_set(e, -EINVAL, "kernel %s asks for Multiboot features 0x%x that do not exist",
			       b->kernel.path, h.flags);
	if (h.flags & FLAG_KLUDGE) {
		if ((uint64_t)at + sizeof(h) > b->kernel.size)
			return err_set(e, -EINVAL, "kernel %s is truncated within its Multiboot header",
				       b->kernel.path);
		ret = load_kludge(b, mem, &h, at, end, e);
		*entry = h.entry_addr;
		if (ret == 0 && (*entry < h.load_addr || *entry >= *end))
			return err_set(e, -EINVAL, "%s: its entry lies outside of what it loads", b->kernel.path);
		return ret;
	}
	ret = elf_inspect(b->kernel.data, b->kernel.size, b->kernel.path, &info, e);
	if (ret < 0)
		return ret;
	if (info.high > UINT32_MAX)
		return err_set(e, -EINVAL, "kernel %s lies above 4 GiB, where a Multiboot loader does not reach",
			       b->kernel.path);
	*entry = info.entry;
	*end = info.high;
	ret = elf_check_entry(b->kernel.data, b->kernel.size, b->kernel.path, info.entry, e);
	return ret < 0 ? ret : elf_load(b->kernel.data, b->kernel.size, b->kernel.path, mem, e);
}

static int place_modules(struct boot *b, struct gmem *mem, uint64_t end, uint64_t low_top, struct mb_block *s,
                         struct err *e)
{
	uint64_t at = round_up(end < BOOT_HIGH ? BOOT_HIGH : end, GMEM_PAGE);

	for (unsigned n = 0; n < b->initrd_count; n++) {
		if (at + b->initrd[n].size > low_top ||
		    gmem_write(mem, at, b->initrd[n].data, b->initrd[n].size) < 0)
			return err_set(e, -E2BIG,
				       "module %s does not fit into memory; give the machine more with --memory",
				       b->initrd[n].path);
		s->module[n] = (struct mb_module){ .start = (uint32_t)at, .end = (uint32_t)(at + b->initrd[n].size) };
		s->module[n].string = BOOT_START_INFO + offsetof(struct mb_block, name);
		at = round_up(at + b->initrd[n].size, GMEM_PAGE);
	}
	return 0;
}

static void fill_info(struct mb_block *s, const struct boot *b, const struct boot_layout *l)
{
	for (unsigned n = 0; n < l->map_count; n++)
		s->map[n] = (struct mb_mmap){
			.size = 20, .addr = l->map[n].addr, .len = l->map[n].size, .type = l->map[n].type
		};
	memcpy(s->name, "panal", 6);
	s->info = (struct mb_info){
		.flags = INFO_MEM | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_NAME,
		.mem_lower = 639,
		.mem_upper = (uint32_t)((l->low_top - 0x100000) >> 10),
		.cmdline = BOOT_CMDLINE,
		.mods_count = b->initrd_count,
		.mods_addr = BOOT_START_INFO + offsetof(struct mb_block, module),
		.mmap_length = (uint32_t)(l->map_count * sizeof(struct mb_mmap)),
		.mmap_addr = BOOT_START_INFO + offsetof(struct mb_block, map),
		.boot_loader_name = BOOT_START_INFO + offsetof(struct mb_block, name),
	};
}

int multiboot_install(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
		      struct err *e)
{
	struct mb_block s = { 0 };
	uint64_t entry = 0, end = 0;
	int ret = load_kernel(b, mem, &entry, &end, e);

	if (ret == 0)
		ret = place_modules(b, mem, end, l->low_top, &s, e);
	if (ret == 0)
		ret = entry_write_gdt(mem, false, e);
	if (ret < 0)
		return ret;
	fill_info(&s, b, l);
	if (gmem_write(mem, BOOT_CMDLINE, b->cmdline, strlen(b->cmdline) + 1) < 0 ||
	    gmem_write(mem, BOOT_START_INFO, &s, sizeof(s)) < 0)
		return err_set(e, -E2BIG, "the machine has no memory at 0: give it at least 1 MiB");
	entry_protected32(cpu, entry);
	cpu->gpr[X86_RAX] = LOADER_MAGIC;
	cpu->gpr[X86_RBX] = BOOT_START_INFO;
	cpu->gpr[X86_RDX] = 0;
	return 0;
}
