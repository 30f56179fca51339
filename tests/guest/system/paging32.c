/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit and PAE paging: error codes, large pages, write protection (SDM 3A 4.3, 4.4). */
#include "cpu32.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, WINDOW = 0x40000000 };

static uint32_t dir[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
static uint64_t pae_ptrs[4] __attribute__((aligned(32)));
static uint64_t pae_dir[4][512] __attribute__((aligned(4096))), pae_table[512] __attribute__((aligned(4096)));
static uint8_t page[4096] __attribute__((aligned(4096)));

extern char u_read[], u_write[];
__asm__(".text\n"
	"u_read: movl $0x43,%edx; movl %edx,%ds; movl $0x40000000,%edx; movb (%edx),%al; int $0x80\n"
	"u_write: movl $0x43,%edx; movl %edx,%ds; movl $0x40000000,%edx; movb %al,(%edx); int $0x80\n");

static void k_read(uint32_t at) { *(volatile uint8_t *)at; }
static void k_write(uint32_t at) { *(volatile uint8_t *)at = 1; }
static void flush(void) { uint32_t v; __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(v) : : "memory"); }

static int attempt(bool user, bool write)
{
	flush();
	if (user)
		call3(write ? u_write : u_read, 2);
	else
		call0(write ? k_write : k_read, WINDOW);
	return last.vector == 14 && last_cr2 == WINDOW          ? (int)last.code
	       : last.vector == NONE || last.vector == EXIT_INT ? -1
								: -2;
}

static int wanted(unsigned pte, bool user, bool write, bool wp)
{
	int code = (user ? 4 : 0) | (write ? 2 : 0);

	if (!(pte & P))
		return code;
	if ((user && !(pte & U)) || (write && !(pte & W) && (user || wp)))
		return code | 1;
	return -1;
}

/* set: puts the rights into the entry that maps the window. */
static void matrix(const char *name, void (*set)(unsigned))
{
	for (unsigned wp = 0; wp < 2; wp++) {
		bool good = true;
		write_cr0(wp ? read_cr0() | 1 << 16 : read_cr0() & ~(1u << 16));
		print(name);
		print(wp ? " wp:" : ":");
		for (unsigned n = 0; n < 32; n++) {
			unsigned pte = n & 7;
			bool user = n & 8, write = n & 16;
			int got;
			set(pte);
			got = attempt(user, write);
			good &= got == wanted(pte, user, write, wp);
			print(" ");
			if (got < 0)
				print(got == -1 ? "-" : "?");
			else
				print_hex((unsigned)got);
		}
		print("\n");
		verdict(name, good);
	}
}

static void set_table(unsigned bits) { table[0] = (uint32_t)page | bits; }
static void set_large(unsigned bits) { dir[WINDOW >> 22] = bits | PS; }
static void set_pae(unsigned bits) { pae_table[0] = (uint32_t)page | bits; }
static void set_pae_large(unsigned bits) { pae_dir[1][0] = bits | PS; }

static void legacy(void)
{
	for (unsigned n = 0; n < 1024; n++)
		dir[n] = n << 22 | P | W | PS;
	dir[0] |= U; /* the image and its user code */
	dir[WINDOW >> 22] = (uint32_t)table | P | W | U;
	write_cr4(read_cr4() | 0x10);
	write_cr3((uint32_t)dir);
	write_cr0(read_cr0() | 0x80000000);
	matrix("page32 table", set_table);
	set_table(P | W);
	flush();
	k_read(WINDOW);
	check("page32 A", table[0] & (A | D), A);
	k_write(WINDOW);
	check("page32 D", table[0] & (A | D), A | D);
	matrix("page32 large", set_large);
	write_cr0(read_cr0() & 0x7fffffff);
}

static void pae(void)
{
	for (unsigned n = 0; n < 2048; n++)
		pae_dir[n >> 9][n & 511] = (uint64_t)n << 21 | P | W | PS;
	pae_dir[0][0] |= U;
	pae_dir[1][0] = (uint32_t)pae_table | P | W | U;
	for (unsigned n = 0; n < 4; n++)
		pae_ptrs[n] = (uint32_t)pae_dir[n] | P;
	write_cr4(read_cr4() | 0x20);
	write_cr3((uint32_t)pae_ptrs);
	write_cr0(read_cr0() | 0x80000000);
	matrix("page pae table", set_pae);
	set_pae(P | W);
	flush();
	k_write(WINDOW);
	check("page pae A, D", pae_table[0] & (A | D), A | D);
	matrix("page pae large", set_pae_large);
	write_cr0(read_cr0() & 0x7fffffff);
	write_cr4(read_cr4() & ~0x20u);
}

void test_paging(void)
{
	legacy();
	pae();
	verdict("page off again", true);
}
