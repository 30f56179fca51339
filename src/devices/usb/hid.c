/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/usb/hid.h"

#include "core/dev.h"
#include "core/state.h"
#include "devices/usb/hid_priv.h"

#include <stdlib.h>
#include <string.h>

enum { GET_REPORT = 1, GET_IDLE = 2, GET_PROTOCOL = 3, SET_REPORT = 9, SET_IDLE = 10, SET_PROTOCOL = 11,
       PROTOCOL_REPORT = 1 };

static struct usb_hid *hid_of(struct usb_dev *d)
{
	return container_of(d, struct usb_hid, usb);
}

/* ---- the host's side ---- */

static unsigned report_now(const struct usb_hid *h, uint8_t *data)
{
	return h->kind == USB_KEYBOARD ? hid_keyboard_now(h, data) : hid_pointer_now(h, data);
}

static int class_in(struct usb_hid *h, unsigned request, uint8_t *data)
{
	switch (request) {
	case GET_REPORT: return (int)report_now(h, data);
	case GET_IDLE: data[0] = h->idle; return 1;
	case GET_PROTOCOL: data[0] = h->protocol; return 1;
	}
	return USB_STALL;
}

/* The idle rate is kept and nothing is repeated: reports tell of changes only, as all drivers want it. */
static int class_out(struct usb_hid *h, const struct usb_setup *s, const uint8_t *data)
{
	switch (s->request) {
	case SET_REPORT: h->leds = s->length ? data[0] : h->leds; return 0;
	case SET_IDLE: h->idle = (uint8_t)(s->value >> 8); return 0;
	case SET_PROTOCOL: h->protocol = s->value & 1; return 0;
	}
	return USB_STALL;
}

static int control(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	struct usb_hid *h = hid_of(d);
	const struct hid_descs *desc = &hid_descs[h->kind];
	bool report = s->value >> 8 == USB_DT_REPORT;

	if ((s->type & 0x1f) != USB_TO_INTERFACE || s->index)
		return USB_STALL;
	if (s->type & USB_TYPE_CLASS)
		return s->type & USB_IN ? class_in(h, s->request, data) : class_out(h, s, data);
	if (s->type != (USB_IN | USB_TO_INTERFACE) || (!report && s->value >> 8 != USB_DT_HID))
		return USB_STALL;
	memcpy(data, report ? desc->report : desc->hid, report ? desc->report_size : desc->hid_size);
	return report ? desc->report_size : desc->hid_size;
}

static int transfer(struct usb_dev *d, uint8_t ep, struct xfer *x)
{
	struct usb_hid *h = hid_of(d);
	uint8_t report[HID_REPORT_MAX];
	unsigned size = h->kind == USB_KEYBOARD ? hid_keyboard_next(h, report) : hid_pointer_next(h, report);

	if (!size)
		return USB_NAK;
	xfer_put(x, report, size);
	return 0;
}

static void bus_reset(struct usb_dev *d)
{
	struct usb_hid *h = hid_of(d);

	h->protocol = PROTOCOL_REPORT;
	h->idle = h->leds = 0;
	h->first = h->count = 0;
	memset(h->held, 0, sizeof(h->held));
	h->buttons_now = h->wheel_now = 0;
	h->x_now = h->y_now = 0;
}

static const struct usb_ops ops = { .control = control, .data = transfer, .reset = bus_reset };

/* ---- the input's side ---- */

static void on_event(void *opaque, const struct input_event *ev)
{
	struct usb_hid *h = opaque;

	if (h->kind != USB_KEYBOARD) {
		hid_pointer_event(h, ev);
		return;
	}
	hid_keyboard_event(h, ev);
	usb_wakeup(&h->usb, HID_EP);
}

static void on_sync(void *opaque)
{
	struct usb_hid *h = opaque;

	if (h->kind == USB_KEYBOARD)
		return;
	hid_pointer_sync(h);
	usb_wakeup(&h->usb, HID_EP);
}

static bool ready(void *opaque)
{
	const struct usb_hid *h = opaque;

	return h->usb.port && h->usb.configuration;
}

/* ---- life ---- */

static void hid_reset(void *impl)
{
	usb_reset(&((struct usb_hid *)impl)->usb);
}

static void hid_destroy(void *impl)
{
	struct usb_hid *h = impl;

	usb_detach(&h->usb);
	input_detach(h->input, h);
	free(h);
}

static int loaded(void *obj, uint16_t version, struct err *e)
{
	struct usb_hid *h = obj;

	if (h->first >= HID_QUEUE || h->count > HID_QUEUE || h->usb.configuration > 1)
		return err_set(e, -EINVAL, "the saved state of a USB input device is not possible");
	return 0;
}

static const struct state_field fields[] = {
	USB_STATE_FIELDS(struct usb_hid), STATE_FIELD(struct usb_hid, protocol, STATE_U8),
	STATE_FIELD(struct usb_hid, idle, STATE_U8), STATE_FIELD(struct usb_hid, leds, STATE_U8),
	STATE_FIELD(struct usb_hid, first, STATE_U8), STATE_FIELD(struct usb_hid, count, STATE_U8),
	STATE_ARRAY(struct usb_hid, key, STATE_U16, HID_QUEUE),
	STATE_ARRAY(struct usb_hid, held, STATE_BYTES, HID_USAGES),
	STATE_ARRAY(struct usb_hid, buttons, STATE_BYTES, HID_QUEUE),
	STATE_ARRAY(struct usb_hid, x, STATE_U16, HID_QUEUE), STATE_ARRAY(struct usb_hid, y, STATE_U16, HID_QUEUE),
	STATE_ARRAY(struct usb_hid, wheel, STATE_BYTES, HID_QUEUE), STATE_FIELD(struct usb_hid, buttons_now, STATE_U8),
	STATE_FIELD(struct usb_hid, x_now, STATE_U16), STATE_FIELD(struct usb_hid, y_now, STATE_U16),
	STATE_FIELD(struct usb_hid, wheel_now, STATE_U8), STATE_END,
};

static const struct state_desc state = { .name = "usb-hid", .version = 1, .fields = fields, .after_load = loaded };

static const struct dev_type hid_type = {
	.name = "usb-hid", .destroy = hid_destroy, .reset = hid_reset, .state = &state,
	.state_size = sizeof(struct usb_hid),
};

int usb_hid_create(struct vm *vm, const struct usb_hid_config *cfg, struct err *e)
{
	static const unsigned kinds[USB_HID_KINDS] = { 1 << INPUT_KEY, 1 << INPUT_BUTTON | 1 << INPUT_REL,
						       1 << INPUT_BUTTON | 1 << INPUT_ABS };
	const struct hid_descs *desc = &hid_descs[cfg->kind];
	struct usb_hid *h = calloc(1, sizeof(*h));
	const struct input_sink sink = { .kinds = kinds[cfg->kind], .event = on_event, .sync = on_sync, .ready = ready,
					 .opaque = h };
	int ret;

	if (!h)
		return err_set(e, -ENOMEM, "no memory for a USB input device");
	h->input = cfg->input;
	h->kind = cfg->kind;
	h->usb = (struct usb_dev){ .ops = &ops, .desc = { [USB_FULL] = &desc->full, [USB_HIGH] = &desc->high },
				   .string = desc->string };
	ret = input_attach(cfg->input, &sink, e);
	if (ret == 0)
		ret = usb_attach(cfg->port, &h->usb, e);
	if (ret == 0)
		ret = dev_attach(vm, &hid_type, NULL, h, e);
	if (ret < 0)
		hid_destroy(h);
	return ret;
}
