/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine of one vCPU and a little memory at 0, made for a question to this host's KVM and thrown away. */
#ifndef PANAL_ACCEL_KVM_KVM_SCRATCH_H
#define PANAL_ACCEL_KVM_KVM_SCRATCH_H

#include "accel/kvm/kvm.h"

enum { KVM_SCRATCH_RAM = 0x10000 };

struct kvm_scratch {
	int vm, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
	int run_size;
};

/* False: it cannot be had. kvm_scratch_close is due in either case. */
bool kvm_scratch_open(struct kvm_scratch *s, const struct kvm_machine *m);
void kvm_scratch_close(struct kvm_scratch *s);
/* The vCPU has all features that KVM supports. */
bool kvm_scratch_cpuid(struct kvm_scratch *s, const struct kvm_machine *m);

#endif
