/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/net/rtl8139_priv.h"

#include "core/gmem.h"
#include "core/vm.h"

#include <string.h>

enum { CAPR_BIAS = 16, HEADER = 4, ROK = 1, TO_ALL = 0x2000, TO_US = 0x4000, TO_GROUP = 0x8000 };
enum { MULTICAST = 1 << 27, MATCHED = 1 << 26, BROADCAST = 1 << 25, PROTO_TCP = 1 << 16, PROTO_UDP = 2 << 16,
       PROTO_IP = 3 << 16, BAD_IP = 1 << 15, BAD_UDP = 1 << 14, BAD_TCP = 1 << 13, SIZE = 0x1fff, TAGGED = 1 << 16 };
enum { ROOM = 1536 + HEADER + 4, LONGEST = 4096 };

/* ---- who it is for ---- */

enum kind { NOT_FOR_US, FOR_ALL = TO_ALL, FOR_US = TO_US, FOR_GROUP = TO_GROUP };

static enum kind kind_of(const struct rtl8139 *c, const uint8_t *mac)
{
	static const uint8_t all[FRAME_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint32_t rcr = rtl_get32(c, L_RCR);
	unsigned hash;

	if (!memcmp(mac, all, FRAME_MAC))
		return rcr & (RCR_BROADCAST | RCR_ALL) ? FOR_ALL : NOT_FOR_US;
	if (mac[0] & 1) {
		hash = frame_mac_crc6(mac);
		if (rcr & RCR_ALL || (rcr & RCR_MULTICAST && c->reg[L_MAR + hash / 8] >> (hash % 8) & 1))
			return FOR_GROUP;
		return NOT_FOR_US;
	}
	return rcr & RCR_ALL || (rcr & RCR_MATCH && !memcmp(mac, c->reg + L_ID, FRAME_MAC)) ? FOR_US : NOT_FOR_US;
}

static void miss(struct rtl8139 *c, unsigned cause)
{
	c->missed += c->missed < 0xffffff;
	c->tally.missed += c->tally.missed < UINT16_MAX;
	rtl_cause(c, cause);
}

/* ---- the ring of bytes ---- */

static uint32_t ring_size(const struct rtl8139 *c)
{
	return 8192u << (rtl_get32(c, L_RCR) >> 11 & 3);
}

static uint32_t ring_free(const struct rtl8139 *c)
{
	uint32_t size = ring_size(c), used = (uint32_t)rtl_get16(c, L_CBR) - rtl_get16(c, L_CAPR) - CAPR_BIAS;

	return size - (used & (size - 1));
}

/* Stores at the write pointer's offset `at`, around the end, or beyond it where the driver left room for that. */
static bool put(struct rtl8139 *c, uint32_t at, const uint8_t *p, size_t len, bool beyond)
{
	uint32_t size = ring_size(c);
	uint64_t base = rtl_get32(c, L_RBSTART);
	size_t first;

	if (beyond)
		return gmem_write(c->vm->mem, base + at, p, len) == 0;
	at &= size - 1;
	first = len < size - at ? len : size - at;
	return gmem_write(c->vm->mem, base + at, p, first) == 0 &&
	       (first == len || gmem_write(c->vm->mem, base, p + first, len - first) == 0);
}

static bool to_bytes(struct rtl8139 *c, const uint8_t *frame, size_t len, enum kind kind)
{
	static const uint8_t fcs[FRAME_FCS];
	uint32_t at = rtl_get16(c, L_CBR) & (ring_size(c) - 1);
	uint32_t whole = (uint32_t)round_up(HEADER + len + FRAME_FCS, 4);
	bool beyond = rtl_get32(c, L_RCR) & RCR_WRAP;
	uint8_t header[HEADER];

	if (whole >= ring_free(c)) {
		miss(c, ISR_RXOVW);
		return false;
	}
	store_le16(header, (uint16_t)(ROK | kind));
	store_le16(header + 2, (uint16_t)(len + FRAME_FCS));
	if (!put(c, at, header, HEADER, beyond) || !put(c, at + HEADER, frame, len, beyond) ||
	    !put(c, at + HEADER + (uint32_t)len, fcs, FRAME_FCS, beyond)) {
		log_limited(&c->limit, LOG_WARNING, "rtl8139: the receive buffer is not in RAM");
		return false;
	}
	store_le16(c->reg + L_CBR, (uint16_t)((at + whole) & (ring_size(c) - 1)));
	c->reg[L_CR] &= (uint8_t)~CR_EMPTY;
	return true;
}

/* ---- the ring of descriptors ---- */

static uint32_t status_bits(const struct rtl8139 *c, const uint8_t *frame, size_t len, enum kind kind)
{
	uint32_t v = kind == FOR_ALL ? BROADCAST : kind == FOR_US ? MATCHED : MULTICAST;
	struct frame_info f;

	if (!rtl_plus(c, CPCR_SUMS))
		return v;
	frame_look(&f, frame, len, true);
	if (f.ipv4)
		v |= (f.tcp ? PROTO_TCP : f.udp ? PROTO_UDP : PROTO_IP) | (f.ip_bad ? BAD_IP : 0);
	if (f.ipv4 && f.l4_bad)
		v |= f.tcp ? BAD_TCP : BAD_UDP;
	return v;
}

/* Takes the tag off, where the driver wants that. Returns the second word of the descriptor. */
static uint32_t untag(struct rtl8139 *c, const uint8_t **frame, size_t *len)
{
	uint32_t tag;

	if (!rtl_plus(c, CPCR_VLAN) || *len < FRAME_HEADER + FRAME_TAG || load_be16(*frame + 12) != 0x8100)
		return 0;
	tag = TAGGED | load_le16(*frame + 14);
	memcpy(c->segment, *frame, 12);
	memcpy(c->segment + 12, *frame + 16, *len - 16);
	*frame = c->segment;
	*len -= FRAME_TAG;
	return tag;
}

static uint64_t desc_gpa(const struct rtl8139 *c)
{
	return load_le64(c->reg + L_RDSAR) + (uint64_t)c->rx_at * RTL_DESC;
}

static bool desc_free(const struct rtl8139 *c)
{
	uint8_t d[4];

	return gmem_read(c->vm->mem, desc_gpa(c), d, 4) == 0 && load_le32(d) & DESC_OWN;
}

/* One frame, one descriptor: drivers give buffers that hold any. */
static bool to_desc(struct rtl8139 *c, const uint8_t *frame, size_t len, enum kind kind)
{
	static const uint8_t fcs[FRAME_FCS];
	uint32_t status = status_bits(c, frame, len, kind), tag = untag(c, &frame, &len), flags;
	uint8_t d[RTL_DESC];
	uint64_t gpa = desc_gpa(c), to;

	if (gmem_read(c->vm->mem, gpa, d, RTL_DESC) || !(load_le32(d) & DESC_OWN)) {
		miss(c, ISR_RXOVW);
		return false;
	}
	flags = load_le32(d);
	to = load_le64(d + 8);
	if ((flags & SIZE) < len + FRAME_FCS) {
		miss(c, ISR_RXOVW);
		return false;
	}
	store_le32(d, (flags & DESC_END) | DESC_FIRST | DESC_LAST | status | (uint32_t)(len + FRAME_FCS));
	store_le32(d + 4, tag);
	if (gmem_write(c->vm->mem, to, frame, len) || gmem_write(c->vm->mem, to + len, fcs, FRAME_FCS) ||
	    gmem_write(c->vm->mem, gpa, d, 8)) {
		log_limited(&c->limit, LOG_WARNING, "rtl8139: a receive buffer is not in RAM");
		return false;
	}
	c->rx_at = flags & DESC_END || c->rx_at + 1 >= RTL_RING ? 0 : c->rx_at + 1;
	return true;
}

bool rtl_has_room(const struct rtl8139 *c)
{
	if (!(c->reg[L_CR] & CR_RX))
		return true;
	return rtl_plus(c, CPCR_RX) ? desc_free(c) : ring_free(c) > ROOM;
}

bool rtl_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct rtl8139 *c = opaque;
	uint8_t padded[FRAME_MIN] = { 0 };
	enum kind kind;

	if (!(c->reg[L_CR] & CR_RX) || len > LONGEST || !pci_bus_master(&c->pci))
		return true;
	if (len < FRAME_MIN) {
		memcpy(padded, frame, len);
		frame = padded;
		len = FRAME_MIN;
	}
	kind = kind_of(c, frame);
	if (kind == NOT_FOR_US)
		return true;
	if (rtl_plus(c, CPCR_RX) ? to_desc(c, frame, len, kind) : to_bytes(c, frame, len, kind)) {
		c->tally.rx_ok++;
		c->tally.rx_matched += kind == FOR_US;
		c->tally.rx_broadcast += kind == FOR_ALL;
		c->tally.rx_multicast += kind == FOR_GROUP;
		rtl_cause(c, ISR_ROK);
	}
	return rtl_has_room(c);
}
