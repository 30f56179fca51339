/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "debug/gdb_memory.h"

enum { PTE_P = 1, PTE_PS = 1 << 7 };
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

static bool entry(const struct gmem *mem, uint64_t at, unsigned size, uint64_t *pte)
{
	*pte = 0;
	return gmem_read(mem, at, pte, size) == 0 && (*pte & PTE_P);
}

/* 4-level, 5-level and, with 3, PAE paging: 9 bits a level. */
static bool walk64(const struct gmem *mem, uint64_t table, unsigned levels, uint64_t lin, uint64_t *gpa)
{
	for (unsigned level = levels; level; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t pte, mask = (UINT64_C(1) << shift) - 1, index = lin >> shift & 511;

		if (!entry(mem, table + index * 8, 8, &pte))
			return false;
		if (level == 1 || ((level == 2 || (level == 3 && levels > 3)) && (pte & PTE_PS))) {
			*gpa = (pte & PTE_ADDR & ~mask) | (lin & mask);
			return true;
		}
		table = pte & PTE_ADDR;
	}
	return false;
}

static bool walk32(const struct gmem *mem, const struct x86_state *s, uint32_t lin, uint64_t *gpa)
{
	uint64_t pde, pte;

	if (!entry(mem, (s->cr3 & 0xfffff000) + (lin >> 22) * 4, 4, &pde))
		return false;
	if ((pde & PTE_PS) && (s->cr4 & X86_CR4_PSE)) {
		*gpa = (pde & 0xffc00000) | (pde >> 13 & 0xff) << 32 | (lin & 0x3fffff);
		return true;
	}
	if (!entry(mem, (pde & 0xfffff000) + (lin >> 12 & 1023) * 4, 4, &pte))
		return false;
	*gpa = (pte & 0xfffff000) | (lin & 0xfff);
	return true;
}

bool gdb_translate(const struct gmem *mem, const struct x86_state *s, uint64_t lin, uint64_t *gpa)
{
	unsigned levels = s->cr4 & X86_CR4_LA57 ? 5 : 4;

	if (!(s->cr0 & X86_CR0_PG)) {
		*gpa = lin;
		return true;
	}
	if (s->efer & X86_EFER_LMA) {
		unsigned unused = 64 - (12 + 9 * levels);

		return (uint64_t)((int64_t)(lin << unused) >> unused) == lin &&
		       walk64(mem, s->cr3 & PTE_ADDR, levels, lin, gpa);
	}
	if (lin > UINT32_MAX)
		return false;
	if (s->cr4 & X86_CR4_PAE)
		return walk64(mem, s->cr3 & 0xffffffe0, 3, lin, gpa);
	return walk32(mem, s, (uint32_t)lin, gpa);
}

/* Page by page; to is NULL for a write. */
static size_t copy(struct gmem *mem, const struct x86_state *s, uint64_t lin, uint8_t *to,
		   const uint8_t *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint64_t at = lin + done, gpa = at;
		size_t room = GMEM_PAGE - (at & (GMEM_PAGE - 1)), part = len - done < room ? len - done : room;

		if (s && !gdb_translate(mem, s, at, &gpa))
			break;
		if (to ? gmem_read(mem, gpa, to + done, part) : gmem_write(mem, gpa, from + done, part))
			break;
		done += part;
	}
	return done;
}

size_t gdb_memory_read(struct gmem *mem, const struct x86_state *s, uint64_t lin, void *buf, size_t len)
{
	return copy(mem, s, lin, buf, NULL, len);
}

size_t gdb_memory_write(struct gmem *mem, const struct x86_state *s, uint64_t lin, const void *buf, size_t len)
{
	return copy(mem, s, lin, NULL, buf, len);
}
