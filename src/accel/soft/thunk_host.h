/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host's processor and kernel let user code execute, in the terms that thunks are admitted by. */
#ifndef PANAL_ACCEL_SOFT_THUNK_HOST_H
#define PANAL_ACCEL_SOFT_THUNK_HOST_H

#include <stdbool.h>
#include <stdint.h>

enum thunk_feature {
	HOST_ALWAYS, /* x86-64 itself: x87, MMX, SSE, SSE2 */
	HOST_SSE3, HOST_SSSE3, HOST_SSE41, HOST_SSE42, HOST_POPCNT, HOST_AES, HOST_PCLMUL, HOST_SHA, HOST_MOVBE,
	HOST_RDRAND, HOST_RDSEED, HOST_BMI1, HOST_BMI2, HOST_ADX, HOST_AVX, HOST_AVX2, HOST_FMA, HOST_F16C, HOST_VAES,
	HOST_VPCLMUL, HOST_GFNI, HOST_AVX512F, /* the last only tells whether the upper halves of ZMM exist */
	HOST_AVX512, /* F, CD, BW, DQ and VL together, and the kernel carries their registers */
	HOST_IFMA, HOST_VBMI, HOST_VBMI2, HOST_VNNI, HOST_BITALG, HOST_VPOPCNTDQ, HOST_BF16, HOST_FP16,
	HOST_FEATURES
};

struct thunk_host {
	uint64_t have; /* bit per enum thunk_feature */
};

void thunk_host_probe(struct thunk_host *h);
static inline bool thunk_host_has(const struct thunk_host *h, enum thunk_feature f)
{
	return h->have >> f & 1;
}

#endif
