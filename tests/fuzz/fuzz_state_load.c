/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved states: the bytes as a stream (first byte even), or a good stream of this or the next version in which they
 * change places (odd): two bytes where, one what. What is taken can be saved and loaded again and is then the same.
 */
#include "core/state.h"

#include "base/bytes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
	uint8_t a;
	uint16_t b[3];
	uint32_t c;
	uint64_t d;
	bool on[2];
	uint8_t fifo[16];
	uint32_t newer;
	uint32_t guard; /* no field: never touched */
};
enum { GUARD = 0x600dcafe };

static int check(void *obj, uint16_t version, struct err *e)
{
	struct part *p = obj;

	return p->c > UINT32_MAX / 2 ? err_set(e, -22, "c is too large") : 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct part, a, STATE_U8),
	STATE_ARRAY(struct part, b, STATE_U16, 3),
	STATE_FIELD(struct part, c, STATE_U32),
	STATE_FIELD(struct part, d, STATE_U64),
	STATE_ARRAY(struct part, on, STATE_BOOL, 2),
	STATE_ARRAY(struct part, fifo, STATE_BYTES, 16),
	{ .name = "newer", .kind = STATE_U32, .since = 2, .offset = offsetof(struct part, newer), .count = 1 },
	STATE_END,
};
static const struct state_desc desc = { .name = "part", .version = 2, .fields = fields, .after_load = check };

static void load(const uint8_t *buf, size_t len)
{
	struct part p, again, before;
	struct err e = { 0 };
	uint8_t *out;
	size_t out_len;

	memset(&p, 0, sizeof(p));
	p.guard = GUARD;
	before = again = p;
	if (state_load(&desc, &p, sizeof(p), buf, len, &e) < 0) {
		if (!e.text[0] || memcmp(&p, &before, sizeof(p)))
			__builtin_trap();
		return;
	}
	if (p.guard != GUARD || state_save(&desc, &p, &out, &out_len, &e) < 0 ||
	    state_load(&desc, &again, sizeof(again), out, out_len, &e) < 0 || memcmp(&p, &again, sizeof(p)))
		__builtin_trap();
	free(out);
}

static void load_changed(const uint8_t *data, size_t size)
{
	struct part p;
	uint8_t *buf;
	size_t len;

	memset(&p, 0, sizeof(p));
	if (state_save(&desc, &p, &buf, &len, NULL) < 0)
		__builtin_trap();
	for (; size >= 3; data += 3, size -= 3)
		buf[load_le16(data) % len] = data[2];
	load(buf, len - (size ? data[0] % (len + 1) : 0));
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 1)
		load_changed(data + 1, size - 1);
	else
		load(data + 1, size - 1);
	return 0;
}
