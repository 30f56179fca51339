/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for generated code: one memfd mapped twice, once writable and once executable, so that no mapping is both.
 */
#ifndef PANAL_ACCEL_SOFT_CODEMEM_H
#define PANAL_ACCEL_SOFT_CODEMEM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct codemem {
	uint8_t *rw;       /* where code is written */
	const uint8_t *rx; /* the same bytes, where it is executed */
	size_t size;
};

/* size is rounded up to pages; pages take memory once they are written. -ENOMEM, -EPERM ... with a message. */
int codemem_create(struct codemem *m, size_t size, struct err *e) ATTR_MUST_USE;
/* The same as shared anonymous memory, whose mappings perf takes for generated code and looks up in its map file; with
 * executable anonymous memory, which stricter hosts than most forbid. */
int codemem_create_for_perf(struct codemem *m, size_t size, struct err *e) ATTR_MUST_USE;
void codemem_destroy(struct codemem *m); /* also of one that is all zero */

#endif
