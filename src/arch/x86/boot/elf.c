/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <elf.h>
#include <errno.h>

enum { ELF_SEGMENT_MAX = 64, XEN_ELFNOTE_PHYS32_ENTRY = 18 };

/* The fields of both classes' headers that loading needs. */
struct elf_header {
	bool is64;
	uint64_t entry, phoff;
	unsigned machine, phnum, phentsize;
};

struct segment {
	uint32_t type;
	uint64_t offset, paddr, filesz, memsz;
};

bool elf_is(const uint8_t *data, size_t size)
{
	return size >= EI_NIDENT && !memcmp(data, ELFMAG, SELFMAG);
}

static struct elf_header decode_header(const uint8_t *data, bool is64)
{
	if (is64) {
		Elf64_Ehdr h;
		memcpy(&h, data, sizeof(h));
		return (struct elf_header){ true, h.e_entry, h.e_phoff, h.e_machine, h.e_phnum, h.e_phentsize };
	}
	Elf32_Ehdr h;
	memcpy(&h, data, sizeof(h));
	return (struct elf_header){ false, h.e_entry, h.e_phoff, h.e_machine, h.e_phnum, h.e_phentsize };
}

static int read_header(const uint8_t *data, size_t size, const char *what, struct elf_header *h, struct err *e)
{
	bool is64;

	if (!elf_is(data, size))
		return err_set(e, -EINVAL, "%s is not an ELF file", what);
	is64 = data[EI_CLASS] == ELFCLASS64;
	if (data[EI_DATA] != ELFDATA2LSB || size < (is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return err_set(e, -EINVAL, "%s: the ELF header is truncated or not little-endian", what);
	*h = decode_header(data, is64);
	if (h->machine != EM_386 && h->machine != EM_X86_64)
		return err_set(e, -EINVAL, "%s is for another processor (ELF machine %u), not x86", what, h->machine);
	if (h->phnum == 0 || h->phnum > ELF_SEGMENT_MAX)
		return err_set(e, -EINVAL, "%s has %u ELF segments; a kernel has 1 to %d", what, h->phnum,
			       ELF_SEGMENT_MAX);
	if (h->phentsize != (is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    !range_inside(h->phoff, (uint64_t)h->phnum * h->phentsize, size))
		return err_set(e, -EINVAL, "%s is truncated: its ELF program headers lie outside the file", what);
	return 0;
}

static struct segment read_segment(const uint8_t *data, const struct elf_header *h, unsigned n)
{
	const uint8_t *at = data + h->phoff + (size_t)n * h->phentsize;

	if (h->is64) {
		Elf64_Phdr p;
		memcpy(&p, at, sizeof(p));
		return (struct segment){ p.p_type, p.p_offset, p.p_paddr, p.p_filesz, p.p_memsz };
	}
	Elf32_Phdr p;
	memcpy(&p, at, sizeof(p));
	return (struct segment){ p.p_type, p.p_offset, p.p_paddr, p.p_filesz, p.p_memsz };
}

static int check_segment(const struct segment *s, size_t size, const char *what, struct err *e)
{
	if (!range_inside(s->offset, s->filesz, size))
		return err_set(e, -EINVAL, "%s is truncated: a segment ends beyond the file", what);
	if (s->type == PT_LOAD && (s->memsz < s->filesz || s->paddr + s->memsz < s->paddr))
		return err_set(e, -EINVAL, "%s: a segment has an impossible size", what);
	return 0;
}

/* Notes: namesz, descsz, type, then name and desc, each padded to 4 bytes. */
static void find_pvh_note(const uint8_t *note, uint64_t size, struct elf_info *info)
{
	uint64_t at = 0;

	while (range_inside(at, 12, size)) {
		uint64_t namesz = load_le32(note + at), descsz = load_le32(note + at + 4);
		uint32_t type = load_le32(note + at + 8);
		uint64_t name = at + 12, desc = name + round_up(namesz, 4);

		if (!range_inside(desc, descsz, size))
			return;
		if (type == XEN_ELFNOTE_PHYS32_ENTRY && namesz == 4 && !memcmp(note + name, "Xen", 4) && descsz >= 4) {
			info->has_pvh = true;
			info->pvh_entry = load_le32(note + desc);
			return;
		}
		at = desc + round_up(descsz, 4);
	}
}

int elf_inspect(const uint8_t *data, size_t size, const char *what, struct elf_info *info, struct err *e)
{
	struct elf_header h;
	int ret = read_header(data, size, what, &h, e);

	if (ret < 0)
		return ret;
	*info = (struct elf_info){ .is64 = h.is64, .entry = h.entry, .low = UINT64_MAX };
	for (unsigned n = 0; n < h.phnum; n++) {
		struct segment s = read_segment(data, &h, n);

		if (s.type != PT_LOAD && s.type != PT_NOTE)
			continue;
		ret = check_segment(&s, size, what, e);
		if (ret < 0)
			return ret;
		if (s.type == PT_NOTE) {
			find_pvh_note(data + s.offset, s.filesz, info);
		} else if (s.memsz) {
			info->low = s.paddr < info->low ? s.paddr : info->low;
			info->high = s.paddr + s.memsz > info->high ? s.paddr + s.memsz : info->high;
		}
	}
	if (!info->high)
		return err_set(e, -EINVAL, "%s has nothing to load: it is not a kernel", what);
	return 0;
}

int elf_check_entry(const uint8_t *data, size_t size, const char *what, uint64_t entry, struct err *e)
{
	struct elf_header h;
	int ret = read_header(data, size, what, &h, e);

	for (unsigned n = 0; ret == 0 && n < h.phnum; n++) {
		struct segment s = read_segment(data, &h, n);

		if (s.type == PT_LOAD && entry <= UINT32_MAX && entry >= s.paddr && entry - s.paddr < s.memsz)
			return 0;
	}
	return ret < 0 ? ret : err_set(e, -EINVAL, "%s: its entry lies outside of what it loads", what);
}

static int load_segment(const uint8_t *data, const struct segment *s, const char *what, struct gmem *mem, struct err *e)
{
	int ret = image_check_place(s->paddr, s->memsz, what, e);

	if (ret < 0)
		return ret;
	if (gmem_write(mem, s->paddr, data + s->offset, s->filesz) < 0 ||
	    gmem_fill(mem, s->paddr + s->filesz, 0, s->memsz - s->filesz) < 0)
		return err_set(e, -E2BIG, "%s needs memory up to %llu MiB; give the machine more with --memory", what,
		               (unsigned long long)((s->paddr + s->memsz) >> 20) + 1);
	return 0;
}

int elf_load(const uint8_t *data, size_t size, const char *what, struct gmem *mem, struct err *e)
{
	struct elf_header h;
	int ret = read_header(data, size, what, &h, e);

	for (unsigned n = 0; ret == 0 && n < h.phnum; n++) {
		struct segment s = read_segment(data, &h, n);

		if (s.type != PT_LOAD || !s.memsz)
			continue;
		ret = check_segment(&s, size, what, e);
		if (ret == 0)
			ret = load_segment(data, &s, what, mem, e);
	}
	return ret;
}
