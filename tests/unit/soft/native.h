/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The oracle of the thunk tests: runs the raw bytes of an instruction on the host's processor with a given state. */
#ifndef PANAL_TESTS_NATIVE_H
#define PANAL_TESTS_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

struct native_state {
	uint64_t gpr[16]; /* offset 0, in encoding order */
	uint64_t rflags;  /* 128: arithmetic flags */
	uint64_t host_rsp; /* 136 */
	uint64_t code;     /* 144: where the instruction is */
	uint64_t pad[5];
	uint8_t zmm[32][64];                     /* 192; without AVX-512 only the low halves of the first 16 */
	_Alignas(16) uint8_t fx[512];            /* 2240: x87 and MXCSR; its XMM part is overwritten by zmm */
	uint64_t k[8];                           /* 2752 */
	/* set by native_run: 0, or the signal that ended it */
	int signal;
};

/* Installs the signal handlers; may be called again when somebody else has. */
void native_init(void);
/* Runs len bytes. Control comes back after them. Not for instructions that transfer control. */
void native_run(struct native_state *s, const uint8_t *bytes, unsigned len);
bool native_has_avx2(void);
bool native_has_avx512(void); /* with BW, DQ and VL */

#endif
