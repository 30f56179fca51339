/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM helped by the soft CPU: an instruction that KVM's emulator does not know is executed on the vCPU's state.
 *
 * Known case: hosts whose KVM emulates all kernel-mode code in software and stops at LOCK CMPXCHG16B, XRSTOR, CLAC and
 * at every VEX and EVEX instruction. There a vector instruction is seldom alone, and an assist costs as much as tens of
 * instructions in the soft CPU; so the soft CPU goes on through the vector code it stands in. It does so there alone:
 * such a KVM follows the guest's page tables by write-protecting them for the guest, and what the soft CPU writes to
 * them it does not see. Code between vector instructions does not write page tables; kernel code at large does.
 */
#include "accel/kvm/kvm.h"

#include "accel/soft/step.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
	ASSIST_STUCK_MAX = 3,
	VECTOR_RUN = 10000, /* instructions: no interrupt is taken meanwhile, a few milliseconds at most */
	VECTOR_NEAR = 16,
};

static struct x86_state *state_alloc(void)
{
	struct x86_state *s = aligned_alloc(64, sizeof(*s));
	if (s)
		x86_state_reset(s, true, 0);
	return s;
}

static bool prepare(struct kvm_cpu *k, struct err *e)
{
	if (!k->assist_before)
		k->assist_before = state_alloc();
	if (!k->assist_after)
		k->assist_after = state_alloc();
	if (!k->assist_before || !k->assist_after) {
		err_set(e, -ENOMEM, "no memory for the soft CPU that helps KVM");
		return false;
	}
	return k->step || soft_step_create(&k->step, k->v, e) == 0;
}

void kvm_assist_destroy(struct kvm_cpu *k)
{
	if (k->step)
		soft_step_destroy(k->step);
	free(k->assist_before);
	free(k->assist_after);
}

static unsigned insn_bytes(const struct kvm_cpu *k)
{
	const struct kvm_run *run = k->run;
	unsigned size = run->emulation_failure.insn_size;
	if (run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return 0;
	return size > sizeof(run->emulation_failure.insn_bytes) ? sizeof(run->emulation_failure.insn_bytes) : size;
}

/* Instructions seen often on such hosts that read general and system registers only: CLAC, STAC (at every kernel
 * entry), CMPXCHG16B. For them the costly vector registers and MSRs are left where they are. */
static bool general_only(const struct kvm_cpu *k)
{
	const uint8_t *b = k->run->emulation_failure.insn_bytes;
	unsigned size = insn_bytes(k), at = 0;
	while (at < size && (b[at] == 0xf0 || b[at] == 0x3e || b[at] == 0x65 || (b[at] & 0xf0) == 0x40))
		at++;
	if (at + 3 > size || b[at] != 0x0f)
		return false;
	return (b[at + 1] == 0x01 && (b[at + 2] == 0xca || b[at + 2] == 0xcb)) ||
	       (b[at + 1] == 0xc7 && (b[at + 2] & 0x38) == 0x08 && b[at + 2] < 0xc0);
}

/* The instruction's bytes as far as KVM tells them, for messages. */
static void insn_text(const struct kvm_cpu *k, char *buf, size_t size)
{
	unsigned count = insn_bytes(k);
	snprintf(buf, size, "not told by this kernel");
	for (unsigned n = 0; n < count && n < 15 && (n + 1) * 3 < size; n++)
		snprintf(buf + n * 3, size - n * 3, "%02x ", k->run->emulation_failure.insn_bytes[n]);
}

static bool stuck(struct kvm_cpu *k, uint64_t rip)
{
	if (rip != k->assist_rip)
		k->assist_stuck = 0;
	k->assist_rip = rip;
	return ++k->assist_stuck > ASSIST_STUCK_MAX;
}

static bool give_up(struct kvm_cpu *k, const struct x86_state *s)
{
	char bytes[64];
	insn_text(k, bytes, sizeof(bytes));
	atomic_fetch_add(&k->m->assist_failed, 1);
	return kvm_fault(
		k,
		"neither KVM nor the soft CPU can execute the instruction at %04x:%#llx (bytes: %s); please report it",
		s->seg[X86_CS].sel, (unsigned long long)s->rip, bytes);
}

/* Without KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM has queued #UD besides telling us. */
static void drop_queued_ud(struct kvm_cpu *k, struct x86_state *s)
{
	if (!k->m->emulation_exits && s->ev.exception_pending && s->ev.exception_vector == X86_UD)
		s->ev.exception_pending = false;
}

bool kvm_assist(struct kvm_cpu *k, bool *shutdown)
{
	struct err e = { 0 };
	bool general = general_only(k);
	if (!prepare(k, &e) || kvm_state_get_light(k, k->assist_before, general, &e) < 0)
		return kvm_fault(k, "KVM could not emulate an instruction and the soft CPU cannot help: %s", e.text);
	struct x86_state *before = k->assist_before, *after = k->assist_after;
	drop_queued_ud(k, before);
	*after = *before;
	struct soft_step_result r = { 0 };
	if (general)
		soft_step_run(k->step, after, 1, true, &r);
	else
		soft_step_run_vector(k->step, after, VECTOR_RUN, VECTOR_NEAR, &r);
	if (r.shutdown) {
		*shutdown = true;
		return true;
	}
	if (r.executed || r.raised || r.halted || after->rip != before->rip)
		k->assist_stuck = 0;
	else if (stuck(k, before->rip))
		return give_up(k, before);
	if (r.halted)
		after->mp = X86_MP_HALTED;
	if (kvm_state_set_changed(k, before, after, &e) < 0)
		return kvm_fault(k, "after the soft CPU executed an instruction: %s", e.text);
	atomic_store_explicit(&k->v->stats.assisted,
			      atomic_load_explicit(&k->v->stats.assisted, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	return true;
}
