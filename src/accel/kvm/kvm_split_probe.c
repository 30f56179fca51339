/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One system call in a scratch machine: does it arrive in the guest's kernel? */
#include "accel/kvm/kvm_user.h"

#include "accel/kvm/kvm_scratch.h"
#include <string.h>
#include <sys/ioctl.h>

enum {
	PROBE_CODE = 0x1000,
	PROBE_ENTRY = 0x1800,
	PROBE_PML4 = 0x2000,
	PROBE_PDPT = 0x3000,
	PROBE_PD = 0x4000,
	PROBE_RUNS_MAX = 100,
	KERNEL_CS = 8,
};

static void fill(struct kvm_scratch *s)
{
	memcpy(s->ram + PROBE_CODE, "\x0f\x05", 2); /* SYSCALL */
	s->ram[PROBE_ENTRY] = 0xf4; /* HLT */
	*(uint64_t *)(s->ram + PROBE_PML4) = PROBE_PDPT | 7;
	*(uint64_t *)(s->ram + PROBE_PDPT) = PROBE_PD | 7;
	*(uint64_t *)(s->ram + PROBE_PD) = 0x87;
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
	return (struct kvm_segment){ .limit = UINT32_MAX, .selector = selector, .type = type, .present = 1, .dpl = 3,
				     .s = 1, .l = code, .db = !code, .g = 1 };
}

static bool start(struct kvm_scratch *s)
{
	struct kvm_sregs r;
	struct kvm_regs g = { .rip = PROBE_CODE, .rsp = PROBE_ENTRY, .rflags = X86_FLAG_ONE };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = { .head.nmsrs = 2,
		   .entry = { { .index = 0xc0000081, .data = UINT64_C(0x23) << 48 | (uint64_t)KERNEL_CS << 32 },
			      { .index = 0xc0000082, .data = PROBE_ENTRY } } };
	if (ioctl(s->vcpu, KVM_GET_SREGS, &r) < 0)
		return false;
	r.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE;
	r.cr3 = PROBE_PML4;
	r.cr4 = X86_CR4_PAE;
	r.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	r.cs = segment(0x33, 11, true);
	r.ds = r.es = r.ss = r.fs = r.gs = segment(0x2b, 3, false);
	return ioctl(s->vcpu, KVM_SET_SREGS, &r) == 0 && ioctl(s->vcpu, KVM_SET_REGS, &g) == 0 &&
	       ioctl(s->vcpu, KVM_SET_MSRS, &msrs) == 2;
}

static bool arrived(struct kvm_scratch *s)
{
	struct kvm_sregs r;
	struct kvm_regs g;
	return s->run->exit_reason == KVM_EXIT_HLT && ioctl(s->vcpu, KVM_GET_SREGS, &r) == 0 &&
	       ioctl(s->vcpu, KVM_GET_REGS, &g) == 0 && r.cs.selector == KERNEL_CS && r.cs.dpl == 0 &&
	       g.rip == PROBE_ENTRY + 1 && g.rcx == PROBE_CODE + 2;
}

bool kvm_syscall_works(struct kvm_machine *m)
{
	struct kvm_scratch s;
	bool works = true; /* without a scratch machine nothing is known against it */
	if (kvm_scratch_open(&s, m)) {
		fill(&s);
		if (kvm_scratch_cpuid(&s, m) && start(&s)) {
			for (unsigned n = 0; n < PROBE_RUNS_MAX && ioctl(s.vcpu, KVM_RUN, 0) < 0; n++)
				;
			works = arrived(&s);
		}
	}
	kvm_scratch_close(&s);
	return works;
}
