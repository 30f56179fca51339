/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Root hub ports (4.15, 4.19, 5.4.8). */
#include "devices/usb/xhci_priv.h"

static const uint8_t speed_id[USB_SPEEDS] = { [USB_FULL] = 1, [USB_LOW] = 2, [USB_HIGH] = 3, [USB_SUPER] = 4 };

static void set_link(uint32_t *p, enum xhci_link link)
{
	*p = (*p & ~(uint32_t)PORT_LINK) | (uint32_t)link << PORT_LINK_AT;
}

static enum xhci_link link_of(uint32_t p)
{
	return (enum xhci_link)((p & PORT_LINK) >> PORT_LINK_AT);
}

/* ---- events ---- */

void xhci_ports_tell(struct xhci *x)
{
	for (unsigned n = 0; n < XHCI_PORTS; n++) {
		uint32_t bit = 1u << n;

		if (!(x->portsc[n] & PORT_CHANGES)) {
			x->port_told &= ~bit;
			continue;
		}
		if (x->port_told & bit || !(x->usbcmd & CMD_RUN) || !xhci_event_one_free(x, 0))
			continue;
		x->port_told |= bit;
		x->usbsts |= STS_PORT;
		xhci_event_put(x, &(struct xhci_event){ .type = TRB_PORT_EVENT, .code = CC_SUCCESS,
							.parameter = (uint64_t)(n + 1) << 24 });
	}
}

/* ---- what is plugged in ---- */

/* Super speed links train by themselves; the others wait for a reset. */
static void set_connection(struct xhci *x, unsigned n)
{
	const struct usb_dev *d = x->port[n].dev;
	uint32_t *p = &x->portsc[n];

	*p &= ~(uint32_t)(PORT_CONNECTED | PORT_ENABLED | PORT_SPEED | PORT_RESET);
	x->port_reset &= ~(1u << n);
	if (!d) {
		set_link(p, LINK_DETECT);
		return;
	}
	*p |= PORT_CONNECTED | (uint32_t)speed_id[d->speed] << PORT_SPEED_AT;
	*p |= d->speed == USB_SUPER ? PORT_ENABLED : 0;
	set_link(p, d->speed == USB_SUPER ? LINK_U0 : LINK_POLLING);
}

void xhci_find_devices(struct xhci *x)
{
	for (unsigned n = 1; n <= XHCI_SLOTS; n++) {
		struct xhci_slot *s = &x->slot[n];

		s->dev = s->root_port ? usb_at(&x->port[s->root_port - 1], s->route) : NULL;
	}
}

/* A slot whose device goes keeps none, whatever comes to the same port next: that one wants a slot of its own. */
static void forget_devices(struct xhci *x, const struct usb_port *p)
{
	for (unsigned n = 1; n <= XHCI_SLOTS; n++) {
		struct xhci_slot *s = &x->slot[n];

		if (s->root_port == p->n && usb_at(p, s->route) != s->dev) {
			s->dev = NULL;
			s->root_port = 0;
		}
	}
	pthread_mutex_lock(&x->lock);
	xhci_ring_all(x); /* transfers that wait will not end well */
	pthread_mutex_unlock(&x->lock);
}

static void changed(struct usb_port *p, bool here)
{
	struct xhci *x = p->opaque;

	forget_devices(x, p);
	if (!here)
		return;
	pthread_mutex_lock(&x->lock);
	set_connection(x, p->n - 1);
	x->portsc[p->n - 1] |= PORT_CONNECT_CHANGE;
	xhci_ports_tell(x);
	pthread_mutex_unlock(&x->lock);
}

/* A sleeping port is woken first (4.15.2). */
static void wakeup(struct usb_port *p, struct usb_dev *d, uint8_t ep)
{
	struct xhci *x = p->opaque;
	uint32_t *sc = &x->portsc[p->n - 1];

	pthread_mutex_lock(&x->lock);
	if (link_of(*sc) == LINK_U3 && *sc & PORT_ENABLED && d->remote_wakeup) {
		set_link(sc, d->speed == USB_SUPER ? LINK_U0 : LINK_RESUME);
		*sc |= PORT_LINK_CHANGE;
		xhci_ports_tell(x);
	}
	for (unsigned n = 1; n <= XHCI_SLOTS; n++)
		if (x->slot[n].dev == d)
			x->bell[n] |= 1u << ((ep & 15) * 2 + (ep & USB_IN ? 1 : 0));
	xhci_post(x);
	pthread_mutex_unlock(&x->lock);
}

static const struct usb_port_ops port_ops = { .changed = changed, .wakeup = wakeup };

void xhci_ports_init(struct xhci *x)
{
	for (unsigned n = 0; n < XHCI_PORTS; n++)
		x->port[n] = (struct usb_port){
			.ops = &port_ops, .opaque = x, .n = n + 1,
			.speeds = n < XHCI_PORTS2 ? 1u << USB_LOW | 1u << USB_FULL | 1u << USB_HIGH : 1u << USB_SUPER,
		};
}

void xhci_ports_reset(struct xhci *x)
{
	x->port_told = x->port_reset = 0;
	for (unsigned n = 0; n < XHCI_PORTS; n++) {
		x->portsc[n] = PORT_POWER | (x->port[n].dev ? PORT_CONNECT_CHANGE : 0);
		set_connection(x, n);
	}
}

/* ---- what the guest does to a port ---- */

static void write_link(struct xhci *x, unsigned n, enum xhci_link to)
{
	uint32_t *p = &x->portsc[n];
	enum xhci_link from = link_of(*p);

	if (to == LINK_DISABLED && n >= XHCI_PORTS2) {
		*p &= ~(uint32_t)PORT_ENABLED;
		set_link(p, LINK_DISABLED);
	} else if (to == LINK_DETECT && from == LINK_DISABLED) {
		set_connection(x, n);
		*p |= *p & PORT_CONNECTED ? PORT_CONNECT_CHANGE : 0;
	} else if (!(*p & PORT_ENABLED)) {
		return;
	} else if (to == LINK_U3 || to == LINK_RESUME) {
		set_link(p, to);
	} else if (to == LINK_U0) {
		set_link(p, to);
		*p |= from == LINK_U3 || from == LINK_RESUME ? PORT_LINK_CHANGE : 0;
	}
}

void xhci_port_write(struct xhci *x, unsigned n, uint32_t v)
{
	uint32_t *p = &x->portsc[n];

	*p = (*p & ~(uint32_t)(PORT_STICKY | (v & PORT_CHANGES))) | (v & PORT_STICKY);
	if (v & PORT_ENABLED && n < XHCI_PORTS2 && *p & PORT_ENABLED) { /* writing 1 disables (5.4.8) */
		*p &= ~(uint32_t)PORT_ENABLED;
		set_link(p, LINK_POLLING);
	}
	if (v & (PORT_RESET | PORT_WARM_RESET) && *p & PORT_CONNECTED) {
		*p |= PORT_RESET | (v & PORT_WARM_RESET && n >= XHCI_PORTS2 ? PORT_WARM_RESET : 0);
		x->port_reset |= 1u << n;
		xhci_post(x);
	} else if (v & PORT_LINK_WRITE) {
		write_link(x, n, link_of(v));
	}
	xhci_ports_tell(x);
}

static void reset_done(struct xhci *x, unsigned n)
{
	uint32_t *p = &x->portsc[n];

	*p = (*p & ~(uint32_t)PORT_RESET) | PORT_RESET_CHANGE | PORT_ENABLED |
	     (*p & PORT_WARM_RESET ? PORT_WARM_CHANGE : 0);
	*p &= ~PORT_WARM_RESET;
	set_link(p, LINK_U0);
	xhci_ports_tell(x);
}

void xhci_ports_work(struct xhci *x)
{
	for (unsigned n = 0; n < XHCI_PORTS; n++) {
		bool due;

		pthread_mutex_lock(&x->lock);
		due = x->port_reset >> n & 1 && x->port[n].dev;
		x->port_reset &= ~(1u << n);
		pthread_mutex_unlock(&x->lock);
		if (!due)
			continue;
		usb_reset(x->port[n].dev);
		pthread_mutex_lock(&x->lock);
		reset_done(x, n);
		pthread_mutex_unlock(&x->lock);
	}
}
