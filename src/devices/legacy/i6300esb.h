/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watchdog timer of Intel's 6300ESB I/O controller hub (datasheet, chapter 16): a PCI function with two stages of a
 * down counter. When both have passed without a reload, the machine hears VM_REQUEST_WATCHDOG.
 */
#ifndef PANAL_DEVICES_LEGACY_I6300ESB_H
#define PANAL_DEVICES_LEGACY_I6300ESB_H

#include "base/err.h"

struct pci_bus;
struct timerq;
struct vm;

struct i6300esb_config {
	struct pci_bus *bus;
	uint8_t slot;
	struct timerq *timers; /* on the machine's clock */
};

/* Owned by the machine. */
int i6300esb_create(struct vm *vm, const struct i6300esb_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
