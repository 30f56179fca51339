/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the GDB server share. All of it runs on the main loop. */
#ifndef PANAL_DEBUG_GDB_PRIV_H
#define PANAL_DEBUG_GDB_PRIV_H

#include "arch/x86/regs.h"
#include "base/buf.h"
#include "core/gmem.h"
#include "core/vcpu.h"
#include "debug/gdb.h"
#include "debug/gdb_packet.h"

struct gdb_int3 {
	uint64_t gpa;
	uint8_t was;
};

struct gdb {
	struct vm *vm;
	int listener, peer; /* -1: none */
	struct loop_fd *listen_watch, *peer_watch;
	const char *path; /* of the unix socket */
	struct gdb_parser parser;
	struct buf out, answer, xml;
	bool no_ack, no_ack_next, physical;
	bool resumed; /* the debugger waits for a stop */
	bool quiet;   /* stops are our own doing */
	unsigned current; /* vCPU of g, m and so on */
	struct vcpu_debug points; /* what the debugger has set; single_step is per vCPU */
	struct gdb_int3 int3[VCPU_DEBUG_POINTS];
	unsigned int3_count;
};

enum { GDB_SIG_INT = 2, GDB_SIG_TRAP = 5 };
enum gdb_action { GDB_STAY, GDB_CONTINUE, GDB_STEP };

/* ---- gdb_say.c ---- */
void gdb_flush(struct gdb *g); /* sends what the peer takes */
void gdb_send(struct gdb *g, const void *data, size_t len); /* as one packet */
void gdb_say(struct gdb *g, const char *text);
void gdb_say_answer(struct gdb *g); /* what is in g->answer */
void gdb_say_hex(struct gdb *g, const char *prefix, const char *text); /* the text in hexadecimal */
/* Moves *p behind the word when it is there. */
bool gdb_starts(const char **p, const char *word);
/* "addr,len"; moves *p on. */
bool gdb_range_read(const char **p, uint64_t *addr, uint64_t *len);
/* "-1", "0" (any) and thread numbers; false for what is no vCPU. *n is vcpu_count for all. */
bool gdb_thread_read(struct gdb *g, const char **p, unsigned *n);

/* ---- gdb_access.c ---- */
struct vcpu *gdb_vcpu(struct gdb *g); /* the current one */
bool gdb_state_get(struct gdb *g, struct x86_state *s);
void gdb_cmd_registers_read(struct gdb *g);
void gdb_cmd_registers_write(struct gdb *g, const char *p);
void gdb_cmd_register(struct gdb *g, const char *p, bool write);
void gdb_cmd_memory_read(struct gdb *g, const char *p);
void gdb_cmd_memory_write(struct gdb *g, const char *p, const char *end, bool binary);

/* ---- gdb_points.c ---- */
/* Sets them on all vCPUs. 0 or a negative errno. */
int gdb_points_apply(struct gdb *g, const struct vcpu_debug *d);
void gdb_int3_insert(struct gdb *g);
void gdb_int3_remove(struct gdb *g);
void gdb_cmd_point(struct gdb *g, const char *p, bool insert);

/* ---- gdb_run.c ---- */
void gdb_tell_stop(struct gdb *g, unsigned sig, const struct vcpu_debug_stop *why); /* why may be NULL */
void gdb_cmd_continue(struct gdb *g, const char *p, enum gdb_action what);
void gdb_cmd_vcont(struct gdb *g, const char *p);
/* The debugger is gone: its points too, and the machine goes on. */
void gdb_leave(struct gdb *g);

/* ---- gdb_query.c ---- */
void gdb_cmd_query(struct gdb *g, const char *p);
void gdb_cmd_thread(struct gdb *g, const char *p, bool select);

/* ---- gdb_socket.c ---- */
int gdb_listen(struct gdb *g, const char *spec, struct err *e) ATTR_MUST_USE;
void gdb_unlisten(struct gdb *g); /* drops a debugger without letting the machine go on */

#endif
