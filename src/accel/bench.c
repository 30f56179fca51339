/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/bench.h"

#include "core/accel.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/vcpu.h"
#include "core/vm.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
	BENCH_PORT = 0x80,
	BENCH_CODE = 0x1000,
	BENCH_DATA = 0x2000,
	BENCH_PML4 = 0x3000,
	BENCH_PDPT = 0x4000,
	BENCH_PD = 0x5000,
	BENCH_RAM = 0x200000,
	BENCH_LOOPS = 500,
	BENCH_LOOP_INSNS = 6,
	BENCH_ROUND_INSNS = 1 + BENCH_LOOPS * BENCH_LOOP_INSNS + 8,
};

/* One round: the loop, then a page-table entry's accessed bit, INVLPG, CR3, and a port write that ends the round.
 * RSI = data, RDI = page-table entry, R8 = page. */
#define BENCH_LOOP(r) /* r: the register prefix, "%" or, with operands, "%%" */                       \
	"mov $500, " r "ecx\n"                                                                      \
	"1: mov (" r "rsi), " r "rax\n add $3, " r "rax\n xor " r "rcx, " r "rax\n"                 \
	"mov " r "rax, (" r "rsi)\n dec " r "ecx\n jnz 1b\n"
__asm__(".pushsection .rodata\n"
        "bench_start:\n" BENCH_LOOP("%")
        "mov (%rdi), %rax\n xor $0x20, %rax\n mov %rax, (%rdi)\n invlpg (%r8)\n"
        "mov %cr3, %rax\n mov %rax, %cr3\n"
        "out %al, $0x80\n jmp bench_start\n"
        "bench_end:\n .popsection\n");
extern const uint8_t bench_start[] __attribute__((visibility("hidden"))),
	bench_end[] __attribute__((visibility("hidden")));

struct bench {
	struct loop *loop;
	struct vm *vm;
	struct vcpu *v;
	struct x86_cpuid cpuid[X86_CPUID_MAX];
	uint64_t rounds, begin_ns, last_ns, begin_rounds;

	/* the watchdog */
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done; /* lock */
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the guest's port: counts rounds, ends the run when its time is over ---- */

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	return 0;
}

/* The first third of the time is for caches and translators to warm up. */
static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct bench *b = opaque;
	uint64_t now = now_ns(), warm = ACCEL_BENCH_MS * UINT64_C(1000000) / 3;
	b->rounds++;
	if (b->rounds == 1)
		b->begin_ns = now;
	else if (b->begin_rounds == 0 && now - b->begin_ns >= warm) {
		b->begin_rounds = b->rounds;
		b->begin_ns = now;
	}
	b->last_ns = now;
	if (b->begin_rounds && now - b->begin_ns >= 2 * warm)
		vcpu_attend(b->v, VCPU_ATT_STOP);
}

static const struct region_ops port_ops = { .read = port_read, .write = port_write };

/* ---- the machine ---- */

static int memory_fill(struct bench *b)
{
	uint64_t entry[3] = { BENCH_PDPT | 3, BENCH_PD | 3, 0x83 };
	struct gmem *m = b->vm->mem;
	int r = gmem_write(m, BENCH_CODE, bench_start, (uint64_t)(bench_end - bench_start));
	r |= gmem_write(m, BENCH_PML4, &entry[0], 8);
	r |= gmem_write(m, BENCH_PDPT, &entry[1], 8);
	r |= gmem_write(m, BENCH_PD, &entry[2], 8);
	/* a second mapping of the same page for the loop to change */
	r |= gmem_write(m, BENCH_PD + 8, &entry[2], 8);
	return r;
}

static int cpu_set(struct bench *b, struct err *e)
{
	struct x86_state s;
	x86_state_reset(&s, true, 0);
	s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE;
	s.cr3 = BENCH_PML4;
	s.cr4 = X86_CR4_PAE;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	for (unsigned n = X86_ES; n <= X86_GS; n++)
		s.seg[n] = (struct x86_seg){ .limit = 0xffffffff,
					     .sel = 16,
					     .attr = X86_AR_G | X86_AR_DB | X86_AR_P | X86_AR_S | 3 };
	s.seg[X86_CS] = (struct x86_seg){ .limit = 0xffffffff,
					  .sel = 8,
					  .attr = X86_AR_G | X86_AR_L | X86_AR_P | X86_AR_S | 11 };
	s.rip = BENCH_CODE;
	s.gpr[X86_RSI] = BENCH_DATA;
	s.gpr[X86_RDI] = BENCH_PD + 8;
	s.gpr[X86_R8] = BENCH_RAM;
	return vcpu_set_state(b->v, &s, e);
}

static int machine_make(struct bench *b, const struct accel_ops *accel, const char *options, struct err *e)
{
	struct vm_config cfg = { .accel = accel, .accel_options = options };
	struct region port = {
		.space = REGION_PORT, .addr = BENCH_PORT, .size = 1, .name = "bench", .ops = &port_ops, .opaque = b
	};
	struct region_handle *h;
	int r = loop_create(&b->loop, NULL, e);
	if (r < 0)
		return r;
	cfg.loop = b->loop;
	if ((r = vm_create(&b->vm, &cfg, e)) < 0 ||
	    (r = gmem_add_ram(b->vm->mem, 0, BENCH_RAM, "bench", false, e)) < 0 ||
	    (r = vm_add_vcpu(b->vm, 0, &b->v, e)) < 0 || (r = region_attach(b->vm->regions, &port, &h, e)) < 0)
		return r;
	r = accel->cpuid(b->vm, b->cpuid, X86_CPUID_MAX, e);
	if (r < 0)
		return r;
	b->v->cpuid = b->cpuid;
	b->v->cpuid_count = (unsigned)r;
	r = accel->vm_prepare ? accel->vm_prepare(b->vm, e) : 0;
	if (r == 0 && memory_fill(b) < 0)
		r = err_set(e, -EFAULT, "cannot fill the memory of the measuring machine");
	return r < 0 ? r : cpu_set(b, e);
}

/* ---- the run ---- */

static void *watchdog(void *arg)
{
	struct bench *b = arg;
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += ACCEL_BENCH_LIMIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&b->lock);
	int r = 0;
	while (!b->done && r == 0)
		r = pthread_cond_timedwait(&b->over, &b->lock, &until);
	bool late = !b->done;
	pthread_mutex_unlock(&b->lock);
	if (late)
		vcpu_attend(b->v, VCPU_ATT_STOP);
	return NULL;
}

static int machine_run(struct bench *b, struct err *e)
{
	pthread_t dog;
	int r = pthread_create(&dog, NULL, watchdog, b);
	if (r)
		return err_errno(e, r, "cannot start a thread");
	enum vcpu_exit why = b->vm->accel->vcpu_run(b->v);
	pthread_mutex_lock(&b->lock);
	b->done = true;
	pthread_cond_signal(&b->over);
	pthread_mutex_unlock(&b->lock);
	pthread_join(dog, NULL);
	if (why == VCPU_EXIT_ERROR)
		return err_set(e, -EIO, "%s", b->vm->fault.text);
	if (why != VCPU_EXIT_ATTENTION)
		return err_set(e, -EIO, "the measuring program ended in %s",
			       why == VCPU_EXIT_SHUTDOWN ? "a triple fault" : "a halt");
	return 0;
}

static int result(const struct bench *b, struct accel_speed *out, struct err *e)
{
	uint64_t rounds = b->rounds - (b->begin_rounds ? b->begin_rounds : 1);
	if (b->rounds < 2 || b->last_ns <= b->begin_ns)
		return err_set(e, -ETIMEDOUT, "fewer than %d kernel-mode instructions came about in %d ms",
			       2 * BENCH_ROUND_INSNS, ACCEL_BENCH_LIMIT_MS);
	out->instructions = rounds * BENCH_ROUND_INSNS;
	out->ns = b->last_ns - b->begin_ns;
	out->per_second = out->instructions * UINT64_C(1000000000) / out->ns;
	return 0;
}

int accel_bench(const struct accel_ops *accel, const char *options, struct accel_speed *out, struct err *e)
{
	struct bench b = { .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };
	int r = machine_make(&b, accel, options, e);
	if (r == 0)
		r = machine_run(&b, e);
	vm_destroy(b.vm);
	loop_destroy(b.loop);
	return r < 0 ? r : result(&b, out, e);
}

void accel_bench_native(struct accel_speed *out)
{
	uint64_t word = 0, rounds = 0, begin = now_ns(), now;
	do {
		__asm__ volatile(BENCH_LOOP("%%") : : "S"(&word) : "rax", "rcx", "memory", "cc");
		rounds++;
		now = now_ns();
	} while (now - begin < 2000000);
	out->instructions = rounds * (1 + BENCH_LOOPS * BENCH_LOOP_INSNS);
	out->ns = now - begin;
	out->per_second = out->instructions * UINT64_C(1000000000) / out->ns;
}
