/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receiving: who a frame is for, and the ring it goes into, in the three forms of descriptor. */
#include "devices/net/e1000_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "core/vm.h"

#include <string.h>

enum { DESC = 16, DESC_SPLIT = 32, BUFFERS = 4, LONGEST = 1518, ETHERTYPE_AT = 12 };

/* ---- filters ---- */

static bool exact(const struct e1000 *c, const uint8_t *mac)
{
	for (unsigned n = 0; n < E1000_RA; n++)
		if (c->ra[2 * n + 1] & RAH_VALID && load_le32(mac) == c->ra[2 * n] &&
		    load_le16(mac + 4) == (c->ra[2 * n + 1] & 0xffff))
			return true;
	return false;
}

static bool hashed(const struct e1000 *c, const uint8_t *mac)
{
	static const uint8_t shift[] = { 4, 3, 2, 0 };
	unsigned hash = (unsigned)(load_le16(mac + 4) >> shift[c->reg[R_RCTL] >> 12 & 3]) & 0xfff;

	return c->mta[hash >> 5] >> (hash & 31) & 1;
}

static bool tag_wanted(const struct e1000 *c, const uint8_t *frame, size_t len)
{
	unsigned id;

	if (!(c->reg[R_RCTL] & RCTL_VFE) || len < FRAME_HEADER + FRAME_TAG ||
	    load_be16(frame + ETHERTYPE_AT) != c->reg[R_VET])
		return true;
	id = load_be16(frame + 14) & 0xfff;
	return c->vfta[id >> 5] >> (id & 31) & 1;
}

static bool wanted(const struct e1000 *c, const uint8_t *frame, size_t len)
{
	static const uint8_t all[FRAME_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint32_t rctl = c->reg[R_RCTL];

	if (!tag_wanted(c, frame, len))
		return false;
	if (rctl & (frame[0] & 1 ? RCTL_MPE : RCTL_UPE) || exact(c, frame))
		return true;
	if (!memcmp(frame, all, FRAME_MAC))
		return rctl & RCTL_BAM;
	return frame[0] & 1 && hashed(c, frame);
}

/* ---- the ring ---- */

static bool split(const struct e1000 *c)
{
	return c->model == E1000_82574L && c->reg[R_RCTL] & RCTL_DTYP;
}

/* Sizes of the buffers of one descriptor. */
static unsigned buffers(const struct e1000 *c, uint32_t size[BUFFERS])
{
	uint32_t v = c->reg[R_PSRCTL], rctl = c->reg[R_RCTL];
	unsigned n = rctl >> 16 & 3;

	if (split(c)) {
		size[0] = (v & 0x7f) * 128;
		size[1] = (v >> 8 & 0x3f) * 1024;
		size[2] = (v >> 16 & 0x3f) * 1024;
		size[3] = (v >> 24 & 0x3f) * 1024;
		return BUFFERS;
	}
	size[0] = rctl & RCTL_BSEX ? 32768u >> n : 2048u >> n;
	if (c->model == E1000_82574L && rctl >> 27 & 15)
		size[0] = (rctl >> 27 & 15) * 1024; /* FLXBUF */
	return 1;
}

static uint32_t capacity(const struct e1000 *c)
{
	uint32_t size[BUFFERS], sum = 0;
	unsigned count = buffers(c, size);

	for (unsigned n = 0; n < count; n++)
		sum += size[n];
	return sum;
}

static uint32_t ring_count(const struct e1000 *c)
{
	return c->reg[R_RDLEN] / (split(c) ? DESC_SPLIT : DESC);
}

static uint32_t free_descs(const struct e1000 *c)
{
	uint32_t count = ring_count(c), head = c->reg[R_RDH], tail = c->reg[R_RDT];

	if (!count || head >= count || tail >= count)
		return 0;
	return tail >= head ? tail - head : count - head + tail;
}

bool e1000_has_room(const struct e1000 *c)
{
	return !(c->reg[R_RCTL] & RCTL_EN) ||
	       (uint64_t)free_descs(c) * capacity(c) >= (c->reg[R_RCTL] & RCTL_LPE ? 16384 : LONGEST + 6);
}

/* ---- one frame ---- */

struct arrival {
	const uint8_t *frame;
	size_t len, at; /* with FCS, if it is kept; at: how much is stored */
	bool piece_vlan;
	uint16_t tag;
	uint8_t status, errors;
};

static void look_sums(const struct e1000 *c, struct arrival *a, size_t len)
{
	uint32_t want = c->reg[R_RXCSUM];
	struct frame_info f;

	frame_look(&f, a->frame, len, want & (RXCSUM_IP | RXCSUM_L4));
	if (f.ipv4 && want & RXCSUM_IP) {
		a->status |= RX_IPCS;
		a->errors |= f.ip_bad ? RX_IPE : 0;
	}
	if ((f.tcp || f.udp) && want & RXCSUM_L4) {
		a->status |= RX_TCPCS | (f.udp && c->model == E1000_82574L ? RX_UDPCS : 0);
		a->errors |= f.l4_bad ? RX_TCPE : 0;
	}
	if (!(a->status & (RX_IPCS | RX_TCPCS)))
		a->status |= RX_IXSM;
}

/* Stores as much as the buffer takes; false: it is not in RAM. The FCS that is kept reads as zeros. */
static bool store(struct e1000 *c, struct arrival *a, uint64_t to, uint32_t room, size_t frame_len, uint32_t *put)
{
	size_t part = a->at < frame_len ? frame_len - a->at : 0, rest;

	part = part < room ? part : room;
	if (part && gmem_write(c->vm->mem, to, a->frame + a->at, part))
		return false;
	rest = a->len - a->at - part;
	rest = rest < room - part ? rest : room - part;
	if (rest && gmem_fill(c->vm->mem, to + part, 0, rest))
		return false;
	*put = (uint32_t)(part + rest);
	a->at += *put;
	return true;
}

/* The packet checksum counts from PCSS on; drivers of today leave it alone. */
static uint16_t packet_sum(const struct e1000 *c, const struct arrival *a, size_t frame_len)
{
	size_t start = c->reg[R_RXCSUM] & 0xff;

	return start < frame_len ? frame_sum(a->frame + start, frame_len - start, 0) : 0;
}

static void write_back(const struct e1000 *c, const struct arrival *a, const uint32_t put[BUFFERS], uint8_t *d,
		       size_t frame_len)
{
	uint16_t sum = packet_sum(c, a, frame_len);

	if (split(c) || (c->model == E1000_82574L && c->reg[R_RFCTL] & RFCTL_EXTENDED)) {
		memset(d, 0, split(c) ? DESC_SPLIT : DESC);
		if (!(c->reg[R_RXCSUM] & RXCSUM_PCSD))
			store_le16(d + 6, sum);
		store_le32(d + 8, a->status | (uint32_t)a->errors << 24);
		store_le16(d + 12, (uint16_t)put[0]);
		store_le16(d + 14, a->tag);
		for (unsigned n = 1; split(c) && n < BUFFERS; n++)
			store_le16(d + 16 + 2 * n, (uint16_t)put[n]);
		return;
	}
	store_le16(d + 8, (uint16_t)put[0]);
	store_le16(d + 10, sum);
	d[12] = a->status;
	d[13] = a->errors;
	store_le16(d + 14, a->tag);
}

/* Fills the descriptor at the head. False: something is not in RAM. */
static bool fill(struct e1000 *c, struct arrival *a, size_t frame_len)
{
	uint32_t size[BUFFERS], put[BUFFERS] = { 0 }, head = c->reg[R_RDH];
	unsigned count = buffers(c, size), bytes = split(c) ? DESC_SPLIT : DESC;
	uint64_t gpa = ((uint64_t)c->reg[R_RDBAH] << 32 | c->reg[R_RDBAL]) + (uint64_t)head * bytes;
	uint8_t d[DESC_SPLIT] = { 0 };
	struct arrival now;

	if (gmem_read(c->vm->mem, gpa, d, bytes))
		return false;
	for (unsigned n = 0; n < count; n++)
		if (load_le64(d + 8 * n) && !store(c, a, load_le64(d + 8 * n), size[n], frame_len, &put[n]))
			return false;
	now = *a;
	now.status = a->at >= a->len ? a->status | RX_EOP | RX_DONE : RX_DONE;
	write_back(c, &now, put, d, frame_len);
	if (gmem_write(c->vm->mem, gpa, d, bytes))
		return false;
	c->reg[R_RDH] = head + 1 == ring_count(c) ? 0 : head + 1;
	return true;
}

/* Takes the tag off; what is left is in front of the frame's old place. */
static size_t untag(const struct e1000 *c, struct arrival *a, uint8_t *copy, size_t len)
{
	if (!(c->reg[R_CTRL] & CTRL_VME) || len < FRAME_HEADER + FRAME_TAG ||
	    load_be16(a->frame + ETHERTYPE_AT) != c->reg[R_VET])
		return len;
	a->tag = load_be16(a->frame + 14);
	a->status |= RX_VP;
	memcpy(copy, a->frame, ETHERTYPE_AT);
	memcpy(copy + ETHERTYPE_AT, a->frame + ETHERTYPE_AT + FRAME_TAG, len - ETHERTYPE_AT - FRAME_TAG);
	a->frame = copy;
	return len - FRAME_TAG;
}

static uint32_t low_mark(const struct e1000 *c)
{
	uint32_t shift = (c->reg[R_RCTL] >> 8 & 3) + 1;

	return free_descs(c) <= ring_count(c) >> shift ? ICR_RXDMT0 : 0;
}

static void deliver(struct e1000 *c, const uint8_t *frame, size_t len)
{
	static uint8_t const padding[FRAME_MIN];
	struct arrival a = { .frame = frame };
	uint32_t room = capacity(c);
	size_t frame_len;

	if (len < FRAME_MIN) { /* what is on a wire is never shorter */
		memcpy(c->segment, frame, len);
		memcpy(c->segment + len, padding, FRAME_MIN - len);
		a.frame = c->segment;
		len = FRAME_MIN;
	}
	e1000_count_frame(c, false, a.frame, len + FRAME_FCS);
	look_sums(c, &a, len);
	frame_len = untag(c, &a, c->tx, len);
	a.len = frame_len + (c->reg[R_RCTL] & RCTL_SECRC ? 0 : FRAME_FCS);
	if (exact(c, a.frame) == 0 && !(a.frame[0] & 1))
		a.status |= RX_PIF;
	if (!room || (uint64_t)free_descs(c) * room < a.len) {
		e1000_count(c, S_MPC, 1);
		e1000_count(c, S_RNBC, 1);
		e1000_cause(c, ICR_RXO);
		return;
	}
	while (a.at < a.len && free_descs(c)) {
		size_t before = a.at;

		if (!fill(c, &a, frame_len) || a.at == before) {
			log_limited(&c->limit, LOG_WARNING, "%s: the receive ring or a buffer of it is not in RAM",
				    c->pci.name);
			return;
		}
	}
	e1000_cause(c, ICR_RXT0 | low_mark(c));
}

bool e1000_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct e1000 *c = opaque;
	uint32_t rctl = c->reg[R_RCTL];
	size_t longest = LONGEST - FRAME_FCS;

	if (!(rctl & RCTL_EN) || !c->link_up || !pci_bus_master(&c->pci))
		return true; /* lost, as on a wire with nobody at its end */
	if (len >= FRAME_HEADER && load_be16(frame + ETHERTYPE_AT) == c->reg[R_VET])
		longest += FRAME_TAG;
	if (len > longest && !(rctl & (RCTL_LPE | RCTL_SBP)))
		e1000_count(c, S_ROC, 1);
	else if (wanted(c, frame, len))
		deliver(c, frame, len);
	return e1000_has_room(c);
}
