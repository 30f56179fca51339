/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot headers anywhere, and the load addresses in them. The first byte says what is put right for the input. */
#include "boot.h"

#include "base/bytes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file;
	size_t at;

	if (size < 2 || !(file = malloc(size - 1)))
		return 0;
	memcpy(file, data + 1, size - 1);
	at = (data[0] >> 2) * 4;
	if ((data[0] & 1) && at + 12 <= size - 1) {
		uint32_t flags = data[0] & 2 ? 1 << 16 : load_le32(file + at + 4);

		store_le32(file + at, 0x1badb002);
		store_le32(file + at + 4, flags);
		store_le32(file + at + 8, -(0x1badb002 + flags));
	}
	if (multiboot_is(file, size - 1))
		fuzz_boot(multiboot_install, file, size - 1, false);
	free(file);
	return 0;
}
