/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that writes code: a loop that stores new bytes over a row of one-byte instructions and runs the row, before or
 * after the store, so that each kind of store has to be noticed in the same block, in an older one, and across pages.
 * RBP counts the rounds, RBX and RDI point to the row, RDX and XMM0 hold what is stored, RSI points to it in the data.
 */
#include "oracle.h"
#include "rng.h"
#include <string.h>

enum { ROW = 16 };

struct writer {
	const char *name;
	uint8_t len, bytes[7];
	bool only64;
};

static const struct writer writer[] = {
	{ "mov byte", 2, { 0x88, 0x13 } },
	{ "mov word", 3, { 0x66, 0x89, 0x13 } },
	{ "mov dword", 2, { 0x89, 0x13 } },
	{ "mov qword", 3, { 0x48, 0x89, 0x13 }, true },
	{ "mov word, imm", 5, { 0x66, 0xc7, 0x03, 0xf9, 0xf5 } },
	{ "mov byte, imm, unaligned", 4, { 0xc6, 0x43, 0x05, 0xf8 } },
	{ "xchg", 2, { 0x87, 0x13 } },
	{ "lock cmpxchg", 4, { 0xf0, 0x0f, 0xb1, 0x13 } },
	{ "movups", 3, { 0x0f, 0x11, 0x03 } },
	{ "movq", 4, { 0x66, 0x0f, 0xd6, 0x03 } },
	{ "movhps", 3, { 0x0f, 0x17, 0x03 } },
	{ "vmovdqu", 4, { 0xc5, 0xfa, 0x7f, 0x03 } },
	{ "stosb", 1, { 0xaa } },
	{ "rep stosb", 2, { 0xf3, 0xaa } },
	{ "rep movsb", 2, { 0xf3, 0xa4 } },
	{ "movsd", 1, { 0xa5 } },
	{ "push pop", 2, { 0x52, 0x5a } },
	{ "cmpxchg8b", 3, { 0x0f, 0xc7, 0x0b } },
	{ "add byte", 4, { 0x80, 0x43, 0x02, 0x01 } }, /* the third byte is CLC, made STC */
	{ "xor byte", 4, { 0x80, 0x73, 0x02, 0x01 } },
	{ "btc", 4, { 0x0f, 0xba, 0x7b, 0x00 } }, /* its immediate follows */
};

static uint8_t one_byte(struct rng *r)
{
	static const uint8_t list[] = { 0x90, 0xf8, 0xf9, 0xf5, 0xfc, 0x98, 0x9f, 0x9e, 0x90, 0x90 };
	return list[rng_below(r, sizeof(list))];
}

static void emit(struct ora_case *c, const void *bytes, unsigned len)
{
	c->insn_off[c->insn_count++] = (uint8_t)c->code_len;
	memcpy(c->code + c->code_len, bytes, len);
	c->code_len += len;
}

static void emit_writer(struct ora_case *c, struct rng *r)
{
	const struct writer *w;
	do
		w = &writer[rng_below(r, COUNT_OF(writer))];
	while (c->mode32 && w->only64);
	emit(c, w->bytes, w->len);
	if (w->bytes[0] == 0x0f && w->bytes[1] == 0xba) { /* bit 16 of the row: the third byte's lowest */
		c->code[c->code_len - 1] = 0;
		c->code[c->code_len++] = 16;
	}
}

void ora_smc_code(struct ora_case *c, struct rng *r)
{
	struct ora_state *s = &c->in;
	uint8_t row[ROW], fresh[ROW];
	bool writer_first = rng_percent(r, 50);
	for (unsigned n = 0; n < ROW; n++) {
		row[n] = one_byte(r);
		fresh[n] = one_byte(r);
	}
	row[2] = 0xf8;
	if (writer_first)
		emit_writer(c, r);
	uint64_t row_at = s->rip + c->code_len;
	emit(c, row, ROW);
	if (!writer_first)
		emit_writer(c, r);
	uint8_t back[] = { 0xff, 0xcd, 0x75, (uint8_t)-(c->code_len + 4) }; /* dec ebp; jnz */
	emit(c, back, sizeof(back));
	s->gpr[X86_RBP] = 1 + rng_below(r, 4);
	s->gpr[X86_RBX] = s->gpr[X86_RDI] = row_at;
	s->gpr[X86_RSP] = row_at + 8;
	s->gpr[X86_RSI] = ORA_DATA_AT + 64;
	s->gpr[X86_RCX] = rng_below(r, ROW + 1);
	memcpy(&s->gpr[X86_RDX], fresh, c->mode32 ? 4 : 8);
	memcpy(s->fpu.fx + 160, fresh, ROW);
	memcpy(&s->gpr[X86_RAX], rng_percent(r, 50) ? row : fresh, 4);
	s->rflags &= ~(uint64_t)(X86_FLAG_DF | X86_FLAG_AC);
	for (unsigned n = 0; n < ROW; n += 8) {
		struct ora_plant *p = &c->plant[c->plant_count++];
		*p = (struct ora_plant){ .off = 64 + n, .width = 8 };
		memcpy(&p->value, fresh + n, 8);
	}
}
