/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of a debugger into the framing: what comes out stays in bounds, and survives being framed again. */
#include "debug/gdb_packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct gdb_parser *p)
{
	struct gdb_parser *q = calloc(1, sizeof(*q));
	struct buf out;
	enum gdb_input in = GDB_NOTHING;

	if (!q)
		return;
	buf_init(&out, 64 << 10);
	if (gdb_packet_write(&out, p->data, p->len) < 0)
		__builtin_trap();
	for (size_t n = 0; n < out.len; n++)
		in = gdb_parser_put(q, out.data[n]);
	if (in != GDB_PACKET || q->len != p->len || memcmp(q->data, p->data, p->len))
		__builtin_trap();
	buf_free(&out);
	free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gdb_parser *p = calloc(1, sizeof(*p));

	for (size_t n = 0; p && n < size; n++)
		if (gdb_parser_put(p, data[n]) == GDB_PACKET)
			again(p);
	/* The same as the inside of one whole packet. */
	for (size_t n = 0; p && n < size && size < GDB_PACKET_MAX && p->at == GDB_IDLE; n++) {
		memcpy(p->data, data, size);
		p->len = size;
		again(p);
		break;
	}
	free(p);
	return 0;
}
