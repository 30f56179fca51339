/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network interfaces of the host, by rtnetlink: bridges made and deleted, addresses, taps, counters. Each call speaks
 * to the kernel with a socket of its own and waits for its answer, which takes microseconds. Any thread.
 */
#ifndef PANAL_DAEMON_NETWORK_LINK_H
#define PANAL_DAEMON_NETWORK_LINK_H

#include "base/err.h"

enum { LINK_NAME_SIZE = 16 }; /* with the zero: IFNAMSIZ */

struct link_counters {
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped;
};

struct link_info {
	char name[LINK_NAME_SIZE], kind[LINK_NAME_SIZE]; /* kind: "bridge", "tun", "veth"; empty for hardware */
	unsigned index, master, mtu;                     /* master: index, 0 for none */
	uint8_t mac[6];
	bool ethernet, up, running, loopback;
	struct link_counters counters;
};

/* -ENODEV: there is none. */
int link_get(const char *name, struct link_info *out, struct err *e) ATTR_MUST_USE;
/* Calls f for each. */
int link_each(void (*f)(void *opaque, const struct link_info *l), void *opaque, struct err *e) ATTR_MUST_USE;

struct link_bridge {
	const char *name;
	const uint8_t *mac; /* NULL: the kernel's choice */
	unsigned mtu;       /* 0: the kernel's choice */
	bool stp;
	unsigned delay_s;   /* forward delay */
};
/* Down, without addresses. -EEXIST: an interface of this name is there. */
int link_add_bridge(const struct link_bridge *b, struct err *e) ATTR_MUST_USE;
/* It is no error when there is none. */
int link_delete(const char *name, struct err *e) ATTR_MUST_USE;
int link_set_up(const char *name, struct err *e) ATTR_MUST_USE;
int link_set_mtu(const char *name, unsigned mtu, struct err *e) ATTR_MUST_USE;
/* Puts it on the bridge; NULL: on none. */
int link_set_master(const char *name, const char *bridge, struct err *e) ATTR_MUST_USE;
/* family: AF_INET or AF_INET6; address: 4 or 16 bytes. It is no error when the address is there. */
int link_add_address(const char *name, int family, const void *address, unsigned prefix, struct err *e) ATTR_MUST_USE;
/* gateway NULL: directly on the interface; metric 0: the kernel's choice. */
int link_add_route(const char *name, int family, const void *network, unsigned prefix, const void *gateway,
		   unsigned metric, struct err *e) ATTR_MUST_USE;

/* The first address of that family on the interface. False: it has none. */
bool link_address(const char *name, int family, void *address, unsigned *prefix);

/*
 * Makes a tap with virtio-net headers, not persistent: it lives as long as the descriptor, in whatever process. name:
 * its name, or with %d a pattern of which the kernel takes the first free number; out: what it became. The
 * descriptor, or a negative errno.
 */
int link_open_tap(const char *name, const uint8_t mac[6], char out[LINK_NAME_SIZE], struct err *e) ATTR_MUST_USE;

/* "52:54:00:12:34:56". False: that is no address. */
bool link_parse_mac(uint8_t mac[6], const char *text);

#endif
