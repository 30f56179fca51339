/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sockets that libvirt's clients look for, and those that a service manager hands in. */
#ifndef PANAL_DAEMON_SOCKETS_H
#define PANAL_DAEMON_SOCKETS_H

#include "base/err.h"

struct server;

/* Who may use the sockets for commands: their own user, the group libvirt, everybody who is then asked. */
enum sockets_kind { SOCKETS_OWN, SOCKETS_GROUP, SOCKETS_ALL };

/*
 * Gives the server its listening sockets: those of the service manager (LISTEN_FDS) when there are any, else
 * libvirt-sock, virtqemud-sock and virtpanald-sock in the directory and, but for SOCKETS_OWN, their read-only twins.
 * A socket that a dead program left is replaced; one that another program serves is an error. Everybody may use the
 * twins. *made: they are ours, and to be removed at the end.
 */
int sockets_open(struct server *s, const char *dir, enum sockets_kind kind, bool *made, struct err *e) ATTR_MUST_USE;
/* Removes what sockets_open made; not after its failure. */
void sockets_remove(const char *dir);

#endif
