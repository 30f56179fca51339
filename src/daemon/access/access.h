/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may come and what of it: the unix sockets' owners and polkit, TLS and SASL on the network. */
#ifndef PANAL_DAEMON_ACCESS_ACCESS_H
#define PANAL_DAEMON_ACCESS_ACCESS_H

#include "daemon/daemon.h"
#include "daemon/rpc/server.h"

/* polkit's actions, as libvirt names them: to look, and to do everything. */
#define ACCESS_MONITOR "org.libvirt.unix.monitor"
#define ACCESS_MANAGE "org.libvirt.unix.manage"

/* Makes what d->access asks for: polkit's connection, certificates, listening sockets of the network. */
int access_open(struct daemon *d, struct err *e) ATTR_MUST_USE;
/* After the server is gone. */
void access_close(struct daemon *d);

/* For the server's configuration; opaque is the daemon. */
enum admittance access_admit(void *opaque, uid_t uid, gid_t gid, pid_t pid, bool read_only);
int access_authorize(struct call *call);

/* What must be allowed for a procedure, as libvirt names its actions ("org.libvirt.api.domain.start"). */
void access_action(const struct proc *p, char *out, size_t size);

#endif
