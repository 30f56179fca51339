/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unmasked SIMD floating-point exceptions of the guest. A thunk that runs with exceptions unmasked gets SIGFPE on the
 * vCPU's thread; the handler takes MXCSR as the processor left it and lets the thunk return THUNK_CUT_XM without having
 * stored its results (SDM 1, 11.5.2: an unmasked exception leaves the destination unchanged). AVX-512 has many forms
 * that the processor refuses and a decoder may let through: those end as THUNK_CUT_UD by SIGILL.
 *
 * A signal handler has no argument to find the vCPU by, hence the thread-local pointer; it is set only while such a
 * thunk runs. The action that was installed before is the process's, so it is kept beside.
 */
#include "accel/soft/thunk_priv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <xmmintrin.h>

static __thread struct thunk_vcpu *volatile under_way;
static struct sigaction previous[2]; /* of SIGFPE, of SIGILL */
static int install_error;

/* Where an interrupted thunk goes on: it has pushed nothing, so its return address is on top of the stack. EAX is set
 * by the handler. */
void thunk_recover(void);
__asm__(".text\n"
	".globl thunk_recover\n"
	".hidden thunk_recover\n"
	".type thunk_recover, @function\n"
	"thunk_recover:\n"
	"	ret\n"
	".size thunk_recover, . - thunk_recover\n");

static void chain(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *before = &previous[sig == SIGILL];

	if (before->sa_flags & SA_SIGINFO) {
		before->sa_sigaction(sig, info, context);
	} else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
		before->sa_handler(sig);
	} else {
		/* The faulting instruction runs again and ends the process, as it would have without us. */
		signal(sig, SIG_DFL);
		if (info->si_code <= 0)
			raise(sig);
	}
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	struct thunk_vcpu *t = under_way;
	uintptr_t ip = u->uc_mcontext.gregs[REG_RIP];

	if (!t || ip < (uintptr_t)t->running || ip >= (uintptr_t)t->running + THUNK_MAX || !u->uc_mcontext.fpregs) {
		chain(sig, info, context);
		return;
	}
	t->fault_mxcsr = u->uc_mcontext.fpregs->mxcsr;
	u->uc_mcontext.fpregs->mxcsr = 0x1f80;
	u->uc_mcontext.gregs[REG_RAX] = sig == SIGILL ? THUNK_CUT_UD : THUNK_CUT_XM;
	u->uc_mcontext.gregs[REG_RIP] = (uintptr_t)thunk_recover;
}

static void install(void)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

	sigemptyset(&a.sa_mask);
	install_error = sigaction(SIGFPE, &a, &previous[0]) < 0 || sigaction(SIGILL, &a, &previous[1]) < 0 ? errno : 0;
}

int thunk_signal_install(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
	return install_error ? err_errno(e, install_error, "installing the handlers for exceptions of vector instructions") : 0;
}

void thunk_run_guarded(struct soft_cpu *c, thunk_code *code, void *mem, bool mxcsr)
{
	struct thunk_vcpu *t = thunk_of(c);
	uint32_t cut;

	if (mxcsr)
		c->s.fpu.mxcsr &= 0xffff; /* a state from outside may hold anything; LDMXCSR would fault */
	t->running = (const uint8_t *)(uintptr_t)code;
	under_way = t;
	cut = code(c, mem);
	under_way = NULL;
	if (likely(cut == THUNK_DONE))
		return;
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroupper"); /* the thunk did not get to its own */
	if (cut == THUNK_CUT_UD)
		cpu_ud(c);
	c->s.fpu.mxcsr = t->fault_mxcsr;
	cpu_fault(c, c->s.cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}
