/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command ring (4.6). */
#include "devices/usb/xhci_priv.h"

enum { COMMANDS_MAX = 256, BLOCK_ADDRESS = 1 << 9, DECONFIGURE = 1 << 9 };

static unsigned enable_slot(struct xhci *x, unsigned *slot)
{
	unsigned most;

	pthread_mutex_lock(&x->lock);
	most = x->config & 0xff;
	pthread_mutex_unlock(&x->lock);
	for (unsigned n = 1; n <= XHCI_SLOTS && n <= most; n++) {
		if (x->slot[n].enabled)
			continue;
		xhci_slot_clear(&x->slot[n]);
		x->slot[n].enabled = true;
		*slot = n;
		return CC_SUCCESS;
	}
	return CC_NO_SLOTS;
}

static unsigned disable_slot(struct xhci *x, unsigned slot)
{
	xhci_slot_clear(&x->slot[slot]);
	return CC_SUCCESS;
}

static unsigned reset_endpoint(struct xhci *x, unsigned slot, unsigned n)
{
	struct xhci_ep *ep = &x->slot[slot].ep[n];

	if (ep->state != EP_HALTED)
		return CC_CONTEXT_STATE;
	ep->state = EP_STOPPED;
	ep->stage = STAGE_NONE;
	xhci_ep_show(x, slot, n);
	return CC_SUCCESS;
}

static unsigned stop_endpoint(struct xhci *x, unsigned slot, unsigned n)
{
	struct xhci_ep *ep = &x->slot[slot].ep[n];

	if (ep->state != EP_RUNNING)
		return CC_CONTEXT_STATE;
	if (ep->waiting)
		xhci_ep_stopped(x, slot, n);
	ep->state = EP_STOPPED;
	ep->waiting = false;
	xhci_ep_show(x, slot, n);
	return CC_SUCCESS;
}

static unsigned set_dequeue(struct xhci *x, unsigned slot, unsigned n, const struct xhci_trb *t)
{
	struct xhci_ep *ep = &x->slot[slot].ep[n];

	if (ep->state != EP_STOPPED && ep->state != EP_ERROR)
		return CC_CONTEXT_STATE;
	if (t->status >> 16)
		return CC_TRB_ERROR; /* streams, which there are none of */
	ep->ring = (struct xhci_ring){ t->parameter & ~UINT64_C(15), t->parameter & 1 };
	ep->state = EP_STOPPED;
	ep->stage = STAGE_NONE;
	xhci_ep_show(x, slot, n);
	return CC_SUCCESS;
}

static unsigned endpoint_command(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	unsigned n = t->control >> 16 & 31;

	if (!n)
		return CC_TRB_ERROR;
	if (x->slot[slot].ep[n].state == EP_DISABLED)
		return CC_EP_NOT_ENABLED;
	switch (trb_type(t)) {
	case TRB_RESET_EP: return reset_endpoint(x, slot, n);
	case TRB_STOP_EP: return stop_endpoint(x, slot, n);
	default: return set_dequeue(x, slot, n, t);
	}
}

static unsigned slot_command(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	uint64_t input = t->parameter & ~UINT64_C(15);

	if (slot < 1 || slot > XHCI_SLOTS || !x->slot[slot].enabled)
		return CC_SLOT_NOT_ENABLED;
	switch (trb_type(t)) {
	case TRB_DISABLE_SLOT: return disable_slot(x, slot);
	case TRB_ADDRESS_DEVICE: return xhci_address_device(x, slot, input, t->control & BLOCK_ADDRESS);
	case TRB_CONFIGURE: return xhci_configure(x, slot, input, t->control & DECONFIGURE);
	case TRB_EVALUATE: return xhci_evaluate(x, slot, input);
	case TRB_RESET_DEVICE: return xhci_reset_device(x, slot);
	default: return endpoint_command(x, slot, t);
	}
}

static void execute(struct xhci *x, const struct xhci_trb *t)
{
	unsigned slot = t->control >> 24, code;

	switch (trb_type(t)) {
	case TRB_ENABLE_SLOT: code = enable_slot(x, &slot); break;
	case TRB_NOOP_COMMAND: code = CC_SUCCESS; break;
	case TRB_DISABLE_SLOT: case TRB_ADDRESS_DEVICE: case TRB_CONFIGURE: case TRB_EVALUATE: case TRB_RESET_EP:
	case TRB_STOP_EP: case TRB_SET_DEQUEUE: case TRB_RESET_DEVICE: code = slot_command(x, slot, t); break;
	default: code = CC_TRB_ERROR;
	}
	xhci_event(x, &(struct xhci_event){ .type = TRB_COMMAND_EVENT, .code = code, .slot = slot,
					    .parameter = t->at });
}

/* What the guest wrote to CRCR since the last time. False: nothing is to be done. */
static bool begin(struct xhci *x)
{
	bool running, stop, is_new;
	uint64_t crcr;

	pthread_mutex_lock(&x->lock);
	stop = x->crcr_stop;
	is_new = x->crcr_new;
	crcr = x->crcr;
	running = x->crcr & CR_RUNNING;
	x->crcr_stop = x->crcr_new = false;
	if (stop)
		x->crcr &= ~(uint64_t)CR_RUNNING;
	pthread_mutex_unlock(&x->lock);
	if (is_new)
		x->commands = (struct xhci_ring){ crcr & ~UINT64_C(63), crcr & CR_CYCLE };
	if (stop)
		xhci_event(x, &(struct xhci_event){ .type = TRB_COMMAND_EVENT, .code = CC_RING_STOPPED,
						    .parameter = x->commands.at });
	return running && !stop;
}

void xhci_commands(struct xhci *x)
{
	struct xhci_trb t;

	if (!begin(x))
		return;
	for (unsigned n = 0; n < COMMANDS_MAX; n++) {
		struct xhci_ring before = x->commands;

		if (!xhci_ring_next(x, &x->commands, &t))
			return;
		if (!xhci_event_room(x, 0)) {
			x->commands = before;
			return;
		}
		execute(x, &t);
	}
	pthread_mutex_lock(&x->lock);
	x->bell[0] = 1;
	pthread_mutex_unlock(&x->lock);
}
