/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_base.h"
#include "arch/x86/board_usb.h"

#include "arch/x86/i8042.h"
#include "arch/x86/pm.h"
#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Guest-physical addresses. RAM from 0 to at most 3 GiB, the rest of it from 4 GiB on.
 *
 *   0x000000000 - 0x00009fbff  RAM; loaders' tables (boot/image.h)
 *   0x00009fc00 - 0x0000fffff  RAM reported as reserved; ACPI tables from 0xe0000
 *   0x000100000 - low top      RAM
 *   0x0c0000000 - 0x0dfffffff  32-bit PCI window
 *   0x0e0000000 - 0x0efffffff  PCI Express configuration (ECAM)
 *   0x0fec00000, 0x0fee00000   IOAPIC, local APICs
 *   0x100000000 - high top     RAM
 *   then, 1 GiB aligned        64-bit PCI window
 */
enum { MEM_BASE_END = 0x9fc00, MEM_HIGH_AT = 0x100000, ACPI_AT = 0xe0000, ACPI_SIZE = 0x10000 };
#define LOW_TOP_MAX UINT64_C(0xc0000000)
#define PCI32_AT 0xc0000000u
#define PCI32_SIZE 0x20000000u
#define ECAM_AT UINT64_C(0xe0000000)
#define PCI64_SIZE (16 * GIB)

enum { PCI_BUSES = 256, PCI_LINES = 4, PCI_GSI = 16, PCI_IO_AT = 0xd000, PCI_IO_SIZE = 0x2000 };

enum { S5_TYPE = 5 };
/* 0xcf9 is a PC's reset register; with PCI the host bridge has it, and ACPI names the power management's own. */
enum { PORT_RESET = 0xcf9 };

/* ---- memory ---- */

static void map_add(struct boot_layout *l, uint64_t addr, uint64_t end, enum e820_type type)
{
	if (end > addr)
		l->map[l->map_count++] = (struct e820){ .addr = addr, .size = end - addr, .type = type };
}

static int add_memory(struct board *b, const struct board_config *cfg, struct err *e)
{
	uint64_t low = cfg->memory < LOW_TOP_MAX ? cfg->memory : LOW_TOP_MAX, high = cfg->memory - low;
	int ret = board_add_ram(b, cfg, low, e);

	map_add(&b->layout, 0, MEM_BASE_END, E820_RAM);
	map_add(&b->layout, MEM_BASE_END, MEM_HIGH_AT, E820_RESERVED);
	map_add(&b->layout, MEM_HIGH_AT, low, E820_RAM);
	map_add(&b->layout, ECAM_AT, ECAM_AT + 0x10000000, E820_RESERVED);
	map_add(&b->layout, GIB4, GIB4 + high, E820_RAM);
	return ret;
}

/* ---- the few legacy parts that guests look for ---- */

static int add_legacy(struct board *b, const struct board_config *cfg, struct err *e)
{
	struct vm *vm = b->vm;
	struct pm_config pc = { .timers = vm->timers,
				.s5_type = S5_TYPE,
				.sci = gsi_isa(&b->gsi, IRQ_SCI),
				.reset_port = cfg->transport == BOARD_PCI ? 0 : PORT_RESET };
	int ret = pm_create(vm, pc, &b->pm, e);

	if (ret == 0)
		ret = board_add_rtc(b, cfg, e);
	if (ret == 0)
		ret = i8042_create(vm, (struct i8042_config){ .irq = gsi_isa(&b->gsi, 1) }, e);
	if (ret == 0)
		ret = board_add_reports(b, e);
	if (ret == 0)
		ret = board_serials_create(&b->serial, vm, &b->gsi, cfg->serial, cfg->serial_count, e);
	return ret;
}

/* ---- PCI and virtio ---- */

static int add_pci(struct board *b, const struct board_config *cfg, struct err *e)
{
	struct pci_host_config hc = { .ecam_addr = ECAM_AT, .ecam_buses = PCI_BUSES, .msi = b->msi };
	uint64_t high = cfg->memory - b->layout.low_top;

	for (unsigned n = 0; n < PCI_LINES; n++)
		hc.intx[n] = gsi_wire(&b->gsi, PCI_GSI + n);
	b->windows = (struct pci_windows){
		.mem32_addr = PCI32_AT,
		.mem32_size = PCI32_SIZE,
		.mem64_addr = round_up(GIB4 + high, GIB),
		.mem64_size = PCI64_SIZE,
		.port_addr = PCI_IO_AT,
		.port_size = PCI_IO_SIZE,
		.line_gsi = { PCI_GSI, PCI_GSI + 1, PCI_GSI + 2, PCI_GSI + 3 },
	};
	return pci_host_create(b->vm, &hc, &b->virtio.bus, e);
}

static int add_virtio(struct board *b, struct board_config *cfg, struct err *e)
{
	int ret = cfg->transport == BOARD_PCI ? add_pci(b, cfg, e) : 0;

	if (ret == 0 && b->virtio.bus)
		ret = board_bridges_add(&b->virtio.bridges, b->vm, b->virtio.bus, cfg, &b->virtio.slots_used, e);
	if (ret == 0)
		ret = board_usb_add(b, cfg, e);
	return ret < 0 ? ret : board_add_virtio(b, cfg, e);
}

/* ---- ACPI ---- */

static void describe_pci(struct board *b)
{
	b->acpi.ecam_base = ECAM_AT;
	b->acpi.bus_last = PCI_BUSES - 1;
	b->acpi.mem32_base = PCI32_AT;
	b->acpi.mem32_size = PCI32_SIZE;
	b->acpi.mem64_base = b->windows.mem64_addr;
	b->acpi.mem64_size = PCI64_SIZE;
	b->acpi.pci_io = true;
	for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++)
		for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++)
			b->acpi.pci_gsi[slot][pin] = (uint8_t)(PCI_GSI + (slot + pin) % PCI_LINES);
}

static void describe(struct board *b, const struct board_config *cfg)
{
	board_describe(b, cfg, PM_DEFAULT_BASE);
	b->acpi.base = ACPI_AT;
	b->acpi.size = ACPI_SIZE;
	b->acpi.reset_port = PM_DEFAULT_BASE + PM_RESET;
	b->acpi.s5_type = S5_TYPE;
	if (b->virtio.bus)
		describe_pci(b);
	board_virtio_describe(&b->virtio, &b->acpi);
}

/* ---- start and reset ---- */

/* IA32_MTRR_DEF_TYPE as firmware would leave it: MTRRs on, memory is write-back (SDM 3A 12.11.2.1). Without it Linux
 * leaves the PAT alone. */
enum { MTRR_ENABLED_WRITE_BACK = 0xc06 };

/* The boot processor begins in the kernel. */
static int enter(struct board *b, unsigned n, struct x86_state *s, struct err *e)
{
	s->mtrr_def = MTRR_ENABLED_WRITE_BACK;
	return n == 0 ? boot_install(b->boot, b->vm->mem, &b->layout, s, e) : 0;
}

static int reset(void *opaque, struct err *e)
{
	struct board *b = opaque;
	int ret = acpi_build(b->vm->mem, &b->acpi, &b->layout.rsdp, e);

	if (ret == 0 && b->virtio.bus)
		ret = pci_host_assign(b->virtio.bus, &b->windows, e);
	return ret < 0 ? ret : board_reset_cpus(b, enter, e);
}

static int build(struct board *b, struct board_config *cfg, struct err *e)
{
	int ret = add_memory(b, cfg, e);

	if (ret == 0)
		ret = board_add_cpus(b, cfg, e);
	if (ret == 0)
		ret = board_add_interrupts(b, e);
	if (ret == 0)
		ret = add_legacy(b, cfg, e);
	if (ret == 0)
		ret = add_virtio(b, cfg, e);
	if (ret < 0)
		return ret;
	describe(b, cfg);
	b->vm->board_reset = reset;
	b->vm->board = b;
	return 0;
}

int board_micro_create(struct vm *vm, struct board_config *cfg, struct board **out, struct err *e)
{
	struct board *b = calloc(1, sizeof(*b));
	int ret = b ? board_base_attach(b, vm, cfg, e) : err_set(e, -ENOMEM, "out of memory");

	if (ret == 0)
		ret = build(b, cfg, e);
	if (ret == 0)
		*out = b;
	return ret;
}
