/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What CPUID really answers in a guest.
 *
 * On a KVM without the processor's help (a guest of another hypervisor), CPUID in a guest can bypass the table of
 * KVM_SET_CPUID2: the guest then uses features that KVM does not list. Hiding them is not possible there, so they
 * count as offered, and the soft CPU does those instructions that KVM cannot. A scratch machine executes CPUID for
 * every row and its answers replace the rows.
 */
#include "accel/kvm/kvm_scratch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	SEEN_CODE = 0x1000,
	SEEN_PML4 = 0x2000,
	SEEN_PDPT = 0x3000,
	SEEN_PD = 0x4000,
	SEEN_LIST = 0x5000,
		SEEN_RUNS_MAX = 100,
	CPUID1_ECX_OSXSAVE = 1u << 27,
	CPUID7_ECX_OSPKE = 1u << 4,
};

/* RSI: the list of struct seen, R8: its length. */
__asm__(".pushsection .rodata\n"
        "seen_start:\n"
        "1: mov (%rsi), %eax\n mov 4(%rsi), %ecx\n cpuid\n"
        "mov %eax, 8(%rsi)\n mov %ebx, 12(%rsi)\n mov %ecx, 16(%rsi)\n mov %edx, 20(%rsi)\n"
        "add $24, %rsi\n dec %r8d\n jnz 1b\n hlt\n"
        "seen_end:\n .popsection\n");
extern const uint8_t seen_start[] __attribute__((visibility("hidden"))),
	seen_end[] __attribute__((visibility("hidden")));

struct seen {
	uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};

static void scratch_fill(struct kvm_scratch *s, const struct x86_cpuid *rows, unsigned count)
{
	struct seen *list = (struct seen *)(s->ram + SEEN_LIST);
	memcpy(s->ram + SEEN_CODE, seen_start, (size_t)(seen_end - seen_start));
	*(uint64_t *)(s->ram + SEEN_PML4) = SEEN_PDPT | 3;
	*(uint64_t *)(s->ram + SEEN_PDPT) = SEEN_PD | 3;
	*(uint64_t *)(s->ram + SEEN_PD) = 0x83;
	for (unsigned n = 0; n < count; n++)
		list[n] = (struct seen){ .leaf = rows[n].leaf, .subleaf = rows[n].subleaf };
}

/* 64-bit kernel mode, as the guests that matter: in other modes this KVM may answer from its table. */
static bool scratch_start(struct kvm_scratch *s, const struct kvm_cpuid2 *table, unsigned count)
{
	struct kvm_sregs r;
	struct kvm_regs g = { .rip = SEEN_CODE, .rsi = SEEN_LIST, .r8 = count, .rflags = X86_FLAG_ONE };
	if (ioctl(s->vcpu, KVM_SET_CPUID2, table) < 0 || ioctl(s->vcpu, KVM_GET_SREGS, &r) < 0)
		return false;
	r.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE;
	r.cr3 = SEEN_PML4;
	r.cr4 = X86_CR4_PAE;
	r.efer = X86_EFER_LME | X86_EFER_LMA;
	r.cs = (struct kvm_segment){
		.limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	r.ds = (struct kvm_segment){
		.limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	r.es = r.ss = r.fs = r.gs = r.ds;
	return ioctl(s->vcpu, KVM_SET_SREGS, &r) == 0 && ioctl(s->vcpu, KVM_SET_REGS, &g) == 0;
}

static bool scratch_run(struct kvm_scratch *s)
{
	for (unsigned n = 0; n < SEEN_RUNS_MAX; n++) {
		if (ioctl(s->vcpu, KVM_RUN, 0) == 0)
			return s->run->exit_reason == KVM_EXIT_HLT;
	}
	return false;
}

/* Without what depends on the moment: the operating system's own bits, the size by the XCR0 of the moment. */
static void row_take(struct x86_cpuid *row, const struct seen *l)
{
	row->eax = l->eax;
	row->ebx = l->ebx;
	row->ecx = l->ecx;
	row->edx = l->edx;
	if (row->leaf == 1)
		row->ecx &= ~(uint32_t)CPUID1_ECX_OSXSAVE;
	if (row->leaf == 7 && row->subleaf == 0)
		row->ecx &= ~(uint32_t)CPUID7_ECX_OSPKE;
	if (row->leaf == 0xd && row->subleaf == 0)
		row->ebx = row->ecx;
}

/* The processor's vendors' own modules control CPUID; there the scratch machine's time is saved. */
static bool module_is_known(void)
{
	return access("/sys/module/kvm_intel", F_OK) == 0 || access("/sys/module/kvm_amd", F_OK) == 0;
}

void kvm_cpuid_seen(struct kvm_machine *m, const struct kvm_cpuid2 *table, struct x86_cpuid *rows, unsigned count)
{
	struct kvm_scratch s;
	if (module_is_known() || count > (KVM_SCRATCH_RAM - SEEN_LIST) / sizeof(struct seen))
		return;
	if (kvm_scratch_open(&s, m)) {
		scratch_fill(&s, rows, count);
		if (scratch_start(&s, table, count) && scratch_run(&s)) {
			const struct seen *list = (const struct seen *)(s.ram + SEEN_LIST);
			for (unsigned n = 0; n < count; n++)
				row_take(&rows[n], &list[n]);
		}
	}
	kvm_scratch_close(&s);
}
