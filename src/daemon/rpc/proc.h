/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The procedures of libvirt's remote program, one row each: number, who may call it, and what goes over the wire in
 * both directions as a signature. Decoders, the check of what is encoded, and the documentation come from the rows.
 *
 * A signature is a list of items parted by spaces, each a type and a name ("i:count"; a type alone names itself):
 *
 *   i u   32 bits, signed and unsigned (the smaller types of the protocol too)    h H   64 bits, signed and unsigned
 *   d     double          s     string            x     opaque bytes              c     bytes, each in 32 bits
 *   m     32 characters, each in 32 bits          U     UUID, 16 bytes            T     typed parameters
 *   D N P V S X C E I W B O   references: domain, network, storage pool, volume, secret, snapshot, checkpoint,
 *                             node device, interface, filter, filter binding, network port
 *   ?     before a type: may be absent            [...] an array of what is in the brackets
 */
#ifndef PANAL_DAEMON_RPC_PROC_H
#define PANAL_DAEMON_RPC_PROC_H

#include "base/compiler.h"

enum { PROC_COUNT = 453 };
/* The program beside it that is about the hypervisor (QEMU's): its procedure N is PROC_COUNT + N here. */
enum { PROC_HYPERVISOR_COUNT = 7, PROC_ALL = PROC_COUNT + PROC_HYPERVISOR_COUNT };

enum proc_access {
	PROC_ANY,   /* before the client is known, too */
	PROC_READ,  /* on read-only connections, too */
	PROC_WRITE,
	PROC_EVENT, /* from the server to the client */
};

struct proc {
	uint16_t number;
	uint8_t tier; /* 0: connect and inspect ... 4: rarely used; the order in which they are built */
	uint8_t access;
	const char *name;
	const char *args, *ret; /* of an event, ret is its message */
};

/* NULL: there is no such procedure. */
const struct proc *proc_by_number(uint32_t number);
/* Of the hypervisor program, by its number there; NULL: it is not known. */
const struct proc *proc_of_hypervisor(uint32_t number);
const struct proc *proc_by_name(const char *name);
/* Whether a word of flags is the last argument. */
bool proc_has_flags(const struct proc *p);
/* The name of the function in the client's library, "virDomainCreateXML", as error texts have it. */
void proc_function(const struct proc *p, char *out, size_t size);

/* What a reference is made of: the signature behind D, N, P...; NULL for every other letter. */
const char *proc_reference(char type);

#endif
