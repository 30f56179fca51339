/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio devices of a board, on PCI slots or MMIO windows in the order of the configuration. Boards use it. */
#ifndef PANAL_ARCH_X86_BOARD_VIRTIO_H
#define PANAL_ARCH_X86_BOARD_VIRTIO_H

#include "arch/x86/acpi/acpi.h"
#include "arch/x86/board.h"
#include "arch/x86/board_bridges.h"
#include "arch/x86/boot_order.h"
#include "arch/x86/gsi.h"

/* Where the next device goes. Slots are the configuration's, or handed out in order, as windows are, so addresses are
 * stable from start to start. */
struct board_virtio {
	struct vm *vm;
	struct gsi *gsi;
	struct input *input;
	struct pci_bus *bus; /* NULL: MMIO */
	struct virtio_balloon *balloon; /* NULL: none */
	struct boot_order order;
	struct board_bridges bridges;
	char path[BOOT_PATH_MAX]; /* of the bus that the last device was put on; empty: firmware has none */
	unsigned next;
	uint32_t slots_used; /* a bit for each */
	const uint8_t *slot; /* of the configuration, while devices are added */
	unsigned slot_count;
};

enum { BOARD_MMIO_SIZE = 0x200, BOARD_MMIO_GSI = 16, BOARD_MMIO_GSIS = 8 };
#define BOARD_MMIO_AT UINT64_C(0xfeb00000)

/* Takes the back ends out of cfg, see board.h. */
int board_virtio_add(struct board_virtio *bv, struct board_config *cfg, struct err *e) ATTR_MUST_USE;
/* The lowest PCI slot that is free, which is then taken; 0: there is none. */
unsigned board_virtio_slot(struct board_virtio *bv);
/* Tells the guest of MMIO windows. */
void board_virtio_describe(const struct board_virtio *bv, struct acpi_config *acpi);

#endif
