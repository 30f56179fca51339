/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bzImages: headers, and payloads in every compression. The first byte says what is put right for the input. */
#include "boot.h"

#include "base/bytes.h"

#include <asm/bootparam.h>
#include <stdlib.h>

enum { HEADER_AT = 0x1f1, CODE_AT = 1024, UNPACKED_MAX = 1 << 20 };

static void repair(uint8_t *file, size_t size, uint8_t how)
{
	static const uint8_t magic[][6] = {
		{ 0x1f, 0x8b, 8 }, { 0xfd, '7', 'z', 'X', 'Z', 0 }, { 0x5d, 0, 0 },
		{ 2, 0x21, 0x4c, 0x18 }, { 0x28, 0xb5, 0x2f, 0xfd },
	};
	static const uint8_t magic_len[] = { 3, 6, 3, 4, 4 };
	struct setup_header h;
	unsigned format = (how >> 2 & 7) % COUNT_OF(magic);

	if (size < CODE_AT + 16)
		return;
	memcpy(&h, file + HEADER_AT, sizeof(h));
	h.setup_sects = 1;
	h.boot_flag = 0xaa55;
	h.header = 0x53726448;
	h.version = 0x20f;
	h.loadflags |= LOADED_HIGH;
	h.syssize = 0;
	if (how & 2) {
		h.payload_offset = 0;
		h.payload_length = (uint32_t)(size - CODE_AT);
		memcpy(file + CODE_AT, magic[format], magic_len[format]);
		store_le32(file + size - 4, load_le32(file + size - 4) % UNPACKED_MAX);
	}
	memcpy(file + HEADER_AT, &h, sizeof(h));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file;

	if (size < 2 || !(file = malloc(size - 1)))
		return 0;
	memcpy(file, data + 1, size - 1);
	if (data[0] & 1)
		repair(file, size - 1, data[0]);
	if (linux_is_bzimage(file, size - 1))
		fuzz_boot(linux_install_bzimage, file, size - 1, data[0] & 0x80);
	free(file);
	return 0;
}
