/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM as an engine for user code alone (accel/soft/user.h), for hosts whose KVM cannot run a guest's kernel.
 *
 * KVM sees the guest's memory and, beside it, a few private pages a vCPU: an IDT whose gates all lead to HLT, a GDT, a
 * TSS, a stack, and top-level page tables whose lower half is the guest's and whose upper half maps these pages. So
 * whatever ends user code (exception, system call) leaves KVM with its state on that stack, and is undone: the soft
 * CPU executes the instruction again, on the guest's own tables, and so raises the exception or not. What this KVM
 * thinks of vectors, error codes and privilege does not matter.
 *
 * Translations. KVM may keep what a processor's TLB may keep. When the guest flushed (the soft CPU counts), KVM is made
 * to forget all, by a memory slot that comes and goes. The private top-level tables are compared with the guest's at
 * each entry.
 */
#ifndef PANAL_ACCEL_KVM_KVM_USER_H
#define PANAL_ACCEL_KVM_KVM_USER_H

#include "accel/kvm/kvm.h"
#include "accel/soft/user.h"

enum { KVM_USER_ROOTS = 16 };

/* Pages of a vCPU's private memory, in order. */
enum {
	KVM_USER_IDT,
	KVM_USER_GDT, /* and the TSS */
	KVM_USER_STUB,
	KVM_USER_STACK,
	KVM_USER_MAPPED, /* those above are mapped, in this order */
	KVM_USER_PDPT = KVM_USER_MAPPED,
	KVM_USER_PD,
	KVM_USER_PT,
	KVM_USER_EMPTY, /* a top-level table without user code */
	KVM_USER_ROOT,
	KVM_USER_PAGES = KVM_USER_ROOT + KVM_USER_ROOTS,
};

struct kvm_user_machine {
	struct kvm_machine *m;
	uint8_t *pages; /* of all vCPUs */
	uint64_t gpa, size;
	unsigned slot;
	pthread_mutex_t lock; /* guards the slot that comes and goes */
};

struct kvm_user {
	struct soft_user engine;
	struct kvm_cpu *k;
	struct kvm_user_machine *um;
	uint8_t *pages;
	uint64_t gpa;
	struct kvm_user_root {
		uint64_t cr3, used; /* used 0: free */
	} root[KVM_USER_ROOTS];
	uint64_t turn;
	uint32_t user_gen;
	uint64_t tsc_offset, xcr0;
	struct x86_fpu *fpu; /* as KVM has it, when fpu_known */
	bool fpu_known, started;
	uint64_t apic_base;
	_Atomic uint64_t entries, steps, forgets; /* written by the vCPU's thread */
};

/* kvm_user_mem.c */
int kvm_user_mem_create(struct kvm_user_machine *um, unsigned vcpus, struct err *e);
void kvm_user_mem_destroy(struct kvm_user_machine *um);
/* The private pages of one vCPU filled, but for the roots. */
void kvm_user_mem_fill(struct kvm_user *u);
/* Where KVM sees a private page. */
uint64_t kvm_user_linear(unsigned page);
/* The CR3 to run with, for the guest's CR3: 0 when its table is not in RAM. */
uint64_t kvm_user_root(struct kvm_user *u, uint64_t cr3);
/* A CR3 under which no user code is mapped. */
uint64_t kvm_user_empty(const struct kvm_user *u);
/* The byte at a linear address by the guest's tables; -1: not mapped, not RAM. */
int kvm_user_byte(const struct kvm_user *u, uint64_t cr3, uint64_t linear);
/* KVM forgets what it derived from page tables. */
void kvm_user_forget(struct kvm_user *u);

/* kvm_user.c */
int kvm_user_create(struct kvm_user **out, struct kvm_user_machine *um, struct vcpu *v, struct err *e);
void kvm_user_destroy(struct kvm_user *u);
/* Memory and CPUID are known. */
int kvm_user_prepare(struct kvm_user *u, struct err *e);

/* kvm_split.c: accel_kvm, or the machine whose KVM runs user code alone: as the options say, or where a system call in
 * a scratch machine does not reach its kernel. */
int kvm_choose(const char *options, const struct accel_ops **out, struct err *e);
/* kvm_split_probe.c: does a system call from user code arrive in the kernel? Some milliseconds. */
bool kvm_syscall_works(struct kvm_machine *m);

#endif
