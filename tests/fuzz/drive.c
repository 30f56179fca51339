/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include <stdlib.h>
#include <string.h>

enum { OPERATIONS_MAX = 4096 };
enum { OP_READ, OP_WRITE, OP_WRITE_AGAIN, OP_TIME, OP_JUMP, OP_IRQ, OP_OTHER, OP_OTHER_AGAIN, OP_RESET, OP_STATE,
	OP_COUNT };

struct input {
	const uint8_t *p;
	size_t left;
};

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t v = 0;
	if (bytes > in->left)
		bytes = in->left;
	memcpy(&v, in->p, bytes);
	in->p += bytes;
	in->left -= bytes;
	return v;
}

static struct dev *pick(struct rig *r, unsigned which)
{
	unsigned n = 0;
	struct dev *d = NULL;
	list_each(it, &r->vm->devs) {
		if (n++ > which % 8 && d)
			break;
		d = list_entry(it, struct dev, node);
	}
	return d;
}

/* A saved state with one byte changed, or cut, is loaded. */
static void spoil(struct dev *d, struct input *in)
{
	uint8_t *buf;
	size_t len;
	if (!d || !d->type->state || state_save(d->type->state, d->impl, &buf, &len, NULL))
		return;
	size_t at = take(in, 2) % len;
	uint8_t value = take(in, 1);
	bool cut = value == 0xff;
	buf[at] = value;
	if (state_load(d->type->state, d->impl, d->type->state_size, buf, cut ? at : len, NULL))
		at = 0; /* refused: as good */
	free(buf);
}

static void access(struct rig *r, const struct fuzz_plan *plan, struct input *in, bool write)
{
	if (!plan->ranges)
		return;
	const struct fuzz_range *g = &plan->range[take(in, 1) % plan->ranges];
	uint64_t addr = g->addr + take(in, g->size > 256 ? 2 : 1) % g->size;
	unsigned width = 1u << (take(in, 1) & (g->space == REGION_PORT ? 1 : 3));
	if (write)
		region_write(r->vm->regions, g->space, addr, width, take(in, width));
	else
		region_read(r->vm->regions, g->space, addr, width);
}

static void step(struct rig *r, const struct fuzz_plan *plan, struct input *in)
{
	uint32_t a;
	struct dev *d;
	switch (take(in, 1) % OP_COUNT) {
	case OP_READ: access(r, plan, in, false); break;
	case OP_WRITE:
	case OP_WRITE_AGAIN: access(r, plan, in, true); break;
	case OP_TIME: rig_advance(r, take(in, 3) & 0xfffff); break;
	case OP_JUMP: /* the host was late: timers are found long due */
		r->vc.ns += (int64_t)take(in, 5);
		timerq_run(r->timers);
		break;
	case OP_IRQ:
		a = take(in, 1);
		if (plan->irqs)
			irq_set(&plan->irq[(a >> 1) % plan->irqs], a & 1);
		break;
	case OP_OTHER:
	case OP_OTHER_AGAIN:
		a = take(in, 4);
		if (plan->other)
			plan->other(plan->opaque, a, take(in, 8));
		break;
	case OP_RESET:
		d = pick(r, take(in, 1));
		if (d && d->type->reset)
			d->type->reset(d->impl);
		break;
	case OP_STATE: spoil(pick(r, take(in, 1)), in); break;
	}
}

void fuzz_drive(struct rig *r, const struct fuzz_plan *plan, const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	for (unsigned n = 0; in.left && n < OPERATIONS_MAX; n++)
		step(r, plan, &in);
}
