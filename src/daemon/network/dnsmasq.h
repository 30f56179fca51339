/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of dnsmasq, which gives a network's machines their addresses and names. */
#ifndef PANAL_DAEMON_NETWORK_DNSMASQ_H
#define PANAL_DAEMON_NETWORK_DNSMASQ_H

#include "base/buf.h"
#include "daemon/xml/netdef.h"

/* Whether the network needs one at all. */
bool dnsmasq_wanted(const struct netdef *d);
/*
 * Appends the configuration file; dir is where its own files lie. Nothing of the document goes in that could be read
 * as a line of its own: what holds other characters than its kind has is an error.
 * Errors: -EBADMSG (the text names the element), -ENOTSUP, those of b.
 */
int dnsmasq_text(struct buf *b, const struct netdef *d, const char *dir, struct err *e) ATTR_MUST_USE;

#endif
