/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs cases on the host's processor, in a child process that does nothing else.
 *
 * The child lives in one signal handler: every case ends in an exception, whose signal frame holds the whole state
 * of the processor; the handler takes it as the result, writes the next case's state into the frame and returns,
 * and the kernel's sigreturn loads every register at once. So no trampoline code exists that could disturb a case.
 * FS and GS base are not part of the frame; the handler sets them with WRFSBASE and WRGSBASE.
 *
 * Random code must not reach the kernel: a seccomp filter kills the child at any system call that comes from below
 * 4 GiB, where the cases live, or through a 32-bit entry.
 */
#include "oracle.h"
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

/* Signal handlers get no argument of ours: what parent and child share sits at a fixed place. */
#define SHARED_AT ((struct shared *)UINT64_C(0x600000000000))

enum { USER_DS = 0x2b, HANG_MS = 2000, ALT_STACK = 256 * 1024 };
enum { XSTATE_BV_AT = 512, YMMH_AT = 576, FX_SOFTWARE_AT = 464, FX_SOFTWARE_LEN = 48 };
enum { XFEATURE_X87 = 1, XFEATURE_SSE = 2, XFEATURE_AVX = 4, XFEATURE_PKRU = 1 << 9 };

struct shared {
	unsigned count, next; /* next: the case under way or to be started */
	bool active;          /* a case is under way */
	uint64_t own_fs, own_gs;
	uint8_t *code_rw, *smc_rw;
	int cmd_fd, done_fd; /* the child's ends */
	struct ora_case in[ORA_BATCH];
	struct ora_result out[ORA_BATCH];
};

struct ora_native {
	struct shared *sh;
	pid_t child;
	int cmd_fd, done_fd; /* the parent's ends */
};

/* ---- the child ---- */

static void take_fpu(struct ora_fpu *to, const uint8_t *frame)
{
	uint64_t bv;
	memcpy(&bv, frame + XSTATE_BV_AT, 8);
	memcpy(to->fx, frame, sizeof(to->fx));
	memset(to->fx + FX_SOFTWARE_AT, 0, FX_SOFTWARE_LEN);
	if (!(bv & XFEATURE_X87)) {
		memset(to->fx, 0, 24);
		memset(to->fx + 32, 0, 128);
		to->fx[0] = 0x7f;
		to->fx[1] = 0x03;
	}
	if (!(bv & XFEATURE_SSE))
		memset(to->fx + 160, 0, 256);
	if (bv & XFEATURE_AVX)
		memcpy(to->ymmh, frame + YMMH_AT, sizeof(to->ymmh));
	else
		memset(to->ymmh, 0, sizeof(to->ymmh));
}

static void put_fpu(uint8_t *frame, const struct ora_fpu *from)
{
	uint64_t bv;
	memcpy(&bv, frame + XSTATE_BV_AT, 8);
	bv = (bv & XFEATURE_PKRU) | XFEATURE_X87 | XFEATURE_SSE | XFEATURE_AVX;
	memcpy(frame + XSTATE_BV_AT, &bv, 8);
	memcpy(frame, from->fx, FX_SOFTWARE_AT);
	memcpy(frame + YMMH_AT, from->ymmh, sizeof(from->ymmh));
}

static const uint8_t greg_of[X86_GPR_COUNT] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	                                        REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static void take_selectors(uint16_t *sel, const greg_t *g)
{
	__asm__ volatile("mov %%es, %0; mov %%ds, %1; mov %%fs, %2; mov %%gs, %3"
	                 : "=m"(sel[X86_ES]), "=m"(sel[X86_DS]), "=m"(sel[X86_FS]), "=m"(sel[X86_GS]));
	sel[X86_CS] = (uint16_t)g[REG_CSGSFS];
	sel[X86_SS] = (uint16_t)((uint64_t)g[REG_CSGSFS] >> 48);
}

static void take_result(struct shared *sh, const ucontext_t *uc, uint64_t fs, uint64_t gs)
{
	const struct ora_case *c = &sh->in[sh->next];
	struct ora_result *r = &sh->out[sh->next];
	const greg_t *g = uc->uc_mcontext.gregs;
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		r->out.gpr[n] = (uint64_t)g[greg_of[n]];
	r->out.rip = (uint64_t)g[REG_RIP];
	r->out.rflags = (uint64_t)g[REG_EFL];
	r->out.fs_base = fs;
	r->out.gs_base = gs;
	take_selectors(r->out.sel, g);
	take_fpu(&r->out.fpu, (const uint8_t *)uc->uc_mcontext.fpregs);
	r->vector = (uint8_t)g[REG_TRAPNO];
	r->code = (uint32_t)g[REG_ERR];
	r->cr2 = r->vector == X86_PF ? (uint64_t)g[REG_CR2] : 0;
	memcpy(r->data, (const void *)(uintptr_t)ORA_DATA_AT, ORA_DATA_SIZE);
	memcpy(r->smc, sh->smc_rw, ORA_CODE_SIZE);
	memset(sh->smc_rw, ORA_END_BYTE, ORA_CODE_SIZE);
	if (!c->smc)
		memset(sh->code_rw + c->code_off, ORA_END_BYTE, ora_code_fits(c));
	r->hung = false;
	r->valid = true;
}

static void put_case(struct shared *sh, ucontext_t *uc)
{
	const struct ora_case *c = &sh->in[sh->next];
	greg_t *g = uc->uc_mcontext.gregs;
	memcpy((c->smc ? sh->smc_rw : sh->code_rw) + c->code_off, c->code, ora_code_fits(c));
	ora_data(c, (uint8_t *)(uintptr_t)ORA_DATA_AT);
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		g[greg_of[n]] = (greg_t)c->in.gpr[n];
	g[REG_RIP] = (greg_t)c->in.rip;
	g[REG_EFL] = (greg_t)c->in.rflags;
	g[REG_CSGSFS] = (greg_t)((uint64_t)c->in.sel[X86_SS] << 48 | c->in.sel[X86_CS]);
	put_fpu((uint8_t *)uc->uc_mcontext.fpregs, &c->in.fpu);
}

static long raw_io(long nr, int fd, char *byte)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"((long)fd), "S"(byte), "d"(1L) : "rcx", "r11", "memory");
	return r;
}

static void next_batch(struct shared *sh)
{
	char byte = 0;
	if (raw_io(SYS_write, sh->done_fd, &byte) != 1 || raw_io(SYS_read, sh->cmd_fd, &byte) != 1)
		__asm__ volatile("syscall" : : "a"((long)SYS_exit_group), "D"(0L) : "rcx", "r11");
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	struct shared *sh = SHARED_AT;
	uint64_t fs, gs;
	/* The kernel leaves AC as the case had it. */
	__asm__ volatile("lea -128(%%rsp), %%rsp; pushq $2; popfq; lea 128(%%rsp), %%rsp;"
	                 "rdfsbase %0; rdgsbase %1; wrfsbase %2; wrgsbase %3"
	                 : "=&r"(fs), "=&r"(gs) : "r"(sh->own_fs), "r"(sh->own_gs) : "memory", "cc");
	if (sh->active) {
		take_result(sh, context, fs, gs);
		sh->next++;
	}
	sh->active = false;
	while (sh->next >= sh->count)
		next_batch(sh);
	put_case(sh, context);
	sh->active = true;
	/* NT and ID start clear: sigreturn leaves them as they are here. */
	const struct ora_state *in = &sh->in[sh->next].in;
	__asm__ volatile("mov %0, %%ds; mov %1, %%es; mov %2, %%fs; mov %3, %%gs; wrfsbase %4; wrgsbase %5;"
	                 "lea -128(%%rsp), %%rsp; pushq $2; popfq; lea 128(%%rsp), %%rsp"
	                 : : "r"((uint32_t)in->sel[X86_DS]), "r"((uint32_t)in->sel[X86_ES]), "r"((uint32_t)in->sel[X86_FS]),
	                   "r"((uint32_t)in->sel[X86_GS]), "r"(in->fs_base), "r"(in->gs_base)
	                 : "memory", "cc");
}

static bool make_ldt(void)
{
	for (unsigned n = 0; n < ORA_LDT_COUNT; n++) {
		const struct ora_ldt *d = &ora_ldt[n];
		struct user_desc u = { .entry_number = n, .base_addr = d->base, .limit = d->limit, .seg_32bit = d->wide,
			               .contents = d->contents, .read_exec_only = d->readonly, .seg_not_present = d->absent };
		if (syscall(SYS_modify_ldt, 0x11, &u, sizeof(u)))
			return false;
	}
	return true;
}

static bool lock_down(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = COUNT_OF(f), .filter = f };
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

/* Two views of the same memory: the child writes code through one, cases run in the other. */
static uint8_t *map_code(uint64_t at, int prot)
{
	int fd = memfd_create("oracle-code", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, ORA_CODE_SIZE))
		return NULL;
	uint8_t *rw = mmap(NULL, ORA_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	void *x = mmap((void *)(uintptr_t)at, ORA_CODE_SIZE, prot, MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, 0);
	close(fd);
	if (rw == MAP_FAILED || x != (void *)(uintptr_t)at)
		return NULL;
	memset(rw, ORA_END_BYTE, ORA_CODE_SIZE);
	/* Present before the first case: a fault's error code tells absent from forbidden. */
	for (unsigned n = 0; n < ORA_CODE_SIZE; n += ORA_PAGE)
		(void)*(volatile uint8_t *)(uintptr_t)(at + n);
	if (prot & PROT_WRITE)
		for (unsigned n = 0; n < ORA_CODE_SIZE; n += ORA_PAGE)
			*(volatile uint8_t *)(uintptr_t)(at + n) = ORA_END_BYTE;
	return rw;
}

static bool map_data(void)
{
	void *at = (void *)(uintptr_t)ORA_DATA_AT, *ro = (void *)(uintptr_t)ORA_RO_AT;
	void *p = mmap(at, ORA_DATA_SIZE + ORA_PAGE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != at)
		return false;
	ora_fill(ORA_RO_SEED, ro, ORA_PAGE);
	return !mprotect(ro, ORA_PAGE, PROT_READ);
}

/* A child that takes another's place inherits what the soft CPU has by then below 4 GiB, where a case is to find nothing. */
static void clear_low(void)
{
	const uintptr_t first = 0x10000, end = (uintptr_t)1 << 32;
	if ((uintptr_t)clear_low > end)
		munmap((void *)first, end - first);
}

ATTR_NORETURN static void child_main(struct shared *sh)
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP };
	stack_t alt = { .ss_size = ALT_STACK };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	clear_low();
	sh->code_rw = map_code(ORA_CODE_AT, PROT_READ | PROT_EXEC);
	sh->smc_rw = map_code(ORA_SMC_AT, PROT_READ | PROT_WRITE | PROT_EXEC);
	alt.ss_sp = mmap(NULL, ALT_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!sh->code_rw || !sh->smc_rw || !map_data() || alt.ss_sp == MAP_FAILED || sigaltstack(&alt, NULL))
		_exit(3);
	sigfillset(&sa.sa_mask);
	for (unsigned n = 0; n < COUNT_OF(signals); n++)
		if (sigaction(signals[n], &sa, NULL))
			_exit(4);
	__asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(sh->own_fs), "=r"(sh->own_gs));
	sh->active = false;
	sh->next = sh->count = 0;
	if (!make_ldt() || !lock_down())
		_exit(5);
	__asm__ volatile("int3");
	__builtin_unreachable();
}

/* ---- the parent ---- */

static void child_stop(struct ora_native *n)
{
	if (n->child <= 0)
		return;
	close(n->cmd_fd);
	close(n->done_fd);
	kill(n->child, SIGKILL);
	waitpid(n->child, NULL, 0);
	n->child = 0;
}

/* True when the child said within the time allowed that it is done. */
static bool child_done(struct ora_native *n)
{
	struct pollfd p = { .fd = n->done_fd, .events = POLLIN };
	char byte;
	return poll(&p, 1, HANG_MS) == 1 && (p.revents & POLLIN) && read(n->done_fd, &byte, 1) == 1;
}

static int child_start(struct ora_native *n, struct err *e)
{
	int cmd[2], done[2];
	if (pipe2(cmd, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
		return err_errno(e, errno, "cannot make the pipes to the native runner");
	n->child = fork();
	if (n->child < 0)
		return err_errno(e, errno, "cannot start the native runner");
	if (n->child == 0) {
		n->sh->cmd_fd = cmd[0];
		n->sh->done_fd = done[1];
		close(cmd[1]);
		close(done[0]);
		child_main(n->sh);
	}
	close(cmd[0]);
	close(done[1]);
	n->cmd_fd = cmd[1];
	n->done_fd = done[0];
	if (child_done(n))
		return 0;
	child_stop(n);
	return err_set(e, -EIO, "the native runner did not come up");
}

int ora_native_create(struct ora_native **out, struct err *e)
{
	if (!(getauxval(AT_HWCAP2) & 2) || !__builtin_cpu_supports("avx2"))
		return err_set(e, -ENOTSUP, "this host lacks FSGSBASE in user mode or AVX2: nothing to compare with");
	struct ora_native *n = calloc(1, sizeof(*n));
	if (!n)
		return err_errno(e, ENOMEM, "native runner");
	n->sh = mmap(SHARED_AT, sizeof(*n->sh), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (n->sh != SHARED_AT) {
		free(n);
		return err_errno(e, errno, "cannot map the memory shared with the native runner");
	}
	int rc = child_start(n, e);
	if (rc)
		ora_native_destroy(n);
	else
		*out = n;
	return rc;
}

void ora_native_destroy(struct ora_native *n)
{
	if (!n)
		return;
	child_stop(n);
	munmap(n->sh, sizeof(*n->sh));
	free(n);
}

int ora_native_run(struct ora_native *nat, const struct ora_case *cases, unsigned count,
		   const struct ora_result **results, struct err *e)
{
	struct shared *sh = nat->sh;
	memcpy(sh->in, cases, count * sizeof(*cases));
	for (unsigned n = 0; n < count; n++)
		sh->out[n].valid = false;
	sh->next = 0;
	sh->count = count;
	*results = sh->out;
	while (sh->next < count) {
		unsigned next = sh->next;
		if (write(nat->cmd_fd, "", 1) == 1 && child_done(nat))
			continue;
		/* Died or hangs: the case under way has no result, the rest goes on in a new child. */
		next = sh->next;
		child_stop(nat);
		sh->out[next].hung = true;
		int rc = child_start(nat, e);
		if (rc)
			return rc;
		sh->next = next + 1;
		sh->count = count;
	}
	return 0;
}
