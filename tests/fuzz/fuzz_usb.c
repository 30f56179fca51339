/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB devices behind the controller: any control request, and transfers of any size, mixed with people's input. */
#include "drive.h"
#include "udriver.h"

#include "base/bytes.h"
#include "devices/usb/hid.h"
#include "display/input.h"

#include <string.h>

struct fuzz {
	struct udriver u;
	struct input *input;
	unsigned slot;
};

static void must(bool good)
{
	if (!good)
		__builtin_trap();
}

/* Without waiting for what comes back: the driver's rings may be anybody's by now. */
static void control(struct fuzz *f, uint32_t a, uint64_t setup)
{
	uint16_t length = (uint16_t)(setup >> 48);
	bool in = setup & 0x80;

	udriver_put(&f->u, f->slot, 1, setup, 8, 2 << 10 | 1 << 6);
	if (length && !(a & 1))
		udriver_put(&f->u, f->slot, 1, U_DATA, a & 2 ? length : 64, 3 << 10 | (uint32_t)in << 16);
	udriver_put(&f->u, f->slot, 1, 0, 0, 4 << 10 | 1 << 5);
	udriver_bell(&f->u, f->slot, 1);
}

static void input(struct fuzz *f, uint32_t a, uint64_t b)
{
	struct input_event ev = { .kind = (enum input_kind)(a % INPUT_KINDS), .down = a >> 3 & 1, .value = (int32_t)b,
				  .button = (enum input_button)((a >> 4) % BUTTON_COUNT), .axis = a >> 9 & 1 };

	ev.key = key_at((unsigned)(b & 127));
	if (ev.key)
		input_send(f->input, &ev, 1);
}

static void restart(struct fuzz *f)
{
	udriver_start(&f->u, true);
	f->slot = udriver_address(&f->u, 1, 0);
	udriver_configure(&f->u, f->slot, 1 << 2 | 1 << 3, 1 << 3);
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	static const uint16_t common[] = { 0x0680, 0x0681, 0x06a0, 0x0900, 0x01a1, 0x0921, 0x0b21, 0x00a3, 0x0323,
					   0x0123 };
	struct fuzz *f = opaque;
	struct uevent ev;

	switch (a >> 28 & 7) {
	case 0: case 1: control(f, a, (b & ~UINT64_C(0xffff)) | common[(a >> 8) % COUNT_OF(common)]); break;
	case 2: control(f, a, b); break;
	case 3: case 4: input(f, a, b); break;
	case 5: case 6:
		memcpy(udriver_data(&f->u), &b, 8);
		udriver_put(&f->u, f->slot, 2 + (a & 1), U_DATA, a >> 8 & 0x3ff, 1 << 10 | 1 << 5);
		udriver_bell(&f->u, f->slot, 2 + (a & 1));
		break;
	default:
		/* unless a spoiled state took the registers elsewhere */
		if ((b & 7) == 0 && udriver_read(&f->u, 0) == 0x01000040)
			restart(f);
	}
	while (udriver_event(&f->u, &ev))
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;

	memset(&f, 0, sizeof(f));
	udriver_up(&f.u);
	must(input_create(&f.input, f.u.r.loop, NULL) == 0);
	struct usb_hid_config hc = { .kind = (enum usb_hid_kind)(size ? data[0] % USB_HID_KINDS : 0), .input = f.input,
				     .port = xhci_port(f.u.x, 1) };
	must(usb_hid_create(f.u.r.vm, &hc, NULL) == 0);
	restart(&f);
	struct fuzz_plan plan = { .other = other, .opaque = &f };
	fuzz_drive(&f.u.r, &plan, data, size);
	udriver_down(&f.u);
	input_destroy(f.input);
	return 0;
}
