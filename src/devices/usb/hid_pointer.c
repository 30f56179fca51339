/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/usb/hid_priv.h"

#include "base/bytes.h"

enum { STEP_MAX = 127 };

static int clamp(int v, int max)
{
	return v > max ? max : v < -max ? -max : v;
}

static void on_button(struct usb_hid *h, const struct input_event *ev)
{
	static const uint8_t bit[BUTTON_COUNT] = { [BUTTON_LEFT] = 1, [BUTTON_RIGHT] = 2, [BUTTON_MIDDLE] = 4,
						   [BUTTON_SIDE] = 8, [BUTTON_EXTRA] = 16 };

	int step = ev->button == BUTTON_WHEEL_UP ? ev->down : -ev->down;

	if (ev->button == BUTTON_WHEEL_UP || ev->button == BUTTON_WHEEL_DOWN)
		h->wheel_now = (uint8_t)clamp((int8_t)h->wheel_now + step, STEP_MAX);
	else if (ev->down)
		h->buttons_now |= bit[ev->button];
	else
		h->buttons_now &= (uint8_t)~bit[ev->button];
}

void hid_pointer_event(struct usb_hid *h, const struct input_event *ev)
{
	uint16_t *axis = ev->axis == AXIS_X ? &h->x_now : &h->y_now;

	if (ev->kind == INPUT_BUTTON)
		on_button(h, ev);
	else if (ev->kind == INPUT_REL)
		*axis = (uint16_t)clamp((int16_t)*axis + clamp(ev->value, INT16_MAX), INT16_MAX);
	else if (ev->kind == INPUT_ABS)
		*axis = (uint16_t)(ev->value < 0 ? 0 : ev->value > INPUT_ABS_MAX ? INPUT_ABS_MAX : ev->value);
}

/* Movement that the host did not ask for in time becomes one; clicks stay apart as long as there is room. */
void hid_pointer_sync(struct usb_hid *h)
{
	unsigned last = (h->first + h->count + HID_QUEUE - 1) % HID_QUEUE;
	bool rel = h->kind == USB_MOUSE, same = h->count && h->buttons[last] == h->buttons_now;

	if (!same && h->count < HID_QUEUE) {
		last = (last + 1) % HID_QUEUE;
		h->count++;
		h->x[last] = h->y[last] = h->wheel[last] = 0;
	}
	h->buttons[last] = h->buttons_now;
	h->x[last] = rel ? (uint16_t)clamp((int16_t)h->x[last] + (int16_t)h->x_now, INT16_MAX) : h->x_now;
	h->y[last] = rel ? (uint16_t)clamp((int16_t)h->y[last] + (int16_t)h->y_now, INT16_MAX) : h->y_now;
	h->wheel[last] = (uint8_t)clamp((int8_t)h->wheel[last] + (int8_t)h->wheel_now, STEP_MAX);
	h->wheel_now = 0;
	if (rel)
		h->x_now = h->y_now = 0;
}

static unsigned fill(const struct usb_hid *h, uint8_t *r, uint8_t buttons, int x, int y, uint8_t wheel)
{
	r[0] = buttons;
	if (h->kind == USB_MOUSE) {
		r[1] = (uint8_t)x;
		r[2] = (uint8_t)y;
		r[3] = wheel;
		return h->protocol ? 4 : 3;
	}
	store_le16(r + 1, (uint16_t)x);
	store_le16(r + 3, (uint16_t)y);
	r[5] = wheel;
	return 6;
}

unsigned hid_pointer_now(const struct usb_hid *h, uint8_t *r)
{
	bool rel = h->kind == USB_MOUSE;

	return fill(h, r, h->buttons_now, rel ? 0 : h->x_now, rel ? 0 : h->y_now, 0);
}

unsigned hid_pointer_next(struct usb_hid *h, uint8_t *r)
{
	unsigned n = h->first;
	int x = (int16_t)h->x[n], y = (int16_t)h->y[n], dx = x, dy = y;
	uint8_t wheel = h->wheel[n];

	if (!h->count)
		return 0;
	if (h->kind == USB_MOUSE) { /* as far as a report reaches */
		dx = clamp(x, STEP_MAX);
		dy = clamp(y, STEP_MAX);
	}
	if (dx == x && dy == y) {
		h->first = (h->first + 1) % HID_QUEUE;
		h->count--;
	}
	h->x[n] = (uint16_t)(x - dx);
	h->y[n] = (uint16_t)(y - dy);
	h->wheel[n] = 0;
	return fill(h, r, h->buttons[n], dx, dy, wheel);
}
