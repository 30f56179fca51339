/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SASL (RFC 4422) by Cyrus' library, as the service "libvirt": its mechanisms and passwords are configured in
 * /etc/sasl2/libvirt.conf, as for libvirtd. On a connection that is not encrypted only mechanisms that encrypt it
 * themselves are offered; libvirt's clients take no others there.
 */
#ifndef PANAL_DAEMON_RPC_SASL_H
#define PANAL_DAEMON_RPC_SASL_H

#include "daemon/rpc/wire.h"

struct sasl;

/* Once, before the first session. */
int sasl_prepare(struct err *e) ATTR_MUST_USE;
/* For the whole process: after the last session. */
void sasl_finish(void);

/* A session for the connection; strength: bits of the encryption that there is already, 0 for none. */
int sasl_create(struct sasl **out, int fd, unsigned strength, struct err *e) ATTR_MUST_USE;
void sasl_destroy(struct sasl *s); /* NULL is allowed */
/* Names with commas between them; they live as long as the session. */
int sasl_mechanisms(struct sasl *s, const char **out, struct err *e) ATTR_MUST_USE;
/* One step; mechanism NULL: one after the first. 1: the client is who it says; 0: another step; -EACCES: it is not.
 * The answer lives until the next step; *reply NULL: none. */
int sasl_step(struct sasl *s, const char *mechanism, const char *data, size_t len, const char **reply,
	      size_t *reply_len, struct err *e) ATTR_MUST_USE;
/* A layer that encrypts what goes over fd, which is borrowed, as is the session. *out NULL: none is needed. */
int sasl_layer(struct sasl *s, int fd, struct wire **out, struct err *e) ATTR_MUST_USE;

#endif
