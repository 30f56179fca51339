/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte buffer that grows up to the maximum that it was born with. Not locked: one thread at a time. */
#ifndef PANAL_BASE_BUF_H
#define PANAL_BASE_BUF_H

#include "base/compiler.h"

struct buf {
	uint8_t *data; /* NULL while nothing was ever put in */
	size_t len, cap, max;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
/* All or nothing. Errors: -ENOSPC (over the maximum), -ENOMEM. */
int buf_append(struct buf *b, const void *data, size_t len) ATTR_MUST_USE;
int buf_append_byte(struct buf *b, uint8_t byte) ATTR_MUST_USE;
int buf_printf(struct buf *b, const char *fmt, ...) ATTR_PRINTF(2, 3) ATTR_MUST_USE;
/* Makes room for len more bytes and returns the place; the caller adds to b->len what it wrote. NULL: no room. */
uint8_t *buf_reserve(struct buf *b, size_t len) ATTR_MUST_USE;
/* Drops bytes at the front; len <= b->len. */
void buf_consume(struct buf *b, size_t len);
/* Sends what the socket takes without waiting, and drops it at the front. False: the connection is gone. */
bool buf_send(struct buf *b, int socket);
static inline size_t buf_room(const struct buf *b) { return b->max - b->len; }

#endif
