/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vm.c does with vCPU threads. The main loop thread. */
#ifndef PANAL_CORE_VCPU_PRIV_H
#define PANAL_CORE_VCPU_PRIV_H

#include "core/vcpu.h"

int vcpu_create(struct vcpu **out, struct vm *vm, unsigned index, uint32_t apic_id, struct err *e) ATTR_MUST_USE;
/* Ends the thread and joins it; vcpu_run_on then runs in the caller's. */
void vcpu_end(struct vcpu *v);
/* After vcpu_end. */
void vcpu_destroy(struct vcpu *v);
/* Starts the thread; it parks at once. */
int vcpu_start(struct vcpu *v, struct err *e) ATTR_MUST_USE;
/* vcpu_park asks, vcpu_wait_parked waits: so that all are asked before the first is waited for. */
void vcpu_park(struct vcpu *v);
void vcpu_wait_parked(struct vcpu *v);
void vcpu_unpark(struct vcpu *v);

#endif
