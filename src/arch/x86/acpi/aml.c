/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/acpi/aml.h"

#include "base/bytes.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_STRING = 0x0d, OP_QWORD = 0x0e,
	OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_METHOD = 0x14, OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f, OP_EXT = 0x5b, OP_DEVICE = 0x82, OP_IF = 0xa0, OP_ELSE = 0xa1,
};
enum { NAME_SEGMENTS_MAX = 8, BUFFER_MAX = 1 << 20 };

void aml_free(struct aml *a)
{
	free(a->buf);
	*a = (struct aml){0};
}

static bool reserve(struct aml *a, size_t len)
{
	if (a->failed)
		return false;
	if (len <= a->cap - a->len)
		return true;
	size_t cap = a->cap ? a->cap : 4096;
	while (cap - a->len < len && cap < BUFFER_MAX)
		cap *= 2;
	uint8_t *buf = cap - a->len < len ? NULL : realloc(a->buf, cap);
	if (!buf) {
		a->failed = -ENOMEM;
		return false;
	}
	a->buf = buf;
	a->cap = cap;
	return true;
}

void aml_bytes(struct aml *a, const void *p, size_t len)
{
	if (!len || !reserve(a, len))
		return;
	memcpy(a->buf + a->len, p, len);
	a->len += len;
}

void aml_byte(struct aml *a, uint8_t v) { aml_bytes(a, &v, 1); }

static void word(struct aml *a, uint16_t v) { aml_bytes(a, &v, 2); }
static void dword(struct aml *a, uint32_t v) { aml_bytes(a, &v, 4); }
static void qword(struct aml *a, uint64_t v) { aml_bytes(a, &v, 8); }

static void insert(struct aml *a, size_t at, const uint8_t *p, size_t len)
{
	if (!reserve(a, len))
		return;
	memmove(a->buf + at + len, a->buf + at, a->len - at);
	memcpy(a->buf + at, p, len);
	a->len += len;
}

/* ---- names and data ---- */

/* One segment: up to four characters, filled with '_'. Returns how many characters of s it took, 0 on error. */
static size_t segment(const char *s, uint8_t out[4])
{
	size_t n = 0;
	memset(out, '_', 4);
	for (; s[n] && s[n] != '.'; n++) {
		bool letter = (s[n] >= 'A' && s[n] <= 'Z') || s[n] == '_', digit = s[n] >= '0' && s[n] <= '9';
		if (n == 4 || !(letter || (digit && n)))
			return 0;
		out[n] = s[n];
	}
	return n;
}

void aml_path(struct aml *a, const char *path)
{
	uint8_t seg[NAME_SEGMENTS_MAX][4];
	unsigned count = 0;
	for (; *path == '\\' || *path == '^'; path++)
		aml_byte(a, *path);
	while (*path) {
		size_t n = count < NAME_SEGMENTS_MAX ? segment(path, seg[count++]) : 0;
		if (!n) {
			a->failed = a->failed ? a->failed : -EINVAL;
			return;
		}
		path += n;
		path += *path == '.';
	}
	if (count == 2)
		aml_byte(a, OP_DUAL_NAME);
	if (count > 2) {
		aml_byte(a, OP_MULTI_NAME);
		aml_byte(a, count);
	}
	aml_bytes(a, seg, count * 4);
	if (!count)
		aml_byte(a, AML_ZERO);
}

void aml_int(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		aml_byte(a, v ? AML_ONE : AML_ZERO);
	} else if (v <= UINT8_MAX) {
		aml_byte(a, OP_BYTE);
		aml_byte(a, v);
	} else if (v <= UINT16_MAX) {
		aml_byte(a, OP_WORD);
		word(a, v);
	} else if (v <= UINT32_MAX) {
		aml_byte(a, OP_DWORD);
		dword(a, v);
	} else {
		aml_byte(a, OP_QWORD);
		qword(a, v);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

static unsigned hex(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

/* ACPI 6.4 19.3.4: three letters of five bits and four hexadecimal digits, as a big-endian number. */
void aml_eisa_id(struct aml *a, const char *id)
{
	assert(strlen(id) == 7);
	uint32_t v = (uint32_t)((id[0] - 0x40) & 31) << 26 | (uint32_t)((id[1] - 0x40) & 31) << 21 |
		     (uint32_t)((id[2] - 0x40) & 31) << 16 | hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 |
		     hex(id[6]);
	aml_byte(a, OP_DWORD);
	dword(a, __builtin_bswap32(v));
}

void aml_name(struct aml *a, const char *path)
{
	aml_byte(a, OP_NAME);
	aml_path(a, path);
}

void aml_name_int(struct aml *a, const char *path, uint64_t v)
{
	aml_name(a, path);
	aml_int(a, v);
}

void aml_name_string(struct aml *a, const char *path, const char *s)
{
	aml_name(a, path);
	aml_string(a, s);
}

void aml_name_eisa_id(struct aml *a, const char *path, const char *id)
{
	aml_name(a, path);
	aml_eisa_id(a, id);
}

/* ---- what has a length ---- */

static void open_package(struct aml *a)
{
	if (a->depth == AML_DEPTH_MAX) {
		a->failed = a->failed ? a->failed : -E2BIG;
		return;
	}
	a->open[a->depth].size_at = 0;
	a->open[a->depth++].at = a->len;
}

/* PkgLength (ACPI 6.4 20.2.4) counts its own bytes. */
void aml_end(struct aml *a)
{
	if (a->failed)
		return;
	assert(a->depth);
	size_t at = a->open[--a->depth].at, len = a->len - at;
	uint8_t b[4];
	unsigned n = len + 1 < 0x40 ? 1 : len + 2 < 0x1000 ? 2 : len + 3 < 0x100000 ? 3 : 4;
	len += n;
	b[0] = n == 1 ? len : (n - 1) << 6 | (len & 15);
	b[1] = len >> 4;
	b[2] = len >> 12;
	b[3] = len >> 20;
	insert(a, at, b, n);
}

void aml_scope(struct aml *a, const char *path)
{
	aml_byte(a, OP_SCOPE);
	open_package(a);
	aml_path(a, path);
}

void aml_device(struct aml *a, const char *path)
{
	aml_byte(a, OP_EXT);
	aml_byte(a, OP_DEVICE);
	open_package(a);
	aml_path(a, path);
}

void aml_method(struct aml *a, const char *path, unsigned args, bool serialized)
{
	aml_byte(a, OP_METHOD);
	open_package(a);
	aml_path(a, path);
	aml_byte(a, args | (serialized ? 8 : 0));
}

void aml_package(struct aml *a, unsigned elements)
{
	assert(elements <= 255);
	aml_byte(a, OP_PACKAGE);
	open_package(a);
	aml_byte(a, elements);
}

void aml_if(struct aml *a)
{
	aml_byte(a, OP_IF);
	open_package(a);
}

void aml_else(struct aml *a)
{
	aml_byte(a, OP_ELSE);
	open_package(a);
}

void aml_buffer(struct aml *a, const void *p, size_t len)
{
	aml_byte(a, OP_BUFFER);
	open_package(a);
	aml_int(a, len);
	aml_bytes(a, p, len);
	aml_end(a);
}

/* ---- resource templates (ACPI 6.4 6.4) ---- */

enum {
	RES_IRQ = 0x22, RES_DMA = 0x2a,
	 RES_IO = 0x47, RES_END = 0x79, RES_MEMORY32_FIXED = 0x86, RES_DWORD_SPACE = 0x87,
	RES_WORD_SPACE = 0x88, RES_INTERRUPT = 0x89, RES_QWORD_SPACE = 0x8a,
};
enum { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_BUS = 2 };
enum { SPACE_MIN_FIXED = 4, SPACE_MAX_FIXED = 8, IO_ENTIRE_RANGE = 3, MEMORY_WRITABLE = 1 };

void aml_resources(struct aml *a, const char *path)
{
	aml_name(a, path);
	aml_byte(a, OP_BUFFER);
	open_package(a);
	aml_byte(a, OP_WORD);
	if (!a->failed)
		a->open[a->depth - 1].size_at = a->len;
	word(a, 0);
}

void aml_resources_end(struct aml *a)
{
	aml_byte(a, RES_END);
	aml_byte(a, 0); /* no checksum */
	if (a->failed)
		return;
	assert(a->depth && a->open[a->depth - 1].size_at);
	size_t at = a->open[a->depth - 1].size_at;
	store_le16(a->buf + at, a->len - at - 2);
	aml_end(a);
}

void aml_res_io(struct aml *a, uint16_t port, uint8_t len)
{
	aml_byte(a, RES_IO);
	aml_byte(a, 1); /* decodes 16 bits */
	word(a, port);
	word(a, port);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void aml_res_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, RES_IRQ);
	word(a, 1u << irq);
}

void aml_res_dma(struct aml *a, unsigned channel)
{
	aml_byte(a, RES_DMA);
	aml_byte(a, (uint8_t)(1u << channel));
	aml_byte(a, 0);
}

void aml_res_interrupt(struct aml *a, uint32_t gsi, bool level, bool active_low, bool shared)
{
	aml_byte(a, RES_INTERRUPT);
	word(a, 6);
	aml_byte(a, 1 | (level ? 0 : 2) | (active_low ? 4 : 0) | (shared ? 8 : 0)); /* bit 0: consumer */
	aml_byte(a, 1);
	dword(a, gsi);
}

void aml_res_memory32(struct aml *a, uint32_t base, uint32_t size)
{
	aml_byte(a, RES_MEMORY32_FIXED);
	word(a, 9);
	aml_byte(a, 1);
	dword(a, base);
	dword(a, size);
}

static void word_window(struct aml *a, unsigned space, unsigned specific, uint16_t first, uint16_t last)
{
	aml_byte(a, RES_WORD_SPACE);
	word(a, 13);
	aml_byte(a, space);
	aml_byte(a, SPACE_MIN_FIXED | SPACE_MAX_FIXED);
	aml_byte(a, specific);
	word(a, 0); /* granularity */
	word(a, first);
	word(a, last);
	word(a, 0); /* translation */
	word(a, last - first + 1);
}

void aml_res_bus_window(struct aml *a, uint16_t first, uint16_t last)
{
	word_window(a, SPACE_BUS, 0, first, last);
}

void aml_res_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	word_window(a, SPACE_IO, IO_ENTIRE_RANGE, first, last);
}

void aml_res_memory32_window(struct aml *a, uint32_t base, uint32_t size)
{
	aml_byte(a, RES_DWORD_SPACE);
	word(a, 23);
	aml_byte(a, SPACE_MEMORY);
	aml_byte(a, SPACE_MIN_FIXED | SPACE_MAX_FIXED);
	aml_byte(a, MEMORY_WRITABLE);
	dword(a, 0);
	dword(a, base);
	dword(a, base + size - 1);
	dword(a, 0);
	dword(a, size);
}

void aml_res_memory64_window(struct aml *a, uint64_t base, uint64_t size)
{
	aml_byte(a, RES_QWORD_SPACE);
	word(a, 43);
	aml_byte(a, SPACE_MEMORY);
	aml_byte(a, SPACE_MIN_FIXED | SPACE_MAX_FIXED);
	aml_byte(a, MEMORY_WRITABLE | 1 << 1); /* cacheable: prefetchable BARs live here */
	qword(a, 0);
	qword(a, base);
	qword(a, base + size - 1);
	qword(a, 0);
	qword(a, size);
}
