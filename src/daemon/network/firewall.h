/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a network in the kernel's packet filter, nftables. Each network has a table of its own,
 * "panal-BRIDGE", replaced and deleted as a whole. A packet that our table accepts another may still drop; Docker's
 * does, and hosts whose iptables chains have the policy "drop": there a few rules are put at the head of the chain
 * which is asked first (DOCKER-USER, FORWARD, INPUT of the table "filter"), marked with a comment "panal:BRIDGE".
 */
#ifndef PANAL_DAEMON_NETWORK_FIREWALL_H
#define PANAL_DAEMON_NETWORK_FIREWALL_H

#include "base/buf.h"
#include "daemon/xml/netdef.h"

/* Appends what gives the network its table anew. Errors: -EBADMSG, those of b. */
int firewall_text(struct buf *b, const struct netdef *d, struct err *e) ATTR_MUST_USE;
/* What a network needs of other tables. */
enum firewall_use { FIREWALL_GONE, FIREWALL_ISOLATED, FIREWALL_FORWARDED };
/*
 * Appends what brings other tables into order: our rules out, and in again where the chains drop.
 * listing: what "nft -j list table FAMILY filter" said. Errors: those of b.
 */
int firewall_foreign_text(struct buf *b, const char *listing, size_t len, const char *family, const char *bridge,
			  enum firewall_use use) ATTR_MUST_USE;
/* Whether nothing has to be done: our table is there, and no other drops. listing: of "nft -j list chains". */
bool firewall_in_order(const char *listing, size_t len, const char *bridge);

/* Makes it so, at once or not at all. */
int firewall_apply(const struct netdef *d, struct err *e) ATTR_MUST_USE;
/* The same, if it is not so: somebody flushed the rules, or Docker came. */
int firewall_refresh(const struct netdef *d, struct err *e) ATTR_MUST_USE;
/* It is no error when there is nothing to remove. */
int firewall_remove(const char *bridge, struct err *e) ATTR_MUST_USE;

#endif
