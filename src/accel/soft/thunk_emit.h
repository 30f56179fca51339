/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes the host code of one thunk. */
#ifndef PANAL_ACCEL_SOFT_THUNK_EMIT_H
#define PANAL_ACCEL_SOFT_THUNK_EMIT_H

#include <stdbool.h>
#include <stdint.h>

struct soft_cpu;
struct insn_source;

/* A thunk: mem is the host address of the instruction's memory operand. Returns 0, or what cut it short (enum
 * thunk_cut; only those with `mxcsr` below and those of AVX-512; the others return nothing of meaning). */
typedef uint32_t thunk_code(struct soft_cpu *c, void *mem);

enum thunk_cut { THUNK_DONE, THUNK_CUT_XM /* an unmasked SIMD exception */, THUNK_CUT_UD /* #UD of the host */ };

enum { THUNK_MAX = 512 };

struct thunk_text {
	uint8_t byte[THUNK_MAX];
	unsigned len;
};

struct thunk_spec {
	bool mxcsr;       /* depends on MXCSR or changes it: the guest's is loaded and stored */
	bool clear_upper; /* the host has 512-bit registers: a VEX destination's bits 511:256 are zeroed too */
};

/* False: an operand that no thunk can carry (none of the allowed instructions has one). */
bool thunk_emit(struct thunk_text *t, const struct insn_source *src, const struct thunk_spec *spec);
/* thunk_evex_emit.c: the same for EVEX and opmask instructions. */
bool thunk_emit_evex(struct thunk_text *t, const struct insn_source *src, bool mxcsr);

#endif
