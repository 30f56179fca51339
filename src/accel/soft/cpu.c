/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The soft CPU's mode, faults and near jumps. */
#include "accel/soft/cpu.h"
#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "core/vcpu.h"

static ATTR_NORETURN void leave(struct soft_cpu *c)
{
	mmu_bus_unlock(c);
	__builtin_longjmp(c->fault_jmp, 1);
}

void cpu_fault(struct soft_cpu *c, unsigned vector)
{
	c->fault = (struct soft_fault){ .vector = (uint8_t)vector };
	leave(c);
}

void cpu_fault_code(struct soft_cpu *c, unsigned vector, uint32_t code)
{
	c->fault = (struct soft_fault){ .vector = (uint8_t)vector, .has_code = true, .code = code };
	leave(c);
}

void cpu_page_fault(struct soft_cpu *c, uint64_t linear, uint32_t code)
{
	c->s.cr2 = linear;
	cpu_fault_code(c, X86_PF, code);
}

void cpu_jump(struct soft_cpu *c, uint64_t rip)
{
	if (cpu_code64(c)) {
		if ((uint64_t)((int64_t)(rip << 16) >> 16) != rip)
			cpu_gp0(c);
	} else {
		rip &= 0xffffffff;
		if (rip > c->s.seg[X86_CS].limit)
			cpu_gp0(c);
	}
	c->next_rip = rip;
}

/* 4 GiB, wherever they begin. */
static bool seg_whole(const struct x86_seg *s, bool write)
{
	uint32_t need = X86_AR_P | X86_AR_S | (write ? X86_AR_WRITABLE : 0);
	return s->limit == UINT32_MAX && (s->attr & need) == need && !(s->attr & X86_AR_UNUSABLE) &&
	       (!write || !(s->attr & (X86_AR_CODE | X86_AR_DOWN)));
}

static bool seg_flat(const struct x86_seg *s, bool write)
{
	return s->base == 0 && seg_whole(s, write);
}

static uint32_t code_mode(const struct soft_cpu *c, bool v86)
{
	const struct x86_state *s = &c->s;
	if (v86)
		return MODE_CODE16;
	if ((s->efer & X86_EFER_LMA) && (s->seg[X86_CS].attr & X86_AR_L))
		return MODE_CODE64;
	return s->seg[X86_CS].attr & X86_AR_DB ? MODE_CODE32 : MODE_CODE16;
}

void cpu_update_mode(struct soft_cpu *c)
{
	struct x86_state *s = &c->s;
	bool pe = s->cr0 & X86_CR0_PE, v86 = pe && (s->rflags & X86_FLAG_VM) && !(s->efer & X86_EFER_LMA);
	uint32_t m = code_mode(c, v86);
	c->cpl = !pe ? 0 : v86 ? 3 : (s->seg[X86_SS].attr >> X86_AR_DPL_SHIFT) & 3;
	if (pe)
		m |= v86 ? MODE_V86 : MODE_PROTECTED;
	if (c->cpl == 3)
		m |= MODE_USER;
	if (s->efer & X86_EFER_LMA)
		m |= MODE_LONG;
	if (s->rflags & X86_FLAG_TF)
		m |= MODE_TF;
	if (s->dr[7] & 0xff)
		m |= MODE_BREAK;
	if ((m & MODE_CODE_MASK) == MODE_CODE64 || (!v86 && s->seg[X86_SS].attr & X86_AR_DB))
		m |= MODE_SS32;
	if ((m & MODE_CODE_MASK) != MODE_CODE64 && seg_flat(&s->seg[X86_CS], false) && seg_flat(&s->seg[X86_SS], true) &&
	    seg_flat(&s->seg[X86_DS], true) && seg_flat(&s->seg[X86_ES], true))
		m |= MODE_FLAT;
	c->x_seg_odd[X86_FS] = !seg_whole(&s->seg[X86_FS], true);
	c->x_seg_odd[X86_GS] = !seg_whole(&s->seg[X86_GS], true);
	m |= c->debug_mode;
	c->mode = c->tlb.mode_below = c->tlb.mode_above = m;
	c->code_width = 2 << (m & MODE_CODE_MASK);
	c->stack_width = (m & MODE_CODE_MASK) == MODE_CODE64 ? 8 : m & MODE_SS32 ? 4 : 2;
	/* EIP is 32 bits wide in a 16-bit segment too: OVMF runs code of one far above 64K when it wakes out of S3. What
	 * goes past the limit faults (SDM 3A 5.3). */
	c->rip_mask = (m & MODE_CODE_MASK) == MODE_CODE64 ? UINT64_MAX : 0xffffffff;
	mmu_update_who(c);
}
