/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/usb/usb.h"

#include "base/bytes.h"
#include <string.h>

enum { FEATURE_ENDPOINT_HALT = 0, FEATURE_REMOTE_WAKEUP = 1, FEATURE_U1 = 48, FEATURE_LTM = 50 };
enum { DEVICE_SIZE = 18, QUALIFIER_SIZE = 10, LANGUAGE_ENGLISH = 0x0409, STRING_BYTES = 254 };
enum { CONFIG_ATTRIBUTES = 7, SELF_POWERED = 0x40 };

uint32_t usb_ep_bit(uint8_t ep)
{
	return 1u << ((ep & 15) + (ep & USB_IN ? 16 : 0));
}

/* ---- ports ---- */

int usb_attach(struct usb_port *p, struct usb_dev *d, struct err *e)
{
	int speed = USB_SUPER;

	if (p->dev)
		return err_set(e, -EBUSY, "USB port %u is taken", p->n);
	while (speed >= 0 && !(p->speeds >> speed & 1 && d->desc[speed]))
		speed--;
	if (speed < 0)
		return err_set(e, -EINVAL, "USB port %u does not know the device's speed", p->n);
	d->speed = (enum usb_speed)speed;
	d->port = p;
	p->dev = d;
	usb_reset(d);
	p->ops->changed(p, true);
	return 0;
}

void usb_detach(struct usb_dev *d)
{
	struct usb_port *p = d->port;

	if (!p)
		return;
	p->dev = NULL;
	d->port = NULL;
	p->ops->changed(p, true);
}

struct usb_dev *usb_at(const struct usb_port *root, uint32_t route)
{
	struct usb_dev *d = root->dev;

	for (unsigned n = 0; d && route && n < USB_TIERS; n++, route >>= 4) {
		const struct usb_port *p = d->ops->port ? d->ops->port(d, route & 15) : NULL;

		d = p ? p->dev : NULL;
	}
	return d;
}

void usb_wakeup(struct usb_dev *d, uint8_t ep)
{
	if (d->port)
		d->port->ops->wakeup(d->port, d, ep);
}

/* ---- descriptors ---- */

static int give(uint8_t *data, const void *from, size_t size)
{
	memcpy(data, from, size);
	return (int)size;
}

static const char *string_of(const struct usb_dev *d, unsigned n)
{
	unsigned i = 1;

	for (; d->string && d->string[i - 1]; i++)
		if (i == n)
			return d->string[i - 1];
	return i == n ? d->serial : NULL;
}

static int get_string(const struct usb_dev *d, unsigned n, uint8_t *data)
{
	const char *text;
	unsigned size = 2;

	data[1] = USB_DT_STRING;
	if (n == 0) {
		store_le16(data + 2, LANGUAGE_ENGLISH);
		data[0] = 4;
		return 4;
	}
	text = string_of(d, n);
	if (!text)
		return USB_STALL;
	for (; *text && size < STRING_BYTES; size += 2)
		store_le16(data + size, (uint8_t)*text++);
	data[0] = (uint8_t)size;
	return (int)size;
}

/* What the device would be at the other of the speeds full and high (9.6.2). */
static int get_qualifier(const struct usb_dev *d, uint8_t *data)
{
	const struct usb_desc *other = d->speed == USB_HIGH ? d->desc[USB_FULL] :
				       d->speed == USB_FULL ? d->desc[USB_HIGH] : NULL;

	if (!other)
		return USB_STALL;
	data[0] = QUALIFIER_SIZE;
	data[1] = USB_DT_QUALIFIER;
	memcpy(data + 2, other->device + 2, 6);
	data[8] = other->device[17];
	data[9] = 0;
	return QUALIFIER_SIZE;
}

static int get_descriptor(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	const struct usb_desc *desc = d->desc[d->speed];

	switch (s->value >> 8) {
	case USB_DT_DEVICE: return give(data, desc->device, DEVICE_SIZE);
	case USB_DT_CONFIG: return s->value & 0xff ? USB_STALL : give(data, desc->config, desc->config_size);
	case USB_DT_STRING: return get_string(d, s->value & 0xff, data);
	case USB_DT_QUALIFIER: return get_qualifier(d, data);
	case USB_DT_BOS: return desc->bos ? give(data, desc->bos, desc->bos_size) : USB_STALL;
	}
	return d->ops->control ? d->ops->control(d, s, data) : USB_STALL;
}

static bool has_endpoint(const struct usb_dev *d, uint8_t ep)
{
	const struct usb_desc *desc = d->desc[d->speed];

	for (unsigned at = 0; at + 2 < desc->config_size && desc->config[at]; at += desc->config[at])
		if (desc->config[at + 1] == USB_DT_ENDPOINT && desc->config[at + 2] == ep)
			return true;
	return false;
}

/* ---- standard requests ---- */

static int get_status(const struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	bool halted = d->halted & usb_ep_bit((uint8_t)s->index);

	data[0] = data[1] = 0;
	switch (s->type & 0x1f) {
	case USB_TO_DEVICE:
		data[0] = (uint8_t)((d->desc[d->speed]->config[CONFIG_ATTRIBUTES] & SELF_POWERED ? 1 : 0) |
				    (d->remote_wakeup ? 2 : 0));
		return 2;
	case USB_TO_INTERFACE: return 2;
	case USB_TO_ENDPOINT:
		if (s->index & 15 && !has_endpoint(d, (uint8_t)s->index))
			return USB_STALL;
		data[0] = halted;
		return 2;
	}
	return USB_STALL;
}

static int set_halt(struct usb_dev *d, uint8_t ep, bool on)
{
	if (!(ep & 15))
		return 0; /* the default pipe halts at no time (9.4.5) */
	if (!has_endpoint(d, ep))
		return USB_STALL;
	if (on)
		d->halted |= usb_ep_bit(ep);
	else
		d->halted &= ~usb_ep_bit(ep);
	if (!on && d->ops->unhalted)
		d->ops->unhalted(d, ep);
	return 0;
}

static int set_feature(struct usb_dev *d, const struct usb_setup *s, bool on)
{
	unsigned to = s->type & 0x1f;

	if (to == USB_TO_ENDPOINT && s->value == FEATURE_ENDPOINT_HALT)
		return set_halt(d, (uint8_t)s->index, on);
	if (to == USB_TO_DEVICE && s->value == FEATURE_REMOTE_WAKEUP) {
		d->remote_wakeup = on;
		return 0;
	}
	/* U1, U2 and latency messages: links here sleep at no cost. Function suspend is an interface's. */
	return d->speed == USB_SUPER && ((s->value >= FEATURE_U1 && s->value <= FEATURE_LTM) ||
					 (to == USB_TO_INTERFACE && s->value == 0)) ? 0 : USB_STALL;
}

static int set_configuration(struct usb_dev *d, unsigned n)
{
	if (n > 1)
		return USB_STALL;
	d->halted = 0;
	if (d->ops->reset)
		d->ops->reset(d);
	d->configuration = (uint8_t)n;
	return 0;
}

/* The interfaces here have one setting. */
static int set_interface(struct usb_dev *d, const struct usb_setup *s)
{
	if (s->value || s->index >= d->desc[d->speed]->config[4])
		return USB_STALL;
	d->halted = 0;
	return 0;
}

static int standard(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	bool in = s->type & USB_IN;

	switch (s->request) {
	case USB_GET_DESCRIPTOR: return in ? get_descriptor(d, s, data) : USB_STALL;
	case USB_GET_STATUS: return in ? get_status(d, s, data) : USB_STALL;
	case USB_GET_CONFIGURATION: data[0] = d->configuration; return in ? 1 : USB_STALL;
	case USB_GET_INTERFACE: data[0] = 0; return in && d->configuration ? 1 : USB_STALL;
	case USB_SET_FEATURE: return in ? USB_STALL : set_feature(d, s, true);
	case USB_CLEAR_FEATURE: return in ? USB_STALL : set_feature(d, s, false);
	case USB_SET_CONFIGURATION: return in ? USB_STALL : set_configuration(d, s->value);
	case USB_SET_INTERFACE: return in || !d->configuration ? USB_STALL : set_interface(d, s);
	case USB_SET_ADDRESS: return in ? USB_STALL : 0; /* addresses are the controller's affair */
	case USB_SET_SEL: case USB_SET_ISOCH_DELAY: return in || d->speed != USB_SUPER ? USB_STALL : 0;
	}
	return USB_STALL;
}

int usb_control(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	int ret;

	if (!(s->type & USB_TYPE_MASK))
		ret = standard(d, s, data);
	else
		ret = d->ops->control ? d->ops->control(d, s, data) : USB_STALL;
	if (ret < 0)
		return USB_STALL;
	if (!(s->type & USB_IN))
		return 0;
	return ret < s->length ? ret : s->length;
}

int usb_data(struct usb_dev *d, uint8_t ep, struct xfer *x)
{
	int ret;

	if (!d->configuration || !has_endpoint(d, ep) || d->halted & usb_ep_bit(ep))
		return USB_STALL;
	ret = d->ops->data(d, ep, x);
	if (ret == USB_STALL)
		d->halted |= usb_ep_bit(ep);
	return ret;
}

void usb_reset(struct usb_dev *d)
{
	d->configuration = 0;
	d->remote_wakeup = false;
	d->halted = 0;
	if (d->ops->reset)
		d->ops->reset(d);
}
