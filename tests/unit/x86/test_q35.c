/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of a Q35 that firmware meets: memory controller hub, LPC bridge, fw_cfg, port 0x92. */
#include "rig.h"

#include "arch/x86/gsi.h"
#include "arch/x86/lpc.h"
#include "arch/x86/mch.h"
#include "arch/x86/pm.h"
#include "arch/x86/port92.h"
#include "base/bytes.h"
#include "arch/x86/vmgenid.h"
#include "devices/legacy/fw_cfg.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

enum { LPC = 0x1f << 11 };

struct fix {
	struct rig r;
	struct gsi gsi;
	struct wire pic[GSI_ISA], ioapic[GSI_COUNT], sci;
	struct pm *pm;
	struct lpc *lpc;
	struct pci_bus *bus;
	struct pci_dev dev; /* a function in slot 3 with a pin */
	struct fw_cfg *fc;
};

static int up(void **state)
{
	static struct fix f;
	struct pci_host_config hc = {.fixed_slots = 25};
	f = (struct fix){0};
	rig_up(&f.r, 0);
	assert_int_equal(gmem_add_ram(f.r.vm->mem, 0, 1 << 20, "ram", false, NULL), 0);
	for (unsigned n = 0; n < GSI_COUNT; n++)
		f.gsi.ioapic[n] = rig_wire(&f.ioapic[n]);
	for (unsigned n = 0; n < GSI_ISA; n++)
		f.gsi.pic[n] = rig_wire(&f.pic[n]);
	struct pm_config pc = {.timers = f.r.timers, .sci = rig_wire(&f.sci), .base = PM_NOWHERE};
	assert_int_equal(pm_create(f.r.vm, pc, &f.pm, NULL), 0);
	assert_int_equal(lpc_create(f.r.vm, (struct lpc_config){.gsi = &f.gsi, .pm = f.pm}, &f.lpc, NULL), 0);
	for (unsigned n = 0; n < LPC_LINES; n++)
		hc.intx[n] = lpc_line(f.lpc, n);
	assert_int_equal(pci_host_create(f.r.vm, &hc, &f.bus, NULL), 0);
	assert_int_equal(lpc_attach(f.lpc, f.bus, NULL), 0);
	assert_int_equal(mch_create(f.r.vm, f.bus, NULL), 0);
	assert_int_equal(port92_create(f.r.vm, NULL), 0);
	assert_int_equal(fw_cfg_create(f.r.vm, &f.fc, NULL), 0);
	struct pci_ident id = {.vendor = 0x1234, .device = 0x5678, .int_pin = 1};
	assert_int_equal(pci_dev_attach(&f.dev, f.bus, 3, 0, "test", &id, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	pci_dev_detach(&f->dev);
	rig_down(&f->r);
	return 0;
}

static void config(struct fix *f, uint32_t at, unsigned width, uint32_t value)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | (at & ~3u));
	rig_out(&f->r, 0xcfc + (at & 3), width, value);
}

static uint32_t config_of(struct fix *f, uint32_t at, unsigned width)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | (at & ~3u));
	return (uint32_t)rig_in(&f->r, 0xcfc + (at & 3), width);
}

static void ecam_is_where_pciexbar_says(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_load(&f->r, 0xb0000000, 4), 0xffffffff);
	config(f, 0x60, 4, 0xb0000001);
	assert_int_equal(rig_load(&f->r, 0xb0000000, 4), 0x29c08086);
	assert_int_equal(rig_load(&f->r, 0xb0000000 + (3 << 15), 4), 0x56781234);
	config(f, 0x60, 4, 0xe0000001);
	assert_int_equal(rig_load(&f->r, 0xb0000000, 4), 0xffffffff);
	assert_int_equal(rig_load(&f->r, 0xe0000000, 4), 0x29c08086);
	config(f, 0x60, 4, 0xe4000005); /* 64 MiB at a place that 256 MiB could not have */
	assert_int_equal(rig_load(&f->r, 0xe4000000, 4), 0x29c08086);
	rig_reset(&f->r, "pci-host0");
	assert_int_equal(rig_load(&f->r, 0xe4000000, 4), 0xffffffff);
}

static void pam_keeps_what_is_written(void **state)
{
	struct fix *f = *state;
	config(f, 0x90, 1, 0xff);
	config(f, 0x91, 1, 0xff);
	assert_int_equal(config_of(f, 0x90, 1), 0x30);
	assert_int_equal(config_of(f, 0x91, 1), 0x33);
}

/* What each mode of PAM has where, for parts below and above 0xe0000, by what accelerators do not map. */
static void pam_shows_ram_and_rom(void **state)
{
	struct fix *f = *state;
	struct gmem *mem = f->r.vm->mem;
	static const uint8_t bios[4] = {1, 2, 3, 4}, ram[4] = {5, 6, 7, 8};
	uint8_t got[4];
	assert_int_equal(gmem_add_rom(mem, 0xfffe0000, 0x20000, "firmware", NULL), 0);
	assert_int_equal(gmem_load_rom(mem, 0xffff8000, bios, 4), 0);
	assert_int_equal(gmem_write(mem, 0xf8000, ram, 4), 0);
	assert_int_equal(gmem_write(mem, 0xc4000, ram, 4), 0);
	assert_int_equal(gmem_shadow(mem, 0xf8000), 0);
	assert_int_equal(rig_load(&f->r, 0xf8000, 4), 0x04030201);
	assert_int_equal(rig_load(&f->r, 0xc4000, 4), 0xffffffff);
	rig_store(&f->r, 0xf8000, 4, 0);
	config(f, 0x90, 1, 0x10);
	assert_int_equal(gmem_shadow(mem, 0xf8000), GMEM_SHADOW_READ);
	assert_int_equal(gmem_shadow(mem, 0xeffff), 0);
	assert_int_equal(rig_load(&f->r, 0xf8000, 4), 0x08070605);
	rig_store(&f->r, 0xf8000, 4, 0);
	assert_int_equal(rig_load(&f->r, 0xf8000, 4), 0x08070605);
	config(f, 0x91, 1, 0x20); /* the second part of 0xc0000: written alone */
	assert_int_equal(gmem_shadow(mem, 0xc0000), 0);
	assert_int_equal(gmem_shadow(mem, 0xc4000), GMEM_SHADOW_WRITE);
	rig_store(&f->r, 0xc4000, 4, 0x0c0b0a09);
	assert_int_equal(rig_load(&f->r, 0xc4000, 4), 0xffffffff);
	assert_int_equal(gmem_read(mem, 0xc4000, got, 4), 0);
	assert_int_equal(got[3], 0x0c);
	config(f, 0x91, 1, 0x30);
	assert_int_equal(rig_load(&f->r, 0xc4000, 4), 0x0c0b0a09);
	f->r.vm->waking = true; /* out of S3 all stays */
	rig_reset(&f->r, "pci-host0");
	assert_int_equal(config_of(f, 0x90, 1), 0x10);
	f->r.vm->waking = false;
	rig_reset(&f->r, "pci-host0");
	assert_int_equal(gmem_shadow(mem, 0xc4000), 0);
	config(f, 0x92, 1, 0x11);
	rig_state_round_trip(&f->r, "pci-host0");
	assert_int_equal(gmem_shadow(mem, 0xc8000), GMEM_SHADOW_READ);
}

static void pirq_routes_a_pin_to_the_pics(void **state)
{
	struct fix *f = *state;
	pci_intx(&f->dev, true); /* slot 3, INTA: line D */
	assert_true(f->ioapic[19].level);
	for (unsigned n = 0; n < GSI_ISA; n++)
		assert_false(f->pic[n].level);
	config(f, LPC + 0x63, 1, 11);
	assert_true(f->pic[11].level);
	config(f, LPC + 0x63, 1, 10);
	assert_false(f->pic[11].level);
	assert_true(f->pic[10].level);
	config(f, LPC + 0x62, 1, 10); /* a second line on the same input */
	pci_intx(&f->dev, false);
	assert_false(f->pic[10].level);
	assert_false(f->ioapic[19].level);
}

static void slots_from_25_do_not_turn(void **state)
{
	struct fix *f = *state;
	assert_int_equal(pci_line_of(f->bus, 24, 1), 0);
	assert_int_equal(pci_line_of(f->bus, 23, 1), 3);
	assert_int_equal(pci_line_of(f->bus, 25, 1), 0);
	assert_int_equal(pci_line_of(f->bus, 31, 2), 1);
}

static void acpi_registers_follow_pmbase(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_in(&f->r, 0x604, 2), 0xffff);
	config(f, LPC + 0x40, 4, 0x601);
	assert_int_equal(rig_in(&f->r, 0x604, 2), 0xffff); /* not on yet */
	config(f, LPC + 0x44, 1, 0x80);
	assert_int_equal(rig_in(&f->r, 0x604, 2), 1);
	assert_int_equal(rig_in(&f->r, 0x630, 4) & 0x20, 0x20); /* SMM is the firmware's no more */
	config(f, LPC + 0x40, 4, 0xb01);
	assert_int_equal(rig_in(&f->r, 0xb04, 2), 1);
	assert_int_equal(rig_in(&f->r, 0x604, 2), 0xffff);
}

static void chipset_window_keeps_bytes(void **state)
{
	struct fix *f = *state;
	config(f, LPC + 0xf0, 4, 0xfed1c001);
	rig_store(&f->r, 0xfed1c000 + 0x3140, 2, 0x1234);
	assert_int_equal(rig_load(&f->r, 0xfed1c000 + 0x3140, 4), 0x1234);
	assert_int_equal(rig_load(&f->r, 0xfed1c000 + 0x3fff, 4) & 0xff, 0);
	config(f, LPC + 0xf0, 4, 0);
	assert_int_equal(rig_load(&f->r, 0xfed1c000, 4), 0xffffffff);
}

static void port92_resets(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_in(&f->r, 0x92, 1), 2);
	rig_out(&f->r, 0x92, 1, 0);
	assert_int_equal(rig_in(&f->r, 0x92, 1), 0);
	assert_false(rig_requested(&f->r, VM_REQUEST_RESET));
	rig_out(&f->r, 0x92, 1, 1);
	assert_true(rig_requested(&f->r, VM_REQUEST_RESET));
}

/* ---- fw_cfg ---- */

static uint32_t read_item(struct fix *f, uint16_t key, uint8_t *out, unsigned len)
{
	rig_out(&f->r, 0x510, 2, key);
	for (unsigned n = 0; n < len; n++)
		out[n] = (uint8_t)rig_in(&f->r, 0x511, 1);
	return len;
}

static void fw_cfg_items_read_by_port(void **state)
{
	struct fix *f = *state;
	uint8_t b[6];
	read_item(f, 0, b, 6);
	assert_memory_equal(b, "QEMU\0\0", 6); /* zeros past the end */
	read_item(f, 1, b, 4);
	assert_int_equal(load_le32(b), 3);
	assert_int_equal(fw_cfg_add_int(f->fc, FW_CFG_NB_CPUS, 2, 2, NULL), 0);
	assert_int_equal(fw_cfg_add_int(f->fc, FW_CFG_NB_CPUS, 4, 2, NULL), 0);
	read_item(f, FW_CFG_NB_CPUS, b, 3);
	assert_int_equal(load_le16(b), 4);
	assert_int_equal(b[2], 0);
}

static void fw_cfg_lists_files(void **state)
{
	struct fix *f = *state;
	uint8_t b[4 + 64];
	assert_int_equal(fw_cfg_add_file(f->fc, "etc/e820", "hello", 5, NULL), 0);
	read_item(f, 0x19, b, sizeof(b));
	assert_int_equal(load_be32(b), 1);
	assert_int_equal(load_be32(b + 4), 5);
	assert_string_equal((char *)b + 12, "etc/e820");
	read_item(f, load_be16(b + 8), b, 5);
	assert_memory_equal(b, "hello", 5);
	static const char long_name[] = "a name of fifty-six bytes is one byte longer than it may";
	assert_int_equal(fw_cfg_add_file(f->fc, long_name, "", 0, NULL), -EINVAL);
}

static uint32_t dma(struct fix *f, uint32_t control, uint32_t len, uint64_t addr)
{
	uint8_t c[16];
	store_be32(c, control);
	store_be32(c + 4, len);
	store_be64(c + 8, addr);
	assert_int_equal(gmem_write(f->r.vm->mem, 0x100, c, sizeof(c)), 0);
	rig_out(&f->r, 0x514, 4, 0);
	rig_out(&f->r, 0x518, 4, __builtin_bswap32(0x100));
	assert_int_equal(gmem_read(f->r.vm->mem, 0x100, c, 4), 0);
	return load_be32(c);
}

static void fw_cfg_dma_reads_skips_and_refuses(void **state)
{
	struct fix *f = *state;
	uint8_t b[8];
	assert_int_equal(__builtin_bswap32((uint32_t)rig_in(&f->r, 0x514, 4)), 0x51454d55);
	assert_int_equal(fw_cfg_add(f->fc, FW_CFG_CMDLINE_DATA, "abcdef", 6, NULL), 0);
	assert_int_equal(dma(f, FW_CFG_CMDLINE_DATA << 16 | 8 | 4, 2, 0), 0);
	assert_int_equal(gmem_fill(f->r.vm->mem, 0x200, 0xff, 8), 0);
	assert_int_equal(dma(f, 2, 6, 0x200), 0);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x200, b, 8), 0);
	assert_memory_equal(b, "cdef\0\0\xff\xff", 8);
	assert_int_equal(dma(f, FW_CFG_CMDLINE_DATA << 16 | 8 | 2, 6, UINT64_C(1) << 40), 1);
	assert_int_equal(dma(f, FW_CFG_CMDLINE_DATA << 16 | 8 | 16, 6, 0x200), 1); /* read-only */
	assert_int_equal(dma(f, FW_CFG_CMDLINE_DATA << 16 | 8 | 4, 0xffffffff, 0), 0);
	assert_int_equal(dma(f, 4, 0xffffffff, 0), 0);
	assert_int_equal(rig_in(&f->r, 0x511, 1), 0);
}

static void generation_id_goes_where_firmware_says(void **state)
{
	static const uint8_t id[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	static const uint8_t guid[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	static const uint8_t other[16] = {0xff, 0xee};
	struct fix *f = *state;
	struct vmgenid_config vc = {.fw_cfg = f->fc, .pm = f->pm};
	struct vmgenid *g;
	uint8_t b[64], where[8];

	memcpy(vc.id, id, sizeof(id));
	assert_int_equal(vmgenid_create(f->r.vm, &vc, &g, NULL), 0);
	config(f, LPC + 0x40, 4, 0x601);
	config(f, LPC + 0x44, 1, 0x80);
	read_item(f, 0x20, b, 56); /* the first file */
	assert_memory_equal(b + VMGENID_AT, guid, 16);
	store_le64(where, 0x8000);
	assert_int_equal(gmem_write(f->r.vm->mem, 0x200, where, 8), 0);
	assert_int_equal(dma(f, 0x20 << 16 | 8 | 16, 8, 0x200), 1); /* read-only */
	assert_int_equal(dma(f, 0x21 << 16 | 8 | 16, 9, 0x200), 1); /* too long */
	assert_int_equal(dma(f, 0x21 << 16 | 8 | 16, 8, UINT64_C(1) << 40), 1);
	assert_int_equal(dma(f, 0x21 << 16 | 8 | 16, 8, 0x200), 0);
	rig_out(&f->r, 0x622, 2, 1 << VMGENID_GPE);
	vmgenid_set(g, other);
	assert_true(f->sci.level);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x8000 + VMGENID_AT, b, 16), 0);
	assert_memory_equal(b, "\0\0\xee\xff", 4);
	rig_state_round_trip(&f->r, "vmgenid0");
	vmgenid_get(g, b);
	assert_memory_equal(b, other, 16);
	f->r.vm->waking = true; /* out of sleep the page is where it was */
	rig_reset(&f->r, "vmgenid0");
	f->r.vm->waking = false;
	vmgenid_set(g, id);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x8000 + VMGENID_AT, b, 16), 0);
	assert_memory_equal(b, guid, 16);
	rig_reset(&f->r, "vmgenid0");
	vmgenid_set(g, other);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x8000 + VMGENID_AT, b, 16), 0);
	assert_memory_equal(b, guid, 16); /* nowhere */
}

static void states_survive(void **state)
{
	struct fix *f = *state;
	config(f, 0x60, 4, 0xb0000001);
	config(f, LPC + 0x40, 4, 0x601);
	config(f, LPC + 0x44, 1, 0x80);
	config(f, LPC + 0x60, 4, 0x0b0b0a0a);
	rig_state_round_trip(&f->r, "lpc0");
	rig_state_round_trip(&f->r, "fw-cfg0");
	rig_state_round_trip(&f->r, "port920");
	rig_state_round_trip(&f->r, "pci-host0");
	assert_int_equal(rig_load(&f->r, 0xb0000000, 4), 0x29c08086);
	assert_int_equal(rig_in(&f->r, 0x604, 2), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ecam_is_where_pciexbar_says), TEST(pam_keeps_what_is_written), TEST(pam_shows_ram_and_rom),
		TEST(pirq_routes_a_pin_to_the_pics),
		TEST(slots_from_25_do_not_turn), TEST(acpi_registers_follow_pmbase), TEST(chipset_window_keeps_bytes),
		TEST(port92_resets), TEST(fw_cfg_items_read_by_port), TEST(fw_cfg_lists_files),
		TEST(fw_cfg_dma_reads_skips_and_refuses), TEST(generation_id_goes_where_firmware_says),
		TEST(states_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
