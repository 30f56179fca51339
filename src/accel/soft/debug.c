/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stops for a debugger outside the machine. The guest's own debug registers, TF and RF take no part in it: points are
 * compared with RIP and with data addresses directly.
 */
#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "accel/soft/system.h"
#include "core/vcpu.h"

static bool is_break(const struct vcpu_debug_point *p)
{
	return p->kind == VCPU_POINT_BREAK || p->kind == VCPU_POINT_EXEC;
}

int debug_set(struct vcpu *v, const struct vcpu_debug *d, struct err *e)
{
	struct soft_vcpu *p = v->accel_data;
	uint32_t mode = d->count || d->single_step ? MODE_DEBUG : 0;
	for (unsigned n = 0; n < d->count; n++)
		if (!is_break(&d->point[n]))
			mode |= MODE_BREAK; /* the MMU shows every access */
	p->c.debug_mode = mode;
	mmu_flush_all(&p->c);
	cpu_update_mode(&p->c);
	return 0;
}

static uint64_t linear_rip(const struct soft_cpu *c)
{
	return cpu_code64(c) ? c->s.rip : (uint32_t)(c->s.seg[X86_CS].base + c->s.rip);
}

bool debug_break_here(struct soft_cpu *c)
{
	const struct vcpu_debug *d = &c->v->debug;
	uint64_t at = linear_rip(c);
	for (unsigned n = 0; n < d->count; n++) {
		if (!is_break(&d->point[n]) || d->point[n].addr != at)
			continue;
		c->v->debug_stop = (struct vcpu_debug_stop){ VCPU_DEBUG_POINT, d->point[n].kind, at };
		return true;
	}
	return false;
}

bool debug_break_inside(const struct soft_cpu *c, unsigned len)
{
	const struct vcpu_debug *d = &c->v->debug;
	uint64_t at = linear_rip(c);
	for (unsigned n = 0; n < d->count; n++)
		if (is_break(&d->point[n]) && d->point[n].addr - at - 1 < len - 1)
			return true;
	return false;
}

void debug_data_access(struct soft_cpu *c, uint64_t lin, unsigned len, bool write)
{
	const struct vcpu_debug *d = &c->v->debug;
	for (unsigned n = 0; n < d->count; n++) {
		const struct vcpu_debug_point *p = &d->point[n];
		if (is_break(p) || p->kind == (write ? VCPU_POINT_READ : VCPU_POINT_WRITE))
			continue;
		if (lin < p->addr + p->len && p->addr < lin + len)
			c->v->debug_stop = (struct vcpu_debug_stop){ VCPU_DEBUG_POINT, p->kind, p->addr };
	}
}

bool debug_stop_due(struct soft_cpu *c)
{
	struct vcpu *v = c->v;
	if (v->debug_stop.why == VCPU_DEBUG_NONE && v->debug.single_step)
		v->debug_stop.why = VCPU_DEBUG_STEPPED;
	return v->debug_stop.why != VCPU_DEBUG_NONE;
}
