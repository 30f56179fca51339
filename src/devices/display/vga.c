/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/display/vga_priv.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VENDOR = 0x1234, DEVICE = 0x1111, REVISION = 2, CLASS_VGA = 0x030000, CLASS_OTHER = 0x038000 };
enum { SUBSYSTEM_VENDOR = 0x1af4, SUBSYSTEM = 0x1100 };
enum { PORTS_FIRST = 0x3b0, PORTS = 0x30, VBE_FIRST = 0x1ce, VBE_PORTS = 3, WINDOW = 0xa0000, WINDOW_SIZE = 0x20000 };
/* BAR 2 (QEMU's docs/specs/standard-vga): the ports from 0x3c0 on, the VBE registers, and some of its own. */
enum { BAR_MEMORY = 0, BAR_REGISTERS = 2, REGISTERS_SIZE = 4096, REG_PORTS = 0x400, REG_PORTS_LEN = 0x20,
       REG_VBE = 0x500, REG_VBE_LEN = 2 * VBE_COUNT, REG_OWN = 0x600, REG_ENDIAN = 0x604, OWN_SIZE = 8 };
#define ENDIAN_LITTLE UINT32_C(0x1e1e1e1e)
#define ENDIAN_BIG UINT32_C(0xbebebebe)

/* ---- ports ---- */

static uint64_t ports_read(void *opaque, uint64_t off, unsigned width)
{
	return vga_port_read(opaque, (uint16_t)(PORTS_FIRST + off));
}

/* A 16-bit write is index and value, as two ports in a row. */
static void ports_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	vga_port_write(opaque, (uint16_t)(PORTS_FIRST + off), (uint8_t)value);
}

static const struct region_ops ports_ops = {
	.read = ports_read, .write = ports_write, .width_min = 1, .width_max = 1,
};

/* Index at 0x1ce; the data at 0x1cf, and at 0x1d0 for those who want it aligned. */
static uint64_t vbe_port_read(void *opaque, uint64_t off, unsigned width)
{
	struct vga *v = opaque;

	return off ? vbe_read(v, v->vbe_index) : v->vbe_index;
}

static void vbe_port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct vga *v = opaque;

	if (off)
		vbe_write(v, v->vbe_index, (uint16_t)value);
	else
		v->vbe_index = (uint16_t)value;
}

static const struct region_ops vbe_ops = {
	.read = vbe_port_read, .write = vbe_port_write, .width_min = 1, .width_max = 2,
};

/* ---- BAR 2 ---- */

static uint64_t registers_read(void *opaque, uint64_t off, unsigned width)
{
	struct vga *v = opaque;

	if (off >= REG_VBE && off < REG_VBE + REG_VBE_LEN)
		return vbe_read(v, (unsigned)(off - REG_VBE) / 2);
	if (!v->cfg.plain && off >= REG_PORTS && off < REG_PORTS + REG_PORTS_LEN)
		return vga_port_read(v, (uint16_t)(0x3c0 + off - REG_PORTS));
	if (off == REG_OWN)
		return OWN_SIZE;
	if (off == REG_ENDIAN)
		return v->endian_big ? ENDIAN_BIG : ENDIAN_LITTLE;
	return 0;
}

static void registers_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct vga *v = opaque;

	if (off >= REG_VBE && off < REG_VBE + REG_VBE_LEN) {
		vbe_write(v, (unsigned)(off - REG_VBE) / 2, (uint16_t)value);
	} else if (!v->cfg.plain && off >= REG_PORTS && off < REG_PORTS + REG_PORTS_LEN) {
		for (unsigned n = 0; n < width; n++)
			vga_port_write(v, (uint16_t)(0x3c0 + off + n - REG_PORTS), (uint8_t)(value >> 8 * n));
	} else if (off == REG_ENDIAN && (value == ENDIAN_LITTLE || value == ENDIAN_BIG)) {
		v->endian_big = value == ENDIAN_BIG;
	}
}

static const struct region_ops registers_ops = {
	.read = registers_read, .write = registers_write, .width_min = 1, .width_max = 4,
};

/* ---- BAR 0: as memory where the accelerator maps it, else by access ---- */

static uint64_t memory_read(void *opaque, uint64_t off, unsigned width)
{
	uint8_t bytes[8] = { 0 };

	memcpy(bytes, ((struct vga *)opaque)->mem + off, width);
	return load_le64(bytes);
}

static void memory_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	uint8_t bytes[8];

	store_le64(bytes, value);
	memcpy(((struct vga *)opaque)->mem + off, bytes, width);
}

static void memory_moved(void *opaque, uint64_t addr, bool mapped)
{
	struct vga *v = opaque;

	gmem_card_place(v->vm->mem, v->mem, mapped ? addr : GMEM_NOWHERE);
}

static const struct region_ops memory_ops = { .read = memory_read, .write = memory_write };

/* ---- life ---- */

static void vga_reset(void *impl)
{
	struct vga *v = impl;

	pthread_mutex_lock(&v->lock);
	vga_regs_reset(v);
	vbe_reset(v);
	v->endian_big = 0;
	pthread_mutex_unlock(&v->lock);
	pci_dev_reset(&v->pci);
}

static int vga_loaded(void *obj, uint16_t version, struct err *e)
{
	struct vga *v = obj;

	uint32_t width = vbe_on(v) ? v->vbe[VBE_VIRT_WIDTH] : UINT32_MAX;

	if (!vbe_valid(v) || v->vbe[VBE_BANK] >= VGA_MEMORY >> 16 || v->dac_part > 2 ||
	    v->vbe[VBE_X] + v->vbe[VBE_XRES] > width)
		return err_set(e, -EINVAL, "the graphics card's registers do not fit together");
	return pci_dev_loaded(&v->pci, e);
}

static const struct state_field vga_fields[] = {
	STATE_ARRAY(struct vga, pci.config, STATE_BYTES, PCI_CONFIG_SIZE), STATE_FIELD(struct vga, misc, STATE_U8),
	STATE_FIELD(struct vga, feature, STATE_U8), STATE_FIELD(struct vga, seq_index, STATE_U8),
	STATE_FIELD(struct vga, gfx_index, STATE_U8), STATE_FIELD(struct vga, crtc_index, STATE_U8),
	STATE_FIELD(struct vga, attr_index, STATE_U8), STATE_FIELD(struct vga, attr_data, STATE_BOOL),
	STATE_ARRAY(struct vga, seq, STATE_BYTES, SEQ_COUNT), STATE_ARRAY(struct vga, gfx, STATE_BYTES, GFX_COUNT),
	STATE_ARRAY(struct vga, crtc, STATE_BYTES, CRTC_COUNT), STATE_ARRAY(struct vga, attr, STATE_BYTES, ATTR_COUNT),
	STATE_FIELD(struct vga, dac_mask, STATE_U8), STATE_FIELD(struct vga, dac_state, STATE_U8),
	STATE_FIELD(struct vga, dac_read, STATE_U8), STATE_FIELD(struct vga, dac_write, STATE_U8),
	STATE_FIELD(struct vga, dac_part, STATE_U8), STATE_ARRAY(struct vga, dac_new, STATE_BYTES, 3),
	STATE_ARRAY(struct vga, palette, STATE_BYTES, PALETTE_BYTES), STATE_FIELD(struct vga, status, STATE_U8),
	STATE_FIELD(struct vga, latch, STATE_U32), STATE_FIELD(struct vga, vbe_index, STATE_U16),
	STATE_ARRAY(struct vga, vbe, STATE_U16, VBE_COUNT), STATE_FIELD(struct vga, endian_big, STATE_U8), STATE_END,
};

static const struct state_desc vga_state = {
	.name = "vga", .version = 1, .fields = vga_fields, .after_load = vga_loaded,
};

static void vga_destroy(void *impl)
{
	struct vga *v = impl;

	if (v->cfg.display)
		display_detach(v->cfg.display, v);
	pci_dev_detach(&v->pci);
	region_detach(v->ports);
	region_detach(v->window);
	region_detach(v->vbe_ports);
	pthread_mutex_destroy(&v->lock);
	free(v->rom);
	free(v);
}

static const struct dev_type vga_type = {
	.name = "vga", .destroy = vga_destroy, .reset = vga_reset, .state = &vga_state,
	.state_size = sizeof(struct vga),
};

static int attach_legacy(struct vga *v, struct err *e)
{
	const struct {
		struct region region;
		struct region_handle **handle;
	} part[] = {
		{ { REGION_PORT, PORTS_FIRST, PORTS, "vga", &ports_ops, v, &v->lock }, &v->ports },
		{ { REGION_PORT, VBE_FIRST, VBE_PORTS, "vbe", &vbe_ops, v, &v->lock }, &v->vbe_ports },
		{ { REGION_MEMORY, WINDOW, WINDOW_SIZE, "vga", &vga_window_ops, v, &v->lock }, &v->window },
	};
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < COUNT_OF(part); n++)
		ret = region_attach(v->vm->regions, &part[n].region, part[n].handle, e);
	return ret;
}

static int attach_pci(struct vga *v, struct err *e)
{
	const struct pci_ident id = { .vendor = VENDOR, .device = DEVICE, .revision = REVISION,
				      .class_code = v->cfg.plain ? CLASS_OTHER : CLASS_VGA,
				      .subsystem_vendor = SUBSYSTEM_VENDOR, .subsystem = SUBSYSTEM };
	const struct pci_bar memory = { .size = VGA_MEMORY, .prefetch = true, .ops = &memory_ops, .opaque = v,
					.moved = memory_moved };
	const struct pci_bar registers = { .size = REGISTERS_SIZE, .ops = &registers_ops, .opaque = v,
					   .lock = &v->lock };
	int ret = pci_dev_attach(&v->pci, v->cfg.bus, v->cfg.slot, 0, v->cfg.plain ? "bochs-display" : "vga", &id, e);

	if (ret < 0)
		return ret;
	pci_bar_set(&v->pci, BAR_MEMORY, &memory);
	pci_bar_set(&v->pci, BAR_REGISTERS, &registers);
	return v->cfg.rom_size ? pci_rom_set(&v->pci, v->rom, v->cfg.rom_size, e) : 0;
}

static int take_rom(struct vga *v, struct err *e)
{
	if (v->cfg.rom_size > VGA_ROM_MAX)
		return err_set(e, -EFBIG, "the graphics card's ROM is larger than %d KiB", VGA_ROM_MAX >> 10);
	v->rom = malloc(v->cfg.rom_size ? v->cfg.rom_size : 1);
	if (!v->rom)
		return err_set(e, -ENOMEM, "no memory for the graphics card's ROM");
	if (v->cfg.rom_size)
		memcpy(v->rom, v->cfg.rom, v->cfg.rom_size);
	return 0;
}

static int set_up(struct vga *v, struct err *e)
{
	const struct display_head head = { .draw = vga_draw, .opaque = v };
	int ret = take_rom(v, e);

	if (ret == 0)
		ret = gmem_add_card(v->vm->mem, VGA_MEMORY, "vga", &v->mem, e);
	if (ret == 0 && !v->cfg.plain)
		ret = attach_legacy(v, e);
	if (ret == 0)
		ret = attach_pci(v, e);
	if (ret == 0 && v->cfg.display)
		ret = display_attach(v->cfg.display, &head, e);
	return ret == 0 ? dev_attach(v->vm, &vga_type, NULL, v, e) : ret;
}

int vga_create(struct vm *vm, const struct vga_config *cfg, struct err *e)
{
	struct vga *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return err_set(e, -ENOMEM, "no memory for the graphics card");
	v->vm = vm;
	v->cfg = *cfg;
	pthread_mutex_init(&v->lock, NULL);
	vga_regs_reset(v);
	vbe_reset(v);
	ret = set_up(v, e);
	if (ret < 0)
		vga_destroy(v);
	return ret;
}
