/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Direct boot of made kernels: what is put where, and headers that lie, at their limits. */
#include "images.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

enum { MEMORY = 32 * MIB, PVH_ENTRY = 512 + 16 /* in the file */ };

/* An error with a line for people. */
static void assert_refused(struct bench *b, const struct file *f, int code)
{
	assert_int_equal(bench_boot(b, f, NULL, "", false), code);
	assert_int_equal(b->e.code, code);
	assert_true(strlen(b->e.text) > 10);
	assert_null(strchr(b->e.text, '\n'));
}

static uint8_t byte_at(struct bench *b, uint64_t gpa)
{
	uint8_t v = 0;

	assert_int_equal(gmem_read(b->mem, gpa, &v, 1), 0);
	return v;
}

/* ---- ELF and PVH ---- */

static void test_pvh(void **state)
{
	struct file f;
	struct bench b;
	uint32_t info[14];

	elf64_make(&f, 100, 5000, true);
	bench_up(&b, MEMORY);
	assert_int_equal(bench_boot(&b, &f, NULL, "one two", false), 0);
	assert_int_equal(b.cpu.rip, KERNEL_AT);
	assert_int_equal(b.cpu.gpr[X86_RBX], BOOT_START_INFO);
	assert_int_equal(b.cpu.cr0 & X86_CR0_PG, 0);
	assert_int_equal(byte_at(&b, KERNEL_AT + 99), 0xf4);
	assert_int_equal(byte_at(&b, KERNEL_AT + 100), 0);
	assert_int_equal(byte_at(&b, KERNEL_AT + 4999), 0);
	assert_int_equal(byte_at(&b, KERNEL_AT + 5000), 0xa5);
	assert_int_equal(gmem_read(b.mem, BOOT_START_INFO, info, sizeof(info)), 0);
	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[3], 0);
	assert_int_equal(info[6], BOOT_CMDLINE);
	assert_memory_equal(gmem_at(b.mem, BOOT_CMDLINE, 8), "one two", 8);
	bench_down(&b);
}

static void test_pvh_entry(void **state)
{
	struct file f;
	struct bench b;

	elf64_make(&f, 100, 5000, true);
	bench_up(&b, MEMORY);
	for (unsigned n = 0; n < 4; n++) {
		store_le32(f.data + PVH_ENTRY, (const uint32_t[]){ KERNEL_AT - 1, KERNEL_AT + 5000, 0, UINT32_MAX }[n]);
		assert_refused(&b, &f, -EINVAL);
	}
	store_le32(f.data + PVH_ENTRY, KERNEL_AT + 4999);
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	assert_int_equal(b.cpu.rip, KERNEL_AT + 4999);
	bench_down(&b);
}

static void test_vmlinux(void **state)
{
	struct file f;
	struct bench b;

	elf64_make(&f, 100, 100, false);
	bench_up(&b, MEMORY);
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	assert_int_equal(b.cpu.rip, KERNEL_AT);
	assert_int_equal(b.cpu.gpr[X86_RSI], BOOT_ZERO_PAGE);
	assert_true(b.cpu.efer & X86_EFER_LMA);
	elf64_header(&f)->e_entry = KERNEL_AT - 1;
	assert_refused(&b, &f, -EINVAL);
	elf64_header(&f)->e_entry = KERNEL_AT + 100;
	assert_refused(&b, &f, -EINVAL);
	bench_down(&b);
}

/* One field of the header or of the PT_LOAD segment, and what comes of it. */
static void test_elf_lies(void **state)
{
	static const struct {
		uint64_t offset, paddr, filesz, memsz;
		int code;
	} lies[] = {
		{ 4097, KERNEL_AT, 100, 100, -EINVAL },
		{ 4096, KERNEL_AT, 101, 101, -EINVAL },
		{ UINT64_MAX, KERNEL_AT, 1, 1, -EINVAL },
		{ UINT64_MAX - 99, KERNEL_AT, 100, 100, -EINVAL },
		{ 4096, KERNEL_AT, UINT64_MAX, UINT64_MAX, -EINVAL },
		{ 4096, KERNEL_AT, 100, 99, -EINVAL },
		{ 4096, UINT64_MAX - 98, 100, 100, -EINVAL },
		{ 4096, UINT64_MAX - 99, 100, 100, -EINVAL },
		{ 4096, UINT64_MAX - 100, 100, 100, -EINVAL },
		{ 4096, KERNEL_AT, 100, UINT64_MAX - KERNEL_AT, -E2BIG },
		{ 4096, KERNEL_AT, 100, MEMORY - KERNEL_AT + 1, -E2BIG },
		{ 4096, KERNEL_AT, 100, MEMORY - KERNEL_AT, 0 },
		{ 4096, MEMORY - 100, 100, 100, 0 },
		{ 4096, MEMORY - 99, 100, 100, -E2BIG },
		{ 4096, UINT64_C(1) << 32, 100, 100, -EINVAL },
		{ 4096, 0, 100, 100, -EINVAL },
		{ 4096, BOOT_TABLES_END - 1, 100, 100, -EINVAL },
		{ 4096, BOOT_TABLES_END, 100, 100, 0 },
		{ 4096, BOOT_TABLES_END, 100, MIB, -EINVAL },
		{ 4096, 0xe0000, 100, 100, -EINVAL },
		{ 4096, BOOT_HIGH, 100, 100, 0 },
		{ 4096, KERNEL_AT, 0, 0, -EINVAL },
	};
	struct file f;
	struct bench b;

	bench_up(&b, MEMORY);
	for (size_t n = 0; n < COUNT_OF(lies); n++) {
		elf64_make(&f, 100, 100, true);
		*elf64_segment(&f, 0) = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_offset = lies[n].offset,
			.p_paddr = lies[n].paddr,
			.p_filesz = lies[n].filesz,
			.p_memsz = lies[n].memsz,
		};
		store_le32(f.data + PVH_ENTRY, (uint32_t)lies[n].paddr);
		if (lies[n].code)
			assert_refused(&b, &f, lies[n].code);
		else
			assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	}
	bench_down(&b);
}

static void test_elf_headers(void **state)
{
	struct file f;
	struct bench b;

	bench_up(&b, MEMORY);
	for (unsigned size = 1; size < 4096 + 100; size = size < 200 ? size + 1 : size + 97) {
		elf64_make(&f, 100, 100, true);
		f.size = size;
		assert_refused(&b, &f, -EINVAL);
	}
	elf64_make(&f, 100, 100, true);
	elf64_header(&f)->e_phoff = UINT64_MAX - 8;
	assert_refused(&b, &f, -EINVAL);
	elf64_make(&f, 100, 100, true);
	elf64_header(&f)->e_phnum = 0;
	assert_refused(&b, &f, -EINVAL);
	elf64_header(&f)->e_phnum = 0xffff;
	assert_refused(&b, &f, -EINVAL);
	elf64_make(&f, 100, 100, true);
	elf64_header(&f)->e_phentsize = 55;
	assert_refused(&b, &f, -EINVAL);
	elf64_make(&f, 100, 100, true);
	elf64_header(&f)->e_machine = EM_AARCH64;
	assert_refused(&b, &f, -EINVAL);
	bench_down(&b);
}

/* A note whose sizes lead out of its segment is none; the kernel is then plain ELF. */
static void test_notes(void **state)
{
	static const uint32_t notes[][3] = {
		{ UINT32_MAX, 4, 18 }, { 4, UINT32_MAX, 18 }, { UINT32_MAX - 2, UINT32_MAX - 2, 18 }, { 4, 3, 18 },
		{ 4, 5, 18 }, { 3, 4, 18 }, { 8, 4, 18 }, { 4, 4, 17 }, { 0, 0, 0 },
	};
	struct file f;
	struct elf_info info;

	for (size_t n = 0; n < COUNT_OF(notes); n++) {
		elf64_make(&f, 100, 100, true);
		memcpy(f.data + 512, notes[n], sizeof(notes[n]));
		assert_int_equal(elf_inspect(f.data, f.size, "made", &info, NULL), 0);
		assert_false(info.has_pvh);
	}
	elf64_make(&f, 100, 100, true);
	elf64_segment(&f, 1)->p_filesz = 19;
	assert_int_equal(elf_inspect(f.data, f.size, "made", &info, NULL), 0);
	assert_false(info.has_pvh);
	elf64_segment(&f, 1)->p_offset = f.size - 10;
	assert_int_equal(elf_inspect(f.data, f.size, "made", &info, NULL), -EINVAL);
}

/* ---- bzImage ---- */

static size_t trailer(uint8_t *out, size_t len, size_t unpacked)
{
	store_le32(out + len, (uint32_t)unpacked);
	return len + 4;
}

static size_t pack_gzip(const struct file *f, uint8_t *out)
{
	z_stream z = {
		.next_in = (uint8_t *)f->data, .avail_in = (unsigned)f->size, .next_out = out, .avail_out = IMAGE_MAX
	};

	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_xz(const struct file *f, uint8_t *out)
{
	size_t len = 0;

	assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, f->data, f->size, out, &len, IMAGE_MAX),
			 LZMA_OK);
	return trailer(out, len, f->size);
}

static size_t pack_lzma(const struct file *f, uint8_t *out)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma o;
	size_t len;

	assert_false(lzma_lzma_preset(&o, 1));
	assert_int_equal(lzma_alone_encoder(&s, &o), LZMA_OK);
	s.next_in = f->data;
	s.avail_in = f->size;
	s.next_out = out;
	s.avail_out = IMAGE_MAX;
	assert_int_equal(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
	len = s.total_out;
	lzma_end(&s);
	return trailer(out, len, f->size);
}

static size_t pack_lz4(const struct file *f, uint8_t *out)
{
	int len = LZ4_compress_default((const char *)f->data, (char *)out + 8, (int)f->size, IMAGE_MAX - 16);

	assert_true(len > 0);
	store_le32(out, 0x184c2102);
	store_le32(out + 4, (uint32_t)len);
	return trailer(out, (size_t)len + 8, f->size);
}

static size_t pack_zstd(const struct file *f, uint8_t *out)
{
	size_t len = ZSTD_compress(out, IMAGE_MAX - 16, f->data, f->size, 1);

	assert_false(ZSTD_isError(len));
	return trailer(out, len, f->size);
}

static size_t (*const packers[])(const struct file *, uint8_t *) = { pack_gzip, pack_xz, pack_lzma, pack_lz4,
								     pack_zstd };

static void test_payloads(void **state)
{
	struct file *f = malloc(sizeof(*f)), *vmlinux = malloc(sizeof(*f));
	uint8_t *packed = malloc(IMAGE_MAX);
	struct bench b;

	elf64_make(vmlinux, 100000, 300000, true);
	for (unsigned k = 0; k < 100000; k++)
		vmlinux->data[4096 + k] = (uint8_t)((k * k >> 7) ^ k);
	for (size_t n = 0; n < COUNT_OF(packers); n++) {
		size_t len = packers[n](vmlinux, packed);

		bench_up(&b, MEMORY);
		bzimage_make(f, packed, len);
		assert_int_equal(bench_boot(&b, f, NULL, "", false), 0);
		assert_int_equal(b.cpu.rip, KERNEL_AT);
		assert_memory_equal(gmem_at(b.mem, KERNEL_AT, 100000), vmlinux->data + 4096, 100000);
		/* The same, left to the guest. */
		assert_int_equal(bench_boot(&b, f, NULL, "", true), 0);
		assert_int_equal(b.cpu.rip, 0x100200);
		/* Damaged in the middle, cut, and with sizes that lie. */
		memset(packed + len / 2, 0xa5, 200);
		bzimage_make(f, packed, len);
		if (packers[n] == pack_gzip || packers[n] == pack_xz) /* the others have no sum over the contents */
			assert_refused(&b, f, -EINVAL);
		bzimage_make(f, packed, len / 3);
		assert_refused(&b, f, -EINVAL);
		len = packers[n](vmlinux, packed);
		for (unsigned k = 0; k < 4; k++) {
			store_le32(packed + len - 4, (const uint32_t[]){ 0, 1, UINT32_MAX, 200 }[k]);
			bzimage_make(f, packed, len);
			assert_refused(&b, f, -EINVAL);
		}
		bench_down(&b);
	}
	free(packed);
	free(vmlinux);
	free(f);
}

static void test_bzimage_lies(void **state)
{
	struct file f;
	struct bench b;
	struct setup_header *h = bzimage_header(&f);
	struct boot_params *bp;

	bench_up(&b, MEMORY);
	/* Not compressed in a known way: the guest does it. Payloads outside the file: as if none were told. */
	bzimage_make(&f, "unknown", 7);
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	assert_int_equal(b.cpu.rip, 0x100200);
	h->payload_offset = UINT32_MAX;
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	h->payload_length = UINT32_MAX;
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	h->payload_offset = (uint32_t)f.size;
	h->payload_length = 0;
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);

	bzimage_make(&f, "unknown", 7);
	h->syssize++;
	assert_refused(&b, &f, -EINVAL);
	h->syssize = UINT32_MAX;
	assert_refused(&b, &f, -EINVAL);
	h->syssize = 0;
	h->setup_sects = 255;
	assert_refused(&b, &f, -EINVAL);
	h->setup_sects = 0; /* means 4 */
	assert_refused(&b, &f, -EINVAL);

	bzimage_make(&f, "unknown", 7);
	h->init_size = UINT32_MAX;
	assert_refused(&b, &f, -E2BIG);
	h->init_size = MEMORY - KERNEL_AT;
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	h->init_size++;
	assert_refused(&b, &f, -E2BIG);
	h->pref_address = UINT64_MAX;
	assert_refused(&b, &f, -EINVAL);
	bzimage_make(&f, "unknown", 7);
	h->version = 0x205;
	assert_refused(&b, &f, -EINVAL);
	h->version = 0x20f;
	h->loadflags = 0;
	assert_refused(&b, &f, -EINVAL);

	/* A short header: what follows it is code and stays out of the zero page. */
	bzimage_make(&f, "unknown", 7);
	h->jump = 0x36eb;
	assert_int_equal(bench_boot(&b, &f, NULL, "", true), 0);
	bp = gmem_at(b.mem, BOOT_ZERO_PAGE, sizeof(*bp));
	assert_int_equal(bp->hdr.header, 0x53726448);
	assert_int_equal(bp->hdr.xloadflags, XLF_KERNEL_64);
	assert_int_equal(bp->hdr.cmdline_size, 0);
	assert_int_equal(bp->sentinel, 0);
	/* Files that end within the header. */
	for (f.size = 1; f.size < 0x300; f.size++)
		assert_int_equal(bench_boot(&b, &f, NULL, "", false), -EINVAL);
	bench_down(&b);
}

static void test_cmdline(void **state)
{
	struct file f;
	struct bench b;
	char *line = malloc(BOOT_CMDLINE_MAX + 2);

	memset(line, 'x', BOOT_CMDLINE_MAX + 2);
	line[BOOT_CMDLINE_MAX + 1] = 0;
	bench_up(&b, MEMORY);
	elf64_make(&f, 100, 100, true);
	elf64_segment(&f, 0)->p_paddr = BOOT_TABLES_END;
	store_le32(f.data + PVH_ENTRY, BOOT_TABLES_END);
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), -E2BIG);
	line[BOOT_CMDLINE_MAX] = 0;
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), 0);
	assert_int_equal(byte_at(&b, BOOT_CMDLINE + BOOT_CMDLINE_MAX - 1), 'x');
	assert_int_equal(byte_at(&b, BOOT_CMDLINE + BOOT_CMDLINE_MAX), 0);
	assert_int_equal(byte_at(&b, BOOT_TABLES_END), 0xf4);
	multiboot_make(&f);
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), 0);
	assert_int_equal(byte_at(&b, BOOT_CMDLINE + BOOT_CMDLINE_MAX), 0);
	/* Linux says how much it takes: 2047 here, and 255 where it says nothing. */
	bzimage_make(&f, "unknown", 7);
	line[2048] = 0;
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), -E2BIG);
	line[2047] = 0;
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), 0);
	bzimage_header(&f)->cmdline_size = 0;
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), -E2BIG);
	line[255] = 0;
	assert_int_equal(bench_boot(&b, &f, NULL, line, false), 0);
	bench_down(&b);
	free(line);
}

/* ---- initrds ---- */

static void test_initrds(void **state)
{
	struct file f, *one = malloc(sizeof(*one)), *two = malloc(sizeof(*two));
	const struct file *list[] = { one, two, NULL };
	struct bench b;
	struct boot_params *bp;
	uint64_t at;

	memset(one->data, 1, one->size = 5001);
	memset(two->data, 2, two->size = 6000);
	bzimage_make(&f, "unknown", 7);
	bench_up(&b, 8 * MIB);
	assert_int_equal(bench_boot(&b, &f, list, "", true), 0);
	bp = gmem_at(b.mem, BOOT_ZERO_PAGE, sizeof(*bp));
	at = bp->hdr.ramdisk_image;
	assert_int_equal(bp->hdr.ramdisk_size, 5004 + 6000);
	assert_int_equal(at % GMEM_PAGE, 0);
	assert_true(at >= KERNEL_AT + MIB && at + bp->hdr.ramdisk_size <= 8 * MIB);
	assert_int_equal(byte_at(&b, at + 5000), 1);
	/* The gap is zeros though memory was not. */
	for (unsigned n = 5001; n < 5004; n++)
		assert_int_equal(byte_at(&b, at + n), 0);
	assert_int_equal(byte_at(&b, at + 5004), 2);

	/* Where the kernel sets a limit, the last byte is at or below it. */
	bzimage_header(&f)->initrd_addr_max = 4 * MIB - 1;
	assert_int_equal(bench_boot(&b, &f, list, "", true), 0);
	assert_true(bp->hdr.ramdisk_image + bp->hdr.ramdisk_size <= 4 * MIB);
	bzimage_header(&f)->initrd_addr_max = KERNEL_AT + MIB + 100;
	assert_int_equal(bench_boot(&b, &f, list, "", true), -E2BIG);
	bzimage_header(&f)->initrd_addr_max = 1;
	assert_int_equal(bench_boot(&b, &f, list, "", true), -E2BIG);
	bzimage_header(&f)->initrd_addr_max = UINT32_MAX;
	assert_int_equal(bench_boot(&b, &f, list, "", true), 0);

	/* Exactly as much room as is needed, then a page less. */
	bzimage_header(&f)->init_size = 8 * MIB - KERNEL_AT - 3 * GMEM_PAGE;
	assert_int_equal(bench_boot(&b, &f, list, "", true), 0);
	bzimage_header(&f)->init_size += GMEM_PAGE;
	assert_int_equal(bench_boot(&b, &f, list, "", true), -E2BIG);

	elf64_make(&f, 100, 100, true);
	assert_int_equal(bench_boot(&b, &f, list, "", false), 0);
	elf64_segment(&f, 0)->p_memsz = 8 * MIB - KERNEL_AT - 2 * GMEM_PAGE;
	assert_int_equal(bench_boot(&b, &f, list, "", false), -E2BIG);
	bench_down(&b);
	free(one);
	free(two);
}

/* The smallest machine: 2 MiB. */
static void test_smallest(void **state)
{
	struct file f, initrd = { .size = 1000 };
	const struct file *list[] = { &initrd, NULL };
	struct bench b;

	bench_up(&b, 2 * MIB);
	elf64_make(&f, 100, 100, true);
	assert_refused(&b, &f, -E2BIG);
	elf64_segment(&f, 0)->p_paddr = BOOT_HIGH;
	store_le32(f.data + PVH_ENTRY, BOOT_HIGH);
	elf64_segment(&f, 0)->p_memsz = MIB;
	assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	assert_int_equal(bench_boot(&b, &f, list, "", false), -E2BIG);
	elf64_segment(&f, 0)->p_memsz = MIB - GMEM_PAGE;
	assert_int_equal(bench_boot(&b, &f, list, "", false), 0);
	bzimage_make(&f, "unknown", 7);
	assert_refused(&b, &f, -E2BIG);
	bench_down(&b);
}

/* ---- Multiboot ---- */

static void test_multiboot(void **state)
{
	struct file f, one = { .size = 5000 }, two = { .size = 3 };
	const struct file *list[] = { &one, &two, NULL };
	struct bench b;
	uint32_t info[22], module[8];

	multiboot_make(&f);
	bench_up(&b, MEMORY);
	assert_int_equal(bench_boot(&b, &f, list, "hello", false), 0);
	assert_int_equal(b.cpu.rip, KERNEL_AT + 64);
	assert_int_equal(b.cpu.gpr[X86_RAX], 0x2badb002);
	assert_int_equal(gmem_read(b.mem, b.cpu.gpr[X86_RBX], info, sizeof(info)), 0);
	assert_int_equal(info[1], 639);
	assert_int_equal(info[2], (MEMORY - MIB) >> 10);
	assert_int_equal(info[5], 2);
	assert_int_equal(gmem_read(b.mem, info[6], module, sizeof(module)), 0);
	assert_true(module[0] >= KERNEL_AT + 8192 && module[1] - module[0] == 5000);
	assert_true(module[4] >= module[1] && module[4] % GMEM_PAGE == 0 && module[5] - module[4] == 3);
	assert_int_equal(byte_at(&b, KERNEL_AT + 4096), 0);
	assert_int_equal(byte_at(&b, KERNEL_AT + 8191), 0);
	/* Low kernels do not get their modules onto the tables. */
	multiboot_header(&f)->header_addr = multiboot_header(&f)->load_addr = BOOT_TABLES_END;
	multiboot_header(&f)->load_end_addr = multiboot_header(&f)->bss_end_addr = 0;
	multiboot_header(&f)->entry_addr = BOOT_TABLES_END;
	assert_int_equal(bench_boot(&b, &f, list, "", false), 0);
	assert_int_equal(gmem_read(b.mem, info[6], module, sizeof(module)), 0);
	assert_true(module[0] >= BOOT_HIGH);
	bench_down(&b);
}

static void test_multiboot_lies(void **state)
{
	static const struct {
		uint32_t header, load, load_end, bss_end, entry;
		int code;
	} lies[] = {
		{ KERNEL_AT, KERNEL_AT + 1, 0, 0, KERNEL_AT, -EINVAL },
		{ KERNEL_AT + 1, KERNEL_AT, 0, 0, KERNEL_AT, -EINVAL },
		{ UINT32_MAX, KERNEL_AT, 0, 0, KERNEL_AT, -EINVAL },
		{ KERNEL_AT, KERNEL_AT, KERNEL_AT - 1, 0, KERNEL_AT, -EINVAL },
		{ KERNEL_AT, KERNEL_AT, KERNEL_AT + 4097, 0, KERNEL_AT, -EINVAL },
		{ KERNEL_AT, KERNEL_AT, UINT32_MAX, 0, KERNEL_AT, -EINVAL },
		{ KERNEL_AT, KERNEL_AT, 0, 0, KERNEL_AT, 0 },
		{ KERNEL_AT, KERNEL_AT, 0, UINT32_MAX, KERNEL_AT, -E2BIG },
		{ KERNEL_AT, KERNEL_AT, 0, MEMORY, KERNEL_AT, 0 },
		{ KERNEL_AT, KERNEL_AT, 0, MEMORY + 1, KERNEL_AT, -E2BIG },
		{ KERNEL_AT, KERNEL_AT, 0, 1, KERNEL_AT, 0 },
		{ MEMORY - 4096, MEMORY - 4096, 0, 0, MEMORY - 4096, 0 },
		{ MEMORY - 4095, MEMORY - 4095, 0, 0, MEMORY - 4095, -E2BIG },
		{ 0xfffff800, 0xfffff800, 0, 0, 0xfffff800, -E2BIG },
		{ 0, 0, 0, 0, 0, -EINVAL },
		{ 0xa0000, 0xa0000, 0, 0, 0xa0000, -EINVAL },
		{ KERNEL_AT, KERNEL_AT, 0, 0, KERNEL_AT + 4096, -EINVAL },
		{ KERNEL_AT, KERNEL_AT, 0, 0, UINT32_MAX, -EINVAL },
	};
	struct file f;
	struct bench b;

	bench_up(&b, MEMORY);
	for (size_t n = 0; n < COUNT_OF(lies); n++) {
		struct mb_header_fields *h = multiboot_header(&f);

		multiboot_make(&f);
		h->header_addr = lies[n].header;
		h->load_addr = lies[n].load;
		h->load_end_addr = lies[n].load_end;
		h->bss_end_addr = lies[n].bss_end;
		h->entry_addr = lies[n].entry;
		if (lies[n].code)
			assert_refused(&b, &f, lies[n].code);
		else
			assert_int_equal(bench_boot(&b, &f, NULL, "", false), 0);
	}
	multiboot_make(&f);
	multiboot_header(&f)->flags |= 8; /* a wish that must be understood, and is not */
	multiboot_header(&f)->checksum -= 8;
	assert_refused(&b, &f, -EINVAL);
	multiboot_header(&f)->checksum++;
	assert_refused(&b, &f, -EINVAL);
	for (unsigned size = 1; size < 32; size++) {
		multiboot_make(&f);
		f.size = size;
		assert_refused(&b, &f, -EINVAL);
	}
	bench_down(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),	      cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_pvh_entry),
		cmocka_unit_test(test_elf_lies),      cmocka_unit_test(test_elf_headers),
		cmocka_unit_test(test_notes),	      cmocka_unit_test(test_payloads),
		cmocka_unit_test(test_bzimage_lies),  cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_initrds),	      cmocka_unit_test(test_smallest),
		cmocka_unit_test(test_multiboot),     cmocka_unit_test(test_multiboot_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
