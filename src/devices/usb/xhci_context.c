/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slot and endpoint contexts, of 32 bytes (6.2), and the commands that read them (4.6.5 to 4.6.7, 4.6.11). */
#include "devices/usb/xhci_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"

enum { CONTEXT = 32, ADD_SLOT = 1, ADD_CONTROL = 2 };

static bool get(struct xhci *x, uint64_t input, unsigned n, uint8_t c[CONTEXT])
{
	return gmem_read(x->vm->mem, input + n * CONTEXT, c, CONTEXT) == 0;
}

/* Output contexts that are no RAM are the guest's loss. */
static void put(struct xhci *x, unsigned slot, unsigned n, const uint8_t c[CONTEXT])
{
	if (gmem_write(x->vm->mem, x->slot[slot].context + n * CONTEXT, c, CONTEXT) < 0)
		log_limited(&x->limit, LOG_WARNING, "xhci: the guest's device context is not in memory");
}

void xhci_slot_clear(struct xhci_slot *s)
{
	*s = (struct xhci_slot){ 0 };
}

void xhci_ep_show(struct xhci *x, unsigned slot, unsigned ep)
{
	const struct xhci_ep *p = &x->slot[slot].ep[ep];
	uint8_t c[CONTEXT];

	if (!get(x, x->slot[slot].context, ep, c))
		return;
	store_le32(c, (load_le32(c) & ~UINT32_C(7)) | p->state);
	store_le64(c + 8, p->ring.at | p->ring.cycle);
	put(x, slot, ep, c);
}

static void slot_show(struct xhci *x, unsigned slot, unsigned address)
{
	uint8_t c[CONTEXT];

	if (!get(x, x->slot[slot].context, 0, c))
		return;
	store_le32(c + 12, (uint32_t)x->slot[slot].state << 27 | address);
	put(x, slot, 0, c);
}

static void ep_start(struct xhci *x, unsigned slot, unsigned n, uint8_t c[CONTEXT])
{
	struct xhci_ep *p = &x->slot[slot].ep[n];
	uint64_t dequeue = load_le64(c + 8);

	*p = (struct xhci_ep){ .state = EP_RUNNING, .type = c[4] >> 3 & 7,
			       .ring = { dequeue & ~UINT64_C(15), dequeue & 1 } };
	store_le32(c, (load_le32(c) & ~UINT32_C(7)) | EP_RUNNING);
	put(x, slot, n, c);
}

static bool in_use(const struct xhci *x, const struct usb_dev *d, unsigned but)
{
	for (unsigned n = 1; n <= XHCI_SLOTS; n++)
		if (n != but && x->slot[n].enabled && x->slot[n].dev == d)
			return true;
	return false;
}

static uint64_t context_of(struct xhci *x, unsigned slot)
{
	uint8_t entry[8];
	uint64_t base;

	pthread_mutex_lock(&x->lock);
	base = x->dcbaap;
	pthread_mutex_unlock(&x->lock);
	return gmem_read(x->vm->mem, base + slot * 8, entry, 8) < 0 ? 0 : load_le64(entry) & ~UINT64_C(63);
}

unsigned xhci_address_device(struct xhci *x, unsigned slot, uint64_t input, bool block)
{
	struct xhci_slot *s = &x->slot[slot];
	uint8_t flags[CONTEXT], sc[CONTEXT], ep[CONTEXT];
	unsigned port;
	uint32_t route;
	struct usb_dev *d;

	if (!get(x, input, 0, flags) || !get(x, input, 1, sc) || !get(x, input, 2, ep))
		return CC_TRB_ERROR;
	if (load_le32(flags) || (load_le32(flags + 4) & 3) != 3)
		return CC_PARAMETER;
	if (s->state > (block ? SLOT_ENABLED : SLOT_DEFAULT))
		return CC_CONTEXT_STATE;
	port = sc[6];
	route = load_le32(sc) & 0xfffff;
	if (port < 1 || port > XHCI_PORTS || (ep[4] >> 3 & 7) != EP_TYPE_CONTROL)
		return CC_PARAMETER;
	d = usb_at(&x->port[port - 1], route);
	if (!d || in_use(x, d, slot))
		return CC_TRANSACTION_ERROR;
	s->context = context_of(x, slot);
	s->dev = d;
	s->root_port = (uint8_t)port;
	s->route = route;
	s->state = block ? SLOT_DEFAULT : SLOT_ADDRESSED;
	put(x, slot, 0, sc);
	slot_show(x, slot, block ? 0 : slot);
	ep_start(x, slot, 1, ep);
	return CC_SUCCESS;
}

static void ep_off(struct xhci *x, unsigned slot, unsigned n)
{
	x->slot[slot].ep[n] = (struct xhci_ep){ 0 };
	xhci_ep_show(x, slot, n);
}

/* The types that devices here have; isochronous endpoints are none of them. */
static bool possible(const uint8_t c[CONTEXT], unsigned n)
{
	unsigned type = c[4] >> 3 & 7, in = type >> 2;

	return type != EP_TYPE_CONTROL && type % 4 >= 2 && in == (n & 1) && load_le16(c + 6) && !(c[1] >> 2 & 31);
}

static unsigned check_added(struct xhci *x, uint64_t input, uint32_t add)
{
	uint8_t c[CONTEXT];

	for (unsigned n = 2; n < XHCI_EPS; n++) {
		if (!(add >> n & 1))
			continue;
		if (!get(x, input, n + 1, c))
			return CC_TRB_ERROR;
		if (!possible(c, n))
			return CC_PARAMETER;
	}
	return CC_SUCCESS;
}

static void change_slot(struct xhci *x, unsigned slot, const uint8_t in[CONTEXT])
{
	uint8_t c[CONTEXT];

	if (!get(x, x->slot[slot].context, 0, c))
		return;
	/* context entries, hub and its ports; never route, speed and port */
	store_le32(c, (load_le32(c) & 0x01ffffff) | (load_le32(in) & 0xfe000000));
	store_le16(c + 4, load_le16(in + 4));
	c[7] = in[7];
	store_le32(c + 8, load_le32(in + 8));
	put(x, slot, 0, c);
}

unsigned xhci_configure(struct xhci *x, unsigned slot, uint64_t input, bool deconfigure)
{
	struct xhci_slot *s = &x->slot[slot];
	uint8_t c[CONTEXT];
	uint32_t drop, add;
	unsigned code;

	if (s->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	if (!deconfigure && !get(x, input, 0, c))
		return CC_TRB_ERROR;
	drop = deconfigure ? UINT32_MAX : load_le32(c);
	add = deconfigure ? 0 : load_le32(c + 4);
	if (!deconfigure && (drop & 3 || (add & 3) != 1))
		return CC_PARAMETER;
	code = check_added(x, input, add);
	if (code != CC_SUCCESS)
		return code;
	for (unsigned n = 2; n < XHCI_EPS; n++)
		if (drop >> n & 1 && s->ep[n].state != EP_DISABLED)
			ep_off(x, slot, n);
	for (unsigned n = 2; n < XHCI_EPS; n++)
		if (add >> n & 1 && get(x, input, n + 1, c))
			ep_start(x, slot, n, c);
	if (!deconfigure && get(x, input, 1, c))
		change_slot(x, slot, c);
	s->state = deconfigure ? SLOT_ADDRESSED : SLOT_CONFIGURED;
	slot_show(x, slot, slot);
	return CC_SUCCESS;
}

/* Of the slot the exit latency and the interrupter, of endpoint 0 the packet size. */
unsigned xhci_evaluate(struct xhci *x, unsigned slot, uint64_t input)
{
	uint8_t flags[CONTEXT], in[CONTEXT], c[CONTEXT];
	uint64_t out = x->slot[slot].context;

	if (x->slot[slot].state < SLOT_DEFAULT)
		return CC_CONTEXT_STATE;
	if (!get(x, input, 0, flags))
		return CC_TRB_ERROR;
	if (load_le32(flags) || !(load_le32(flags + 4) & 3))
		return CC_PARAMETER;
	if (load_le32(flags + 4) & ADD_SLOT && get(x, input, 1, in) && get(x, out, 0, c)) {
		store_le16(c + 4, load_le16(in + 4));
		store_le32(c + 8, (load_le32(c + 8) & 0x3fffff) | (load_le32(in + 8) & ~UINT32_C(0x3fffff)));
		put(x, slot, 0, c);
	}
	if (load_le32(flags + 4) & ADD_CONTROL && get(x, input, 2, in) && get(x, out, 1, c)) {
		store_le16(c + 6, load_le16(in + 6));
		put(x, slot, 1, c);
	}
	return CC_SUCCESS;
}

unsigned xhci_reset_device(struct xhci *x, unsigned slot)
{
	struct xhci_slot *s = &x->slot[slot];
	uint8_t c[CONTEXT];

	if (s->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	for (unsigned n = 2; n < XHCI_EPS; n++)
		if (s->ep[n].state != EP_DISABLED)
			ep_off(x, slot, n);
	s->state = SLOT_DEFAULT;
	if (get(x, s->context, 0, c)) {
		store_le32(c, (load_le32(c) & 0x07ffffff) | 1u << 27);
		put(x, slot, 0, c);
	}
	slot_show(x, slot, 0);
	return CC_SUCCESS;
}
