/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUID table of a vCPU: what the accelerator offers on this host, fitted to the machine's topology, timers and
 * hypervisor interface. Vendor, family, model and name stay the host's. Pure functions, any thread.
 */
#ifndef PANAL_ARCH_X86_CPUID_H
#define PANAL_ARCH_X86_CPUID_H

#include "arch/x86/regs.h"
#include "base/err.h"

struct x86_topology {
	unsigned sockets, cores, threads; /* cores of a die, threads of a core; each at least 1 */
	unsigned dies;                    /* of a socket; 0 is 1 */
};

struct cpuid_config {
	struct x86_topology topology;
	unsigned cpus;       /* vCPUs present, at most sockets * dies * cores * threads */
	uint32_t tsc_khz;
	uint32_t apic_hz;    /* what the APIC timers count, see apic_bus_config.timer_hz; 0: 1 GHz */
	unsigned phys_bits;  /* width of physical addresses at most; 0: the accelerator's */
	bool x2apic, tsc_deadline; /* the local APIC can do it */
	bool invariant_tsc;
	bool pvclock;        /* KVM clock MSRs are there: by pvclock.c, or by the accelerator's kernel */
	bool kernel_irqchip; /* the accelerator's kernel has the APICs: all that it offers in 0x40000001 stands */
};

/* Initial APIC ids: each level has as many bits as it needs, as hardware numbers them. */
uint32_t apic_id_for(const struct x86_topology *t, unsigned index);

/* Fills out with the table of vCPU `index` from the accelerator's rows, sorted by leaf and subleaf. Returns the
 * count. Errors: -EINVAL (topology), -ENOSPC (max too small; X86_CPUID_MAX is enough). */
int cpuid_build(struct x86_cpuid *out, unsigned max, const struct x86_cpuid *rows, unsigned count,
                const struct cpuid_config *cfg, unsigned index, struct err *e) ATTR_MUST_USE;

#endif
