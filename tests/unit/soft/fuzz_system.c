/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile system code: random descriptor tables, TSSs, page tables and states, and code made of system instructions.
 * Nothing is judged but that the soft CPU stays whole: run it under ASan and UBSan. Usage: fuzz_system [SEED [COUNT]].
 */
#include "rig.h"
#include "accel/soft/system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GDT_AT = 0x1000, IDT_AT = 0x2000, TSS_AT = 0x4000, CODE_LEN = 256, STEPS = 200 };

static uint64_t next(uint64_t *seed)
{
	uint64_t v = *seed += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

/* System opcodes with a ModRM byte or none; prefixes and operands come from the random bytes between. */
static const uint8_t opcodes[][3] = {
	{ 0x0f, 0x00 }, { 0x0f, 0x01 }, { 0x0f, 0x02 }, { 0x0f, 0x03 }, { 0x0f, 0x05 }, { 0x0f, 0x06 }, { 0x0f, 0x07 },
	{ 0x0f, 0x20 }, { 0x0f, 0x21 }, { 0x0f, 0x22 }, { 0x0f, 0x23 }, { 0x0f, 0x30 }, { 0x0f, 0x32 }, { 0x0f, 0x34 },
	{ 0x0f, 0x35 }, { 0x0f, 0xa1 }, { 0x0f, 0xa9 }, { 0x0f, 0xae }, { 0x0f, 0xb2 }, { 0x0f, 0xb4 }, { 0x0f, 0xc7 },
	{ 0x8e },       { 0x8c },       { 0xcc },       { 0xcd },       { 0xcf },       { 0xcb },       { 0xca },
	{ 0x9a },       { 0xea },       { 0xff },       { 0x6c },       { 0x6e },       { 0xe4 },       { 0xee },
	{ 0xec },       { 0xfa },       { 0xfb },       { 0x07 },       { 0x17 },       { 0x1f },       { 0x9d },
	{ 0xc4 },       { 0xc5 },
};

static void random_code(struct rig *r, uint64_t *seed)
{
	uint8_t code[CODE_LEN];
	unsigned n = 0;

	while (n < sizeof(code) - 12) {
		const uint8_t *op = opcodes[next(seed) % (sizeof(opcodes) / sizeof(opcodes[0]))];
		uint64_t tail = next(seed);
		unsigned len = tail & 7;
		static const uint8_t prefixes[] = { 0x66, 0x67, 0xf3, 0xf2, 0x48, 0x2e, 0x65, 0xf0 };
		if (next(seed) % 3 == 0)
			code[n++] = prefixes[next(seed) % sizeof(prefixes)];
		code[n++] = op[0];
		if (op[1])
			code[n++] = op[1];
		memcpy(code + n, &tail, len);
		n += len;
	}
	memset(code + n, 0xf4, sizeof(code) - n);
	rig_put(r, RIG_CODE, code, sizeof(code));
}

/* A descriptor that is plausible more often than not. */
static uint64_t random_descriptor(uint64_t *seed)
{
	static const uint64_t usual[] = {
		0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff,
		0x00affb000000ffff, 0x00009b010000ffff, 0x0000890040000067, 0x00008b0040000067, 0x00008c0000084321,
		0x0000ec0000080000, 0x0000850000100000, 0x0000820010000fff, 0x000081004000002b,
	};
	uint64_t v = usual[next(seed) % (sizeof(usual) / sizeof(usual[0]))];

	if (next(seed) % 4 == 0)
		v ^= next(seed) & next(seed) & next(seed);
	return next(seed) % 16 ? v : next(seed);
}

static void random_tables(struct rig *r, uint64_t *seed)
{
	uint64_t v;

	for (unsigned n = 1; n < 512; n++) {
		v = random_descriptor(seed);
		rig_put(r, GDT_AT + n * 8, &v, 8);
	}
	for (unsigned n = 0; n < 512; n++) {
		static const uint8_t types[] = { 0x8e, 0x8f, 0xee, 0xef, 0x86, 0x87, 0x85, 0xe5, 0x8c, 0x0e };
		v = (RIG_CODE + (next(seed) & 127)) | (next(seed) & 0x7f) << 19 |
		    (uint64_t)types[next(seed) % sizeof(types)] << 40 | (next(seed) & 7) << 32;
		if (n & 1 && next(seed) % 2)
			v = 0;
		rig_put(r, IDT_AT + n * 8, &v, 8);
	}
	for (unsigned n = 0; n < 64; n++) {
		v = next(seed) % 4 ? (next(seed) & 0x3ffff) | (next(seed) & 0x7f) << 35 : next(seed);
		rig_put(r, TSS_AT + n * 8, &v, 8);
	}
}

static void random_state(struct rig *r, uint64_t *seed)
{
	struct x86_state *s = &r->s;

	rig_state(r, (enum rig_mode)(next(seed) % 3));
	if (next(seed) % 2 && (s->cr0 & X86_CR0_PE))
		rig_user(r);
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		s->gpr[n] = next(seed) % 2 ? next(seed) & 0x3fff8 : next(seed) % 2 ? next(seed) & 0xff : next(seed);
	s->gpr[X86_RSP] = RIG_STACK + (next(seed) & 0xff8);
	s->rflags = (next(seed) & 0x3f7fd5 & ~(uint64_t)X86_FLAG_VM) | 2;
	if (next(seed) % 4)
		s->rflags &= ~(uint64_t)X86_FLAG_TF;
	s->gdtr = (struct x86_table){ GDT_AT, (uint16_t)(next(seed) % 8 ? 4095 : next(seed)) };
	s->idtr = (struct x86_table){ IDT_AT, (uint16_t)(next(seed) % 8 ? 4095 : next(seed)) };
	s->seg[X86_TR] = (struct x86_seg){ TSS_AT, (uint32_t)(next(seed) % 4 ? 0x67 : next(seed) & 0xffff),
		                           X86_AR_P | (next(seed) % 4 ? 11 : 3), 0x38 };
	s->seg[X86_LDTR] = (struct x86_seg){ GDT_AT, 4095, X86_AR_P | 2, 0x60 };
	if (next(seed) % 4 == 0)
		s->dr[7] = next(seed) & 0xffff23ff;
	s->dr[0] = RIG_CODE + (next(seed) & 127);
	s->cr4 |= next(seed) &
		  (X86_CR4_DE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_OSFXSR | X86_CR4_OSXSAVE | X86_CR4_TSD);
	s->star = next(seed);
	s->lstar = s->cstar = s->sysenter_eip = RIG_CODE + (next(seed) & 127);
	s->sysenter_cs = next(seed) & 0x78;
	s->sysenter_esp = RIG_STACK;
	s->sfmask = next(seed);
}

int main(int argc, char **argv)
{
	uint64_t base = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 300, done = 0, raised = 0;
	static struct rig r;
	static struct x86_cpuid rows[X86_CPUID_MAX];
	struct err e = { 0 };
	int n;

	rig_init(&r, RIG_64);
	n = soft_cpuid_rows(&r.vm, rows, X86_CPUID_MAX, &e);
	if (n < 0)
		return 1;
	r.vcpu[0].cpuid = rows;
	r.vcpu[0].cpuid_count = (unsigned)n;
	for (unsigned long k = 0; k < count; k++) {
		uint64_t seed = base + k;
		random_tables(&r, &seed);
		random_code(&r, &seed);
		random_state(&r, &seed);
		soft_step_run(r.step, &r.s, STEPS, true, &r.result);
		done += r.result.executed;
		raised += r.result.raised;
		if (r.s.rip >> 48 && r.s.rip >> 47 != 0x1ffff) {
			printf("seed %llu: rip %llx\n", (unsigned long long)(base + k), (unsigned long long)r.s.rip);
			return 1;
		}
	}
	printf("%lu states, %lu instructions, %lu raised\n", count, done, raised);
	rig_free(&r);
	return 0;
}
