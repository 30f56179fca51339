/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine of the soft accelerator without a board, for tests: 8 MiB of RAM, page tables that map the first 2 MiB one
 * to one (4 KiB pages, user and writable), one or more vCPUs, no interrupt controller.
 */
#ifndef PANAL_TESTS_SOFT_RIG_H
#define PANAL_TESTS_SOFT_RIG_H

#include "accel/soft/step.h"
#include "core/accel.h"
#include "core/gmem.h"
#include "core/region.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum {
	RIG_CODE = 0x10000, RIG_DATA = 0x20000, RIG_STACK = 0x30000,
	RIG_PML4 = 0x100000, RIG_PDPT = 0x101000, RIG_PD = 0x102000, RIG_PT = 0x103000, /* 64-bit */
	RIG_PD32 = 0x104000, RIG_PT32 = 0x105000,                                        /* 32-bit */
	RIG_RAM = 8 << 20, RIG_VCPUS = 2,
};
enum rig_mode { RIG_64, RIG_32, RIG_REAL };

struct rig {
	struct vm vm;
	struct vcpu vcpu[RIG_VCPUS];
	struct vcpu_chip chip;
	struct soft_step *step;
	struct x86_state s; /* what the next run starts from, and what it ended in */
	struct soft_step_result result;
};

void rig_init(struct rig *r, enum rig_mode mode);
/* With what stands behind "soft," in --accel; rig_step interprets whatever it says. */
void rig_init_options(struct rig *r, enum rig_mode mode, const char *options);
void rig_free(struct rig *r);
/* A fresh state in that mode, RIP at RIG_CODE (real mode: CS base RIG_CODE, RIP 0), CPL 0. */
void rig_state(struct rig *r, enum rig_mode mode);
/* To CPL 3, flat. */
void rig_user(struct rig *r);
void rig_put(struct rig *r, uint64_t gpa, const void *bytes, unsigned len);
/* The 64-bit gate of a vector, on the first stack of the TSS: its handler, 16 bytes for each at handlers, halts. */
void rig_gate(struct rig *r, uint64_t idt, uint64_t handlers, unsigned vector);
uint64_t rig_get(struct rig *r, uint64_t gpa, unsigned len);
uint64_t *rig_pte(struct rig *r, uint64_t lin); /* the 64-bit entry */
/* Steps at most n instructions without delivery of exceptions. */
void rig_step(struct rig *r, unsigned n);
/* Runs vCPU 0 through the accelerator until it halts, shuts down or n attention requests; code ends in HLT. */
enum vcpu_exit rig_run(struct rig *r);

#endif
