/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control and debug registers, and the instructions that rule the processor.
 * Sources: SDM 3A 2.5, 2.8, 4.1, 4.10; SDM 2 for each instruction; SDM 3B 17.2.
 */
#include "accel/soft/bind.h"
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include "base/bytes.h"
#include "core/clock.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include <x86intrin.h>

enum { CR0_KNOWN = 0x0005003f }; /* PE MP EM TS ET NE WP AM; NW, CD, PG beside */

static void check_cpl0(struct soft_cpu *c)
{
	if (c->cpl)
		cpu_gp0(c);
}

/* ---- CR0, CR3, CR4 ---- */

/* CR0.PG going on with EFER.LME: IA-32e mode begins (SDM 3A 9.8.5). */
static void enter_long_mode(struct soft_cpu *c)
{
	if (!(c->s.cr4 & X86_CR4_PAE) || (c->s.seg[X86_CS].attr & X86_AR_L))
		cpu_gp0(c);
	c->s.efer |= X86_EFER_LMA;
}

static void leave_paging(struct soft_cpu *c)
{
	if ((c->s.cr4 & X86_CR4_PCIDE) || ((c->s.efer & X86_EFER_LMA) && cpu_code64(c)))
		cpu_gp0(c);
	c->s.efer &= ~(uint64_t)X86_EFER_LMA;
}

void control_set_cr0(struct soft_cpu *c, uint64_t v)
{
	const uint64_t flush = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP;
	uint64_t changed;

	if (v >> 32 || ((v & X86_CR0_PG) && !(v & X86_CR0_PE)) || ((v & X86_CR0_NW) && !(v & X86_CR0_CD)))
		cpu_gp0(c);
	v &= CR0_KNOWN | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG;
	v |= X86_CR0_ET;
	changed = c->s.cr0 ^ v;
	if ((changed & X86_CR0_PG) && (v & X86_CR0_PG) && (c->s.efer & X86_EFER_LME))
		enter_long_mode(c);
	else if ((changed & X86_CR0_PG) && !(v & X86_CR0_PG))
		leave_paging(c);
	c->s.cr0 = v;
	if (changed & flush)
		mmu_flush_all(c);
	cpu_update_mode(c);
	c->end_block = true;
}

void control_set_cr3(struct soft_cpu *c, uint64_t v)
{
	if ((c->s.cr4 & X86_CR4_PCIDE))
		v &= ~(UINT64_C(1) << 63); /* "do not flush": there are no PCID tags, so a flush is always due */
	if (v & ~c->phys_mask)
		cpu_gp0(c);
	c->s.cr3 = v;
	mmu_flush_nonglobal(c);
	c->end_block = true;
}

void control_set_cr4(struct soft_cpu *c, uint64_t v)
{
	const uint64_t flush = X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP;
	uint64_t changed = c->s.cr4 ^ v;

	if (v & ~c->cr4_allowed)
		cpu_gp0(c);
	if ((c->s.efer & X86_EFER_LMA) && !(v & X86_CR4_PAE))
		cpu_gp0(c);
	if ((changed & v & X86_CR4_PCIDE) && (!(c->s.efer & X86_EFER_LMA) || (c->s.cr3 & 0xfff)))
		cpu_gp0(c);
	c->s.cr4 = v;
	if (changed & flush)
		mmu_flush_all(c);
	cpu_update_mode(c);
	c->end_block = true;
}

static uint64_t get_cr8(struct soft_cpu *c)
{
	const struct vcpu_chip *chip = c->v ? c->v->chip : NULL;

	return chip && chip->cr8_get ? chip->cr8_get(chip->opaque) : c->s.cr8;
}

static void set_cr8(struct soft_cpu *c, uint64_t v)
{
	const struct vcpu_chip *chip = c->v ? c->v->chip : NULL;

	if (v & ~UINT64_C(15))
		cpu_gp0(c);
	c->s.cr8 = v;
	if (chip && chip->cr8_set)
		chip->cr8_set(chip->opaque, (uint8_t)v);
	c->end_block = true;
}

static unsigned control_width(const struct soft_cpu *c)
{
	return cpu_code64(c) ? 8 : 4;
}

static void fn_mov_from_cr(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v;

	check_cpl0(c);
	switch (i->sub) {
	case 0: v = c->s.cr0; break;
	case 2: v = c->s.cr2; break;
	case 3: v = c->s.cr3; break;
	case 4: v = c->s.cr4; break;
	default: v = get_cr8(c);
	}
	reg_set(c, i->rm, control_width(c), v);
}

static void fn_mov_to_cr(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = reg_get(c, i->rm, control_width(c));

	check_cpl0(c);
	switch (i->sub) {
	case 0: control_set_cr0(c, v); break;
	case 2: c->s.cr2 = v; break;
	case 3: control_set_cr3(c, v); break;
	case 4: control_set_cr4(c, v); break;
	default: set_cr8(c, v);
	}
}

/* ---- debug registers ---- */

static unsigned debug_register(struct soft_cpu *c, unsigned n)
{
	if (n == 4 || n == 5) {
		if (c->s.cr4 & X86_CR4_DE)
			cpu_ud(c);
		n += 2;
	}
	return n;
}

static void fn_mov_from_dr(struct soft_cpu *c, const struct insn *i)
{
	unsigned n = debug_register(c, i->sub);

	check_cpl0(c);
	event_general_detect(c);
	reg_set(c, i->rm, control_width(c), c->s.dr[n]);
}

static void fn_mov_to_dr(struct soft_cpu *c, const struct insn *i)
{
	unsigned n = debug_register(c, i->sub);
	uint64_t v = reg_get(c, i->rm, control_width(c));

	check_cpl0(c);
	event_general_detect(c);
	if (n >= 6 && v >> 32)
		cpu_gp0(c);
	if (n == 6)
		v = (v & 0xe00f) | 0xffff0ff0;
	if (n == 7)
		v = (v & 0xffff23ff) | 0x400;
	c->s.dr[n] = v;
	cpu_update_mode(c);
	c->end_block = true;
}

bool control_bind_mov(struct insn *i, const struct insn_source *src, unsigned arg)
{
	bool to = bind_is_class(&src->op[0], ZYDIS_REGCLASS_CONTROL) || bind_is_class(&src->op[0], ZYDIS_REGCLASS_DEBUG);
	const ZydisDecodedOperand *special = &src->op[to ? 0 : 1];
	bool control = bind_is_class(special, ZYDIS_REGCLASS_CONTROL);

	i->rm = bind_reg(&src->op[to ? 1 : 0]);
	i->sub = bind_reg(special);
	i->flags |= INSN_ENDS_BLOCK;
	if (control) {
		i->fn = to ? fn_mov_to_cr : fn_mov_from_cr;
		return i->sub == 0 || (i->sub >= 2 && i->sub <= 4) || i->sub == 8;
	}
	i->fn = to ? fn_mov_to_dr : fn_mov_from_dr;
	return i->sub < 8;
}

/* ---- CLTS, LMSW, SMSW ---- */

static void fn_clts(struct soft_cpu *c, const struct insn *i)
{
	check_cpl0(c);
	c->s.cr0 &= ~(uint64_t)X86_CR0_TS;
	cpu_update_mode(c);
}

static void fn_lmsw(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v;

	check_cpl0(c);
	v = i->rm != REG_NONE ? c->s.gpr[i->rm] & 15 : ld16(c, insn_linear(c, i, 2, false)) & 15u;
	v |= c->s.cr0 & X86_CR0_PE; /* it cannot clear PE */
	control_set_cr0(c, (c->s.cr0 & ~UINT64_C(15)) | v);
}

static void fn_smsw(struct soft_cpu *c, const struct insn *i)
{
	if ((c->s.cr4 & X86_CR4_UMIP) && c->cpl)
		cpu_gp0(c);
	if (i->rm != REG_NONE)
		reg_set(c, i->rm, i->width, c->s.cr0);
	else
		st16(c, insn_linear(c, i, 2, true), (uint16_t)c->s.cr0);
}

/* ---- caches and TLB ---- */

static void fn_invlpg(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin;

	check_cpl0(c);
	lin = insn_ea(c, i);
	if (!cpu_code64(c))
		lin = (uint32_t)(lin + c->s.seg[i->seg].base);
	else if (i->seg == X86_FS || i->seg == X86_GS)
		lin += c->s.seg[i->seg].base;
	if (is_canonical(lin))
		mmu_flush_page(c, lin);
	c->end_block = true;
}

static void fn_invpcid(struct soft_cpu *c, const struct insn *i)
{
	uint64_t type, pcid, lin, at;

	if (!cpu_protected(c) || !(c->cr4_allowed & X86_CR4_PCIDE))
		cpu_ud(c);
	check_cpl0(c);
	type = reg_get(c, i->reg, control_width(c));
	at = insn_linear(c, i, 16, false);
	pcid = ld64(c, at);
	lin = ld64(c, at + 8);
	if (type > 3 || (type <= 1 && (pcid >> 12 || (pcid && !(c->s.cr4 & X86_CR4_PCIDE)))))
		cpu_gp0(c);
	if (type == 0 && !is_canonical(lin))
		cpu_gp0(c);
	if (type == 0)
		mmu_flush_page(c, lin);
	else if (type == 2)
		mmu_flush_all(c);
	else
		mmu_flush_nonglobal(c);
	c->end_block = true;
}

/* WBINVD, INVD: guest memory is coherent. */
static void fn_cache(struct soft_cpu *c, const struct insn *i)
{
	check_cpl0(c);
}

/* CLFLUSH and relatives fault as a byte load would. */
static void fn_clflush(struct soft_cpu *c, const struct insn *i)
{
	probe_read(c, insn_linear(c, i, 1, false), 1);
}

/* ---- interrupts ---- */

static void check_iopl(struct soft_cpu *c)
{
	if ((c->s.cr0 & X86_CR0_PE) && c->cpl > cpu_iopl(c))
		cpu_gp0(c);
}

static void fn_cli(struct soft_cpu *c, const struct insn *i)
{
	check_iopl(c);
	c->s.rflags &= ~(uint64_t)X86_FLAG_IF;
}

static void fn_sti(struct soft_cpu *c, const struct insn *i)
{
	check_iopl(c);
	if (!(c->s.rflags & X86_FLAG_IF)) {
		c->s.ev.sti_shadow = true;
		c->shadow_rip = insn_next_rip(c, i);
	}
	c->s.rflags |= X86_FLAG_IF;
	c->end_block = true;
}

static void fn_hlt(struct soft_cpu *c, const struct insn *i)
{
	check_cpl0(c);
	c->s.mp = X86_MP_HALTED;
	c->end_block = true;
}

void flags_load(struct soft_cpu *c, uint64_t v, uint64_t mask)
{
	uint64_t old = c->s.rflags, changed;

	c->s.rflags = (old & ~mask) | (v & mask) | X86_FLAG_ONE;
	changed = old ^ c->s.rflags;
	if (changed & (X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_VM))
		cpu_update_mode(c);
	if (changed & (X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_VM | X86_FLAG_IF))
		c->end_block = true;
}

static void fn_clac_stac(struct soft_cpu *c, const struct insn *i)
{
	if (!(c->cr4_allowed & X86_CR4_SMAP) || c->cpl)
		cpu_ud(c);
	/* At CPL 0 the flag decides which TLB tables data accesses look into, and nothing of how code runs. */
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_AC) | (i->sub ? X86_FLAG_AC : 0);
	mmu_update_who(c);
}

/* ---- time and identity ---- */

uint64_t tsc_now(struct soft_cpu *c)
{
	return __rdtsc() + c->tsc_machine + c->tsc_offset;
}

void tsc_enter(struct soft_cpu *c)
{
	c->tsc_machine = c->vm && c->vm->mclock ? machine_clock_tsc_offset(c->vm->mclock) : 0;
}

void tsc_set_offset(struct soft_cpu *c, uint64_t offset)
{
	c->tsc_offset = offset;
	atomic_store_explicit(&c->v->tsc_offset, offset, memory_order_relaxed);
}

static void set_edx_eax(struct soft_cpu *c, uint64_t v)
{
	c->s.gpr[X86_RAX] = (uint32_t)v;
	c->s.gpr[X86_RDX] = v >> 32;
}

static uint64_t get_edx_eax(const struct soft_cpu *c)
{
	return (uint32_t)c->s.gpr[X86_RAX] | c->s.gpr[X86_RDX] << 32;
}

static void fn_rdtsc(struct soft_cpu *c, const struct insn *i)
{
	if ((c->s.cr4 & X86_CR4_TSD) && c->cpl)
		cpu_gp0(c);
	set_edx_eax(c, tsc_now(c));
	if (i->sub)
		c->s.gpr[X86_RCX] = (uint32_t)c->s.tsc_aux;
}

static void fn_rdpmc(struct soft_cpu *c, const struct insn *i)
{
	cpu_gp0(c); /* no counters are offered */
}

static void fn_rdpid(struct soft_cpu *c, const struct insn *i)
{
	c->s.gpr[i->rm] = (uint32_t)c->s.tsc_aux;
}

static void fn_cpuid(struct soft_cpu *c, const struct insn *i)
{
	struct x86_cpuid row;

	features_cpuid(c, (uint32_t)c->s.gpr[X86_RAX], (uint32_t)c->s.gpr[X86_RCX], &row);
	c->s.gpr[X86_RAX] = row.eax;
	c->s.gpr[X86_RBX] = row.ebx;
	c->s.gpr[X86_RCX] = row.ecx;
	c->s.gpr[X86_RDX] = row.edx;
}

static void fn_rdmsr(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = 0;

	check_cpl0(c);
	if (msr_get(c, (uint32_t)c->s.gpr[X86_RCX], &v))
		cpu_gp0(c);
	set_edx_eax(c, v);
}

static void fn_wrmsr(struct soft_cpu *c, const struct insn *i)
{
	check_cpl0(c);
	if (msr_set(c, (uint32_t)c->s.gpr[X86_RCX], get_edx_eax(c)))
		cpu_gp0(c);
	c->end_block = true;
}

static void fn_xgetbv(struct soft_cpu *c, const struct insn *i)
{
	uint32_t which = (uint32_t)c->s.gpr[X86_RCX];

	if (!(c->s.cr4 & X86_CR4_OSXSAVE))
		cpu_ud(c);
	if (which == 0)
		set_edx_eax(c, c->s.xcr0);
	else if (which == 1)
		set_edx_eax(c, c->s.xcr0 & fpstate_in_use(c));
	else
		cpu_gp0(c);
}

static void fn_xsetbv(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = get_edx_eax(c);

	if (!(c->s.cr4 & X86_CR4_OSXSAVE))
		cpu_ud(c);
	check_cpl0(c);
	if ((uint32_t)c->s.gpr[X86_RCX] || !(v & 1) || (v & ~c->xcr0_allowed) || (v & 6) == 4 ||
	    ((v & 0xe0) && (v & 0xe6) != 0xe6))
		cpu_gp0(c);
	c->s.xcr0 = v;
	cpu_update_mode(c);
	c->end_block = true;
}

/* RDRAND, RDSEED by the host's own: the bit is offered only where the host has it. CF tells success. */
static void fn_random(struct soft_cpu *c, const struct insn *i)
{
	unsigned long v = 0;
	unsigned char ok = 0;

	if (i->sub)
		__asm__ volatile("rdseed %0; setc %1" : "=r"(v), "=qm"(ok) : : "cc");
	else
		__asm__ volatile("rdrand %0; setc %1" : "=r"(v), "=qm"(ok) : : "cc");
	reg_set(c, i->rm, i->width, ok ? v & width_mask(i->width) : 0);
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_ARITH) | (ok ? X86_FLAG_CF : 0);
}

/* ---- binding ---- */

enum { OP_CLTS, OP_LMSW, OP_SMSW, OP_INVLPG, OP_INVPCID, OP_CACHE, OP_CLFLUSH, OP_CLI, OP_STI, OP_HLT, OP_CLAC, OP_STAC,
       OP_RDTSC, OP_RDTSCP, OP_RDPMC, OP_RDPID, OP_CPUID, OP_RDMSR, OP_WRMSR, OP_XGETBV, OP_XSETBV, OP_RDRAND,
       OP_RDSEED };

static const struct system_form {
	insn_fn fn;
	bool rm; /* operand 0 is r/m */
	bool ends;
	uint8_t sub;
} forms[] = {
	[OP_CLTS] = { fn_clts, false, true, 0 },
	[OP_LMSW] = { fn_lmsw, true, true, 0 },
	[OP_SMSW] = { fn_smsw, true, false, 0 },
	[OP_INVLPG] = { fn_invlpg, false, true, 0 },
	[OP_INVPCID] = { fn_invpcid, false, true, 0 },
	[OP_CACHE] = { fn_cache, false, false, 0 },
	[OP_CLFLUSH] = { fn_clflush, false, false, 0 },
	[OP_CLI] = { fn_cli, false, false, 0 },
	[OP_STI] = { fn_sti, false, true, 0 },
	[OP_HLT] = { fn_hlt, false, true, 0 },
	[OP_CLAC] = { fn_clac_stac, false, false, 0 },
	[OP_STAC] = { fn_clac_stac, false, false, 1 },
	[OP_RDTSC] = { fn_rdtsc, false, false, 0 },
	[OP_RDTSCP] = { fn_rdtsc, false, false, 1 },
	[OP_RDPMC] = { fn_rdpmc, false, false, 0 },
	[OP_RDPID] = { fn_rdpid, true, false, 0 },
	[OP_CPUID] = { fn_cpuid, false, false, 0 },
	[OP_RDMSR] = { fn_rdmsr, false, false, 0 },
	[OP_WRMSR] = { fn_wrmsr, false, true, 0 },
	[OP_XGETBV] = { fn_xgetbv, false, false, 0 },
	[OP_XSETBV] = { fn_xsetbv, false, true, 0 },
	[OP_RDRAND] = { fn_random, true, false, 0 },
	[OP_RDSEED] = { fn_random, true, false, 1 },
};

static bool bind_form(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const struct system_form *f = &forms[arg];

	i->fn = f->fn;
	i->sub = f->sub;
	i->rm = REG_NONE;
	if (f->ends)
		i->flags |= INSN_ENDS_BLOCK;
	if (f->rm) {
		bind_rm(i, &src->op[0]);
		if (i->rm != REG_NONE)
			i->width = (uint8_t)(src->op[0].size / 8);
	}
	if (arg == OP_INVPCID)
		i->reg = bind_reg(&src->op[0]);
	return true;
}

/* Instructions that this processor does not have. */
static bool bind_absent(struct insn *i, const struct insn_source *src, unsigned arg)
{
	return false;
}

const struct insn_row insn_system[] = {
	{ ZYDIS_MNEMONIC_CLTS, OP_CLTS, bind_form },
	{ ZYDIS_MNEMONIC_LMSW, OP_LMSW, bind_form },
	{ ZYDIS_MNEMONIC_SMSW, OP_SMSW, bind_form },
	{ ZYDIS_MNEMONIC_INVLPG, OP_INVLPG, bind_form },
	{ ZYDIS_MNEMONIC_INVPCID, OP_INVPCID, bind_form },
	{ ZYDIS_MNEMONIC_WBINVD, OP_CACHE, bind_form },
	{ ZYDIS_MNEMONIC_INVD, OP_CACHE, bind_form },
	{ ZYDIS_MNEMONIC_CLFLUSH, OP_CLFLUSH, bind_form },
	{ ZYDIS_MNEMONIC_CLFLUSHOPT, OP_CLFLUSH, bind_form },
	{ ZYDIS_MNEMONIC_CLWB, OP_CLFLUSH, bind_form },
	{ ZYDIS_MNEMONIC_CLI, OP_CLI, bind_form },
	{ ZYDIS_MNEMONIC_STI, OP_STI, bind_form },
	{ ZYDIS_MNEMONIC_HLT, OP_HLT, bind_form },
	{ ZYDIS_MNEMONIC_CLAC, OP_CLAC, bind_form },
	{ ZYDIS_MNEMONIC_STAC, OP_STAC, bind_form },
	{ ZYDIS_MNEMONIC_RDTSC, OP_RDTSC, bind_form },
	{ ZYDIS_MNEMONIC_RDTSCP, OP_RDTSCP, bind_form },
	{ ZYDIS_MNEMONIC_RDPMC, OP_RDPMC, bind_form },
	{ ZYDIS_MNEMONIC_RDPID, OP_RDPID, bind_form },
	{ ZYDIS_MNEMONIC_CPUID, OP_CPUID, bind_form },
	{ ZYDIS_MNEMONIC_RDMSR, OP_RDMSR, bind_form },
	{ ZYDIS_MNEMONIC_WRMSR, OP_WRMSR, bind_form },
	{ ZYDIS_MNEMONIC_XGETBV, OP_XGETBV, bind_form },
	{ ZYDIS_MNEMONIC_XSETBV, OP_XSETBV, bind_form },
	{ ZYDIS_MNEMONIC_RDRAND, OP_RDRAND, bind_form },
	{ ZYDIS_MNEMONIC_RDSEED, OP_RDSEED, bind_form },
	{ ZYDIS_MNEMONIC_MONITOR, 0, bind_absent },
	{ ZYDIS_MNEMONIC_MWAIT, 0, bind_absent },
	{ ZYDIS_MNEMONIC_MONITORX, 0, bind_absent },
	{ ZYDIS_MNEMONIC_MWAITX, 0, bind_absent },
	{ ZYDIS_MNEMONIC_RSM, 0, bind_absent },
	{ ZYDIS_MNEMONIC_RDPKRU, 0, bind_absent },
	{ ZYDIS_MNEMONIC_WRPKRU, 0, bind_absent },
	{ ZYDIS_MNEMONIC_RDPRU, 0, bind_absent },
	{ ZYDIS_MNEMONIC_XBEGIN, 0, bind_absent },
	{ ZYDIS_MNEMONIC_XEND, 0, bind_absent },
	{ ZYDIS_MNEMONIC_XTEST, 0, bind_absent },
	{ ZYDIS_MNEMONIC_VMCALL, 0, bind_absent },
	{ ZYDIS_MNEMONIC_VMMCALL, 0, bind_absent },
	{ ZYDIS_MNEMONIC_VMXON, 0, bind_absent },
	{ ZYDIS_MNEMONIC_VMRUN, 0, bind_absent },
	{ ZYDIS_MNEMONIC_UD0, 0, bind_absent },
	{ ZYDIS_MNEMONIC_UD1, 0, bind_absent },
	{ ZYDIS_MNEMONIC_UD2, 0, bind_absent },
	{ 0, 0, NULL },
};
