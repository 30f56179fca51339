/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "native.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

uint8_t native_wide; /* the host has AVX-512 */
struct native_state native_now; /* the state under way; the code below addresses it relative to RIP */
extern uint8_t native_enter[], native_leave[];
void native_call(void);

static uint8_t *page;
static volatile bool running;

_Static_assert(offsetof(struct native_state, rflags) == 128, "asm below");
_Static_assert(offsetof(struct native_state, zmm) == 192, "asm below");
_Static_assert(offsetof(struct native_state, fx) == 2240, "asm below");
_Static_assert(offsetof(struct native_state, k) == 2752, "asm below");

#define LOAD_GPR(r, n) "	mov native_now + 8 * " #n "(%rip), %" #r "\n"
#define SAVE_GPR(r, n) "	mov %" #r ", native_now + 8 * " #n "(%rip)\n"
#define EACH_GPR(M)                                                                                                   \
	M(rax, 0) M(rcx, 1) M(rdx, 2) M(rbx, 3) M(rsp, 4) M(rbp, 5) M(rsi, 6) M(rdi, 7)                               \
	M(r8, 8) M(r9, 9) M(r10, 10) M(r11, 11) M(r12, 12) M(r13, 13) M(r14, 14) M(r15, 15)
#define LOAD_YMM(n) "	vmovdqu native_now + 192 + 64 * " #n "(%rip), %ymm" #n "\n"
#define SAVE_YMM(n) "	vmovdqu %ymm" #n ", native_now + 192 + 64 * " #n "(%rip)\n"
#define LOAD_ZMM(n) "	vmovdqu64 native_now + 192 + 64 * " #n "(%rip), %zmm" #n "\n"
#define SAVE_ZMM(n) "	vmovdqu64 %zmm" #n ", native_now + 192 + 64 * " #n "(%rip)\n"
#define LOAD_K(n) "	kmovq native_now + 2752 + 8 * " #n "(%rip), %k" #n "\n"
#define SAVE_K(n) "	kmovq %k" #n ", native_now + 2752 + 8 * " #n "(%rip)\n"
#define EACH_K(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define EACH_HIGH(M) M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29) M(30) M(31)
#define EACH_YMM(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)

__asm__(".text\n"
	".globl native_call, native_leave\n"
	"native_call:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, native_now + 136(%rip)\n"
	"	fxrstor64 native_now + 2240(%rip)\n"
	"	cmpb $0, native_wide(%rip)\n"
	"	je 1f\n"
	EACH_YMM(LOAD_ZMM)
	EACH_HIGH(LOAD_ZMM)
	EACH_K(LOAD_K)
	"	jmp 2f\n"
	"1:\n"
	EACH_YMM(LOAD_YMM)
	"2:\n"
	"	push native_now + 128(%rip)\n"
	"	popfq\n"
	EACH_GPR(LOAD_GPR)
	"	jmp *native_now + 144(%rip)\n"
	"native_leave:\n"
	EACH_GPR(SAVE_GPR)
	"	mov native_now + 136(%rip), %rsp\n"
	"	pushfq\n"
	"	pop native_now + 128(%rip)\n"
	"	cmpb $0, native_wide(%rip)\n"
	"	je 1f\n"
	EACH_YMM(SAVE_ZMM)
	EACH_HIGH(SAVE_ZMM)
	EACH_K(SAVE_K)
	"	jmp 2f\n"
	"1:\n"
	EACH_YMM(SAVE_YMM)
	"2:\n"
	"	fxsave64 native_now + 2240(%rip)\n"
	"	fninit\n"
	"	vzeroupper\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	cld\n"
	"	ret\n");

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	if (!running) {
		signal(sig, SIG_DFL);
		return;
	}
	native_now.signal = sig;
	u->uc_mcontext.gregs[REG_RIP] = (uintptr_t)native_leave;
}

void native_init(void)
{
	static const int sigs[] = { SIGFPE, SIGSEGV, SIGBUS, SIGILL };
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	if (!page) {
		static uint8_t stack[1 << 16];
		stack_t st = { .ss_sp = stack, .ss_size = sizeof(stack) };

		sigaltstack(&st, NULL);
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert(page != MAP_FAILED);
	}
	native_wide = native_has_avx512();
	for (unsigned n = 0; n < 4; n++)
		sigaction(sigs[n], &a, NULL);
}

void native_run(struct native_state *s, const uint8_t *bytes, unsigned len)
{
	static unsigned at;
	uint8_t *code;

	/* Fresh bytes each time for a while, so that little is spent on self-modifying code. */
	at = at + 64 > 4096 - 64 ? 0 : at + 64;
	code = page + at;
	memcpy(code, bytes, len);
	/* jmp *0(%rip) */
	memcpy(code + len, (const uint8_t[]){ 0xff, 0x25, 0, 0, 0, 0 }, 6);
	memcpy(code + len + 6, &(uint64_t){ (uintptr_t)native_leave }, 8);
	native_now = *s;
	native_now.code = (uintptr_t)code;
	native_now.signal = 0;
	native_now.rflags = (s->rflags & 0x8d5) | 0x202;
	running = true;
	native_call();
	running = false;
	__builtin_ia32_ldmxcsr(0x1f80);
	*s = native_now;
	s->rflags &= 0x8d5;
}

bool native_has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

bool native_has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}
