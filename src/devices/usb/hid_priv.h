/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the HID devices share: descriptors, and how a kind of device makes its reports. */
#ifndef PANAL_DEVICES_USB_HID_PRIV_H
#define PANAL_DEVICES_USB_HID_PRIV_H

#include "devices/usb/hid.h"
#include "display/input.h"

enum { HID_REPORT_MAX = 8, HID_QUEUE = 32, HID_USAGES = 32 /* bytes */, HID_EP = 0x81 };

struct usb_hid {
	struct usb_dev usb; /* first */
	struct input *input;
	enum usb_hid_kind kind;
	/* saved */
	uint8_t protocol, idle, leds;
	uint8_t first, count; /* of the queue */
	uint16_t key[HID_QUEUE];      /* keyboard: usage, bit 8: pressed */
	uint8_t held[HID_USAGES];     /* a bit a usage, as the host knows them */
	uint8_t buttons[HID_QUEUE];   /* mouse, tablet: what to report */
	uint16_t x[HID_QUEUE], y[HID_QUEUE];
	uint8_t wheel[HID_QUEUE];
	uint8_t buttons_now;          /* and what it is by now */
	uint16_t x_now, y_now;
	uint8_t wheel_now;
};

struct hid_descs {
	const uint8_t *hid, *report;
	uint16_t hid_size, report_size;
	struct usb_desc full, high;
	const char *const *string;
};
extern const struct hid_descs hid_descs[USB_HID_KINDS];

/* hid_keyboard.c, hid_pointer.c: an event of the display's input; what is due as a report (its size, 0: nothing), and
 * the state as it is, for GET_REPORT. */
void hid_keyboard_event(struct usb_hid *h, const struct input_event *ev);
unsigned hid_keyboard_next(struct usb_hid *h, uint8_t *report);
unsigned hid_keyboard_now(const struct usb_hid *h, uint8_t *report);
void hid_pointer_event(struct usb_hid *h, const struct input_event *ev);
void hid_pointer_sync(struct usb_hid *h);
unsigned hid_pointer_next(struct usb_hid *h, uint8_t *report);
unsigned hid_pointer_now(const struct usb_hid *h, uint8_t *report);

#endif
