/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of host code. Encodings: SDM 2A chapter 2. */
#include "accel/soft/xlate_priv.h"

#include <string.h>

void x_bytes(struct xtext *t, const uint8_t *bytes, unsigned len)
{
	for (unsigned n = 0; n < len; n++)
		x_byte(t, bytes[n]);
}

void x_u32(struct xtext *t, uint32_t v)
{
	if (t->end - t->p < 4) {
		t->overflow = true;
		return;
	}
	memcpy(t->p, &v, 4);
	t->p += 4;
}

void x_u64(struct xtext *t, uint64_t v)
{
	x_u32(t, (uint32_t)v);
	x_u32(t, (uint32_t)(v >> 32));
}

static void opcode(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned index, unsigned base)
{
	unsigned rex = 0x40 | (wide ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);
	if (rex != 0x40)
		x_byte(t, rex);
	if (op > 0xff)
		x_byte(t, op >> 8);
	x_byte(t, op & 0xff);
}

void x_rr(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned rm)
{
	opcode(t, wide, op, reg, 0, rm);
	x_byte(t, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static bool is_disp8(int32_t disp)
{
	return disp >= -128 && disp <= 127;
}

void x_operand(struct xtext *t, unsigned reg, const struct xaddr *a)
{
	unsigned mod = a->disp == 0 && (a->base & 7) != 5 ? 0 : is_disp8(a->disp) ? 1 : 2;
	bool sib = a->index != HOST_NONE || (a->base & 7) == 4;
	x_byte(t, mod << 6 | (reg & 7) << 3 | (sib ? 4 : a->base & 7));
	if (sib)
		x_byte(t, (a->index != HOST_NONE ? a->index & 7u : 4) << 3 | (a->base & 7));
	if (mod == 1)
		x_byte(t, (uint8_t)a->disp);
	else if (mod == 2)
		x_u32(t, (uint32_t)a->disp);
}

void x_at(struct xtext *t, bool wide, unsigned op, unsigned reg, const struct xaddr *a)
{
	opcode(t, wide, op, reg, a->index != HOST_NONE ? a->index : 0, a->base);
	x_operand(t, reg, a);
}

void x_mem(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned base, int32_t disp)
{
	x_at(t, wide, op, reg, &(struct xaddr){ (uint8_t)base, HOST_NONE, disp });
}

void x_gs(struct xtext *t, bool wide, unsigned op, unsigned reg, size_t off)
{
	uint32_t base = x_cpu(t);
	opcode(t, wide, op, reg, 0, 0);
	x_byte(t, (reg & 7) << 3 | 4);
	x_byte(t, 0x25);
	x_u32(t, base + (uint32_t)off);
}

void x_load(struct xtext *t, unsigned reg, size_t off) { x_gs(t, true, 0x8b, reg, off); }
void x_store(struct xtext *t, unsigned reg, size_t off) { x_gs(t, true, 0x89, reg, off); }

void x_imm(struct xtext *t, unsigned reg, uint64_t v)
{
	if (v <= UINT32_MAX) {
		opcode(t, false, 0xb8 | (reg & 7), 0, 0, reg);
		x_u32(t, (uint32_t)v);
	} else if ((uint64_t)(int32_t)v == v) {
		opcode(t, true, 0xc7, 0, 0, reg);
		x_byte(t, 0xc0 | (reg & 7));
		x_u32(t, (uint32_t)v);
	} else {
		opcode(t, true, 0xb8 | (reg & 7), 0, 0, reg);
		x_u64(t, v);
	}
}

/* A copy finds 8 bytes there, or nothing that it could set right. */
static void imm_marked(struct xtext *t, unsigned reg, uint64_t v, enum xmark kind)
{
	x_imm(t, reg, v);
	x_mark(t, t->p - 8, v > UINT32_MAX && (uint64_t)(int32_t)v != v ? kind : XMARK_LOST);
}

void x_imm_rip(struct xtext *t, unsigned reg, uint64_t v)
{
	imm_marked(t, reg, v, XMARK_RIP);
}

void x_imm_block(struct xtext *t, unsigned reg, const struct xblock *xb)
{
	imm_marked(t, reg, (uint64_t)(uintptr_t)xb, XMARK_BLOCK);
}

void x_lea_cut(struct xtext *t, bool wide, unsigned reg, unsigned base, int32_t disp)
{
	if (disp == 0)
		x_rr(t, wide, 0x89, base, reg);
	else
		x_mem(t, wide, 0x8d, reg, base, disp);
}

void x_lea(struct xtext *t, unsigned reg, unsigned base, int32_t disp)
{
	x_lea_cut(t, true, reg, base, disp);
}

/* base may be REG_NONE. */
void x_lea_index(struct xtext *t, unsigned reg, unsigned base, unsigned index, unsigned scale, int32_t disp)
{
	x_lea_index_cut(t, true, reg, base, index, scale, disp);
}

void x_lea_index_cut(struct xtext *t, bool wide, unsigned reg, unsigned base, unsigned index, unsigned scale, int32_t disp)
{
	unsigned ss = (unsigned)__builtin_ctz(scale);
	opcode(t, wide, 0x8d, reg, index, base == REG_NONE ? 0 : base);
	if (base == REG_NONE) {
		x_byte(t, (reg & 7) << 3 | 4);
		x_byte(t, ss << 6 | (index & 7) << 3 | 5);
		x_u32(t, (uint32_t)disp);
		return;
	}
	unsigned mod = is_disp8(disp) ? 1 : 2;
	x_byte(t, mod << 6 | (reg & 7) << 3 | 4);
	x_byte(t, ss << 6 | (index & 7) << 3 | (base & 7));
	if (mod == 1)
		x_byte(t, (uint8_t)disp);
	else
		x_u32(t, (uint32_t)disp);
}

/* The displacement of a jump or call; what stays in its own text moves with it. */
static void relative(struct xtext *t, const uint8_t *to_rx)
{
	const uint8_t *to = to_rx - t->to_rx;
	if (to < t->start || to > t->p)
		x_mark(t, t->p, XMARK_RELATIVE);
	x_u32(t, (uint32_t)(to_rx - (x_rx(t) + 4)));
}

void x_jmp(struct xtext *t, const uint8_t *to_rx)
{
	ptrdiff_t near = to_rx - (x_rx(t) + 2);
	if (near >= -128 && near <= 127) {
		x_byte(t, 0xeb);
		x_byte(t, (uint8_t)near);
		return;
	}
	x_byte(t, 0xe9);
	relative(t, to_rx);
}

void x_call(struct xtext *t, const uint8_t *to_rx)
{
	x_byte(t, 0xe8);
	relative(t, to_rx);
}

void x_jcc_to(struct xtext *t, unsigned cc, const uint8_t *to_rx)
{
	x_byte(t, 0x0f);
	x_byte(t, 0x80 | cc);
	relative(t, to_rx);
}

uint8_t *x_jcc(struct xtext *t, unsigned cc)
{
	x_byte(t, 0x0f);
	x_byte(t, 0x80 | cc);
	x_u32(t, 0);
	return t->p;
}

uint8_t *x_jmp_forward(struct xtext *t)
{
	x_byte(t, 0xe9);
	x_u32(t, 0);
	return t->p;
}

void x_here(struct xtext *t, uint8_t *from)
{
	uint32_t d = (uint32_t)(t->p - from);
	if (!t->overflow)
		memcpy(from - 4, &d, 4);
	if (from < t->start)
		x_mark(t, from - 4, XMARK_RELATIVE);
}
