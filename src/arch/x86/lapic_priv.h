/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lapic.c (registers) and apic_bus.c (routing) share; nobody else includes this. */
#ifndef PANAL_ARCH_X86_LAPIC_PRIV_H
#define PANAL_ARCH_X86_LAPIC_PRIV_H

#include "arch/x86/lapic.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/region.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum { LVT_MASKED = 1 << 16 };
enum { SVR_ENABLE = 1 << 8, SVR_NO_EOI_BROADCAST = 1 << 12 };

#define APIC_BASE_BSP (UINT64_C(1) << 8)
#define APIC_BASE_X2 (UINT64_C(1) << 10)
#define APIC_BASE_ENABLE (UINT64_C(1) << 11)
#define APIC_BASE_ADDR UINT64_C(0x000ffffffffff000)

/* lapic.hints: why intr_pending has to look closer. Bits 0-3: that quarter of the IRR is not empty. */
enum { HINT_IRR = 0xf, HINT_LINT0 = 1 << 4, HINT_EXTINT_MSG = 1 << 5, HINT_INIT = 1 << 6 };

struct lapic {
	struct lapic_config cfg;
	struct apic_bus *bus;
	struct vcpu *vcpu;
	struct vcpu_chip chip;
	uint32_t id;

	/* any thread */
	_Atomic uint32_t hints;
	_Atomic uint64_t irr[4], tmr[4];
	_Atomic uint32_t esr_pending;
	_Atomic uint32_t lint_level; /* bit per LINT input, as driven */

	/* written by the vCPU's thread, read by senders */
	_Atomic uint64_t base;
	_Atomic uint32_t tpr, ppr, ldr, dfr, svr;
	_Atomic uint32_t lvt[LVT_COUNT];

	/* the vCPU's thread */
	uint64_t isr[4];
	uint64_t icr;
	uint32_t esr;

	/* the timer, under lock */
	pthread_mutex_t lock;
	struct timer timer;
	uint32_t timer_init, timer_divide;
	bool timer_counting;
	int64_t timer_expire_ns; /* one-shot and periodic: when the count reaches zero */
	uint64_t timer_left_ns;  /* saved state only */
	uint64_t tsc_deadline;   /* 0: disarmed */
};

enum { APIC_EXTRA_WINDOWS = 4 };

struct apic_bus {
	struct apic_bus_config cfg;
	struct vm *vm;
	struct lapic *lapic[VCPU_MAX];
	unsigned count;
	_Atomic unsigned turn; /* where the next lowest-priority arbitration starts */
	void (*eoi)(void *opaque, uint8_t vector);
	void *eoi_opaque;
	int (*extint_ack)(void *opaque);
	void *extint_opaque;
	struct log_limit limit;

	/* MMIO windows: the default one and those that guests moved an APIC to. They are never taken back. */
	pthread_mutex_t lock;
	struct apic_window {
		struct apic_bus *bus;
		uint64_t base;
		struct region_handle *region;
	} window[1 + APIC_EXTRA_WINDOWS];
	unsigned windows;
};

/* One interrupt message. */
struct apic_msg {
	uint32_t dest;
	bool wide; /* dest has 32 bits (x2APIC); else 8, where 0xff is everyone */
	bool logical;
	bool lowest;
	uint8_t mode; /* enum apic_mode */
	uint8_t vector;
	bool level;
};

static inline bool lapic_enabled(const struct lapic *l)
{
	return atomic_load_explicit(&l->base, memory_order_relaxed) & APIC_BASE_ENABLE;
}

static inline bool lapic_x2(const struct lapic *l)
{
	return (atomic_load_explicit(&l->base, memory_order_relaxed) & (APIC_BASE_ENABLE | APIC_BASE_X2)) ==
	       (APIC_BASE_ENABLE | APIC_BASE_X2);
}

/* Hands a message to one local APIC. Any thread. */
void lapic_accept(struct lapic *l, uint8_t mode, uint8_t vector, bool level);
void lapic_lint(struct lapic *l, unsigned n, bool level);

void apic_bus_add(struct apic_bus *bus, struct lapic *l);
void apic_bus_send(struct apic_bus *bus, const struct apic_msg *m);
/* To every lapic but `self` (NULL: to all). */
void apic_bus_send_all(struct apic_bus *bus, struct lapic *self, const struct apic_msg *m);
/* Makes sure that a window answers at base; a negative errno when it cannot. */
int apic_bus_window(struct apic_bus *bus, uint64_t base);
uint64_t apic_bus_tsc(struct apic_bus *bus, const struct vcpu *v);

#endif
