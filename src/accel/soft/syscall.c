/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT. Sources: SDM 2 for each, APM 3 for the legacy forms.
 *
 * Where the vendors differ the guest's CPUID vendor decides: Intel has SYSCALL in 64-bit code only and checks RCX in
 * SYSRET; AMD has it in compatibility and legacy mode too, and no SYSENTER in long mode.
 */
#include "accel/soft/bind.h"
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"

enum { AR_CODE = X86_AR_P | X86_AR_S | X86_AR_CODE | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_G,
       AR_DATA = X86_AR_P | X86_AR_S | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_G | X86_AR_DB };

static struct x86_seg flat(uint16_t sel, uint32_t attr, unsigned dpl)
{
	return (struct x86_seg){ .limit = UINT32_MAX, .attr = attr | dpl << X86_AR_DPL_SHIFT, .sel = sel };
}

static void enter(struct soft_cpu *c, uint16_t cs_sel, uint16_t ss_sel, bool code64, unsigned cpl, uint64_t rip)
{
	struct x86_seg cs = flat(cs_sel, AR_CODE | (code64 ? X86_AR_L : X86_AR_DB), cpl);

	c->s.seg[X86_SS] = flat(ss_sel, AR_DATA, cpl);
	desc_enter_code(c, &cs, cpl, rip);
}

static void fn_syscall(struct soft_cpu *c, const struct insn *i)
{
	uint16_t sel = (uint16_t)(c->s.star >> 32) & 0xfffc;
	bool code64 = cpu_code64(c);
	uint64_t target;

	if (!(c->s.efer & X86_EFER_SCE) || !cpu_protected(c) || (!code64 && !features_vendor_amd(c)))
		cpu_ud(c);
	c->s.gpr[X86_RCX] = insn_next_rip(c, i);
	if (cpu_long(c)) {
		c->s.gpr[X86_R11] = c->s.rflags & ~(uint64_t)X86_FLAG_RF;
		target = code64 ? c->s.lstar : c->s.cstar;
		c->s.rflags &= ~(c->s.sfmask & UINT32_MAX) & ~(uint64_t)(X86_FLAG_RF | X86_FLAG_VM);
		c->s.rflags |= X86_FLAG_ONE;
	} else {
		target = (uint32_t)c->s.star;
		c->s.rflags &= ~(uint64_t)(X86_FLAG_RF | X86_FLAG_VM | X86_FLAG_IF);
	}
	/* The trap of a single step is judged by the new TF. */
	c->step_skip = !(c->s.rflags & X86_FLAG_TF);
	enter(c, sel, (uint16_t)(sel + 8), cpu_long(c), 0, target);
}

static void fn_sysret(struct soft_cpu *c, const struct insn *i)
{
	enum { FLAGS = 0x3c7fd7 }; /* all but RF, VM */
	uint16_t sel = (uint16_t)(c->s.star >> 48);
	bool to64 = i->width == 8;
	uint64_t rip = c->s.gpr[X86_RCX];

	if (!(c->s.efer & X86_EFER_SCE) || !cpu_protected(c) || (!cpu_code64(c) && !features_vendor_amd(c)))
		cpu_ud(c);
	if (c->cpl || (to64 && !is_canonical(rip)))
		cpu_gp0(c);
	if (cpu_long(c))
		c->s.rflags = (c->s.gpr[X86_R11] & FLAGS) | X86_FLAG_ONE;
	else
		c->s.rflags |= X86_FLAG_IF;
	if (c->s.rflags & X86_FLAG_TF) /* a TF that SYSRET brings traps right after it */
		c->dr6_pending |= 1 << 14;
	else
		c->step_skip = true;
	enter(c, (uint16_t)((to64 ? sel + 16 : sel) | 3), (uint16_t)((sel + 8) | 3), to64, 3, to64 ? rip : (uint32_t)rip);
}

static void fn_sysenter(struct soft_cpu *c, const struct insn *i)
{
	uint16_t sel = (uint16_t)(c->s.sysenter_cs & 0xfffc);
	bool lm = cpu_long(c);

	if (!(c->s.cr0 & X86_CR0_PE) || !(c->s.sysenter_cs & 0xfffc))
		cpu_gp0(c);
	if (lm && features_vendor_amd(c))
		cpu_ud(c);
	c->s.rflags &= ~(uint64_t)(X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF);
	cpu_update_mode(c);
	c->s.gpr[X86_RSP] = lm ? c->s.sysenter_esp : (uint32_t)c->s.sysenter_esp;
	enter(c, sel, (uint16_t)(sel + 8), lm, 0, lm ? c->s.sysenter_eip : (uint32_t)c->s.sysenter_eip);
}

static void fn_sysexit(struct soft_cpu *c, const struct insn *i)
{
	uint16_t sel = (uint16_t)(c->s.sysenter_cs & 0xfffc);
	bool to64 = i->width == 8;
	uint64_t rip = c->s.gpr[X86_RDX], rsp = c->s.gpr[X86_RCX];

	if (!(c->s.cr0 & X86_CR0_PE) || !sel || c->cpl)
		cpu_gp0(c);
	if (cpu_long(c) && features_vendor_amd(c))
		cpu_ud(c);
	if (to64 && (!is_canonical(rip) || !is_canonical(rsp)))
		cpu_gp0(c);
	sel = (uint16_t)(sel + (to64 ? 32 : 16));
	c->s.gpr[X86_RSP] = to64 ? rsp : (uint32_t)rsp;
	enter(c, sel | 3, (uint16_t)(sel + 8) | 3, to64, 3, to64 ? rip : (uint32_t)rip);
}

static bool bind_syscall(struct insn *i, const struct insn_source *src, unsigned arg)
{
	static const insn_fn fn[] = { fn_syscall, fn_sysret, fn_sysenter, fn_sysexit };

	i->fn = fn[arg];
	i->width = src->zi->attributes & ZYDIS_ATTRIB_HAS_REX && src->zi->raw.rex.W ? 8 : 4;
	i->flags |= INSN_ENDS_BLOCK;
	return true;
}

const struct insn_row insn_syscall[] = {
	{ ZYDIS_MNEMONIC_SYSCALL, 0, bind_syscall },
	{ ZYDIS_MNEMONIC_SYSRET, 1, bind_syscall },
	{ ZYDIS_MNEMONIC_SYSENTER, 2, bind_syscall },
	{ ZYDIS_MNEMONIC_SYSEXIT, 3, bind_syscall },
	{ 0, 0, NULL },
};
