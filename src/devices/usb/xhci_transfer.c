/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transfers: control, bulk and interrupt (4.10, 4.11). */
#include "devices/usb/xhci_priv.h"

#include "base/bytes.h"

enum { TRANSFERS_MAX = 64, LENGTH = 0x1ffff };

static bool has_data(const struct xhci_trb *t)
{
	return trb_type(t) == TRB_NORMAL || trb_type(t) == TRB_DATA;
}

/* ---- what the guest is told ---- */

struct report {
	struct xhci *x;
	unsigned slot, ep, code;
	uint64_t left;   /* bytes moved that no part was charged with yet */
	uint32_t sum;    /* since the last event data part */
	bool cut, told;  /* the transfer came to less than there is room for; the guest knows */
};

static void tell(const struct report *r, const struct xhci_trb *t, unsigned code, uint32_t length)
{
	bool data = trb_type(t) == TRB_EVENT_DATA;

	xhci_event(r->x, &(struct xhci_event){
		.type = TRB_TRANSFER_EVENT, .code = code, .slot = r->slot, .ep = r->ep, .intr = t->status >> 22,
		.parameter = data ? t->parameter : t->at, .length = data ? r->sum : length,
		.flags = data ? EVENT_OF_DATA : 0, .quiet = t->control & TRB_BLOCK_INTERRUPT });
}

/* False: the guest knows that it failed. */
static bool report_part(struct report *r, const struct xhci_trb *t)
{
	uint32_t length = has_data(t) ? t->status & LENGTH : 0, chunk = r->left < length ? (uint32_t)r->left : length;
	bool ioc = t->control & TRB_IOC, data = trb_type(t) == TRB_EVENT_DATA;

	r->left -= chunk;
	r->sum += chunk;
	r->cut |= chunk < length;
	if (r->code != CC_SUCCESS) {
		if (r->left)
			return true;
		tell(r, t, r->code, length - chunk);
		return false;
	}
	/* After a short packet the first part that wants an event has it, and event data always (4.10.1.1). */
	if (data ? ioc : !r->told && (ioc || (r->cut && t->control & TRB_SHORT))) {
		tell(r, t, r->cut ? CC_SHORT_PACKET : CC_SUCCESS, length - chunk);
		r->told = r->cut;
	}
	r->sum = data ? 0 : r->sum;
	return true;
}

static void report(struct xhci *x, unsigned slot, unsigned ep, uint64_t moved, unsigned code)
{
	struct report r = { .x = x, .slot = slot, .ep = ep, .code = code, .left = moved };

	for (unsigned n = 0; n < x->td_count && report_part(&r, &x->td[n]); n++)
		;
	if (code == CC_SUCCESS)
		return;
	x->slot[slot].ep[ep].state = code == CC_TRB_ERROR ? EP_ERROR : EP_HALTED;
	x->slot[slot].ep[ep].ring = (struct xhci_ring){ x->td[0].at, x->td[0].control & TRB_CYCLE };
	xhci_ep_show(x, slot, ep);
}

void xhci_ep_stopped(struct xhci *x, unsigned slot, unsigned ep)
{
	struct xhci_ring ring = x->slot[slot].ep[ep].ring;
	struct xhci_trb t;

	if (xhci_ring_next(x, &ring, &t))
		tell(&(struct report){ .x = x, .slot = slot, .ep = ep }, &t, CC_STOPPED, t.status & LENGTH);
}

/* ---- execution ---- */

static bool pieces(struct xhci *x)
{
	xfer_reset(&x->x, x->vm->mem);
	for (unsigned n = 0; n < x->td_count; n++) {
		struct xhci_trb *t = &x->td[n];
		uint32_t length = t->status & LENGTH;

		if (!has_data(t) || !length)
			continue;
		if (t->control & TRB_IMMEDIATE) {
			if (length > sizeof(t->parameter) || !xfer_add_host(&x->x, &t->parameter, length))
				return false;
		} else if (!xfer_add_guest(&x->x, t->parameter, length)) {
			return false;
		}
	}
	return true;
}

static struct usb_setup setup_of(const struct xhci_ep *ep)
{
	const uint8_t *s = ep->setup;

	return (struct usb_setup){ s[0], s[1], load_le16(s + 2), load_le16(s + 4), load_le16(s + 6) };
}

static unsigned request(struct xhci *x, struct usb_dev *d, struct xhci_ep *ep, bool data, bool in)
{
	struct usb_setup s = setup_of(ep);
	int ret;

	if (ep->stage != STAGE_SETUP || (data && in != !!(s.type & USB_IN)))
		return CC_TRB_ERROR;
	ep->stage = STAGE_DONE;
	memset(x->control, 0, s.length);
	if (data && !in && xfer_get(&x->x, x->control, s.length) != s.length)
		return CC_STALL;
	/* Data that the guest wants to send and does not: nobody can make something of it. */
	if (!data && s.length && !(s.type & USB_IN))
		return CC_STALL;
	ret = usb_control(d, &s, x->control);
	if (ret < 0)
		return CC_STALL;
	if (data && in)
		xfer_put(&x->x, x->control, (uint64_t)ret);
	return CC_SUCCESS;
}

static unsigned control_stage(struct xhci *x, struct usb_dev *d, struct xhci_ep *ep)
{
	const struct xhci_trb *t = &x->td[0];
	unsigned code;

	switch (trb_type(t)) {
	case TRB_SETUP:
		if (!(t->control & TRB_IMMEDIATE) || (t->status & LENGTH) != sizeof(ep->setup))
			return CC_TRB_ERROR;
		memcpy(ep->setup, &t->parameter, sizeof(ep->setup));
		ep->stage = STAGE_SETUP;
		return CC_SUCCESS;
	case TRB_DATA: return request(x, d, ep, true, t->control & TRB_DIRECTION_IN);
	case TRB_STATUS:
		code = ep->stage == STAGE_SETUP ? request(x, d, ep, false, false) :
		       ep->stage == STAGE_DONE ? CC_SUCCESS : CC_TRB_ERROR;
		ep->stage = STAGE_NONE;
		return code;
	case TRB_NOOP: case TRB_EVENT_DATA: return CC_SUCCESS;
	}
	return CC_TRB_ERROR;
}

static unsigned data_transfer(struct xhci *x, struct usb_dev *d, unsigned ep, bool *refused)
{
	int ret;

	for (unsigned n = 0; n < x->td_count; n++)
		if (!has_data(&x->td[n]) && trb_type(&x->td[n]) != TRB_EVENT_DATA)
			return trb_type(&x->td[n]) == TRB_NOOP ? CC_SUCCESS : CC_TRB_ERROR;
	ret = usb_data(d, (uint8_t)(ep / 2 | (ep & 1 ? USB_IN : 0)), &x->x);
	*refused = ret == USB_NAK;
	return ret == 0 || *refused ? CC_SUCCESS : CC_STALL;
}

/* False: the device has nothing for it yet. */
static bool execute(struct xhci *x, unsigned slot, unsigned n)
{
	struct xhci_slot *s = &x->slot[slot];
	bool refused = false;
	unsigned code;

	if (!s->dev)
		code = CC_TRANSACTION_ERROR;
	else if (!pieces(x))
		code = CC_TRB_ERROR;
	else if (s->ep[n].type == EP_TYPE_CONTROL)
		code = control_stage(x, s->dev, &s->ep[n]);
	else
		code = data_transfer(x, s->dev, n, &refused);
	if (refused)
		return false;
	if (n & 1 && x->x.moved)
		xfer_written(&x->x);
	report(x, slot, n, x->x.moved, code);
	return true;
}

static void broken(struct xhci *x, unsigned slot, unsigned n)
{
	x->slot[slot].ep[n].state = EP_ERROR;
	xhci_ep_show(x, slot, n);
	xhci_event(x, &(struct xhci_event){ .type = TRB_TRANSFER_EVENT, .code = CC_TRB_ERROR, .slot = slot, .ep = n });
}

void xhci_endpoint(struct xhci *x, unsigned slot, unsigned n)
{
	struct xhci_ep *ep = &x->slot[slot].ep[n];

	ep->waiting = false;
	for (unsigned i = 0; i < TRANSFERS_MAX && ep->state == EP_RUNNING; i++) {
		struct xhci_ring before = ep->ring;

		if (!xhci_ring_td(x, &ep->ring)) {
			if (!ep->ring.at)
				broken(x, slot, n);
			return;
		}
		if (!xhci_event_room(x, x->td[x->td_count - 1].status >> 22)) {
			ep->ring = before;
			return;
		}
		if (!execute(x, slot, n)) {
			ep->ring = before;
			ep->waiting = true;
			return;
		}
	}
	pthread_mutex_lock(&x->lock);
	x->bell[slot] |= ep->state == EP_RUNNING ? 1u << n : 0;
	pthread_mutex_unlock(&x->lock);
}
