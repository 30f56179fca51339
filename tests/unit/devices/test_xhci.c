/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The xHCI controller by its registers and rings, with a device that gives what it was given. */
#include "udriver.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* ---- the device: bulk OUT 1 keeps bytes, bulk IN 1 gives them back ---- */

struct echo {
	struct usb_dev usb; /* first */
	uint8_t kept[4096];
	uint32_t count;
	unsigned resets, unhalts;
};

static int echo_control(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	struct echo *e = (struct echo *)d;

	if (s->request == 1 && !(s->type & USB_IN)) {
		memcpy(e->kept, data, s->length);
		e->count = s->length;
		return 0;
	}
	return USB_STALL;
}

static int echo_data(struct usb_dev *d, uint8_t ep, struct xfer *x)
{
	struct echo *e = (struct echo *)d;

	if (ep == 1) {
		if (x->room > sizeof(e->kept))
			return USB_STALL;
		e->count = (uint32_t)xfer_get(x, e->kept, x->room);
		usb_wakeup(d, 0x81);
		return 0;
	}
	if (!e->count)
		return USB_NAK;
	xfer_put(x, e->kept, e->count < x->room ? e->count : x->room);
	e->count = 0;
	return 0;
}

static void echo_reset(struct usb_dev *d) { ((struct echo *)d)->resets++; }
static void echo_unhalted(struct usb_dev *d, uint8_t ep) { ((struct echo *)d)->unhalts++; }

static const struct usb_ops echo_ops = { .control = echo_control, .data = echo_data, .reset = echo_reset,
					 .unhalted = echo_unhalted };
static const uint8_t echo_device[18] = { 18, 1, 0x00, 2, 0xff, 0, 0, 64, 0xf4, 0x1a, 1, 0, 0, 1, 1, 0, 0, 1 };
static const uint8_t echo_config[32] = {
	9, 2, 32, 0, 1, 1, 0, 0xc0, 0, 9, 4, 0, 0, 2, 0xff, 0, 0, 0, 7, 5, 1, 2, 0, 2, 0, 7, 5, 0x81, 2, 0, 2, 0,
};
static const struct usb_desc echo_desc = { echo_device, echo_config, sizeof(echo_config), NULL, 0 };
static const char *const echo_strings[] = { "Echo", NULL };

struct fix {
	struct udriver u;
	struct echo echo;
	unsigned slot;
};

static int up(void **state)
{
	static struct fix f;

	memset(&f, 0, sizeof(f));
	udriver_up(&f.u);
	f.echo.usb = (struct usb_dev){ .ops = &echo_ops, .desc = { [USB_HIGH] = &echo_desc, [USB_SUPER] = &echo_desc },
				       .string = echo_strings };
	assert_int_equal(usb_attach(xhci_port(f.u.x, 3), &f.echo.usb, NULL), 0);
	udriver_start(&f.u, true);
	*state = &f;
	return 0;
}

/* Addressed and configured. */
static int up_ready(void **state)
{
	struct fix *f;

	up(state);
	f = *state;
	f->slot = udriver_address(&f->u, 3, 0);
	udriver_configure(&f->u, f->slot, 1 << 2 | 1 << 3, 0);
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;

	usb_detach(&f->echo.usb);
	udriver_down(&f->u);
	return 0;
}

static uint8_t *slot_context(struct fix *f) { return gmem_at(f->u.r.vm->mem, 0x4000 + f->slot * 0x400, 0x400); }
static unsigned ep_state(struct fix *f, unsigned ep) { return slot_context(f)[ep * 32] & 7; }

static void registers_say_what_it_is(void **state)
{
	struct fix *f = *state;

	assert_int_equal(rig_load(&f->u.r, UREGS, 1), 0x40);
	assert_int_equal(rig_load(&f->u.r, UREGS + 2, 2), 0x0100);
	assert_int_equal(udriver_read(&f->u, 4) >> 24, XHCI_PORTS);
	uint32_t at = udriver_read(&f->u, 0x10) >> 16 << 2;
	assert_int_equal(udriver_read(&f->u, at), 0x02000402);
	assert_int_equal(udriver_read(&f->u, at + 8), 1 | XHCI_PORTS2 << 8);
	assert_int_equal(udriver_read(&f->u, at + 16) >> 24, 3);
	assert_int_equal(udriver_read(&f->u, at + 24) & 0xff, XHCI_PORTS2 + 1);
}

static void a_port_says_who_comes_and_goes(void **state)
{
	struct fix *f = *state;
	struct uevent ev;

	assert_int_equal(udriver_read(&f->u, U_PORTS + 2 * 16) & 0x3ffe1, 3 << 10 | 1 << 17 | 1 << 9 | 7 << 5 | 1);
	assert_true(udriver_event(&f->u, &ev));
	assert_int_equal(ev.type, 34);
	assert_int_equal(ev.parameter, 3 << 24);
	assert_int_equal(f->u.last_message, 0x41);
	assert_int_equal(udriver_read(&f->u, U_OP + 4) & 16, 16);
	udriver_write(&f->u, U_PORTS + 2 * 16, 1 << 9 | 1 << 17);
	usb_detach(&f->echo.usb);
	assert_true(udriver_event(&f->u, &ev));
	assert_int_equal(udriver_read(&f->u, U_PORTS + 2 * 16) & 0x23, 1 << 5 & 0x20);
	/* Super speed trains by itself. */
	assert_int_equal(usb_attach(xhci_port(f->u.x, XHCI_PORTS2 + 1), &f->echo.usb, NULL), 0);
	assert_int_equal(udriver_read(&f->u, U_PORTS + XHCI_PORTS2 * 16) & 0x3dff, 4 << 10 | 3);
}

static void addressing_goes_by_the_book(void **state)
{
	struct fix *f = *state;

	f->slot = udriver_address(&f->u, 3, 0);
	assert_int_equal(f->slot, 1);
	assert_int_equal(load_le32(slot_context(f) + 12) >> 27, 2);
	assert_int_equal(ep_state(f, 1), 1);
	assert_int_equal(udriver_command(&f->u, 23, 0, 0, NULL), 1);
	/* the same device from another slot */
	unsigned other;
	assert_int_equal(udriver_command(&f->u, 9, 0, 0, &other), 1);
	assert_int_equal(udriver_command(&f->u, 11, 0x1900, other << 24, NULL), 4);
	assert_int_equal(udriver_command(&f->u, 10, 0, other << 24, NULL), 1);
	assert_int_equal(udriver_command(&f->u, 10, 0, other << 24, NULL), 11);
	assert_int_equal(udriver_command(&f->u, 17, 0, f->slot << 24, NULL), 1);
	assert_int_equal(load_le32(slot_context(f) + 12) >> 27, 1);
	assert_int_equal(udriver_command(&f->u, 63, 0, 0, NULL), 5);
}

static void standard_requests_work(void **state)
{
	struct fix *f = *state;
	uint32_t moved;
	uint8_t *d = udriver_data(&f->u);

	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 1 << 8, 0, 64, &moved), 1);
	assert_int_equal(moved, 18);
	assert_memory_equal(d, echo_device, 18);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 2 << 8, 0, 9, &moved), 1);
	assert_int_equal(moved, 9);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 3 << 8 | 1, 0x409, 255, &moved), 1);
	assert_memory_equal(d, "\x0a\x03" "E\0c\0h\0o\0", 10);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 3 << 8 | 9, 0x409, 255, &moved), 6);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 8, 0, 0, 1, NULL), 1);
	assert_int_equal(d[0], 1);
	memcpy(d, "abcde", 5);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x40, 1, 0, 0, 5, NULL), 1);
	assert_memory_equal(f->echo.kept, "abcde", 5);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 77, 0, 0, 5, NULL), 6);
}

static void data_comes_back_when_it_is_there(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	uint32_t moved;
	struct uevent ev;

	assert_int_equal(udriver_transfer(&f->u, f->slot, 3, U_DATA + 0x1000, 512, &moved), 0); /* nothing yet */
	memcpy(d, "Panal", 5);
	udriver_put(&f->u, f->slot, 2, U_DATA, 5, 1 << 10);
	udriver_bell(&f->u, f->slot, 2);
	ev = udriver_wait(&f->u);
	assert_int_equal(ev.ep, 3);
	assert_int_equal(ev.code, 13);
	assert_int_equal(ev.length, 507);
	assert_memory_equal(d + 0x1000, "Panal", 5);
}

static void a_transfer_of_several_parts(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	uint64_t at;
	struct uevent ev;

	for (unsigned n = 0; n < 700; n++)
		d[n] = (uint8_t)n;
	udriver_put(&f->u, f->slot, 2, U_DATA, 600, 1 << 10 | 1 << 4);
	udriver_put(&f->u, f->slot, 2, UINT64_C(0x0807060504030201), 8, 1 << 10 | 1 << 4 | 1 << 6);
	at = udriver_put(&f->u, f->slot, 2, 0x1234, 0, 7 << 10 | 1 << 5);
	udriver_bell(&f->u, f->slot, 2);
	ev = udriver_wait(&f->u);
	assert_int_equal(ev.parameter, 0x1234);
	assert_int_equal(ev.flags & 4, 4);
	assert_int_equal(ev.length, 608);
	assert_true(at);
	assert_int_equal(f->echo.count, 608);
	assert_int_equal(f->echo.kept[607], 8);
	/* back, short in the first part, which wants to be told */
	at = udriver_put(&f->u, f->slot, 3, U_DATA + 0x1000, 1024, 1 << 10 | 1 << 4 | 1 << 2);
	udriver_put(&f->u, f->slot, 3, U_DATA + 0x2000, 1024, 1 << 10 | 1 << 5);
	udriver_bell(&f->u, f->slot, 3);
	ev = udriver_wait(&f->u);
	assert_int_equal(ev.parameter, at);
	assert_int_equal(ev.code, 13);
	assert_int_equal(ev.length, 1024 - 608);
	assert_false(udriver_event(&f->u, &ev));
	assert_int_equal(d[0x1000 + 599], 599 & 0xff);
}

static void a_stall_halts_until_both_sides_are_cleared(void **state)
{
	struct fix *f = *state;
	uint64_t fresh = 0x10000 + (f->slot * 32 + 2) * 0x400;
	uint32_t moved;

	assert_int_equal(udriver_transfer(&f->u, f->slot, 2, U_DATA, 8192, NULL), 6);
	assert_int_equal(ep_state(f, 2), 2);
	assert_int_equal(udriver_transfer(&f->u, f->slot, 2, U_DATA, 8, NULL), 0); /* a bell is not enough */
	assert_int_equal(udriver_command(&f->u, 16, fresh | 1, f->slot << 24 | 2 << 16, NULL), 19);
	assert_int_equal(udriver_command(&f->u, 14, 0, f->slot << 24 | 2 << 16, NULL), 1);
	assert_int_equal(ep_state(f, 2), 3);
	assert_int_equal(gmem_fill(f->u.r.vm->mem, fresh, 0, 0x400), 0);
	assert_int_equal(udriver_command(&f->u, 16, fresh | 1, f->slot << 24 | 2 << 16, NULL), 1);
	f->u.ring[f->slot][2].at = 0;
	assert_int_equal(udriver_control(&f->u, f->slot, 2, 1, 0, 1, 0, NULL), 1);
	assert_int_equal(f->echo.unhalts, 1);
	assert_int_equal(udriver_transfer(&f->u, f->slot, 2, U_DATA, 8, &moved), 1);
	assert_int_equal(moved, 8);
}

static void a_stopped_endpoint_goes_on_by_its_bell(void **state)
{
	struct fix *f = *state;
	uint32_t moved;

	assert_int_equal(udriver_transfer(&f->u, f->slot, 3, U_DATA, 64, NULL), 0);
	assert_int_equal(udriver_command(&f->u, 15, 0, f->slot << 24 | 3 << 16, NULL), 1);
	assert_int_equal(ep_state(f, 3), 3);
	assert_int_equal(load_le64(slot_context(f) + 3 * 32 + 8), (0x10000 + (f->slot * 32 + 3) * 0x400) | 1);
	f->echo.count = 3;
	assert_int_equal(udriver_transfer(&f->u, f->slot, 3, U_DATA, 64, &moved), 13);
	assert_int_equal(moved, 3);
	assert_int_equal(ep_state(f, 3), 1);
}

static void memory_that_is_none_is_an_error(void **state)
{
	struct fix *f = *state;

	assert_int_equal(udriver_transfer(&f->u, f->slot, 2, UINT64_C(1) << 40, 64, NULL), 5);
	assert_int_equal(ep_state(f, 2), 4);
}

static void a_device_that_leaves_fails_its_transfers(void **state)
{
	struct fix *f = *state;
	struct uevent ev;

	assert_int_equal(udriver_transfer(&f->u, f->slot, 3, U_DATA, 64, NULL), 0);
	usb_detach(&f->echo.usb);
	ev = udriver_wait(&f->u);
	assert_int_equal(ev.code, 4);
	assert_int_equal(ev.ep, 3);
}

static void a_full_event_ring_loses_nothing(void **state)
{
	struct fix *f = *state;
	struct uevent ev;
	unsigned seen = 0;

	for (unsigned n = 0; n < 60; n++)
		udriver_put(&f->u, f->slot, 2, U_DATA, 4, 1 << 10 | 1 << 5);
	udriver_bell(&f->u, f->slot, 2);
	for (unsigned n = 0; n < 60; n++)
		udriver_put(&f->u, f->slot, 2, U_DATA, 4, 1 << 10 | 1 << 5);
	udriver_bell(&f->u, f->slot, 2);
	for (unsigned n = 0; n < 400; n++) {
		if (udriver_event(&f->u, &ev))
			seen += ev.type == 32 && ev.code == 1;
		else
			loop_once(f->u.r.loop, 0);
	}
	assert_int_equal(seen, 120);
}

static void without_messages_it_drives_its_pin(void **state)
{
	struct fix *f = *state;
	struct uevent ev;
	unsigned line = 7 % 4;

	udriver_start(&f->u, false);
	rig_out(&f->u.r, 0xcf8, 4, 0x80000000 | 7 << 11 | 0x40);
	rig_out(&f->u.r, 0xcfc, 4, 0);
	while (udriver_event(&f->u, &ev))
		;
	udriver_write(&f->u, U_RT + 0x20, 3);
	assert_false(f->u.line[line].level);
	udriver_put(&f->u, 0, 0, 0, 0, 0);
	assert_int_equal(gmem_write(f->u.r.vm->mem, U_COMMANDS, &(uint32_t[4]){ 0, 0, 0, 23 << 10 | 1 }, 16), 0);
	udriver_bell(&f->u, 0, 0);
	assert_true(f->u.line[line].level);
	udriver_write(&f->u, U_RT + 0x20, 3);
	assert_false(f->u.line[line].level);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;
	struct uevent ev;

	assert_int_equal(udriver_transfer(&f->u, f->slot, 3, U_DATA, 64, NULL), 0);
	rig_state_round_trip(&f->u.r, "xhci0");
	/* the controller's reset took the device's configuration along, which is the device's to keep */
	f->echo.usb.configuration = 1;
	f->echo.count = 3;
	usb_wakeup(&f->echo.usb, 0x81);
	ev = udriver_wait(&f->u);
	assert_int_equal(ev.code, 13);
	assert_int_equal(ev.ep, 3);
}

#define READY(name) cmocka_unit_test_setup_teardown(name, up_ready, down)
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_say_what_it_is), TEST(a_port_says_who_comes_and_goes), TEST(addressing_goes_by_the_book),
		READY(standard_requests_work), READY(data_comes_back_when_it_is_there),
		READY(a_transfer_of_several_parts),
		READY(a_stall_halts_until_both_sides_are_cleared), READY(a_stopped_endpoint_goes_on_by_its_bell),
		READY(memory_that_is_none_is_an_error), READY(a_device_that_leaves_fails_its_transfers),
		READY(a_full_event_ring_loses_nothing), TEST(without_messages_it_drives_its_pin),
		READY(its_state_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
