/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB devices behind the controller, as a driver uses them: keyboard, mouse, tablet. */
#include "udriver.h"

#include "base/bytes.h"
#include "block/block.h"
#include "devices/usb/hid.h"
#include "devices/usb/hub.h"
#include "devices/usb/storage.h"
#include "display/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct fix {
	struct udriver u;
	struct input *input;
	struct loop *input_loop; /* it goes after the machine */
	unsigned slot;
};

static int up(void **state, enum usb_hid_kind kind)
{
	static struct fix f;

	memset(&f, 0, sizeof(f));
	udriver_up(&f.u);
	assert_int_equal(loop_create(&f.input_loop, NULL, NULL), 0);
	assert_int_equal(input_create(&f.input, f.input_loop, NULL), 0);
	struct usb_hid_config hc = { .kind = kind, .port = xhci_port(f.u.x, 1), .input = f.input };
	assert_int_equal(usb_hid_create(f.u.r.vm, &hc, NULL), 0);
	udriver_start(&f.u, true);
	f.slot = udriver_address(&f.u, 1, 0);
	*state = &f;
	return 0;
}

static int up_keyboard(void **state) { return up(state, USB_KEYBOARD); }
static int up_mouse(void **state) { return up(state, USB_MOUSE); }
static int up_tablet(void **state) { return up(state, USB_TABLET); }

static int down(void **state)
{
	struct fix *f = *state;
	udriver_down(&f->u);
	input_destroy(f->input);
	loop_destroy(f->input_loop);
	return 0;
}

static void send_key(struct fix *f, const char *name, bool pressed)
{
	struct input_event ev = { .kind = INPUT_KEY, .down = pressed, .key = key_by_name(name) };

	input_send(f->input, &ev, 1);
}

static void move(struct fix *f, enum input_kind kind, enum input_axis axis, int value)
{
	struct input_event ev = { .kind = kind, .axis = axis, .value = value };

	input_send(f->input, &ev, 1);
}

static void button(struct fix *f, enum input_button which, bool pressed)
{
	struct input_event ev = { .kind = INPUT_BUTTON, .button = which, .down = pressed };

	input_send(f->input, &ev, 1);
}

/* The next report; 0: there is none. */
static uint32_t report(struct fix *f)
{
	uint32_t moved = 0;
	unsigned code = udriver_transfer(&f->u, f->slot, 3, U_DATA, 8, &moved);

	return code == 1 || code == 13 ? moved : 0;
}

static void descriptors_fit_together(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	uint32_t moved;

	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 2 << 8, 0, 255, &moved), 1);
	assert_int_equal(moved, 34);
	assert_int_equal(load_le16(d + 2), 34);
	assert_int_equal(d[14], 3); /* HID */
	uint16_t size = load_le16(d + 18 + 7);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x81, 6, 0x22 << 8, 0, 512, &moved), 1);
	assert_int_equal(moved, size);
	unsigned open = 0;
	for (unsigned at = 0; at < size; at += 1 + (d[at] & 3)) {
		open += (d[at] & 0xfc) == 0xa0;
		open -= (d[at] & 0xfc) == 0xc0;
	}
	assert_int_equal(open, 0);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 6 << 8, 0, 10, &moved), 1);
}

static void keys_come_as_reports(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);

	assert_false(input_takes(f->input, INPUT_KEY));
	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	assert_true(input_takes(f->input, INPUT_KEY));
	send_key(f, "shift", true);
	send_key(f, "a", true);
	send_key(f, "a", false);
	assert_int_equal(report(f), 8);
	assert_int_equal(load_le64(d), 0x02);
	assert_int_equal(report(f), 8);
	assert_int_equal(load_le64(d), 0x040002);
	assert_int_equal(report(f), 8);
	assert_int_equal(load_le64(d), 0x02);
	assert_int_equal(report(f), 0);
	send_key(f, "shift", false); /* answers the transfer that waits */
	struct uevent ev = udriver_wait(&f->u);
	assert_int_equal(ev.code, 1);
	assert_int_equal(load_le64(d), 0);
}

static void too_many_keys_roll_over(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g" };

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	for (unsigned n = 0; n < 7; n++)
		send_key(f, names[n], true);
	for (unsigned n = 0; n < 6; n++)
		assert_int_equal(report(f), 8);
	assert_memory_equal(d + 2, "\4\5\6\7\10\11", 6);
	assert_int_equal(report(f), 8);
	assert_memory_equal(d + 2, "\1\1\1\1\1\1", 6);
	assert_int_equal(udriver_control(&f->u, f->slot, 0xa1, 1, 1 << 8, 0, 8, NULL), 1);
	assert_int_equal(d[2], 1);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x21, 11, 0, 0, 0, NULL), 1);
	assert_int_equal(udriver_control(&f->u, f->slot, 0xa1, 3, 0, 0, 1, NULL), 1);
	assert_int_equal(d[0], 0);
}

static void movement_adds_up(void **state)
{
	struct fix *f = *state;
	int8_t *d = (int8_t *)udriver_data(&f->u);

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	move(f, INPUT_REL, AXIS_X, 100);
	move(f, INPUT_REL, AXIS_X, 100);
	move(f, INPUT_REL, AXIS_Y, -3);
	button(f, BUTTON_LEFT, true);
	button(f, BUTTON_WHEEL_DOWN, true);
	assert_int_equal(report(f), 4);
	assert_true(d[0] == 0 && d[1] == 127 && d[2] == -3 && d[3] == 0);
	assert_int_equal(report(f), 4);
	assert_true(d[0] == 0 && d[1] == 73 && d[2] == 0);
	assert_int_equal(report(f), 4);
	assert_true(d[0] == 1 && d[1] == 0 && d[3] == -1);
	assert_int_equal(report(f), 0);
}

static void positions_are_as_they_are(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	move(f, INPUT_ABS, AXIS_X, 100);
	move(f, INPUT_ABS, AXIS_X, 0x7fff);
	move(f, INPUT_ABS, AXIS_Y, 0x1234);
	assert_int_equal(report(f), 6);
	assert_memory_equal(d, "\0\xff\x7f\x34\x12\0", 6);
	button(f, BUTTON_RIGHT, true);
	button(f, BUTTON_RIGHT, false);
	assert_int_equal(report(f), 6);
	assert_memory_equal(d, "\2\xff\x7f\x34\x12\0", 6);
	assert_int_equal(report(f), 6);
	assert_int_equal(d[0], 0);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	send_key(f, "a", true);
	send_key(f, "a", false);
	move(f, INPUT_ABS, AXIS_Y, 0x1234);
	rig_state_round_trip(&f->u.r, "usb-hid0");
	assert_true(report(f) > 0);
}

/* ---- storage ---- */

enum { DISK_BLOCKS = 2048, CBW = U_DATA, CSW = U_DATA + 0x100, BLOCKS = U_DATA + 0x1000 };

static int up_storage(void **state)
{
	static struct fix f;
	char path[] = "/tmp/panal-usb-XXXXXX";
	int fd = mkstemp(path);
	uint8_t sector[512];

	memset(&f, 0, sizeof(f));
	assert_true(fd >= 0);
	for (unsigned n = 0; n < DISK_BLOCKS; n++) {
		memset(sector, (int)(n & 0xff), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	udriver_up(&f.u);
	assert_int_equal(loop_create(&f.input_loop, NULL, NULL), 0);
	assert_int_equal(input_create(&f.input, f.input_loop, NULL), 0);
	struct blk_open o = { .path = path, .loop = f.u.r.loop, .engine = "threads" };
	struct usb_storage_config c = { .port = xhci_port(f.u.x, XHCI_PORTS2 + 1) };
	assert_int_equal(blk_open(&c.blk, &o, NULL), 0);
	unlink(path);
	assert_int_equal(usb_storage_create(f.u.r.vm, &c, NULL), 0);
	udriver_start(&f.u, true);
	f.slot = udriver_address(&f.u, XHCI_PORTS2 + 1, 0);
	udriver_configure(&f.u, f.slot, 1 << 2 | 1 << 3, 0);
	*state = &f;
	return 0;
}

static unsigned bulk(struct fix *f, unsigned ep, uint64_t at, uint32_t length, uint32_t *moved)
{
	struct uevent ev;
	unsigned code = udriver_transfer(&f->u, f->slot, ep, at, length, moved);

	if (code)
		return code;
	ev = udriver_wait(&f->u);
	*moved = length - ev.length;
	return ev.code;
}

/* A command with its data at BLOCKS, in transfers of at most `piece`; gives the status, and the residue. */
static unsigned scsi(struct fix *f, const uint8_t *cdb, bool in, uint32_t length, uint32_t piece, uint32_t *residue)
{
	uint8_t *d = udriver_data(&f->u);
	uint32_t moved = 0;

	memset(d, 0, 31);
	memcpy(d, "USBC\1\2\3\4", 8);
	store_le32(d + 8, length);
	d[12] = in ? 0x80 : 0;
	d[14] = 16;
	memcpy(d + 15, cdb, 16);
	assert_int_equal(bulk(f, 2, CBW, 31, &moved), 1);
	for (uint32_t at = 0; at < length; at += piece) {
		uint32_t n = length - at < piece ? length - at : piece;

		bulk(f, in ? 3 : 2, BLOCKS + at, n, &moved);
		if (moved < n)
			break;
	}
	assert_int_equal(bulk(f, 3, CSW, 13, &moved), 1);
	assert_memory_equal(d + 0x100, "USBS\1\2\3\4", 8);
	*residue = load_le32(d + 0x108);
	return d[0x10c];
}

static void a_disk_answers(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u) + 0x1000;
	uint32_t left;

	assert_int_equal(udriver_control(&f->u, f->slot, 0xa1, 0xfe, 0, 0, 1, NULL), 1);
	assert_int_equal(udriver_data(&f->u)[0], 0);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x12, [4] = 36 }, true, 36, 64, &left), 0);
	assert_memory_equal(d + 8, "PANAL   DISK", 12);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0 }, false, 0, 64, &left), 1); /* a reset was */
	assert_int_equal(scsi(f, (uint8_t[16]){ 3, [4] = 18 }, true, 18, 64, &left), 0);
	assert_int_equal(d[2], 6);
	assert_int_equal(d[12], 0x29);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x25 }, true, 8, 64, &left), 0);
	assert_int_equal(load_be32(d), DISK_BLOCKS - 1);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x1a, [2] = 0x3f, [4] = 192 }, true, 192, 256, &left), 0);
	assert_int_equal(left, 192 - 24);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0xff }, true, 100, 256, &left), 1);
	assert_int_equal(left, 100);
}

static void a_disk_keeps_what_it_gets(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u) + 0x1000;
	uint32_t left;

	scsi(f, (uint8_t[16]){ 0 }, false, 0, 64, &left);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x28, [5] = 9, [8] = 4 }, true, 2048, 512, &left), 0);
	assert_true(d[0] == 9 && d[512] == 10 && d[2047] == 12 && left == 0);
	for (unsigned n = 0; n < 2048; n++)
		d[n] = (uint8_t)(n * 7);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x2a, [5] = 100, [8] = 4 }, false, 2048, 768, &left), 0);
	assert_int_equal(left, 0);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x35 }, false, 0, 64, &left), 0);
	memset(d, 0, 2048);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x88, [9] = 100, [13] = 4 }, true, 2048, 2048, &left), 0);
	assert_true(d[1] == 7 && d[2047] == (uint8_t)(2047 * 7));
	/* the host wants more than the command gives: a transfer that is not filled, and the residue */
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x28, [5] = 1, [8] = 1 }, true, 2048, 512, &left), 0);
	assert_int_equal(left, 1536);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x28, [3] = 8, [8] = 1 }, true, 512, 512, &left), 1);
	assert_int_equal(left, 512);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x2a, [3] = 8, [8] = 1 }, false, 512, 512, &left), 1);
}

static void nonsense_needs_a_reset(void **state)
{
	struct fix *f = *state;
	uint64_t ring = 0x10000 + (f->slot * 32 + 2) * 0x400;
	uint32_t moved, left;

	memset(udriver_data(&f->u), 0, 31);
	assert_int_equal(bulk(f, 2, CBW, 31, &moved), 6);
	for (unsigned ep = 2; ep < 3; ep++) {
		assert_int_equal(udriver_command(&f->u, 14, 0, f->slot << 24 | ep << 16, NULL), 1);
		assert_int_equal(gmem_fill(f->u.r.vm->mem, ring, 0, 0x400), 0);
		assert_int_equal(udriver_command(&f->u, 16, ring | 1, f->slot << 24 | ep << 16, NULL), 1);
		f->u.ring[f->slot][ep].at = 0;
	}
	assert_int_equal(udriver_control(&f->u, f->slot, 0x21, 0xff, 0, 0, 0, NULL), 1);
	assert_int_equal(udriver_control(&f->u, f->slot, 2, 1, 0, 1, 0, NULL), 1);
	assert_int_equal(udriver_control(&f->u, f->slot, 2, 1, 0, 0x81, 0, NULL), 1);
	assert_int_equal(scsi(f, (uint8_t[16]){ 0x12, [4] = 36 }, true, 36, 64, &left), 0);
}

static void a_disks_state_survives(void **state)
{
	struct fix *f = *state;
	uint32_t left;

	scsi(f, (uint8_t[16]){ 0 }, false, 0, 64, &left);
	scsi(f, (uint8_t[16]){ 0x28, [3] = 8, [8] = 1 }, true, 512, 512, &left);
	rig_state_round_trip(&f->u.r, "usb-storage0");
	assert_int_equal(scsi(f, (uint8_t[16]){ 3, [4] = 18 }, true, 18, 64, &left), 0);
	assert_int_equal(udriver_data(&f->u)[0x1000 + 12], 0x21);
}

/* ---- a hub, with a keyboard on its port 3 ---- */

static int up_hub(void **state)
{
	static struct fix f;
	struct usb_hub_config c = { 0 };

	memset(&f, 0, sizeof(f));
	udriver_up(&f.u);
	assert_int_equal(loop_create(&f.input_loop, NULL, NULL), 0);
	assert_int_equal(input_create(&f.input, f.input_loop, NULL), 0);
	c.port = xhci_port(f.u.x, 2);
	assert_int_equal(usb_hub_create(f.u.r.vm, &c, NULL), 0);
	struct usb_hid_config hc = { .kind = USB_KEYBOARD, .input = f.input };
	struct usb_dev *hub = usb_at(xhci_port(f.u.x, 2), 0);
	hc.port = hub->ops->port(hub, 3);
	assert_null(hub->ops->port(hub, 9));
	assert_int_equal(usb_hid_create(f.u.r.vm, &hc, NULL), 0);
	udriver_start(&f.u, true);
	f.slot = udriver_address(&f.u, 2, 0);
	udriver_configure(&f.u, f.slot, 1 << 3, 1 << 3);
	*state = &f;
	return 0;
}

static uint32_t port_status(struct fix *f, unsigned n)
{
	assert_int_equal(udriver_control(&f->u, f->slot, 0xa3, 0, 0, (uint16_t)n, 4, NULL), 1);
	return load_le32(udriver_data(&f->u));
}

static void set_port(struct fix *f, unsigned n, bool set, unsigned feature)
{
	uint8_t request = set ? 3 : 1;

	assert_int_equal(udriver_control(&f->u, f->slot, 0x23, request, (uint16_t)feature, (uint16_t)n, 0, NULL), 1);
}

static void a_hub_brings_what_is_behind_it(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	uint32_t moved;
	unsigned hub = f->slot;
	struct uevent ev;

	assert_int_equal(udriver_control(&f->u, f->slot, 0xa0, 6, 0x29 << 8, 0, 64, &moved), 1);
	assert_true(d[0] == moved && d[2] == USB_HUB_PORTS);
	assert_int_equal(port_status(f, 3), 0);
	assert_int_equal(udriver_transfer(&f->u, f->slot, 3, U_DATA + 0x100, 2, NULL), 0);
	udriver_put(&f->u, f->slot, 1, 0x300080323, 8, 2 << 10 | 1 << 6); /* power for port 3 */
	udriver_put(&f->u, f->slot, 1, 0, 0, 4 << 10 | 1 << 16);
	udriver_bell(&f->u, f->slot, 1);
	ev = udriver_wait(&f->u); /* the transfer that waited for a change */
	assert_int_equal(ev.ep, 3);
	assert_int_equal(d[0x100], 1 << 3);
	assert_int_equal(port_status(f, 3), 0x00010501);
	set_port(f, 3, false, 16);
	set_port(f, 3, true, 4);
	assert_int_equal(port_status(f, 3), 0x00100503);
	set_port(f, 3, false, 20);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x23, 3, 4, 9, 0, NULL), 6);
	f->slot = udriver_address(&f->u, 2, 3);
	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	send_key(f, "a", true);
	assert_int_equal(report(f), 8);
	assert_int_equal(d[2], 4);
	/* pulled out: its transfer fails, and the hub says so */
	assert_int_equal(report(f), 0);
	usb_detach(usb_at(xhci_port(f->u.x, 2), 3));
	ev = udriver_wait(&f->u);
	assert_true(ev.slot == f->slot && ev.code == 4);
	f->slot = hub;
	assert_int_equal(port_status(f, 3), 0x00010100);
}

static void a_hubs_state_survives(void **state)
{
	struct fix *f = *state;

	set_port(f, 3, true, 8);
	set_port(f, 3, true, 4);
	rig_state_round_trip(&f->u.r, "usb-hub0");
	assert_int_equal(port_status(f, 3), 0x00110503);
}

#define TEST(name, kind) cmocka_unit_test_setup_teardown(name, up_##kind, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_fit_together, keyboard), TEST(descriptors_fit_together, mouse),
		TEST(descriptors_fit_together, tablet), TEST(keys_come_as_reports, keyboard),
		TEST(too_many_keys_roll_over, keyboard), TEST(movement_adds_up, mouse),
		TEST(positions_are_as_they_are, tablet), TEST(its_state_survives, keyboard),
		TEST(its_state_survives, tablet), TEST(a_disk_answers, storage),
		TEST(a_disk_keeps_what_it_gets, storage), TEST(nonsense_needs_a_reset, storage),
		TEST(a_disks_state_survives, storage), TEST(a_hub_brings_what_is_behind_it, hub),
		TEST(a_hubs_state_survives, hub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
