/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine for tests of single chips: real regions, device list and vCPU structs, an accelerator that does
 * nothing, and virtual time. The fuzz targets use it too. */
#ifndef PANAL_TESTS_X86_RIG_H
#define PANAL_TESTS_X86_RIG_H

#include "core/clock.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/irq.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum { RIG_CPUS = 4 };

struct wire {
	bool level;
	unsigned rises;
};

struct rig {
	struct loop *loop;
	struct vm *vm;
	struct virtual_clock vc;
	struct clock clock;
	struct timerq *timers;
	struct vcpu *v[RIG_CPUS];
};

/* All of these end the test when they fail. */
void rig_up(struct rig *r, unsigned cpus);
void rig_down(struct rig *r);

/* Moves time, running every timer at its moment. */
void rig_advance(struct rig *r, int64_t ns);

uint64_t rig_in(struct rig *r, uint16_t port, unsigned width);
void rig_out(struct rig *r, uint16_t port, unsigned width, uint32_t value);
uint64_t rig_load(struct rig *r, uint64_t addr, unsigned width);
void rig_store(struct rig *r, uint64_t addr, unsigned width, uint64_t value);

struct irq rig_wire(struct wire *w);

/* Resets one device by id. */
void rig_reset(struct rig *r, const char *id);
/* Saves the device, spoils it with a reset, loads it back and saves again: both streams must be equal. Then every
 * truncation of the stream must be refused without a change. */
void rig_state_round_trip(struct rig *r, const char *id);
bool rig_requested(struct rig *r, enum vm_request what);

#endif
