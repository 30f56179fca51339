/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small guests for the accelerator tests: code, and a machine without devices to run it. */
#ifndef PANAL_TESTS_KVM_GUEST_H
#define PANAL_TESTS_KVM_GUEST_H

#include "arch/x86/regs.h"
#include "core/accel.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum { GUEST_CODE = 0x1000, GUEST_STACK = 0x8000, GUEST_DATA = 0x9000, GUEST_PML4 = 0x10000, GUEST_RAM = 0x400000 };

struct guest {
	struct loop *loop;
	struct vm *vm;
	struct vcpu *v;
	struct x86_cpuid cpuid[X86_CPUID_MAX];
};

struct guest_code {
	const uint8_t *start, *end;
};

#define GUEST_CODE_DECLARE(name) extern const uint8_t name##_start[], name##_end[]
#define GUEST_CODE_OF(name) ((struct guest_code){ name##_start, name##_end })
GUEST_CODE_DECLARE(guest_add_hlt);
GUEST_CODE_DECLARE(guest_ports);
GUEST_CODE_DECLARE(guest_spin);
GUEST_CODE_DECLARE(guest_count);
GUEST_CODE_DECLARE(guest_sti_wait);
GUEST_CODE_DECLARE(guest_mmio);
GUEST_CODE_DECLARE(guest_doorbell);
GUEST_CODE_DECLARE(guest_cx16);
GUEST_CODE_DECLARE(guest_deadline);
GUEST_CODE_DECLARE(guest_triple);
GUEST_CODE_DECLARE(guest_hlt_loop);
GUEST_CODE_DECLARE(guest_cpuid);

/* A machine with GUEST_RAM bytes at 0 and one vCPU that offers all the accelerator can; asserts on failure. */
void guest_create(struct guest *g, const struct accel_ops *accel, const char *options);
void guest_destroy(struct guest *g);
/* Code at GUEST_CODE and the vCPU about to execute it: real mode, or long mode with the first 4 GiB mapped 1:1. */
void guest_load(struct guest *g, struct guest_code code, bool long_mode, struct x86_state *s);
uint64_t guest_read64(struct guest *g, uint64_t gpa);

#endif
