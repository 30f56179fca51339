/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/pvclock.h"
#include "base/bytes.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { TSC_KHZ = 2893000, TIME = 0x4b564d01, WALL = 0x4b564d00 };

struct fix {
	struct rig r;
	struct pvclock *pc;
};

static uint64_t tsc(void *opaque)
{
	struct fix *f = opaque;
	return muldiv64(f->r.vc.ns, TSC_KHZ, 1000000) + 777;
}

static int64_t utc(void *opaque)
{
	struct fix *f = opaque;
	return INT64_C(1700000000) * 1000000000 + 250 + f->r.vc.ns;
}

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){0};
	rig_up(&f.r, 2);
	assert_int_equal(gmem_add_ram(f.r.vm->mem, 0, 0x10000, "ram", false, NULL), 0);
	struct pvclock_config cfg = {
		.mem = f.r.vm->mem, .clock = &f.r.clock, .tsc_khz = TSC_KHZ, .tsc_now = tsc, .tsc_opaque = &f,
		.utc_ns = utc, .utc_opaque = &f,
	};
	assert_int_equal(pvclock_create(f.r.vm, cfg, &f.pc, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

/* What a guest computes. */
static uint64_t guest_ns(struct fix *f, uint64_t gpa)
{
	uint8_t b[32];
	assert_int_equal(gmem_read(f->r.vm->mem, gpa, b, 32), 0);
	assert_int_equal(load_le32(b) & 1, 0);
	assert_true(load_le32(b) > 0);
	assert_int_equal(b[29] & 1, 1);
	uint64_t delta = tsc(f) - load_le64(b + 8);
	int8_t shift = (int8_t)b[28];
	delta = shift < 0 ? delta >> -shift : delta << shift;
	return load_le64(b + 16) + (uint64_t)((unsigned __int128)delta * load_le32(b + 24) >> 32);
}

static void guest_reads_the_machine_clock(void **state)
{
	struct fix *f = *state;
	rig_advance(&f->r, 5000000);
	assert_int_equal(pvclock_msr_write(f->pc, f->r.v[0], TIME, 0x1000 | 1), 0);
	assert_in_range(guest_ns(f, 0x1000), 5000000 - 1, 5000000 + 1);
	rig_advance(&f->r, INT64_C(3600000000000));
	assert_in_range(guest_ns(f, 0x1000), INT64_C(3600005000000) - 5000, INT64_C(3600005000000) + 5000);
	assert_int_equal(pvclock_msr_write(f->pc, f->r.v[1], 0x12, 0x1040 | 1), 0); /* the old number */
	uint8_t a[32], b[32];
	assert_int_equal(gmem_read(f->r.vm->mem, 0x1000, a, 32), 0);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x1040, b, 32), 0);
	assert_memory_equal(a + 8, b + 8, 21); /* one pair for all */
	uint64_t v;
	assert_int_equal(pvclock_msr_read(f->pc, f->r.v[1], TIME, &v), 0);
	assert_int_equal(v, 0x1041);
	assert_int_equal(pvclock_msr_read(f->pc, f->r.v[1], 0x4b564d02, &v), -ENOENT);
}

static void wall_clock(void **state)
{
	struct fix *f = *state;
	uint8_t b[12];
	rig_advance(&f->r, 7000000000);
	assert_int_equal(pvclock_msr_write(f->pc, f->r.v[0], WALL, 0x2000), 0);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x2000, b, 12), 0);
	assert_int_equal(load_le32(b), 2);
	assert_int_equal(load_le32(b + 4), 1700000000);
	assert_int_equal(load_le32(b + 8), 250);
}

static void bad_addresses_are_ignored(void **state)
{
	struct fix *f = *state;
	assert_int_equal(pvclock_msr_write(f->pc, f->r.v[0], TIME, UINT64_MAX), 0);
	assert_int_equal(pvclock_msr_write(f->pc, f->r.v[0], TIME, 0xffff1), 0);
	assert_int_equal(pvclock_msr_write(f->pc, f->r.v[0], WALL, UINT64_MAX), 0);
}

static void going_on_after_a_stop(void **state)
{
	struct fix *f = *state;
	uint8_t b[32];
	pvclock_msr_write(f->pc, f->r.v[0], TIME, 0x1001);
	rig_advance(&f->r, 9000);
	dev_find(f->r.vm, "pvclock0")->type->run_state(f->pc, true);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x1000, b, 32), 0);
	assert_int_equal(b[29], 3); /* stable, and "was stopped" */
	assert_in_range(guest_ns(f, 0x1000), 8998, 9002);
	rig_state_round_trip(&f->r, "pvclock0");
	rig_reset(&f->r, "pvclock0");
	uint64_t v;
	pvclock_msr_read(f->pc, f->r.v[0], TIME, &v);
	assert_int_equal(v, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(guest_reads_the_machine_clock), T(wall_clock), T(bad_addresses_are_ignored), T(going_on_after_a_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
