/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF kernels: plain and with a PVH note. The first byte says what is put right for the input. */
#include "boot.h"

#include "base/bytes.h"

#include <elf.h>
#include <stdlib.h>

static int install(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu, struct err *e)
{
	struct elf_info info;
	int ret = elf_inspect(b->kernel.data, b->kernel.size, "made", &info, e);

	if (ret < 0)
		return ret;
	return info.has_pvh ? pvh_install(b, mem, l, cpu, e) : linux_install_elf(b, mem, l, cpu, e);
}

static void repair(uint8_t *file, size_t size, uint8_t how)
{
	bool is64 = how & 2;

	if (size < sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr))
		return;
	memcpy(file, ELFMAG, SELFMAG);
	file[EI_CLASS] = is64 ? ELFCLASS64 : ELFCLASS32;
	file[EI_DATA] = ELFDATA2LSB;
	store_le16(file + offsetof(Elf64_Ehdr, e_machine), EM_X86_64);
	if (is64) {
		store_le64(file + offsetof(Elf64_Ehdr, e_phoff), sizeof(Elf64_Ehdr));
		store_le16(file + offsetof(Elf64_Ehdr, e_phentsize), sizeof(Elf64_Phdr));
		store_le16(file + offsetof(Elf64_Ehdr, e_phnum), how >> 2 & 3);
	} else {
		store_le32(file + offsetof(Elf32_Ehdr, e_phoff), sizeof(Elf32_Ehdr));
		store_le16(file + offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf32_Phdr));
		store_le16(file + offsetof(Elf32_Ehdr, e_phnum), how >> 2 & 3);
	}
	/* The first segment's type is a loadable one or notes. */
	store_le32(file + (is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)), how & 16 ? PT_LOAD : PT_NOTE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file;

	if (size < 2 || !(file = malloc(size - 1)))
		return 0;
	memcpy(file, data + 1, size - 1);
	if (data[0] & 1)
		repair(file, size - 1, data[0]);
	fuzz_boot(install, file, size - 1, false);
	free(file);
	return 0;
}
