/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/net/frame.h"

#include "base/bytes.h"

#include <string.h>

enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, TYPE_VLAN = 0x8100 };
enum { PROTO_TCP = 6, PROTO_UDP = 17 };
enum { IPV4_MIN = 20, IPV6_HEADER = 40, TCP_MIN = 20, UDP_HEADER = 8 };
enum { TCP_SEQ = 4, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_SUM = 16, UDP_LEN = 4, UDP_SUM = 6, FIN_PSH = 0x09 };
enum { CRC_POLY = 0x04c11db7 };

static uint16_t fold(uint64_t v)
{
	while (v >> 16)
		v = (v & 0xffff) + (v >> 16);
	return (uint16_t)v;
}

uint16_t frame_sum(const uint8_t *p, size_t len, uint32_t start)
{
	uint64_t sum = 0;

	/* The sum of little-endian words is the big-endian one with its bytes swapped (RFC 1071, 2). */
	for (; len >= 4; p += 4, len -= 4)
		sum += load_le32(p);
	for (; len >= 2; p += 2, len -= 2)
		sum += load_le16(p);
	if (len)
		sum += *p;
	return fold((uint64_t)__builtin_bswap16(fold(sum)) + start);
}

bool frame_put_sum(uint8_t *frame, size_t len, size_t start, size_t at, size_t end, bool udp)
{
	uint16_t sum;

	if (end == 0 || end > len)
		end = len;
	if (start >= end || at + 2 > len)
		return false;
	sum = (uint16_t)~frame_sum(frame + start, end - start, 0);
	store_be16(frame + at, udp && !sum ? 0xffff : sum);
	return true;
}

/* ---- segments ---- */

bool frame_tso_good(const struct frame_tso *t, size_t len)
{
	size_t ip_header = t->ipv4 ? IPV4_MIN : IPV6_HEADER, l4_header = t->tcp ? TCP_MIN : UDP_HEADER;

	return t->mss && t->header <= len && t->ip + ip_header <= t->l4 && t->l4 + l4_header <= t->header &&
	       (!t->ip_sum || t->ip_sum + 2 <= t->header) && (!t->l4_sum || t->l4_sum + 2 <= t->header);
}

unsigned frame_tso_count(const struct frame_tso *t, size_t len)
{
	size_t payload = len - t->header;

	return payload ? (unsigned)((payload + t->mss - 1) / t->mss) : 1;
}

size_t frame_tso_make(const struct frame_tso *t, const uint8_t *frame, size_t len, unsigned n, uint8_t *out)
{
	size_t at = t->header + n * t->mss, part = len - at < t->mss ? len - at : t->mss, whole = t->header + part;

	memcpy(out, frame, t->header);
	memcpy(out + t->header, frame + at, part);
	if (t->ipv4) {
		store_be16(out + t->ip + 2, (uint16_t)(whole - t->ip));
		store_be16(out + t->ip + 4, (uint16_t)(load_be16(frame + t->ip + 4) + n));
	} else {
		store_be16(out + t->ip + 4, (uint16_t)(whole - t->ip - IPV6_HEADER));
	}
	if (t->tcp) {
		store_be32(out + t->l4 + TCP_SEQ, load_be32(frame + t->l4 + TCP_SEQ) + (uint32_t)(n * t->mss));
		if (at + part < len)
			out[t->l4 + TCP_FLAGS] &= (uint8_t)~FIN_PSH;
	} else {
		store_be16(out + t->l4 + UDP_LEN, (uint16_t)(whole - t->l4));
	}
	if (t->ip_sum) {
		store_be16(out + t->ip_sum, 0);
		frame_put_sum(out, whole, t->ip, t->ip_sum, t->l4, false);
	}
	if (t->l4_sum) {
		/* The driver left the sum of the pseudo header without the length, which differs by frame. */
		uint32_t sum = load_be16(frame + t->l4_sum) + (uint32_t)(whole - t->l4);

		store_be16(out + t->l4_sum, fold(sum));
		frame_put_sum(out, whole, t->l4, t->l4_sum, whole, !t->tcp);
	}
	return whole;
}

/* ---- received frames ---- */

/* addresses: both, one after the other. False: no checksum to check, or not all of it is there. */
static void look_l4(struct frame_info *f, const uint8_t *frame, size_t end, unsigned proto, const uint8_t *addresses,
		    size_t addresses_len, bool check)
{
	size_t len = end - f->l4;
	const uint8_t *p = frame + f->l4;

	if (proto == PROTO_TCP && len >= TCP_MIN) {
		f->tcp = true;
		f->header = f->l4 + (size_t)(p[TCP_OFFSET] >> 4) * 4;
	} else if (proto == PROTO_UDP && len >= UDP_HEADER && load_be16(p + UDP_SUM)) {
		f->udp = true;
		f->header = f->l4 + UDP_HEADER;
		if (load_be16(p + UDP_LEN) >= UDP_HEADER && load_be16(p + UDP_LEN) < len)
			len = load_be16(p + UDP_LEN);
	} else {
		return;
	}
	if (check)
		f->l4_bad = frame_sum(p, len, frame_sum(addresses, addresses_len, proto + (uint32_t)len)) != 0xffff;
}

static void look_ipv4(struct frame_info *f, const uint8_t *frame, size_t len, size_t ip, bool check)
{
	const uint8_t *h = frame + ip;
	size_t header = len - ip >= IPV4_MIN ? (size_t)(h[0] & 15) * 4 : 0, total;

	if (header < IPV4_MIN || h[0] >> 4 != 4 || ip + header > len)
		return;
	total = load_be16(h + 2);
	f->ipv4 = true;
	f->ip_bad = check && frame_sum(h, header, 0) != 0xffff;
	f->l4 = ip + header;
	if (total >= header && ip + total <= len && !(load_be16(h + 6) & 0x3fff))
		look_l4(f, frame, ip + total, h[9], h + 12, 8, check);
}

static void look_ipv6(struct frame_info *f, const uint8_t *frame, size_t len, size_t ip, bool check)
{
	const uint8_t *h = frame + ip;

	if (len - ip < IPV6_HEADER || h[0] >> 4 != 6)
		return;
	f->ipv6 = true;
	f->l4 = ip + IPV6_HEADER;
	if (f->l4 + load_be16(h + 4) <= len)
		look_l4(f, frame, f->l4 + load_be16(h + 4), h[6], h + 8, 32, check);
}

void frame_look(struct frame_info *f, const uint8_t *frame, size_t len, bool check)
{
	size_t ip = FRAME_HEADER;
	uint16_t type;

	*f = (struct frame_info){ 0 };
	if (len < FRAME_HEADER)
		return;
	type = load_be16(frame + 12);
	if (type == TYPE_VLAN && len >= FRAME_HEADER + FRAME_TAG) {
		f->tagged = true;
		f->tag = load_be16(frame + 14);
		type = load_be16(frame + 16);
		ip += FRAME_TAG;
	}
	if (type == TYPE_IPV4)
		look_ipv4(f, frame, len, ip, check);
	else if (type == TYPE_IPV6)
		look_ipv6(f, frame, len, ip, check);
}

unsigned frame_mac_crc6(const uint8_t mac[FRAME_MAC])
{
	uint32_t crc = UINT32_MAX;

	for (unsigned n = 0; n < FRAME_MAC; n++)
		for (unsigned bit = 0; bit < 8; bit++) {
			uint32_t carry = (crc >> 31) ^ (mac[n] >> bit & 1);

			crc = crc << 1 ^ (carry ? CRC_POLY : 0);
		}
	return crc >> 26;
}
