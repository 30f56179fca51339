/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stops, and going on after them. */
#include "debug/gdb_priv.h"

#include <string.h>

void gdb_tell_stop(struct gdb *g, unsigned sig, const struct vcpu_debug_stop *why)
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
		gdb_say_answer(g);
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
		gdb_tell_stop(g, GDB_SIG_TRAP, &why);
		return true;
	}
	return false;
}

static void stopped(struct gdb *g)
{
	gdb_int3_remove(g);
	for (unsigned n = 0; n < g->vm->vcpu_count; n++)
		g->vm->vcpu[n]->held = false;
	if (g->resumed && !g->quiet) {
		g->resumed = false;
		if (!tell_debug_stop(g))
			gdb_tell_stop(g, GDB_SIG_INT, NULL);
	}
}

void gdb_event(struct gdb *g, enum vm_event ev, enum vm_request why)
{
	if (ev == VM_EVENT_STOP)
		stopped(g);
	if (ev == VM_EVENT_SHUTDOWN && g->resumed) {
		g->resumed = false;
		gdb_say(g, why == VM_REQUEST_POWEROFF || why == VM_REQUEST_RESET ? "W00" : "W01");
	}
}

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

static void go_on(struct gdb *g, const enum gdb_action *act)
{
	struct vcpu_debug d = g->points;

	if (stop_waits(g))
		return;
	for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
		d.single_step = act[n] == GDB_STEP;
		g->vm->vcpu[n]->held = act[n] == GDB_STAY;
		if (vcpu_set_debug(g->vm->vcpu[n], &d, NULL) < 0) {
			gdb_say(g, "E16");
			return;
		}
	}
	gdb_int3_insert(g);
	g->resumed = true;
	vm_resume(g->vm);
}

/* c, s with an optional address. */
void gdb_cmd_continue(struct gdb *g, const char *p, enum gdb_action what)
{
	enum gdb_action act[VCPU_MAX];
	struct x86_state s;
	uint64_t addr;

	for (unsigned n = 0; n < VCPU_MAX; n++)
		act[n] = what == GDB_STEP && n != g->current ? GDB_STAY : what;
	if (*p) {
		bool ok = gdb_hex_number(&p, &addr) && gdb_state_get(g, &s);

		s.rip = ok ? addr : 0;
		if (!ok || vcpu_set_state(gdb_vcpu(g), &s, NULL) < 0) {
			gdb_say(g, "E22");
			return;
		}
	}
	go_on(g, act);
}

/* vCont;s:1;c : the first action that names a thread is its. */
void gdb_cmd_vcont(struct gdb *g, const char *p)
{
	enum gdb_action act[VCPU_MAX] = { GDB_STAY };
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
		if (*p == ':' && (p++, !gdb_thread_read(g, &p, &who)))
			break;
		for (unsigned n = 0; n < g->vm->vcpu_count; n++)
			if ((who == n || who == g->vm->vcpu_count) && act[n] == GDB_STAY)
				act[n] = what == 'c' || what == 'C' ? GDB_CONTINUE : GDB_STEP;
		any = true;
	}
	if (*p || !any)
		gdb_say(g, "E22");
	else
		go_on(g, act);
}

void gdb_leave(struct gdb *g)
{
	const struct vcpu_debug none = { 0 };

	g->quiet = true;
	vm_pause(g->vm);
	g->quiet = false;
	gdb_int3_remove(g);
	g->resumed = false;
	g->points = none;
	(void)!gdb_points_apply(g, &none);
	for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
		g->vm->vcpu[n]->held = false;
		g->vm->vcpu[n]->debug_stop.why = VCPU_DEBUG_NONE;
	}
	vm_resume(g->vm);
}
