/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM through /dev/kvm: what the files of this room share. Source: the kernel's Documentation/virt/kvm/api.rst.
 *
 * Every capability is asked of the kernel (struct kvm_offer) and may be missing; required are only user memory, the
 * mmap'ed run structure and immediate_exit.
 */
#ifndef PANAL_ACCEL_KVM_KVM_H
#define PANAL_ACCEL_KVM_KVM_H

#include "arch/x86/regs.h"
#include "base/err.h"
#include "base/log.h"
#include "core/gmem.h"
#include "core/accel.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

struct soft_step;

/* What this kernel offers: KVM_CHECK_EXTENSION's answers. */
struct kvm_offer {
	int user_memory, readonly_mem, immediate_exit, nr_memslots, max_vcpus;
	int irqchip, pit2, signal_msi, irq_routing, irqfd, ioeventfd, ioeventfd_any_length;
	int set_tss_addr, set_identity_map_addr;
	int ext_cpuid, mp_state, vcpu_events, debugregs, xcrs, xsave, xsave2, sync_regs, smm, user_nmi;
	int user_space_msr, msr_filter, exit_on_emulation_failure;
	int adjust_clock, kvmclock_ctrl, vcpu_attributes;
};

enum {
	KVM_GSI_COUNT = 24,        /* IOAPIC pins */
	KVM_MSI_ROUTE_MAX = 1024,  /* message routes of irqfds */
	KVM_ROUTE_MAX = KVM_GSI_COUNT * 2 + KVM_MSI_ROUTE_MAX,
	KVM_MSR_MAX = 64,
	KVM_EXIT_KINDS = 48,
};

/* One eventfd that raises a message: route n is GSI KVM_GSI_COUNT + n. */
struct kvm_msi_route {
	bool used;
	int event_fd;
	uint64_t addr;
	uint32_t data;
};

struct kvm_machine {
	struct vm *vm;
	int dev_fd, fd;
	struct kvm_offer offer;
	bool irqchip, pit, tsc_attr;
	bool msr_exits;     /* MSRs that KVM does not know come to us */
	bool emulation_exits; /* failed emulation comes to us before an exception is queued */
	bool assist;        /* failed emulation is done by the soft CPU */
	int run_size;       /* bytes of the run structure's mapping */
	bool prepared, dirty_log, shadow /* the chipset shows other than RAM below 1 MiB */;
	uint64_t supported_xcr0;
	uint32_t msr_index[512]; /* KVM_GET_MSR_INDEX_LIST */
	unsigned msr_index_count;

	pthread_mutex_t lock; /* guards route and fault_set */
	struct kvm_msi_route route[KVM_MSI_ROUTE_MAX];
	bool fault_set;

	/* Time: guest TSC of vCPU i = machine TSC + kvm_cpu.tsc_delta. While the clock stands, the machine TSC is
	 * tsc_frozen and the kernel's offsets mean nothing. */
	bool clock_running;
	bool tsc_fixed; /* this kernel ignores offsets */
	uint64_t tsc_frozen, tsc_offset;
	uint64_t kvmclock_ns;

	_Atomic uint64_t msi_sent, msi_failed, doorbells, assist_failed;
	struct log_limit log_limit;
	void *chips; /* kvm_chips.c */
};

struct kvm_cpu {
	struct vcpu *v;
	struct kvm_machine *m;
	int fd;
	struct kvm_run *run;
	_Atomic int run_tid; /* thread that is inside kvm_cpu_run; 0: none */
	int signal_tid;      /* the kick signal is unblocked on that thread */
	bool cpuid_set, msrs_probed;
	bool halted;    /* without a kernel irqchip: HLT was executed */
	bool wait_sipi; /* without a kernel irqchip */
	bool completing; /* the last exit wants another KVM_RUN before the state is whole */
	uint64_t apic_base; /* without a kernel irqchip: the value that the chip knows of */
	uint64_t tsc_delta;
	uint64_t xcr0_mask; /* XSAVE components of this vCPU: its CPUID and the kernel's */

	/* rows of the MSR table in kvm_state.c that exist here */
	uint8_t msr[KVM_MSR_MAX];
	unsigned msr_count;

	struct soft_step *step; /* made at the first assist */
	struct x86_state *assist_before, *assist_after;
	uint64_t assist_rip;
	unsigned assist_stuck;
	void *xsave; /* page aligned buffer of xsave_size bytes */
	unsigned xsave_size;
	_Atomic uint64_t exit_count[KVM_EXIT_KINDS];
};

/* --accel kvm,... */
enum kvm_split { KVM_SPLIT_AUTO, KVM_SPLIT_ON, KVM_SPLIT_OFF };
struct kvm_options {
	bool irqchip, assist;
	enum kvm_split split;
};

static inline struct kvm_machine *kvm_machine_of(const struct vm *vm)
{
	return vm->accel_data;
}
static inline struct kvm_cpu *kvm_cpu_of(const struct vcpu *v)
{
	return v->accel_data;
}

/* kvm.c: text may be NULL. The others: a machine or a vCPU that no struct vm or vcpu points to yet. */
int kvm_options_read(struct kvm_options *out, const char *text, struct err *e);
int kvm_machine_open(struct kvm_machine **out, struct vm *vm, struct err *e);
void kvm_machine_close(struct kvm_machine *m);
int kvm_cpu_open(struct kvm_cpu **out, struct kvm_machine *m, struct vcpu *v, struct err *e);
void kvm_cpu_close(struct kvm_cpu *k);

/* kvm_probe.c: opens /dev/kvm; the descriptor, or a negative errno with cause and remedy. */
int kvm_open(struct err *e);
void kvm_probe_offer(int dev_fd, struct kvm_offer *o);

/* kvm_cpuid.c */
int kvm_cpuid_supported(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e);
/* KVM_SET_CPUID2 from v->cpuid, once. */
int kvm_cpuid_set(struct kvm_cpu *k, struct err *e);
/* kvm_cpuid_seen.c: replaces the rows by what a guest with that table really sees, where that can differ. */
void kvm_cpuid_seen(struct kvm_machine *m, const struct kvm_cpuid2 *table, struct x86_cpuid *rows, unsigned count);

/* kvm_mem.c. Slots: one a block of gmem, by its number; then KVM_SHADOW_SLOTS; the rest is free. */
enum { KVM_SHADOW_SLOTS = 1 + GMEM_SHADOW_PARTS };
int kvm_mem_prepare(struct kvm_machine *m, struct err *e);
void kvm_mem_dirty_sync(struct kvm_machine *m, bool enable);
void kvm_mem_listen(struct kvm_machine *m, bool on);

/* kvm_irq.c */
int kvm_irq_create(struct kvm_machine *m, bool wanted, struct err *e);
int kvm_irq_prepare(struct kvm_machine *m, struct err *e);
void kvm_irq_line(struct vm *vm, int gsi, bool level);
void kvm_irq_msi(struct vm *vm, uint64_t addr, uint32_t data);
int kvm_irq_irqfd_msi(struct vm *vm, int event_fd, uint64_t addr, uint32_t data, bool add);

/* kvm_chips.c: attaches the device that resets, saves and loads what the kernel keeps beside the vCPU state. */
int kvm_chips_attach(struct kvm_machine *m, struct err *e);

/* kvm_clock.c */
void kvm_clock_changed(struct vm *vm, bool running);
/* Guest TSC of a parked vCPU. */
uint64_t kvm_clock_tsc_get(struct kvm_cpu *k);
/* Asks for this difference between the guest's TSC and the host's; returns the one that holds. */
uint64_t kvm_clock_offset(struct kvm_cpu *k, uint64_t offset);
void kvm_clock_tsc_set(struct kvm_cpu *k, uint64_t tsc);

/* kvm_state.c */
int kvm_state_get(struct vcpu *v, struct x86_state *s, struct err *e);
int kvm_state_set(struct vcpu *v, const struct x86_state *s, struct err *e);
/* What one instruction may need; general: one that reads general and system registers only, the rest of *s stays as
 * it is. kvm_state_set_changed writes back only the groups that differ from *old. */
int kvm_state_get_light(struct kvm_cpu *k, struct x86_state *s, bool general, struct err *e);
int kvm_state_set_changed(struct kvm_cpu *k, const struct x86_state *old, const struct x86_state *s, struct err *e);
int kvm_msrs_write(struct kvm_cpu *k, const struct kvm_msr_entry *list, unsigned count);
int kvm_msrs_read(struct kvm_cpu *k, struct kvm_msr_entry *list, unsigned count);
unsigned kvm_xsave_bytes(const struct kvm_machine *m);

struct x86_seg kvm_seg_read(const struct kvm_segment *k);
struct kvm_segment kvm_seg_make(const struct x86_seg *s);
int kvm_xcrs_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e);
int kvm_fpu_get(struct kvm_cpu *k, struct x86_state *s, struct err *e);
int kvm_fpu_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e);

/* kvm_assist.c: the soft CPU executes the instruction that KVM could not. False: vm->fault is set. */
bool kvm_assist(struct kvm_cpu *k, bool *shutdown);
void kvm_assist_destroy(struct kvm_cpu *k);

/* kvm_debug.c */
int kvm_debug_set(struct vcpu *v, const struct vcpu_debug *d, struct err *e);
/* KVM_EXIT_DEBUG: true when it is the debugger's, else the guest gets its exception. */
bool kvm_debug_exit(struct kvm_cpu *k);
/* After an instruction that KVM did not execute itself: is that the debugger's single step? */
bool kvm_debug_stepped(struct kvm_cpu *k);

/* kvm_run.c */
enum vcpu_exit kvm_cpu_run(struct vcpu *v);
void kvm_cpu_kick(struct vcpu *v);
void kvm_kick(struct kvm_cpu *k);
/* The calling thread is the one that kicks are for, until k->run_tid is 0 again. */
void kvm_thread_prepare(struct kvm_cpu *k);
/* The access that KVM_RUN left for; it is complete after the next entry. */
void kvm_exit_io(struct kvm_cpu *k);
void kvm_exit_mmio(struct kvm_cpu *k);
/* KVM_RUN's errno into vm->fault; always false. */
bool kvm_run_failed(struct kvm_cpu *k, int cause);
int kvm_kick_install(struct err *e);
/* Sets vm->fault unless another vCPU has; always false, for `return`. */
bool kvm_fault(struct kvm_cpu *k, const char *fmt, ...) ATTR_PRINTF(2, 3);

#endif
