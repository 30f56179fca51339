/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(e) \
	do { \
		if ((e) < 0) { \
			fprintf(stderr, "rig: %s: %s\n", #e, err.text); \
			abort(); \
		} \
	} while (0)

static void put64(struct rig *r, uint64_t gpa, uint64_t v)
{
	memcpy(gmem_at(r->vm.mem, gpa, 8), &v, 8);
}

static void put32(struct rig *r, uint64_t gpa, uint32_t v)
{
	memcpy(gmem_at(r->vm.mem, gpa, 4), &v, 4);
}

static void tables(struct rig *r)
{
	put64(r, RIG_PML4, RIG_PDPT | 7);
	put64(r, RIG_PDPT, RIG_PD | 7);
	put64(r, RIG_PD, RIG_PT | 7);
	put32(r, RIG_PD32, RIG_PT32 | 7);
	for (unsigned n = 0; n < 512; n++) {
		put64(r, RIG_PT + n * 8, (uint64_t)n << 12 | 7);
		put32(r, RIG_PT32 + n * 4, n << 12 | 7);
	}
}

static struct x86_seg flat(uint16_t sel, uint32_t attr)
{
	return (struct x86_seg){ .limit = UINT32_MAX, .attr = attr | X86_AR_P | X86_AR_S | X86_AR_G | 1, .sel = sel };
}

void rig_state(struct rig *r, enum rig_mode mode)
{
	struct x86_state *s = &r->s;
	x86_state_reset(s, true, 0x600);
	s->rip = RIG_CODE;
	s->gpr[X86_RSP] = RIG_STACK;
	if (mode == RIG_REAL) {
		s->seg[X86_CS] = (struct x86_seg){ RIG_CODE, 0xffff, X86_AR_P | X86_AR_S | 0xb, RIG_CODE >> 4 };
		s->rip = 0;
		s->gpr[X86_RSP] = 0x1000;
		return;
	}
	s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET;
	s->seg[X86_CS] = flat(0x08, X86_AR_CODE | 2 | (mode == RIG_64 ? X86_AR_L : X86_AR_DB));
	for (unsigned n = 0; n < 6; n++)
		if (n != X86_CS)
			s->seg[n] = flat(0x10, 2 | X86_AR_DB);
	if (mode == RIG_64) {
		s->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR;
		s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
		s->cr3 = RIG_PML4;
	} else {
		s->cr4 = X86_CR4_PSE | X86_CR4_PGE;
		s->cr3 = RIG_PD32;
	}
}

void rig_user(struct rig *r)
{
	for (unsigned n = 0; n < 6; n++) {
		r->s.seg[n].attr |= X86_AR_DPL;
		r->s.seg[n].sel |= 3;
	}
}

void rig_init_options(struct rig *r, enum rig_mode mode, const char *options)
{
	struct err err = { 0 };
	struct accel_caps caps;
	memset(r, 0, sizeof(*r));
	MUST(gmem_create(&r->vm.mem, &err));
	MUST(gmem_add_ram(r->vm.mem, 0, RIG_RAM, "ram", false, &err));
	MUST(region_map_create(&r->vm.regions, &err));
	r->vm.accel = &accel_soft;
	MUST(accel_soft.vm_create(&r->vm, options ? options : "translate=off", &caps, &err));
	for (unsigned n = 0; n < RIG_VCPUS; n++) {
		r->vcpu[n].vm = &r->vm;
		r->vcpu[n].index = n;
		r->vm.vcpu[n] = &r->vcpu[n];
	}
	r->vm.vcpu_count = RIG_VCPUS;
	for (unsigned n = 0; n < RIG_VCPUS; n++)
		MUST(accel_soft.vcpu_create(&r->vcpu[n], &err));
	MUST(accel_soft.vm_prepare(&r->vm, &err));
	MUST(soft_step_create(&r->step, &r->vcpu[0], &err));
	tables(r);
	rig_state(r, mode);
}

void rig_init(struct rig *r, enum rig_mode mode)
{
	rig_init_options(r, mode, NULL);
}

void rig_free(struct rig *r)
{
	soft_step_destroy(r->step);
	for (unsigned n = 0; n < RIG_VCPUS; n++)
		accel_soft.vcpu_destroy(&r->vcpu[n]);
	accel_soft.vm_destroy(&r->vm);
	region_map_destroy(r->vm.regions);
	gmem_destroy(r->vm.mem);
}

void rig_put(struct rig *r, uint64_t gpa, const void *bytes, unsigned len)
{
	if (gmem_write(r->vm.mem, gpa, bytes, len) < 0)
		abort();
}

void rig_gate(struct rig *r, uint64_t idt, uint64_t handlers, unsigned vector)
{
	const uint64_t at = handlers + vector * 16;
	const uint8_t halt = 0xf4;
	const uint64_t low = (at & 0xffff) | 0x08 << 16 | UINT64_C(0x8e01) << 32 | at >> 16 << 48;
	rig_put(r, idt + vector * 16, &low, 8);
	rig_put(r, at, &halt, 1);
}

uint64_t rig_get(struct rig *r, uint64_t gpa, unsigned len)
{
	uint64_t v = 0;
	if (gmem_read(r->vm.mem, gpa, &v, len) < 0)
		abort();
	return v;
}

uint64_t *rig_pte(struct rig *r, uint64_t lin)
{
	return gmem_at(r->vm.mem, RIG_PT + (lin >> 12) * 8, 8);
}

void rig_step(struct rig *r, unsigned n)
{
	soft_step_run(r->step, &r->s, n, false, &r->result);
}

enum vcpu_exit rig_run(struct rig *r)
{
	struct err err = { 0 };
	MUST(accel_soft.set_state(&r->vcpu[0], &r->s, &err));
	enum vcpu_exit out = accel_soft.vcpu_run(&r->vcpu[0]);
	MUST(accel_soft.get_state(&r->vcpu[0], &r->s, &err));
	return out;
}
