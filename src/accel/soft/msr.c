/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers. Those that x86_state keeps are rows of a table; those that have an effect are functions;
 * the platform's (APIC, deadline timer, KVM clock) go to the chip. What is in none of them does not exist: #GP.
 * Sources: SDM 4 chapter 2, APM 2 appendix A, AMD PPR (the 0xc001xxxx rows that kernels touch).
 */
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include "core/clock.h"
#include "core/vcpu.h"

enum {
	MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_TSC_ADJUST = 0x3b, MSR_PLATFORM_INFO = 0xce, MSR_MTRR_CAP = 0xfe,
	MSR_PAT = 0x277, MSR_MTRR_DEF = 0x2ff, MSR_XSS = 0xda0, MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49,
	MSR_ARCH_CAP = 0x10a, MSR_EFER = 0xc0000080, MSR_FS_BASE = 0xc0000100, MSR_GS_BASE = 0xc0000101,
};

/* ARCH_CAPABILITIES: page permissions are decided in software before an access is made, so Meltdown and its kin do not
 * reach across them: RDCL_NO, SKIP_L1DFL, PSCHANGE_MC_NO. Without it a kernel would switch page tables at every system
 * call. Nothing is claimed of flaws in buffers and predictors, which guest code shares with the host's. */
#define ARCH_CAPS UINT64_C(0x49)

/* ---- kept in x86_state as they are ---- */

enum msr_check { CHECK_NONE, CHECK_CANONICAL, CHECK_LOW32, CHECK_MTRR_TYPES };

struct msr_row {
	uint32_t first, count;
	uint16_t field, step; /* offset in x86_state, bytes between neighbours */
	enum msr_check check;
};
#define FIELD(name) offsetof(struct x86_state, name)

static const struct msr_row kept[] = {
	{ 0x174, 1, FIELD(sysenter_cs), 0, CHECK_NONE },
	{ 0x175, 1, FIELD(sysenter_esp), 0, CHECK_CANONICAL },
	{ 0x176, 1, FIELD(sysenter_eip), 0, CHECK_CANONICAL },
	{ 0x17a, 1, FIELD(mcg_status), 0, CHECK_NONE },
	{ 0x1a0, 1, FIELD(misc_enable), 0, CHECK_NONE },
	{ 0x200, X86_MTRR_VAR, FIELD(mtrr_base), 8, CHECK_NONE }, /* even numbers; see find_kept */
	{ 0x250, 1, FIELD(mtrr_fixed[0]), 8, CHECK_MTRR_TYPES },
	{ 0x258, 2, FIELD(mtrr_fixed[1]), 8, CHECK_MTRR_TYPES },
	{ 0x268, 8, FIELD(mtrr_fixed[3]), 8, CHECK_MTRR_TYPES },
	{ 0xc0000081, 1, FIELD(star), 0, CHECK_NONE },
	{ 0xc0000082, 1, FIELD(lstar), 0, CHECK_CANONICAL },
	{ 0xc0000083, 1, FIELD(cstar), 0, CHECK_CANONICAL },
	{ 0xc0000084, 1, FIELD(sfmask), 0, CHECK_NONE },
	{ MSR_FS_BASE, 1, FIELD(seg[X86_FS].base), 0, CHECK_CANONICAL },
	{ MSR_GS_BASE, 1, FIELD(seg[X86_GS].base), 0, CHECK_CANONICAL },
	{ 0xc0000102, 1, FIELD(kernel_gs_base), 0, CHECK_CANONICAL },
	{ 0xc0000103, 1, FIELD(tsc_aux), 0, CHECK_LOW32 },
};

static uint64_t *find_kept(struct soft_cpu *c, uint32_t msr, enum msr_check *check)
{
	if (msr >= 0x200 && msr < 0x200 + 2 * X86_MTRR_VAR) { /* base and mask alternate */
		unsigned n = (msr - 0x200) / 2;
		*check = CHECK_NONE;
		return msr & 1 ? &c->s.mtrr_mask[n] : &c->s.mtrr_base[n];
	}
	for (unsigned n = 0; n < COUNT_OF(kept); n++) {
		const struct msr_row *r = &kept[n];
		if (msr - r->first < r->count) {
			*check = r->check;
			return (uint64_t *)((char *)&c->s + r->field + (msr - r->first) * r->step);
		}
	}
	return NULL;
}

/* Memory types 0, 1, 4, 5, 6 and, for the PAT, 7: a byte each. */
static bool types_ok(uint64_t v, bool pat)
{
	unsigned good = pat ? 0xf3 : 0x73;

	for (unsigned n = 0; n < 8; n++, v >>= 8)
		if ((v & 0xff) > 7 || !(good >> (v & 7) & 1))
			return false;
	return true;
}

static bool value_ok(enum msr_check check, uint64_t v)
{
	switch (check) {
	case CHECK_CANONICAL: return is_canonical(v);
	case CHECK_LOW32: return !(v >> 32);
	case CHECK_MTRR_TYPES: return types_ok(v, false);
	default: return true;
	}
}

/* ---- fixed values: reads give them, writes are ignored (or refused) ---- */

enum { BOTH_VENDORS, INTEL_ONLY, AMD_ONLY };

static const struct msr_fixed {
	uint32_t first, count;
	uint8_t vendor;
	bool writes_ignored;
	uint64_t value;
} fixed[] = {
	{ 0x00, 2, BOTH_VENDORS, true, 0 },                        /* P5 machine check */
	{ 0x17, 1, INTEL_ONLY, false, 0 },                         /* PLATFORM_ID */
	{ 0x2a, 1, INTEL_ONLY, true, 0 },                          /* EBL_CR_POWERON */
	{ 0x34, 1, INTEL_ONLY, false, 0 },                         /* SMI_COUNT */
	{ 0x3a, 1, INTEL_ONLY, false, 1 },                         /* FEATURE_CONTROL: locked, nothing on */
	{ 0x79, 1, BOTH_VENDORS, true, 0 },                        /* microcode update trigger */
	{ 0x8b, 1, BOTH_VENDORS, true, UINT64_C(0x100000000) },    /* microcode revision */
	{ 0xcd, 1, INTEL_ONLY, false, 3 },                         /* FSB_FREQ */
	{ MSR_MTRR_CAP, 1, BOTH_VENDORS, false, 0x500 | X86_MTRR_VAR }, /* fixed ranges, write combining */
	{ 0x11e, 1, INTEL_ONLY, true, 0xbe702111 },                /* BBL_CR_CTL3: L2 present */
	{ 0x179, 1, BOTH_VENDORS, false, 0x10a },                  /* MCG_CAP: ten banks, MCG_CTL */
	{ 0x17b, 1, BOTH_VENDORS, true, UINT64_MAX },              /* MCG_CTL */
	{ 0x198, 1, INTEL_ONLY, false, UINT64_C(0x400000003e8) },  /* PERF_STATUS */
	{ 0x1d9, 1, BOTH_VENDORS, true, 0 },                       /* DEBUGCTL: no branch records */
	{ 0x1db, 4, BOTH_VENDORS, true, 0 },                       /* last branch and interrupt */
	{ 0x400, 40, BOTH_VENDORS, true, 0 },                      /* machine check banks: nothing logged */
	{ 0xc0010010, 1, AMD_ONLY, true, 0 },                      /* SYSCFG */
	{ 0xc0010015, 1, AMD_ONLY, true, 0x1000000 },              /* HWCR: TSC at P0 frequency */
	{ 0xc001001f, 1, AMD_ONLY, true, 0 },                      /* NB_CFG */
	{ 0xc0010055, 1, AMD_ONLY, true, 0 },                      /* interrupt pending message */
	{ 0xc0010058, 1, AMD_ONLY, true, 0 },                      /* MMIO configuration base */
	{ 0xc0010061, 11, AMD_ONLY, true, 0 },                     /* P states */
	{ 0xc0010112, 2, AMD_ONLY, true, 0 },                      /* TSEG */
	{ 0xc0010114, 1, AMD_ONLY, false, 0x10 },                  /* VM_CR: SVM disabled */
	{ 0xc0010140, 2, AMD_ONLY, true, 0 },                      /* OS visible work-around */
	{ 0xc0011020, 4, AMD_ONLY, true, 0 },                      /* LS_CFG .. DC_CFG */
	{ 0xc0011029, 1, AMD_ONLY, true, 2 },                      /* DE_CFG: LFENCE serialises */
	{ 0xc001102a, 3, AMD_ONLY, true, 0 },                      /* BU_CFG2 and beside */
};

static const struct msr_fixed *find_fixed(const struct soft_cpu *c, uint32_t msr)
{
	bool amd = features_vendor_amd(c);

	for (unsigned n = 0; n < COUNT_OF(fixed); n++) {
		const struct msr_fixed *f = &fixed[n];
		if (msr - f->first < f->count && f->vendor != (amd ? INTEL_ONLY : AMD_ONLY))
			return f;
	}
	return NULL;
}

/* ---- those with an effect ---- */

static int set_efer(struct soft_cpu *c, uint64_t v)
{
	uint64_t changed;

	if (v & ~(c->efer_allowed | X86_EFER_LMA))
		return -1;
	v = (v & ~(uint64_t)X86_EFER_LMA) | (c->s.efer & X86_EFER_LMA);
	changed = v ^ c->s.efer;
	if ((changed & X86_EFER_LME) && (c->s.cr0 & X86_CR0_PG))
		return -1;
	c->s.efer = v;
	if (changed & X86_EFER_NXE)
		mmu_flush_all(c);
	cpu_update_mode(c);
	return 0;
}

static int set_mtrr_def(struct soft_cpu *c, uint64_t v)
{
	if ((v & ~UINT64_C(0xcff)) || !types_ok(v & 0xff, false))
		return -1;
	c->s.mtrr_def = v;
	return 0;
}

static uint64_t platform_info(void)
{
	return (uint64_t)(host_tsc_khz() / 100000 & 0xff) << 8;
}

static int chip_get(struct soft_cpu *c, uint32_t msr, uint64_t *v)
{
	const struct vcpu_chip *chip = c->v ? c->v->chip : NULL;

	return chip && chip->msr_read && !chip->msr_read(chip->opaque, msr, v) ? 0 : -1;
}

static int chip_set(struct soft_cpu *c, uint32_t msr, uint64_t v)
{
	const struct vcpu_chip *chip = c->v ? c->v->chip : NULL;

	if (!chip || !chip->msr_write || chip->msr_write(chip->opaque, msr, v))
		return -1;
	if (msr == MSR_APIC_BASE) /* CPUID follows it */
		c->s.apic_base = v;
	return 0;
}

static bool cpuid7_edx(const struct soft_cpu *c, unsigned bit)
{
	const struct x86_cpuid *r = c->v ? vcpu_cpuid(c->v, 7, 0) : NULL;

	return r && (r->edx >> bit & 1);
}

static bool has_xsaves(const struct soft_cpu *c)
{
	const struct x86_cpuid *r = c->v ? vcpu_cpuid(c->v, 0xd, 1) : NULL;

	return r && (r->eax & 8);
}

int msr_get(struct soft_cpu *c, uint32_t msr, uint64_t *v)
{
	enum msr_check check;
	const uint64_t *field = find_kept(c, msr, &check);
	const struct msr_fixed *f;

	if (field) {
		*v = *field;
		return 0;
	}
	switch (msr) {
	case MSR_TSC: *v = tsc_now(c); return 0;
	case MSR_TSC_ADJUST: *v = c->s.tsc_adjust; return 0;
	case MSR_PLATFORM_INFO: *v = platform_info(); return features_vendor_amd(c) ? -1 : 0;
	case MSR_PAT: *v = c->s.pat; return 0;
	case MSR_MTRR_DEF: *v = c->s.mtrr_def; return 0;
	case MSR_XSS: *v = c->s.xss; return has_xsaves(c) ? 0 : -1;
	case MSR_EFER: *v = c->s.efer; return 0;
	case MSR_SPEC_CTRL: *v = c->s.spec_ctrl; return cpuid7_edx(c, 26) ? 0 : -1;
	case MSR_ARCH_CAP: *v = ARCH_CAPS; return cpuid7_edx(c, 29) ? 0 : -1;
	}
	f = find_fixed(c, msr);
	if (f) {
		*v = f->value;
		return 0;
	}
	return chip_get(c, msr, v);
}

static int set_special(struct soft_cpu *c, uint32_t msr, uint64_t v, bool *known)
{
	uint64_t delta;

	*known = true;
	switch (msr) {
	case MSR_TSC:
		delta = v - tsc_now(c);
		tsc_set_offset(c, c->tsc_offset + delta);
		c->s.tsc_adjust += delta;
		return 0;
	case MSR_TSC_ADJUST:
		tsc_set_offset(c, c->tsc_offset + v - c->s.tsc_adjust);
		c->s.tsc_adjust = v;
		return 0;
	case MSR_PAT:
		if (!types_ok(v, true))
			return -1;
		c->s.pat = v;
		return 0;
	case MSR_MTRR_DEF: return set_mtrr_def(c, v);
	case MSR_XSS: return has_xsaves(c) && !v ? 0 : -1; /* no supervisor components */
	case MSR_EFER: return set_efer(c, v);
	case MSR_SPEC_CTRL:
		if (!cpuid7_edx(c, 26) || (v & ~UINT64_C(7)))
			return -1;
		c->s.spec_ctrl = v;
		return 0;
	case MSR_PRED_CMD: return cpuid7_edx(c, 26) && !(v & ~UINT64_C(1)) ? 0 : -1;
	}
	*known = false;
	return -1;
}

int msr_set(struct soft_cpu *c, uint32_t msr, uint64_t v)
{
	enum msr_check check;
	uint64_t *field = find_kept(c, msr, &check);
	const struct msr_fixed *f;
	bool known;
	int r;

	if (field) {
		if (!value_ok(check, v))
			return -1;
		*field = v;
		return 0;
	}
	r = set_special(c, msr, v, &known);
	if (known)
		return r;
	f = find_fixed(c, msr);
	if (f)
		return f->writes_ignored ? 0 : -1;
	return chip_set(c, msr, v);
}
