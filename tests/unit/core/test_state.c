/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct part {
	void *kept; /* not saved */
	uint8_t a;
	uint16_t b[3];
	uint32_t c;
	uint64_t d;
	bool on;
	uint8_t fifo[16];
	uint32_t newer;
};

static int check(void *obj, uint16_t version, struct err *e)
{
	struct part *p = obj;

	return p->c > 1000 ? err_set(e, -EINVAL, "c is too large") : 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct part, a, STATE_U8), STATE_ARRAY(struct part, b, STATE_U16, 3),
	STATE_FIELD(struct part, c, STATE_U32), STATE_FIELD(struct part, d, STATE_U64),
	STATE_FIELD(struct part, on, STATE_BOOL), STATE_ARRAY(struct part, fifo, STATE_BYTES, 16), STATE_END,
};
static const struct state_desc desc = {.name = "part", .version = 1, .fields = fields, .after_load = check};

static const struct state_field fields2[] = {
	{.name = "newer", .kind = STATE_U32, .since = 2, .offset = offsetof(struct part, newer), .count = 1},
	STATE_FIELD(struct part, on, STATE_BOOL), STATE_FIELD(struct part, a, STATE_U8),
	STATE_ARRAY(struct part, b, STATE_U16, 3), STATE_FIELD(struct part, c, STATE_U32),
	STATE_FIELD(struct part, d, STATE_U64), STATE_ARRAY(struct part, fifo, STATE_BYTES, 16), STATE_END,
};
static const struct state_desc desc2 = {.name = "part", .version = 2, .fields = fields2};

static struct part sample(void)
{
	struct part p;

	memset(&p, 0, sizeof(p));
	p.kept = &p;
	p.a = 7;
	p.b[2] = 0x1234;
	p.c = 999;
	p.d = UINT64_MAX;
	p.on = true;
	memcpy(p.fifo, "0123456789abcdef", 16);
	return p;
}

static void test_round_trip(void **state)
{
	struct part p = sample(), q;
	uint8_t *buf;
	size_t len;

	assert_int_equal(state_save(&desc, &p, &buf, &len, NULL), 0);
	memset(&q, 0, sizeof(q));
	q.kept = &q;
	q.newer = 5;
	assert_int_equal(state_load(&desc, &q, sizeof(q), buf, len, NULL), 0);
	assert_int_equal(q.b[2], 0x1234);
	assert_true(q.d == UINT64_MAX && q.on && q.a == 7);
	assert_memory_equal(q.fifo, p.fifo, 16);
	assert_ptr_equal(q.kept, &q);
	/* The newer program takes it: the new field is zero. */
	assert_int_equal(state_load(&desc2, &q, sizeof(q), buf, len, NULL), 0);
	assert_int_equal(q.newer, 0);
	free(buf);
	/* The older one does not take the newer stream. */
	assert_int_equal(state_save(&desc2, &p, &buf, &len, NULL), 0);
	assert_true(state_load(&desc, &q, sizeof(q), buf, len, NULL) < 0);
	free(buf);
}

static void test_refused_changes_nothing(void **state)
{
	struct part p = sample(), q = sample(), before;
	struct err e;
	uint8_t *buf;
	size_t len;

	p.c = 1001;
	p.a = 99;
	before = q;
	assert_int_equal(state_save(&desc, &p, &buf, &len, NULL), 0);
	assert_int_equal(state_load(&desc, &q, sizeof(q), buf, len, &e), -EINVAL);
	assert_memory_equal(&q, &before, sizeof(q));
	free(buf);
}

/* Every prefix and every damaged byte: refused or harmless, never a crash. */
static void test_damage(void **state)
{
	struct part p = sample();
	uint8_t *buf, *copy;
	size_t len;

	assert_int_equal(state_save(&desc, &p, &buf, &len, NULL), 0);
	for (size_t cut = 0; cut < len; cut++) {
		struct part q = sample();

		copy = malloc(cut ? cut : 1);
		memcpy(copy, buf, cut);
		assert_true(state_load(&desc, &q, sizeof(q), copy, cut, NULL) < 0);
		free(copy);
	}
	for (size_t at = 0; at < len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct part q = sample();

			buf[at] ^= (uint8_t)(1u << bit);
			if (state_load(&desc, &q, sizeof(q), buf, len, NULL) == 0)
				assert_true(q.c <= 1000);
			buf[at] ^= (uint8_t)(1u << bit);
		}
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused_changes_nothing),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
