/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The USB controller: registers, and commands and transfers put together from the input in guest memory. */
#include "drive.h"
#include "udriver.h"

#include "base/bytes.h"

#include <string.h>

static int any_data(struct usb_dev *d, uint8_t ep, struct xfer *x)
{
	uint8_t b[64] = { 1, 2, 3 };

	if (x->room == 7)
		return USB_STALL;
	if (x->room == 9)
		return USB_NAK;
	if (ep & USB_IN)
		xfer_put(x, b, sizeof(b));
	else
		xfer_get(x, b, sizeof(b));
	return 0;
}

static const struct usb_ops any_ops = { .data = any_data };
static const uint8_t any_device[18] = { 18, 1, 0x00, 2, 0xff, 0, 0, 64, 0xf4, 0x1a, 1, 0, 0, 1, 1, 0, 0, 1 };
static const uint8_t any_config[32] = {
	9, 2, 32, 0, 1, 1, 0, 0xc0, 0, 9, 4, 0, 0, 2, 0xff, 0, 0, 0, 7, 5, 1, 2, 0, 2, 0, 7, 5, 0x81, 2, 0, 2, 0,
};
static const struct usb_desc any_desc = { any_device, any_config, sizeof(any_config), NULL, 0 };

struct fuzz {
	struct udriver u;
	struct usb_dev dev;
	uint32_t at[3]; /* where the next TRB of a ring goes: commands, control, data */
};

static const uint16_t request[] = { 0x0680, 0x0900, 0x0880, 0x0080, 0x0302, 0x0102, 0x0b01, 0x0a81, 0x0300, 0x0100 };

static void put(struct fuzz *f, unsigned ring, uint64_t parameter, uint32_t status, uint32_t control)
{
	static const uint32_t base[3] = { U_COMMANDS, 0x10000 + 33 * 0x400, 0x10000 + 34 * 0x400 };
	uint8_t b[16];

	store_le64(b, parameter);
	store_le32(b + 8, status);
	store_le32(b + 12, control);
	if (f->at[ring] < base[ring] || f->at[ring] > base[ring] + 0x3e0)
		f->at[ring] = base[ring];
	if (gmem_write(f->u.r.vm->mem, f->at[ring], b, sizeof(b)) == 0)
		f->at[ring] += 16;
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct fuzz *f = opaque;
	unsigned ring = a % 3, slot = a >> 2 & 1 ? 1 : a >> 3 & 31, count = 1 + (a >> 30);

	for (unsigned n = 0; n < count; n++) {
		uint32_t control = (a >> 8 & 0x3ff) | (a >> 18 & 63) << 10;

		if (ring == 0)
			put(f, 0, b & 1 ? 0x1900 : b & 0xfffff, 0,
			    (control & ~0x3eu) | slot << 24 | (a >> 4 & 31) << 16);
		else if (ring == 1 && b & 1)
			put(f, 1, request[(b >> 1) % COUNT_OF(request)] | (b & ~UINT64_C(0xffff)), 8, 2 << 10 | 0x41);
		else
			put(f, ring, b & 0xfffff, (uint32_t)(b >> 32) & (b >> 20 & 1 ? 63 : UINT32_MAX), control);
	}
	if (b >> 21 & 1)
		udriver_write(&f->u, U_RT + 0x38, (uint32_t)(b >> 40 & 0x3f0) + U_EVENTS + 8);
	if (b >> 22 & 1)
		udriver_write(&f->u, U_OP, 5);
	if ((b >> 23 & 15) == 0 && f->dev.port)
		usb_detach(&f->dev);
	else if ((b >> 23 & 15) == 0 && usb_attach(xhci_port(f->u.x, 1 + (b >> 28 & 15)), &f->dev, NULL) < 0)
		__builtin_trap();
	udriver_bell(&f->u, ring ? slot : 0, ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;

	memset(&f, 0, sizeof(f));
	udriver_up(&f.u);
	f.dev = (struct usb_dev){ .ops = &any_ops, .desc = { [USB_HIGH] = &any_desc, [USB_SUPER] = &any_desc } };
	if (usb_attach(xhci_port(f.u.x, 1), &f.dev, NULL) < 0)
		__builtin_trap();
	udriver_start(&f.u, size & 1);
	if (size & 2)
		udriver_configure(&f.u, udriver_address(&f.u, 1, 0), 1 << 2 | 1 << 3, 0);
	struct fuzz_plan plan = { .range = { { REGION_MEMORY, UREGS, 0x2100 }, { REGION_PORT, 0xcf8, 8 },
					     { REGION_MEMORY, UREGS + U_OP, 0x20 } },
				  .ranges = 3, .other = other, .opaque = &f };
	fuzz_drive(&f.u.r, &plan, data, size);
	usb_detach(&f.dev);
	udriver_down(&f.u);
	return 0;
}
