/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protected to real mode and back, protected to long mode and back (SDM 3A 9.8, 9.9, 20.1). */
#include "cpu32.h"

enum { BLOB_AT = 0x8000, RESULTS = 0x9000 };

extern char real_blob[], real_blob_end[];
extern uint64_t long_result[2];
extern uint32_t long_efer[2];
void real_trip(void);
void long_trip(uint32_t cr3);

static uint64_t pml4[512] __attribute__((aligned(4096))), pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[512] __attribute__((aligned(4096)));

static uint32_t result(unsigned off)
{
	return *(volatile uint16_t *)(RESULTS + off);
}

static void real_mode(void)
{
	memset((void *)RESULTS, 0, 64);
	memcpy((void *)BLOB_AT, real_blob, (size_t)(real_blob_end - real_blob));
	real_trip();
	check("mode real: selector load", result(0), 0x1234);
	check("mode real: base is selector * 16", result(2), 0x5678);
	check("mode real: push, pop", result(4), 0x4321);
	check("mode real: flags in the handler", result(6), 0x0047);
	check("mode real: cs in the handler", result(8), 0);
	check("mode real: frame of 6 bytes", result(10), 0x7000 - 6);
	check("mode real: stack after iret", result(12), 0x7000);
	check("mode real: word at 0xffff", result(14), 0x99);
	check("mode real: divide error", result(16), 0x77);
	check("mode real: PE", result(18) & 1, 0);
	check("mode real: upper half of esp", result(20) | result(22) << 16, 0x12346ffe);
	check("mode real: far call cs", result(24), 0x800);
	check("mode real: far return cs", result(26), 0);
	verdict("mode protected again", true);
}

static void long_mode(void)
{
	memset(pml4, 0, sizeof(pml4));
	memset(pdpt, 0, sizeof(pdpt));
	for (unsigned n = 0; n < 512; n++)
		pd[n] = (uint64_t)n << 21 | 0x83;
	pml4[0] = (uint32_t)pdpt | 3;
	pdpt[0] = (uint32_t)pd | 3;
	long_trip((uint32_t)pml4);
	check("mode long: 64-bit sum", long_result[0], 0x2122334455667788);
	check("mode long: 64-bit push, pop", long_result[1], 0x2122334455667788);
	check("mode long: LMA", long_efer[0] >> 10 & 1, 1);
	check("mode long left: LMA", long_efer[1] >> 10 & 1, 0);
}

void test_modes(void)
{
	real_mode();
	real_mode();
	if (has(0x80000001, 3, 29))
		long_mode();
}
