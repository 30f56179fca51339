/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PVH entry: 32-bit protected mode, EBX = struct hvm_start_info (Xen public/arch-x86/hvm/start_info.h). */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>

enum { START_MAGIC = 0x336ec578, START_VERSION = 1 };

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct start_module {
	uint64_t addr, size, cmdline, reserved;
};

struct start_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* Start info, then one module (all initrds together), then the memory map. */
struct start_block {
	struct start_info info;
	struct start_module module;
	struct start_memmap map[BOOT_E820_MAX];
};

static void fill_map(struct start_block *s, const struct boot_layout *l)
{
	for (unsigned n = 0; n < l->map_count; n++)
		s->map[n] =
			(struct start_memmap){ .addr = l->map[n].addr, .size = l->map[n].size, .type = l->map[n].type };
	s->info.memmap = BOOT_START_INFO + offsetof(struct start_block, map);
	s->info.memmap_entries = l->map_count;
}

static int write_start(struct boot *b, struct gmem *mem, const struct boot_layout *l, uint64_t kernel_end,
		       struct err *e)
{
	struct start_block s = {
		.info = { .magic = START_MAGIC, .version = START_VERSION, .cmdline = BOOT_CMDLINE, .rsdp = l->rsdp },
	};
	int ret;

	_Static_assert(sizeof(struct start_info) == 56 && sizeof(struct start_memmap) == 24, "layout of the ABI");
	if (b->initrd_count) {
		ret = initrd_place(b, mem, round_up(kernel_end, GMEM_PAGE), l->low_top, &s.module.addr, e);
		if (ret < 0)
			return ret;
		s.module.size = initrd_total(b);
		s.info.nr_modules = 1;
		s.info.modlist = BOOT_START_INFO + offsetof(struct start_block, module);
	}
	fill_map(&s, l);
	if (gmem_write(mem, BOOT_CMDLINE, b->cmdline, strlen(b->cmdline) + 1) < 0 ||
	    gmem_write(mem, BOOT_START_INFO, &s, sizeof(s)) < 0)
		return err_set(e, -E2BIG, "the machine has no memory at 0: give it at least 1 MiB");
	return 0;
}

int pvh_install(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu, struct err *e)
{
	struct elf_info info;
	int ret = elf_inspect(b->kernel.data, b->kernel.size, b->kernel.path, &info, e);

	if (ret == 0)
		ret = elf_check_entry(b->kernel.data, b->kernel.size, b->kernel.path, info.pvh_entry, e);
	if (ret == 0)
		ret = elf_load(b->kernel.data, b->kernel.size, b->kernel.path, mem, e);
	if (ret == 0)
		ret = write_start(b, mem, l, info.high, e);
	if (ret == 0)
		ret = entry_write_gdt(mem, false, e);
	if (ret < 0)
		return ret;
	entry_protected32(cpu, info.pvh_entry);
	cpu->gpr[X86_RBX] = BOOT_START_INFO;
	cpu->gpr[X86_RDX] = 0;
	return 0;
}
