/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/gmem.h"

#include "base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, SHADOW_BIOS = 0xe0000 };

struct gmem {
	struct gmem_block block[GMEM_BLOCK_MAX];
	unsigned count;
	struct gmem_watch watch;
	struct gmem_card_watch card_watch[GMEM_CARD_WATCHES];
	unsigned card_watches;
	_Atomic uint8_t shadow[GMEM_SHADOW_PARTS];
	_Atomic bool logging, discarded;
};

int gmem_create(struct gmem **out, struct err *e)
{
	struct gmem *gm = calloc(1, sizeof(*gm));

	if (!gm)
		return err_set(e, -ENOMEM, "out of memory");
	for (unsigned n = 0; n < GMEM_SHADOW_PARTS; n++)
		atomic_store(&gm->shadow[n], GMEM_SHADOW_READ | GMEM_SHADOW_WRITE);
	*out = gm;
	return 0;
}

void gmem_destroy(struct gmem *gm)
{
	if (!gm)
		return;
	for (unsigned n = 0; n < gm->count; n++) {
		munmap(gm->block[n].host, gm->block[n].size);
		munmap((void *)gm->block[n].page_flags, gm->block[n].size / GMEM_PAGE);
		if (gm->block[n].fd >= 0)
			close(gm->block[n].fd);
	}
	free(gm);
}

static int check_new(const struct gmem *gm, uint64_t gpa, uint64_t size, const char *name, struct err *e)
{
	if (!size || gpa % GMEM_PAGE || size % GMEM_PAGE || gpa + size < gpa || size > INT64_MAX)
		return err_set(e, -EINVAL, "memory %s: address and size must be multiples of %d", name, GMEM_PAGE);
	if (gm->count == GMEM_BLOCK_MAX)
		return err_set(e, -ENOSPC, "memory %s: more than %d blocks", name, GMEM_BLOCK_MAX);
	for (unsigned n = 0; n < gm->count; n++)
		if (range_overlap(gpa, size, gm->block[n].gpa, gm->block[n].size))
			return err_set(e, -EEXIST, "memory %s overlaps memory %s", name, gm->block[n].name);
	return 0;
}

static int map_shared(struct gmem_block *b, struct err *e)
{
	b->fd = memfd_create(b->name, MFD_CLOEXEC);
	if (b->fd < 0)
		return err_errno(e, errno, "cannot create guest memory");
	if (ftruncate(b->fd, (off_t)b->size) < 0)
		return err_errno(e, errno, "cannot size guest memory to %llu MiB", (unsigned long long)(b->size >> 20));
	b->host = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, b->fd, 0);
	return 0;
}

/* Private memory, since hosts rarely give huge pages to shared. It begins where a huge page can. */
static void *map_huge(size_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return p;
	size_t before = round_up((uintptr_t)p, HUGE_PAGE) - (uintptr_t)p;
	if (before)
		munmap(p, before);
	munmap(p + before + size, HUGE_PAGE - before);
	madvise(p + before, size, MADV_HUGEPAGE);
	return p + before;
}

/* The mapping keeps no swap reserved: a guest's memory may be larger than what the host has free now. */
static int map_block(struct gmem_block *b, bool hugepages, struct err *e)
{
	void *flags;

	int ret = 0;

	if (hugepages)
		b->host = map_huge(b->size);
	else
		ret = map_shared(b, e);
	if (ret < 0)
		return ret;
	if (b->host == MAP_FAILED)
		return err_errno(e, errno, "cannot map %llu MiB of guest memory; give the machine less with --memory",
		                 (unsigned long long)(b->size >> 20));
	flags = mmap(NULL, b->size / GMEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		     0);
	if (flags == MAP_FAILED) {
		munmap(b->host, b->size);
		return err_errno(e, errno, "cannot map the page flags of guest memory");
	}
	b->page_flags = flags;
	return 0;
}

int gmem_add_ram(struct gmem *gm, uint64_t gpa, uint64_t size, const char *name, bool hugepages, struct err *e)
{
	struct gmem_block *b = &gm->block[gm->count];
	int ret = check_new(gm, gpa, size, name, e);

	if (ret < 0)
		return ret;
	*b = (struct gmem_block){ .gpa = gpa, .size = size, .fd = -1 };
	snprintf(b->name, sizeof(b->name), "%s", name);
	ret = map_block(b, hugepages, e);
	if (ret < 0) {
		if (b->fd >= 0)
			close(b->fd);
		return ret;
	}
	gm->count++;
	return 0;
}

int gmem_add_rom(struct gmem *gm, uint64_t gpa, uint64_t size, const char *name, struct err *e)
{
	int ret = gmem_add_ram(gm, gpa, size, name, false, e);

	if (ret == 0)
		gm->block[gm->count - 1].rom = true;
	return ret;
}

int gmem_add_card(struct gmem *gm, uint64_t size, const char *name, uint8_t **host, struct err *e)
{
	uint64_t at = GMEM_NOWHERE;
	int ret;

	for (unsigned n = 0; n < gm->count; n++)
		if (gm->block[n].card)
			at += gm->block[n].size;
	ret = gmem_add_ram(gm, at, size, name, false, e);
	if (ret < 0)
		return ret;
	gm->block[gm->count - 1].card = true;
	atomic_store(&gm->block[gm->count - 1].card_at, GMEM_NOWHERE);
	*host = gm->block[gm->count - 1].host;
	return 0;
}

void gmem_card_place(struct gmem *gm, const uint8_t *host, uint64_t gpa)
{
	for (unsigned n = 0; n < gm->count; n++) {
		if (!gm->block[n].card || gm->block[n].host != host)
			continue;
		atomic_store(&gm->block[n].card_at, gpa);
		for (unsigned w = 0; w < gm->card_watches; w++)
			gm->card_watch[w].placed(gm->card_watch[w].opaque, n);
	}
}

/* One load of the place, which may change meanwhile: the result is inside the block in any case. */
uint64_t gmem_card_address(const struct gmem *gm, uint64_t gpa)
{
	for (unsigned n = 0; n < gm->count; n++) {
		struct gmem_block *b = (struct gmem_block *)&gm->block[n]; /* Clang 14 loads no const atomics */
		uint64_t off = b->card ? gpa - atomic_load(&b->card_at) : b->size;

		if (gpa < GMEM_NOWHERE && off < b->size)
			return b->gpa + off;
	}
	return gpa;
}

void gmem_watch_cards(struct gmem *gm, const struct gmem_card_watch *watch)
{
	assert(gm->card_watches < GMEM_CARD_WATCHES);
	gm->card_watch[gm->card_watches++] = *watch;
}

void gmem_shadow_set(struct gmem *gm, unsigned part, uint8_t mode)
{
	assert(part < GMEM_SHADOW_PARTS);
	if (atomic_exchange(&gm->shadow[part], mode) == mode)
		return;
	for (unsigned w = 0; w < gm->card_watches; w++)
		if (gm->card_watch[w].shadowed)
			gm->card_watch[w].shadowed(gm->card_watch[w].opaque, part);
}

uint8_t gmem_shadow(const struct gmem *gm, uint64_t gpa)
{
	struct gmem *all = (struct gmem *)gm; /* Clang 14 loads no const atomics */

	return atomic_load(&all->shadow[(gpa - GMEM_SHADOW) / GMEM_SHADOW_PART]);
}

uint64_t gmem_shadow_rom(uint64_t gpa)
{
	return gpa < SHADOW_BIOS ? GMEM_NOWHERE : UINT64_C(0xfff00000) + gpa;
}

unsigned gmem_block_count(const struct gmem *gm)
{
	return gm->count;
}

const struct gmem_block *gmem_block(const struct gmem *gm, unsigned n)
{
	return &gm->block[n];
}

const struct gmem_block *gmem_find(const struct gmem *gm, uint64_t gpa)
{
	for (unsigned n = 0; n < gm->count; n++)
		if (gpa - gm->block[n].gpa < gm->block[n].size)
			return &gm->block[n];
	return NULL;
}

uint64_t gmem_total(const struct gmem *gm)
{
	uint64_t total = 0;

	for (unsigned n = 0; n < gm->count; n++)
		total += gm->block[n].rom || gm->block[n].card ? 0 : gm->block[n].size;
	return total;
}

int gmem_load_rom(struct gmem *gm, uint64_t gpa, const void *buf, uint64_t len)
{
	const struct gmem_block *b = gmem_find(gm, gpa);

	if (!b || !b->rom || !range_inside(gpa - b->gpa, len, b->size))
		return -EFAULT;
	memcpy(b->host + (gpa - b->gpa), buf, len);
	gmem_written(gm, gpa, len);
	return 0;
}

void *gmem_at(const struct gmem *gm, uint64_t gpa, uint64_t len)
{
	const struct gmem_block *b = gmem_find(gm, gpa);

	if (!b || b->rom || !range_inside(gpa - b->gpa, len, b->size))
		return NULL;
	return b->host + (gpa - b->gpa);
}

/* Tells the watcher of the part of [gpa, gpa + len) that lies in page n of b. */
static void code_written(struct gmem *gm, const struct gmem_block *b, uint64_t n, uint64_t gpa, uint64_t len)
{
	uint64_t page = b->gpa + n * GMEM_PAGE;
	uint64_t from = page < gpa ? gpa : page;
	uint64_t to = page + GMEM_PAGE < gpa + len ? page + GMEM_PAGE : gpa + len;

	gm->watch.code_written(gm->watch.opaque, from, to - from);
}

void gmem_written(struct gmem *gm, uint64_t gpa, uint64_t len)
{
	const struct gmem_block *b = len ? gmem_find(gm, gpa) : NULL;
	uint64_t first, last;

	if (!b || !range_inside(gpa - b->gpa, len, b->size))
		return;
	/* The bytes are visible before the flags are read: whoever sets a flag and then reads the page sees them, or
	 * we see the flag. */
	atomic_thread_fence(memory_order_seq_cst);
	first = (gpa - b->gpa) / GMEM_PAGE;
	last = (gpa - b->gpa + len - 1) / GMEM_PAGE;
	for (uint64_t n = first; n <= last; n++) {
		uint8_t flags = atomic_load_explicit(&b->page_flags[n], memory_order_relaxed);

		if (flags & GMEM_FLAG_CLEAN)
			atomic_fetch_and(&b->page_flags[n], (uint8_t)~GMEM_FLAG_CLEAN);
		if ((flags & GMEM_FLAG_CODE) && gm->watch.code_written)
			code_written(gm, b, n, gpa, len);
	}
}

/* True when [gpa, gpa + len) is memory throughout, over neighbouring blocks too; RAM, when it is to be written. */
static bool all_memory(const struct gmem *gm, uint64_t gpa, uint64_t len, bool write)
{
	while (len) {
		const struct gmem_block *b = gmem_find(gm, gpa);
		uint64_t room;

		if (!b || (write && b->rom))
			return false;
		room = b->size - (gpa - b->gpa);
		if (room >= len)
			return true;
		gpa += room;
		len -= room;
	}
	return true;
}

/* What lies in one block from gpa on, at most len bytes. */
static uint64_t span(const struct gmem *gm, uint64_t gpa, uint64_t len, uint8_t **host)
{
	const struct gmem_block *b = gmem_find(gm, gpa);
	uint64_t room = b->size - (gpa - b->gpa);

	*host = b->host + (gpa - b->gpa);
	return room < len ? room : len;
}

int gmem_read(const struct gmem *gm, uint64_t gpa, void *buf, uint64_t len)
{
	uint8_t *to = buf, *host;

	if (!all_memory(gm, gpa, len, false))
		return -EFAULT;
	while (len) {
		uint64_t n = span(gm, gpa, len, &host);

		memcpy(to, host, n);
		to += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int gmem_write(struct gmem *gm, uint64_t gpa, const void *buf, uint64_t len)
{
	const uint8_t *from = buf;
	uint8_t *host;

	if (!all_memory(gm, gpa, len, true))
		return -EFAULT;
	while (len) {
		uint64_t n = span(gm, gpa, len, &host);

		memcpy(host, from, n);
		gmem_written(gm, gpa, n);
		from += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int gmem_fill(struct gmem *gm, uint64_t gpa, uint8_t byte, uint64_t len)
{
	uint8_t *host;

	if (!all_memory(gm, gpa, len, true))
		return -EFAULT;
	while (len) {
		uint64_t n = span(gm, gpa, len, &host);

		memset(host, byte, n);
		gmem_written(gm, gpa, n);
		gpa += n;
		len -= n;
	}
	return 0;
}

void gmem_set_watch(struct gmem *gm, const struct gmem_watch *watch)
{
	gm->watch = watch ? *watch : (struct gmem_watch){ 0 };
}

uint64_t gmem_resident(const struct gmem *gm, bool anonymous)
{
	unsigned char in[4096];
	uint64_t pages = 0;

	for (unsigned n = 0; n < gm->count; n++) {
		const struct gmem_block *b = &gm->block[n];
		uint64_t step = sizeof(in) * GMEM_PAGE;
		for (uint64_t off = 0; off < b->size && (!anonymous || b->fd < 0); off += step) {
			uint64_t len = b->size - off < step ? b->size - off : step;
			if (mincore(b->host + off, len, in) < 0)
				continue;
			for (uint64_t p = 0; p < len / GMEM_PAGE; p++)
				pages += in[p] & 1;
		}
	}
	return pages * GMEM_PAGE;
}

int gmem_discard(struct gmem *gm, uint64_t gpa, uint64_t len)
{
	const struct gmem_block *b = gmem_find(gm, gpa);

	if (!len)
		return 0;
	if (!b || gpa % GMEM_PAGE || len % GMEM_PAGE || !range_inside(gpa - b->gpa, len, b->size))
		return -EFAULT;
	uint64_t off = gpa - b->gpa;
	atomic_store(&gm->discarded, true);
	int ret = b->fd < 0 ? madvise(b->host + off, len, MADV_DONTNEED) :
			      fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	if (ret < 0)
		return -errno;
	gmem_written(gm, gpa, len);
	return 0;
}

bool gmem_discarded(const struct gmem *gm)
{
	return atomic_load_explicit(&gm->discarded, memory_order_relaxed);
}

static void mark_all(struct gmem *gm, bool clean)
{
	for (unsigned n = 0; n < gm->count; n++)
		for (uint64_t p = 0; p < gm->block[n].size / GMEM_PAGE; p++) {
			if (clean)
				atomic_fetch_or(&gm->block[n].page_flags[p], GMEM_FLAG_CLEAN);
			else if (gm->block[n].page_flags[p])
				atomic_fetch_and(&gm->block[n].page_flags[p], (uint8_t)~GMEM_FLAG_CLEAN);
		}
}

void gmem_dirty_start(struct gmem *gm)
{
	atomic_store(&gm->logging, true);
	mark_all(gm, true);
}

void gmem_dirty_stop(struct gmem *gm)
{
	atomic_store(&gm->logging, false);
	mark_all(gm, false);
}

uint64_t gmem_dirty_take(struct gmem *gm, void (*fn)(void *opaque, uint64_t gpa), void *opaque)
{
	uint64_t taken = 0;

	if (!atomic_load(&gm->logging))
		return 0;
	for (unsigned n = 0; n < gm->count; n++)
		for (uint64_t p = 0; p < gm->block[n].size / GMEM_PAGE; p++) {
			if (atomic_fetch_or(&gm->block[n].page_flags[p], GMEM_FLAG_CLEAN) & GMEM_FLAG_CLEAN)
				continue;
			fn(opaque, gm->block[n].gpa + p * GMEM_PAGE);
			taken++;
		}
	return taken;
}
