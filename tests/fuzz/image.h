/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the targets of drives share besides. */
#ifndef PANAL_TESTS_FUZZ_IMAGE_H
#define PANAL_TESTS_FUZZ_IMAGE_H

#include "rig.h"

struct blk;

static inline void must(bool good)
{
	if (!good)
		__builtin_trap();
}

/* An image of zeros that has no name any more, by io_uring where the host has it. The device that gets it closes it. */
struct blk *fuzz_image(struct rig *r, uint64_t bytes);

#endif
