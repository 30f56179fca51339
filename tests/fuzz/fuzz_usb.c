/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB devices behind the controller: any control request, and transfers of any size, mixed with people's input. */
#include "drive.h"
#include "image.h"
#include "udriver.h"

#include "base/bytes.h"
#include "devices/usb/hid.h"
#include "devices/usb/hub.h"
#include "devices/usb/storage.h"
#include "display/input.h"

#include <string.h>

struct fuzz {
	struct udriver u;
	struct input *input;
	struct loop *input_loop; /* it goes after the machine */
	unsigned slot;
	bool storage;
};

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

/* A well-formed command block, and room or data for it. */
static void scsi(struct fuzz *f, uint32_t a, uint64_t b)
{
	static const uint8_t codes[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x23, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x5a,
					 0x88, 0x8a, 0x91, 0x9e, 0xa0, 0xa8, 0xaa };
	uint8_t *d = udriver_data(&f->u);
	uint32_t length = a >> 8 & 0xfff, at = U_DATA + 0x1000;

	memset(d, 0, 31);
	memcpy(d, "USBC", 4);
	store_le32(d + 8, b >> 63 ? (uint32_t)b : length);
	d[12] = (uint8_t)(a >> 20 & 1 ? 0x80 : 0);
	d[14] = 16;
	d[15] = codes[(a >> 21) % COUNT_OF(codes)];
	memcpy(d + 16 + (b >> 60 & 7), &b, 8);
	udriver_put(&f->u, f->slot, 2, U_DATA, 31, 1 << 10);
	udriver_put(&f->u, f->slot, a >> 20 & 1 ? 3 : 2, at, length, 1 << 10 | 1 << 2);
	udriver_put(&f->u, f->slot, 3, at, 13, 1 << 10);
	udriver_bell(&f->u, f->slot, 2);
	udriver_bell(&f->u, f->slot, 3);
	udriver_spin(&f->u);
}

static void add_disk(struct fuzz *f)
{
	struct usb_storage_config c = { .port = xhci_port(f->u.x, 1), .blk = fuzz_image(&f->u.r, 65536) };

	must(usb_storage_create(f->u.r.vm, &c, NULL) == 0);
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
	case 2:
		if (f->storage)
			scsi(f, a, b);
		else
			control(f, a, b);
		break;
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
	must(loop_create(&f.input_loop, NULL, NULL) == 0);
	must(input_create(&f.input, f.input_loop, NULL) == 0);
	unsigned kind = size ? data[0] % (USB_HID_KINDS + 2) : 0;
	struct usb_hid_config hc = { .kind = (enum usb_hid_kind)kind, .input = f.input, .port = xhci_port(f.u.x, 1) };
	f.storage = kind == USB_HID_KINDS;
	if (kind > USB_HID_KINDS) { /* a hub with a keyboard */
		must(usb_hub_create(f.u.r.vm, &(struct usb_hub_config){ .port = hc.port }, NULL) == 0);
		struct usb_dev *hub = usb_at(hc.port, 0);
		hc.port = hub->ops->port(hub, 3);
		hc.kind = USB_KEYBOARD;
	}
	if (f.storage)
		add_disk(&f);
	else
		must(usb_hid_create(f.u.r.vm, &hc, NULL) == 0);
	restart(&f);
	struct fuzz_plan plan = { .other = other, .opaque = &f };
	fuzz_drive(&f.u.r, &plan, data, size);
	udriver_down(&f.u);
	input_destroy(f.input);
	loop_destroy(f.input_loop);
	return 0;
}
