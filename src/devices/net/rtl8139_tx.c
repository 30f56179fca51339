/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/net/rtl8139_priv.h"

#include "core/gmem.h"
#include "core/vm.h"

#include <string.h>

enum { TAG = 1 << 17, LARGE = 1 << 27, SUM_IP = 1 << 18, SUM_UDP = 1 << 17, SUM_TCP = 1 << 16, MSS_SHIFT = 16 };
enum { MSS_MASK = 0x7ff, PACKETS_MAX = 256, ETHERTYPE_IPV4 = 0x0800, TCP = 6, UDP = 17 };

/* Puts in tag and padding; what is looped back is received. False: the back end has no room. */
static bool send_frame(struct rtl8139 *c, uint8_t *f, size_t len, uint32_t tag)
{
	if (tag & TAG && len >= FRAME_HEADER) {
		memmove(f + 16, f + 12, len - 12);
		store_be16(f + 12, 0x8100);
		store_le16(f + 14, (uint16_t)tag); /* the descriptor has its bytes swapped */
		len += FRAME_TAG;
	}
	if (len < FRAME_MIN) {
		memset(f + len, 0, FRAME_MIN - len);
		len = FRAME_MIN;
	}
	if ((rtl_get32(c, L_TCR) & TCR_LOOPBACK) == TCR_LOOPBACK) {
		rtl_receive(c, f, len);
		return true;
	}
	if (!nic_send(&c->nic, f, len))
		return false;
	c->tally.tx_ok++;
	return true;
}

/* ---- four slots ---- */

static void run_slots(struct rtl8139 *c)
{
	while (c->slots_waiting & 1u << c->slot) {
		unsigned n = c->slot;
		uint8_t *tsd = c->reg + L_TSD + 4 * n;
		size_t len = load_le32(tsd) & TSD_SIZE;

		if (gmem_read(c->vm->mem, rtl_get32(c, L_TSAD + 4 * n), c->tx, len))
			log_limited(&c->limit, LOG_WARNING, "rtl8139: a frame to send is not in RAM");
		else if (!send_frame(c, c->tx, len, 0))
			return;
		store_le32(tsd, load_le32(tsd) | TSD_OWN | TSD_TOK);
		c->slots_waiting &= (uint8_t)~(1u << n);
		c->slot = (n + 1) % RTL_SLOTS;
		rtl_cause(c, ISR_TOK);
	}
}

/* ---- rings of descriptors ---- */

struct packet {
	size_t len;
	unsigned descs;
	uint32_t flags, tag; /* of the first descriptor; of the last */
	bool bad, done;
};

static uint64_t ring_base(const struct rtl8139 *c, unsigned q)
{
	return load_le64(c->reg + (q ? L_THPDS : L_TNPDS));
}

/* Index of the descriptor after n. */
static uint32_t after(uint32_t n, uint32_t flags)
{
	return flags & DESC_END || n + 1 >= RTL_RING ? 0 : n + 1;
}

static bool read_desc(struct rtl8139 *c, uint64_t gpa, uint8_t d[RTL_DESC])
{
	if (gmem_read(c->vm->mem, gpa, d, RTL_DESC) == 0)
		return true;
	log_limited(&c->limit, LOG_WARNING, "rtl8139: the send ring is not in RAM");
	return false;
}

/* The packet at the ring's place; false: the driver has not given all of it. */
static bool gather(struct rtl8139 *c, unsigned q, struct packet *p)
{
	uint32_t at = c->tx_at[q];
	uint8_t d[RTL_DESC];

	*p = (struct packet){ 0 };
	while (!p->done && p->descs < RTL_RING) {
		uint32_t flags;
		size_t len;

		if (!read_desc(c, ring_base(c, q) + at * RTL_DESC, d))
			return false;
		flags = load_le32(d);
		len = flags & 0xffff;
		if (!(flags & DESC_OWN))
			return false;
		if (!p->descs++)
			p->flags = flags;
		p->bad |= p->len + len > NIC_TX_MAX - FRAME_MIN ||
			  gmem_read(c->vm->mem, load_le64(d + 8), c->tx + p->len, len);
		p->len += p->bad ? 0 : len;
		p->tag = load_le32(d + 4);
		p->done = flags & DESC_LAST;
		at = after(at, flags);
	}
	if (p->bad)
		log_limited(&c->limit, LOG_WARNING, "rtl8139: a frame to send is too long or not in RAM");
	return true;
}

/* The headers of an IPv4 frame, for all that the card computes. False: it is none. */
static bool headers(const struct rtl8139 *c, size_t len, struct frame_tso *t)
{
	const uint8_t *f = c->tx;

	if (len < FRAME_HEADER + 20 || load_be16(f + 12) != ETHERTYPE_IPV4)
		return false;
	*t = (struct frame_tso){ .ip = FRAME_HEADER, .ipv4 = true, .ip_sum = FRAME_HEADER + 10, .mss = 1 };
	t->l4 = t->ip + (size_t)(f[t->ip] & 15) * 4;
	t->tcp = f[t->ip + 9] == TCP;
	if ((!t->tcp && f[t->ip + 9] != UDP) || t->l4 + (t->tcp ? 20 : 8) > len)
		return false;
	t->header = t->l4 + (t->tcp ? (size_t)(f[t->l4 + 12] >> 4) * 4 : 8);
	t->l4_sum = t->l4 + (t->tcp ? 16 : 6);
	return frame_tso_good(t, len);
}

/* Writes the sum of the pseudo header, whose length is added later or now. */
static void pseudo(struct rtl8139 *c, const struct frame_tso *t, uint32_t len)
{
	store_be16(c->tx + t->l4_sum, frame_sum(c->tx + t->ip + 12, 8, (t->tcp ? TCP : UDP) + len));
}

static void put_sums(struct rtl8139 *c, const struct packet *p)
{
	struct frame_tso t;
	size_t end;

	if (!(p->flags & (SUM_IP | SUM_UDP | SUM_TCP)) || !headers(c, p->len, &t))
		return;
	end = t.ip + load_be16(c->tx + t.ip + 2); /* padding does not count */
	if (p->flags & SUM_IP) {
		store_be16(c->tx + t.ip_sum, 0);
		frame_put_sum(c->tx, p->len, t.ip, t.ip_sum, t.l4, false);
	}
	if (p->flags & (t.tcp ? SUM_TCP : SUM_UDP) && end > t.l4_sum + 1 && end <= p->len) {
		pseudo(c, &t, (uint32_t)(end - t.l4));
		frame_put_sum(c->tx, p->len, t.l4, t.l4_sum, end, !t.tcp);
	}
}

static bool send_large(struct rtl8139 *c, unsigned q, const struct packet *p)
{
	struct frame_tso t;
	unsigned count;

	if (!headers(c, p->len, &t))
		return true;
	t.mss = p->flags >> MSS_SHIFT & MSS_MASK;
	if (!frame_tso_good(&t, p->len))
		return true;
	pseudo(c, &t, 0);
	count = frame_tso_count(&t, p->len);
	for (; c->sent[q] < count; c->sent[q]++)
		if (!send_frame(c, c->segment, frame_tso_make(&t, c->tx, p->len, c->sent[q], c->segment), p->tag))
			return false;
	return true;
}

static bool send_packet(struct rtl8139 *c, unsigned q, const struct packet *p)
{
	if (p->bad || !p->len)
		return true;
	if (p->flags & LARGE)
		return send_large(c, q, p);
	put_sums(c, p);
	return send_frame(c, c->tx, p->len, p->tag);
}

static void give_back(struct rtl8139 *c, unsigned q, const struct packet *p)
{
	uint8_t d[RTL_DESC];

	for (unsigned n = 0; n < p->descs; n++) {
		uint64_t gpa = ring_base(c, q) + c->tx_at[q] * RTL_DESC;
		uint32_t flags;

		if (!read_desc(c, gpa, d))
			return;
		flags = load_le32(d);
		c->tx_at[q] = after(c->tx_at[q], flags);
		store_le32(d, flags & ~DESC_OWN);
		if (gmem_write(c->vm->mem, gpa, d, 4))
			log_limited(&c->limit, LOG_WARNING, "rtl8139: the send ring is not in RAM");
	}
}

/* False: the back end has no room. */
static bool run_ring(struct rtl8139 *c, unsigned q)
{
	struct packet p;
	unsigned done = 0;

	for (; done < PACKETS_MAX && gather(c, q, &p); done++) {
		if (!send_packet(c, q, &p))
			return false;
		c->sent[q] = 0;
		give_back(c, q, &p);
	}
	if (done == PACKETS_MAX)
		nic_kick(&c->nic);
	else
		c->polled &= (uint8_t)~(1u << q);
	if (done)
		rtl_cause(c, ISR_TOK | (done < PACKETS_MAX ? ISR_TDU : 0));
	return true;
}

void rtl_transmit(struct rtl8139 *c)
{
	if (!(c->reg[L_CR] & CR_TX) || !pci_bus_master(&c->pci))
		return;
	if (!rtl_plus(c, CPCR_TX)) {
		run_slots(c);
		return;
	}
	for (unsigned q = RTL_RINGS; q--;) /* high priority first */
		if (c->polled & 1u << q && !run_ring(c, q))
			return;
}
