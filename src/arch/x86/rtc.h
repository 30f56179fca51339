/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MC146818 real-time clock of a PC and its CMOS memory, ports 0x70 and 0x71. */
#ifndef PANAL_ARCH_X86_RTC_H
#define PANAL_ARCH_X86_RTC_H

#include "base/err.h"
#include "core/irq.h"

struct rtc;
struct timerq;
struct vm;

enum { RTC_CMOS_SIZE = 128 };

struct rtc_config {
	struct timerq *timers; /* on the machine clock */
	struct irq irq;        /* ISA interrupt 8 */
	struct irq alarm;      /* high while an enabled alarm is up: may be unconnected */
	/* Nanoseconds since 1970 (UTC) now; NULL: the host's CLOCK_REALTIME. */
	int64_t (*utc_ns)(void *opaque);
	void *utc_opaque;
	int64_t offset_ns; /* added to it, for guests that keep local time in the clock */
	uint64_t mem_below_4g, mem_above_4g; /* bytes of RAM, for the bytes where firmware looks for them */
	unsigned cpus;
};

int rtc_create(struct vm *vm, struct rtc_config cfg, struct rtc **out, struct err *e) ATTR_MUST_USE;
/* What the guest's clock is ahead of UTC (utc_ns). VM_REQUEST_CLOCK says that the guest changed it. Any thread. */
int64_t rtc_offset_ns(struct rtc *r);
/* A byte of CMOS memory, 0x0e-0x7f, for boards that tell their firmware something. Before vCPUs run. */
void rtc_cmos_set(struct rtc *r, unsigned index, uint8_t value);

#endif
