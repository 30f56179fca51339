/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/acpi/dsdt.h"

#include "base/bytes.h"

#include <stdio.h>

/* PCI host bridge control that the operating system may take: hot plug, PME, AER, the capability structure. */
enum { OSC_GRANTED = 0x1d, OSC_UNKNOWN_UUID = 4 };

/* 33DB4D5B-1FF7-401C-9657-7441C03DD766 (PCI Firmware Specification 3.2, 4.5.1), in memory order. */
static const uint8_t osc_uuid[16] = {
	0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66,
};

static void dword_field(struct aml *a, unsigned at, const char *name)
{
	aml_byte(a, AML_CREATE_DWORD_FIELD);
	aml_byte(a, AML_ARG0 + 3);
	aml_int(a, at);
	aml_path(a, name);
}

/* target = target op value */
static void update(struct aml *a, uint8_t op, const char *target, uint32_t value)
{
	aml_byte(a, op);
	aml_path(a, target);
	aml_int(a, value);
	aml_path(a, target);
}

static void return_arg3(struct aml *a)
{
	aml_byte(a, AML_RETURN);
	aml_byte(a, AML_ARG0 + 3);
}

static void pci_osc(struct aml *a)
{
	aml_method(a, "_OSC", 4, true);
	dword_field(a, 0, "CDW1");
	aml_if(a);
	aml_byte(a, AML_EQUAL);
	aml_byte(a, AML_ARG0);
	aml_buffer(a, osc_uuid, sizeof(osc_uuid));
	dword_field(a, 8, "CDW3");
	update(a, AML_AND, "CDW3", OSC_GRANTED);
	aml_end(a);
	aml_else(a);
	update(a, AML_OR, "CDW1", OSC_UNKNOWN_UUID);
	aml_end(a);
	return_arg3(a);
	aml_end(a);
}

static void pci_routes(struct aml *a, const struct acpi_config *cfg)
{
	aml_name(a, "_PRT");
	aml_package(a, ACPI_PCI_SLOTS * ACPI_PCI_PINS);
	for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++) {
			aml_package(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_int(a, 0);
			aml_int(a, cfg->pci_gsi[slot][pin]);
			aml_end(a);
		}
	}
	aml_end(a);
}

static void pci_windows(struct aml *a, const struct acpi_config *cfg)
{
	aml_resources(a, "_CRS");
	aml_res_bus_window(a, cfg->bus_first, cfg->bus_last);
	if (cfg->pci_io) {
		aml_res_io(a, 0xcf8, 8);
		aml_res_io_window(a, 0x0d00, 0xffff);
	}
	if (cfg->ide) {
		aml_res_io_window(a, 0x0170, 0x0177);
		aml_res_io_window(a, 0x01f0, 0x01f7);
		aml_res_io_window(a, 0x0374, 0x0377); /* Linux takes no window of one port */
		aml_res_io_window(a, 0x03f4, 0x03f7);
	}
	if (cfg->vga) {
		aml_res_io_window(a, 0x03b0, 0x03df);
		aml_res_memory32_window(a, 0xa0000, 0x20000);
	}
	if (cfg->mem32_size)
		aml_res_memory32_window(a, cfg->mem32_base, cfg->mem32_size);
	if (cfg->mem32_more_size)
		aml_res_memory32_window(a, cfg->mem32_more_base, cfg->mem32_more_size);
	if (cfg->mem64_size)
		aml_res_memory64_window(a, cfg->mem64_base, cfg->mem64_size);
	aml_resources_end(a);
}

static void pci_host(struct aml *a, const struct acpi_config *cfg)
{
	aml_device(a, "PCI0");
	aml_name_eisa_id(a, "_HID", "PNP0A08");
	aml_name_eisa_id(a, "_CID", "PNP0A03");
	aml_name_int(a, "_UID", 0);
	aml_name_int(a, "_SEG", 0);
	aml_name_int(a, "_BBN", cfg->bus_first);
	aml_name_int(a, "_CCA", 1);
	pci_windows(a, cfg);
	pci_routes(a, cfg);
	pci_osc(a);
	aml_end(a);
	/* Operating systems trust MCFG only where the range is reserved (PCI Firmware Specification 4.1.2). */
	aml_device(a, "ECAM");
	aml_name_eisa_id(a, "_HID", "PNP0C02");
	aml_name_int(a, "_UID", 1);
	aml_resources(a, "_CRS");
	uint32_t size = (cfg->bus_last - cfg->bus_first + 1u) << 20;
	aml_res_memory32(a, cfg->ecam_base + ((uint64_t)cfg->bus_first << 20), size);
	aml_resources_end(a);
	aml_end(a);
}

/* Ports of the fixed hardware, so that nothing else is put there. */
static void fixed_ports(struct aml *a, const struct acpi_config *cfg)
{
	aml_device(a, "FIXD");
	aml_name_eisa_id(a, "_HID", "PNP0C02");
	aml_name_int(a, "_UID", 2);
	aml_resources(a, "_CRS");
	aml_res_io(a, cfg->pm_event, 4);
	aml_res_io(a, cfg->pm_control, 2);
	aml_res_io(a, cfg->pm_timer, 4);
	if (cfg->gpe0_len)
		aml_res_io(a, cfg->gpe0, cfg->gpe0_len);
	aml_resources_end(a);
	aml_end(a);
}

static void serial_port(struct aml *a, unsigned n, uint16_t port, uint8_t irq)
{
	char name[8];
	snprintf(name, sizeof(name), "COM%u", n + 1);
	aml_device(a, name);
	aml_name_eisa_id(a, "_HID", "PNP0501");
	aml_name_int(a, "_UID", n + 1);
	aml_resources(a, "_CRS");
	aml_res_io(a, port, 8);
	aml_res_irq(a, irq);
	aml_resources_end(a);
	aml_end(a);
}

static void parallel_port(struct aml *a, uint16_t port, uint8_t irq)
{
	aml_device(a, "LPT1");
	aml_name_eisa_id(a, "_HID", "PNP0400");
	aml_name_int(a, "_UID", 1);
	aml_resources(a, "_CRS");
	aml_res_io(a, port, 8);
	aml_res_irq(a, irq);
	aml_resources_end(a);
	aml_end(a);
}

static void floppy(struct aml *a)
{
	aml_device(a, "FDC0");
	aml_name_eisa_id(a, "_HID", "PNP0700");
	aml_resources(a, "_CRS");
	aml_res_io(a, 0x3f2, 4);
	aml_res_io(a, 0x3f7, 1);
	aml_res_irq(a, 6);
	aml_res_dma(a, 2);
	aml_resources_end(a);
	aml_end(a);
}

static void fw_cfg(struct aml *a, uint16_t port)
{
	aml_device(a, "FWCF");
	aml_name_string(a, "_HID", "QEMU0002");
	aml_name_int(a, "_STA", 0x0b); /* there, but nothing for a person to see */
	aml_resources(a, "_CRS");
	aml_res_io(a, port, 12);
	aml_resources_end(a);
	aml_end(a);
}

/* Where the ID lies, for firmware to fill in: outside of all that has a length, which would move it. */
static size_t generation_address(struct aml *a, const struct acpi_config *cfg)
{
	uint8_t offset[4];

	store_le32(offset, cfg->generation_offset);
	aml_name(a, "VGIA");
	aml_byte(a, AML_DWORD);
	aml_bytes(a, offset, sizeof(offset));
	return a->len - sizeof(offset);
}

/* Local0 [index] = name, or 0 */
static void into_local0(struct aml *a, const char *name, unsigned index)
{
	aml_byte(a, AML_STORE);
	if (name)
		aml_path(a, name);
	else
		aml_int(a, 0);
	aml_byte(a, AML_INDEX);
	aml_byte(a, AML_LOCAL0);
	aml_int(a, index);
	aml_byte(a, AML_ZERO); /* no target */
}

/* "Virtual Machine Generation ID" (Microsoft, 2012): the name to be found by, and the address in two halves. */
static void generation(struct aml *a)
{
	aml_device(a, "VGEN");
	aml_name_string(a, "_HID", "PNAL0001");
	aml_name_string(a, "_CID", "VM_Gen_Counter");
	aml_name_string(a, "_DDN", "VM_Gen_Counter");
	aml_method(a, "ADDR", 0, true);
	aml_byte(a, AML_STORE);
	aml_package(a, 2);
	aml_end(a);
	aml_byte(a, AML_LOCAL0);
	into_local0(a, "VGIA", 0);
	into_local0(a, NULL, 1);
	aml_byte(a, AML_RETURN);
	aml_byte(a, AML_LOCAL0);
	aml_end(a);
	aml_end(a);
}

static void generation_event(struct aml *a, uint8_t gpe)
{
	char name[8];

	snprintf(name, sizeof(name), "_E%02X", gpe);
	aml_scope(a, "_GPE");
	aml_method(a, name, 0, false);
	aml_byte(a, AML_NOTIFY);
	aml_path(a, "\\_SB.VGEN");
	aml_int(a, 0x80);
	aml_end(a);
	aml_end(a);
}

static void legacy(struct aml *a, const struct acpi_config *cfg)
{
	for (unsigned n = 0; n < ACPI_SERIAL_MAX; n++)
		if (cfg->serial[n].port)
			serial_port(a, n, cfg->serial[n].port, cfg->serial[n].irq);
	if (cfg->parallel.port)
		parallel_port(a, cfg->parallel.port, cfg->parallel.irq);
	if (cfg->floppy)
		floppy(a);
	if (cfg->fw_cfg_port)
		fw_cfg(a, cfg->fw_cfg_port);
	if (cfg->rtc) {
		aml_device(a, "RTC");
		aml_name_eisa_id(a, "_HID", "PNP0B00");
		aml_resources(a, "_CRS");
		aml_res_io(a, 0x70, 2);
		aml_res_irq(a, 8);
		aml_resources_end(a);
		aml_end(a);
	}
	if (cfg->hpet_base) {
		aml_device(a, "HPET");
		aml_name_eisa_id(a, "_HID", "PNP0103");
		aml_resources(a, "_CRS");
		aml_res_memory32(a, cfg->hpet_base, 0x400);
		aml_resources_end(a);
		aml_end(a);
	}
	if (cfg->i8042) {
		aml_device(a, "KBD");
		aml_name_eisa_id(a, "_HID", "PNP0303");
		aml_resources(a, "_CRS");
		aml_res_io(a, 0x60, 1);
		aml_res_io(a, 0x64, 1);
		aml_res_irq(a, 1);
		aml_resources_end(a);
		aml_end(a);
	}
	if (cfg->mouse) {
		aml_device(a, "MOU");
		aml_name_eisa_id(a, "_HID", "PNP0F13");
		aml_resources(a, "_CRS");
		aml_res_irq(a, 12);
		aml_resources_end(a);
		aml_end(a);
	}
	if (cfg->pvpanic_port) {
		aml_device(a, "PEVT");
		aml_name_string(a, "_HID", "QEMU0001");
		aml_resources(a, "_CRS");
		aml_res_io(a, cfg->pvpanic_port, 1);
		aml_resources_end(a);
		aml_end(a);
	}
}

static void virtio_device(struct aml *a, const struct acpi_config *cfg, unsigned n)
{
	char name[8];
	snprintf(name, sizeof(name), "VR%02X", n & 0xff);
	aml_device(a, name);
	aml_name_string(a, "_HID", "LNRO0005");
	aml_name_int(a, "_UID", n);
	aml_name_int(a, "_CCA", 1);
	aml_resources(a, "_CRS");
	aml_res_memory32(a, cfg->virtio[n].base, cfg->virtio[n].size);
	aml_res_interrupt(a, cfg->virtio[n].gsi, true, false, false);
	aml_resources_end(a);
	aml_end(a);
}

static void processor(struct aml *a, unsigned n)
{
	char name[8];
	snprintf(name, sizeof(name), "C%03X", n & 0xfff);
	aml_device(a, name);
	aml_name_string(a, "_HID", "ACPI0007");
	aml_name_int(a, "_UID", n);
	aml_end(a);
}

static void sleep_state(struct aml *a, const char *name, uint8_t type)
{
	aml_name(a, name);
	aml_package(a, 4);
	aml_int(a, type);
	aml_int(a, type);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a);
}

size_t dsdt_write(struct aml *a, const struct acpi_config *cfg)
{
	size_t at = cfg->generation_file ? generation_address(a, cfg) : 0;

	if (cfg->s3_type)
		sleep_state(a, "_S3", cfg->s3_type);
	if (cfg->s4_type)
		sleep_state(a, "_S4", cfg->s4_type);
	sleep_state(a, "_S5", cfg->s5_type);
	aml_scope(a, "_SB");
	for (unsigned n = 0; n < cfg->cpus; n++)
		processor(a, n);
	if (cfg->ecam_base)
		pci_host(a, cfg);
	fixed_ports(a, cfg);
	legacy(a, cfg);
	for (unsigned n = 0; n < cfg->virtio_count; n++)
		virtio_device(a, cfg, n);
	if (cfg->generation_file)
		generation(a);
	aml_end(a);
	if (cfg->generation_file)
		generation_event(a, cfg->generation_gpe);
	return at;
}
