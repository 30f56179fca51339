/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What network cards compute over Ethernet frames: checksums (RFC 1071), the segments of a large TCP send, and what a
 * received frame holds. A frame is what lies in one buffer, without FCS. Nothing here keeps state.
 */
#ifndef PANAL_DEVICES_NET_FRAME_H
#define PANAL_DEVICES_NET_FRAME_H

#include "base/compiler.h"
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_MAC = 6,
	FRAME_HEADER = 14,
	FRAME_TAG = 4,
	FRAME_MIN = 60,
	FRAME_FCS = 4,
	FRAME_STANDARD = 1514, /* the longest without tag and FCS */
};

/* The one's complement sum of these bytes, folded to 16 bits and not complemented; start is added. */
uint16_t frame_sum(const uint8_t *p, size_t len, uint32_t start);

/* Sums [start, end) of a frame, what is at `at` included, and stores the complement at `at`. end 0 or beyond the frame:
 * its end. False, and nothing is stored, when the places are not inside. A sum of zero is stored as ones with udp. */
bool frame_put_sum(uint8_t *frame, size_t len, size_t start, size_t at, size_t end, bool udp);

/* A send that the card cuts into frames. Offsets into the frame as the driver gave it, without tag. */
struct frame_tso {
	size_t header; /* length of all headers */
	size_t mss;    /* payload of each frame, at least 1 */
	size_t ip;     /* where the IP header begins */
	size_t l4;     /* where that of TCP or UDP begins */
	size_t ip_sum, l4_sum; /* where the checksums go; 0: this one is left alone */
	bool ipv4, tcp;
};
/* True when the headers lie in one another as they must, in a frame of len bytes. */
bool frame_tso_good(const struct frame_tso *t, size_t len);
/* How many frames there will be; at least one. */
unsigned frame_tso_count(const struct frame_tso *t, size_t len);
/* Makes the n-th into out, which has room for header + mss bytes; its length. */
size_t frame_tso_make(const struct frame_tso *t, const uint8_t *frame, size_t len, unsigned n, uint8_t *out);

/* What a received frame is, with its checksums looked at. */
struct frame_info {
	bool tagged;
	uint16_t tag;
	bool ipv4, ipv6;
	bool ip_bad; /* IPv4 header checksum */
	bool tcp, udp; /* whole, no fragment, and with a checksum */
	bool l4_bad;
	size_t l4;     /* where TCP or UDP begins, when it is one */
	size_t header; /* all headers together, when it is one; else 0 */
};
/* check false: the checksums are not computed. */
void frame_look(struct frame_info *f, const uint8_t *frame, size_t len, bool check);

/* The upper bits of the FCS over a MAC address, by which cards of Realtek hash multicast: 6 bits. */
unsigned frame_mac_crc6(const uint8_t mac[FRAME_MAC]);

#endif
