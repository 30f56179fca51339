/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/usb/hub.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/state.h"

#include <stdlib.h>
#include <string.h>

enum { EP_CHANGES = 0x81, CHANGE_BYTES = (USB_HUB_PORTS + 8) / 8, HUB_DESC_SIZE = 7 + 2 * CHANGE_BYTES };
/* wPortStatus and wPortChange (11.24.2.7) */
enum { P_CONNECTED = 1, P_ENABLED = 2, P_SUSPENDED = 4, P_POWER = 0x100, P_LOW = 0x200, P_HIGH = 0x400 };
enum { C_CONNECTION = 1, C_SUSPEND = 4, C_RESET = 0x10 };
/* feature selectors (table 11-17) */
enum {
	F_ENABLE = 1, F_SUSPEND = 2, F_RESET = 4, F_POWER = 8, F_C_CONNECTION = 16, F_C_ENABLE = 17, F_C_SUSPEND = 18,
	F_C_OVER_CURRENT = 19, F_C_RESET = 20,
};
enum { TO_PORT = USB_TYPE_CLASS | USB_TO_OTHER, TO_HUB = USB_TYPE_CLASS | USB_TO_DEVICE };

struct hub {
	struct usb_dev usb; /* first */
	struct usb_port port[USB_HUB_PORTS];
	/* saved */
	uint16_t status[USB_HUB_PORTS], change[USB_HUB_PORTS];
};

static struct hub *hub_of(struct usb_dev *d)
{
	return container_of(d, struct hub, usb);
}

/* ---- descriptors: one transaction translator, all ports at once ---- */

#define CONFIG(protocol, interval) { \
	9, USB_DT_CONFIG, 25, 0, 1, 1, 0, 0xe0 /* powered by itself, wakes the host */, 0, \
	9, USB_DT_INTERFACE, 0, 0, 1, 9, 0, protocol, 0, 7, USB_DT_ENDPOINT, EP_CHANGES, 3, CHANGE_BYTES, 0, interval }

static const uint8_t device_high[18] = { 18, USB_DT_DEVICE, 0, 2, 9, 0, 1, 64, 0xf4, 0x1a, 0x30, 0, 0, 1, 1, 2, 0, 1 };
static const uint8_t device_full[18] = { 18, USB_DT_DEVICE, 0, 2, 9, 0, 0, 64, 0xf4, 0x1a, 0x30, 0, 0, 1, 1, 2, 0, 1 };
static const uint8_t config_high[25] = CONFIG(0, 12), config_full[25] = CONFIG(0, 255);
static const struct usb_desc desc_high = { device_high, config_high, sizeof(config_high), NULL, 0 };
static const struct usb_desc desc_full = { device_full, config_full, sizeof(config_full), NULL, 0 };
static const char *const strings[] = { "Panal", "Panal USB hub", NULL };

/* Power and over-current: as one; 10 ms from power to good (11.23.2.1). */
static int hub_descriptor(uint8_t *data)
{
	const uint8_t d[7] = { HUB_DESC_SIZE, USB_DT_HUB, USB_HUB_PORTS, 0, 0, 5, 0 };

	memcpy(data, d, sizeof(d));
	memset(data + sizeof(d), 0, CHANGE_BYTES); /* all removable */
	memset(data + sizeof(d) + CHANGE_BYTES, 0xff, CHANGE_BYTES);
	return HUB_DESC_SIZE;
}

/* ---- ports ---- */

static void set_connection(struct hub *h, unsigned n)
{
	static const uint16_t speed[USB_SPEEDS] = { [USB_LOW] = P_LOW, [USB_HIGH] = P_HIGH };
	const struct usb_dev *d = h->port[n].dev;
	uint16_t power = h->status[n] & P_POWER;

	h->status[n] = power;
	if (d && power)
		h->status[n] |= P_CONNECTED | speed[d->speed];
}

static void changed(struct usb_port *p, bool here)
{
	struct hub *h = p->opaque;
	struct usb_port *up = h->usb.port;

	if (here) {
		set_connection(h, p->n - 1);
		h->change[p->n - 1] |= h->status[p->n - 1] & P_POWER ? C_CONNECTION : 0;
		usb_wakeup(&h->usb, EP_CHANGES);
	}
	if (up)
		up->ops->changed(up, false);
}

/* A port that sleeps is woken, and says so; the data itself is the host's to fetch (11.9). */
static void wakeup(struct usb_port *p, struct usb_dev *d, uint8_t ep)
{
	struct hub *h = p->opaque;
	struct usb_port *up = h->usb.port;
	uint16_t *status = &h->status[p->n - 1];

	if (*status & P_SUSPENDED && d->remote_wakeup) {
		*status &= (uint16_t)~P_SUSPENDED;
		h->change[p->n - 1] |= C_SUSPEND;
		usb_wakeup(&h->usb, EP_CHANGES);
	}
	if (up)
		up->ops->wakeup(up, d, ep);
}

static const struct usb_port_ops port_ops = { .changed = changed, .wakeup = wakeup };

static struct usb_port *port(struct usb_dev *d, unsigned n)
{
	return n >= 1 && n <= USB_HUB_PORTS ? &hub_of(d)->port[n - 1] : NULL;
}

static void reset_port(struct hub *h, unsigned n)
{
	if (!h->port[n].dev || !(h->status[n] & P_CONNECTED))
		return;
	usb_reset(h->port[n].dev);
	h->status[n] = (uint16_t)((h->status[n] & ~P_SUSPENDED) | P_ENABLED);
	h->change[n] |= C_RESET;
	usb_wakeup(&h->usb, EP_CHANGES);
}

static int set_feature(struct hub *h, unsigned n, unsigned feature)
{
	switch (feature) {
	case F_POWER:
		if (h->status[n] & P_POWER)
			return 0;
		h->status[n] = P_POWER;
		set_connection(h, n);
		h->change[n] |= h->status[n] & P_CONNECTED ? C_CONNECTION : 0;
		usb_wakeup(&h->usb, EP_CHANGES);
		return 0;
	case F_RESET: reset_port(h, n); return 0;
	case F_SUSPEND: h->status[n] |= h->status[n] & P_ENABLED ? P_SUSPENDED : 0; return 0;
	case F_ENABLE: return 0;
	}
	return feature >= F_C_CONNECTION && feature <= F_C_RESET + 2 ? 0 : USB_STALL;
}

static int clear_feature(struct hub *h, unsigned n, unsigned feature)
{
	switch (feature) {
	case F_POWER: h->status[n] = 0; return 0;
	case F_ENABLE: h->status[n] &= (uint16_t)~(P_ENABLED | P_SUSPENDED); return 0;
	case F_SUSPEND:
		h->change[n] |= h->status[n] & P_SUSPENDED ? C_SUSPEND : 0;
		h->status[n] &= (uint16_t)~P_SUSPENDED;
		usb_wakeup(&h->usb, EP_CHANGES);
		return 0;
	case F_C_CONNECTION: case F_C_ENABLE: case F_C_SUSPEND: case F_C_OVER_CURRENT: case F_C_RESET:
		h->change[n] &= (uint16_t)~(1u << (feature - F_C_CONNECTION));
		return 0;
	}
	return feature <= F_C_RESET + 2 ? 0 : USB_STALL;
}

/* ---- requests ---- */

static int port_request(struct hub *h, const struct usb_setup *s, uint8_t *data)
{
	unsigned n = (s->index & 0xff) - 1u;

	if (n >= USB_HUB_PORTS)
		return USB_STALL;
	switch (s->request) {
	case USB_GET_STATUS:
		store_le16(data, h->status[n]);
		store_le16(data + 2, h->change[n]);
		return s->type & USB_IN ? 4 : USB_STALL;
	case USB_SET_FEATURE: return s->type & USB_IN ? USB_STALL : set_feature(h, n, s->value);
	case USB_CLEAR_FEATURE: return s->type & USB_IN ? USB_STALL : clear_feature(h, n, s->value);
	}
	return USB_STALL;
}

static int control(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	bool in = s->type & USB_IN;

	if ((s->type & ~USB_IN) == TO_PORT)
		return port_request(hub_of(d), s, data);
	if ((s->type & ~USB_IN) != TO_HUB)
		return USB_STALL;
	if (in && s->request == USB_GET_DESCRIPTOR)
		return hub_descriptor(data);
	if (in && s->request == USB_GET_STATUS) { /* power is good, no over-current */
		memset(data, 0, 4);
		return 4;
	}
	if (in || (s->request != USB_SET_FEATURE && s->request != USB_CLEAR_FEATURE))
		return USB_STALL;
	return s->value <= 1 ? 0 : USB_STALL;
}

static int transfer(struct usb_dev *d, uint8_t ep, struct xfer *x)
{
	const struct hub *h = hub_of(d);
	uint8_t bits[CHANGE_BYTES] = { 0 };
	bool any = false;

	for (unsigned n = 0; n < USB_HUB_PORTS; n++) {
		any |= h->change[n] != 0;
		bits[(n + 1) / 8] |= (uint8_t)(!!h->change[n] << (n + 1) % 8);
	}
	if (!any)
		return USB_NAK;
	xfer_put(x, bits, sizeof(bits));
	return 0;
}

/* A hub that is reset switches its ports off; so what is behind it loses its configuration. */
static void bus_reset(struct usb_dev *d)
{
	struct hub *h = hub_of(d);

	memset(h->status, 0, sizeof(h->status));
	memset(h->change, 0, sizeof(h->change));
	for (unsigned n = 0; n < USB_HUB_PORTS; n++)
		if (h->port[n].dev)
			usb_reset(h->port[n].dev);
}

static const struct usb_ops ops = { .control = control, .data = transfer, .reset = bus_reset, .port = port };

/* ---- life ---- */

static void hub_reset(void *impl)
{
	usb_reset(&((struct hub *)impl)->usb);
}

static void hub_destroy(void *impl)
{
	struct hub *h = impl;

	for (unsigned n = 0; n < USB_HUB_PORTS; n++)
		if (h->port[n].dev)
			usb_detach(h->port[n].dev);
	usb_detach(&h->usb);
	free(h);
}

static int loaded(void *obj, uint16_t version, struct err *e)
{
	struct hub *h = obj;

	if (h->usb.configuration > 1)
		return err_set(e, -EINVAL, "the saved state of a USB hub is not possible");
	for (unsigned n = 0; n < USB_HUB_PORTS; n++)
		if (h->status[n] & P_CONNECTED && !h->port[n].dev)
			return err_set(e, -EINVAL, "the saved state of a USB hub has a device on port %u, which is "
				       "empty here", n + 1);
	return 0;
}

static const struct state_field fields[] = {
	USB_STATE_FIELDS(struct hub), STATE_ARRAY(struct hub, status, STATE_U16, USB_HUB_PORTS),
	STATE_ARRAY(struct hub, change, STATE_U16, USB_HUB_PORTS), STATE_END,
};

static const struct state_desc state = { .name = "usb-hub", .version = 1, .fields = fields, .after_load = loaded };

static const struct dev_type hub_type = {
	.name = "usb-hub", .destroy = hub_destroy, .reset = hub_reset, .state = &state,
	.state_size = sizeof(struct hub),
};

int usb_hub_create(struct vm *vm, const struct usb_hub_config *cfg, struct err *e)
{
	struct hub *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return err_set(e, -ENOMEM, "no memory for a USB hub");
	h->usb = (struct usb_dev){ .ops = &ops, .desc = { [USB_FULL] = &desc_full, [USB_HIGH] = &desc_high },
				   .string = strings };
	for (unsigned n = 0; n < USB_HUB_PORTS; n++)
		h->port[n] = (struct usb_port){ .ops = &port_ops, .opaque = h, .n = n + 1,
						.speeds = 1u << USB_LOW | 1u << USB_FULL | 1u << USB_HIGH };
	ret = usb_attach(cfg->port, &h->usb, e);
	if (ret == 0)
		ret = dev_attach(vm, &hub_type, NULL, h, e);
	if (ret < 0)
		hub_destroy(h);
	return ret;
}
