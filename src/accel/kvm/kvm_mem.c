/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory as KVM slots (slot n is gmem block n), the dirty log, doorbells as ioeventfds. */
#include "accel/kvm/kvm.h"

#include "core/gmem.h"
#include "core/region.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/*
 * The block with GMEM_SHADOW in it becomes three slots and more: what lies before, under the block's own number; what
 * lies behind, and each part of the shadow, in slots after all blocks. A part that changes is a small slot that goes
 * and comes, and no other memory is away for a moment.
 */
enum { SLOT_BEHIND, SLOT_PARTS };
#define SHADOW_END (GMEM_SHADOW + GMEM_SHADOW_SIZE)

static bool has_shadow(const struct kvm_machine *m, const struct gmem_block *b)
{
	return m->shadow && !b->card && !b->rom && b->gpa <= GMEM_SHADOW && b->gpa + b->size >= SHADOW_END;
}

static int set_range(struct kvm_machine *m, unsigned slot, uint32_t flags, const struct gmem_block *b, uint64_t gpa,
		     uint64_t size)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)(size ? b->host + (gpa - b->gpa) : NULL),
	};
	return ioctl(m->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

/* What reads find in a part: RAM, the ROM's bytes, or nothing. Without read-only slots all is RAM. */
static int set_part(struct kvm_machine *m, unsigned part, uint32_t flags)
{
	const struct gmem *mem = m->vm->mem;
	uint64_t gpa = GMEM_SHADOW + part * GMEM_SHADOW_PART, from = gpa;
	uint8_t mode = m->offer.readonly_mem ? gmem_shadow(mem, gpa) : GMEM_SHADOW_READ | GMEM_SHADOW_WRITE;
	unsigned slot = gmem_block_count(mem) + SLOT_PARTS + part;
	int ret = set_range(m, slot, 0, NULL, gpa, 0);

	if (!(mode & GMEM_SHADOW_READ))
		from = gmem_shadow_rom(gpa);
	if (mode != (GMEM_SHADOW_READ | GMEM_SHADOW_WRITE))
		flags |= KVM_MEM_READONLY;
	const struct gmem_block *b = gmem_find(mem, from);
	if (!b || (ret < 0 && ret != -EINVAL && ret != -ENOENT))
		return b ? ret : 0;
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = GMEM_SHADOW_PART,
		.userspace_addr = (uintptr_t)b->host + (from - b->gpa),
	};
	return ioctl(m->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

static void shadowed(void *opaque, unsigned part)
{
	struct kvm_machine *m = opaque;
	if (set_part(m, part, m->dirty_log ? KVM_MEM_LOG_DIRTY_PAGES : 0) < 0)
		log_limited(&m->log_limit, LOG_WARNING, "KVM refuses what the chipset shows at %#x",
			    GMEM_SHADOW + part * GMEM_SHADOW_PART);
}

static int set_shadow_block(struct kvm_machine *m, unsigned n, uint32_t flags)
{
	const struct gmem_block *b = gmem_block(m->vm->mem, n);
	uint64_t end = b->gpa + b->size;
	int ret = b->gpa == GMEM_SHADOW ? 0 : set_range(m, n, flags, b, b->gpa, GMEM_SHADOW - b->gpa);

	if (ret == 0 && end > SHADOW_END)
		ret = set_range(m, gmem_block_count(m->vm->mem) + SLOT_BEHIND, flags, b, SHADOW_END, end - SHADOW_END);
	for (unsigned part = 0; ret == 0 && part < GMEM_SHADOW_PARTS; part++)
		ret = set_part(m, part, flags);
	return ret;
}

static int slot_set(struct kvm_machine *m, unsigned n, uint32_t flags)
{
	const struct gmem_block *b = gmem_block(m->vm->mem, n);
	uint64_t gpa = b->card ? atomic_load(&((struct gmem_block *)b)->card_at) : b->gpa;
	if (has_shadow(m, b))
		return set_shadow_block(m, n, flags);
	struct kvm_userspace_memory_region slot = {
		.slot = n,
		/* Where KVM has no read-only memory the guest can spoil its firmware, until the next reset. */
		.flags = flags | (b->rom && m->offer.readonly_mem ? KVM_MEM_READONLY : 0),
		.guest_phys_addr = gpa < GMEM_NOWHERE ? gpa : 0,
		.memory_size = gpa < GMEM_NOWHERE ? b->size : 0,
		.userspace_addr = (uintptr_t)b->host,
	};
	return ioctl(m->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

/* A view of a card's memory. Where it cannot be, over RAM for one, its region answers. */
static void card_placed(void *opaque, unsigned n)
{
	struct kvm_machine *m = opaque;
	const struct gmem_block *b = gmem_block(m->vm->mem, n);
	uint64_t gpa = atomic_load(&((struct gmem_block *)b)->card_at);
	if (slot_set(m, n, m->dirty_log ? KVM_MEM_LOG_DIRTY_PAGES : 0) < 0 && gpa < GMEM_NOWHERE)
		log_limited(&m->log_limit, LOG_INFO, "KVM does not map '%s' at %#llx: accesses are slow", b->name,
			    (unsigned long long)gpa);
}

int kvm_mem_prepare(struct kvm_machine *m, struct err *e)
{
	unsigned count = gmem_block_count(m->vm->mem);
	if (m->offer.nr_memslots && (int)(count + KVM_SHADOW_SLOTS) > m->offer.nr_memslots)
		return err_set(e, -ENOSPC, "the machine has %u memory blocks, this kernel's KVM takes %d", count,
			       m->offer.nr_memslots);
	for (uint64_t gpa = GMEM_SHADOW; gpa < SHADOW_END; gpa += GMEM_SHADOW_PART)
		m->shadow |= gmem_shadow(m->vm->mem, gpa) != (GMEM_SHADOW_READ | GMEM_SHADOW_WRITE);
	gmem_watch_cards(m->vm->mem, &(struct gmem_card_watch){ card_placed, m, shadowed });
	for (unsigned n = 0; n < count; n++) {
		const struct gmem_block *b = gmem_block(m->vm->mem, n);
		int r = b->card ? 0 : slot_set(m, n, 0);
		if (r < 0)
			return err_errno(e, -r, "KVM refuses guest memory '%s' (%llu MiB at %#llx)", b->name,
			                 (unsigned long long)(b->size >> 20), (unsigned long long)b->gpa);
	}
	return 0;
}

/* Each set bit is a page that the guest wrote: no longer clean. first: the bitmap's, pages of them. */
static void dirty_merge(const struct gmem_block *b, uint64_t first, uint64_t pages, const uint64_t *bitmap)
{
	for (uint64_t word = 0; word < (pages + 63) / 64; word++) {
		for (uint64_t bits = bitmap[word]; bits; bits &= bits - 1) {
			uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);
			if (page < pages)
				atomic_fetch_and(&b->page_flags[first + page], (uint8_t)~GMEM_FLAG_CLEAN);
		}
	}
}

/* When the log cannot be read, every page counts as written: slow, and never wrong. */
static void dirty_all(const struct gmem_block *b, uint64_t first, uint64_t pages)
{
	for (uint64_t page = first; page < first + pages; page++)
		atomic_fetch_and(&b->page_flags[page], (uint8_t)~GMEM_FLAG_CLEAN);
}

static void dirty_read_slot(struct kvm_machine *m, unsigned slot, const struct gmem_block *b, uint64_t first,
			    uint64_t pages)
{
	uint64_t *bitmap = calloc((pages + 63) / 64, sizeof(uint64_t));
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };
	if (bitmap && ioctl(m->fd, KVM_GET_DIRTY_LOG, &log) == 0)
		dirty_merge(b, first, pages, bitmap);
	else
		dirty_all(b, first, pages);
	free(bitmap);
}

/* The shadow's few pages always count as written. */
static void dirty_read(struct kvm_machine *m, unsigned n)
{
	const struct gmem_block *b = gmem_block(m->vm->mem, n);
	uint64_t pages = b->size / GMEM_PAGE, before = (GMEM_SHADOW - b->gpa) / GMEM_PAGE;
	uint64_t behind = before + GMEM_SHADOW_SIZE / GMEM_PAGE;
	if (!has_shadow(m, b)) {
		dirty_read_slot(m, n, b, 0, pages);
		return;
	}
	if (before)
		dirty_read_slot(m, n, b, 0, before);
	dirty_all(b, before, behind - before);
	if (pages > behind)
		dirty_read_slot(m, gmem_block_count(m->vm->mem) + SLOT_BEHIND, b, behind, pages - behind);
}

void kvm_mem_dirty_sync(struct kvm_machine *m, bool enable)
{
	unsigned count = gmem_block_count(m->vm->mem);
	for (unsigned n = 0; n < count; n++) {
		if (m->dirty_log)
			dirty_read(m, n);
		if (enable == m->dirty_log)
			continue;
		if (slot_set(m, n, enable ? KVM_MEM_LOG_DIRTY_PAGES : 0) < 0 && enable)
			log_limited(&m->log_limit, LOG_WARNING,
				    "KVM refuses a dirty log for memory block %u; all its pages count as written", n);
	}
	m->dirty_log = enable;
}

/* A doorbell that the kernel refuses still works: region_write signals the eventfd. */
static void doorbell(void *opaque, const struct region_doorbell *bell, bool added)
{
	struct kvm_machine *m = opaque;
	if (!m->offer.ioeventfd || (bell->width == 0 && !m->offer.ioeventfd_any_length))
		return;
	struct kvm_ioeventfd io = {
		.datamatch = bell->match ? bell->value : 0,
		.addr = bell->addr,
		.len = bell->width,
		.fd = bell->event_fd,
		.flags = (bell->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
			 (bell->space == REGION_PORT ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (added ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};
	if (ioctl(m->fd, KVM_IOEVENTFD, &io) == 0 && added)
		atomic_fetch_add(&m->doorbells, 1);
}

void kvm_mem_listen(struct kvm_machine *m, bool on)
{
	struct region_listener l = { .doorbell = doorbell, .opaque = m };
	region_set_listener(m->vm->regions, on ? &l : NULL);
}
