/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The predecoder beside Zydis: random bytes, and random instructions of the opcodes that it knows. */
#include "accel/soft/predecode.h"
#include "accel/soft/soft.h"
#include "core/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LEN = ZYDIS_MAX_INSTRUCTION_LENGTH };
/* 64-bit code, and flat 32-bit code; which decoder is that one's. */
static const struct sort {
	uint32_t mode;
	unsigned decoder;
} sorts[] = {
	{ MODE_CODE64 | MODE_SS32 | MODE_PROTECTED | MODE_LONG, 3 },
	{ MODE_CODE32 | MODE_SS32 | MODE_PROTECTED | MODE_FLAT, 2 },
};

static uint64_t seed = 88172645463325252;
static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static struct soft_vm *make(struct vm *vm)
{
	struct soft_vm *sv;
	struct err e = { 0 };
	*vm = (struct vm){ 0 };
	assert_int_equal(soft_vm_create(&sv, vm, true, &e), 0);
	return sv;
}

static void same_operand(const ZydisDecodedOperand *a, const ZydisDecodedOperand *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->encoding, b->encoding);
	assert_int_equal(a->visibility, b->visibility);
	assert_int_equal(a->actions, b->actions);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->element_size, b->element_size);
	switch (a->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER: assert_int_equal(a->reg.value, b->reg.value); break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE: assert_int_equal(a->imm.value.u, b->imm.value.u); break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		assert_int_equal(a->mem.type, b->mem.type);
		assert_int_equal(a->mem.segment, b->mem.segment);
		assert_int_equal(a->mem.index, b->mem.index);
		assert_int_equal(a->mem.disp.value, b->mem.disp.value);
		break;
	default: break;
	}
}

enum { SEEN = ZYDIS_ATTRIB_HAS_MODRM | ZYDIS_ATTRIB_HAS_SIB | ZYDIS_ATTRIB_HAS_REX | ZYDIS_ATTRIB_HAS_LOCK };
static const uint64_t seen = SEEN | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE |
			     ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS;

static void same_raw(const ZydisDecodedInstruction *a, const ZydisDecodedInstruction *b)
{
	assert_int_equal(a->raw.rex.W, b->raw.rex.W);
	assert_int_equal(a->raw.prefix_count, b->raw.prefix_count);
	for (unsigned n = 0; n < b->raw.prefix_count; n++) {
		assert_int_equal(a->raw.prefixes[n].value, b->raw.prefixes[n].value);
		assert_int_equal(a->raw.prefixes[n].type == ZYDIS_PREFIX_TYPE_MANDATORY,
				 b->raw.prefixes[n].type == ZYDIS_PREFIX_TYPE_MANDATORY);
	}
	assert_int_equal(a->raw.disp.size, b->raw.disp.size);
	assert_int_equal(a->raw.imm[0].size, b->raw.imm[0].size);
	if (b->raw.imm[0].size)
		assert_int_equal(a->raw.imm[0].offset, b->raw.imm[0].offset);
	if (!(b->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return;
	assert_int_equal(a->raw.modrm.mod, b->raw.modrm.mod);
	assert_int_equal(a->raw.modrm.reg, b->raw.modrm.reg);
	assert_int_equal(a->raw.modrm.rm, b->raw.modrm.rm);
	assert_int_equal(a->raw.modrm.offset, b->raw.modrm.offset);
}

static void same_instruction(const ZydisDecodedInstruction *a, const ZydisDecodedInstruction *b)
{
	assert_int_equal(a->length, b->length);
	assert_int_equal(a->mnemonic, b->mnemonic);
	assert_int_equal(a->encoding, b->encoding);
	assert_int_equal(a->opcode_map, b->opcode_map);
	assert_int_equal(a->opcode, b->opcode);
	assert_int_equal(a->operand_width, b->operand_width);
	assert_int_equal(a->address_width, b->address_width);
	assert_int_equal(a->operand_count, b->operand_count);
	assert_int_equal(a->operand_count_visible, b->operand_count_visible);
	assert_int_equal(a->meta.branch_type, b->meta.branch_type);
	assert_int_equal(a->meta.category, b->meta.category);
	assert_int_equal(a->meta.isa_ext, b->meta.isa_ext);
	assert_int_equal(a->meta.isa_set, b->meta.isa_set);
	assert_int_equal(a->meta.exception_class, b->meta.exception_class);
	assert_ptr_equal(a->cpu_flags, b->cpu_flags);
	assert_int_equal(a->attributes & seen, b->attributes & seen);
	same_raw(a, b);
}

static void same_insn(const struct insn *a, const struct insn *b)
{
	assert_ptr_equal(a->fn, b->fn);
	assert_int_equal(a->imm, b->imm);
	assert_ptr_equal(a->aux, b->aux);
	assert_int_equal(a->disp, b->disp);
	assert_memory_equal(&a->len, &b->len, offsetof(struct insn, fast) - offsetof(struct insn, len));
	assert_int_equal(a->fast, b->fast);
}

/* True: the predecoder knew it. */
static bool compare(struct soft_vm *sv, const struct sort *sort, const uint8_t *bytes, unsigned avail)
{
	ZydisDecodedInstruction zi[2];
	ZydisDecodedOperand op[2][ZYDIS_MAX_OPERAND_COUNT];
	struct predecoder *p = sv->predecoder[sort->decoder];
	struct insn i[2] = { { .off = 77 }, { .off = 77 } };
	enum decode_result r = decode_insn(sv, sort->mode, bytes, avail, &i[0]);
	bool known = predecode(p, bytes, avail, &zi[0], op[0]);
	if (known) {
		const ZydisDecoder *zydis = &sv->decoder[sort->decoder];
		assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(zydis, bytes, avail, &zi[1], op[1])));
		same_instruction(&zi[0], &zi[1]);
		for (unsigned n = 0; n < zi[1].operand_count; n++)
			same_operand(&op[0][n], &op[1][n]);
		sv->predecoder[sort->decoder] = NULL;
		assert_int_equal(r, decode_insn(sv, sort->mode, bytes, avail, &i[1]));
		sv->predecoder[sort->decoder] = p;
		if (r != DECODE_MORE)
			same_insn(&i[0], &i[1]);
	}
	return known;
}

static void fill(uint8_t *bytes)
{
	for (unsigned n = 0; n < LEN; n++)
		bytes[n] = (uint8_t)next();
}

static void test_random(void **state)
{
	struct vm vm;
	struct soft_vm *sv = make(&vm);
	unsigned known = 0;
	for (unsigned n = 0; n < 200000; n++) {
		uint8_t bytes[LEN];
		fill(bytes);
		known += compare(sv, &sorts[n >> 1 & 1], bytes, n & 1 ? LEN : 1 + (unsigned)next() % LEN);
	}
	assert_true(known > 60000);
	soft_vm_destroy(sv);
}

/* All opcodes, with prefixes that mean something to it. */
static void test_forms(void **state)
{
	static const uint8_t prefix[] = { 0x66, 0x64, 0x65, 0xf3, 0xf2, 0x2e, 0x67, 0xf0 };
	struct vm vm;
	struct soft_vm *sv = make(&vm);
	unsigned known = 0;
	for (unsigned n = 0; n < 512 * 1600; n++) {
		uint8_t bytes[LEN];
		unsigned at = 0;
		uint64_t r = next();
		fill(bytes);
		if (r & 1)
			bytes[at++] = prefix[r >> 1 & 7];
		if ((r >> 4 & 15) == 0)
			bytes[at++] = 0x66;
		if (r >> 8 & 1)
			bytes[at++] = 0x40 | (r >> 9 & 15); /* INC or DEC of 32-bit code */
		if (n & 256)
			bytes[at++] = 0x0f;
		bytes[at++] = (uint8_t)n;
		if (r >> 16 & 1) /* SIB and no base more often than chance has them */
			bytes[at] = (bytes[at] & 0xf8) | 4 | (r >> 17 & 1);
		if (r >> 18 & 1)
			bytes[at + 1] = (bytes[at + 1] & 0xf8) | 5;
		known += compare(sv, &sorts[r >> 40 & 1], bytes, r >> 20 & 7 ? LEN : 1 + (unsigned)(r >> 24) % LEN);
	}
	assert_true(known > 200000);
	soft_vm_destroy(sv);
}

static void test_endbr(void **state)
{
	struct vm vm;
	struct soft_vm *sv = make(&vm);
	const uint8_t bytes[LEN] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x55 };
	for (unsigned avail = 1; avail <= LEN; avail++)
		assert_int_equal(compare(sv, &sorts[0], bytes, avail), avail >= 4);
	soft_vm_destroy(sv);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_endbr),
	};
	seed += argc > 1 ? strtoull(argv[1], NULL, 0) : 0; /* other bytes */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
