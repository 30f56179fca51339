/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NVM Express 1.4 controller with one namespace of 512-byte blocks: 16 pairs of I/O queues, PRPs, MSI-X or the
 * interrupt pin, deallocation, write zeroes.
 */
#ifndef PANAL_DEVICES_STORAGE_NVME_H
#define PANAL_DEVICES_STORAGE_NVME_H

#include "base/err.h"

struct blk;
struct pci_bus;
struct vm;

enum { NVME_SERIAL = 20 };

struct nvme_config {
	struct pci_bus *bus;
	uint8_t slot, function;
	struct blk *blk;    /* the controller's once it is made */
	const char *serial; /* up to NVME_SERIAL characters; NULL: the image's */
};

/* Main loop, before the machine runs. On failure blk stays the caller's. */
int nvme_create(struct vm *vm, const struct nvme_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
