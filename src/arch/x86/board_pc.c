/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_base.h"
#include "arch/x86/board_usb.h"

#include "arch/x86/boot/handover.h"
#include "arch/x86/boot/image.h"
#include "arch/x86/hpet.h"
#include "arch/x86/i8042.h"
#include "arch/x86/lpc.h"
#include "arch/x86/mch.h"
#include "arch/x86/pm.h"
#include "arch/x86/port92.h"
#include "arch/x86/rtc.h"
#include "arch/x86/smbios.h"
#include "arch/x86/vmgenid.h"
#include "base/bytes.h"
#include "core/accel.h"
#include "core/gmem.h"
#include "core/vcpu.h"
#include "devices/display/vga.h"
#include "devices/legacy/debug_port.h"
#include "devices/legacy/fw_cfg.h"
#include "devices/legacy/i6300esb.h"
#include "devices/legacy/isa_dma.h"
#include "devices/legacy/parallel.h"
#include "devices/legacy/pflash.h"
#include "devices/pci/pci.h"
#include "devices/storage/ahci.h"
#include "devices/storage/fdc.h"
#include "devices/storage/ide.h"
#include "devices/storage/nvme.h"
#include "devices/virtio/scsi.h"
#include "devices/virtio/gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Guest-physical addresses, as firmware for QEMU's Q35 expects them.
 *
 *   0x000000000 - low top      RAM; at 0xe0000 the BIOS's last 128 KiB, until the chipset is told to show RAM
 *   0x0b0000000 or as firmware says: PCI Express configuration (ECAM); the rest below 0xfec00000 is for PCI
 *   0x0fec00000, 0x0fee00000   IOAPIC, local APICs
 *   up to 0x100000000          firmware
 *   0x100000000 - high top     RAM
 *   then, 1 GiB aligned        PCI
 */
#define LOW_ALL UINT64_C(0xb0000000) /* up to here all RAM is below 4 GiB; with more, the low part ends at 2 GiB */
#define LOW_PART UINT64_C(0x80000000)
#define PCI32_END 0xfec00000u
/* Not up to 512 GiB: Xen's PV kernels map other domains' pages at the first free addresses, and can below that only. */
#define PCI64_END UINT64_C(0x7c00000000)
/* OVMF maps all that the processor can address, and its early memory holds tables for 40 bits. */
enum { PHYS_BITS = 40 };

enum { FIRMWARE_MAX = 16 << 20, SHADOW_AT = 0xe0000, SHADOW_SIZE = 0x20000 };
enum { IRQ_KEYBOARD = 1, IRQ_MOUSE = 12 };
enum { PORT_RESET = 0xcf9, PORT_DEBUG = 0x402 };
enum { PCI_FIXED_SLOTS = 25, ACPI_SIZE = 0x10000, PM_FIRMWARE_BASE = 0x600,
       S3_TYPE = 1, S4_TYPE = 2, S5_TYPE = 0 /* OVMF has it built in */ };
/* What CMOS holds when the processor starts out of S3, for firmware to go on instead of beginning anew. */
enum { CMOS_SHUTDOWN = 0x0f, SHUTDOWN_S3 = 0xfe };
/* The host bridge says with its subsystem that fw_cfg and the debug port are there. */
enum { SUBSYSTEM_VENDOR = 0x1af4, SUBSYSTEM = 0x1100 };
enum { E820_ENTRY = 20 };

struct board_pc {
	struct board board;
	struct image firmware;
	struct fw_cfg *fw_cfg;
	struct handover kernel;
	uint8_t sleep_states[6]; /* what firmware is told of them */
};

static struct board_pc *pc_of(struct board *b)
{
	return container_of(b, struct board_pc, board);
}

/* ---- memory and firmware ---- */

static int add_memory(struct board *b, const struct board_config *cfg, struct err *e)
{
	uint64_t low = cfg->memory <= LOW_ALL ? cfg->memory : LOW_PART, high = cfg->memory - low;
	int ret = board_add_ram(b, cfg, low, e);

	b->layout.map[b->layout.map_count++] = (struct e820){ .addr = 0, .size = low, .type = E820_RAM };
	if (high)
		b->layout.map[b->layout.map_count++] = (struct e820){ .addr = GIB4, .size = high, .type = E820_RAM };
	return ret;
}

static int add_firmware(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	int ret = image_open(&pc->firmware, cfg->firmware, "firmware", e);
	uint64_t size = pc->firmware.size;

	if (ret < 0)
		return ret;
	if (size < SHADOW_SIZE || size > FIRMWARE_MAX || size % GMEM_PAGE)
		return err_set(e, -EINVAL,
		               "%s is no firmware image: those are 128K to 16M long, in steps of 4K, not %llu bytes",
		               cfg->firmware, (unsigned long long)size);
	return gmem_add_rom(pc->board.vm->mem, GIB4 - size, size, "firmware", e);
}

/* The variables lie right below the code, as OVMF was built for. */
static int add_variables(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	struct pflash_config fc = { .fd = cfg->firmware_vars };
	struct stat st;
	bool good;

	if (fc.fd < 0)
		return 0;
	good = fstat(fc.fd, &st) == 0 && st.st_size > 0 && st.st_size <= PFLASH_MAX && st.st_size % PFLASH_BLOCK == 0;
	if (!good) {
		close(fc.fd);
		return err_set(e, -EINVAL, "the firmware's variables are not a multiple of 4K long, up to 16M");
	}
	fc.size = (uint32_t)st.st_size;
	fc.addr = GIB4 - pc->firmware.size - fc.size;
	return pflash_create(pc->board.vm, &fc, e);
}

/* Out of sleep, what the firmware left below 1 MiB is what it goes on with. */
static int install_firmware(struct board_pc *pc, bool waking, struct err *e)
{
	const struct image *im = &pc->firmware;
	struct gmem *mem = pc->board.vm->mem;
	int ret = gmem_load_rom(mem, GIB4 - im->size, im->data, im->size);

	if (ret == 0 && !waking)
		ret = gmem_write(mem, SHADOW_AT, im->data + im->size - SHADOW_SIZE, SHADOW_SIZE);
	image_release(im);
	return ret < 0 ? err_set(e, ret, "the firmware does not fit into memory") : 0;
}

/* ---- what firmware asks for ---- */

static int add_e820(struct board_pc *pc, struct err *e)
{
	const struct boot_layout *l = &pc->board.layout;
	uint8_t table[BOOT_E820_MAX * E820_ENTRY];

	for (unsigned n = 0; n < l->map_count; n++) {
		uint8_t *p = table + n * E820_ENTRY;

		store_le64(p, l->map[n].addr);
		store_le64(p + 8, l->map[n].size);
		store_le32(p + 16, l->map[n].type);
	}
	return fw_cfg_add_file(pc->fw_cfg, "etc/e820", table, l->map_count * E820_ENTRY, e);
}

static int add_numbers(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	const struct {
		uint16_t key;
		uint8_t bytes;
		uint64_t value;
	} item[] = {
		{ FW_CFG_RAM_SIZE, 8, cfg->memory },   { FW_CFG_NB_CPUS, 2, cfg->cpus },
		{ FW_CFG_MAX_CPUS, 2, cfg->cpus },     { FW_CFG_NOGRAPHIC, 2, cfg->video == BOARD_VIDEO_NONE },
		{ FW_CFG_BOOT_MENU, 2, cfg->boot_menu }, { FW_CFG_IRQ0_OVERRIDE, 4, 1 },
	};
	int ret = 0;

	for (size_t n = 0; ret == 0 && n < COUNT_OF(item); n++)
		ret = fw_cfg_add_int(pc->fw_cfg, item[n].key, item[n].value, item[n].bytes, e);
	return ret;
}

/* The kernel that the firmware is to boot, before all else. */
static int add_kernel(struct board_pc *pc, struct err *e)
{
	static const uint16_t data[HANDOVER_PIECES] = { FW_CFG_SETUP_DATA, FW_CFG_KERNEL_DATA, FW_CFG_INITRD_DATA,
							FW_CFG_CMDLINE_DATA };
	static const uint16_t size[HANDOVER_PIECES] = { FW_CFG_SETUP_SIZE, FW_CFG_KERNEL_SIZE, FW_CFG_INITRD_SIZE,
							FW_CFG_CMDLINE_SIZE };
	static const uint16_t addr[HANDOVER_PIECES] = { FW_CFG_SETUP_ADDR, FW_CFG_KERNEL_ADDR, FW_CFG_INITRD_ADDR,
							FW_CFG_CMDLINE_ADDR };
	struct board *b = &pc->board;
	int ret = b->boot ? handover_make(&pc->kernel, b->boot, b->layout.low_top, data, e) : 0;

	if (!b->boot || ret < 0)
		return ret;
	for (unsigned n = 0; ret == 0 && n < HANDOVER_PIECES; n++) {
		const struct handover_piece *p = &pc->kernel.piece[n];

		ret = fw_cfg_lend(pc->fw_cfg, data[n], p->bytes, p->len, e);
		if (ret == 0)
			ret = fw_cfg_add_int(pc->fw_cfg, size[n], p->len, 4, e);
		if (ret == 0)
			ret = fw_cfg_add_int(pc->fw_cfg, addr[n], p->addr, 4, e);
	}
	if (ret == 0)
		ret = fw_cfg_add_file(pc->fw_cfg, "genroms/kernel.rom", pc->kernel.rom, sizeof(pc->kernel.rom), e);
	boot_order_add(&b->virtio.order, 1, "/rom@genroms/kernel.rom");
	return ret;
}

/* The sleeping states S0 to S5 for firmware: bit 7 there is such a state, below it its SLP_TYP. */
static int add_sleep_states(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	uint8_t *state = pc->sleep_states;

	state[0] = 0x80;
	state[3] = S3_TYPE | (cfg->no_s3 ? 0 : 0x80);
	state[4] = S4_TYPE | (cfg->no_s4 ? 0 : 0x80);
	state[5] = S5_TYPE | 0x80;
	return fw_cfg_add_file(pc->fw_cfg, "etc/system-states", state, sizeof(pc->sleep_states), e);
}

static int add_generation(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	struct vmgenid_config vc = { .fw_cfg = pc->fw_cfg, .pm = pc->board.pm };

	memcpy(vc.id, cfg->generation, sizeof(vc.id));
	return cfg->vmgenid ? vmgenid_create(pc->board.vm, &vc, &pc->board.generation, e) : 0;
}

static int add_fw_cfg(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	int ret = fw_cfg_create(pc->board.vm, &pc->fw_cfg, e);

	if (ret == 0)
		ret = add_numbers(pc, cfg, e);
	if (ret == 0)
		ret = add_e820(pc, e);
	if (ret == 0)
		ret = add_sleep_states(pc, cfg, e);
	/* SeaBIOS shows its screen on the serial port and takes keys from it. */
	if (ret == 0 && cfg->serial[0])
		ret = fw_cfg_add_file_int(pc->fw_cfg, "etc/sercon-port", board_serial_place[0].port, 2, e);
	if (ret == 0 && cfg->boot_menu)
		ret = fw_cfg_add_file_int(pc->fw_cfg, "etc/boot-menu-wait", cfg->boot_menu_ms, 4, e);
	if (ret == 0)
		ret = add_kernel(pc, e);
	if (ret == 0)
		ret = add_generation(pc, cfg, e);
	return ret < 0 ? ret : boot_order_publish(&pc->board.virtio.order, pc->fw_cfg, e);
}

/* ---- ACPI ---- */

/* Below 4 GiB what is neither RAM nor ECAM, with ECAM where firmware puts it: 0xb0000000 for SeaBIOS. */
static void describe_pci(struct board *b, uint64_t ecam, unsigned buses)
{
	struct acpi_config *a = &b->acpi;
	uint64_t low = b->layout.low_top, end = ecam + ((uint64_t)buses << 20);

	a->ecam_base = ecam;
	a->bus_last = (uint8_t)(buses - 1);
	a->mem32_base = (uint32_t)low;
	a->mem32_size = (uint32_t)(ecam - low);
	a->mem32_more_base = (uint32_t)end;
	a->mem32_more_size = (uint32_t)(PCI32_END - end);
	a->mem64_base = b->windows.mem64_addr;
	a->mem64_size = PCI64_END > a->mem64_base ? PCI64_END - a->mem64_base : 0;
	a->pci_io = true;
	for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++)
		for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++)
			a->pci_gsi[slot][pin] = (uint8_t)(LPC_GSI + pci_line_of(b->virtio.bus, (uint8_t)slot,
			                                                        (uint8_t)(pin + 1)));
}

static bool has_drive_on(const struct board_config *cfg, enum board_bus bus)
{
	for (unsigned n = 0; n < cfg->disk_count; n++)
		if (cfg->disk_bus[n] == bus)
			return true;
	return false;
}

static void describe(struct board *b, const struct board_config *cfg)
{
	struct acpi_config *a = &b->acpi;

	board_describe(b, cfg, PM_FIRMWARE_BASE);
	a->size = ACPI_SIZE;
	a->reset_port = PORT_RESET;
	a->s5_type = S5_TYPE;
	a->s3_type = cfg->no_s3 ? 0 : S3_TYPE;
	a->s4_type = cfg->no_s4 ? 0 : S4_TYPE;
	a->parallel.port = cfg->parallel ? PARALLEL_PORT : 0;
	a->parallel.irq = PARALLEL_IRQ;
	a->i8042 = true;
	a->mouse = true;
	a->ide = has_drive_on(cfg, BOARD_IDE);
	a->floppy = has_drive_on(cfg, BOARD_FLOPPY);
	a->vga = cfg->video == BOARD_VIDEO_STD;
	a->hpet_base = cfg->no_hpet ? 0 : HPET_BASE;
	a->hpet_id = hpet_id(!vm_accel_caps(b->vm)->kernel_pit);
	a->fw_cfg_port = FW_CFG_PORT;
	a->generation_file = cfg->vmgenid ? VMGENID_FILE : NULL;
	a->generation_address_file = VMGENID_ADDRESS_FILE;
	a->generation_offset = VMGENID_AT;
	a->generation_gpe = VMGENID_GPE;
	describe_pci(b, LOW_ALL, 256);
}

static int add_acpi(struct board_pc *pc, struct err *e)
{
	struct acpi_files f;
	int ret = acpi_build_files(&pc->board.acpi, &f, e);

	if (ret < 0)
		return ret;
	ret = fw_cfg_add_file(pc->fw_cfg, ACPI_FILE_TABLES, f.tables, f.tables_len, e);
	if (ret == 0)
		ret = fw_cfg_add_file(pc->fw_cfg, ACPI_FILE_RSDP, f.rsdp, sizeof(f.rsdp), e);
	if (ret == 0)
		ret = fw_cfg_add_file(pc->fw_cfg, ACPI_FILE_LOADER, f.loader, f.loader_len, e);
	free(f.tables);
	free(f.loader);
	return ret;
}

/* ---- SMBIOS ---- */

enum { VOLTAGE_DV = 12 };

/* The registers of CPUID leaves as the text that they hold. */
static void cpuid_text(const struct vcpu *v, uint32_t leaf, uint32_t last, char *out)
{
	for (; leaf <= last; leaf++, out += 16) {
		const struct x86_cpuid *id = vcpu_cpuid(v, leaf, 0);

		if (!id)
			return;
		store_le32(out, leaf ? id->eax : id->ebx);
		store_le32(out + 4, leaf ? id->ebx : id->edx);
		store_le32(out + 8, id->ecx);
		store_le32(out + 12, leaf ? id->edx : 0);
	}
}

static int add_smbios(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	const struct vcpu *v = pc->board.vm->vcpu[0];
	const struct x86_cpuid *one = vcpu_cpuid(v, 1, 0);
	char vendor[17] = "", model[49] = "";
	struct smbios_config sc = { .topology = cfg->topology, .memory = cfg->memory, .low = pc->board.layout.low_top,
				    .tsc_khz = host_tsc_khz(), .vendor_id = vendor, .voltage_dv = VOLTAGE_DV };
	struct smbios_files f;
	int ret;

	cpuid_text(v, 0, 0, vendor);
	cpuid_text(v, 0x80000002, 0x80000004, model);
	memcpy(sc.uuid, cfg->uuid, sizeof(sc.uuid));
	sc.model = model[0] ? model : "unknown";
	sc.cpuid_eax = one ? one->eax : 0;
	sc.cpuid_edx = one ? one->edx : 0;
	ret = smbios_build(&sc, &f, e);
	if (ret < 0)
		return ret;
	ret = fw_cfg_add_file(pc->fw_cfg, SMBIOS_FILE_TABLES, f.tables, f.tables_len, e);
	if (ret == 0)
		ret = fw_cfg_add_file(pc->fw_cfg, SMBIOS_FILE_ANCHOR, f.anchor, sizeof(f.anchor), e);
	free(f.tables);
	return ret;
}

/* ---- PCI and what hangs on it ---- */

static int add_pci(struct board_pc *pc, struct err *e)
{
	struct board *b = &pc->board;
	struct pci_host_config hc = { .msi = b->msi, .fixed_slots = PCI_FIXED_SLOTS,
				      .subsystem_vendor = SUBSYSTEM_VENDOR, .subsystem = SUBSYSTEM };
	struct lpc *lpc;
	int ret = lpc_create(b->vm, (struct lpc_config){ .gsi = &b->gsi, .pm = b->pm }, &lpc, e);

	if (ret < 0)
		return ret;
	for (unsigned n = 0; n < LPC_LINES; n++)
		hc.intx[n] = lpc_line(lpc, n);
	ret = pci_host_create(b->vm, &hc, &b->virtio.bus, e);
	if (ret < 0) {
		lpc_destroy(lpc);
		return ret;
	}
	ret = mch_create(b->vm, b->virtio.bus, e);
	if (ret < 0) {
		lpc_destroy(lpc);
		return ret;
	}
	b->windows.mem64_addr = round_up(GIB4 + gmem_total(b->vm->mem) - b->layout.low_top, GIB);
	return lpc_attach(lpc, b->virtio.bus, e);
}

static int add_video(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	uint8_t slot = cfg->video_slot ? cfg->video_slot : BOARD_VIDEO_SLOT;
	struct vga_config vc = { .bus = pc->board.virtio.bus, .slot = slot,
				 .plain = cfg->video == BOARD_VIDEO_BOCHS, .display = pc->board.display,
				 .rom = cfg->video_rom, .rom_size = cfg->video_rom_size };

	struct virtio_gpu_config gc = { .place = { .bus = vc.bus, .slot = slot }, .display = vc.display };

	if (cfg->video == BOARD_VIDEO_NONE)
		return 0;
	pc->board.virtio.slots_used |= 1u << slot;
	if (cfg->video == BOARD_VIDEO_VIRTIO)
		return virtio_gpu_create(pc->board.vm, &gc, NULL, e);
	return vga_create(pc->board.vm, &vc, e);
}

static int add_watchdog(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	struct board *b = &pc->board;
	struct i6300esb_config wc = { .bus = b->virtio.bus, .timers = b->vm->timers,
				      .slot = cfg->watchdog_slot ? cfg->watchdog_slot : BOARD_WATCHDOG_SLOT };

	if (!cfg->watchdog)
		return 0;
	b->virtio.slots_used |= 1u << wc.slot;
	return i6300esb_create(b->vm, &wc, e);
}

enum { AHCI_FUNCTION = 2 };

/* ---- drives that have a number on their controller ---- */

/* The numbers of the drives on a bus, by their places in cfg: those that are asked for, then the lowest that are free.
 * -ENOSPC: there are more than `units`; -EEXIST: two want the same. */
static int number_drives(const struct board_config *cfg, enum board_bus bus, const char *name, unsigned units,
			 uint8_t unit[BOARD_DISK_MAX], struct err *e)
{
	uint32_t used = 0;
	unsigned next = 0;

	for (unsigned n = 0; n < cfg->disk_count; n++) {
		if (cfg->disk_bus[n] != bus || !cfg->disk_unit[n])
			continue;
		unit[n] = (uint8_t)(cfg->disk_unit[n] - 1);
		if (unit[n] >= units || (used & 1u << unit[n]))
			return err_set(e, -EEXIST, "two %s drives cannot both be number %u; numbers go to %u", name,
				       unit[n], units - 1);
		used |= 1u << unit[n];
	}
	for (unsigned n = 0; n < cfg->disk_count; n++) {
		if (cfg->disk_bus[n] != bus || cfg->disk_unit[n])
			continue;
		while (next < units && (used & 1u << next))
			next++;
		if (next == units)
			return err_set(e, -ENOSPC, "more than %u %s drives; put some on another bus", units, name);
		unit[n] = (uint8_t)next++;
	}
	return 0;
}

/* The images are the controller's. */
static void give_away(struct board_config *cfg, enum board_bus bus)
{
	for (unsigned n = 0; n < cfg->disk_count; n++)
		if (cfg->disk_bus[n] == bus)
			cfg->disk[n] = NULL;
}

static const char *serial_of(const struct board_config *cfg, unsigned n)
{
	return cfg->disk_serial[n][0] ? cfg->disk_serial[n] : NULL;
}

/* The controller is there only where somebody uses it: an absent device maps no code. */
static int add_sata(struct board_pc *pc, struct board_config *cfg, struct err *e)
{
	struct ahci_config ac = { .bus = pc->board.virtio.bus, .slot = LPC_SLOT, .function = AHCI_FUNCTION };
	uint8_t unit[BOARD_DISK_MAX];
	int ret = number_drives(cfg, BOARD_SATA, "SATA", AHCI_PORTS, unit, e);

	_Static_assert((int)AHCI_PORTS == BOARD_SATA_UNITS, "board.h");
	if (ret < 0 || !has_drive_on(cfg, BOARD_SATA))
		return ret;
	for (unsigned n = 0; n < cfg->disk_count; n++) {
		if (cfg->disk_bus[n] != BOARD_SATA)
			continue;
		ac.port[unit[n]].present = true;
		ac.port[unit[n]].cdrom = cfg->disk_cdrom[n];
		ac.port[unit[n]].cd = &cfg->disk_cd[n];
		ac.port[unit[n]].serial = serial_of(cfg, n);
		ac.port[unit[n]].blk = cfg->disk[n];
		boot_order_add(&pc->board.virtio.order, cfg->disk_boot[n],
			       "/pci@i0cf8/pci8086,2922@%x,%x/drive@%x/disk@0", LPC_SLOT, AHCI_FUNCTION, unit[n]);
	}
	ret = ahci_create(pc->board.vm, &ac, e);
	if (ret == 0)
		give_away(cfg, BOARD_SATA);
	return ret;
}

enum { IDE_FUNCTION = 1, IRQ_IDE = 14 };

static int add_ide(struct board_pc *pc, struct board_config *cfg, struct err *e)
{
	struct board *b = &pc->board;
	struct ide_config ic = { .bus = b->virtio.bus, .slot = LPC_SLOT, .function = IDE_FUNCTION,
				 .irq = { gsi_isa(&b->gsi, IRQ_IDE), gsi_isa(&b->gsi, IRQ_IDE + 1) } };
	uint8_t unit[BOARD_DISK_MAX];
	int ret = number_drives(cfg, BOARD_IDE, "IDE", IDE_CHANNELS * IDE_DRIVES, unit, e);

	_Static_assert(IDE_CHANNELS * IDE_DRIVES == BOARD_IDE_UNITS, "board.h");
	if (ret < 0 || !has_drive_on(cfg, BOARD_IDE))
		return ret;
	for (unsigned n = 0; n < cfg->disk_count; n++) {
		unsigned channel = unit[n] / IDE_DRIVES, drive = unit[n] % IDE_DRIVES;

		if (cfg->disk_bus[n] != BOARD_IDE)
			continue;
		ic.drive[channel][drive].present = true;
		ic.drive[channel][drive].cdrom = cfg->disk_cdrom[n];
		ic.drive[channel][drive].cd = &cfg->disk_cd[n];
		ic.drive[channel][drive].serial = serial_of(cfg, n);
		ic.drive[channel][drive].blk = cfg->disk[n];
		boot_order_add(&b->virtio.order, cfg->disk_boot[n], "/pci@i0cf8/ide@%x,%x/drive@%x/disk@%x", LPC_SLOT,
			       IDE_FUNCTION, channel, drive);
	}
	ret = ide_create(b->vm, &ic, e);
	if (ret == 0)
		give_away(cfg, BOARD_IDE);
	return ret;
}

enum { CMOS_FLOPPIES = 0x10, CMOS_EQUIPMENT = 0x14, EQUIPMENT_FPU = 0x02, EQUIPMENT_FLOPPY = 0x01 };

/* What drives there are, for firmware and systems that ask CMOS. */
static void tell_floppies(struct rtc *rtc, const struct fdc *f)
{
	enum fdc_type first = fdc_drive_type(f, 0), second = fdc_drive_type(f, 1);

	rtc_cmos_set(rtc, CMOS_FLOPPIES, (uint8_t)(first << 4 | second));
	rtc_cmos_set(rtc, CMOS_EQUIPMENT,
		     (uint8_t)(EQUIPMENT_FPU | EQUIPMENT_FLOPPY | (second ? 1 << 6 : 0)));
}

/* With the DMA controllers, which nobody else needs. */
static int add_floppy(struct board_pc *pc, struct board_config *cfg, struct err *e)
{
	struct board *b = &pc->board;
	struct fdc_config fc = { .irq = gsi_isa(&b->gsi, FDC_IRQ) };
	uint8_t unit[BOARD_DISK_MAX];
	struct fdc *f;
	int ret = number_drives(cfg, BOARD_FLOPPY, "floppy", FDC_DRIVES, unit, e);

	_Static_assert((int)FDC_DRIVES == BOARD_FLOPPY_UNITS, "board.h");
	if (ret < 0 || !has_drive_on(cfg, BOARD_FLOPPY))
		return ret;
	ret = isa_dma_create(b->vm, &fc.dma, e);
	for (unsigned n = 0; n < cfg->disk_count; n++) {
		if (cfg->disk_bus[n] != BOARD_FLOPPY)
			continue;
		fc.drive[unit[n]].present = true;
		fc.drive[unit[n]].blk = cfg->disk[n];
		fc.drive[unit[n]].handle = &cfg->disk_floppy[n];
		boot_order_add(&b->virtio.order, cfg->disk_boot[n], "/pci@i0cf8/isa@%x/fdc@03f0/floppy@%x", LPC_SLOT,
			       unit[n]);
	}
	if (ret == 0)
		ret = fdc_create(b->vm, &fc, &f, e);
	if (ret < 0)
		return ret;
	tell_floppies(b->rtc, f);
	give_away(cfg, BOARD_FLOPPY);
	return 0;
}

/* One controller for all, in a slot that the other virtio devices left. */
static int add_scsi(struct board_pc *pc, struct board_config *cfg, struct err *e)
{
	struct board_virtio *bv = &pc->board.virtio;
	struct virtio_scsi_config sc = { .place = { .bus = bv->bus } };
	uint8_t unit[BOARD_DISK_MAX];
	int ret = number_drives(cfg, BOARD_SCSI, "SCSI", VIRTIO_SCSI_TARGETS, unit, e);

	_Static_assert((int)VIRTIO_SCSI_TARGETS == BOARD_SCSI_UNITS, "board.h");
	if (ret < 0 || !has_drive_on(cfg, BOARD_SCSI))
		return ret;
	sc.place.slot = (uint8_t)board_virtio_slot(bv);
	if (!sc.place.slot)
		return err_set(e, -ENOSPC, "more than %d devices; leave some out", BOARD_SLOT_LAST);
	for (unsigned n = 0; n < cfg->disk_count; n++) {
		unsigned t = unit[n];

		if (cfg->disk_bus[n] != BOARD_SCSI)
			continue;
		sc.target[t].cdrom = cfg->disk_cdrom[n];
		sc.target[t].cd = &cfg->disk_cd[n];
		sc.target[t].serial = serial_of(cfg, n);
		sc.target[t].blk = cfg->disk[n];
		sc.target_count = sc.target_count > t ? sc.target_count : t + 1;
		boot_order_add(&bv->order, cfg->disk_boot[n], "/pci@i0cf8/scsi@%x/channel@0/disk@%x,0",
			       sc.place.slot, t);
	}
	ret = virtio_scsi_create(pc->board.vm, &sc, e);
	if (ret == 0)
		give_away(cfg, BOARD_SCSI);
	return ret;
}

/* A controller a disk, in the slots that virtio devices left. */
static int add_nvme(struct board_pc *pc, struct board_config *cfg, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < cfg->disk_count; n++) {
		struct nvme_config nc = { .bus = pc->board.virtio.bus, .blk = cfg->disk[n],
					  .serial = serial_of(cfg, n) };

		if (cfg->disk_bus[n] != BOARD_NVME)
			continue;
		nc.slot = (uint8_t)board_virtio_slot(&pc->board.virtio);
		if (!nc.slot)
			return err_set(e, -ENOSPC, "more than %d devices; leave some out", BOARD_SLOT_LAST);
		ret = nvme_create(pc->board.vm, &nc, e);
		if (ret == 0)
			cfg->disk[n] = NULL;
		/* By this name OVMF knows all of them; SeaBIOS looks at the place only. */
		boot_order_add(&pc->board.virtio.order, cfg->disk_boot[n],
			       "/pci@i0cf8/pci8086,5845@%x/namespace@1,0", nc.slot);
	}
	return ret;
}

/* ---- ISA ---- */

static int add_isa(struct board_pc *pc, const struct board_config *cfg, struct err *e)
{
	struct board *b = &pc->board;
	struct vm *vm = b->vm;
	struct debug_port_config dp = { .port = PORT_DEBUG, .out = cfg->firmware_log };
	struct pm_config pm = { .timers = vm->timers, .sci = gsi_isa(&b->gsi, IRQ_SCI), .base = PM_NOWHERE,
				.s5_type = S5_TYPE, .s4_type = cfg->no_s4 ? 0 : S4_TYPE,
				.s3_type = cfg->no_s3 ? 0 : S3_TYPE };
	struct i8042_config kc = { .irq = gsi_isa(&b->gsi, IRQ_KEYBOARD), .irq_mouse = gsi_isa(&b->gsi, IRQ_MOUSE),
				   .input = b->input };
	struct hpet_config hc = { .timers = vm->timers, .gsi = &b->gsi, .msi = b->msi, .opaque = &b->gsi };
	struct parallel_config lp = { .irq = gsi_isa(&b->gsi, PARALLEL_IRQ), .out = cfg->parallel };
	int ret = pm_create(vm, pm, &b->pm, e);

	/* A PIT in the kernel cannot be cut off. */
	if (!vm_accel_caps(vm)->kernel_pit)
		hc.legacy = gsi_cut;
	if (ret == 0)
		ret = board_add_rtc(b, cfg, e);
	if (ret == 0 && !cfg->no_hpet)
		ret = hpet_create(vm, hc, e);
	kc.wake = pm_waker(b->pm);
	if (ret == 0)
		ret = i8042_create(vm, kc, e);
	if (ret == 0)
		ret = port92_create(vm, e);
	if (ret == 0)
		ret = board_add_reports(b, e);
	if (ret == 0)
		ret = debug_port_create(vm, dp, e);
	if (ret == 0)
		ret = board_serials_create(&b->serial, vm, &b->gsi, cfg->serial, cfg->serial_count, e);
	if (ret == 0 && cfg->parallel)
		ret = parallel_create(vm, lp, e);
	return ret;
}

/* ---- life ---- */

static int reset(void *opaque, struct err *e)
{
	struct board *b = opaque;
	int ret = install_firmware(pc_of(b), b->vm->waking, e);

	if (b->vm->waking) {
		rtc_cmos_set(b->rtc, CMOS_SHUTDOWN, SHUTDOWN_S3);
		pm_woken(b->pm);
	}
	return ret < 0 ? ret : board_reset_cpus(b, NULL, e);
}

static void destroy(struct board *b)
{
	handover_free(&pc_of(b)->kernel);
	image_close(&pc_of(b)->firmware);
}

static int build(struct board_pc *pc, struct board_config *cfg, struct err *e)
{
	struct board *b = &pc->board;
	int ret = add_memory(b, cfg, e);

	if (ret == 0)
		ret = add_firmware(pc, cfg, e);
	if (ret == 0)
		ret = add_variables(pc, cfg, e);
	if (ret == 0)
		ret = board_add_cpus(b, cfg, e);
	if (ret == 0)
		ret = board_add_interrupts(b, e);
	if (ret == 0)
		ret = add_isa(pc, cfg, e);
	if (ret == 0)
		ret = add_pci(pc, e);
	if (ret < 0)
		return ret;
	ret = board_bridges_add(&b->virtio.bridges, b->vm, b->virtio.bus, cfg, &b->virtio.slots_used, e);
	if (ret == 0)
		ret = add_video(pc, cfg, e);
	if (ret == 0)
		ret = add_watchdog(pc, cfg, e);
	if (ret == 0)
		ret = board_usb_add(b, cfg, e);
	if (ret == 0)
		ret = board_add_virtio(b, cfg, e);
	if (ret == 0)
		ret = add_sata(pc, cfg, e);
	if (ret == 0)
		ret = add_ide(pc, cfg, e);
	if (ret == 0)
		ret = add_floppy(pc, cfg, e);
	if (ret == 0)
		ret = add_scsi(pc, cfg, e);
	if (ret == 0)
		ret = add_nvme(pc, cfg, e);
	if (ret == 0)
		ret = add_fw_cfg(pc, cfg, e);
	if (ret < 0)
		return ret;
	describe(b, cfg);
	b->vm->board_reset = reset;
	b->vm->board = b;
	ret = add_acpi(pc, e);
	return ret < 0 ? ret : add_smbios(pc, cfg, e);
}

int board_pc_create(struct vm *vm, struct board_config *cfg, struct board **out, struct err *e)
{
	struct board_pc *pc = calloc(1, sizeof(*pc));
	int ret;

	if (!pc)
		return err_set(e, -ENOMEM, "out of memory");
	pc->board.destroy = destroy;
	pc->board.phys_bits = PHYS_BITS;
	ret = board_base_attach(&pc->board, vm, cfg, e);
	if (ret == 0)
		ret = build(pc, cfg, e);
	if (ret == 0)
		*out = &pc->board;
	return ret;
}
