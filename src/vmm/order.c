/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/order.h"

#include "arch/x86/board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Place 1 is the kernel's that firmware loads; those of a list come after those with an index. */
enum { PLACE_INDEX = 2, PLACE_LIST = PLACE_INDEX + ORDER_INDEX_MAX + 1 };
enum kind { DISK, CDROM, FLOPPY, NET, KINDS };

int order_place(unsigned *place, uint64_t index, struct err *e)
{
	if (index > ORDER_INDEX_MAX)
		return err_set(e, -EINVAL, "bootindex=%llu is not possible; 0 to %d are", (unsigned long long)index,
			       ORDER_INDEX_MAX);
	*place = (unsigned)index + PLACE_INDEX;
	return 0;
}

static enum kind kind_of(const struct board_config *bc, unsigned n)
{
	return bc->disk_cdrom[n] ? CDROM : bc->disk_bus[n] == BOARD_FLOPPY ? FLOPPY : DISK;
}

static unsigned *place_of(struct board_config *bc, enum kind kind, unsigned n)
{
	unsigned seen = 0;

	if (kind == NET)
		return n < bc->net_count ? &bc->net_boot[n] : NULL;
	for (unsigned i = 0; i < bc->disk_count; i++)
		if (kind_of(bc, i) == kind && seen++ == n)
			return &bc->disk_boot[i];
	return NULL;
}

static void give(unsigned *place, unsigned *next)
{
	if (!*place)
		*place = (*next)++;
}

static int apply_word(struct board_config *bc, const char *word, size_t len, unsigned *next, struct err *e)
{
	static const char *const names[KINDS] = { "disk", "cdrom", "floppy", "net" };
	const char *bad = "\"%.*s\" is unknown; disk, cdrom, floppy and net are possible, with a number for one of "
			  "them";
	unsigned kind = 0, *place;
	char *end;

	while (kind < KINDS && strncmp(word, names[kind], strlen(names[kind])))
		kind++;
	if (kind == KINDS || strlen(names[kind]) > len)
		return err_set(e, -EINVAL, bad, (int)len, word);
	word += strlen(names[kind]);
	len -= strlen(names[kind]);
	if (!len) {
		for (unsigned n = 0; (place = place_of(bc, kind, n)); n++)
			give(place, next);
		return 0;
	}
	unsigned long n = strtoul(word, &end, 10);
	if (*word < '0' || *word > '9' || end != word + len)
		return err_set(e, -EINVAL, "\"%s%.*s\" is not a kind with a number", names[kind], (int)len, word);
	place = n < BOARD_DISK_MAX ? place_of(bc, kind, (unsigned)n) : NULL;
	if (!place)
		return err_set(e, -EINVAL, "there is no %s%lu; they count from 0", names[kind], n);
	give(place, next);
	return 0;
}

int order_apply(struct board_config *bc, const char *text, struct err *e)
{
	unsigned next = PLACE_LIST;
	int ret = 0;

	for (size_t len; ret == 0 && text && *text; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		ret = apply_word(bc, text, len, &next, e);
	}
	return ret < 0 ? err_wrap(e, "--boot-order") : 0;
}
