/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables of a machine: RSDP, XSDT, RSDT, FADT, FACS, DSDT, MADT, and MCFG, HPET, SRAT, SLIT, HMAT and WAET where
 * they apply. Every address and interrupt comes from the board; nothing is assumed here.
 */
#ifndef PANAL_ARCH_X86_ACPI_ACPI_H
#define PANAL_ARCH_X86_ACPI_ACPI_H

#include "base/err.h"

struct gmem;
struct numa;

enum {
	ACPI_SERIAL_MAX = 4, ACPI_VIRTIO_MAX = 32, ACPI_CPU_MAX = 255, ACPI_PCI_SLOTS = 32, ACPI_PCI_PINS = 4,
};

struct acpi_config {
	/* where the tables go: RAM that the board's memory map reports as reserved. The RSDP is at the start (16-byte
	 * aligned; between 0xe0000 and 0xfffff a guest without boot protocol finds it). */
	uint64_t base;
	uint32_t size;

	/* processors and interrupt controllers */
	unsigned cpus;
	const uint32_t *apic_id; /* one each */
	uint32_t lapic_base;     /* 0xfee00000 */
	uint32_t ioapic_base;    /* 0xfec00000 */
	uint8_t ioapic_id;
	bool pic;                /* a PC's pair of 8259 is there */
	bool timer_on_pin2;      /* ISA interrupt 0 is IOAPIC pin 2 */

	/* fixed hardware; see arch/x86/pm.h for what pm_create puts where */
	uint16_t pm_event, pm_control, pm_timer, gpe0; /* ports */
	uint8_t gpe0_len;                              /* bytes, 0: none */
	uint16_t reset_port;                           /* 0: no reset register */
	uint8_t reset_value;
	uint8_t s3_type; /* 0: no sleep to RAM */
	uint8_t s4_type; /* 0: no hibernation */
	uint8_t s5_type;
	uint8_t sci; /* ISA interrupt and GSI, level-triggered, active high */

	/* legacy devices; port 0: absent */
	struct {
		uint16_t port;
		uint8_t irq;
	} serial[ACPI_SERIAL_MAX];
	bool rtc;      /* at 0x70 with interrupt 8 */
	bool i8042;    /* at 0x60, 0x64 with interrupt 1 */
	bool mouse;    /* on the i8042, with interrupt 12 */
	bool vga;
	bool floppy;   /* the controller, with interrupt 6 and DMA channel 2 */
	struct {
		uint16_t port;
		uint8_t irq;
	} parallel;
	uint16_t fw_cfg_port; /* 12 of them */
	uint32_t hpet_base; /* 0: none */
	uint32_t hpet_id;
	uint16_t pvpanic_port;

	/* The VM generation ID: the fw_cfg file with its page, which the ID is in at generation_offset, the file
	 * for its address,
	 * the event that tells of a change. NULL: none. Only with acpi_build_files. */
	const char *generation_file, *generation_address_file;
	uint32_t generation_offset;
	uint8_t generation_gpe;

	const struct numa *numa; /* NULL: none; low_top: where RAM below 4 GiB ends */
	uint64_t low_top;

	/* PCI Express host bridge; ecam_base 0: no PCI */
	uint64_t ecam_base;
	uint8_t bus_first, bus_last;
	uint32_t mem32_base, mem32_size;
	uint32_t mem32_more_base, mem32_more_size; /* a second window; size 0: none */
	uint64_t mem64_base, mem64_size; /* size 0: none */
	bool ide;                        /* PCI also answers at the two IDE channels' ports */
	bool pci_io;                     /* I/O ports 0xd00-0xffff go to PCI, 0xcf8-0xcff is its configuration */
	uint8_t pci_gsi[ACPI_PCI_SLOTS][ACPI_PCI_PINS]; /* INTA-INTD of each slot of the root bus; level, active high */

	/* virtio over MMIO, interrupts level, active high */
	unsigned virtio_count;
	struct {
		uint32_t base, size;
		uint8_t gsi;
	} virtio[ACPI_VIRTIO_MAX];
};

/* The wiring of pci_gsi that boards use: pins 16-23 in turn. */
static inline unsigned acpi_pci_gsi(unsigned slot, unsigned pin)
{
	return 16 + ((slot + pin) & 7);
}

/*
 * For firmware that places the tables itself (fw_cfg's files of these names, QEMU's linker/loader interface): the
 * tables as if they lay at 0, the RSDP apart, and the commands that place and link them. cfg->base is 0, cfg->size the
 * most that the tables may need.
 */
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"
struct acpi_files {
	uint8_t *tables, *loader; /* malloc'ed, the caller frees */
	size_t tables_len, loader_len;
	uint8_t rsdp[36];
};
/* Errors as acpi_build's. */
int acpi_build_files(const struct acpi_config *cfg, struct acpi_files *out, struct err *e) ATTR_MUST_USE;

/* Builds the tables in guest memory. Errors: -EINVAL (a configuration that contradicts itself), -ENOSPC (size too
 * small), -EFAULT (base is not RAM), -ENOMEM. */
int acpi_build(struct gmem *mem, const struct acpi_config *cfg, uint64_t *rsdp_gpa, struct err *e) ATTR_MUST_USE;

#endif
