/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk as a guest may leave it: partitions, file systems, boot configurations, and the files that they name. */
#include "bootdisk/find.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_disk(void *opaque, uint64_t at, void *buf, size_t len)
{
	memcpy(buf, (const uint8_t *)opaque + at, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct disk_reader d = { .size = size, .read = read_disk, .opaque = (void *)(uintptr_t)data };
	struct find_result *r = calloc(1, sizeof(*r));
	struct err e;

	if (r && find_boot(r, &d, &e) == 0) {
		if (!r->kernel.data || strlen(r->cmdline) >= MENU_CMDLINE_MAX)
			__builtin_trap();
		find_free(r);
	}
	free(r);
	return 0;
}
