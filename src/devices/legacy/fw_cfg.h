/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: the items that SeaBIOS, OVMF and option ROMs read from the machine (QEMU's docs/specs/fw_cfg). Each item has
 * a 16-bit key; those with a name are listed in the file directory. Ports 0x510 (selector), 0x511 (data), 0x514 (DMA).
 */
#ifndef PANAL_DEVICES_LEGACY_FW_CFG_H
#define PANAL_DEVICES_LEGACY_FW_CFG_H

#include "base/err.h"

struct fw_cfg;
struct vm;

/* Keys without a name. */
enum fw_cfg_key {
	FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03, FW_CFG_NOGRAPHIC = 0x04, FW_CFG_NB_CPUS = 0x05,
	FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_INITRD_ADDR = 0x0a, FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15, FW_CFG_SETUP_ADDR = 0x16,
	FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18, FW_CFG_IRQ0_OVERRIDE = 0x8002,
};
enum { FW_CFG_FILES_MAX = 64, FW_CFG_NAME_MAX = 55, FW_CFG_ITEM_MAX = 1 << 30, FW_CFG_WRITABLE_MAX = 64,
       FW_CFG_PORT = 0x510, FW_CFG_PORTS = 12 };

/* Owned by the machine. */
int fw_cfg_create(struct vm *vm, struct fw_cfg **out, struct err *e) ATTR_MUST_USE;

/* Before the machine runs. The bytes are copied; an item that is there already is replaced. Errors: -ENOSPC (too many
 * files, or larger than FW_CFG_ITEM_MAX), -EINVAL (name too long), -ENOMEM. */
int fw_cfg_add(struct fw_cfg *fc, uint16_t key, const void *bytes, size_t len, struct err *e) ATTR_MUST_USE;
int fw_cfg_add_file(struct fw_cfg *fc, const char *name, const void *bytes, size_t len, struct err *e) ATTR_MUST_USE;
/* As fw_cfg_add, but the bytes are not copied: they stay where they are as long as the machine lives. */
int fw_cfg_lend(struct fw_cfg *fc, uint16_t key, const void *bytes, size_t len, struct err *e) ATTR_MUST_USE;
/* As fw_cfg_add_file, but lent. */
int fw_cfg_lend_file(struct fw_cfg *fc, const char *name, const void *bytes, size_t len, struct err *e) ATTR_MUST_USE;
/* A file that the guest writes, by DMA. The item is lent; a write to it goes to written alone, on the vCPU's
 * thread, checked
 * to lie within it. -ENOSPC: longer than FW_CFG_WRITABLE_MAX, else as fw_cfg_add_file. */
struct fw_cfg_writable {
	const void *bytes;
	size_t len;
	void (*written)(void *opaque, uint32_t at, const uint8_t *bytes, uint32_t len);
	void *opaque;
};
int fw_cfg_lend_writable(struct fw_cfg *fc, const char *name, const struct fw_cfg_writable *w,
                         struct err *e) ATTR_MUST_USE;
/* Numbers are little-endian; bytes is 1 to 8. */
int fw_cfg_add_int(struct fw_cfg *fc, uint16_t key, uint64_t value, unsigned bytes, struct err *e) ATTR_MUST_USE;
int fw_cfg_add_file_int(struct fw_cfg *fc, const char *name, uint64_t value, unsigned bytes,
                        struct err *e) ATTR_MUST_USE;

#endif
