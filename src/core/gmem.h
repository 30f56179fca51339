/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: blocks of RAM at guest-physical addresses, each a mapping of its own, and the only road into them.
 *
 * Blocks are added while the machine is built, before a vCPU runs, and never move. All accessors may be called
 * from any thread. An access that leaves RAM fails with -EFAULT and changes nothing.
 *
 * Writes that the soft CPU must know of: every store into guest memory that does not come from a vCPU goes
 * through gmem_write, gmem_fill, or through a pointer of gmem_at followed by gmem_written. That keeps translated
 * and decoded code, and the dirty log, true.
 */
#ifndef PANAL_CORE_GMEM_H
#define PANAL_CORE_GMEM_H

#include "base/err.h"
#include <stdatomic.h>

struct gmem;

enum { GMEM_PAGE = 4096, GMEM_BLOCK_MAX = 16 };

struct gmem_block {
	uint64_t gpa, size; /* bytes, page aligned */
	uint8_t *host;
	int fd; /* memfd, offset 0; -1: private memory */
	char name[32];
	bool card; /* memory of a card: no part of the guest's RAM; gmem_card_place shows it elsewhere */
	_Atomic uint64_t card_at;
	bool rom; /* the guest's stores do not change it: they go to the region there, if any */
	/* One byte a page, GMEM_FLAG_*; set and cleared atomically. */
	_Atomic uint8_t *page_flags;
};

enum {
	GMEM_FLAG_CODE = 1,  /* the soft CPU holds decoded or translated code of this page */
	GMEM_FLAG_CLEAN = 2, /* dirty logging is on and the page was not written since the last gmem_dirty_take */
};

/* Called, on the writing thread, after bytes of a page flagged GMEM_FLAG_CODE were stored. */
struct gmem_watch {
	void (*code_written)(void *opaque, uint64_t gpa, uint64_t len);
	void *opaque;
};

int gmem_create(struct gmem **out, struct err *e) ATTR_MUST_USE;
void gmem_destroy(struct gmem *gm); /* NULL is allowed */

/* Adds RAM, zero-filled on first touch. gpa and size are page aligned, no overlap. Errors: -EINVAL, -ENOMEM,
 * -ENOSPC (too many blocks), -EEXIST (overlap). hugepages: private memory, in transparent huge pages where possible. */
int gmem_add_ram(struct gmem *gm, uint64_t gpa, uint64_t size, const char *name, bool hugepages,
		 struct err *e) ATTR_MUST_USE;

/* Adds memory that the guest can read and execute, and nothing else: gmem_write and gmem_at fail there with -EFAULT, so
 * that devices cannot change it either. Errors as gmem_add_ram's. */
int gmem_add_rom(struct gmem *gm, uint64_t gpa, uint64_t size, const char *name, struct err *e) ATTR_MUST_USE;
/* Fills [gpa, gpa + len) of a ROM block. vCPUs paused. */
int gmem_load_rom(struct gmem *gm, uint64_t gpa, const void *buf, uint64_t len) ATTR_MUST_USE;

/* Adds memory of a card, which lies nowhere at first: its host address, zero-filled. Errors as gmem_add_ram's. */
#define GMEM_NOWHERE (UINT64_C(1) << 60) /* addresses from here on are out of every processor's reach */
int gmem_add_card(struct gmem *gm, uint64_t size, const char *name, uint8_t **host, struct err *e) ATTR_MUST_USE;

/* The guest sees the card's memory at gpa from now on, page aligned; GMEM_NOWHERE: nowhere. The block itself stays
 * where it is: accelerators that map the place do so as a second view of it, and those that do not leave accesses to
 * the card's region, which reaches the same bytes. RAM goes before it. Any thread, one at a time for a card. */
void gmem_card_place(struct gmem *gm, const uint8_t *host, uint64_t gpa);
/* An address in such a view as the address in its block; any other as it is. Any thread. */
uint64_t gmem_card_address(const struct gmem *gm, uint64_t gpa);
/* Who maps views: called after each gmem_card_place, on its thread. */
struct gmem_card_watch {
	void (*placed)(void *opaque, unsigned block);
	void *opaque;
	void (*shadowed)(void *opaque, unsigned part); /* after a change by gmem_shadow_set; may be NULL */
};
enum { GMEM_CARD_WATCHES = 2 };
void gmem_watch_cards(struct gmem *gm, const struct gmem_card_watch *watch); /* before vCPUs run */

/*
 * 0xc0000 to 0xfffff, where a chipset chooses for each part whether reads find RAM or the firmware's ROM, and whether
 * writes reach RAM. That is for vCPUs only; devices find RAM. Where reads find neither, and for writes that do not
 * reach RAM, accelerators ask the region there. At first all is RAM.
 */
enum { GMEM_SHADOW = 0xc0000, GMEM_SHADOW_SIZE = 0x40000, GMEM_SHADOW_PART = 0x4000, GMEM_SHADOW_PARTS = 16 };
enum { GMEM_SHADOW_READ = 1, GMEM_SHADOW_WRITE = 2 }; /* what goes to RAM */
/* part: counted in 16 KiB. Tells the watchers when it is a change. Any thread, one at a time. */
void gmem_shadow_set(struct gmem *gm, unsigned part, uint8_t mode);
/* Of an address in there. Any thread. */
uint8_t gmem_shadow(const struct gmem *gm, uint64_t gpa);
/* Where the ROM lies that reads find there: the last 128 KiB below 4 GiB from 0xe0000 on, or nowhere. */
uint64_t gmem_shadow_rom(uint64_t gpa);

unsigned gmem_block_count(const struct gmem *gm);
const struct gmem_block *gmem_block(const struct gmem *gm, unsigned n);
/* The block that holds the address, or NULL. */
const struct gmem_block *gmem_find(const struct gmem *gm, uint64_t gpa);
uint64_t gmem_total(const struct gmem *gm); /* bytes of RAM; cards' memory does not count */

/* A pointer to [gpa, gpa + len) when all of it is in one block, else NULL. Valid for the machine's life. The
 * guest changes these bytes at any time: copy once, then check, then use the copy. */
void *gmem_at(const struct gmem *gm, uint64_t gpa, uint64_t len);
/* To be called after storing through such a pointer. */
void gmem_written(struct gmem *gm, uint64_t gpa, uint64_t len);

int gmem_read(const struct gmem *gm, uint64_t gpa, void *buf, uint64_t len) ATTR_MUST_USE;
int gmem_write(struct gmem *gm, uint64_t gpa, const void *buf, uint64_t len) ATTR_MUST_USE;
int gmem_fill(struct gmem *gm, uint64_t gpa, uint8_t byte, uint64_t len) ATTR_MUST_USE;

/* One watcher, set by the accelerator before vCPUs run; NULL takes it off. */
void gmem_set_watch(struct gmem *gm, const struct gmem_watch *watch);

/* Bytes of all blocks, or of private memory alone, that the host holds in memory now. Slow: each page. */
uint64_t gmem_resident(const struct gmem *gm, bool anonymous);

/* Gives the pages back to the host (balloon, free page reporting); they read as zeros afterwards. */
int gmem_discard(struct gmem *gm, uint64_t gpa, uint64_t len) ATTR_MUST_USE;
/* Were any given back so far? Any thread. */
bool gmem_discarded(const struct gmem *gm);

/* Dirty log, for saving and migration. After gmem_dirty_start every page counts as clean. gmem_dirty_take calls fn
 * for each page written since the last take and marks it clean again. vCPU stores are merged in by the
 * accelerator (accel_ops.dirty_sync) before this is called. */
void gmem_dirty_start(struct gmem *gm);
void gmem_dirty_stop(struct gmem *gm);
uint64_t gmem_dirty_take(struct gmem *gm, void (*fn)(void *opaque, uint64_t gpa), void *opaque);

#endif
