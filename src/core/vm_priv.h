/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vm.c and vcpu.c share; nobody else includes this. */
#ifndef PANAL_CORE_VM_PRIV_H
#define PANAL_CORE_VM_PRIV_H

#include "core/accel.h"
#include "core/vm.h"

struct vm_priv {
	struct accel_caps caps;
	_Atomic bool hold; /* vCPUs stay out of guest code */
	_Atomic bool quit; /* vCPU threads end */
};

int vcpu_start_thread(struct vcpu *v, struct err *e) ATTR_MUST_USE;
void vcpu_join_and_free(struct vcpu *v);

#endif
