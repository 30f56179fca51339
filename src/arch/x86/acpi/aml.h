/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer of ACPI Machine Language (ACPI 6.4, chapters 6.4 and 20): terms are appended in order, and what has a
 * length is opened and closed. A failure (no memory, nesting too deep, name malformed) is remembered; the caller
 * looks at it once, at the end. One thread.
 */
#ifndef PANAL_ARCH_X86_ACPI_AML_H
#define PANAL_ARCH_X86_ACPI_AML_H

#include "base/compiler.h"

enum { AML_DEPTH_MAX = 16 };

struct aml {
	uint8_t *buf;
	size_t len, cap;
	int failed; /* 0 or a negative errno */
	unsigned depth;
	struct {
		size_t at;      /* where the package length goes */
		size_t size_at; /* resource templates: where the buffer's size goes; else 0 */
	} open[AML_DEPTH_MAX];
};

void aml_free(struct aml *a);
void aml_bytes(struct aml *a, const void *p, size_t len);
void aml_byte(struct aml *a, uint8_t v);

/* Paths are written as in ASL: "\\_SB.PCI0", "_CRS", "^FOO"; segments are filled up with '_'. */
void aml_path(struct aml *a, const char *path);

/* Data. An integer takes the shortest form. */
void aml_int(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
void aml_eisa_id(struct aml *a, const char *id); /* "PNP0A08" */
void aml_buffer(struct aml *a, const void *p, size_t len);

/* Name (path, ...): the object follows. */
void aml_name(struct aml *a, const char *path);
void aml_name_int(struct aml *a, const char *path, uint64_t v);
void aml_name_string(struct aml *a, const char *path, const char *s);
void aml_name_eisa_id(struct aml *a, const char *path, const char *id);

/* What is closed by aml_end. */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *path);
void aml_method(struct aml *a, const char *path, unsigned args, bool serialized);
void aml_package(struct aml *a, unsigned elements); /* up to 255 */
void aml_if(struct aml *a);                         /* the predicate follows */
void aml_else(struct aml *a);
void aml_end(struct aml *a);

/* Terms of methods; operands follow in prefix order. */
enum {
	AML_ZERO = 0x00, AML_ONE = 0x01, AML_ARG0 = 0x68, AML_AND = 0x7b, AML_OR = 0x7d, AML_CREATE_DWORD_FIELD = 0x8a,
	AML_DWORD = 0x0c, AML_LOCAL0 = 0x60, AML_STORE = 0x70, AML_NOTIFY = 0x86,
	AML_INDEX = 0x88, AML_EQUAL = 0x93, AML_RETURN = 0xa4,
};

/* Name (path, ResourceTemplate () { ... }), closed by aml_resources_end. */
void aml_resources(struct aml *a, const char *path);
void aml_resources_end(struct aml *a);
void aml_res_io(struct aml *a, uint16_t port, uint8_t len);
void aml_res_irq(struct aml *a, unsigned irq); /* ISA: edge, active high */
void aml_res_dma(struct aml *a, unsigned channel); /* ISA: bytes, no bus master */
void aml_res_interrupt(struct aml *a, uint32_t gsi, bool level, bool active_low, bool shared);
void aml_res_memory32(struct aml *a, uint32_t base, uint32_t size);
/* Windows of a bridge: what it passes on. */
void aml_res_bus_window(struct aml *a, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_res_memory32_window(struct aml *a, uint32_t base, uint32_t size);
void aml_res_memory64_window(struct aml *a, uint64_t base, uint64_t size);

#endif
