/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Graphics cards: a VGA with Bochs' VBE registers (PCI 1234:1111, which SeaBIOS's VGA BIOS, OVMF and Linux's bochs-drm
 * drive), and the same without VGA, called bochs-display (class "other display controller").
 */
#ifndef PANAL_DEVICES_DISPLAY_VGA_H
#define PANAL_DEVICES_DISPLAY_VGA_H

#include "base/err.h"

struct display;
struct pci_bus;
struct vm;

enum { VGA_MEMORY = 16 << 20, VGA_ROM_MAX = 256 << 10 };

struct vga_config {
	struct pci_bus *bus;
	uint8_t slot;
	bool plain;             /* bochs-display: registers and framebuffer only */
	struct display *display; /* NULL: nobody looks */
	const void *rom;         /* option ROM, copied; NULL: none */
	size_t rom_size;         /* at most VGA_ROM_MAX */
};

/* The machine's; before vCPUs run. Not plain: ports 0x3b0-0x3df and 0x1ce-0x1d0, memory 0xa0000-0xbffff. */
int vga_create(struct vm *vm, const struct vga_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
