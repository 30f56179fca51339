/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending. A packet is the descriptors from the ring's head up to one with EOP; it is gathered, cut and summed as its
 * context says, and its descriptors are written back when the last of its frames is out. When the back end has no room,
 * the head stays where it is, and `sent` says how many frames of that packet are out already.
 */
#include "devices/net/e1000_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "core/vm.h"

#include <string.h>

enum { DESC = 16, PACKETS_MAX = 256, CTX_SUM = 0, CTX_TSO = 1 };

static const struct ring {
	enum e1000_reg base_low, base_high, len, head, tail;
	uint32_t cause;
} rings[E1000_RINGS] = {
	{ R_TDBAL, R_TDBAH, R_TDLEN, R_TDH, R_TDT, ICR_TXQ0 },
	{ R_TDBAL1, R_TDBAH1, R_TDLEN1, R_TDH1, R_TDT1, ICR_TXQ1 },
};

/* A packet as it is gathered. */
struct packet {
	size_t len;
	unsigned descs;
	bool too_long, tag, ic, tse, ixsm, txsm, done;
	bool report; /* some descriptor wants to be written back */
	uint8_t css, cso;
	uint16_t special;
};

static uint64_t desc_at(const struct e1000 *c, const struct ring *r, uint32_t n)
{
	return ((uint64_t)c->reg[r->base_high] << 32 | c->reg[r->base_low]) + (uint64_t)n * DESC;
}

static void gather(struct e1000 *c, struct packet *p, uint64_t from, size_t len)
{
	if (p->too_long || len > NIC_TX_MAX - FRAME_MIN - p->len) {
		p->too_long = true;
	} else if (gmem_read(c->vm->mem, from, c->tx + p->len, len)) {
		log_limited(&c->limit, LOG_WARNING, "%s: a frame to send is not in RAM", c->pci.name);
		p->too_long = true;
	} else {
		p->len += len;
	}
}

static void add_legacy(struct e1000 *c, struct packet *p, const uint8_t *d)
{
	uint8_t cmd = d[11];

	gather(c, p, load_le64(d), load_le16(d + 8));
	p->done = cmd & TX_EOP;
	p->ic |= !!(cmd & TX_IC);
	p->tag |= cmd & TX_VLE && cmd & TX_EOP;
	p->cso = d[10];
	p->css = d[13];
	p->special = load_le16(d + 14);
}

static void add_data(struct e1000 *c, struct packet *p, const uint8_t *d, bool first)
{
	uint8_t cmd = d[11];

	gather(c, p, load_le64(d), load_le32(d + 8) & 0xfffff);
	p->done = cmd & TX_EOP;
	p->tse |= !!(cmd & TX_TSE);
	p->tag |= !!(cmd & TX_VLE);
	if (first) {
		p->ixsm = d[13] & TX_IXSM;
		p->txsm = d[13] & TX_TXSM;
	}
	if (cmd & TX_EOP)
		p->special = load_le16(d + 14);
}

static void set_context(uint32_t ctx[2][E1000_CTX], const uint8_t *d)
{
	bool tse = d[11] & TX_TSE;

	for (unsigned n = 0; n < E1000_CTX; n++)
		ctx[tse ? CTX_TSO : CTX_SUM][n] = load_le32(d + 4 * n);
}

/* The packet at the head, all of whose descriptors are there. False: there is none yet. */
static bool next_packet(struct e1000 *c, unsigned q, struct packet *p)
{
	const struct ring *r = &rings[q];
	uint32_t count = c->reg[r->len] / DESC, at = c->reg[r->head], tail = c->reg[r->tail];
	uint8_t d[DESC];
	bool first = true;

	*p = (struct packet){ 0 };
	if (!count || at >= count || tail >= count)
		return false;
	for (; at != tail && !p->done; at = at + 1 == count ? 0 : at + 1) {
		if (gmem_read(c->vm->mem, desc_at(c, r, at), d, DESC)) {
			log_limited(&c->limit, LOG_WARNING, "%s: the send ring is not in RAM", c->pci.name);
			return false;
		}
		p->descs++;
		p->report |= !!(d[11] & TX_RS);
		if (!(d[11] & TX_DEXT)) {
			add_legacy(c, p, d);
		} else if ((d[10] >> 4 & 15) == TX_CONTEXT && first) {
			set_context(c->ctx[q], d);
			return true; /* by itself */
		} else {
			add_data(c, p, d, first);
		}
		first = false;
	}
	return p->done;
}

/* ---- from packets to frames ---- */

/* Puts in tag and padding. Room for both is behind the frame. */
static bool send_frame(struct e1000 *c, const struct packet *p, uint8_t *f, size_t len)
{
	if (p->tag && c->reg[R_CTRL] & CTRL_VME && len >= FRAME_HEADER) {
		memmove(f + 16, f + 12, len - 12);
		store_be16(f + 12, (uint16_t)c->reg[R_VET]);
		store_be16(f + 14, p->special);
		len += FRAME_TAG;
	}
	if (c->reg[R_TCTL] & TCTL_PSP && len < FRAME_MIN) {
		memset(f + len, 0, FRAME_MIN - len);
		len = FRAME_MIN;
	}
	if (!nic_send(&c->nic, f, len))
		return false;
	if (len >= FRAME_HEADER)
		e1000_count_frame(c, true, f, len + FRAME_FCS);
	return true;
}

static struct frame_tso tso_of(const struct packet *p, const uint32_t ctx[E1000_CTX])
{
	struct frame_tso t = {
		.header = ctx[3] >> 8 & 0xff,
		.mss = ctx[3] >> 16,
		.ip = ctx[0] & 0xff,
		.l4 = ctx[1] & 0xff,
		.ip_sum = p->ixsm ? ctx[0] >> 8 & 0xff : 0,
		.l4_sum = p->txsm ? ctx[1] >> 8 & 0xff : 0,
		.ipv4 = ctx[2] >> 24 & TX_IPV4,
		.tcp = ctx[2] >> 24 & TX_TCP,
	};

	return t;
}

/* False: the back end has no room; c->sent says what is out. */
static bool send_segments(struct e1000 *c, unsigned q, const struct packet *p)
{
	struct frame_tso t = tso_of(p, c->ctx[q][CTX_TSO]);
	unsigned count;

	if (!frame_tso_good(&t, p->len) || t.mss > NIC_TX_MAX - FRAME_MIN - t.header) {
		log_limited(&c->limit, LOG_WARNING, "%s: a send context that fits no frame", c->pci.name);
		return true;
	}
	count = frame_tso_count(&t, p->len);
	if (!c->sent[q])
		e1000_count(c, S_TSCTC, 1);
	for (; c->sent[q] < count; c->sent[q]++)
		if (!send_frame(c, p, c->segment, frame_tso_make(&t, c->tx, p->len, c->sent[q], c->segment)))
			return false;
	return true;
}

static void put_sums(struct e1000 *c, unsigned q, const struct packet *p)
{
	const uint32_t *x = c->ctx[q][CTX_SUM];

	if (p->ic)
		frame_put_sum(c->tx, p->len, p->css, p->cso, 0, false);
	if (p->ixsm)
		frame_put_sum(c->tx, p->len, x[0] & 0xff, x[0] >> 8 & 0xff, x[0] >> 16 ? (x[0] >> 16) + 1 : 0, false);
	if (p->txsm)
		frame_put_sum(c->tx, p->len, x[1] & 0xff, x[1] >> 8 & 0xff, x[1] >> 16 ? (x[1] >> 16) + 1 : 0,
			      !(x[2] >> 24 & TX_TCP));
}

static bool send_packet(struct e1000 *c, unsigned q, const struct packet *p)
{
	if (p->too_long || !p->len)
		return true;
	if (p->tse)
		return send_segments(c, q, p);
	put_sums(c, q, p);
	return send_frame(c, p, c->tx, p->len);
}

/* Writes back what was asked for, and moves the head behind the packet. */
static void finish(struct e1000 *c, const struct ring *r, const struct packet *p)
{
	uint32_t count = c->reg[r->len] / DESC, at = c->reg[r->head];
	uint8_t d[DESC];

	for (unsigned n = 0; n < p->descs; n++, at = at + 1 == count ? 0 : at + 1) {
		uint64_t gpa = desc_at(c, r, at);

		if (gmem_read(c->vm->mem, gpa, d, DESC) || !(d[11] & TX_RS))
			continue;
		d[12] |= TX_DONE;
		if (gmem_write(c->vm->mem, gpa + 12, d + 12, 1))
			log_limited(&c->limit, LOG_WARNING, "%s: the send ring is not in RAM", c->pci.name);
	}
	c->reg[r->head] = at;
}

/* Returns whether there may be more. */
static bool run_ring(struct e1000 *c, unsigned q, uint32_t *causes)
{
	const struct ring *r = &rings[q];
	struct packet p;

	for (unsigned n = 0; n < PACKETS_MAX; n++) {
		if (!next_packet(c, q, &p))
			return false;
		if (!send_packet(c, q, &p))
			return false;
		c->sent[q] = 0;
		finish(c, r, &p);
		if (p.report)
			*causes |= ICR_TXDW | r->cause;
		if (c->reg[r->head] == c->reg[r->tail])
			*causes |= ICR_TXQE;
	}
	return true;
}

void e1000_transmit(struct e1000 *c)
{
	uint32_t causes = 0;
	bool more = false;

	if (!(c->reg[R_TCTL] & TCTL_EN) || !pci_bus_master(&c->pci))
		return;
	for (unsigned q = 0; q < (c->model == E1000_82574L ? 2 : 1); q++)
		more |= run_ring(c, q, &causes);
	if (causes)
		e1000_cause(c, causes);
	if (more)
		nic_kick(&c->nic);
}
