/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of generated thunks: equal code is kept once. */
#ifndef PANAL_ACCEL_SOFT_THUNK_CACHE_H
#define PANAL_ACCEL_SOFT_THUNK_CACHE_H

#include "accel/soft/thunk.h"
#include "accel/soft/thunk_host.h"

/* The executable address of `len` bytes of code, which stays valid until the cache is destroyed; NULL: full. */
const void *thunk_cache_get(struct thunk_cache *tc, const uint8_t *code, unsigned len);
/* Bytes of code in it. Any thread. */
size_t thunk_cache_bytes(struct thunk_cache *tc);
/* What the host's processor can execute. */
const struct thunk_host *thunk_cache_host(const struct thunk_cache *tc);

#endif
