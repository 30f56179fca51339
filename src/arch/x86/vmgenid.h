/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM generation ID (Microsoft's "Virtual Machine Generation ID" of 2012, with QEMU's docs/specs/vmgenid for the
 * way it takes):
 * 16 bytes in guest memory that change when the machine is a copy of another or goes back in time, so that the
 * guest draws new
 * random numbers. Firmware places the page, tells its address through fw_cfg, and links the ACPI device VGEN to it.
 */
#ifndef PANAL_ARCH_X86_VMGENID_H
#define PANAL_ARCH_X86_VMGENID_H

#include "base/err.h"

struct fw_cfg;
struct pm;
struct vm;
struct vmgenid;

enum { VMGENID_BYTES = 16, VMGENID_GPE = 5, VMGENID_PAGE = 4096, VMGENID_AT = 40 /* in the page */ };
#define VMGENID_FILE "etc/vmgenid_guid"
#define VMGENID_ADDRESS_FILE "etc/vmgenid_addr"

struct vmgenid_config {
	struct fw_cfg *fw_cfg;
	struct pm *pm; /* whose general-purpose event VMGENID_GPE tells the guest */
	uint8_t id[VMGENID_BYTES]; /* in the order of its text */
};

int vmgenid_create(struct vm *vm, const struct vmgenid_config *cfg, struct vmgenid **out, struct err *e) ATTR_MUST_USE;
/* A new one, of which the guest is told. Main loop. */
void vmgenid_set(struct vmgenid *g, const uint8_t id[VMGENID_BYTES]);
void vmgenid_get(struct vmgenid *g, uint8_t id[VMGENID_BYTES]);

#endif
