/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Event rings and interrupters (4.9.4, 4.17). */
#include "devices/usb/xhci_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"

enum { IMAN_PENDING = 1, IMAN_ENABLE = 2, ERDP_BUSY = 8, SEGMENT_MIN = 16, SEGMENTS_MAX = 16 };
enum { RESERVE = 4 }; /* what one transfer may bring without losing any */

struct place {
	uint32_t segment, left;
	uint64_t at;
	bool cycle;
};

/* False: the guest's table is no good. */
static bool segment(struct xhci *x, const struct xhci_intr *i, uint32_t n, struct place *p)
{
	uint8_t entry[16];
	uint32_t size;

	if (gmem_read(x->vm->mem, i->erstba + n * sizeof(entry), entry, sizeof(entry)) < 0)
		return false;
	size = load_le32(entry + 8) & 0xffff;
	p->at = load_le64(entry) & ~UINT64_C(63);
	p->segment = n;
	p->left = size;
	return size >= SEGMENT_MIN && size <= XHCI_SEGMENT_MAX;
}

static bool start(struct xhci *x, struct xhci_intr *i)
{
	struct place p;

	if (i->started)
		return true;
	if (!i->erstsz || i->erstsz > SEGMENTS_MAX || !segment(x, i, 0, &p))
		return false;
	i->segment = 0;
	i->left = p.left;
	i->enqueue = p.at;
	i->cycle = i->started = true;
	return true;
}

static bool step(struct xhci *x, const struct xhci_intr *i, struct place *p)
{
	p->at += TRB_SIZE;
	if (--p->left)
		return true;
	if (p->segment + 1 >= i->erstsz)
		p->cycle = !p->cycle;
	return segment(x, i, p->segment + 1 < i->erstsz ? p->segment + 1 : 0, p);
}

/* The ring is full when the next place is the one that the guest will read. */
static bool room(struct xhci *x, unsigned intr, unsigned count)
{
	struct xhci_intr *i = &x->intr[intr];
	struct place p;

	if (!start(x, i))
		return false;
	p = (struct place){ i->segment, i->left, i->enqueue, i->cycle };
	while (count--)
		if (!step(x, i, &p) || p.at == (i->erdp & ~UINT64_C(15)))
			return false;
	return true;
}

bool xhci_event_room(struct xhci *x, unsigned intr)
{
	bool is;

	pthread_mutex_lock(&x->lock);
	is = intr >= XHCI_INTRS || room(x, intr, RESERVE);
	x->starved |= !is;
	pthread_mutex_unlock(&x->lock);
	return is;
}

bool xhci_event_one_free(struct xhci *x, unsigned intr)
{
	return room(x, intr, 1);
}

/* ---- interrupts ---- */

void xhci_intx(struct xhci *x)
{
	bool level = false;

	for (unsigned n = 0; n < XHCI_INTRS; n++)
		level |= (x->intr[n].iman & (IMAN_PENDING | IMAN_ENABLE)) == (IMAN_PENDING | IMAN_ENABLE);
	pci_intx(&x->pci, level && x->usbcmd & CMD_INTE && !msix_enabled(&x->msix));
}

static void interrupt(struct xhci *x, unsigned n)
{
	struct xhci_intr *i = &x->intr[n];

	if (i->erdp & ERDP_BUSY)
		return;
	i->erdp |= ERDP_BUSY;
	i->iman |= IMAN_PENDING;
	x->usbsts |= STS_EVENT;
	if (i->iman & IMAN_ENABLE && x->usbcmd & CMD_INTE && msix_enabled(&x->msix)) {
		i->iman &= ~(uint32_t)IMAN_PENDING; /* a message clears it (5.5.2.1) */
		msix_notify(&x->msix, n);
	}
	xhci_intx(x);
}

void xhci_event_wrote_dequeue(struct xhci *x, unsigned n, uint64_t value)
{
	struct xhci_intr *i = &x->intr[n];
	bool busy = i->erdp & ERDP_BUSY && !(value & ERDP_BUSY);

	i->erdp = (value & ~UINT64_C(8)) | (busy ? ERDP_BUSY : 0);
	if (!busy && i->started && (i->erdp & ~UINT64_C(15)) != i->enqueue)
		interrupt(x, n);
}

/* ---- events ---- */

void xhci_event_put(struct xhci *x, const struct xhci_event *ev)
{
	struct xhci_intr *i = &x->intr[ev->intr < XHCI_INTRS ? ev->intr : 0];
	struct place p;
	uint8_t trb[TRB_SIZE];

	if (!room(x, (unsigned)(i - x->intr), 1)) {
		log_limited(&x->limit, LOG_WARNING, "xhci: the guest's event ring has no room; an event is lost");
		return;
	}
	p = (struct place){ i->segment, i->left, i->enqueue, i->cycle };
	store_le64(trb, ev->parameter);
	store_le32(trb + 8, (ev->length & 0xffffff) | ev->code << 24);
	store_le32(trb + 12, ev->type << TRB_TYPE_AT | ev->ep << 16 | ev->slot << 24 | ev->flags | i->cycle);
	if (gmem_write(x->vm->mem, p.at, trb, sizeof(trb)) < 0)
		x->usbsts |= STS_HOST_ERROR;
	if (!step(x, i, &p))
		return;
	i->segment = p.segment;
	i->left = p.left;
	i->enqueue = p.at;
	i->cycle = p.cycle;
	if (!ev->quiet)
		interrupt(x, (unsigned)(i - x->intr));
}

void xhci_event(struct xhci *x, const struct xhci_event *ev)
{
	pthread_mutex_lock(&x->lock);
	xhci_event_put(x, ev);
	pthread_mutex_unlock(&x->lock);
}
