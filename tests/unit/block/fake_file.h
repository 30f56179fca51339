/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file in memory whose power can be cut: what was written since the last sync is kept or lost sector by sector. */
#ifndef PANAL_TEST_FAKE_FILE_H
#define PANAL_TEST_FAKE_FILE_H

#include "block/qcow2_file.h"

enum { FAKE_SECTOR = 512 };

struct fake_write {
	uint64_t sector;
	uint8_t data[FAKE_SECTOR];
};

struct fake_file {
	uint8_t *now, *safe; /* as read, as it is after a sync */
	uint64_t size, room;
	struct fake_write *pending;
	size_t count, pending_room;
	long left; /* operations until the power is cut; below 0: never */
	bool dead;
};

void fake_init(struct fake_file *f);
void fake_free(struct fake_file *f);
struct q_file fake_open(struct fake_file *f);
/* What a power cut leaves: each write since the last sync with `keep` percent, in an order of its own. */
void fake_cut(struct fake_file *f, unsigned keep, uint64_t (*random)(void *opaque), void *opaque);

#endif
