/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPU's loop around KVM_RUN.
 *
 * Kicks: who wants the vCPU's attention has set bits in v->attention, then sets run->immediate_exit and, when it was
 * clear, signals the thread. The thread clears immediate_exit, then looks at the bits, then enters. So a kick between
 * the look and the entry finds immediate_exit set at entry, and a kick after the entry interrupts guest code.
 *
 * After an exit for port or memory I/O the instruction is complete only at the next KVM_RUN; before the state may be
 * looked at, one entry with immediate_exit set completes it.
 */
#include "accel/kvm/kvm.h"

#include "core/region.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MSR_APIC_BASE = 0x1b };

/* ---- kick ---- */

static int kick_signal(void)
{
	return SIGRTMIN + 3;
}

static void kick_arrived(int sig)
{
	/* its arrival is all that is wanted: KVM_RUN returns EINTR */
}

int kvm_kick_install(struct err *e)
{
	struct sigaction act = { .sa_handler = kick_arrived, .sa_flags = SA_RESTART };
	sigemptyset(&act.sa_mask);
	return sigaction(kick_signal(), &act, NULL) < 0
		       ? err_errno(e, errno, "cannot install the signal that kicks vCPUs")
		       : 0;
}

void kvm_kick(struct kvm_cpu *k)
{
	bool was_set = __atomic_exchange_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	int tid = atomic_load(&k->run_tid);
	if (!was_set && tid)
		(void)syscall(SYS_tgkill, getpid(), tid, kick_signal());
}

void kvm_cpu_kick(struct vcpu *v)
{
	kvm_kick(kvm_cpu_of(v));
}

void kvm_thread_prepare(struct kvm_cpu *k)
{
	int tid = (int)syscall(SYS_gettid);
	if (k->signal_tid != tid) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, kick_signal());
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		k->signal_tid = tid;
	}
	atomic_store(&k->run_tid, tid);
}

/* ---- errors ---- */

bool kvm_fault(struct kvm_cpu *k, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&k->m->lock);
	if (!k->m->fault_set)
		err_set(&k->v->vm->fault, -EIO, "vCPU %u: %s", k->v->index, text);
	k->m->fault_set = true;
	pthread_mutex_unlock(&k->m->lock);
	return false;
}

/* Where it stands, for messages: "RIP 0x..., CR0 0x..., CPL n". */
static void where(struct kvm_cpu *k, char *buf, size_t size)
{
	struct kvm_regs r = { 0 };
	struct kvm_sregs s = { 0 };
	(void)ioctl(k->fd, KVM_GET_REGS, &r);
	(void)ioctl(k->fd, KVM_GET_SREGS, &s);
	snprintf(buf, size, "at CS:RIP %04x:%#llx, CR0 %#llx, CR3 %#llx, EFER %#llx, CPL %u", s.cs.selector,
		 (unsigned long long)r.rip, (unsigned long long)s.cr0, (unsigned long long)s.cr3,
		 (unsigned long long)s.efer, s.ss.dpl);
}

static bool fail_entry(struct kvm_cpu *k)
{
	char at[160];
	where(k, at, sizeof(at));
	unsigned long long reason = k->run->fail_entry.hardware_entry_failure_reason;
	const char *hint = "see dmesg of the host";
	if (reason == 0x80000021)
		hint = "the processor refuses this guest state; an Intel processor without unrestricted guest mode "
		       "refuses "
		       "real-mode states: use --accel soft";
	else if (reason == 7 || reason == 8)
		hint = "the processor's virtualization refuses KVM's own settings; is another hypervisor active on "
		       "this host?";
	return kvm_fault(k, "the processor did not enter the guest (reason %#llx) %s: %s", reason, at, hint);
}

static bool internal_error(struct kvm_cpu *k)
{
	static const char *const name[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "an instruction that KVM cannot emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "exceptions at the same time",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event whose delivery fails again and again",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit of the processor that KVM does not know",
	};
	char at[160];
	where(k, at, sizeof(at));
	unsigned sub = k->run->internal.suberror;
	return kvm_fault(k, "KVM internal error %u (%s) %s; try --accel soft", sub,
			 sub < COUNT_OF(name) && name[sub] ? name[sub] : "unknown", at);
}

bool kvm_run_failed(struct kvm_cpu *k, int cause)
{
	char at[160];
	where(k, at, sizeof(at));
	if (cause == EFAULT)
		return kvm_fault(k, "KVM could not reach guest memory %s; is the host out of memory or huge pages?",
				 at);
	if (cause == EIO || cause == EINVAL || cause == ENOEXEC)
		return kvm_fault(k, "KVM_RUN failed (%s) %s; try --accel soft", strerror(cause), at);
	return kvm_fault(k, "KVM_RUN failed (%s) %s", strerror(cause), at);
}

/* ---- port and memory I/O ---- */

static void count(_Atomic uint64_t *c)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
}

void kvm_exit_io(struct kvm_cpu *k)
{
	struct kvm_run *run = k->run;
	unsigned width = run->io.size;
	uint64_t at = run->io.data_offset, bytes = (uint64_t)width * run->io.count;
	count(&k->v->stats.port_io);
	/* a string instruction carries several items; the kernel keeps them inside the run structure */
	if (at > (uint64_t)k->m->run_size || bytes > (uint64_t)k->m->run_size - at)
		return;
	uint8_t *p = (uint8_t *)run + at;
	for (uint32_t n = 0; n < run->io.count; n++, p += width) {
		uint64_t value = 0;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, p, width);
			region_write(k->v->vm->regions, REGION_PORT, run->io.port, width, value);
		} else {
			value = region_read(k->v->vm->regions, REGION_PORT, run->io.port, width);
			memcpy(p, &value, width);
		}
	}
}

/* KVM hands over up to 8 bytes, also 3, 5, 6, 7 at page ends: in pieces of a power of two. */
void kvm_exit_mmio(struct kvm_cpu *k)
{
	struct kvm_run *run = k->run;
	unsigned len = run->mmio.len > 8 ? 8 : run->mmio.len;
	count(&k->v->stats.mmio);
	for (unsigned at = 0; at < len;) {
		unsigned left = len - at, width = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
		uint64_t value = 0;
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data + at, width);
			region_write(k->v->vm->regions, REGION_MEMORY, run->mmio.phys_addr + at, width, value);
		} else {
			value = region_read(k->v->vm->regions, REGION_MEMORY, run->mmio.phys_addr + at, width);
			memcpy(run->mmio.data + at, &value, width);
		}
		at += width;
	}
}

/* ---- MSRs that come to us (no kernel irqchip) ---- */

static void exit_msr(struct kvm_cpu *k, bool write)
{
	struct kvm_run *run = k->run;
	const struct vcpu_chip *chip = k->v->chip;
	int r = -1;
	if (write && chip && chip->msr_write)
		r = chip->msr_write(chip->opaque, run->msr.index, run->msr.data);
	uint64_t value = 0;
	if (!write && chip && chip->msr_read)
		r = chip->msr_read(chip->opaque, run->msr.index, &value);
	if (!write && r == 0)
		run->msr.data = value;
	run->msr.error = r != 0; /* #GP */
}

/* ---- system events ---- */

static void system_event(struct kvm_cpu *k)
{
	struct vm *vm = k->v->vm;
	switch (k->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: vm_request(vm, VM_REQUEST_POWEROFF); break;
	case KVM_SYSTEM_EVENT_RESET: vm_request(vm, VM_REQUEST_RESET); break;
	case KVM_SYSTEM_EVENT_CRASH: vm_request(vm, VM_REQUEST_PANIC); break;
	default:
		log_limited(&k->m->log_limit, LOG_WARNING, "KVM reports system event %u", k->run->system_event.type);
		break;
	}
}

/* ---- attention: INIT, SIPI, NMI, and interrupts of our own local APIC ---- */

static bool take(struct vcpu *v, unsigned bit)
{
	return (atomic_load(&v->attention) & bit) && (atomic_fetch_and(&v->attention, ~bit) & bit);
}

static bool attend_init(struct kvm_cpu *k)
{
	struct x86_state s;
	struct err e = { 0 };
	const struct x86_cpuid *row = vcpu_cpuid(k->v, 1, 0);
	if (kvm_state_get(k->v, &s, &e) < 0)
		return kvm_fault(k, "INIT: %s", e.text);
	struct x86_state before = s;
	x86_state_init(&s, k->v->index == 0, row ? row->eax : 0);
	s.apic_base = before.apic_base;
	return kvm_state_set_changed(k, &before, &s, &e) == 0 || kvm_fault(k, "INIT: %s", e.text);
}

static bool attend_sipi(struct kvm_cpu *k)
{
	struct x86_state s;
	struct err e = { 0 };
	if (kvm_state_get(k->v, &s, &e) < 0)
		return kvm_fault(k, "SIPI: %s", e.text);
	if (s.mp != X86_MP_WAIT_SIPI)
		return true;
	struct x86_state before = s;
	uint8_t vector = atomic_load(&k->v->sipi_vector);
	s.seg[X86_CS].sel = (uint16_t)(vector << 8);
	s.seg[X86_CS].base = (uint64_t)vector << 12;
	s.rip = 0;
	s.mp = X86_MP_RUNNABLE;
	return kvm_state_set_changed(k, &before, &s, &e) == 0 || kvm_fault(k, "SIPI: %s", e.text);
}

static bool attend(struct kvm_cpu *k)
{
	if (take(k->v, VCPU_ATT_INIT) && !attend_init(k))
		return false;
	if (take(k->v, VCPU_ATT_SIPI) && !attend_sipi(k))
		return false;
	if (take(k->v, VCPU_ATT_NMI) && !k->wait_sipi) {
		if (ioctl(k->fd, KVM_NMI, 0) < 0)
			return kvm_fault(k, "KVM refuses an NMI (%s)", strerror(errno));
		k->halted = false;
	}
	return true;
}

static bool intr_pending(struct kvm_cpu *k)
{
	const struct vcpu_chip *chip = k->v->chip;
	return chip && chip->intr_pending && chip->intr_pending(chip->opaque);
}

/* Gives the guest the interrupt of our own controllers when it can take it now, else asks for the moment it can. */
static bool inject(struct kvm_cpu *k)
{
	struct kvm_run *run = k->run;
	const struct vcpu_chip *chip = k->v->chip;
	take(k->v, VCPU_ATT_INTR);
	if (intr_pending(k) && run->ready_for_interrupt_injection && run->if_flag) {
		int vector = chip->intr_ack(chip->opaque);
		struct kvm_interrupt q = { .irq = (uint32_t)vector };
		if (vector >= 0 && ioctl(k->fd, KVM_INTERRUPT, &q) < 0)
			return kvm_fault(k, "KVM refuses interrupt %d (%s)", vector, strerror(errno));
		if (vector >= 0) {
			count(&k->v->stats.interrupts);
			k->halted = false;
			run->ready_for_interrupt_injection = 0;
		}
	}
	run->request_interrupt_window = intr_pending(k);
	if (chip && chip->cr8_get)
		run->cr8 = chip->cr8_get(chip->opaque);
	return true;
}

/* What the guest did to the TPR and the APIC base inside the kernel. */
static void chip_follow(struct kvm_cpu *k, uint64_t cr8_before)
{
	const struct vcpu_chip *chip = k->v->chip;
	if (chip && chip->cr8_set && k->run->cr8 != cr8_before)
		chip->cr8_set(chip->opaque, (uint8_t)k->run->cr8);
	if (k->run->apic_base == k->apic_base)
		return;
	k->apic_base = k->run->apic_base;
	if (chip && chip->msr_write)
		(void)chip->msr_write(chip->opaque, MSR_APIC_BASE, k->apic_base);
}

/* ---- the loop ---- */

enum next { GO_ON, LEAVE_SHUTDOWN, LEAVE_ERROR, LEAVE_DEBUG };

static enum next exit_emulation(struct kvm_cpu *k)
{
	bool shutdown = false;
	if (k->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || !k->m->assist) {
		internal_error(k);
		return LEAVE_ERROR;
	}
	if (!kvm_assist(k, &shutdown))
		return LEAVE_ERROR;
	if (shutdown)
		return LEAVE_SHUTDOWN;
	return kvm_debug_stepped(k) ? LEAVE_DEBUG : GO_ON;
}

static enum next handle_exit(struct kvm_cpu *k)
{
	uint32_t reason = k->run->exit_reason;
	count(&k->v->stats.exits);
	if (reason < KVM_EXIT_KINDS)
		count(&k->exit_count[reason]);
	k->completing = reason == KVM_EXIT_IO || reason == KVM_EXIT_MMIO || reason == KVM_EXIT_X86_RDMSR ||
			reason == KVM_EXIT_X86_WRMSR;
	switch (reason) {
	case KVM_EXIT_IO: kvm_exit_io(k); return GO_ON;
	case KVM_EXIT_MMIO: kvm_exit_mmio(k); return GO_ON;
	case KVM_EXIT_X86_RDMSR: exit_msr(k, false); return GO_ON;
	case KVM_EXIT_X86_WRMSR: exit_msr(k, true); return GO_ON;
	case KVM_EXIT_HLT: k->halted = true; return GO_ON;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_NMI: return GO_ON;
	case KVM_EXIT_SYSTEM_EVENT: system_event(k); return GO_ON;
	case KVM_EXIT_SHUTDOWN: return LEAVE_SHUTDOWN;
	case KVM_EXIT_INTERNAL_ERROR: return exit_emulation(k);
	case KVM_EXIT_DEBUG: return kvm_debug_exit(k) ? LEAVE_DEBUG : GO_ON;
	case KVM_EXIT_FAIL_ENTRY: fail_entry(k); return LEAVE_ERROR;
	default:
		kvm_fault(k, "KVM left the guest for reason %u, which this program does not know", reason);
		return LEAVE_ERROR;
	}
}

/* One entry. 0: an exit to handle; EINTR: kicked (or the pending I/O is complete); else the errno. */
static int enter(struct kvm_cpu *k)
{
	uint64_t cr8 = k->run->cr8;
	int r = ioctl(k->fd, KVM_RUN, 0) < 0 ? errno : 0;
	if (!k->m->irqchip)
		chip_follow(k, cr8);
	if (r == EINTR)
		k->completing = false;
	return r;
}

/* Completes the I/O instruction under way, however many exits it still takes. */
static enum next complete(struct kvm_cpu *k)
{
	enum next next = GO_ON;
	while (k->completing && next == GO_ON) {
		__atomic_store_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		int r = enter(k);
		if (r == 0)
			next = handle_exit(k);
		else if (r != EINTR && r != EAGAIN) {
			kvm_run_failed(k, r);
			next = LEAVE_ERROR;
		}
	}
	return next;
}

/* Halted by HLT, and nothing there that wakes it. */
static bool sleeps(struct kvm_cpu *k)
{
	if (k->wait_sipi)
		return true;
	if (k->halted && k->run->if_flag && intr_pending(k))
		k->halted = false;
	return k->halted;
}

static enum next step(struct kvm_cpu *k)
{
	int r = enter(k);
	if (r == 0)
		return handle_exit(k);
	/* EAGAIN: a processor that waits for INIT or SIPI in the kernel was woken */
	if (r == EINTR || r == EAGAIN)
		return GO_ON;
	kvm_run_failed(k, r);
	return LEAVE_ERROR;
}

static enum vcpu_exit run_loop(struct kvm_cpu *k)
{
	enum next next = GO_ON;
	while (next == GO_ON) {
		__atomic_store_n(&k->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		unsigned attention = atomic_load(&k->v->attention);
		if ((attention & (VCPU_ATT_STOP | VCPU_ATT_INIT | VCPU_ATT_SIPI)) && k->completing) {
			next = complete(k);
			continue;
		}
		if (attention & VCPU_ATT_STOP)
			return VCPU_EXIT_ATTENTION;
		if (attention && !attend(k))
			return VCPU_EXIT_ERROR;
		if (!k->m->irqchip) {
			if (!k->wait_sipi && !inject(k))
				return VCPU_EXIT_ERROR;
			if (sleeps(k))
				return VCPU_EXIT_HALTED;
		}
		next = step(k);
	}
	if (next == LEAVE_DEBUG)
		return VCPU_EXIT_DEBUG;
	return next == LEAVE_SHUTDOWN ? VCPU_EXIT_SHUTDOWN : VCPU_EXIT_ERROR;
}

enum vcpu_exit kvm_cpu_run(struct vcpu *v)
{
	struct kvm_cpu *k = kvm_cpu_of(v);
	kvm_thread_prepare(k);
	enum vcpu_exit why = run_loop(k);
	atomic_store(&k->run_tid, 0);
	return why;
}
