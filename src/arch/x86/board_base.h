/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all boards have: processors, interrupt controllers, and the parts that the outside speaks to. Boards use it. */
#ifndef PANAL_ARCH_X86_BOARD_BASE_H
#define PANAL_ARCH_X86_BOARD_BASE_H

#include "arch/x86/acpi/acpi.h"
#include "arch/x86/board.h"
#include "arch/x86/board_plug.h"
#include "arch/x86/board_serial.h"
#include "arch/x86/board_virtio.h"
#include "arch/x86/gsi.h"
#include "core/vm.h"
#include "devices/pci/pci_host.h"
#include "display/display.h"
#include "display/input.h"

#define GIB UINT64_C(0x40000000)
#define GIB4 UINT64_C(0x100000000)
enum { IRQ_SCI = 9, PORT_PVPANIC = 0x505 }; /* on all boards */

/* A board's own struct begins with this one. */
struct board {
	struct vm *vm;
	struct boot *boot; /* NULL: firmware boots */
	struct boot_layout layout;
	struct acpi_config acpi;
	uint32_t apic_id[VCPU_MAX];
	struct x86_cpuid *cpuid[VCPU_MAX]; /* X86_CPUID_MAX rows each */
	struct gsi gsi;
	struct input *input;
	struct display *display;
	struct msi_sink msi;
	struct pm *pm;
	struct rtc *rtc;
	struct vmgenid *generation; /* NULL: none */
	struct board_serials serial;
	struct board_virtio virtio;
	struct xhci *xhci; /* NULL: no USB */
	struct board_plug_ops plug;
	struct pci_windows windows;
	unsigned phys_bits; /* cpuid_config's */
	void (*destroy)(struct board *b); /* the board's own part; may be NULL */
};

/* The device that was made last. */
struct dev *board_last_dev(const struct board *b);
/* Opens the kernel, if one is given, and makes the zeroed board a device of the machine; on failure b is gone. */
int board_base_attach(struct board *b, struct vm *vm, struct board_config *cfg, struct err *e) ATTR_MUST_USE;
/* RAM from 0 to low, the rest from 4 GiB on; sets layout.low_top. -EINVAL: a size that no board has. */
int board_add_ram(struct board *b, const struct board_config *cfg, uint64_t low, struct err *e) ATTR_MUST_USE;
/* Begins b->acpi with what does not depend on the board; the power management's registers are at pm_base. */
void board_describe(struct board *b, const struct board_config *cfg, uint16_t pm_base);
/* The clock, whose CMOS tells firmware of memory and processors. The RAM is there; b->pm hears of its alarms. */
int board_add_rtc(struct board *b, const struct board_config *cfg, struct err *e) ATTR_MUST_USE;
int board_add_cpus(struct board *b, const struct board_config *cfg, struct err *e) ATTR_MUST_USE;
/* What a guest says by a port: that it panics, and with what it ends. */
int board_add_reports(struct board *b, struct err *e) ATTR_MUST_USE;
/* The virtio devices; bus and bridges are there. */
int board_add_virtio(struct board *b, struct board_config *cfg, struct err *e) ATTR_MUST_USE;
/*
 * All processors as after a reset. `enter` may change the state of number n before it is set; it may be NULL.
 */
int board_reset_cpus(struct board *b,
		     int (*enter)(struct board *b, unsigned n, struct x86_state *s, struct err *e),
		     struct err *e) ATTR_MUST_USE;
/* Local APICs, IOAPIC, PICs and PIT: the accelerator's, or ours. Fills b->gsi and b->msi. The vCPUs exist. */
int board_add_interrupts(struct board *b, struct err *e) ATTR_MUST_USE;

#endif
