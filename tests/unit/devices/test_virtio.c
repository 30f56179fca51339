/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI, virtqueues, both transports, and the small devices, driven as a guest would. */
#include "vdriver.h"

#include "base/bytes.h"
#include "devices/virtio/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void rng_make(struct vd *d)
{
	struct virtio_rng_config cfg = {.place = vd_place(d)};
	cfg.place.id = "rng0";
	assert_int_equal(virtio_rng_create(d->rig.vm, &cfg, NULL), 0);
	vd_find(d);
}

static void rng_up(struct vd *d, bool mmio)
{
	vd_up(d, mmio);
	rng_make(d);
}

static bool all_zero(struct vd *d, uint64_t gpa, unsigned len)
{
	uint8_t b[256];
	vd_get(d, gpa, b, len);
	for (unsigned i = 0; i < len; i++)
		if (b[i])
			return false;
	return true;
}

static void test_config_space(void **state)
{
	struct vd d;
	rng_up(&d, false);
	assert_int_equal(vd_config_space(&d, 0, 4), 0x10441af4);
	assert_int_equal(vd_config_space(&d, 0x100, 4), 0xffffffff);
	/* Ids cannot be written; sizing gives the size back. */
	vd_config_space_write(&d, 0, 4, 0);
	assert_int_equal(vd_config_space(&d, 0, 4), 0x10441af4);
	uint32_t bar = vd_config_space(&d, 0x10, 4);
	assert_int_equal(bar & 15, 4);
	vd_config_space_write(&d, 0x10, 4, 0xffffffff);
	assert_int_equal(vd_config_space(&d, 0x10, 4), 0xffffc004);
	vd_config_space_write(&d, 0x10, 4, bar);
	/* The bridge, an empty slot, and the same through the ports. */
	assert_int_equal(rig_load(&d.rig, VD_ECAM, 4), 0x29c08086);
	assert_int_equal(rig_load(&d.rig, VD_ECAM + (9 << 15), 4), 0xffffffff);
	rig_out(&d.rig, 0xcf8, 4, 0x80000000 | VD_SLOT << 11);
	assert_int_equal(rig_in(&d.rig, 0xcfc, 4), 0x10441af4);
	assert_int_equal(rig_in(&d.rig, 0xcfe, 2), 0x1044);
	vd_down(&d);
}

static void test_bar_moves(void **state)
{
	struct vd d;
	rng_up(&d, false);
	assert_int_equal(rig_load(&d.rig, d.common + 0x12, 2), 1);
	vd_config_space_write(&d, 4, 2, 0);
	assert_int_equal(rig_load(&d.rig, d.common + 0x12, 2), 0xffff);
	vd_config_space_write(&d, 0x10, 4, 0xc0800000);
	vd_config_space_write(&d, 0x14, 4, 0);
	vd_config_space_write(&d, 4, 2, 6);
	assert_int_equal(rig_load(&d.rig, 0xc0800012, 2), 1);
	/* The doorbell went with it. */
	d.common = 0xc0800000;
	d.isr = 0xc0801000;
	d.notify = 0xc0803000;
	vd_start(&d, 0, 1);
	uint64_t buf = vd_alloc(&d, 64);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 64, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	/* On top of ECAM there is no room: not mapped; it comes back when it moves away. */
	vd_config_space_write(&d, 0x10, 4, VD_ECAM);
	assert_int_equal(rig_load(&d.rig, VD_ECAM, 4), 0x29c08086);
	vd_config_space_write(&d, 0x10, 4, 0xc0800000);
	assert_int_equal(rig_load(&d.rig, 0xc0800012, 2), 1);
	vd_down(&d);
}

static void rng_works(bool mmio)
{
	struct vd d;
	rng_up(&d, mmio);
	vd_start(&d, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, 1);
	uint64_t buf = vd_alloc(&d, 256);
	uint32_t len;
	for (unsigned i = 0; i < 3 * VD_QSIZE; i++) {
		vd_offer(&d, 0, i % VD_QSIZE, (struct vd_buf[]){{buf, 100, true}, {buf + 128, 28, true}},
			 1 + (i % VD_QSIZE < 15));
		assert_int_equal(vd_take(&d, 0, &len), i % VD_QSIZE);
		assert_int_equal(len, i % VD_QSIZE < 15 ? 128 : 100);
	}
	assert_false(all_zero(&d, buf, 100));
	assert_true(all_zero(&d, buf + 100, 28));
	assert_int_equal(vd_isr(&d), 1);
	assert_int_equal(vd_isr(&d), 0);
	vd_down(&d);
}

static void test_rng_pci(void **state)
{
	rng_works(false);
}

static void test_rng_mmio(void **state)
{
	rng_works(true);
}

static void test_interrupts(void **state)
{
	struct vd d;
	rng_up(&d, false);
	vd_start(&d, 0, 1);
	uint64_t buf = vd_alloc(&d, 64);
	struct wire *w = &d.line[VD_SLOT % 4];
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	assert_true(w->level);
	assert_true(vd_config_space(&d, 6, 2) & 8);
	assert_int_equal(vd_isr(&d), 1);
	assert_false(w->level);
	vd_enable_msix(&d);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	assert_int_equal(d.messages, 1);
	assert_int_equal(d.last_data, 0x41);
	assert_false(w->level);
	/* Masked: it waits. */
	rig_store(&d.rig, d.msix + 16 + 12, 4, 1);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	assert_int_equal(d.messages, 1);
	assert_int_equal(rig_load(&d.rig, d.msix + 0x800, 4), 2);
	rig_store(&d.rig, d.msix + 16 + 12, 4, 0);
	assert_int_equal(d.messages, 2);
	assert_int_equal(rig_load(&d.rig, d.msix + 0x800, 4), 0);
	/* The driver wants no interrupts. */
	uint16_t flags = 1;
	vd_put(&d, d.q[0].avail, &flags, 2);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	assert_int_equal(d.messages, 2);
	vd_down(&d);
}

/* One buffer of 16 bytes through queue 0. */
static void one_more(struct vd *d, uint64_t buf)
{
	vd_offer(d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(d, 0, NULL), 0);
}

/* Interrupt controllers in the kernel: a vector's messages go by its eventfd, and follow what the guest writes. */
static void test_bound_messages(void **state)
{
	struct vd d;
	vd_up_bound(&d);
	rng_make(&d);
	vd_start(&d, 0, 1);
	vd_enable_msix(&d);
	uint64_t buf = vd_alloc(&d, 64);
	assert_int_equal(d.binds, 0); /* nothing before the first message */
	one_more(&d, buf);
	assert_int_equal(vd_signals(&d, 0x41), 1);
	one_more(&d, buf);
	one_more(&d, buf);
	assert_int_equal(vd_signals(&d, 0x41), 2);
	assert_int_equal(d.binds, 1);
	/* Masked: it waits, and comes once. */
	rig_store(&d.rig, d.msix + 16 + 12, 4, 1);
	one_more(&d, buf);
	one_more(&d, buf);
	assert_int_equal(vd_signals(&d, 0x41), 0);
	/* Another vector meanwhile: the eventfd raises that one then. */
	rig_store(&d.rig, d.msix + 16 + 8, 4, 0x61);
	rig_store(&d.rig, d.msix + 16 + 12, 4, 0);
	assert_int_equal(vd_signals(&d, 0x41), -1);
	assert_int_equal(vd_signals(&d, 0x61), 1);
	assert_int_equal(d.messages, 0);
	/* No room for another: messages are sent one by one, and nobody asks again for each. */
	d.bind_refused = true;
	rig_store(&d.rig, d.msix + 16 + 8, 4, 0x62);
	one_more(&d, buf);
	one_more(&d, buf);
	assert_int_equal(d.messages, 2);
	assert_int_equal(d.last_data, 0x62);
	assert_int_equal(d.binds, 3);
	assert_int_equal(vd_signals(&d, 0x61), -1);
	vd_down(&d);
	for (unsigned i = 0; i < VD_QUEUES; i++)
		assert_int_equal(d.bound[i].fd, 0);
}

static void test_status_machine(void **state)
{
	struct vd d;
	rng_up(&d, false);
	/* Features that were not offered are refused; VERSION_1 must be taken. */
	vd_set_status(&d, 3);
	rig_store(&d.rig, d.common + 8, 4, 0);
	rig_store(&d.rig, d.common + 12, 4, 1);
	vd_set_status(&d, 11);
	assert_int_equal(vd_status(&d), 3);
	rig_store(&d.rig, d.common + 12, 4, 0);
	vd_set_status(&d, 11);
	assert_int_equal(vd_status(&d), 3);
	/* Not live before the features are agreed upon; a queue cannot be enabled either. */
	vd_set_status(&d, 7);
	assert_int_equal(vd_status(&d), 3);
	vd_queue_setup(&d, 0, 0x1000, 0x2000, 0x3000, 16);
	assert_int_equal(rig_load(&d.rig, d.common + 0x1c, 2), 0);
	vd_start(&d, 0, 1);
	assert_int_equal(vd_status(&d), 15);
	/* Frozen. */
	rig_store(&d.rig, d.common + 0x20, 4, 0x5000);
	assert_int_not_equal(rig_load(&d.rig, d.common + 0x20, 4), 0x5000);
	rig_store(&d.rig, d.common + 0x16, 2, 77);
	assert_int_equal(rig_load(&d.rig, d.common + 0x18, 2), 0);
	vd_set_status(&d, 0);
	assert_int_equal(vd_status(&d), 0);
	vd_down(&d);
}

/* What breaks a queue: each time the device must stand still, and work again after a reset. */
static void broken(struct vd *d, void (*offend)(struct vd *d))
{
	vd_start(d, VIRTIO_F_INDIRECT_DESC, 1);
	offend(d);
	vd_notify(d, 0);
	vd_run(d);
	assert_true(vd_status(d) & VIRTIO_NEEDS_RESET);
	assert_true(vd_isr(d) & 2);
	assert_int_equal(vd_take_now(d, 0, NULL), -1);
	vd_start(d, 0, 1);
	uint64_t buf = vd_alloc(d, 64);
	vd_offer(d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(d, 0, NULL), 0);
}

static void avail(struct vd *d, uint16_t idx, uint16_t head)
{
	vd_put(d, d->q[0].avail + 4, &head, 2);
	vd_put(d, d->q[0].avail + 2, &idx, 2);
}

static void loop_in_chain(struct vd *d)
{
	vd_desc(d, 0, 0, 0x8000, 4, 3, 1);
	vd_desc(d, 0, 1, 0x8000, 4, 3, 0);
	avail(d, 1, 0);
}
static void outside_ram(struct vd *d)
{
	vd_desc(d, 0, 0, VD_RAM - 2, 4, 2, 0);
	avail(d, 1, 0);
}
static void wraps(struct vd *d)
{
	vd_desc(d, 0, 0, UINT64_MAX - 1, 4, 2, 0);
	avail(d, 1, 0);
}
static void head_too_high(struct vd *d)
{
	avail(d, 1, VD_QSIZE);
}
static void next_too_high(struct vd *d)
{
	vd_desc(d, 0, 0, 0x8000, 4, 3, 999);
	avail(d, 1, 0);
}
static void too_many(struct vd *d)
{
	avail(d, VD_QSIZE + 1, 0);
}
static void empty_buffer(struct vd *d)
{
	vd_desc(d, 0, 0, 0x8000, 0, 2, 0);
	avail(d, 1, 0);
}
static void read_after_write(struct vd *d)
{
	vd_desc(d, 0, 0, 0x8000, 4, 3, 1);
	vd_desc(d, 0, 1, 0x8000, 4, 0, 0);
	avail(d, 1, 0);
}
static void indirect_odd_length(struct vd *d)
{
	vd_desc(d, 0, 0, 0x8000, 17, 4, 0);
	avail(d, 1, 0);
}
static void indirect_nested(struct vd *d)
{
	uint8_t inner[16] = {0};
	store_le64(inner, 0x8000);
	store_le32(inner + 8, 16);
	store_le16(inner + 12, 4);
	vd_put(d, 0x8000, inner, 16);
	vd_desc(d, 0, 0, 0x8000, 16, 4, 0);
	avail(d, 1, 0);
}
static void indirect_outside(struct vd *d)
{
	vd_desc(d, 0, 0, VD_RAM, 16, 4, 0);
	avail(d, 1, 0);
}

static void test_broken_queues(void **state)
{
	static void (*const offences[])(struct vd * d) = {
		loop_in_chain,   outside_ram,      wraps,
		head_too_high,   next_too_high,    too_many,
		empty_buffer,    read_after_write, indirect_odd_length,
		indirect_nested, indirect_outside,
	};
	struct vd d;
	rng_up(&d, false);
	for (unsigned i = 0; i < COUNT_OF(offences); i++)
		broken(&d, offences[i]);
	vd_down(&d);
}

static void test_bad_rings(void **state)
{
	static const struct { uint64_t desc, avail, used; uint16_t size; } bad[] = {
		{0x1001, 0x2000, 0x3000, 16}, {0x1000, 0x2001, 0x3000, 16}, {0x1000, 0x2000, 0x3002, 16},
		{VD_RAM - 16, 0x2000, 0x3000, 16}, {0x1000, UINT64_MAX - 1, 0x3000, 16}, {0x1000, 0x2000, VD_RAM, 16},
		{0x1000, 0x2000, 0x3000, 15}, {0x1000, 0x2000, 0x3000, 0}, {0x1000, 0x2000, 0x3000, 32768},
	};
	struct vd d;
	rng_up(&d, false);
	for (unsigned i = 0; i < COUNT_OF(bad); i++) {
		vd_start(&d, 0, 0);
		vd_queue_setup(&d, 0, bad[i].desc, bad[i].avail, bad[i].used, bad[i].size);
		assert_true(vd_status(&d) & VIRTIO_NEEDS_RESET);
		assert_int_equal(rig_load(&d.rig, d.common + 0x1c, 2), 0);
	}
	vd_down(&d);
}

static void test_indirect(void **state)
{
	struct vd d;
	rng_up(&d, false);
	vd_start(&d, VIRTIO_F_INDIRECT_DESC, 1);
	uint64_t table = vd_alloc(&d, 64), buf = vd_alloc(&d, 64);
	uint8_t inner[32] = {0};
	store_le64(inner, buf);
	store_le32(inner + 8, 8);
	store_le16(inner + 12, 3);
	store_le16(inner + 14, 1);
	store_le64(inner + 16, buf + 32);
	store_le32(inner + 24, 8);
	store_le16(inner + 28, 2);
	vd_put(&d, table, inner, 32);
	vd_desc(&d, 0, 5, table, 32, 4, 0);
	avail(&d, 1, 5);
	vd_notify(&d, 0);
	uint32_t len;
	assert_int_equal(vd_take(&d, 0, &len), 5);
	assert_int_equal(len, 16);
	vd_down(&d);
}

/* The registers through configuration space alone (4.1.4.9). */
static void test_config_access(void **state)
{
	struct vd d;
	rng_up(&d, false);
	unsigned cap = vd_config_space(&d, 0x34, 1);
	while (cap && !(vd_config_space(&d, cap, 1) == 9 && vd_config_space(&d, cap + 3, 1) == 5))
		cap = vd_config_space(&d, cap + 1, 1);
	assert_true(cap);
	vd_config_space_write(&d, cap + 4, 1, 0);
	vd_config_space_write(&d, cap + 8, 4, 0x12);
	vd_config_space_write(&d, cap + 12, 4, 2);
	assert_int_equal(vd_config_space(&d, cap + 16, 2), 1);
	vd_config_space_write(&d, cap + 8, 4, 0x14);
	vd_config_space_write(&d, cap + 12, 4, 1);
	vd_config_space_write(&d, cap + 16, 1, 3);
	assert_int_equal(vd_status(&d), 3);
	vd_config_space_write(&d, cap + 8, 4, 0xfffffffe);
	vd_config_space_write(&d, cap + 12, 4, 4);
	vd_config_space(&d, cap + 16, 4);
	vd_down(&d);
}

static void saved(bool mmio)
{
	struct vd d;
	rng_up(&d, mmio);
	vd_start(&d, VIRTIO_F_EVENT_IDX, 1);
	uint64_t buf = vd_alloc(&d, 64);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	vm_pause(d.rig.vm);
	rig_state_round_trip(&d.rig, "rng0");
	vm_resume(d.rig.vm);
	assert_int_equal(vd_status(&d), 15);
	vd_offer(&d, 0, 1, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 1);
	vd_down(&d);
}

static void test_saved_pci(void **state)
{
	saved(false);
}

static void test_saved_mmio(void **state)
{
	saved(true);
}

static void test_paused(void **state)
{
	struct vd d;
	rng_up(&d, false);
	vd_start(&d, 0, 1);
	uint64_t buf = vd_alloc(&d, 64);
	vm_pause(d.rig.vm);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 16, true}}, 1);
	assert_int_equal(vd_take_now(&d, 0, NULL), -1);
	vm_resume(d.rig.vm);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	vd_down(&d);
}

static void test_place_taken(void **state)
{
	struct vd d;
	struct err e = {0};
	rng_up(&d, false);
	struct virtio_rng_config cfg = {.place = vd_place(&d)};
	assert_int_equal(virtio_rng_create(d.rig.vm, &cfg, &e), -17);
	assert_non_null(strstr(e.text, "03.0"));
	cfg.place.slot = 32;
	assert_true(virtio_rng_create(d.rig.vm, &cfg, &e) < 0);
	vd_down(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_space),  cmocka_unit_test(test_bar_moves),
		cmocka_unit_test(test_rng_pci),       cmocka_unit_test(test_rng_mmio),
		cmocka_unit_test(test_interrupts),    cmocka_unit_test(test_bound_messages),
		cmocka_unit_test(test_status_machine),
		cmocka_unit_test(test_broken_queues), cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_indirect),      cmocka_unit_test(test_config_access),
		cmocka_unit_test(test_saved_pci),     cmocka_unit_test(test_saved_mmio),
		cmocka_unit_test(test_paused),        cmocka_unit_test(test_place_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
