/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"
#include "core/gmem.h"

#include <errno.h>

uint64_t initrd_total(const struct boot *b)
{
	uint64_t total = 0;

	for (unsigned n = 0; n < b->initrd_count; n++)
		total = round_up(total, 4) + b->initrd[n].size;
	return total;
}

int initrd_place(struct boot *b, struct gmem *mem, uint64_t floor, uint64_t limit, uint64_t *addr, struct err *e)
{
	uint64_t total = initrd_total(b), at;

	if (total > limit || (at = round_down(limit - total, GMEM_PAGE)) < floor)
		return err_set(
			e, -E2BIG,
			"the initrd of %llu MiB does not fit beside the kernel; give the machine at least %llu MiB "
			"with --memory",
			(unsigned long long)(total >> 20) + 1, (unsigned long long)((floor + total) >> 20) + 2);
	*addr = at;
	for (unsigned n = 0; n < b->initrd_count; n++) {
		/* The gap is zeros at every reset, whatever the guest left there: Linux skips those only. */
		if (gmem_fill(mem, at, 0, round_up(at, 4) - at) < 0)
			return err_set(e, -E2BIG, "initrd %s does not fit into memory", b->initrd[n].path);
		at = round_up(at, 4);
		if (gmem_write(mem, at, b->initrd[n].data, b->initrd[n].size) < 0)
			return err_set(e, -E2BIG, "initrd %s does not fit into memory", b->initrd[n].path);
		at += b->initrd[n].size;
	}
	return 0;
}
