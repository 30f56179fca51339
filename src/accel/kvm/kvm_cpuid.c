/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID: what this KVM can carry, and what a vCPU answers. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum {
	CPUID1_ECX_X2APIC = 1u << 21,
	CPUID1_ECX_TSC_DEADLINE = 1u << 24,
	/* KVM's paravirtual features that live in the kernel's local APIC: async page faults (4, 14), PV EOI (6),
	 * unhalt (7), send IPI (11), sched yield (13), MSI extended destination (15) */
	KVM_FEATURES_OF_APIC = 1u << 4 | 1u << 6 | 1u << 7 | 1u << 11 | 1u << 13 | 1u << 14 | 1u << 15,
};

static struct kvm_cpuid2 *table_alloc(unsigned rows)
{
	struct kvm_cpuid2 *t = calloc(1, sizeof(*t) + rows * sizeof(t->entries[0]));
	if (t)
		t->nent = rows;
	return t;
}

/* What depends on who has the local APIC. */
static void apic_features(const struct kvm_machine *m, struct x86_cpuid *row)
{
	bool carried = m->irqchip || m->msr_exits;
	if (row->leaf == 1) {
		row->ecx &= ~(carried ? 0u : (unsigned)(CPUID1_ECX_X2APIC | CPUID1_ECX_TSC_DEADLINE));
		row->ecx |= carried ? CPUID1_ECX_X2APIC | CPUID1_ECX_TSC_DEADLINE : 0;
	}
	if (row->leaf == 0x40000001 && !m->irqchip)
		row->eax &= ~(uint32_t)KVM_FEATURES_OF_APIC;
}

static int row_compare(const void *a, const void *b)
{
	const struct x86_cpuid *x = a, *y = b;
	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return x->subleaf < y->subleaf ? -1 : x->subleaf > y->subleaf;
}

static struct kvm_cpuid2 *supported_read(struct kvm_machine *m, struct err *e)
{
	for (unsigned rows = X86_CPUID_MAX; rows <= 4096; rows *= 2) {
		struct kvm_cpuid2 *t = table_alloc(rows);
		if (!t) {
			err_set(e, -ENOMEM, "no memory for a CPUID table");
			return NULL;
		}
		if (ioctl(m->dev_fd, KVM_GET_SUPPORTED_CPUID, t) == 0)
			return t;
		int cause = errno;
		free(t);
		if (cause != E2BIG) {
			err_errno(e, cause,
				  "KVM does not tell which processor features it offers (KVM_GET_SUPPORTED_CPUID)");
			return NULL;
		}
	}
	err_set(e, -E2BIG, "KVM's list of processor features is too long");
	return NULL;
}

int kvm_cpuid_supported(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	struct kvm_cpuid2 *t = supported_read(m, e);
	if (!t)
		return e && e->code ? e->code : -EIO;
	unsigned count = 0;
	for (unsigned n = 0; n < t->nent && count < max; n++) {
		const struct kvm_cpuid_entry2 *k = &t->entries[n];
		struct x86_cpuid *row = &rows[count];
		*row = (struct x86_cpuid){
			.leaf = k->function,
			.subleaf = k->index,
			.subleaf_matters = k->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = k->eax,
			.ebx = k->ebx,
			.ecx = k->ecx,
			.edx = k->edx,
		};
		count++;
	}
	kvm_cpuid_seen(m, t, rows, count);
	for (unsigned n = 0; n < count; n++)
		apic_features(m, &rows[n]);
	free(t);
	qsort(rows, count, sizeof(*rows), row_compare);
	return (int)count;
}

static uint64_t xcr0_of(struct kvm_cpu *k)
{
	const struct x86_cpuid *row = vcpu_cpuid(k->v, 0xd, 0);
	uint64_t guest = row ? row->eax | (uint64_t)row->edx << 32 : 0;
	return guest | 3; /* x87 and SSE always */
}

int kvm_cpuid_set(struct kvm_cpu *k, struct err *e)
{
	struct vcpu *v = k->v;
	if (k->cpuid_set || !v->cpuid || !v->cpuid_count)
		return 0;
	struct kvm_cpuid2 *t = table_alloc(v->cpuid_count);
	if (!t)
		return err_set(e, -ENOMEM, "no memory for the CPUID table of vCPU %u", v->index);
	for (unsigned n = 0; n < v->cpuid_count; n++) {
		const struct x86_cpuid *row = &v->cpuid[n];
		t->entries[n] = (struct kvm_cpuid_entry2){
			.function = row->leaf,
			.index = row->subleaf,
			.flags = row->subleaf_matters ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = row->eax,
			.ebx = row->ebx,
			.ecx = row->ecx,
			.edx = row->edx,
		};
	}
	int r = ioctl(k->fd, KVM_SET_CPUID2, t) < 0 ? -errno : 0;
	free(t);
	if (r < 0)
		return err_errno(e, -r, "KVM refuses the CPUID table of vCPU %u (%u rows)", v->index, v->cpuid_count);
	k->cpuid_set = true;
	k->xcr0_mask = xcr0_of(k);
	return 0;
}
