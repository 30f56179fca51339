/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decoded instruction, and how the families of instructions bind themselves to it.
 *
 * Zydis decodes once; a family's bind function picks a handler and fills the operand fields that the handler reads.
 * Adding an instruction is one row in its family's table plus its handler.
 */
#ifndef PANAL_ACCEL_SOFT_INSN_H
#define PANAL_ACCEL_SOFT_INSN_H

#include <stdbool.h>
#include <stdint.h>

struct soft_cpu;
struct soft_vm;
struct insn;
typedef void (*insn_fn)(struct soft_cpu *c, const struct insn *i);

enum { REG_NONE = 0xff, REG_AH = 16 /* AH, CH, DH, BH = 16..19 */ };

enum insn_flag {
	INSN_ENDS_BLOCK = 1 << 0, /* control transfer, or it may change mode, mapping, interrupt state */
	INSN_MEM = 1 << 1,        /* has a memory operand in base/index/scale/disp/seg */
	INSN_LOCK = 1 << 2,
	INSN_REP = 1 << 3,  /* F3 */
	INSN_REPNE = 1 << 4, /* F2 */
	INSN_RIP_REL = 1 << 5, /* effective address = next RIP + disp */
	INSN_STACK_SEG = 1 << 6, /* memory operand goes through SS: faults are #SS */
	INSN_VECTOR = 1 << 7, /* has a vector or opmask register among its operands */
};

struct insn {
	insn_fn fn;
	uint64_t imm; /* immediate, sign-extended to 64 bits; for MOV moffs the address; far pointers: sel << 32 | offset */
	const void *aux; /* family's own: a thunk, an operation row */
	int32_t disp; /* with fast and INSN_RIP_REL: relative to block_rip */
	uint8_t len;   /* bytes, 1-15 */
	uint8_t width; /* operand size in bytes: 1, 2, 4, 8 (vector families: of the memory operand) */
	uint8_t asize; /* address size in bytes: 2, 4, 8 */
	uint8_t seg;   /* X86_ES... of the memory operand, defaults resolved */
	uint8_t base, index, scale; /* X86_R* or REG_NONE; scale 1, 2, 4, 8 */
	uint8_t reg;   /* the reg operand */
	uint8_t rm;    /* the r/m operand when it is a register, else REG_NONE */
	uint8_t reg2;  /* VEX.vvvv or another register; family's own */
	uint8_t sub;   /* family's own: operation number, condition code */
	uint8_t flags; /* enum insn_flag */
	uint16_t off;  /* from the start of the block */
	/* A memory operand that needs no segment checks: mem.h adds up two words of struct soft_cpu (byte offsets of a
	 * register, of a segment base, of block_rip or of zero), the second one scaled, and disp. */
	uint16_t base_at, index_at;
	bool fast; /* base_at and index_at hold; else insn_linear does it all */
};

/* What bind sees. Zydis types stay out of this header for those who only execute. */
struct ZydisDecodedInstruction_;
struct ZydisDecodedOperand_;
struct insn_source {
	const struct ZydisDecodedInstruction_ *zi;
	const struct ZydisDecodedOperand_ *op; /* zi->operand_count of them, hidden ones too */
	const uint8_t *bytes;                  /* zi->length of them */
	uint32_t mode;                         /* MODE_* of the code being decoded */
	struct soft_vm *sv;
};

/* Fills i (off, len, and, when there is a memory operand, INSN_MEM and the address fields, and LOCK/REP flags are set
 * already; width is zi->operand_width / 8). False: this form does not exist, #UD. */
typedef bool (*insn_bind)(struct insn *i, const struct insn_source *src, unsigned arg);

/* A family's table: rows of a ZydisMnemonic, its bind, and an argument for it; ended by bind == NULL. */
struct insn_row {
	uint16_t mnemonic;
	uint16_t arg;
	insn_bind bind;
};

/* The families, each in its own file. ops.c holds the list of them, and makes the index by mnemonic. */
extern const struct insn_row insn_alu[], insn_shift[], insn_muldiv[], insn_bit[], insn_move[], insn_stack[],
	insn_branch[], insn_string[], insn_atomic[], insn_flag[],            /* integer */
	insn_segment[], insn_far[], insn_system[], insn_syscall[], insn_io[], /* system */
	insn_fpstate[];                                                       /* FXSAVE, XSAVE, LDMXCSR, FLDCW ... */
/* What no table names: instructions that compute on registers (x87, MMX, SSE, AVX, BMI, ...) run as host thunks. */
bool thunk_bind(struct insn *i, const struct insn_source *src, unsigned arg);

#endif
