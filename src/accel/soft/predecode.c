/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources: SDM 2A chapter 2 (formats), appendix A (opcode maps). */
#include "accel/soft/predecode.h"
#include "base/bytes.h"
#include "base/compiler.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What may stand before an opcode, besides REX without W and FS or GS. In 32-bit code there is no REX: 40 to 4F are INC and DEC. */
enum kind { KIND_NONE, KIND_66, KIND_W, KIND_F3, KIND_F2, KINDS };
/* Rows of the tables: the kinds that are decoded here, whether ModRM follows, and whether its reg field is opcode too. */
enum {
	N = 1 << KIND_NONE, S = 1 << KIND_66, W = 1 << KIND_W, NW = N | W, NSW = N | S | W,
	M = 1 << 5, G = 1 << 6 | M,
	V = N | S | 1 << KIND_F3 | 1 << KIND_F2 | M, /* MMX and SSE: which of these there are Zydis says */
};

#define ALU(op) [op ... op + 3] = NSW | M, [op + 4 ... op + 5] = NSW
static const uint8_t one_byte[256] = {
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30), ALU(0x38),
	[0x40 ... 0x4f] = N | S,                                 /* INC, DEC: of 32-bit code */
	[0x50 ... 0x5f] = NW,                                    /* PUSH, POP */
	[0x63] = NW | M,                                         /* MOVSXD */
	[0x68] = NW, [0x6a] = NW,                                /* PUSH imm */
	[0x69] = NSW | M, [0x6b] = NSW | M,                      /* IMUL */
	[0x70 ... 0x7f] = N,                                     /* Jcc */
	[0x80 ... 0x81] = NSW | G, [0x83] = NSW | G,             /* ADD ... CMP imm */
	[0x84 ... 0x8b] = NSW | M, [0x8d] = NSW | M,             /* TEST, XCHG, MOV, LEA */
	[0x91 ... 0x97] = NSW, [0x98 ... 0x99] = NSW,            /* XCHG, CBW, CWD */
	[0xa8 ... 0xa9] = NSW, [0xb0 ... 0xbf] = NSW,            /* TEST, MOV imm */
	[0xc0 ... 0xc1] = NSW | G, [0xd0 ... 0xd3] = NSW | G,    /* shifts */
	[0xc3] = N, [0xc9] = N,                                  /* RET, LEAVE */
	[0xc6 ... 0xc7] = NSW | G,                               /* MOV imm */
	[0xe8 ... 0xe9] = N, [0xeb] = N,                         /* CALL, JMP */
	[0xf6 ... 0xf7] = NSW | G, [0xfe] = NSW | G, [0xff] = NW | G,
};
static const uint8_t two_byte[256] = {
	[0x10 ... 0x17] = V, [0x28 ... 0x2f] = V,                /* moves, conversions, comparisons */
	[0x50 ... 0x70] = V, [0x71 ... 0x73] = V | G,            /* arithmetic, unpacking, shuffles; shifts by constants */
	[0x74 ... 0x76] = V, [0x7c ... 0x7f] = V,
	[0xc2] = V, [0xc4 ... 0xc6] = V, [0xd0 ... 0xfe] = V,
	[0x1f] = NSW | G,                                        /* NOP */
	[0x40 ... 0x4f] = NSW | M,                               /* CMOVcc */
	[0x80 ... 0x8f] = N,                                     /* Jcc */
	[0x90 ... 0x9f] = N | M,                                 /* SETcc */
	[0xa3 ... 0xa5] = NSW | M, [0xab ... 0xad] = NSW | M,    /* BT, SHLD, BTS, SHRD */
	[0xaf] = NSW | M,                                        /* IMUL */
	[0xb3] = NSW | M, [0xb6 ... 0xb7] = NSW | M, [0xba] = NSW | G, [0xbb ... 0xbf] = NSW | M,
	[0xc8 ... 0xcf] = NW,                                    /* BSWAP */
};
#undef ALU

enum { SHAPES_MAX = 2048, SHAPE_OPS = 6, SHAPE_REFUSED = UINT16_MAX, NO_OPERAND = 0xff };

/* What Zydis said of one instruction of the kind, and where the others differ. */
struct shape {
	ZydisDecodedInstruction zi;
	uint8_t mem, imm;        /* numbers of operands, NO_OPERAND */
	uint8_t imm_bytes;
	bool imm_signed;
	uint8_t regs;            /* so many operands are registers that the bytes name */
	struct shape_reg {
		uint8_t operand, from; /* ZydisOperandEncoding */
		uint16_t first;        /* register 0 of the class */
	} reg[3];
	ZydisDecodedOperand op[SHAPE_OPS];
};

struct predecoder {
	const ZydisDecoder *zydis;
	bool code64;
	pthread_mutex_t lock; /* held to add a shape */
	unsigned count;
	struct shape *shape;  /* SHAPES_MAX */
	_Atomic uint16_t at[2][256][KINDS][2][8]; /* map, opcode, kind, memory, ModRM.reg of groups: number + 1 */
	_Atomic uint16_t endbr64;
};

int predecode_create(struct predecoder **out, const ZydisDecoder *d, struct err *e)
{
	struct predecoder *p = calloc(1, sizeof(*p));
	if (p)
		p->shape = calloc(SHAPES_MAX, sizeof(*p->shape));
	if (!p || !p->shape) {
		free(p);
		return err_set(e, -ENOMEM, "no memory for the decoder");
	}
	p->zydis = d;
	p->code64 = d->machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

void predecode_destroy(struct predecoder *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p->shape);
	free(p);
}

/* ---- shapes ---- */
static ZydisRegister first_of(ZydisRegister r)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8: return ZYDIS_REGISTER_AL;
	case ZYDIS_REGCLASS_GPR16: return ZYDIS_REGISTER_AX;
	case ZYDIS_REGCLASS_GPR32: return ZYDIS_REGISTER_EAX;
	case ZYDIS_REGCLASS_GPR64: return ZYDIS_REGISTER_RAX;
	case ZYDIS_REGCLASS_MMX: return ZYDIS_REGISTER_MM0;
	case ZYDIS_REGCLASS_XMM: return ZYDIS_REGISTER_XMM0;
	default: return ZYDIS_REGISTER_NONE;
	}
}

/* One operand; false: of a sort that is not known here. */
static bool shape_operand(struct shape *s, unsigned n)
{
	const ZydisDecodedOperand *o = &s->op[n];
	bool named = o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG || o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
		     o->encoding == ZYDIS_OPERAND_ENCODING_OPCODE;
	switch (o->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		if (!named)
			return true;
		if (s->regs == COUNT_OF(s->reg) || first_of(o->reg.value) == ZYDIS_REGISTER_NONE)
			return false;
		s->reg[s->regs++] = (struct shape_reg){ (uint8_t)n, o->encoding, (uint16_t)first_of(o->reg.value) };
		return true;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (o->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
			return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
		s->mem = (uint8_t)n;
		return true;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (!s->zi.raw.imm[0].size)
			return true; /* a count of 1 */
		s->imm = (uint8_t)n;
		s->imm_bytes = s->zi.raw.imm[0].size / 8;
		s->imm_signed = o->imm.is_signed;
		return true;
	default: return false;
	}
}

static bool shape_of(struct predecoder *p, const uint8_t *bytes, struct shape *s)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZyanStatus st = ZydisDecoderDecodeFull(p->zydis, bytes, ZYDIS_MAX_INSTRUCTION_LENGTH, &s->zi, op);
	if (!ZYAN_SUCCESS(st) || s->zi.operand_count > SHAPE_OPS || s->zi.raw.imm[1].size ||
	    s->zi.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || s->zi.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	    s->zi.meta.isa_ext == ZYDIS_ISA_EXT_RTM) /* XABORT, XBEGIN: one ModRM byte of MOV's opcode */
		return false;
	memcpy(s->op, op, s->zi.operand_count * sizeof(*op));
	s->mem = s->imm = NO_OPERAND;
	for (unsigned n = 0; n < s->zi.operand_count; n++)
		if (!shape_operand(s, n))
			return false;
	return s->imm != NO_OPERAND || !s->zi.raw.imm[0].size;
}

/* The number of the shape of `bytes`, which are enough for any; it becomes *at. */
static unsigned learn(struct predecoder *p, const uint8_t *bytes, _Atomic uint16_t *at)
{
	pthread_mutex_lock(&p->lock);
	unsigned n = atomic_load(at);
	if (!n) {
		struct shape *s = &p->shape[p->count];
		*s = (struct shape){ 0 };
		n = p->count < SHAPES_MAX - 1 && shape_of(p, bytes, s) ? ++p->count : SHAPE_REFUSED;
		atomic_store_explicit(at, (uint16_t)n, memory_order_release);
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

/* ---- one instruction ---- */
struct found {
	const uint8_t *p, *end; /* the next byte */
	const uint8_t *start;
	uint8_t rex, seg; /* 0: none */
	uint8_t prefix;   /* 66, F3, F2; 0: none */
	uint8_t map, opcode, modrm;
};

/* Prefixes and opcode; false: not of those that are known here. */
static bool take_opcode(const struct predecoder *p, struct found *f, unsigned *kind)
{
	uint8_t b = *f->p++;
	if (b == 0x64 || b == 0x65) {
		f->seg = b;
		if (f->p == f->end)
			return false;
		b = *f->p++;
	}
	if (b == 0x66 || b == 0xf3 || b == 0xf2) {
		f->prefix = b;
		if (f->p == f->end)
			return false;
		b = *f->p++;
	}
	if (p->code64 && (b & 0xf0) == 0x40) {
		f->rex = b;
		if (f->p == f->end)
			return false;
		b = *f->p++;
	}
	if (b == 0x0f) {
		f->map = 1;
		if (f->p == f->end)
			return false;
		b = *f->p++;
	}
	f->opcode = b;
	bool wide = f->rex & 8;
	*kind = f->prefix == 0x66 ? KIND_66 : f->prefix == 0xf3 ? KIND_F3 : f->prefix ? KIND_F2 : wide ? KIND_W : KIND_NONE;
	return !(f->prefix && wide);
}

static const struct shape *shape_find(struct predecoder *p, const struct found *f, unsigned kind, unsigned row)
{
	bool mem = row & M && f->modrm < 0xc0;
	unsigned group = (row & G) == G ? f->modrm >> 3 & 7 : 0;
	_Atomic uint16_t *at = &p->at[f->map][f->opcode][kind][mem][group];
	unsigned n = atomic_load_explicit(at, memory_order_acquire);
	if (unlikely(!n)) {
		uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH] = { 0 };
		unsigned k = 0;
		if (f->prefix)
			bytes[k++] = f->prefix;
		if (kind == KIND_W)
			bytes[k++] = 0x48;
		if (f->map)
			bytes[k++] = 0x0f;
		bytes[k++] = f->opcode;
		bytes[k] = row & M ? (uint8_t)((mem ? 3 : 0xc0) | group << 3) : 0;
		n = learn(p, bytes, at);
	}
	return n == SHAPE_REFUSED ? NULL : &p->shape[n - 1];
}

/* What the tables say of the opcode. */
static unsigned row_of(const struct predecoder *p, const struct found *f)
{
	if (f->map)
		return two_byte[f->opcode];
	/* There 63 is ARPL; behind REX another REX is no opcode. */
	return p->code64 ? ((f->opcode & 0xf0) == 0x40 ? 0 : one_byte[f->opcode]) : f->opcode == 0x63 ? 0 : one_byte[f->opcode];
}

/* The address that ModRM and what follows it say; false: more bytes are needed. */
static bool take_address(const struct predecoder *p, struct found *f, ZydisDecodedInstruction *zi, ZydisDecodedOperand *o)
{
	const ZydisRegister first = p->code64 ? ZYDIS_REGISTER_RAX : ZYDIS_REGISTER_EAX;
	unsigned mod = f->modrm >> 6, rm = f->modrm & 7, size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	ZydisRegister base = first + (rm | (f->rex & 1) << 3), index = ZYDIS_REGISTER_NONE;
	unsigned scale = 0;
	if (rm == 4) {
		if (f->p == f->end)
			return false;
		unsigned sib = *f->p++, i = (sib >> 3 & 7) | (f->rex & 2) << 2, b = sib & 7;
		zi->attributes |= ZYDIS_ATTRIB_HAS_SIB;
		zi->raw.sib.base = (ZyanU8)b;
		base = first + (b | (f->rex & 1) << 3);
		if (i != 4) {
			index = first + i;
			scale = 1u << (sib >> 6);
		}
		if (b == 5 && mod == 0) {
			base = ZYDIS_REGISTER_NONE;
			size = 4;
		}
	} else if (rm == 5 && mod == 0) {
		base = p->code64 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_NONE;
		size = 4;
	}
	if ((unsigned)(f->end - f->p) < size)
		return false;
	int64_t disp = size == 1 ? (int8_t)*f->p : size == 4 ? (int32_t)load_le32(f->p) : 0;
	f->p += size;
	bool stack = base == first + 4 || base == first + 5;
	o->mem.segment = f->seg == 0x64 ? ZYDIS_REGISTER_FS : f->seg ? ZYDIS_REGISTER_GS : stack ? ZYDIS_REGISTER_SS : ZYDIS_REGISTER_DS;
	o->mem.base = base;
	o->mem.index = index;
	o->mem.scale = (ZyanU8)scale;
	o->mem.disp.has_displacement = size != 0;
	o->mem.disp.value = zi->raw.disp.value = disp;
	zi->raw.disp.size = (ZyanU8)(8 * size);
	return true;
}

static bool take_immediate(struct found *f, const struct shape *s, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	const uint8_t *p = f->p;
	uint64_t v;
	if ((unsigned)(f->end - p) < s->imm_bytes)
		return false;
	switch (s->imm_bytes) {
	case 1: v = s->imm_signed ? (uint64_t)(int8_t)*p : *p; break;
	case 2: v = s->imm_signed ? (uint64_t)(int16_t)load_le16(p) : load_le16(p); break;
	case 4: v = s->imm_signed ? (uint64_t)(int32_t)load_le32(p) : load_le32(p); break;
	default: v = load_le64(p);
	}
	op[s->imm].imm.value.u = v;
	zi->raw.imm[0].offset = (ZyanU8)(p - f->start);
	f->p += s->imm_bytes;
	return true;
}

static void put_registers(const struct found *f, const struct shape *s, ZydisDecodedOperand *op)
{
	for (unsigned k = 0; k < s->regs; k++) {
		const struct shape_reg *r = &s->reg[k];
		unsigned n;
		switch (r->from) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG: n = (f->modrm >> 3 & 7) | (f->rex & 4) << 1; break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM: n = (f->modrm & 7) | (f->rex & 1) << 3; break;
		default: n = (f->opcode & 7) | (f->rex & 1) << 3;
		}
		/* With REX, SPL to DIL and those above stand where AH to BH do without. */
		if (r->first == ZYDIS_REGISTER_AL && f->rex && n >= 4)
			n += ZYDIS_REGISTER_SPL - ZYDIS_REGISTER_AH;
		if (r->first == ZYDIS_REGISTER_MM0)
			n &= 7;
		op[r->operand].reg.value = (ZydisRegister)(r->first + n);
	}
}

static void put_prefix(ZydisDecodedInstruction *zi, unsigned *n, uint8_t value, ZydisPrefixType type)
{
	zi->raw.prefixes[*n].type = type;
	zi->raw.prefixes[(*n)++].value = value;
}

static void put_prefixes(const struct found *f, const struct shape *s, ZydisDecodedInstruction *zi)
{
	unsigned n = 0;
	if (f->seg) {
		put_prefix(zi, &n, f->seg, ZYDIS_PREFIX_TYPE_EFFECTIVE);
		zi->attributes |= f->seg == 0x64 ? ZYDIS_ATTRIB_HAS_SEGMENT_FS : ZYDIS_ATTRIB_HAS_SEGMENT_GS;
	}
	if (f->prefix)
		put_prefix(zi, &n, f->prefix, s->zi.raw.prefixes[0].type);
	if (f->rex) {
		put_prefix(zi, &n, f->rex, ZYDIS_PREFIX_TYPE_EFFECTIVE);
		zi->attributes |= ZYDIS_ATTRIB_HAS_REX;
		zi->raw.rex.W = f->rex >> 3 & 1;
	}
	zi->raw.prefix_count = (ZyanU8)n;
}

/* Of what the bytes are (zi->raw) only what is looked at. */
static void copy_shape(const struct shape *s, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	memcpy(zi, &s->zi, offsetof(ZydisDecodedInstruction, raw));
	zi->raw.rex.W = 0;
	zi->raw.disp.size = 0;
	zi->raw.imm[0].size = s->zi.raw.imm[0].size;
	for (unsigned n = 0; n < s->zi.operand_count; n++)
		memcpy(&op[n], &s->op[n], sizeof(*op));
}

static bool endbr64(struct predecoder *p, const uint8_t *bytes, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	unsigned n = atomic_load_explicit(&p->endbr64, memory_order_acquire);
	if (!n)
		n = learn(p, (const uint8_t[ZYDIS_MAX_INSTRUCTION_LENGTH]){ 0xf3, 0x0f, 0x1e, 0xfa }, &p->endbr64);
	if (n == SHAPE_REFUSED)
		return false;
	const struct shape *s = &p->shape[n - 1];
	copy_shape(s, zi, op);
	zi->raw = s->zi.raw;
	return true;
}

bool predecode(struct predecoder *p, const uint8_t *bytes, unsigned avail, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	struct found f = { .p = bytes, .end = bytes + avail, .start = bytes };
	unsigned kind;
	if (p->code64 && avail >= 4 && load_le32(bytes) == 0xfa1e0ff3)
		return endbr64(p, bytes, zi, op);
	if (!avail || !take_opcode(p, &f, &kind))
		return false;
	unsigned row = row_of(p, &f), at = (unsigned)(f.p - bytes);
	if (!(row >> kind & 1) || (row & M && f.p == f.end))
		return false;
	if (row & M)
		f.modrm = *f.p++;
	const struct shape *s = shape_find(p, &f, kind, row);
	if (!s || (f.seg && (s->mem == NO_OPERAND || s->op[s->mem].mem.type == ZYDIS_MEMOP_TYPE_AGEN)))
		return false;
	copy_shape(s, zi, op);
	if (row & M) {
		zi->raw.modrm.mod = f.modrm >> 6;
		zi->raw.modrm.reg = f.modrm >> 3 & 7;
		zi->raw.modrm.rm = f.modrm & 7;
		zi->raw.modrm.offset = (ZyanU8)at;
	}
	if (s->mem != NO_OPERAND && !take_address(p, &f, zi, &op[s->mem]))
		return false;
	if (s->imm != NO_OPERAND && !take_immediate(&f, s, zi, op))
		return false;
	put_registers(&f, s, op);
	put_prefixes(&f, s, zi);
	zi->length = (ZyanU8)(f.p - bytes);
	return true;
}
