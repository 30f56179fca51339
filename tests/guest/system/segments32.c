/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits, types and privilege of segments in 32-bit protected mode (SDM 3A 5.3 to 5.7). */
#include "cpu32.h"

static uint8_t area[8192] __attribute__((aligned(4096)));

static uint32_t with = KDS; /* FS for what follows: each call ends with KDS in it */
static void k_load(uint32_t sel) { __asm__ volatile("movl %0, %%fs" : : "r"(sel)); }
static void k_load_ss(uint32_t sel) { __asm__ volatile("movl %0, %%ss; movl %1, %%ss" : : "r"(sel), "r"(KDS)); }
static void k_read8(uint32_t at)
{
	__asm__ volatile("movl %1, %%fs; movb %%fs:(%0), %%al" : : "r"(at), "r"(with) : "eax");
}
static void k_read32(uint32_t at)
{
	__asm__ volatile("movl %1, %%fs; movl %%fs:(%0), %%eax" : : "r"(at), "r"(with) : "eax");
}
static void k_write32(uint32_t at)
{
	__asm__ volatile("movl %1, %%fs; movl $0x55, %%fs:(%0)" : : "r"(at), "r"(with) : "memory");
}
static void k_cs_write(uint32_t at) { __asm__ volatile("movl $0, %%cs:(%0)" : : "r"(at) : "memory"); }
static void k_null(uint32_t sel) { __asm__ volatile("movl %0, %%fs; movb %%fs:0, %%al" : : "r"(sel) : "eax"); }
static void k_into(uint32_t a) { __asm__ volatile("movb $0x7f,%%al; addb $1,%%al; into" : : : "eax"); }
static void k_bound(uint32_t a)
{
	int32_t range[2] = { 5, 9 };
	__asm__ volatile("bound %0, %1" : : "r"(a), "m"(range));
}
static void k_small_stack(uint32_t a)
{
	__asm__ volatile("movl %%esp, %%edi; movl %0, %%ss; movl %1, %%esp; pushl $1; pushl $2; movl %%esp, %%esi;"
			 "movl %2, %%ss; movl %%edi, %%esp" : : "r"(SMALL), "r"(a), "r"(KDS) : "esi", "edi", "memory");
}
static void k_small_jump(uint32_t a) { __asm__ volatile("ljmp %0, $0x2000" : : "i"(UGATE16)); }
static void k_lfs(uint32_t sel)
{
	struct { uint32_t off; uint16_t sel; } __attribute__((packed)) p = { 0x1234, (uint16_t)sel };
	uint32_t v;
	__asm__ volatile("lfs %1, %0" : "=r"(v) : "m"(p));
	check("seg32 lfs offset", v, 0x1234);
}

static void limits(void)
{
	gdt[SMALL / 8] = descriptor((uint32_t)area, 0xfff, 0x4093);
	with = SMALL;
	call0(k_read8, 0xfff);
	expect("seg32 last byte", NONE, 0);
	call0(k_read8, 0x1000);
	expect("seg32 beyond the limit", 13, 0);
	call0(k_read32, 0xffd);
	expect("seg32 over the limit", 13, 0);
	call0(k_read32, 0xffc);
	expect("seg32 last doubleword", NONE, 0);
	call0(k_read32, 0xfffffffe);
	expect("seg32 wrap at 4 GiB", 13, 0);
	area[0] = 0;
	call0(k_write32, 0);
	check("seg32 base is added", area[0], 0x55);
	gdt[DOWN / 8] = descriptor((uint32_t)area - 0x1000, 0xfff, 0x4097);
	with = DOWN;
	call0(k_read8, 0xfff);
	expect("seg32 expand down: within the limit", 13, 0);
	call0(k_read8, 0x1000);
	expect("seg32 expand down: above it", NONE, 0);
	gdt[DOWN / 8] = descriptor((uint32_t)area - 0x1000, 0xfff, 0x0097);
	with = DOWN;
	call0(k_read8, 0x10000);
	expect("seg32 expand down, 16-bit: above 64 KiB", 13, 0);
	with = READ_ONLY;
	call0(k_write32, (uint32_t)area);
	expect("seg32 write to read-only", 13, 0);
	call0(k_cs_write, (uint32_t)area);
	expect("seg32 write to code", 13, 0);
	with = KDS;
}

static void loads(void)
{
	call0(k_load, 0);
	expect("seg32 null load", NONE, 0);
	call0(k_null, 0);
	expect("seg32 null use", 13, 0);
	call0(k_load, EXEC_ONLY);
	expect("seg32 load execute-only", 13, EXEC_ONLY);
	call0(k_load, NOT_PRESENT);
	expect("seg32 load not present", 11, NOT_PRESENT);
	call0(k_load, 0x7f8);
	expect("seg32 load outside", 13, 0x7f8);
	call0(k_load, 0x0c);
	expect("seg32 load without an LDT", 13, 0x0c);
	call0(k_load_ss, 0);
	expect("seg32 ss null", 13, 0);
	call0(k_load_ss, READ_ONLY);
	expect("seg32 ss read-only", 13, READ_ONLY);
	call0(k_load_ss, NOT_PRESENT);
	expect("seg32 ss not present", 12, NOT_PRESENT);
	call0(k_load_ss, UDS);
	expect("seg32 ss user", 13, UDS & ~3);
	call0(k_lfs, KDS);
	expect("seg32 lfs", NONE, 0);
	call0(k_lfs, EXEC_ONLY);
	expect("seg32 lfs execute-only", 13, EXEC_ONLY);
	k_load(KDS);
}

static void stack_and_code(void)
{
	gdt[SMALL / 8] = descriptor((uint32_t)area, 0xfff, 0x0093);
	call0(k_small_stack, 0xabcd0100);
	expect("seg32 16-bit stack", NONE, 0);
	check("seg32 16-bit stack: where it went", area[0xfc] | area[0xf8] << 8, 0x0201);
	call0(k_into, 0);
	expect("seg32 into", 4, NOCODE);
	call0(k_bound, 7);
	expect("seg32 bound within", NONE, 0);
	call0(k_bound, 10);
	expect("seg32 bound outside", 5, NOCODE);
	gdt[UGATE16 / 8] = descriptor(0, 0xfff, 0x409b);
	call0(k_small_jump, 0);
	expect("seg32 jump beyond the code limit", 13, 0);
}

void test_segments(void)
{
	limits();
	loads();
	stack_and_code();
}
