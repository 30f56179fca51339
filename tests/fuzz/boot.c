/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot.h"

#include "core/gmem.h"

#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, LOW = 4 * MIB, HIGH = MIB };
#define HIGH_AT (UINT64_C(1) << 32)

void fuzz_boot(boot_installer *install, const uint8_t *data, size_t size, bool guest_decompress)
{
	static const uint8_t initrd[5001];
	const struct boot_layout layout = {
		.map = { { 0, 0x9fc00, E820_RAM }, { MIB, LOW - MIB, E820_RAM }, { HIGH_AT, HIGH, E820_RAM } },
		.map_count = 3,
		.low_top = LOW,
	};
	struct boot b = {
		.kernel = { .data = data, .size = size, .path = "made" },
		.initrd = { { initrd, sizeof(initrd), "one" }, { initrd, 3, "two" } },
		.initrd_count = 2,
		.cmdline = (char *)"console=ttyS0",
		.guest_decompress = guest_decompress,
	};
	struct x86_state *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) / 64 * 64);
	struct err e = { 0 };
	struct gmem *mem;
	int ret;

	if (!cpu || gmem_create(&mem, NULL) < 0 || gmem_add_ram(mem, 0, LOW, "low", false, NULL) < 0 ||
	    gmem_add_ram(mem, HIGH_AT, HIGH, "high", false, NULL) < 0)
		__builtin_trap();
	memset(cpu, 0, sizeof(*cpu));
	ret = install(&b, mem, &layout, cpu, &e);
	/* A refusal says why; a start is at an address where there is something. */
	if (ret < 0 ? !e.text[0] || e.code != ret : !gmem_at(mem, cpu->rip, 1))
		__builtin_trap();
	gmem_destroy(mem);
	free(cpu);
}
