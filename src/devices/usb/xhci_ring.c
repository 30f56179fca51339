/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command and transfer rings, the consumer's side (4.9.2). */
#include "devices/usb/xhci_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"

enum { LINKS_MAX = 8 }; /* one after the other, without a TRB between */

bool xhci_ring_next(struct xhci *x, struct xhci_ring *r, struct xhci_trb *out)
{
	uint8_t b[TRB_SIZE];

	for (unsigned n = 0; r->at && n < LINKS_MAX; n++) {
		if (gmem_read(x->vm->mem, r->at, b, sizeof(b)) < 0)
			break;
		*out = (struct xhci_trb){ r->at, load_le64(b), load_le32(b + 8), load_le32(b + 12) };
		if ((out->control & TRB_CYCLE) != r->cycle)
			return false;
		if (trb_type(out) != TRB_LINK) {
			r->at += TRB_SIZE;
			return true;
		}
		r->at = out->parameter & ~UINT64_C(15);
		r->cycle ^= (out->control & TRB_TOGGLE) != 0;
	}
	if (r->at)
		log_limited(&x->limit, LOG_WARNING, "xhci: a ring of the guest's leads nowhere");
	r->at = 0;
	return false;
}

bool xhci_ring_td(struct xhci *x, struct xhci_ring *r)
{
	struct xhci_ring at = *r;

	x->td_count = 0;
	do {
		if (x->td_count == XHCI_TD_MAX) {
			log_limited(&x->limit, LOG_WARNING, "xhci: a transfer has more than %d parts", XHCI_TD_MAX);
			r->at = 0;
			return false;
		}
		if (!xhci_ring_next(x, &at, &x->td[x->td_count])) {
			r->at = at.at ? r->at : 0;
			return false;
		}
	} while (x->td[x->td_count++].control & TRB_CHAIN);
	*r = at;
	return true;
}
