/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KVM accelerator on the host's /dev/kvm with guests of a few instructions. */
#include "kvm_guest.h"
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void create(struct guest *g, const char *options)
{
	guest_create(g, &accel_kvm, options);
}

static void prepare(struct guest *g)
{
	struct err e = { 0 };
	if (accel_kvm.vm_prepare(g->vm, &e) < 0)
		fail_msg("%s", e.text);
}

static enum vcpu_exit run(struct guest *g)
{
	enum vcpu_exit why = accel_kvm.vcpu_run(g->v);
	if (why == VCPU_EXIT_ERROR)
		fail_msg("%s", g->vm->fault.text);
	return why;
}

static void state(struct guest *g, struct x86_state *s)
{
	struct err e = { 0 };
	if (vcpu_get_state(g->v, s, &e) < 0)
		fail_msg("%s", e.text);
}

/* ---- a recording device ---- */

struct recorder {
	unsigned reads, writes;
	uint64_t off[32], value[32];
	unsigned width[32];
	uint64_t answer;
};

static uint64_t rec_read(void *opaque, uint64_t off, unsigned width)
{
	struct recorder *r = opaque;
	r->reads++;
	return r->answer++;
}

static void rec_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct recorder *r = opaque;
	if (r->writes < 32) {
		r->off[r->writes] = off;
		r->width[r->writes] = width;
		r->value[r->writes] = value;
	}
	r->writes++;
}

static const struct region_ops rec_ops = { .read = rec_read, .write = rec_write };

static struct region_handle *attach(struct guest *g, struct recorder *r, enum region_space space, uint64_t addr,
				    uint64_t size)
{
	struct region_handle *h;
	struct err e = { 0 };
	struct region desc = {
		.space = space, .addr = addr, .size = size, .name = "recorder", .ops = &rec_ops, .opaque = r
	};
	if (region_attach(g->vm->regions, &desc, &h, &e) < 0)
		fail_msg("%s", e.text);
	return h;
}

/* ---- tests ---- */

static void test_hlt(void **unused)
{
	struct guest g;
	struct x86_state s;
	create(&g, "irqchip=off");
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_add_hlt), false, &s);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(guest_read64(&g, GUEST_DATA), 42);
	state(&g, &s);
	assert_int_equal(s.mp, X86_MP_HALTED);
	assert_int_equal((uint16_t)s.gpr[X86_RAX], 42);
	/* it stays halted until something wakes it */
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(guest_read64(&g, GUEST_DATA), 42);
	s.mp = X86_MP_RUNNABLE;
	struct err e;
	assert_int_equal(vcpu_set_state(g.v, &s, &e), 0);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(guest_read64(&g, GUEST_DATA), 43);
	guest_destroy(&g);
}

static void test_ports(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct recorder r = { .answer = 0x51 };
	create(&g, "irqchip=off");
	prepare(&g);
	attach(&g, &r, REGION_PORT, 0x3f8, 8);
	guest_load(&g, GUEST_CODE_OF(guest_ports), false, &s);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(r.writes, 8);
	static const uint64_t value[] = { 0x44, 0x3344, 0x11223344 };
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(r.value[n], value[n]);
		assert_int_equal(r.width[n], 1u << n);
	}
	for (unsigned n = 0; n < 5; n++)
		assert_int_equal(r.value[3 + n], guest_ports_start[n]);
	assert_int_equal(r.reads, 4);
	assert_int_equal(guest_read64(&g, 0x9000) & 0xff, 0x51);
	assert_int_equal(guest_read64(&g, 0x9010) & 0xffffffffffff, 0x005400530052);
	guest_destroy(&g);
}

static void test_mmio(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct recorder r = { .answer = 0xa0 };
	create(&g, "irqchip=off");
	prepare(&g);
	attach(&g, &r, REGION_MEMORY, 0xd0000000, 0x1000);
	guest_load(&g, GUEST_CODE_OF(guest_mmio), true, &s);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(r.writes, 4);
	static const unsigned width[] = { 1, 2, 4, 8 };
	static const uint64_t off[] = { 0, 2, 4, 8 };
	static const uint64_t value[] = { 0x88, 0x7788, 0x55667788, 0x1122334455667788 };
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(r.off[n], off[n]);
		assert_int_equal(r.width[n], width[n]);
		assert_true(r.value[n] == value[n]);
	}
	state(&g, &s);
	assert_int_equal(s.gpr[X86_RCX] & 0xff, 0xa0);
	assert_int_equal(s.gpr[X86_RDX] & 0xffff, 0xa1);
	assert_int_equal(s.gpr[X86_RSI], 0xa2);
	assert_int_equal(s.gpr[X86_RDI], 0xa3);
	guest_destroy(&g);
}

static void test_doorbell(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	struct recorder r = { 0 };
	create(&g, "irqchip=off");
	attach(&g, &r, REGION_MEMORY, 0xd0000000, 0x1000);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct region_doorbell bell = {
		.space = REGION_MEMORY, .addr = 0xd0000000, .width = 2, .match = true, .value = 7, .event_fd = fd,
	};
	struct region_doorbell_handle *h;
	assert_int_equal(region_doorbell_attach(g.vm->regions, &bell, &h, &e), 0);
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_doorbell), true, &s);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	uint64_t rung = 0;
	assert_int_equal(read(fd, &rung, 8), 8);
	assert_int_equal(rung, 1);
	assert_int_equal(r.writes, 1);
	assert_int_equal(r.value[0], 8);
	region_doorbell_detach(h);
	guest_load(&g, GUEST_CODE_OF(guest_doorbell), true, &s);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(read(fd, &rung, 8), -1);
	assert_int_equal(r.writes, 3);
	guest_destroy(&g);
	close(fd);
}

static void test_triple_fault(void **unused)
{
	struct guest g;
	struct x86_state s;
	create(&g, "irqchip=off");
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_triple), true, &s);
	assert_int_equal(run(&g), VCPU_EXIT_SHUTDOWN);
	guest_destroy(&g);
}

/* ---- interrupts of our own controllers ---- */

struct fake_apic {
	unsigned raised, taken;
	uint8_t cr8;
	uint64_t deadline;
};

static bool fake_pending(void *opaque)
{
	struct fake_apic *a = opaque;
	return a->taken < a->raised;
}

static int fake_ack(void *opaque)
{
	struct fake_apic *a = opaque;
	a->taken++;
	return 0x21;
}

static uint8_t fake_cr8_get(void *opaque)
{
	return ((struct fake_apic *)opaque)->cr8;
}

static void fake_cr8_set(void *opaque, uint8_t cr8)
{
	((struct fake_apic *)opaque)->cr8 = cr8;
}

static int fake_msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
	*value = ((struct fake_apic *)opaque)->deadline;
	return msr == 0x6e0 ? 0 : -ENOENT;
}

static int fake_msr_write(void *opaque, uint32_t msr, uint64_t value)
{
	((struct fake_apic *)opaque)->deadline = value;
	return msr == 0x6e0 ? 0 : -ENOENT;
}

static struct vcpu_chip fake_chip(struct fake_apic *a)
{
	return (struct vcpu_chip){
		fake_pending, fake_ack, fake_cr8_get, fake_cr8_set, fake_msr_read, fake_msr_write, a
	};
}

static void test_injection(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct fake_apic a = { .raised = 1 };
	struct vcpu_chip chip = fake_chip(&a);
	create(&g, "irqchip=off");
	g.v->chip = &chip;
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_sti_wait), false, &s);
	for (unsigned n = 1; n <= 3; n++) {
		assert_int_equal(run(&g), VCPU_EXIT_HALTED);
		assert_int_equal(a.taken, n);
		assert_int_equal(guest_read64(&g, GUEST_DATA), n);
		a.raised++;
		vcpu_attend(g.v, VCPU_ATT_INTR);
	}
	/* halted with interrupts off: the fourth stays pending */
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(a.taken, 3);
	guest_destroy(&g);
}

static void test_tsc_deadline(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct fake_apic a = { 0 };
	struct vcpu_chip chip = fake_chip(&a);
	create(&g, "irqchip=off");
	g.v->chip = &chip;
	const struct x86_cpuid *row = vcpu_cpuid(g.v, 1, 0);
	bool offered = row && (row->ecx & 1u << 24);
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_deadline), true, &s);
	if (offered) {
		assert_int_equal(run(&g), VCPU_EXIT_HALTED);
		assert_int_equal(a.deadline, 0x1234);
		state(&g, &s);
		assert_int_equal(s.gpr[X86_RAX], 0x1234);
	}
	guest_destroy(&g);
}

static void test_init_sipi(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	create(&g, "irqchip=off");
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_add_hlt), false, &s);
	s.mp = X86_MP_WAIT_SIPI;
	assert_int_equal(vcpu_set_state(g.v, &s, &e), 0);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(guest_read64(&g, GUEST_DATA), 0);
	vcpu_send_sipi(g.v, GUEST_CODE >> 12);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(guest_read64(&g, GUEST_DATA), 42);
	state(&g, &s);
	assert_int_equal(s.seg[X86_CS].sel, 0x100);
	guest_destroy(&g);
}

/* What is offered is what the guest sees, also on a KVM where CPUID bypasses the table. */
static void test_cpuid(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	static const uint32_t leaf[] = { 0, 1, 7, 0xd, 0x80000001 };
	create(&g, "irqchip=off");
	prepare(&g);
	for (unsigned n = 0; n < COUNT_OF(leaf); n++) {
		const struct x86_cpuid *row = vcpu_cpuid(g.v, leaf[n], 0);
		guest_load(&g, GUEST_CODE_OF(guest_cpuid), true, &s);
		s.gpr[X86_RAX] = leaf[n];
		assert_int_equal(vcpu_set_state(g.v, &s, &e), 0);
		assert_int_equal(run(&g), VCPU_EXIT_HALTED);
		state(&g, &s);
		assert_non_null(row);
		assert_int_equal((uint32_t)s.gpr[X86_RAX], row->eax);
		assert_int_equal((uint32_t)s.gpr[X86_RCX], row->ecx);
		assert_int_equal((uint32_t)s.gpr[X86_RDX], row->edx);
	}
	guest_destroy(&g);
}

/* ---- what KVM cannot emulate ---- */

static void test_assist(void **unused)
{
	struct guest g;
	struct x86_state s;
	create(&g, "irqchip=off");
	prepare(&g);
	static const uint64_t pair[] = { 1, 2 };
	assert_int_equal(gmem_write(g.vm->mem, GUEST_DATA, pair, sizeof(pair)), 0);
	guest_load(&g, GUEST_CODE_OF(guest_cx16), true, &s);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	assert_int_equal(guest_read64(&g, 0x9000), 3);
	assert_int_equal(guest_read64(&g, 0x9008), 4);
	assert_int_equal(guest_read64(&g, 0x9020) & 0xffff, 0x0001);
	assert_int_equal(guest_read64(&g, 0x9028), 3);
	assert_int_equal(guest_read64(&g, 0x9030), 4);
	print_message("instructions done by the soft CPU: %llu\n",
		      (unsigned long long)atomic_load(&g.v->stats.assisted));
	guest_destroy(&g);
}

/* ---- state ---- */

static void fill_state(struct x86_state *s)
{
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		s->gpr[n] = 0x0101010101010101 * (n + 1);
	s->rflags = X86_FLAG_ONE | X86_FLAG_CF | X86_FLAG_IF | X86_FLAG_OF;
	s->cr2 = 0x1234567890;
	s->dr[0] = 0x1111;
	s->dr[3] = 0x3333;
	s->star = 0x0023001000000000;
	s->lstar = 0xffffffff81000000;
	s->sfmask = 0x47700;
	s->kernel_gs_base = 0xffff888000000000;
	s->seg[X86_FS].base = 0x7f0000001000;
	s->seg[X86_GS].base = 0xffff888012345000;
	for (unsigned n = 0; n < 16; n++)
		memset(s->fpu.zmm[n], 0x10 + n, 16);
	s->fpu.fcw = 0x37f;
	s->fpu.ftw = 0x81;
	memset(s->fpu.st[0], 0x3f, 10);
	s->ev.nmi_blocked = true;
}

static void same_state(const struct x86_state *a, const struct x86_state *b)
{
	assert_memory_equal(a->gpr, b->gpr, sizeof(a->gpr));
	assert_true(a->rip == b->rip && a->rflags == b->rflags);
	for (unsigned n = 0; n < X86_SEG_COUNT; n++) {
		assert_true(a->seg[n].base == b->seg[n].base && a->seg[n].limit == b->seg[n].limit);
		assert_true(a->seg[n].sel == b->seg[n].sel && a->seg[n].attr == b->seg[n].attr);
	}
	assert_true(a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->cr8 == b->cr8);
	assert_memory_equal(a->dr, b->dr, sizeof(a->dr));
	assert_true(a->efer == b->efer && a->star == b->star && a->lstar == b->lstar && a->cstar == b->cstar);
	assert_true(a->sfmask == b->sfmask && a->kernel_gs_base == b->kernel_gs_base && a->tsc_aux == b->tsc_aux);
	assert_true(a->apic_base == b->apic_base && a->pat == b->pat && a->misc_enable == b->misc_enable);
	assert_memory_equal(a->mtrr_fixed, b->mtrr_fixed, sizeof(a->mtrr_fixed));
	assert_memory_equal(a->mtrr_base, b->mtrr_base, sizeof(a->mtrr_base));
	assert_true(a->xcr0 == b->xcr0 && a->tsc == b->tsc && a->mp == b->mp);
	assert_memory_equal(&a->ev, &b->ev, sizeof(a->ev));
	assert_memory_equal(a->fpu.zmm, b->fpu.zmm, sizeof(a->fpu.zmm));
	assert_memory_equal(a->fpu.st, b->fpu.st, sizeof(a->fpu.st));
	assert_memory_equal(a->fpu.k, b->fpu.k, sizeof(a->fpu.k));
	assert_true(a->fpu.fcw == b->fpu.fcw && a->fpu.fsw == b->fpu.fsw && a->fpu.ftw == b->fpu.ftw &&
		    a->fpu.mxcsr == b->fpu.mxcsr);
}

static void round_trip(const char *options)
{
	struct guest g;
	struct x86_state s, first, second;
	struct err e = { 0 };
	create(&g, options);
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_spin), true, &s);
	fill_state(&s);
	if (vcpu_set_state(g.v, &s, &e) < 0)
		fail_msg("%s", e.text);
	state(&g, &first);
	assert_memory_equal(s.gpr, first.gpr, sizeof(s.gpr));
	assert_true(first.lstar == s.lstar && first.kernel_gs_base == s.kernel_gs_base &&
		    first.seg[X86_GS].base == s.seg[X86_GS].base);
	assert_memory_equal(s.fpu.zmm, first.fpu.zmm, 16 * 64);
	assert_int_equal(first.fpu.ftw, s.fpu.ftw);
	assert_true(first.ev.nmi_blocked);
	if (vcpu_set_state(g.v, &first, &e) < 0)
		fail_msg("%s", e.text);
	state(&g, &second);
	same_state(&first, &second);
	guest_destroy(&g);
}

static void test_round_trip(void **unused)
{
	round_trip("irqchip=off");
	round_trip(NULL);
}

/* ---- kicks, pause and resume ---- */

static void *kick_often(void *arg)
{
	struct guest *g = arg;
	for (unsigned n = 0; n < 300; n++) {
		vcpu_attend(g->v, VCPU_ATT_STOP);
		while (atomic_load(&g->v->attention) & VCPU_ATT_STOP)
			sched_yield();
	}
	return NULL;
}

static void test_kick(void **unused)
{
	struct guest g;
	struct x86_state s;
	pthread_t t;
	create(&g, "irqchip=off");
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_spin), false, &s);
	assert_int_equal(pthread_create(&t, NULL, kick_often, &g), 0);
	for (unsigned n = 0; n < 300; n++) {
		assert_int_equal(run(&g), VCPU_EXIT_ATTENTION);
		atomic_fetch_and(&g.v->attention, ~(unsigned)VCPU_ATT_STOP);
	}
	pthread_join(t, NULL);
	guest_destroy(&g);
}

static void nap_ms(unsigned ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000L };
	nanosleep(&ts, NULL);
}

/* Until the guest counted beyond `above`; a busy host may let it wait. */
static void wait_count(struct guest *g, uint64_t above)
{
	nap_ms(20);
	for (unsigned n = 0; n < 500 && guest_read64(g, GUEST_DATA) <= above; n++)
		nap_ms(10);
}

static void find_fixed(void *opaque, const char *name, uint64_t value)
{
	if (!strcmp(name, "kvm-tsc-fixed"))
		*(bool *)opaque = value;
}

static void pause_resume(const char *options)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	create(&g, options);
	guest_load(&g, GUEST_CODE_OF(guest_count), true, &s);
	assert_int_equal(vm_start(g.vm, true, &e), 0);
	nap_ms(5);
	assert_int_equal(guest_read64(&g, GUEST_DATA), 0);
	vm_resume(g.vm);
	wait_count(&g, 0);
	vm_pause(g.vm);
	uint64_t count = guest_read64(&g, GUEST_DATA), tsc = guest_read64(&g, GUEST_DATA + 8);
	assert_true(count > 0);
	state(&g, &s);
	assert_true(s.tsc >= tsc);
	/* Guest time stands. */
	nap_ms(200);
	assert_int_equal(guest_read64(&g, GUEST_DATA), count);
	uint64_t frozen = s.tsc;
	state(&g, &s);
	assert_true(s.tsc == frozen);
	vm_resume(g.vm);
	wait_count(&g, count);
	vm_pause(g.vm);
	uint64_t later = guest_read64(&g, GUEST_DATA + 8);
	assert_true(guest_read64(&g, GUEST_DATA) > count);
	assert_true(later > tsc);
	bool fixed = false;
	accel_kvm.stats(g.vm, find_fixed, &fixed);
	if (fixed)
		print_message("this kernel gives guests the host's TSC: it does not stand while paused\n");
	else
		assert_true(later - tsc < (uint64_t)host_tsc_khz() * 150);
	assert_int_equal(vm_reset(g.vm, VM_REQUEST_RESET, &e), 0);
	guest_destroy(&g);
}

static void test_pause_resume(void **unused)
{
	pause_resume("irqchip=off");
	pause_resume(NULL);
}

/* With the kernel's controllers HLT stays inside KVM_RUN; a pause still gets through. */
/* Whether a signal on the eventfd asks the local APIC in the kernel for this vector. */
static bool irqfd_arrives(struct guest *g, int fd, unsigned vector)
{
	enum { APIC_SPURIOUS = 0xf0, APIC_ENABLED = 1 << 8, APIC_REQUEST = 0x200 };
	struct kvm_cpu *k = kvm_cpu_of(g->vm->vcpu[0]);
	struct kvm_lapic_state lapic;
	uint64_t one = 1;
	uint32_t value;
	assert_int_equal(ioctl(k->fd, KVM_GET_LAPIC, &lapic), 0);
	value = APIC_ENABLED | 0xff;
	memcpy(lapic.regs + APIC_SPURIOUS, &value, sizeof(value));
	assert_int_equal(ioctl(k->fd, KVM_SET_LAPIC, &lapic), 0);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	for (unsigned n = 0; n < 100; n++, nap_ms(10)) { /* the kernel may leave it to a worker */
		assert_int_equal(ioctl(k->fd, KVM_GET_LAPIC, &lapic), 0);
		memcpy(&value, lapic.regs + APIC_REQUEST + vector / 32 * 16, sizeof(value));
		if (value >> vector % 32 & 1)
			return true;
	}
	return false;
}

static void test_kernel_irqchip(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	create(&g, "irqchip=on");
	if (!vm_accel_caps(g.vm)->kernel_irqchip) {
		print_message("this kernel offers no interrupt controllers\n");
		guest_destroy(&g);
		return;
	}
	guest_load(&g, GUEST_CODE_OF(guest_hlt_loop), false, &s);
	assert_int_equal(vm_start(g.vm, false, &e), 0);
	nap_ms(10);
	vm_pause(g.vm);
	state(&g, &s);
	assert_int_equal(s.mp, X86_MP_HALTED);
	accel_kvm.irq_line(g.vm, 4, true);
	accel_kvm.irq_line(g.vm, 4, false);
	accel_kvm.msi(g.vm, 0xfee00000, 0x30);
	int fd = eventfd(0, EFD_CLOEXEC);
	if (vm_accel_caps(g.vm)->irqfd) {
		assert_int_equal(accel_kvm.irqfd_msi(g.vm, fd, 0xfee00000, 0x31, true), 0);
		assert_true(irqfd_arrives(&g, fd, 0x31));
		assert_int_equal(accel_kvm.irqfd_msi(g.vm, fd, 0xfee00000, 0x31, false), 0);
		assert_int_equal(accel_kvm.irqfd_msi(g.vm, fd, 0xfee00000, 0x31, false), -ENOENT);
	}
	close(fd);
	guest_destroy(&g);
}

static void count_page(void *opaque, uint64_t gpa)
{
	unsigned *hits = opaque;
	if (gpa == GUEST_DATA)
		hits[0]++;
	hits[1]++;
}

static void test_dirty_log(void **unused)
{
	struct guest g;
	struct x86_state s;
	unsigned hits[2] = { 0 };
	create(&g, "irqchip=off");
	prepare(&g);
	guest_load(&g, GUEST_CODE_OF(guest_add_hlt), false, &s);
	gmem_dirty_start(g.vm->mem);
	accel_kvm.dirty_sync(g.vm, true);
	assert_int_equal(gmem_dirty_take(g.vm->mem, count_page, hits), 0);
	assert_int_equal(run(&g), VCPU_EXIT_HALTED);
	accel_kvm.dirty_sync(g.vm, true);
	gmem_dirty_take(g.vm->mem, count_page, hits);
	assert_int_equal(hits[0], 1);
	assert_true(hits[1] < 16);
	accel_kvm.dirty_sync(g.vm, false);
	gmem_dirty_stop(g.vm->mem);
	guest_destroy(&g);
}

static void test_bad_options(void **unused)
{
	struct err e = { 0 };
	struct loop *loop;
	struct vm *vm = NULL;
	assert_int_equal(loop_create(&loop, NULL, &e), 0);
	static const char *const bad[] = { "irqchip=split", "split=in", "irqchips=on", "assist=perhaps" };
	for (unsigned n = 0; n < COUNT_OF(bad); n++) {
		struct vm_config cfg = { .loop = loop, .accel = &accel_kvm, .accel_options = bad[n] };
		assert_int_equal(vm_create(&vm, &cfg, &e), -EINVAL);
		assert_true(strlen(e.text) > 0);
	}
	loop_destroy(loop);
}

int main(void)
{
	struct err e = { 0 };
	if (accel_kvm.usable(&e) < 0) {
		fprintf(stderr, "SKIPPED, nothing of KVM was tested: %s\n", e.text);
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hlt),          cmocka_unit_test(test_ports),
		cmocka_unit_test(test_mmio),         cmocka_unit_test(test_doorbell),
		cmocka_unit_test(test_triple_fault), cmocka_unit_test(test_injection),
		cmocka_unit_test(test_tsc_deadline), cmocka_unit_test(test_init_sipi),
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_kick),
		cmocka_unit_test(test_pause_resume), cmocka_unit_test(test_kernel_irqchip),
		cmocka_unit_test(test_dirty_log),    cmocka_unit_test(test_cpuid),
		cmocka_unit_test(test_bad_options),  cmocka_unit_test(test_assist),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
