/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS with x509 on both sides. A client's certificate must be signed by our authority, be of its time, be meant for
 * clients, not be revoked, and, when patterns are given, have a name that matches one.
 */
#ifndef PANAL_DAEMON_RPC_TLS_H
#define PANAL_DAEMON_RPC_TLS_H

#include "daemon/rpc/wire.h"

struct tls;

enum { TLS_PATTERNS_MAX = 16 };

struct tls_config {
	/* As libvirt's: CA/cacert.pem, CA/cacrl.pem (if there is one), libvirt/servercert.pem and
	 * libvirt/private/serverkey.pem below it. */
	const char *pki_dir;
	/* Names of clients, shell patterns against the whole name ("C=DE,O=Acme,CN=admin*"); none: every name. */
	const char *const *pattern;
	unsigned pattern_count;
};

/* cfg's texts are borrowed for the context's life. */
int tls_create(struct tls **out, const struct tls_config *cfg, struct err *e) ATTR_MUST_USE;
void tls_destroy(struct tls *t);
/* For a connection that was accepted; the descriptor is borrowed. The files are read again when they have changed, so
 * that a revocation holds from the next connection on. */
int tls_accept(struct tls *t, int fd, struct wire **out, struct err *e) ATTR_MUST_USE;
/* Bits of the session's key, for SASL. */
unsigned tls_strength(const struct wire *w);

#endif
