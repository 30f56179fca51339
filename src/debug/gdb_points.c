/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Breakpoints and watchpoints. INT3 bytes (accel_caps.debug_int3) are in guest memory only while the machine runs: they
 * are put there when it goes on and taken away when it stops, so that reading memory never shows one.
 */
#include "debug/gdb_priv.h"

#include "core/accel.h"
#include "debug/gdb_memory.h"

#include <errno.h>

enum { INT3 = 0xcc };

int gdb_points_apply(struct gdb *g, const struct vcpu_debug *d)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < g->vm->vcpu_count; n++)
		ret = vcpu_set_debug(g->vm->vcpu[n], d, NULL);
	return ret;
}

void gdb_int3_remove(struct gdb *g)
{
	for (; g->int3_count; g->int3_count--) {
		const struct gdb_int3 *i = &g->int3[g->int3_count - 1];
		uint8_t now = 0;

		/* Something else has written there since (a reset): that stays. */
		if (gmem_read(g->vm->mem, i->gpa, &now, 1) == 0 && now == INT3)
			(void)!gmem_write(g->vm->mem, i->gpa, &i->was, 1);
	}
}

static bool break_gpa(struct gdb *g, uint64_t addr, uint64_t *gpa)
{
	struct x86_state s;

	return gdb_state_get(g, &s) && gdb_translate(g->vm->mem, &s, addr, gpa);
}

void gdb_int3_insert(struct gdb *g)
{
	const uint8_t byte = INT3;

	if (!vm_accel_caps(g->vm)->debug_int3)
		return;
	for (unsigned n = 0; n < g->points.count; n++) {
		struct gdb_int3 *i = &g->int3[g->int3_count];

		if (g->points.point[n].kind != VCPU_POINT_BREAK || !break_gpa(g, g->points.point[n].addr, &i->gpa))
			continue;
		if (gmem_read(g->vm->mem, i->gpa, &i->was, 1) == 0 && i->was != INT3 &&
		    gmem_write(g->vm->mem, i->gpa, &byte, 1) == 0)
			g->int3_count++;
	}
}

static bool same_point(const struct vcpu_debug_point *a, const struct vcpu_debug_point *b)
{
	return a->addr == b->addr && a->len == b->len && a->kind == b->kind;
}

void gdb_cmd_point(struct gdb *g, const char *p, bool insert)
{
	struct vcpu_debug d = g->points;
	uint64_t kind = (uint64_t)(*p++ - '0'), addr, len, gpa;
	unsigned at = 0;

	if (kind > VCPU_POINT_ACCESS) {
		gdb_say(g, "");
		return;
	}
	if (*p++ != ',' || !gdb_range_read(&p, &addr, &len) || len > 4096) {
		gdb_say(g, "E22");
		return;
	}
	struct vcpu_debug_point want = { addr, kind >= VCPU_POINT_WRITE && len ? (uint32_t)len : 1,
		(enum vcpu_point)kind };
	while (at < d.count && !same_point(&d.point[at], &want))
		at++;
	if (insert && kind == VCPU_POINT_BREAK && vm_accel_caps(g->vm)->debug_int3 &&
	    (!break_gpa(g, addr, &gpa) || !gmem_at(g->vm->mem, gpa, 1))) {
		gdb_say(g, "E14");
		return;
	}
	if (insert && at == d.count && at < VCPU_DEBUG_POINTS)
		d.point[d.count++] = want;
	else if (!insert && at < d.count)
		d.point[at] = d.point[--d.count];
	int ret = insert && at == VCPU_DEBUG_POINTS ? -ENOSPC : gdb_points_apply(g, &d);
	if (ret == 0)
		g->points = d;
	else
		(void)!gdb_points_apply(g, &g->points);
	gdb_say(g, ret == 0 ? "OK" : ret == -ENOTSUP ? "" : "E28");
}
