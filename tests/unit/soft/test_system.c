/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The system half of the soft CPU where a guest cannot look: CPUID rows, MSR table, gates, double and triple faults. */
#include "rig.h"
#include "accel/soft/soft.h"
#include "accel/soft/system.h"
#include "base/bytes.h"
#include "core/clock.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

struct bench {
	struct rig rig;
	struct x86_cpuid rows[X86_CPUID_MAX];
	unsigned count;
	struct soft_cpu *c;
};

static void offer(struct bench *b)
{
	b->rig.vcpu[0].cpuid = b->rows;
	b->rig.vcpu[0].cpuid_count = b->count;
	cpu_update_features(b->c);
}

static void start(struct bench *b, enum rig_mode mode)
{
	struct soft_vcpu *p;
	struct err e;
	int n;

	rig_init(&b->rig, mode);
	n = soft_cpuid_rows(&b->rig.vm, b->rows, X86_CPUID_MAX, &e);
	assert_true(n > 0);
	b->count = (unsigned)n;
	p = b->rig.vcpu[0].accel_data;
	b->c = &p->c;
	offer(b);
	b->c->s = b->rig.s;
	soft_vcpu_loaded(p);
}

static int setup64(void **state)
{
	static struct bench b;
	start(&b, RIG_64);
	*state = &b;
	return 0;
}

static int setup_real(void **state)
{
	static struct bench b;
	start(&b, RIG_REAL);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	rig_free(&b->rig);
	return 0;
}

/* Does fn(c, v) fault? The vector, or -1. */
static __attribute__((noinline)) int faults(struct soft_cpu *c, void (*fn)(struct soft_cpu *, uint64_t), uint64_t v)
{
	struct soft_cpu *volatile cpu = c;

	if (__builtin_setjmp(c->fault_jmp))
		return cpu->fault.vector;
	fn(c, v);
	return -1;
}

/* ---- CPUID ---- */

static struct x86_cpuid *row(struct bench *b, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < b->count; n++)
		if (b->rows[n].leaf == leaf && b->rows[n].subleaf == subleaf)
			return &b->rows[n];
	fail_msg("no row %x.%x", leaf, subleaf);
	return NULL;
}

static void test_cpuid_rows(void **state)
{
	struct bench *b = *state;
	uint64_t tsc, khz;
	struct x86_cpuid *r;

	for (unsigned n = 1; n < b->count; n++)
		assert_true(b->rows[n - 1].leaf < b->rows[n].leaf ||
		            (b->rows[n - 1].leaf == b->rows[n].leaf && b->rows[n - 1].subleaf < b->rows[n].subleaf));
	r = row(b, 1, 0);
	assert_true(r->ecx >> 31); /* hypervisor */
	assert_false(r->ecx & 1 << 3);  /* MONITOR */
	assert_false(r->ecx & 1 << 27); /* OSXSAVE follows CR4 */
	assert_false(r->edx & 1 << 1);  /* VME */
	r = row(b, 7, 0);
	assert_false(r->ebx & (1u << 4 | 1u << 11 | 1u << 16)); /* HLE RTM AVX-512 */
	assert_false(r->ecx & (1u << 3 | 1u << 7 | 1u << 16));  /* PKU CET LA57 */
	r = row(b, 0xd, 0);
	assert_int_equal(r->ecx, r->eax & 4 ? 832 : 576);
	r = row(b, 0x15, 0);
	khz = host_tsc_khz();
	tsc = muldiv64(r->ecx / 1000, r->ebx, r->eax);
	/* the measurement behind it may differ from call to call */
	assert_true(r->ebx < 4294 && tsc > khz - khz / 500 && tsc < khz + khz / 500);
}

static void test_cpuid_dynamic(void **state)
{
	struct bench *b = *state;
	struct x86_cpuid r;

	b->c->s.cr4 |= X86_CR4_OSXSAVE;
	b->rig.vcpu[0].apic_id = 5;
	features_cpuid(b->c, 1, 0, &r);
	assert_true(r.ecx & 1 << 27);
	assert_int_equal(r.ebx >> 24, 5);
	b->c->s.apic_base = 0;
	features_cpuid(b->c, 1, 0, &r);
	assert_false(r.edx & 1 << 9);
	b->c->s.xcr0 = 3;
	features_cpuid(b->c, 0xd, 0, &r);
	assert_int_equal(r.ebx, 576);
	features_cpuid(b->c, 0x12345678, 0, &r);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

/* What CPUID does not show may not be switched on. */
static void test_masked(void **state)
{
	struct bench *b = *state;
	uint64_t v;

	assert_int_equal(faults(b->c, control_set_cr4, b->c->s.cr4 | X86_CR4_SMEP), -1);
	row(b, 7, 0)->ebx &= ~(1u << 7);
	row(b, 1, 0)->ecx &= ~(1u << 17 | 1u << 26);
	row(b, 0xd, 1)->eax = 0;
	row(b, 0x80000001, 0)->edx &= ~(1u << 20);
	offer(b);
	b->c->s.cr4 &= ~(uint64_t)X86_CR4_SMEP;
	assert_int_equal(faults(b->c, control_set_cr4, b->c->s.cr4 | X86_CR4_SMEP), X86_GP);
	assert_int_equal(faults(b->c, control_set_cr4, b->c->s.cr4 | X86_CR4_PCIDE), X86_GP);
	assert_int_equal(faults(b->c, control_set_cr4, b->c->s.cr4 | X86_CR4_OSXSAVE), X86_GP);
	assert_int_equal(msr_get(b->c, 0xda0, &v), -1);
	assert_int_equal(msr_set(b->c, 0xc0000080, X86_EFER_SCE | X86_EFER_LME | X86_EFER_NXE), -1);
}

/* ---- MSRs ---- */

static int chip_read(void *opaque, uint32_t msr, uint64_t *v)
{
	*v = 0xabc;
	return msr == 0x4b564d01 ? 0 : -2;
}

static int chip_write(void *opaque, uint32_t msr, uint64_t v)
{
	*(uint64_t *)opaque = v;
	return msr == 0x4b564d01 ? 0 : -2;
}

static void test_msrs(void **state)
{
	struct bench *b = *state;
	uint64_t v = 0, written = 0, before;

	b->rig.chip.msr_read = chip_read;
	b->rig.chip.msr_write = chip_write;
	b->rig.chip.opaque = &written;
	b->rig.vcpu[0].chip = &b->rig.chip;
	assert_int_equal(msr_get(b->c, 0x4b564d01, &v), 0);
	assert_int_equal(v, 0xabc);
	assert_int_equal(msr_set(b->c, 0x4b564d01, 77), 0);
	assert_int_equal(written, 77);
	assert_int_equal(msr_get(b->c, 0x12345678, &v), -1);
	assert_int_equal(msr_set(b->c, 0x277, 0x0007040600070402), -1);
	assert_int_equal(msr_set(b->c, 0xc0000082, UINT64_C(1) << 47), -1);
	assert_int_equal(msr_set(b->c, 0xc0000103, UINT64_C(1) << 32), -1);
	/* variable ranges: base and mask alternate */
	assert_int_equal(msr_set(b->c, 0x203, 0x800), 0);
	assert_int_equal(b->c->s.mtrr_mask[1], 0x800);
	assert_int_equal(msr_set(b->c, 0x269, 0x0606060606060606), 0);
	assert_int_equal(b->c->s.mtrr_fixed[4], 0x0606060606060606);
	assert_int_equal(msr_set(b->c, 0x269, 0x0202020202020202), -1);
	before = tsc_now(b->c);
	assert_int_equal(msr_set(b->c, 0x3b, UINT64_C(1) << 50), 0);
	assert_true(tsc_now(b->c) - before >= UINT64_C(1) << 50);
	assert_int_equal(msr_set(b->c, 0x10, 0), 0);
	assert_true(tsc_now(b->c) < UINT64_C(1) << 40);
}

/* ---- events ---- */

static void test_real_interrupt(void **state)
{
	struct bench *b = *state;
	struct soft_cpu *c = b->c;
	uint32_t entry = 0x12345678;

	c->s.rflags = 0x202;
	c->s.seg[X86_SS].base = 0x20000;
	rig_put(&b->rig, 0x21 * 4, &entry, 4);
	event_deliver(c, EVENT_INTERRUPT, 0x21, false, 0);
	assert_int_equal(c->s.seg[X86_CS].sel, 0x1234);
	assert_int_equal(c->s.seg[X86_CS].base, 0x12340);
	assert_int_equal(c->s.rip, 0x5678);
	assert_int_equal(c->s.rflags, 2);
	assert_int_equal(rig_get(&b->rig, 0x20ffa, 6), UINT64_C(0x020210000000));
}

static void test_triple_fault(void **state)
{
	struct bench *b = *state;

	b->c->s.idtr = (struct x86_table){ 0, 0 };
	event_deliver(b->c, EVENT_FAULT, X86_UD, false, 0);
	assert_true(b->c->s.ev.triple_fault);
}

/* A page fault while a page fault is delivered: #DF, error code 0, at its handler. */
static void test_double_fault(void **state)
{
	struct bench *b = *state;
	struct soft_cpu *c = b->c;
	const uint64_t gdt[2] = { 0, 0x00af9b000000ffff };
	uint64_t gate[2] = { UINT64_C(0x8e00) << 32 | 8 << 16 | 0x4321, 0 };

	rig_put(&b->rig, 0x1000, gdt, sizeof(gdt));
	rig_put(&b->rig, 0x2000 + 8 * 16, gate, sizeof(gate));
	c->s.gdtr = (struct x86_table){ 0x1000, 15 };
	c->s.idtr = (struct x86_table){ 0x2000, 14 * 16 - 1 }; /* entry 14 is beyond the limit */
	event_deliver(c, EVENT_FAULT, X86_PF, true, 2);
	assert_false(c->s.ev.triple_fault);
	assert_int_equal(c->s.rip, 0x4321);
	assert_int_equal(rig_get(&b->rig, c->s.gpr[X86_RSP], 8), 0);
	assert_int_equal(rig_get(&b->rig, c->s.gpr[X86_RSP] + 8, 8), RIG_CODE);
}

static void test_nmi_blocks(void **state)
{
	struct bench *b = *state;

	event_deliver(b->c, EVENT_NMI, X86_NMI, false, 0);
	assert_true(b->c->s.ev.nmi_blocked);
}

static void test_control_checks(void **state)
{
	struct soft_cpu *c = ((struct bench *)*state)->c;

	assert_int_equal(faults(c, control_set_cr0, c->s.cr0 & ~(uint64_t)X86_CR0_PE), X86_GP);
	assert_int_equal(faults(c, control_set_cr0, c->s.cr0 | X86_CR0_NW), X86_GP);
	assert_int_equal(faults(c, control_set_cr3, UINT64_C(1) << 60), X86_GP);
	assert_int_equal(faults(c, control_set_cr4, c->s.cr4 & ~(uint64_t)X86_CR4_PAE), X86_GP);
	assert_int_equal(faults(c, control_set_cr0, c->s.cr0 | X86_CR0_TS), -1);
	assert_true(c->s.cr0 & X86_CR0_TS);
	assert_int_equal(faults(c, control_set_cr3, RIG_PML4), -1);
}

/* ---- INIT and SIPI ---- */
enum { AP_COUNTER = 0x5000, AP_CODE = 0x11000, AP_TURNS_MS = 700, AP_LOST_MS = 5000 };

static _Atomic bool ap_over;

static void *ap_run(void *opaque)
{
	struct vcpu *v = opaque;
	while (!atomic_load(&ap_over))
		accel_soft.vcpu_run(v);
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* INIT, a SIPI after a moment; false: the processor did not start. */
static bool ap_starts(struct vcpu *v, const _Atomic uint32_t *counter, unsigned moment)
{
	uint32_t want = atomic_load(counter) + 1;
	uint64_t begin = now_ms();
	vcpu_send_init(v);
	for (volatile unsigned n = 0; n < moment; n++)
		;
	vcpu_send_sipi(v, AP_CODE >> 12);
	while (atomic_load(counter) != want && now_ms() - begin < AP_LOST_MS)
		sched_yield();
	return atomic_load(counter) == want;
}

/* Each INIT with a SIPI on its heels starts the processor, whether its thread sees the second before it is done with
 * the first or after: at all distances, until the time is up. */
static void test_sipi(void **state)
{
	struct bench *b = *state;
	struct vcpu *v = &b->rig.vcpu[1];
	const _Atomic uint32_t *counter = gmem_at(b->rig.vm.mem, AP_COUNTER, 4);
	uint64_t begin = now_ms();
	bool started = true;
	pthread_t thread;
	rig_put(&b->rig, AP_CODE, "\x66\xff\x06\x00\x50\xf4", 6); /* inc dword [0x5000]; hlt */
	atomic_store(&ap_over, false);
	atomic_store(&v->attention, VCPU_ATT_INIT);
	assert_int_equal(pthread_create(&thread, NULL, ap_run, v), 0);
	for (unsigned n = 0; started && now_ms() - begin < AP_TURNS_MS; n++)
		started = ap_starts(v, counter, n % 512);
	atomic_store(&ap_over, true);
	pthread_join(thread, NULL);
	assert_true(started);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cpuid_rows, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_cpuid_dynamic, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_masked, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_msrs, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_real_interrupt, setup_real, teardown),
		cmocka_unit_test_setup_teardown(test_triple_fault, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_double_fault, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_nmi_blocks, setup_real, teardown),
		cmocka_unit_test_setup_teardown(test_control_checks, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_sipi, setup64, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
