/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "native.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct native_state native_now; /* the state under way; the code below addresses it relative to RIP */
extern uint8_t native_enter[], native_leave[];
void native_call(void);

static uint8_t *page;
static volatile bool running;

_Static_assert(offsetof(struct native_state, rflags) == 128, "asm below");
_Static_assert(offsetof(struct native_state, ymm) == 192, "asm below");
_Static_assert(offsetof(struct native_state, fx) == 704, "asm below");

#define LOAD_GPR(r, n) "	mov native_now + 8 * " #n "(%rip), %" #r "\n"
#define SAVE_GPR(r, n) "	mov %" #r ", native_now + 8 * " #n "(%rip)\n"
#define EACH_GPR(M)                                                                                                   \
	M(rax, 0) M(rcx, 1) M(rdx, 2) M(rbx, 3) M(rsp, 4) M(rbp, 5) M(rsi, 6) M(rdi, 7)                               \
	M(r8, 8) M(r9, 9) M(r10, 10) M(r11, 11) M(r12, 12) M(r13, 13) M(r14, 14) M(r15, 15)
#define LOAD_YMM(n) "	vmovdqu native_now + 192 + 32 * " #n "(%rip), %ymm" #n "\n"
#define SAVE_YMM(n) "	vmovdqu %ymm" #n ", native_now + 192 + 32 * " #n "(%rip)\n"
#define EACH_YMM(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)

__asm__(".text\n"
	".globl native_call, native_leave\n"
	"native_call:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, native_now + 136(%rip)\n"
	"	fxrstor64 native_now + 704(%rip)\n"
	EACH_YMM(LOAD_YMM)
	"	push native_now + 128(%rip)\n"
	"	popfq\n"
	EACH_GPR(LOAD_GPR)
	"	jmp *native_now + 144(%rip)\n"
	"native_leave:\n"
	EACH_GPR(SAVE_GPR)
	"	mov native_now + 136(%rip), %rsp\n"
	"	pushfq\n"
	"	pop native_now + 128(%rip)\n"
	EACH_YMM(SAVE_YMM)
	"	fxsave64 native_now + 704(%rip)\n"
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
