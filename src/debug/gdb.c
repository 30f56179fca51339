/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INT3 bytes (accel_caps.debug_int3) are in guest memory only while the machine runs: they are put there when it goes
 * on and taken away when it stops, so that reading memory never shows one.
 */
#include "debug/gdb.h"

#include "core/accel.h"
#include "core/chardev.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "debug/gdb_memory.h"
#include "debug/gdb_packet.h"
#include "debug/gdb_target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 20, ANSWER_MAX = GDB_PACKET_MAX, SIG_INT = 2, SIG_TRAP = 5, INT3 = 0xcc };

struct int3 {
	uint64_t gpa;
	uint8_t was;
};

struct gdb {
	struct vm *vm;
	int listener, peer;
	struct loop_fd *listen_watch, *peer_watch;
	const char *path; /* of the unix socket */
	struct gdb_parser parser;
	struct buf out, answer, xml;
	bool no_ack, no_ack_next, physical;
	bool resumed; /* the debugger waits for a stop */
	bool quiet;   /* stops are our own doing */
	unsigned current; /* vCPU of g, m and so on */
	struct vcpu_debug points; /* what the debugger has set; single_step is per vCPU */
	struct int3 int3[VCPU_DEBUG_POINTS];
	unsigned int3_count;
};

/* ---- output ---- */

static void flush_out(struct gdb *g)
{
	while (g->out.len) {
		ssize_t n = send(g->peer, g->out.data, g->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_consume(&g->out, (size_t)n);
	}
	if (g->peer_watch)
		loop_fd_events(g->peer_watch, g->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void send_packet(struct gdb *g, const void *data, size_t len)
{
	if (g->peer < 0)
		return;
	/* A debugger that does not read is cut off; the watch sees that. */
	if (gdb_packet_write(&g->out, data, len) < 0)
		shutdown(g->peer, SHUT_RDWR);
	flush_out(g);
}

static void say(struct gdb *g, const char *text)
{
	send_packet(g, text, strlen(text));
}

/* What is in g->answer. */
static void say_answer(struct gdb *g)
{
	send_packet(g, g->answer.data, g->answer.len);
}

/* ---- vCPUs ---- */

static struct vcpu *vcpu_of(struct gdb *g)
{
	return g->vm->vcpu[g->current];
}

static bool state_get(struct gdb *g, struct x86_state *s)
{
	return vcpu_get_state(vcpu_of(g), s, NULL) == 0;
}

static int apply_points(struct gdb *g, const struct vcpu_debug *d)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < g->vm->vcpu_count; n++)
		ret = vcpu_set_debug(g->vm->vcpu[n], d, NULL);
	return ret;
}

static void int3_remove(struct gdb *g)
{
	for (; g->int3_count; g->int3_count--) {
		const struct int3 *i = &g->int3[g->int3_count - 1];
		uint8_t now = 0;

		/* Something else has written there since (a reset): that stays. */
		if (gmem_read(g->vm->mem, i->gpa, &now, 1) == 0 && now == INT3)
			(void)!gmem_write(g->vm->mem, i->gpa, &i->was, 1);
	}
}

static bool break_gpa(struct gdb *g, uint64_t addr, uint64_t *gpa)
{
	struct x86_state s;

	return state_get(g, &s) && gdb_translate(g->vm->mem, &s, addr, gpa);
}

static void int3_insert(struct gdb *g)
{
	const uint8_t byte = INT3;

	if (!vm_accel_caps(g->vm)->debug_int3)
		return;
	for (unsigned n = 0; n < g->points.count; n++) {
		struct int3 *i = &g->int3[g->int3_count];

		if (g->points.point[n].kind != VCPU_POINT_BREAK || !break_gpa(g, g->points.point[n].addr, &i->gpa))
			continue;
		if (gmem_read(g->vm->mem, i->gpa, &i->was, 1) == 0 && i->was != INT3 &&
		    gmem_write(g->vm->mem, i->gpa, &byte, 1) == 0)
			g->int3_count++;
	}
}

/* ---- stops ---- */

static void tell_stop(struct gdb *g, unsigned sig, const struct vcpu_debug_stop *why)
{
	static const char *const names[] = {
		[VCPU_POINT_BREAK] = "swbreak", [VCPU_POINT_EXEC] = "hwbreak", [VCPU_POINT_WRITE] = "watch",
		[VCPU_POINT_READ] = "rwatch", [VCPU_POINT_ACCESS] = "awatch",
	};
	int r;

	g->answer.len = 0;
	r = buf_printf(&g->answer, "T%02xthread:%x;", sig, g->current + 1);
	if (r == 0 && why && why->why == VCPU_DEBUG_POINT) {
		r = buf_printf(&g->answer, "%s:", names[why->kind]);
		if (r == 0 && why->kind >= VCPU_POINT_WRITE)
			r = buf_printf(&g->answer, "%llx", (unsigned long long)why->addr);
		if (r == 0)
			r = buf_append_byte(&g->answer, ';');
	}
	if (r == 0)
		say_answer(g);
}

/* The vCPU that has something to tell; a breakpoint that another one came to is met again when it goes on. */
static bool tell_debug_stop(struct gdb *g)
{
	for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
		struct vcpu_debug_stop why = g->vm->vcpu[n]->debug_stop;

		if (why.why == VCPU_DEBUG_NONE)
			continue;
		g->vm->vcpu[n]->debug_stop.why = VCPU_DEBUG_NONE;
		g->current = n;
		tell_stop(g, SIG_TRAP, &why);
		return true;
	}
	return false;
}

static void stopped(struct gdb *g)
{
	int3_remove(g);
	for (unsigned n = 0; n < g->vm->vcpu_count; n++)
		g->vm->vcpu[n]->held = false;
	if (g->resumed && !g->quiet) {
		g->resumed = false;
		if (!tell_debug_stop(g))
			tell_stop(g, SIG_INT, NULL);
	}
}

void gdb_event(struct gdb *g, enum vm_event ev, enum vm_request why)
{
	if (ev == VM_EVENT_STOP)
		stopped(g);
	if (ev == VM_EVENT_SHUTDOWN && g->resumed) {
		g->resumed = false;
		say(g, why == VM_REQUEST_POWEROFF || why == VM_REQUEST_RESET ? "W00" : "W01");
	}
}

/* ---- going on ---- */

enum action { ACT_NONE, ACT_CONTINUE, ACT_STEP };

/* A watchpoint that a second vCPU came to is told before anything runs. */
static bool stop_waits(struct gdb *g)
{
	for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
		struct vcpu_debug_stop *why = &g->vm->vcpu[n]->debug_stop;

		if (why->why == VCPU_DEBUG_POINT && why->kind >= VCPU_POINT_WRITE)
			return tell_debug_stop(g);
		why->why = VCPU_DEBUG_NONE;
	}
	return false;
}

static void go_on(struct gdb *g, const enum action *act)
{
	struct vcpu_debug d = g->points;

	if (stop_waits(g))
		return;
	for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
		d.single_step = act[n] == ACT_STEP;
		g->vm->vcpu[n]->held = act[n] == ACT_NONE;
		if (vcpu_set_debug(g->vm->vcpu[n], &d, NULL) < 0) {
			say(g, "E16");
			return;
		}
	}
	int3_insert(g);
	g->resumed = true;
	vm_resume(g->vm);
}

/* c, s with an optional address. */
static void cmd_continue(struct gdb *g, const char *p, enum action what)
{
	enum action act[VCPU_MAX];
	struct x86_state s;
	uint64_t addr;

	for (unsigned n = 0; n < VCPU_MAX; n++)
		act[n] = what == ACT_STEP && n != g->current ? ACT_NONE : what;
	if (*p) {
		bool ok = gdb_hex_number(&p, &addr) && state_get(g, &s);

		s.rip = ok ? addr : 0;
		if (!ok || vcpu_set_state(vcpu_of(g), &s, NULL) < 0) {
			say(g, "E22");
			return;
		}
	}
	go_on(g, act);
}

/* "-1", "0" (any) and thread numbers; false for what is no vCPU. *n is vcpu_count for all. */
static bool thread_read(struct gdb *g, const char **p, unsigned *n)
{
	uint64_t id;

	if (!strncmp(*p, "-1", 2)) {
		*p += 2;
		*n = g->vm->vcpu_count;
		return true;
	}
	if (!gdb_hex_number(p, &id) || id > g->vm->vcpu_count)
		return false;
	*n = id ? (unsigned)id - 1 : g->current;
	return true;
}

/* vCont;s:1;c : the first action that names a thread is its. */
static void cmd_vcont(struct gdb *g, const char *p)
{
	enum action act[VCPU_MAX] = { ACT_NONE };
	bool any = false;

	while (*p == ';') {
		char what = p[1];
		unsigned who = g->vm->vcpu_count;

		if (!strchr("cCsS", what) || !what)
			break;
		p += 2;
		if (what == 'C' || what == 'S') {
			uint64_t sig;

			if (!gdb_hex_number(&p, &sig))
				break;
		}
		if (*p == ':' && (p++, !thread_read(g, &p, &who)))
			break;
		for (unsigned n = 0; n < g->vm->vcpu_count; n++)
			if ((who == n || who == g->vm->vcpu_count) && act[n] == ACT_NONE)
				act[n] = what == 'c' || what == 'C' ? ACT_CONTINUE : ACT_STEP;
		any = true;
	}
	if (*p || !any)
		say(g, "E22");
	else
		go_on(g, act);
}

/* ---- registers ---- */

static void cmd_registers_read(struct gdb *g)
{
	struct x86_state s;
	uint8_t bytes[GDB_REGISTER_MAX];
	int r = state_get(g, &s) ? 0 : -EIO;

	g->answer.len = 0;
	for (unsigned n = 0; r == 0 && n < gdb_register_count(); n++) {
		gdb_register_get(&s, n, bytes);
		r = gdb_hex_write(&g->answer, bytes, gdb_register_size(n));
	}
	if (r < 0)
		say(g, "E05");
	else
		say_answer(g);
}

static void cmd_registers_write(struct gdb *g, const char *p)
{
	struct x86_state s;
	uint8_t bytes[GDB_REGISTER_MAX];
	bool ok = state_get(g, &s);

	for (unsigned n = 0; ok && n < gdb_register_count(); n++) {
		ok = gdb_hex_read(&p, bytes, gdb_register_size(n));
		if (ok)
			(void)gdb_register_set(&s, n, bytes);
	}
	say(g, ok && vcpu_set_state(vcpu_of(g), &s, NULL) == 0 ? "OK" : "E22");
}

static void cmd_register(struct gdb *g, const char *p, bool write)
{
	struct x86_state s;
	uint8_t bytes[GDB_REGISTER_MAX];
	uint64_t n;
	bool ok = gdb_hex_number(&p, &n) && n < gdb_register_count() && state_get(g, &s);

	if (ok && write) {
		ok = *p++ == '=' && gdb_hex_read(&p, bytes, gdb_register_size((unsigned)n)) &&
		     gdb_register_set(&s, (unsigned)n, bytes) && vcpu_set_state(vcpu_of(g), &s, NULL) == 0;
		say(g, ok ? "OK" : "E22");
		return;
	}
	g->answer.len = 0;
	if (ok) {
		gdb_register_get(&s, (unsigned)n, bytes);
		ok = gdb_hex_write(&g->answer, bytes, gdb_register_size((unsigned)n)) == 0;
	}
	if (ok)
		say_answer(g);
	else
		say(g, "E22");
}

/* ---- memory ---- */

/* "addr,len" and, for writes, ':'. */
static bool range_read(const char **p, uint64_t *addr, uint64_t *len)
{
	return gdb_hex_number(p, addr) && *(*p)++ == ',' && gdb_hex_number(p, len);
}

static void cmd_memory_read(struct gdb *g, const char *p)
{
	uint8_t bytes[ANSWER_MAX / 2];
	struct x86_state s;
	uint64_t addr, len;
	size_t got = 0;

	g->answer.len = 0;
	if (range_read(&p, &addr, &len) && state_get(g, &s))
		got = gdb_memory_read(g->vm->mem, g->physical ? NULL : &s, addr, bytes, len < sizeof(bytes)
			? len : sizeof(bytes));
	if (got && gdb_hex_write(&g->answer, bytes, got) == 0)
		say_answer(g);
	else
		say(g, "E14");
}

/* M: digits; X: bytes. */
static void cmd_memory_write(struct gdb *g, const char *p, const char *end, bool binary)
{
	uint8_t bytes[GDB_PACKET_MAX];
	struct x86_state s;
	uint64_t addr, len;
	bool ok = range_read(&p, &addr, &len) && *p++ == ':' && len <= (uint64_t)(end - p) && state_get(g, &s);

	if (ok && binary)
		memcpy(bytes, p, len);
	else if (ok)
		ok = gdb_hex_read(&p, bytes, len);
	ok = ok && gdb_memory_write(g->vm->mem, g->physical ? NULL : &s, addr, bytes, len) == len;
	say(g, ok ? "OK" : "E14");
}

/* ---- breakpoints and watchpoints ---- */

static bool same_point(const struct vcpu_debug_point *a, const struct vcpu_debug_point *b)
{
	return a->addr == b->addr && a->len == b->len && a->kind == b->kind;
}

static void cmd_point(struct gdb *g, const char *p, bool insert)
{
	struct vcpu_debug d = g->points;
	uint64_t kind = (uint64_t)(*p++ - '0'), addr, len, gpa;
	unsigned at = 0;

	if (kind > VCPU_POINT_ACCESS) {
		say(g, "");
		return;
	}
	if (*p++ != ',' || !range_read(&p, &addr, &len) || len > 4096) {
		say(g, "E22");
		return;
	}
	struct vcpu_debug_point want = { addr, kind >= VCPU_POINT_WRITE && len ? (uint32_t)len : 1,
		(enum vcpu_point)kind };
	while (at < d.count && !same_point(&d.point[at], &want))
		at++;
	if (insert && kind == VCPU_POINT_BREAK && vm_accel_caps(g->vm)->debug_int3 &&
	    (!break_gpa(g, addr, &gpa) || !gmem_at(g->vm->mem, gpa, 1))) {
		say(g, "E14");
		return;
	}
	if (insert && at == d.count && at < VCPU_DEBUG_POINTS)
		d.point[d.count++] = want;
	else if (!insert && at < d.count)
		d.point[at] = d.point[--d.count];
	int ret = insert && at == VCPU_DEBUG_POINTS ? -ENOSPC : apply_points(g, &d);
	if (ret == 0)
		g->points = d;
	else
		(void)!apply_points(g, &g->points);
	say(g, ret == 0 ? "OK" : ret == -ENOTSUP ? "" : "E28");
}

/* ---- queries ---- */

static void say_hex(struct gdb *g, const char *prefix, const char *text)
{
	g->answer.len = 0;
	if (buf_printf(&g->answer, "%s", prefix) == 0 && gdb_hex_write(&g->answer, text, strlen(text)) == 0)
		say_answer(g);
}

static void monitor_registers(struct gdb *g)
{
	static const char *const shown[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
		"r9", "r10", "r11",
		"r12", "r13", "r14", "r15", "rip", "eflags", "cs", "ss", "fs_base", "gs_base", "k_gs_base",
			"cr0", "cr2", "cr3",
		"cr4", "efer" };
	struct x86_state s;
	struct buf text;

	buf_init(&text, 4096);
	for (unsigned n = 0; state_get(g, &s) && n < gdb_register_count(); n++) {
		uint8_t bytes[GDB_REGISTER_MAX] = { 0 };
		uint64_t value;

		for (unsigned k = 0; k < COUNT_OF(shown); k++) {
			if (strcmp(shown[k], gdb_register_name(n)))
				continue;
			gdb_register_get(&s, n, bytes);
			memcpy(&value, bytes, 8);
			(void)!buf_printf(&text, "%-9s %016llx\n", shown[k], (unsigned long long)value);
		}
	}
	if (buf_append_byte(&text, 0) == 0)
		say_hex(g, "O", (const char *)text.data);
	buf_free(&text);
}

static void cmd_monitor(struct gdb *g, const char *p)
{
	char text[64] = "";
	size_t len = strlen(p) / 2;
	struct err e = { 0 };

	if (len < sizeof(text))
		(void)gdb_hex_read(&p, text, len);
	if (!strcmp(text, "info registers")) {
		monitor_registers(g);
	} else if (!strcmp(text, "reset")) {
		if (vm_reset(g->vm, VM_REQUEST_HOST_RESET, &e) < 0)
			say_hex(g, "O", e.text);
	} else {
		say_hex(g, "O", "help            this list\ninfo registers  of the current vCPU\n"
				"reset           restart the machine, which stays stopped\n"
				"Physical memory: maintenance packet Qqemu.PhyMemMode:1 (0: linear again)\n");
	}
	say(g, "OK");
}

static void cmd_xfer(struct gdb *g, const char *p)
{
	uint64_t at, len;

	if (strncmp(p, "target.xml:", 11) || (p += 11, !range_read(&p, &at, &len))) {
		say(g, "E00");
		return;
	}
	if (at > g->xml.len)
		at = g->xml.len;
	if (len > g->xml.len - at)
		len = g->xml.len - at;
	if (len > ANSWER_MAX / 2)
		len = ANSWER_MAX / 2;
	g->answer.len = 0;
	if (buf_append_byte(&g->answer, at + len < g->xml.len ? 'm' : 'l') == 0 &&
	    (!len || buf_append(&g->answer, g->xml.data + at, len) == 0))
		say_answer(g);
}

static void cmd_threads(struct gdb *g)
{
	int r = 0;

	g->answer.len = 0;
	for (unsigned n = 0; r == 0 && n < g->vm->vcpu_count; n++)
		r = buf_printf(&g->answer, "%c%x", n ? ',' : 'm', n + 1);
	if (r == 0)
		say_answer(g);
}

static bool starts(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len))
		return false;
	*p += len;
	return true;
}

static void cmd_query(struct gdb *g, const char *p)
{
	char text[32];
	unsigned n;

	if (starts(&p, "qSupported")) {
		say(g, "PacketSize=4000;qXfer:features:read+;vContSupported+;QStartNoAckMode+;swbreak+;hwbreak+");
	} else if (starts(&p, "qXfer:features:read:")) {
		cmd_xfer(g, p);
	} else if (starts(&p, "qRcmd,")) {
		cmd_monitor(g, p);
	} else if (starts(&p, "qfThreadInfo")) {
		cmd_threads(g);
	} else if (starts(&p, "qsThreadInfo")) {
		say(g, "l");
	} else if (starts(&p, "qThreadExtraInfo,")) {
		if (thread_read(g, &p, &n) && n < g->vm->vcpu_count) {
			snprintf(text, sizeof(text), "vCPU %u", n);
			say_hex(g, "", text);
		} else {
			say(g, "E22");
		}
	} else if (!strcmp(p, "qC")) {
		snprintf(text, sizeof(text), "QC%x", g->current + 1);
		say(g, text);
	} else if (starts(&p, "qAttached")) {
		say(g, "1");
	} else if (starts(&p, "Qqemu.PhyMemMode:")) {
		g->physical = *p == '1';
		say(g, "OK");
	} else if (starts(&p, "qqemu.PhyMemMode")) {
		say(g, g->physical ? "1" : "0");
	} else if (starts(&p, "QStartNoAckMode")) {
		g->no_ack_next = true;
		say(g, "OK");
	} else {
		say(g, "");
	}
}

/* ---- packets ---- */

static void leave(struct gdb *g)
{
	const struct vcpu_debug none = { 0 };

	g->quiet = true;
	vm_pause(g->vm);
	g->quiet = false;
	int3_remove(g);
	g->resumed = false;
	g->points = none;
	(void)!apply_points(g, &none);
	for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
		g->vm->vcpu[n]->held = false;
		g->vm->vcpu[n]->debug_stop.why = VCPU_DEBUG_NONE;
	}
	vm_resume(g->vm);
}

static void cmd_v(struct gdb *g, const char *p)
{
	if (!strcmp(p, "vCont?"))
		say(g, "vCont;c;C;s;S");
	else if (starts(&p, "vCont"))
		cmd_vcont(g, p);
	else if (starts(&p, "vKill")) {
		say(g, "OK");
		vm_end(g->vm, VM_REQUEST_POWEROFF);
	} else
		say(g, "");
}

static void cmd_thread(struct gdb *g, const char *p, bool select)
{
	unsigned n;

	if (select)
		p++; /* g and c: one current thread serves both */
	if (!thread_read(g, &p, &n)) {
		say(g, "E22");
		return;
	}
	if (select && n < g->vm->vcpu_count)
		g->current = n;
	say(g, "OK");
}

void gdb_packet(struct gdb *g, const char *p, size_t len)
{
	switch (*p) {
	case '?': tell_stop(g, SIG_TRAP, NULL); break;
	case 'g': cmd_registers_read(g); break;
	case 'G': cmd_registers_write(g, p + 1); break;
	case 'p': cmd_register(g, p + 1, false); break;
	case 'P': cmd_register(g, p + 1, true); break;
	case 'm': cmd_memory_read(g, p + 1); break;
	case 'M': cmd_memory_write(g, p + 1, p + len, false); break;
	case 'X': cmd_memory_write(g, p + 1, p + len, true); break;
	case 'c': cmd_continue(g, p + 1, ACT_CONTINUE); break;
	case 's': cmd_continue(g, p + 1, ACT_STEP); break;
	case 'H': len > 2 ? cmd_thread(g, p + 1, true) : say(g, "E22"); break;
	case 'T': cmd_thread(g, p + 1, false); break;
	case 'Z': cmd_point(g, p + 1, true); break;
	case 'z': cmd_point(g, p + 1, false); break;
	case 'q':
	case 'Q': cmd_query(g, p); break;
	case 'v': cmd_v(g, p); break;
	case 'D': say(g, "OK"); leave(g); break;
	case 'k': vm_end(g->vm, VM_REQUEST_POWEROFF); break;
	default: say(g, ""); break;
	}
}

static void take(struct gdb *g, uint8_t byte)
{
	switch (gdb_parser_put(&g->parser, byte)) {
	case GDB_PACKET:
		if (!g->no_ack)
			(void)!buf_append_byte(&g->out, '+');
		gdb_packet(g, g->parser.data, g->parser.len);
		g->no_ack |= g->no_ack_next;
		break;
	case GDB_BROKEN:
		if (!g->no_ack)
			(void)!buf_append_byte(&g->out, '-');
		break;
	case GDB_INTERRUPT: vm_pause(g->vm); break;
	default: break;
	}
}

/* ---- connections ---- */

static void drop(struct gdb *g)
{
	loop_fd_remove(g->peer_watch);
	g->peer_watch = NULL;
	close(g->peer);
	g->peer = -1;
	g->out.len = 0;
	if (atomic_load(&g->vm->run_state) != VM_ENDED)
		leave(g);
}

static void on_peer(void *opaque, int fd, unsigned events)
{
	struct gdb *g = opaque;
	uint8_t bytes[4096];

	if (events & LOOP_WRITE)
		flush_out(g);
	if (!(events & (LOOP_READ | LOOP_HANGUP)))
		return;
	ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		drop(g);
		return;
	}
	for (ssize_t n = 0; n < got; n++)
		take(g, bytes[n]);
	flush_out(g);
}

static void on_connect(void *opaque, int fd, unsigned events)
{
	struct gdb *g = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return;
	if (g->peer >= 0 || loop_fd_add(g->vm->loop, peer, LOOP_READ, on_peer, g, &g->peer_watch, NULL) < 0) {
		close(peer);
		return;
	}
	g->peer = peer;
	g->no_ack = g->no_ack_next = g->physical = g->resumed = false;
	g->parser.at = GDB_IDLE;
	g->current = 0;
	vm_pause(g->vm);
}

const char *gdb_socket_path(const char *spec)
{
	return strncmp(spec, "unix:", 5) ? NULL : spec + 5;
}

static int listen_tcp(const char *spec, struct err *e)
{
	const char *host = strncmp(spec, "tcp:", 4) ? "127.0.0.1" : spec + 4, *colon = strrchr(host, ':');
	const char *port = host == spec + 4 ? colon ? colon + 1 : "" : spec;
	struct sockaddr_in at = { .sin_family = AF_INET };
	char name[64], *end;
	unsigned long number = strtoul(port, &end, 10);
	int one = 1;

	snprintf(name, sizeof(name), "%.*s", host == spec + 4 && colon ? (int)(colon - host) : 63, host);
	if (!*port || *end || number < 1 || number > 65535 || inet_pton(AF_INET, name, &at.sin_addr) != 1)
		return err_set(e, -EINVAL, "\"%s\" is none of PORT, tcp:127.0.0.1:PORT, unix:PATH", spec);
	at.sin_port = htons((uint16_t)number);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "cannot make a socket");
	/* Accepted connections inherit it; the sandbox lets nobody set it later. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0) {
		int why = errno;

		close(fd);
		return err_errno(e, why, "cannot listen at %s:%lu; is the port taken?", name, number);
	}
	return fd;
}

int gdb_create_idle(struct gdb **out, struct vm *vm, struct err *e)
{
	struct gdb *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->vm = vm;
	g->listener = g->peer = -1;
	buf_init(&g->out, OUT_MAX);
	buf_init(&g->answer, ANSWER_MAX);
	buf_init(&g->xml, 64 << 10);
	if (gdb_target_xml(&g->xml) < 0) {
		gdb_destroy(g);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*out = g;
	return 0;
}

int gdb_create(struct gdb **out, const char *spec, struct vm *vm, struct err *e)
{
	struct gdb *g;
	int ret = vm->accel->set_debug ? gdb_create_idle(&g, vm, e)
				       : err_set(e, -ENOTSUP, "the accelerator %s cannot debug guests",
				       	vm->accel->name);

	if (ret < 0)
		return ret;
	mode_t old = umask(0177);
	g->path = gdb_socket_path(spec);
	g->listener = g->path ? chardev_listen(g->path, e) : listen_tcp(spec, e);
	umask(old);
	ret = g->listener < 0 ? g->listener : loop_fd_add(vm->loop, g->listener, LOOP_READ, on_connect, g,
		&g->listen_watch, e);
	if (ret < 0) {
		if (g->listener < 0)
			g->path = NULL;
		gdb_destroy(g);
		return ret;
	}
	*out = g;
	return 0;
}

void gdb_destroy(struct gdb *g)
{
	if (!g)
		return;
	if (g->peer >= 0) {
		loop_fd_remove(g->peer_watch);
		close(g->peer);
	}
	loop_fd_remove(g->listen_watch);
	if (g->listener >= 0)
		close(g->listener);
	if (g->path)
		unlink(g->path);
	buf_free(&g->out);
	buf_free(&g->answer);
	buf_free(&g->xml);
	free(g);
}
