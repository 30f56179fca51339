/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "core/accel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                                     \
	do {                                                                                            \
		if (!(what)) {                                                                          \
			fprintf(stderr, "%s:%d: rig: %s does not hold\n", __FILE__, __LINE__, #what);   \
			abort();                                                                        \
		}                                                                                       \
	} while (0)

static int none_usable(struct err *e) { return 0; }
static int none_vm_create(struct vm *vm, const char *o, struct accel_caps *caps, struct err *e) { return 0; }
static int none_vm_prepare(struct vm *vm, struct err *e) { return 0; }
static void none_vm_destroy(struct vm *vm) { }
static int none_cpuid(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e) { return 0; }
static int none_vcpu_create(struct vcpu *v, struct err *e) { return 0; }
static void none_vcpu_destroy(struct vcpu *v) { }
static enum vcpu_exit none_vcpu_run(struct vcpu *v) { return VCPU_EXIT_ATTENTION; }
static void none_vcpu_kick(struct vcpu *v) { }
static int none_get_state(struct vcpu *v, struct x86_state *s, struct err *e) { return 0; }
static int none_set_state(struct vcpu *v, const struct x86_state *s, struct err *e) { return 0; }

static const struct accel_ops none = {
	.name = "none", .usable = none_usable, .vm_create = none_vm_create, .vm_prepare = none_vm_prepare,
	.vm_destroy = none_vm_destroy, .cpuid = none_cpuid, .vcpu_create = none_vcpu_create,
	.vcpu_destroy = none_vcpu_destroy, .vcpu_run = none_vcpu_run, .vcpu_kick = none_vcpu_kick,
	.get_state = none_get_state, .set_state = none_set_state,
};

void rig_up(struct rig *r, unsigned cpus)
{
	memset(r, 0, sizeof(*r));
	CHECK(loop_create(&r->loop, NULL, NULL) == 0);
	struct vm_config cfg = {.loop = r->loop, .accel = &none};
	CHECK(vm_create(&r->vm, &cfg, NULL) == 0);
	for (unsigned n = 0; n < cpus; n++)
		CHECK(vm_add_vcpu(r->vm, n, &r->v[n], NULL) == 0);
	r->clock = virtual_clock_get(&r->vc);
	CHECK(timerq_create(&r->timers, &r->clock, NULL, NULL, NULL) == 0);
}

void rig_down(struct rig *r)
{
	vm_destroy(r->vm);
	timerq_destroy(r->timers);
	loop_destroy(r->loop);
}

void rig_advance(struct rig *r, int64_t ns)
{
	int64_t end = r->vc.ns + ns;
	for (;;) {
		int64_t next = timerq_next(r->timers);
		if (next > end)
			break;
		if (next > r->vc.ns)
			r->vc.ns = next;
		timerq_run(r->timers);
	}
	r->vc.ns = end;
}

uint64_t rig_in(struct rig *r, uint16_t port, unsigned width)
{
	return region_read(r->vm->regions, REGION_PORT, port, width);
}

void rig_out(struct rig *r, uint16_t port, unsigned width, uint32_t value)
{
	region_write(r->vm->regions, REGION_PORT, port, width, value);
}

uint64_t rig_load(struct rig *r, uint64_t addr, unsigned width)
{
	return region_read(r->vm->regions, REGION_MEMORY, addr, width);
}

void rig_store(struct rig *r, uint64_t addr, unsigned width, uint64_t value)
{
	region_write(r->vm->regions, REGION_MEMORY, addr, width, value);
}

static void wire_set(void *opaque, int n, bool level)
{
	struct wire *w = opaque;
	if (level && !w->level)
		w->rises++;
	w->level = level;
}

struct irq rig_wire(struct wire *w)
{
	return (struct irq){.set = wire_set, .opaque = w, .n = 0};
}

void rig_reset(struct rig *r, const char *id)
{
	struct dev *d = dev_find(r->vm, id);
	CHECK(d);
	d->type->reset(d->impl);
}

void rig_state_round_trip(struct rig *r, const char *id)
{
	struct dev *d = dev_find(r->vm, id);
	uint8_t *a, *b;
	size_t alen, blen;
	CHECK(d && d->type->state);
	const struct state_desc *s = d->type->state;
	CHECK(state_save(s, d->impl, &a, &alen, NULL) == 0);
	d->type->reset(d->impl);
	struct err e = {0};
	if (state_load(s, d->impl, d->type->state_size, a, alen, &e))
		fprintf(stderr, "rig: %s\n", e.text);
	CHECK(!e.code);
	CHECK(state_save(s, d->impl, &b, &blen, NULL) == 0);
	CHECK(alen == blen && !memcmp(a, b, alen));
	free(b);
	for (size_t len = 0; len < alen; len++)
		CHECK(state_load(s, d->impl, d->type->state_size, a, len, NULL) < 0);
	CHECK(state_save(s, d->impl, &b, &blen, NULL) == 0);
	CHECK(alen == blen && !memcmp(a, b, alen));
	free(a);
	free(b);
}

bool rig_requested(struct rig *r, enum vm_request what)
{
	return atomic_load(&r->vm->requests) & (1u << what);
}
