/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dnsmasq's lease file, whose names are the guests'. */
#include "daemon/network/lease.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *opaque, const struct lease *l)
{
	unsigned *count = opaque;

	if (++*count > LEASES_MAX || l->expiry < 0 || !*l->address || (!l->six && strlen(l->mac) != 17) ||
	    (l->six && !*l->iaid) || strpbrk(l->host, " <>&'\"\n") || strpbrk(l->client, " <>&'\"\n"))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* its own, so that a read beyond it is seen */
	unsigned count = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	leases_parse(text, size, 0, check, &count);
	count = 0;
	leases_parse(text, size, 1700000000, check, &count);
	free(text);
	return 0;
}
