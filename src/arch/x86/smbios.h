/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS tables (DMTF DSP0134, version 2.8) for firmware that puts them into memory: fw_cfg's files of these names.
 * They are what dmidecode shows in the guest.
 */
#ifndef PANAL_ARCH_X86_SMBIOS_H
#define PANAL_ARCH_X86_SMBIOS_H

#include "arch/x86/cpuid.h"
#include "base/err.h"

#define SMBIOS_FILE_TABLES "etc/smbios/smbios-tables"
#define SMBIOS_FILE_ANCHOR "etc/smbios/smbios-anchor"

struct smbios_config {
	struct x86_topology topology;
	uint64_t memory; /* bytes */
	uint64_t low;    /* of these below 4 GiB */
	uint32_t tsc_khz;
	uint32_t cpuid_eax, cpuid_edx; /* leaf 1 of the boot processor */
	const char *vendor_id, *model; /* of the processor */
	uint8_t voltage_dv;            /* processor voltage in tenths of a volt; 0: unknown */
	uint8_t uuid[16];              /* as libvirt writes it, big-endian fields; all zeros: not set */
};

struct smbios_files {
	uint8_t *tables; /* malloc'ed, the caller frees */
	size_t tables_len;
	uint8_t anchor[31];
};

int smbios_build(const struct smbios_config *cfg, struct smbios_files *out, struct err *e) ATTR_MUST_USE;

#endif
