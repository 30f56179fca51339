/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>

/* Selectors that the Linux boot protocol names; PVH and Multiboot leave them open. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, BOOT_TR = 0x20 };

enum { PTE_P = 1, PTE_W = 2, PTE_PS = 0x80 };

int entry_write_gdt(struct gmem *mem, bool is64, struct err *e)
{
	const uint64_t gdt[6] = {
		[BOOT_CS / 8] = is64 ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff),
		[BOOT_DS / 8] = UINT64_C(0x00cf93000000ffff),
		[BOOT_TR / 8] = UINT64_C(0x00008b0000000067),
	};

	if (gmem_write(mem, BOOT_GDT, gdt, sizeof(gdt)) < 0)
		return err_set(e, -E2BIG, "the machine has no memory at 0: give it at least 1 MiB");
	return 0;
}

static void load_flat(struct x86_state *cpu, uint32_t code_mode)
{
	const struct x86_seg data = {
		.limit = UINT32_MAX,
		.sel = BOOT_DS,
		.attr = X86_AR_P | X86_AR_S | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_DB | X86_AR_G,
	};

	for (unsigned n = X86_ES; n <= X86_GS; n++)
		cpu->seg[n] = data;
	cpu->seg[X86_CS].sel = BOOT_CS;
	cpu->seg[X86_CS].attr = X86_AR_P | X86_AR_S | X86_AR_CODE | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_G |
	                        code_mode;
	cpu->seg[X86_TR] = (struct x86_seg){ .sel = BOOT_TR, .limit = 0x67, .attr = X86_AR_P | 11 };
	cpu->seg[X86_LDTR] = (struct x86_seg){ .attr = X86_AR_UNUSABLE };
	cpu->gdtr = (struct x86_table){ .base = BOOT_GDT, .limit = 6 * 8 - 1 };
	cpu->idtr = (struct x86_table){ 0 };
}

void entry_protected32(struct x86_state *cpu, uint64_t rip)
{
	load_flat(cpu, X86_AR_DB);
	cpu->cr0 = X86_CR0_PE | X86_CR0_ET;
	cpu->rip = rip;
	cpu->rflags = X86_FLAG_ONE;
}

static int write_identity_tables(struct gmem *mem)
{
	uint64_t pml4[512] = { [0] = (BOOT_PAGE_TABLES + 0x1000) | PTE_P | PTE_W };
	uint64_t pdpt[512] = { 0 };
	uint64_t pd[512];
	int ret = 0;

	for (unsigned g = 0; g < 4; g++) {
		uint64_t at = BOOT_PAGE_TABLES + 0x2000 + g * 0x1000;

		pdpt[g] = at | PTE_P | PTE_W;
		for (unsigned n = 0; n < 512; n++)
			pd[n] = ((uint64_t)g << 30 | (uint64_t)n << 21) | PTE_P | PTE_W | PTE_PS;
		ret |= gmem_write(mem, at, pd, sizeof(pd));
	}
	ret |= gmem_write(mem, BOOT_PAGE_TABLES, pml4, sizeof(pml4));
	ret |= gmem_write(mem, BOOT_PAGE_TABLES + 0x1000, pdpt, sizeof(pdpt));
	return ret;
}

int entry_long64(struct x86_state *cpu, struct gmem *mem, uint64_t rip, struct err *e)
{
	if (write_identity_tables(mem) < 0)
		return err_set(e, -E2BIG, "the machine has no memory at 0: give it at least 1 MiB");
	load_flat(cpu, X86_AR_L);
	cpu->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET;
	cpu->cr3 = BOOT_PAGE_TABLES;
	cpu->cr4 = X86_CR4_PAE;
	cpu->efer = X86_EFER_LME | X86_EFER_LMA;
	cpu->rip = rip;
	cpu->rflags = X86_FLAG_ONE;
	return 0;
}
