/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Permissions, error codes, accessed and dirty bits of four-level paging (SDM 3A 4.5 to 4.8). */
#include "cpu64.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ull << 63)

extern char u_pf_read[], u_pf_write[], u_pf_exec[];
__asm__(".text\n"
	"u_pf_read: mov (%rdi),%al; int $0x80\n"
	"u_pf_write: movb $0xc3,(%rdi); int $0x80\n"
	"u_pf_exec: call *%rdi; int $0x80\n");

static uint8_t page[4096] __attribute__((aligned(4096)));
static uint8_t page2[4096] __attribute__((aligned(4096)));

static void k_read(uint64_t at) { *(volatile uint8_t *)at; }
static void k_write(uint64_t at) { *(volatile uint8_t *)at = 0xc3; }
static void k_exec(uint64_t at) { ((void (*)(void))at)(); }
static void k_read_ac(uint64_t at) { __asm__ volatile("stac; mov (%0), %%al; clac" : : "r"(at) : "rax"); }
static void k_write_ac(uint64_t at) { __asm__ volatile("stac; movb $0xc3, (%0); clac" : : "r"(at) : "memory"); }

static void set_pte(uint64_t pte)
{
	pt_window[0] = pte;
	invlpg(WINDOW);
}

struct setting {
	bool user, wp, smep, smap, ac;
};

/* What an access must give: -1 success, else the error code. */
static int wanted(uint64_t pte, char access, const struct setting *s)
{
	int code = (access == 'w' ? 2 : 0) | (s->user ? 4 : 0) | (access == 'x' ? 16 : 0);
	bool ok = true;

	if (!(pte & P))
		return code;
	if (access == 'x') {
		ok = !(pte & NX);
		if (s->user)
			ok &= !!(pte & U);
		else if (s->smep && (pte & U))
			ok = false;
	} else {
		if (s->user)
			ok = pte & U;
		else if ((pte & U) && s->smap && !s->ac)
			ok = false;
		if (access == 'w' && !(pte & W) && (s->user || s->wp))
			ok = false;
	}
	return ok ? -1 : code | 1;
}

static int attempt(uint64_t pte, char access, const struct setting *s)
{
	set_pte((uint64_t)page | pte);
	page[0] = 0xc3;
	if (s->user)
		call3(access == 'r' ? u_pf_read : access == 'w' ? u_pf_write : u_pf_exec, WINDOW);
	else if (access == 'x')
		call0(k_exec, WINDOW);
	else if (s->ac)
		call0(access == 'r' ? k_read_ac : k_write_ac, WINDOW);
	else
		call0(access == 'r' ? k_read : k_write, WINDOW);
	if (last.vector == 14 && last_cr2 == WINDOW)
		return (int)last.code;
	return last.vector == NONE || last.vector == 0x80 ? -1 : -2;
}

static void print_setting(const struct setting *s)
{
	print("page");
	print(s->user ? " user" : " kernel");
	print(s->wp ? " wp" : "");
	print(s->smep ? " smep" : "");
	print(s->smap ? " smap" : "");
	print(s->ac ? " ac" : "");
	print(":");
}

/* A line for each setting: page rights = results of read, write, execute. */
static void matrix_line(const struct setting *s)
{
	static const char accesses[] = "rwx";
	bool good = true;

	print_setting(s);
	for (unsigned n = 0; n < 16; n++) {
		uint64_t pte = (n & 1 ? P : 0) | (n & 2 ? W : 0) | (n & 4 ? U : 0) | (n & 8 ? NX : 0);
		if (!(n & 1) && n)
			continue;
		print(" ");
		print_hex(n);
		print("=");
		for (unsigned k = 0; k < 3; k++) {
			int got = attempt(pte, accesses[k], s);
			good &= got == wanted(pte, accesses[k], s);
			if (got == -1)
				print("-");
			else
				print_hex((uint64_t)got & 0xff);
			print(k < 2 ? "/" : "");
		}
	}
	print("\n");
	print_setting(s);
	verdict(" as the manual says", good);
}

static void matrix(void)
{
	uint64_t cr0 = read_cr0(), cr4 = read_cr4();
	bool smep = has(7, 1, 7), smap = has(7, 1, 20);

	for (unsigned n = 0; n < 32; n++) {
		struct setting s = { n & 1, n & 2, n & 4, n & 8, n & 16 };
		if ((s.smep && !smep) || (s.smap && !smap) || (s.ac && (!s.smap || s.user)))
			continue;
		write_cr0(s.wp ? cr0 | 1 << 16 : cr0 & ~(1ul << 16));
		write_cr4(cr4 | (s.smep ? 1 << 20 : 0) | (s.smap ? 1 << 21 : 0));
		matrix_line(&s);
	}
	write_cr0(cr0);
	write_cr4(cr4);
}

static void check_bits(const char *name, uint64_t want)
{
	check(name, pt_window[0] & (A | D), want);
}

static void accessed_dirty(void)
{
	set_pte((uint64_t)page | P | W);
	pd_window[0] &= ~(uint64_t)A;
	pdpt[5] &= ~(uint64_t)A;
	write_cr3(read_cr3());
	check_bits("page A/D before", 0);
	k_read(WINDOW);
	check_bits("page A/D after a read", A);
	check("page A/D: A in the directory", pd_window[0] & (A | D), A);
	check("page A/D: A in the pointer table", pdpt[5] & (A | D), A);
	k_write(WINDOW);
	check_bits("page A/D after a write", A | D);
	set_pte((uint64_t)page | P | W);
	k_exec(WINDOW);
	check_bits("page A/D after execution", A);
	set_pte((uint64_t)page | P | W);
	k_write(WINDOW + 8);
	check_bits("page A/D write first", A | D);
	set_pte((uint64_t)page | P);
	call0(k_write, WINDOW);
	check("page A/D: a write that is refused leaves D clear", pt_window[0] & D, 0);
	set_pte((uint64_t)page | P | W);
	begin();
	__asm__ volatile("lock; orl $0, (%0)" : : "r"(WINDOW + 16) : "memory");
	check_bits("page A/D after a locked or", A | D);
}

static void large_and_reserved(void)
{
	uint64_t keep = pd_window[1];
	bool page_nx = true;

	pd_window[1] = 0x200000ul | P | W | PS;
	write_cr3(read_cr3());
	k_read(WINDOW + 0x200000);
	check("page large: A", pd_window[1] & (A | D), A);
	k_write(WINDOW + 0x200000 + 0x1f0000);
	check("page large: D", pd_window[1] & (A | D), A | D);
	pd_window[1] = 0x202000ul | P | W | PS;
	invlpg(WINDOW + 0x200000);
	call0(k_read, WINDOW + 0x200000);
	expect("page large: reserved bit", 14, 9);
	pd_window[1] = keep;
	invlpg(WINDOW + 0x200000);
	set_pte((uint64_t)page | P | W | 1ull << 51);
	call0(k_read, WINDOW);
	expect("page reserved address bit", 14, 9);
	call0(k_write, WINDOW);
	expect("page reserved address bit, write", 14, 11);
	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~(1ul << 11));
	set_pte((uint64_t)page | P | W | NX);
	call0(k_read, WINDOW);
	expect("page NX bit with NXE clear", 14, 9);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1 << 11);
	verdict("page NXE is back", page_nx);
}

static void invalidation(void)
{
	volatile uint8_t *w = (volatile uint8_t *)WINDOW;
	uint8_t a, b, c;

	page[100] = 1;
	page2[100] = 2;
	set_pte((uint64_t)page | P | W);
	a = w[100];
	set_pte((uint64_t)page2 | P | W);
	b = w[100];
	pt_window[0] = (uint64_t)page | P | W;
	write_cr3(read_cr3());
	c = w[100];
	check("page new mapping after invlpg and cr3", (uint64_t)(a << 16 | b << 8 | c), 0x010201);
	set_pte((uint64_t)page | P | W | G);
	a = w[100];
	pt_window[0] = (uint64_t)page2 | P | W | G;
	write_cr4(read_cr4() & ~0x80ul);
	write_cr4(read_cr4() | 0x80);
	b = w[100];
	check("page global mapping after cr4", (uint64_t)(a << 8 | b), 0x0102);
	set_pte((uint64_t)page | P);
	call0(k_write, WINDOW);
	expect("page read-only at once", 14, 3);
	pt_window[0] |= W; /* more rights need no invalidation */
	call0(k_write, WINDOW);
	expect("page made writable without invlpg", NONE, 0);
}

/* Rights of the upper levels count too. */
static void upper_levels(void)
{
	set_pte((uint64_t)page | P | W | U);
	pd_window[0] &= ~(uint64_t)W;
	write_cr3(read_cr3());
	call3(u_pf_write, WINDOW);
	expect("page directory read-only", 14, 7);
	pd_window[0] = (pd_window[0] | W) & ~(uint64_t)U;
	write_cr3(read_cr3());
	call3(u_pf_read, WINDOW);
	expect("page directory supervisor", 14, 5);
	pd_window[0] |= U | NX;
	write_cr3(read_cr3());
	call3(u_pf_exec, WINDOW);
	expect("page directory no execute", 14, 21);
	pd_window[0] &= ~NX;
	write_cr3(read_cr3());
}

/* An access over a page's end faults at the page that is missing, and writes nothing. */
static void crossing(void)
{
	volatile uint32_t *w = (volatile uint32_t *)(WINDOW + 4094);

	pt_window[0] = (uint64_t)page | P | W;
	pt_window[1] = 0;
	write_cr3(read_cr3());
	page[4094] = page[4095] = 0x11;
	begin();
	call0((void (*)(uint64_t))(uintptr_t)k_write, WINDOW + 4096);
	expect("page next one missing", 14, 2);
	pt_window[1] = (uint64_t)page2 | P;
	invlpg(WINDOW + 4096);
	check("page crossing read", *w, (uint32_t)(0x1111 | page2[0] << 16 | page2[1] << 24));
}

static void k_crossing_write(uint64_t at) { *(volatile uint32_t *)at = 0x22222222; }

static void k_rep(uint64_t at)
{
	__asm__ volatile("rep stosb" : : "D"(at), "c"(4096), "a"(0x77) : "memory");
}

static void partial(void)
{
	call0(k_crossing_write, WINDOW + 4094);
	expect("page crossing write to a read-only page", 14, 3);
	check("page crossing write: address", last_cr2, WINDOW + 4096);
	check("page crossing write: nothing written", page[4094], 0x11);
	call0(k_rep, WINDOW + 4096 - 100);
	expect("page rep stosb", 14, 3);
	check("page rep stosb: address", last_cr2, WINDOW + 4096);
	check("page rep stosb: rcx", last.rcx, 3996);
	check("page rep stosb: rdi", last.rdi, WINDOW + 4096);
	check("page rep stosb: what was written", page[4095], 0x77);
}

void test_paging(void)
{
	page[0] = 0xc3;
	matrix();
	accessed_dirty();
	large_and_reserved();
	invalidation();
	upper_levels();
	crossing();
	partial();
	set_pte(0);
}
