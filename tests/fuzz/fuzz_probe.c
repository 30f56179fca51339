/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first bytes of a file in a storage pool: whatever they are, they are described, and the words can be put in XML.
 */
#include "base/bytes.h"
#include "daemon/storage/probe.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
	if (strnlen(text, room) >= room)
		__builtin_trap();
	if (!probe_is_text(text))
		__builtin_trap();
}

static void one(const uint8_t *data, size_t size)
{
	struct probe p;

	probe_bytes(&p, data, size);
	if (!p.format || p.capacity > INT64_MAX)
		__builtin_trap();
	check_text(p.backing, sizeof(p.backing));
	check_text(p.backing_format, sizeof(p.backing_format));
}

/* As it is, and behind the beginning of a qcow2 header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t image[PROBE_BYTES] = "QFI\xfb";

	one(data, size);
	store_be32(image + 4, size & 1 ? 3 : 2);
	if (size > sizeof(image) - 8)
		size = sizeof(image) - 8;
	memcpy(image + 8, data, size);
	one(image, 8 + size);
	return 0;
}
