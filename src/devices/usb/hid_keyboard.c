/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/usb/hid_priv.h"

#include <string.h>

enum { USAGE_MODIFIERS = 0xe0, USAGE_MODIFIERS_END = 0xe8, USAGE_ROLL_OVER = 1, REPORT_KEYS = 2, KEYS = 6,
       PRESSED = 0x100 };

/* Presses that come faster than the host asks wait, so that none is lost. */
void hid_keyboard_event(struct usb_hid *h, const struct input_event *ev)
{
	if (!ev->key->hid || h->count == HID_QUEUE)
		return;
	h->key[(h->first + h->count++) % HID_QUEUE] = (uint16_t)(ev->key->hid | (ev->down ? PRESSED : 0));
}

unsigned hid_keyboard_now(const struct usb_hid *h, uint8_t *report)
{
	unsigned keys = 0;

	memset(report, 0, HID_REPORT_MAX);
	report[0] = h->held[USAGE_MODIFIERS / 8];
	for (unsigned usage = 0; usage < HID_USAGES * 8; usage++) {
		bool modifier = usage >= USAGE_MODIFIERS && usage < USAGE_MODIFIERS_END;

		if (modifier || !(h->held[usage / 8] >> usage % 8 & 1))
			continue;
		if (keys < KEYS)
			report[REPORT_KEYS + keys] = (uint8_t)usage;
		keys++;
	}
	if (keys > KEYS)
		memset(report + REPORT_KEYS, USAGE_ROLL_OVER, KEYS);
	return HID_REPORT_MAX;
}

unsigned hid_keyboard_next(struct usb_hid *h, uint8_t *report)
{
	uint16_t k;
	uint8_t *byte, bit;

	if (!h->count)
		return 0;
	k = h->key[h->first];
	h->first = (h->first + 1) % HID_QUEUE;
	h->count--;
	byte = &h->held[(k & 0xff) / 8];
	bit = (uint8_t)(1u << k % 8);
	*byte = k & PRESSED ? *byte | bit : *byte & (uint8_t)~bit;
	return hid_keyboard_now(h, report);
}
