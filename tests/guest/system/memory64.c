/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Walks all memory that the machine says it has, however much: a word at the beginning of each GiB and one at each end,
 * each with its own address; then looks whether all of them are still there. */
#include "guest.h"

enum { RAM = 1, RANGES_MAX = 64 };
#define GIB (UINT64_C(1) << 30)
#define FIRST (UINT64_C(16) << 20) /* below it lie this program and the loader's tables */
#define KEY UINT64_C(0x5aa5c33c0ff01221)

/* include/xen/interface/hvm/start_info.h of Linux, version 1 */
struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
struct range {
	uint64_t addr, size;
	uint32_t type, reserved;
};

static uint64_t words, wrong;

static void visit(uint64_t addr, bool write)
{
	volatile uint64_t *at = (volatile uint64_t *)addr;
	if (write) {
		*at = addr ^ KEY;
		words++;
	} else if (*at != (addr ^ KEY)) {
		wrong++;
	}
}

static void walk(const struct start_info *info, bool write)
{
	const struct range *r = (const struct range *)info->memmap;
	for (uint32_t n = 0; n < info->memmap_entries && n < RANGES_MAX; n++) {
		uint64_t end = r[n].addr + r[n].size;
		if (r[n].type != RAM || end <= FIRST)
			continue;
		for (uint64_t at = r[n].addr < FIRST ? FIRST : r[n].addr; at < end; at = (at / GIB + 1) * GIB)
			visit(at, write);
		visit(end - 8, write);
	}
}

void memory_main(const struct start_info *info);
void memory_main(const struct start_info *info)
{
	walk(info, true);
	walk(info, false);
	print("memory: ");
	print_dec(words);
	print(" words written, ");
	print_dec(wrong);
	print(" wrong\n");
	verdict("all words are there", words && !wrong);
	finish();
}
