/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server for GDB's remote protocol: one debugger at a time, vCPU n is thread n + 1. All of it runs on the main loop.
 * The debugger is trusted as the machine's user is: it reads and changes everything of the guest. What it sends is
 * still taken as hostile input: packets are bounded, lengths and addresses checked.
 */
#ifndef PANAL_DEBUG_GDB_H
#define PANAL_DEBUG_GDB_H

#include "base/err.h"
#include "core/vm.h"

struct gdb;
struct loop;

/* spec: "PORT" or "tcp:127.0.0.1:PORT" (a host address in digits), or "unix:PATH". A machine that runs is paused when a
 * debugger comes, and goes on when it leaves. Errors name the address and the remedy. */
int gdb_create(struct gdb **out, const char *spec, struct vm *vm, struct err *e) ATTR_MUST_USE;
void gdb_destroy(struct gdb *g); /* NULL is allowed */
/* For vm->on_event. */
void gdb_event(struct gdb *g, enum vm_event ev, enum vm_request why);
/* The path of a unix socket in spec, or NULL. */
const char *gdb_socket_path(const char *spec);
/* Handles one packet without its frame, as if a debugger had sent it. For tests. */
void gdb_packet(struct gdb *g, const char *data, size_t len);
/* A server that listens nowhere. For tests. */
int gdb_create_idle(struct gdb **out, struct vm *vm, struct err *e) ATTR_MUST_USE;

#endif
