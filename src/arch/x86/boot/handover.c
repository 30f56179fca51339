/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/handover.h"

#include "arch/x86/boot/image.h"
#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern const uint8_t boot_loader_rom[], boot_loader_rom_table[], boot_loader_rom_end[];

/* As loader_rom.S has them. The firmware's own tables lie at the end of low memory. */
enum { SETUP_AT = 0x10000, HEAP_END = 0xfe00 - 0x200, CMDLINE_AT = 0x20000, KERNEL_AT = 0x100000,
       FIRMWARE_KEEPS = 1 << 20 };
enum { CMDLINE_OLD = 255, LOADER_UNDEFINED = 0xff };
enum { DMA_READ = 2, DMA_SELECT = 8, DMA_COMMAND = 16 };
enum { ROM_SUM = HANDOVER_ROM_SIZE - 1, PNP_AT = 0x20, PNP_LEN = 32, PNP_SUM = PNP_AT + 9 };

static uint64_t kernel_end(const struct bzimage *bz)
{
	uint64_t end = KERNEL_AT + bz->code_size;

	if (bz->hdr.version >= 0x20a && bz->hdr.pref_address + bz->hdr.init_size > end)
		end = bz->hdr.pref_address + bz->hdr.init_size;
	return end;
}

static int put_initrd(struct handover *h, const struct boot *b, const struct bzimage *bz, uint64_t low_top,
                      struct err *e)
{
	struct handover_piece *p = &h->piece[HANDOVER_INITRD];
	uint64_t total = initrd_total(b), floor = kernel_end(bz), limit = low_top - FIRMWARE_KEEPS;
	uint8_t *all;

	if (bz->hdr.initrd_addr_max && bz->hdr.initrd_addr_max < limit)
		limit = (uint64_t)bz->hdr.initrd_addr_max + 1;
	if (low_top < FIRMWARE_KEEPS || floor > limit || limit - floor < total + GMEM_PAGE)
		return err_set(e, -E2BIG,
			       "kernel %s and its initrd do not fit; give the machine at least %llu MiB with --memory",
			       b->kernel.path, (unsigned long long)((floor + total + FIRMWARE_KEEPS) >> 20) + 2);
	if (!total)
		return 0;
	*p = (struct handover_piece){ .bytes = b->initrd[0].data, .len = total,
				      .addr = (uint32_t)round_down(limit - total, GMEM_PAGE) };
	if (b->initrd_count == 1)
		return 0;
	h->own[0] = all = calloc(1, total);
	if (!all)
		return err_set(e, -ENOMEM, "no memory for the joined initrds");
	for (unsigned n = 0, at = 0; n < b->initrd_count; n++) {
		at = round_up(at, 4);
		memcpy(all + at, b->initrd[n].data, b->initrd[n].size);
		at += b->initrd[n].size;
	}
	p->bytes = all;
	return 0;
}

/* The setup code with the fields that a boot loader fills in (boot.rst, "1.3 Details of header fields"). */
static int put_setup(struct handover *h, const struct boot *b, const struct bzimage *bz, struct err *e)
{
	size_t len = bz->code - b->kernel.data;
	uint8_t *copy = malloc(len);
	struct setup_header *hdr;

	h->own[1] = copy;
	if (!copy)
		return err_set(e, -ENOMEM, "no memory for the kernel's setup code");
	if (len > CMDLINE_AT - SETUP_AT)
		return err_set(e, -EINVAL, "kernel %s has setup code of %zu bytes, which no boot loader takes",
			       b->kernel.path, len);
	memcpy(copy, b->kernel.data, len);
	hdr = (struct setup_header *)(copy + offsetof(struct boot_params, hdr));
	hdr->type_of_loader = LOADER_UNDEFINED;
	hdr->loadflags |= CAN_USE_HEAP;
	hdr->heap_end_ptr = HEAP_END;
	hdr->cmd_line_ptr = CMDLINE_AT;
	hdr->ramdisk_image = h->piece[HANDOVER_INITRD].addr;
	hdr->ramdisk_size = (uint32_t)h->piece[HANDOVER_INITRD].len;
	h->piece[HANDOVER_SETUP] = (struct handover_piece){ .bytes = copy, .len = len, .addr = SETUP_AT };
	return 0;
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

/* The table holds a DMA command of fw_cfg for each piece, big-endian. */
static void make_rom(struct handover *h, const uint16_t key[HANDOVER_PIECES])
{
	memcpy(h->rom, boot_loader_rom, sizeof(h->rom));
	for (unsigned n = 0; n < HANDOVER_PIECES; n++) {
		uint8_t *p = h->rom + (boot_loader_rom_table - boot_loader_rom) + n * DMA_COMMAND;

		store_be32(p, (uint32_t)key[n] << 16 | DMA_SELECT | DMA_READ);
		store_be32(p + 4, (uint32_t)h->piece[n].len);
		store_be64(p + 8, h->piece[n].addr);
	}
	h->rom[PNP_SUM] = checksum(h->rom + PNP_AT, PNP_LEN);
	h->rom[ROM_SUM] = checksum(h->rom, sizeof(h->rom));
}

static int make(struct handover *h, const struct boot *b, uint64_t low_top, struct err *e)
{
	struct bzimage bz;
	size_t line = strlen(b->cmdline);
	int ret = linux_parse(&b->kernel, &bz, e);
	uint32_t max = ret == 0 && bz.hdr.cmdline_size ? bz.hdr.cmdline_size : CMDLINE_OLD;

	if (ret < 0)
		return ret;
	if (line > max)
		return err_set(e, -E2BIG, "the kernel command line has %zu bytes; this kernel takes %u", line, max);
	h->piece[HANDOVER_CMDLINE] = (struct handover_piece){ (const uint8_t *)b->cmdline, line + 1, CMDLINE_AT };
	h->piece[HANDOVER_KERNEL] = (struct handover_piece){ bz.code, bz.code_size, KERNEL_AT };
	ret = put_initrd(h, b, &bz, low_top, e);
	return ret < 0 ? ret : put_setup(h, b, &bz, e);
}

int handover_make(struct handover *h, const struct boot *b, uint64_t low_top, const uint16_t key[HANDOVER_PIECES],
		  struct err *e)
{
	int ret;

	*h = (struct handover){ 0 };
	if (b->kind != KERNEL_BZIMAGE)
		return err_set(e, -EINVAL, "%s is no Linux bzImage, which alone firmware loads; --board micro takes it",
			       b->kernel.path);
	ret = make(h, b, low_top, e);
	if (ret < 0)
		handover_free(h);
	else
		make_rom(h, key);
	return ret;
}

void handover_free(struct handover *h)
{
	free(h->own[0]);
	free(h->own[1]);
	*h = (struct handover){ 0 };
}
