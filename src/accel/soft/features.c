/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the vCPU's CPUID rows allow, and the CPUID instruction's answer with the bits that follow the state.
 * Sources: SDM 2 (CPUID), SDM 3A 2.5, 2.6; SDM 1 13.2.
 */
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include "base/bytes.h"
#include "core/vcpu.h"

/* CR4 bits and the CPUID bit that brings each; register: 0 EBX, 1 ECX, 2 EDX. */
static const struct cr4_gate {
	uint32_t cr4, leaf;
	uint8_t reg, bit;
} cr4_gates[] = {
	{ X86_CR4_TSD, 1, 2, 4 },
	{ X86_CR4_DE, 1, 2, 2 },
	{ X86_CR4_PSE, 1, 2, 3 },
	{ X86_CR4_PAE, 1, 2, 6 },
	{ X86_CR4_MCE, 1, 2, 7 },
	{ X86_CR4_PGE, 1, 2, 13 },
	{ X86_CR4_PCE, 1, 2, 4 }, /* harmless without counters; kernels set it blindly */
	{ X86_CR4_OSFXSR, 1, 2, 24 },
	{ X86_CR4_OSXMMEXCPT, 1, 2, 25 },
	{ X86_CR4_UMIP, 7, 1, 2 },
	{ X86_CR4_FSGSBASE, 7, 0, 0 },
	{ X86_CR4_PCIDE, 1, 1, 17 },
	{ X86_CR4_OSXSAVE, 1, 1, 26 },
	{ X86_CR4_SMEP, 7, 0, 7 },
	{ X86_CR4_SMAP, 7, 0, 20 },
};

static uint32_t row_reg(const struct x86_cpuid *r, unsigned reg)
{
	return reg == 0 ? r->ebx : reg == 1 ? r->ecx : r->edx;
}

static uint64_t efer_from(const struct x86_cpuid *ext)
{
	uint64_t efer = 0;

	if (ext->edx & 1u << 11)
		efer |= X86_EFER_SCE;
	if (ext->edx & 1u << 29)
		efer |= X86_EFER_LME;
	if (ext->edx & 1u << 20)
		efer |= X86_EFER_NXE;
	return efer;
}

void cpu_update_features(struct soft_cpu *c)
{
	static const struct x86_cpuid none = { 0 };
	const struct x86_cpuid *r;
	unsigned bits = 36;

	c->cr4_allowed = 0;
	for (unsigned n = 0; n < COUNT_OF(cr4_gates); n++) {
		const struct cr4_gate *g = &cr4_gates[n];
		r = vcpu_cpuid(c->v, g->leaf, 0);
		if (r && (row_reg(r, g->reg) >> g->bit & 1))
			c->cr4_allowed |= g->cr4;
	}
	r = vcpu_cpuid(c->v, 0xd, 0);
	c->xcr0_allowed = r ? r->eax & (r->eax & 0xe0 ? 0xe7 : 7) : 1;
	r = vcpu_cpuid(c->v, 0x80000001, 0);
	c->efer_allowed = efer_from(r ? r : &none);
	r = vcpu_cpuid(c->v, 0x80000008, 0);
	if (r && (r->eax & 0xff) >= 32)
		bits = r->eax & 0xff;
	if (bits > 52)
		bits = 52;
	c->phys_mask = (UINT64_C(1) << bits) - 1;
}

bool features_vendor_amd(const struct soft_cpu *c)
{
	const struct x86_cpuid *r = c->v ? vcpu_cpuid(c->v, 0, 0) : NULL;

	/* "AuthenticAMD", "HygonGenuine" */
	return r && (r->ebx == 0x68747541 || r->ebx == 0x6f677948);
}

static void set_bit(uint32_t *reg, unsigned bit, bool on)
{
	*reg = (*reg & ~(1u << bit)) | (uint32_t)on << bit;
}

static void dynamic_bits(struct soft_cpu *c, uint32_t leaf, uint32_t subleaf, struct x86_cpuid *out)
{
	switch (leaf) {
	case 1:
		set_bit(&out->ecx, 27, c->s.cr4 & X86_CR4_OSXSAVE);
		if (!(c->s.apic_base & 0x800))
			set_bit(&out->edx, 9, false);
		out->ebx = (out->ebx & 0xffffff) | c->v->apic_id << 24;
		break;
	case 0xb:
	case 0x1f:
		out->edx = c->v->apic_id;
		break;
	case 0xd:
		if (subleaf == 0 && out->eax)
			out->ebx = fpstate_size(c, c->s.xcr0, false);
		else if (subleaf == 1 && (out->eax & 10))
			out->ebx = fpstate_size(c, c->s.xcr0 | c->s.xss, true);
		break;
	case 0x8000001e:
		out->eax = c->v->apic_id;
		break;
	}
}

void features_cpuid(struct soft_cpu *c, uint32_t leaf, uint32_t subleaf, struct x86_cpuid *out)
{
	const struct x86_cpuid *r = c->v ? vcpu_cpuid(c->v, leaf, subleaf) : NULL;

	*out = (struct x86_cpuid){ .leaf = leaf, .subleaf = subleaf };
	if (!r) {
		if (leaf == 0xb || leaf == 0x1f) /* past the last level: the subleaf is echoed */
			out->ecx = subleaf & 0xff;
		return;
	}
	*out = *r;
	dynamic_bits(c, leaf, subleaf, out);
}
