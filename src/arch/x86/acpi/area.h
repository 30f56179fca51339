/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the ACPI tables: the area in which they are put together. */
#ifndef PANAL_ARCH_X86_ACPI_AREA_H
#define PANAL_ARCH_X86_ACPI_AREA_H

#include "arch/x86/acpi/acpi.h"
#include "arch/x86/acpi/aml.h"

enum { ACPI_TABLES_MAX = 16, ACPI_LINKS_MAX = 4 * ACPI_TABLES_MAX, ACPI_SPANS_MAX = ACPI_TABLES_MAX + 4 };

/* A place in the area that holds an address, or a table whose checksum covers it all. */
struct acpi_link {
	uint32_t at;
	uint8_t bytes;
};
struct acpi_span {
	uint32_t at, len;
};

/* The area under construction; tables are appended in it and linked by address. */
struct acpi_area {
	const struct acpi_config *cfg;
	struct aml out; /* used as a growing buffer */
	uint64_t table[ACPI_TABLES_MAX];
	unsigned tables;
	struct acpi_link link[ACPI_LINKS_MAX];
	struct acpi_span span[ACPI_SPANS_MAX];
	unsigned links, spans;
	uint64_t rsdt, xsdt;
	uint32_t generation_at; /* of the generation ID's address in the DSDT; 0: none */
};

/* A table begins; returns its offset. acpi_listed ends it: length, checksum, a place in the XSDT. */
size_t acpi_begin(struct acpi_area *ar, const char *signature, uint8_t revision);
void acpi_listed(struct acpi_area *ar, size_t at);
void acpi_zeros(struct acpi_area *ar, size_t n);
void acpi_put8(struct acpi_area *ar, uint8_t v);
void acpi_put16(struct acpi_area *ar, uint16_t v);
void acpi_put32(struct acpi_area *ar, uint32_t v);
void acpi_put64(struct acpi_area *ar, uint64_t v);

/* numa_tables.c: SRAT, SLIT, and HMAT where something was told for it. */
void acpi_numa_tables(struct acpi_area *ar);

#endif
