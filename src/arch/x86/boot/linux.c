/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Linux/x86 boot protocol, 32- and 64-bit entries (Documentation/arch/x86/boot.rst). */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>
#include <stdlib.h>

enum {
	SETUP_MAGIC = 0x53726448, /* "HdrS" */
	SETUP_AT = 0x1f1,
	JUMP_AT = 0x201, /* the distance of the jump at 0x200, counted from 0x202 */
	JUMP_END = 0x202,
	PROTOCOL_MIN = 0x206,     /* 2.06 brought the command line's size; Linux 2.6.22 */
	PROTOCOL_PAYLOAD = 0x208,
	PROTOCOL_INIT_SIZE = 0x20a,
	PROTOCOL_XLOADFLAGS = 0x20c,
	LOAD_HIGH_AT = 0x100000,
	LOADER_UNDEFINED = 0xff,
	KERNEL_ALIGN_MIN = 0x200000,
};

/* The identity page tables of the entry end here. */
#define PREF_ADDRESS_MAX UINT64_C(0xffffffff)

bool linux_is_bzimage(const uint8_t *data, size_t size)
{
	return size >= 0x268 && load_le16(data + 0x1fe) == 0xaa55 && load_le32(data + 0x202) == SETUP_MAGIC;
}

/* The header ends where its own jump leads to (boot.rst, "1.3 Details of header fields"): older ones are shorter. What
 * lies behind is code and must not reach the zero page. */
static size_t setup_header_size(const struct image *im)
{
	size_t len = JUMP_END - SETUP_AT + im->data[JUMP_AT];

	if (len > sizeof(struct setup_header))
		len = sizeof(struct setup_header);
	return len < im->size - SETUP_AT ? len : im->size - SETUP_AT;
}

int linux_parse(const struct image *im, struct bzimage *bz, struct err *e)
{
	size_t setup, len = setup_header_size(im);

	memset(bz, 0, sizeof(*bz));
	memcpy(&bz->hdr, im->data + SETUP_AT, len);
	if (bz->hdr.version < PROTOCOL_MIN || !(bz->hdr.loadflags & LOADED_HIGH))
		return err_set(e, -EINVAL,
			       "kernel %s speaks boot protocol %u.%02u; 2.06 or later (Linux 2.6.22) is needed",
			       im->path, bz->hdr.version >> 8, bz->hdr.version & 0xff);
	setup = ((bz->hdr.setup_sects ? bz->hdr.setup_sects : 4) + 1) * (size_t)512;
	if (!range_inside(setup, (uint64_t)bz->hdr.syssize * 16, round_up(im->size, 16)) || setup >= im->size)
		return err_set(e, -EINVAL, "kernel %s is truncated: %zu bytes, its header promises %llu", im->path,
			       im->size, (unsigned long long)(setup + (uint64_t)bz->hdr.syssize * 16));
	bz->code = im->data + setup;
	bz->code_size = im->size - setup;
	if (bz->hdr.version >= PROTOCOL_PAYLOAD &&
	    range_inside(bz->hdr.payload_offset, bz->hdr.payload_length, bz->code_size)) {
		bz->payload = bz->code + bz->hdr.payload_offset;
		bz->payload_size = bz->hdr.payload_length;
	}
	return 0;
}

static int put_cmdline(struct boot *b, struct gmem *mem, uint32_t max, struct err *e)
{
	size_t len = strlen(b->cmdline);

	if (len > max)
		return err_set(e, -E2BIG, "the kernel command line has %zu bytes; this kernel takes %u", len, max);
	if (gmem_write(mem, BOOT_CMDLINE, b->cmdline, len + 1) < 0)
		return err_set(e, -E2BIG, "the machine has no memory for the command line: give it at least 1 MiB");
	return 0;
}

static void put_map(struct boot_params *bp, const struct boot_layout *l)
{
	for (unsigned n = 0; n < l->map_count; n++)
		bp->e820_table[n] = (struct boot_e820_entry){
			.addr = l->map[n].addr,
			.size = l->map[n].size,
			.type = l->map[n].type,
		};
	bp->e820_entries = (uint8_t)l->map_count;
	bp->acpi_rsdp_addr = l->rsdp;
}

/* Zero page, command line and initrds; the kernel itself is in place and ends at `kernel_end`. */
static int put_params(struct boot *b, struct gmem *mem, const struct boot_layout *l, const struct setup_header *hdr,
                      uint64_t kernel_end, struct err *e)
{
	struct boot_params bp = { .hdr = *hdr };
	uint64_t limit = l->low_top, at = 0;
	int ret;

	if (hdr->initrd_addr_max && hdr->initrd_addr_max < limit)
		limit = (uint64_t)hdr->initrd_addr_max + 1;
	if (b->initrd_count) {
		ret = initrd_place(b, mem, round_up(kernel_end, GMEM_PAGE), limit, &at, e);
		if (ret < 0)
			return ret;
		bp.hdr.ramdisk_image = (uint32_t)at;
		bp.hdr.ramdisk_size = (uint32_t)initrd_total(b);
	}
	ret = put_cmdline(b, mem, hdr->cmdline_size ? hdr->cmdline_size : 255, e);
	if (ret < 0)
		return ret;
	bp.hdr.type_of_loader = LOADER_UNDEFINED;
	bp.hdr.cmd_line_ptr = BOOT_CMDLINE;
	put_map(&bp, l);
	if (gmem_write(mem, BOOT_ZERO_PAGE, &bp, sizeof(bp)) < 0)
		return err_set(e, -E2BIG, "the machine has no memory at 0: give it at least 1 MiB");
	return 0;
}

/* CPU at entry: RSI holds the zero page; the rest of the registers is 0. */
static int enter(struct gmem *mem, struct x86_state *cpu, bool is64, uint64_t rip, struct err *e)
{
	int ret = entry_write_gdt(mem, is64, e);

	if (ret == 0 && is64)
		ret = entry_long64(cpu, mem, rip, e);
	else if (ret == 0)
		entry_protected32(cpu, rip);
	cpu->gpr[X86_RSI] = BOOT_ZERO_PAGE;
	cpu->gpr[X86_RDX] = 0;
	return ret;
}

static int install_unpacked(struct boot *b, struct gmem *mem, const struct boot_layout *l,
			    const struct setup_header *hdr, const uint8_t *elf, size_t size, struct x86_state *cpu,
			    struct err *e)
{
	struct elf_info info;
	int ret = elf_inspect(elf, size, b->kernel.path, &info, e);

	if (ret == 0)
		ret = elf_check_entry(elf, size, b->kernel.path, info.entry, e);
	if (ret == 0)
		ret = elf_load(elf, size, b->kernel.path, mem, e);
	if (ret == 0)
		ret = put_params(b, mem, l, hdr, info.high, e);
	if (ret == 0)
		ret = enter(mem, cpu, info.is64, info.entry, e);
	return ret;
}

static int install_packed(struct boot *b, struct gmem *mem, const struct boot_layout *l, const struct bzimage *bz,
                          struct x86_state *cpu, struct err *e)
{
	bool is64 = bz->hdr.version >= PROTOCOL_XLOADFLAGS && (bz->hdr.xloadflags & XLF_KERNEL_64);
	uint64_t end = LOAD_HIGH_AT + bz->code_size;
	int ret;

	/* The decompressor moves the kernel to its preferred address and needs init_size bytes from there. */
	if (bz->hdr.version >= PROTOCOL_INIT_SIZE) {
		if (bz->hdr.pref_address > PREF_ADDRESS_MAX)
			return err_set(e, -EINVAL, "kernel %s wants to be at an address where no memory can be",
				       b->kernel.path);
		if (bz->hdr.pref_address + bz->hdr.init_size > end)
			end = bz->hdr.pref_address + bz->hdr.init_size;
	}
	if (end > l->low_top || gmem_write(mem, LOAD_HIGH_AT, bz->code, bz->code_size) < 0)
		return err_set(e, -E2BIG,
			       "kernel %s needs %llu MiB of memory to unpack; give the machine more with --memory",
			       b->kernel.path, (unsigned long long)(end >> 20) + 1);
	ret = put_params(b, mem, l, &bz->hdr, end, e);
	return ret < 0 ? ret : enter(mem, cpu, is64, LOAD_HIGH_AT + (is64 ? 0x200 : 0), e);
}

int linux_install_bzimage(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
			  struct err *e)
{
	struct bzimage bz;
	uint8_t *elf = NULL;
	size_t size = 0;
	int ret = linux_parse(&b->kernel, &bz, e);

	if (ret < 0)
		return ret;
	if (b->guest_decompress || !bz.payload)
		return install_packed(b, mem, l, &bz, cpu, e);
	ret = payload_unpack(bz.payload, bz.payload_size, &elf, &size, e);
	if (ret == -ENOTSUP || (ret == 0 && !elf_is(elf, size)))
		ret = install_packed(b, mem, l, &bz, cpu, e);
	else if (ret == 0)
		ret = install_unpacked(b, mem, l, &bz.hdr, elf, size, cpu, e);
	else
		err_wrap(e, "kernel %s", b->kernel.path);
	free(elf);
	return ret;
}

/* A vmlinux has no setup header; this is the one a current kernel would bring. */
int linux_install_elf(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
		      struct err *e)
{
	const struct setup_header hdr = {
		.boot_flag = 0xaa55,
		.header = SETUP_MAGIC,
		.version = PROTOCOL_XLOADFLAGS,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = KERNEL_ALIGN_MIN,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 2047,
	};

	return install_unpacked(b, mem, l, &hdr, b->kernel.data, b->kernel.size, cpu, e);
}
