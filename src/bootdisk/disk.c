/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/disk.h"

#include "base/bytes.h"

#include <errno.h>

enum { SECTOR = 512, MBR_TABLE = 446, MBR_ENTRY = 16, MBR_PRIMARY = 4, LOGICAL_MAX = 60 };
enum { TYPE_NONE = 0, TYPE_GPT = 0xee };
enum { GPT_ENTRIES_AT = 72, GPT_ENTRY_COUNT = 80, GPT_ENTRY_SIZE = 84, GPT_ENTRY_MIN = 128, GPT_ENTRY_MAX = 4096 };

int disk_read(const struct disk_reader *d, uint64_t at, void *buf, size_t len)
{
	return range_inside(at, len, d->size) ? d->read(d->opaque, at, buf, len) : -EIO;
}

static void add(const struct disk_reader *d, struct disk_table *t, unsigned number, bool gpt, uint64_t first,
		uint64_t sectors)
{
	if (t->count == DISK_PARTITIONS_MAX || !sectors || first >= d->size / SECTOR ||
	    sectors > d->size / SECTOR - first)
		return;
	t->part[t->count++] = (struct disk_partition){
		.number = number,
		.gpt = gpt,
		.at = first * SECTOR,
		.size = sectors * SECTOR,
	};
}

static int scan_gpt(const struct disk_reader *d, const uint8_t *header, struct disk_table *t)
{
	uint64_t at = load_le64(header + GPT_ENTRIES_AT);
	uint32_t count = load_le32(header + GPT_ENTRY_COUNT), size = load_le32(header + GPT_ENTRY_SIZE);
	static const uint8_t unused[16];
	uint8_t entry[GPT_ENTRY_MIN];

	if (size < GPT_ENTRY_MIN || size > GPT_ENTRY_MAX || at > d->size / SECTOR)
		return 0;
	if (count > DISK_PARTITIONS_MAX)
		count = DISK_PARTITIONS_MAX;
	for (uint32_t n = 0; n < count; n++) {
		int ret = disk_read(d, at * SECTOR + (uint64_t)n * size, entry, sizeof(entry));
		uint64_t first = load_le64(entry + 32), last = load_le64(entry + 40);

		if (ret < 0)
			return ret;
		if (memcmp(entry, unused, sizeof(unused)) && last >= first && last < d->size / SECTOR)
			add(d, t, n + 1, true, first, last - first + 1);
	}
	return 0;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* A chain of small tables: in each the first entry is a partition, from there, and the second the next table, from the
 * chain's beginning. A chain that bites its tail ends by its count. */
static int scan_logical(const struct disk_reader *d, uint64_t chain, struct disk_table *t)
{
	uint64_t at = chain;
	uint8_t sector[SECTOR];

	for (unsigned n = 0; n < LOGICAL_MAX; n++) {
		const uint8_t *entry = sector + MBR_TABLE, *next = entry + MBR_ENTRY;
		int ret = at < d->size / SECTOR ? disk_read(d, at * SECTOR, sector, sizeof(sector)) : -EIO;

		if (ret < 0 || load_le16(sector + 510) != 0xaa55)
			return 0;
		if (entry[4] != TYPE_NONE)
			add(d, t, MBR_PRIMARY + 1 + n, false, at + load_le32(entry + 8), load_le32(entry + 12));
		if (!is_extended(next[4]))
			return 0;
		at = chain + load_le32(next + 8);
	}
	return 0;
}

static int scan_mbr(const struct disk_reader *d, const uint8_t *mbr, struct disk_table *t)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < MBR_PRIMARY; n++) {
		const uint8_t *entry = mbr + MBR_TABLE + n * MBR_ENTRY;

		if (is_extended(entry[4]))
			ret = scan_logical(d, load_le32(entry + 8), t);
		else if (entry[4] != TYPE_NONE)
			add(d, t, n + 1, false, load_le32(entry + 8), load_le32(entry + 12));
	}
	return ret;
}

/* The boot sector of a FAT file system has the MBR's signature too, and code where the table would be. */
static bool is_table(const uint8_t *mbr)
{
	unsigned used = 0;

	if (load_le16(mbr + 510) != 0xaa55)
		return false;
	for (unsigned n = 0; n < MBR_PRIMARY; n++) {
		const uint8_t *entry = mbr + MBR_TABLE + n * MBR_ENTRY;

		if (entry[0] & 0x7f)
			return false;
		used += entry[4] != TYPE_NONE && load_le32(entry + 12);
	}
	return used > 0;
}

int disk_scan(const struct disk_reader *d, struct disk_table *out, struct err *e)
{
	uint8_t head[2 * SECTOR] = {0};
	int ret = d->size < sizeof(head) ? -EINVAL : disk_read(d, 0, head, sizeof(head));

	*out = (struct disk_table){0};
	if (ret == -EINVAL)
		return err_set(e, ret, "the disk is empty");
	if (ret == 0 && is_table(head))
		ret = memcmp(head + SECTOR, "EFI PART", 8) ? scan_mbr(d, head, out) : scan_gpt(d, head + SECTOR, out);
	if (ret < 0)
		return err_errno(e, -ret, "cannot read the disk's partition table");
	if (!out->count)
		out->part[out->count++] = (struct disk_partition){.size = d->size};
	return 0;
}
