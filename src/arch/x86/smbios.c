/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/smbios.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = 16 << 10, STRUCT_MAX = 128 };
/* The kinds of structures (7.1 to 7.45) and their handles. */
enum { T_BIOS = 0, T_SYSTEM = 1, T_CHASSIS = 3, T_PROCESSOR = 4, T_ARRAY = 16, T_DEVICE = 17, T_MAPPED = 19,
       T_BOOT = 32, T_END = 127 };
enum { H_BIOS = 0x000, H_SYSTEM = 0x100, H_CHASSIS = 0x300, H_PROCESSOR = 0x400, H_ARRAY = 0x1000, H_DEVICE = 0x1100,
       H_MAPPED = 0x1300, H_BOOT = 0x2000, H_END = 0x7f00 };
enum { DEVICE_SIZE_MAX = 16 /* GiB a memory device */, MAKER = 1 /* the string "Panal" comes first */ };
#define GIB (UINT64_C(1) << 30)

struct build {
	uint8_t *buf;
	size_t len;
	unsigned count;
	size_t largest;
	bool full;
};

/* One structure: its formatted part, then its strings, each numbered from 1. */
static void put(struct build *b, uint8_t type, uint16_t handle, const uint8_t *body, size_t len,
		const char *const *text, unsigned texts)
{
	size_t need = 4 + len + 2;
	for (unsigned n = 0; n < texts; n++)
		need += strlen(text[n]) + 1;
	if (b->len + need > TABLES_MAX) {
		b->full = true;
		return;
	}
	uint8_t *p = b->buf + b->len, *at = p + 4 + len;
	p[0] = type;
	p[1] = (uint8_t)(4 + len);
	store_le16(p + 2, handle);
	memcpy(p + 4, body, len);
	for (unsigned n = 0; n < texts; n++) {
		memcpy(at, text[n], strlen(text[n]) + 1);
		at += strlen(text[n]) + 1;
	}
	if (!texts)
		*at++ = 0;
	*at++ = 0;
	size_t size = (size_t)(at - p);
	b->len += size;
	b->count++;
	if (size > b->largest)
		b->largest = size;
}

static void bios(struct build *b)
{
	/* vendor, version, segment, date, ROM size; of the characteristics "virtual machine", "targeted content" */
	uint8_t s[20] = {1, 2, 0x00, 0xe8, 3, 0, 0x08, [14] = 0x00, 0x14, 0, 0, 0xff, 0xff};
	const char *text[] = {"Panal", "1.0", "01/01/2026"};
	put(b, T_BIOS, H_BIOS, s, sizeof(s), text, COUNT_OF(text));
}

static void system_info(struct build *b, const struct smbios_config *c)
{
	uint8_t s[23] = {MAKER, 2, 3, 0, [20] = 6 /* power switch */, 0, 0};
	const char *text[] = {"Panal", "Virtual machine", "board pc"};
	/* The first three fields are little-endian here (7.2.1). */
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	for (unsigned n = 0; n < 16; n++)
		s[4 + n] = c->uuid[order[n]];
	put(b, T_SYSTEM, H_SYSTEM, s, sizeof(s), text, COUNT_OF(text));
}

static void chassis(struct build *b)
{
	uint8_t s[18] = {MAKER, 1 /* other */, 0, 0, 0, 3, 3, 3, 2};
	const char *text[] = {"Panal"};
	put(b, T_CHASSIS, H_CHASSIS, s, sizeof(s), text, COUNT_OF(text));
}

static void processor(struct build *b, const struct smbios_config *c, unsigned socket)
{
	unsigned cores = c->topology.cores * (c->topology.dies ? c->topology.dies : 1),
	threads = cores * c->topology.threads;
	uint16_t mhz = (uint16_t)(c->tsc_khz / 1000);
	char name[16];
	uint8_t s[44] = {1, 3 /* central processor */, 1 /* other family */, 2};
	snprintf(name, sizeof(name), "CPU %u", socket);
	const char *text[] = {name, c->vendor_id, c->model};
	store_le32(s + 4, c->cpuid_eax);
	store_le32(s + 8, c->cpuid_edx);
	s[12] = 3; /* version: the model name */
	s[13] = c->voltage_dv ? 0x80 | c->voltage_dv : 0;
	store_le16(s + 16, mhz); /* maximum and current speed */
	store_le16(s + 18, mhz);
	s[20] = 0x41; /* populated, enabled */
	s[21] = 1;
	store_le16(s + 22, 0xffff); /* caches: none told */
	store_le16(s + 24, 0xffff);
	store_le16(s + 26, 0xffff);
	s[31] = s[32] = cores > 255 ? 255 : (uint8_t)cores;
	s[33] = threads > 255 ? 255 : (uint8_t)threads;
	store_le16(s + 34, cores > 1 ? 0x2c : 0x24); /* 64-bit, execute protection, multi-core */
	store_le16(s + 36, 1);
	store_le16(s + 38, (uint16_t)cores);
	store_le16(s + 40, (uint16_t)cores);
	store_le16(s + 42, (uint16_t)threads);
	put(b, T_PROCESSOR, (uint16_t)(H_PROCESSOR + socket), s, sizeof(s), text, COUNT_OF(text));
}

static unsigned devices_of(const struct smbios_config *c)
{
	uint64_t step = DEVICE_SIZE_MAX * GIB, n = (c->memory + step - 1) / step;
	return n > 64 ? 64 : (unsigned)n;
}

static void memory_array(struct build *b, const struct smbios_config *c)
{
	uint8_t s[19] = {1 /* other */, 3 /* system memory */, 6 /* multi-bit ECC */};
	store_le32(s + 3, 0x80000000u);
	store_le16(s + 7, 0xfffe);
	store_le16(s + 9, (uint16_t)devices_of(c));
	store_le64(s + 11, c->memory);
	put(b, T_ARRAY, H_ARRAY, s, sizeof(s), NULL, 0);
}

static void memory_device(struct build *b, unsigned n, uint64_t size)
{
	char name[16];
	uint8_t s[36] = {0};
	uint64_t mib = size >> 20;
	snprintf(name, sizeof(name), "DIMM %u", n);
	const char *text[] = {name, "Panal"};
	store_le16(s, H_ARRAY);
	store_le16(s + 2, 0xfffe);
	store_le16(s + 4, 0xffff); /* widths: unknown */
	store_le16(s + 6, 0xffff);
	store_le16(s + 8, mib < 0x7fff ? (uint16_t)mib : 0x7fff);
	store_le32(s + 24, mib < 0x7fff ? 0 : (uint32_t)mib);
	s[10] = 9;  /* DIMM */
	s[12] = 1;  /* locator */
	s[14] = 7;  /* RAM */
	s[15] = 2;  /* other */
	s[19] = 2;  /* manufacturer */
	put(b, T_DEVICE, (uint16_t)(H_DEVICE + n), s, sizeof(s), text, COUNT_OF(text));
}

static void mapped(struct build *b, unsigned n, uint64_t from, uint64_t size)
{
	uint8_t s[27] = {0};
	if (!size)
		return;
	store_le32(s, (uint32_t)(from >> 10));
	store_le32(s + 4, (uint32_t)((from + size - 1) >> 10));
	store_le16(s + 8, H_ARRAY);
	s[10] = 1;
	if ((from + size) >> 42) { /* beyond 32 bits of KiB: the extended fields (7.20) */
		store_le32(s, UINT32_MAX);
		store_le32(s + 4, UINT32_MAX);
		store_le64(s + 11, from);
		store_le64(s + 19, from + size - 1);
	}
	put(b, T_MAPPED, (uint16_t)(H_MAPPED + n), s, sizeof(s), NULL, 0);
}

static void tables(struct build *b, const struct smbios_config *c)
{
	uint64_t left = c->memory;
	bios(b);
	system_info(b, c);
	chassis(b);
	for (unsigned n = 0; n < c->topology.sockets; n++)
		processor(b, c, n);
	memory_array(b, c);
	for (unsigned n = 0, count = devices_of(c); n < count; n++) {
		uint64_t size = n + 1 < count && left > DEVICE_SIZE_MAX * GIB ? DEVICE_SIZE_MAX * GIB : left;
		memory_device(b, n, size);
		left -= size;
	}
	mapped(b, 0, 0, c->low);
	mapped(b, 1, 4 * GIB, c->memory - c->low);
	put(b, T_BOOT, H_BOOT, (const uint8_t[7]){0}, 7, NULL, 0);
	put(b, T_END, H_END, NULL, 0, NULL, 0);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t v = 0;
	while (len--)
		v += *p++;
	return (uint8_t)-v;
}

/* The 32-bit entry point (5.2.1); the firmware fills in the address and both checksums. */
static void anchor(const struct build *b, uint8_t a[31])
{
	memset(a, 0, 31);
	memcpy(a, "_SM_", 4);
	a[5] = 31;
	a[6] = 2;
	a[7] = 8;
	store_le16(a + 8, (uint16_t)b->largest);
	memcpy(a + 16, "_DMI_", 5);
	store_le16(a + 22, (uint16_t)b->len);
	store_le16(a + 28, (uint16_t)b->count);
	a[30] = 0x28;
	a[21] = sum(a + 16, 15);
	a[4] = sum(a, 31);
}

int smbios_build(const struct smbios_config *cfg, struct smbios_files *out, struct err *e)
{
	struct build b = {.buf = calloc(1, TABLES_MAX)};
	if (!b.buf)
		return err_set(e, -ENOMEM, "no memory for the SMBIOS tables");
	tables(&b, cfg);
	if (b.full) {
		free(b.buf);
		return err_set(e, -ENOSPC, "the SMBIOS tables would be longer than %d bytes", TABLES_MAX);
	}
	out->tables = b.buf;
	out->tables_len = b.len;
	anchor(&b, out->anchor);
	return 0;
}
