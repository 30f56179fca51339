/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of keyboard, mouse and tablet (HID 1.11, 6.2 and appendices B, E). */
#include "devices/usb/hid_priv.h"

enum { VENDOR = 0x1af4, PRODUCT = 0x0010 };

static const uint8_t keyboard_report[] = {
	0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,             /* generic desktop, keyboard */
	0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7,             /* the modifiers, */
	0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, /* a bit each */
	0x95, 0x01, 0x75, 0x08, 0x81, 0x01,             /* a byte of nothing */
	0x05, 0x08, 0x19, 0x01, 0x29, 0x05,             /* five lamps, */
	0x95, 0x05, 0x75, 0x01, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
	0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00,       /* six keys */
	0x15, 0x00, 0x26, 0xff, 0x00, 0x95, 0x06, 0x75, 0x08, 0x81, 0x00,
	0xc0,
};

#define POINTER_HEAD \
	0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer */ \
	0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* five buttons, */ \
	0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, 0x81, 0x01, \
	0x05, 0x01, 0x09, 0x30, 0x09, 0x31 /* x, y */
#define POINTER_WHEEL 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0

static const uint8_t mouse_report[] = {
	POINTER_HEAD, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x02, 0x81, 0x06, POINTER_WHEEL,
};
/* to INPUT_ABS_MAX */
static const uint8_t tablet_report[] = {
	POINTER_HEAD, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
	0x45, 0x00, POINTER_WHEEL,
};

#define DEVICE(kind) { 18, USB_DT_DEVICE, 0x00, 0x02, 0, 0, 0, 64, VENDOR & 0xff, VENDOR >> 8, \
		       (PRODUCT + (kind)) & 0xff, (PRODUCT + (kind)) >> 8, 0x00, 0x01, 1, 2, 0, 1 }
#define HID_DESC(report) 9, USB_DT_HID, 0x11, 0x01, 0, 1, USB_DT_REPORT, sizeof(report) & 0xff, sizeof(report) >> 8
/* boot interface or none; its protocol */
#define CONFIG(boot, protocol, report, packet, interval) { \
	9, USB_DT_CONFIG, 34, 0, 1, 1, 0, 0xa0 /* wakes the host */, 50, \
	9, USB_DT_INTERFACE, 0, 0, 1, 3, boot, protocol, 0, HID_DESC(report), \
	7, USB_DT_ENDPOINT, HID_EP, 3, packet, 0, interval }

static const uint8_t device[USB_HID_KINDS][18] = { DEVICE(0), DEVICE(1), DEVICE(2) };
/* Every 8 ms at high speed (2^(n-1) microframes), 10 ms at full speed. */
static const uint8_t config_high[USB_HID_KINDS][34] = {
	CONFIG(1, 1, keyboard_report, 8, 7), CONFIG(1, 2, mouse_report, 4, 6), CONFIG(0, 0, tablet_report, 8, 6),
};
static const uint8_t config_full[USB_HID_KINDS][34] = {
	CONFIG(1, 1, keyboard_report, 8, 10), CONFIG(1, 2, mouse_report, 4, 10), CONFIG(0, 0, tablet_report, 8, 10),
};
static const uint8_t hid[USB_HID_KINDS][9] = {
	{ HID_DESC(keyboard_report) }, { HID_DESC(mouse_report) }, { HID_DESC(tablet_report) },
};

static const char *const keyboard_names[] = { "Panal", "Panal USB keyboard", NULL };
static const char *const mouse_names[] = { "Panal", "Panal USB mouse", NULL };
static const char *const tablet_names[] = { "Panal", "Panal USB tablet", NULL };

#define KIND(n, what) { hid[n], what##_report, sizeof(hid[n]), sizeof(what##_report), \
			{ device[n], config_full[n], sizeof(config_full[n]), NULL, 0 }, \
			{ device[n], config_high[n], sizeof(config_high[n]), NULL, 0 }, what##_names }

const struct hid_descs hid_descs[USB_HID_KINDS] = {
	[USB_KEYBOARD] = KIND(USB_KEYBOARD, keyboard), [USB_MOUSE] = KIND(USB_MOUSE, mouse),
	[USB_TABLET] = KIND(USB_TABLET, tablet),
};
