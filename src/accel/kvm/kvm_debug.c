/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stops for a debugger outside the machine, through KVM_SET_GUEST_DEBUG. Breakpoints of the kind BREAK are INT3 bytes
 * that the debugger has put into guest memory; the others take the four debug registers of the processor, which the
 * guest cannot use meanwhile (SDM 3B 17.2).
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

enum { SLOTS = 4, DR7_FIXED = 1 << 10, DR7_GE = 1 << 9 };

/* Length 3 of a debug register stands for 4 bytes, 2 for 8. */
static int slot_bits(const struct vcpu_debug_point *p)
{
	unsigned rw = p->kind == VCPU_POINT_EXEC ? 0 : p->kind == VCPU_POINT_WRITE ? 1 : 3;
	unsigned len = p->kind == VCPU_POINT_EXEC ? 1 : p->len;
	if ((len != 1 && len != 2 && len != 4 && len != 8) || (p->addr & (len - 1)))
		return -1;
	return (int)(rw | (len == 8 ? 2 : len - 1) << 2);
}

/* Fills the debug registers; the points that are in them, in order, go to slot. */
static int fill(const struct vcpu_debug *d, struct kvm_guest_debug *g, const struct vcpu_debug_point **slot,
                struct err *e)
{
	unsigned used = 0;
	for (unsigned n = 0; n < d->count; n++) {
		const struct vcpu_debug_point *p = &d->point[n];
		if (p->kind == VCPU_POINT_BREAK) {
			g->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
			continue;
		}
		int bits = slot_bits(p);
		if (p->kind == VCPU_POINT_READ || bits < 0)
			return err_set(e, -ENOTSUP, "the processor has no such watchpoint");
		if (used == SLOTS)
			return err_set(e, -ENOSPC, "the processor has %d hardware breakpoints and watchpoints", SLOTS);
		g->arch.debugreg[used] = p->addr;
		g->arch.debugreg[7] |= (uint64_t)(2u << used * 2) | (uint64_t)bits << (16 + used * 4);
		slot[used++] = p;
	}
	/* Breakpoints of the kind BREAK take the registers that are left, besides their INT3: a KVM that emulates
	 * kernel code hands an INT3 to the guest, but looks at the registers. */
	for (unsigned n = 0; n < d->count && used < SLOTS; n++) {
		if (d->point[n].kind != VCPU_POINT_BREAK)
			continue;
		g->arch.debugreg[used] = d->point[n].addr;
		g->arch.debugreg[7] |= (uint64_t)(2u << used * 2);
		slot[used++] = &d->point[n];
	}
	if (used) {
		g->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		g->arch.debugreg[7] |= DR7_FIXED | DR7_GE;
	}
	return 0;
}

static int apply(struct kvm_cpu *k, const struct vcpu_debug *d, uint32_t extra, struct err *e)
{
	struct kvm_guest_debug g = { 0 };
	const struct vcpu_debug_point *slot[SLOTS];
	int r = fill(d, &g, slot, e);
	if (r < 0)
		return r;
	if (d->single_step) {
		g.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
		int can = ioctl(k->m->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
		if (can > 0 && (can & KVM_GUESTDBG_BLOCKIRQ))
			g.control |= KVM_GUESTDBG_BLOCKIRQ;
	}
	g.control |= extra;
	return ioctl(k->fd, KVM_SET_GUEST_DEBUG, &g) < 0 ? err_errno(e, errno, "KVM refuses to debug the guest") : 0;
}

int kvm_debug_set(struct vcpu *v, const struct vcpu_debug *d, struct err *e)
{
	return apply(kvm_cpu_of(v), d, 0, e);
}

static bool stop(struct kvm_cpu *k, enum vcpu_debug_why why, enum vcpu_point kind, uint64_t addr)
{
	k->v->debug_stop = (struct vcpu_debug_stop){ why, kind, addr };
	return true;
}

/* The guest's own exception: KVM gives it back at the next entry. */
static bool reflect(struct kvm_cpu *k, uint32_t inject)
{
	struct err e = { 0 };
	if (apply(k, &k->v->debug, inject, &e) < 0)
		log_limited(&k->m->log_limit, LOG_WARNING, "a debug exception of the guest is lost: %s", e.text);
	return false;
}

bool kvm_debug_exit(struct kvm_cpu *k)
{
	const struct kvm_debug_exit_arch *x = &k->run->debug.arch;
	const struct vcpu_debug *d = &k->v->debug;
	const struct vcpu_debug_point *slot[SLOTS] = { NULL };
	struct kvm_guest_debug g = { 0 };
	if (x->exception == X86_BP) {
		for (unsigned n = 0; n < d->count; n++)
			if (d->point[n].kind == VCPU_POINT_BREAK && d->point[n].addr == x->pc)
				return stop(k, VCPU_DEBUG_POINT, VCPU_POINT_BREAK, x->pc);
		return reflect(k, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP);
	}
	(void)fill(d, &g, slot, NULL);
	for (unsigned n = 0; n < SLOTS; n++)
		if (slot[n] && (x->dr6 >> n & 1))
			return stop(k, VCPU_DEBUG_POINT, slot[n]->kind, slot[n]->addr);
	if (d->single_step)
		return stop(k, VCPU_DEBUG_STEPPED, VCPU_POINT_EXEC, x->pc);
	return reflect(k, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB);
}

bool kvm_debug_stepped(struct kvm_cpu *k)
{
	return k->v->debug.single_step && stop(k, VCPU_DEBUG_STEPPED, VCPU_POINT_EXEC, 0);
}
