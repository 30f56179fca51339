/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the sub-commands that go through the daemon share: the machine that a name means, and calls on it. */
#ifndef PANAL_CLI_REMOTE_H
#define PANAL_CLI_REMOTE_H

#include "client/conn.h"

/* The numbers are libvirt's. */
enum machine_state {
	MACHINE_RUNNING = 1,
	MACHINE_PAUSED = 3,
	MACHINE_SHUTDOWN = 4,
	MACHINE_OFF = 5,
	MACHINE_CRASHED = 6,
};

/* As one call tells of a machine; numbers that are not known are 0. */
struct machine {
	char *name;
	uint8_t uuid[UUID_SIZE];
	int32_t id; /* -1: it does not run */
	int state;
	unsigned vcpus;
	uint64_t cpu_ns, memory_kib, resident_kib;
	uint64_t read_bytes, written_bytes, received_bytes, sent_bytes; /* all disks, all cards */
};

struct machines {
	struct machine *v;
	unsigned n;
};

/* All of them, by name. Free with machines_free. */
int machines_get(struct conn *c, struct machines *all, struct err *e) ATTR_MUST_USE;
void machines_free(struct machines *all);

/* One by its name; only name, uuid and id are set. Free with machine_free. The error says what to do. */
int machine_find(struct conn *c, const char *name, struct machine *m, struct err *e) ATTR_MUST_USE;
void machine_free(struct machine *m);
/* The state now (enum machine_state), or a negative errno. */
int machine_state(struct conn *c, const struct machine *m, struct err *e);

/* Begins the arguments of a call on a machine. */
void machine_args(struct xdr_out *o, const struct machine *m);
/* A call whose arguments are the machine and, with flags >= 0, a word of flags; the answer is not looked at. */
int machine_call(struct conn *c, const struct machine *m, const char *proc, int64_t flags, struct err *e) ATTR_MUST_USE;
/* A call whose arguments are a document and no flags; the answer is not looked at. */
int document_call(struct conn *c, const char *proc, const char *xml, struct err *e) ATTR_MUST_USE;
/* The machine's document, to be freed; NULL with e set. */
enum { XML_INACTIVE = 2, XML_SECURE = 1 };
char *machine_xml(struct conn *c, const struct machine *m, uint32_t flags, struct err *e);

#endif
