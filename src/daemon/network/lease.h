/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file in which dnsmasq keeps who has which address. Names in it are the guests' own: hostile input. */
#ifndef PANAL_DAEMON_NETWORK_LEASE_H
#define PANAL_DAEMON_NETWORK_LEASE_H

#include "base/err.h"

enum { LEASE_FILE_MAX = 8 << 20, LEASES_MAX = 16384 };

struct lease {
	int64_t expiry;     /* seconds since 1970; 0: it does not expire */
	bool six;           /* IPv6 */
	char mac[18];       /* of IPv4; empty where it is not known */
	char iaid[12];      /* of IPv6 */
	char address[46];
	char host[256];     /* empty: it said none */
	char client[520];   /* client id or DUID, hexadecimal; empty: none */
};

/*
 * Calls f for each lease in the text that has not expired at `now` (0: for all). Lines that are no leases are passed
 * over: the file may be in the middle of being written.
 */
void leases_parse(const char *text, size_t len, int64_t now, void (*f)(void *opaque, const struct lease *l),
		  void *opaque);
/* The same of a file; one that is not there has no leases. */
int leases_read(const char *path, void (*f)(void *opaque, const struct lease *l), void *opaque, struct err *e)
	ATTR_MUST_USE;

#endif
