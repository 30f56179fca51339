/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/regs.h"

#include <string.h>

static void segments_reset(struct x86_state *s)
{
	for (unsigned n = 0; n < X86_SEG_COUNT; n++)
		s->seg[n] = (struct x86_seg){
			.limit = 0xffff,
			.attr = X86_AR_P | X86_AR_S | X86_AR_WRITABLE | X86_AR_ACCESSED,
		};
	s->seg[X86_CS].attr |= X86_AR_CODE;
	s->seg[X86_CS].sel = 0xf000;
	s->seg[X86_CS].base = 0xffff0000;
	s->seg[X86_LDTR].attr = X86_AR_P | 2;
	s->seg[X86_TR].attr = X86_AR_P | 11; /* busy 32-bit TSS, as VMX requires of a loaded TR */
	s->gdtr = s->idtr = (struct x86_table){ .limit = 0xffff };
}

void x86_state_init(struct x86_state *s, bool is_bsp, uint32_t signature)
{
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_RDX] = signature;
	s->rip = 0xfff0;
	s->rflags = X86_FLAG_ONE;
	segments_reset(s);
	s->cr0 = (s->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
	s->efer = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr[6] = 0xffff0ff0;
	s->dr[7] = 0x400;
	memset(&s->ev, 0, sizeof(s->ev));
	s->mp = is_bsp ? X86_MP_RUNNABLE : X86_MP_WAIT_SIPI;
}

void x86_state_reset(struct x86_state *s, bool is_bsp, uint32_t signature)
{
	memset(s, 0, sizeof(*s));
	s->cr0 = X86_CR0_CD | X86_CR0_NW;
	x86_state_init(s, is_bsp, signature);
	s->xcr0 = 1;
	s->fpu.fcw = 0x40;
	s->fpu.mxcsr = 0x1f80;
	s->pat = UINT64_C(0x0007040600070406);
	s->misc_enable = 1;
	s->apic_base = UINT64_C(0xfee00800) | (is_bsp ? 0x100 : 0);
}
