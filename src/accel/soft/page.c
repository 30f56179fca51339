/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages that hold decoded code: who may write there unseen, and what a store does to the decoded blocks. */
#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "core/vcpu.h"
#include "core/vm.h"

struct soft_ram *ram_find(struct soft_vm *sv, uint64_t gpa)
{
	for (unsigned n = 0; n < sv->ram_count; n++)
		if (gpa - sv->ram[n].gpa < sv->ram[n].size)
			return &sv->ram[n];
	return NULL;
}

struct soft_ram *ram_shadowed(struct soft_vm *sv, uint64_t *gpa, bool write)
{
	uint8_t mode = gmem_shadow(sv->mem, *gpa);
	uint64_t rom = gmem_shadow_rom(*gpa);
	struct soft_ram *r;
	if (mode & (write ? GMEM_SHADOW_WRITE : GMEM_SHADOW_READ))
		return ram_find(sv, *gpa);
	r = write ? NULL : ram_find(sv, rom);
	if (r)
		*gpa = rom;
	return r;
}

struct soft_ram *ram_of_host(struct soft_vm *sv, const uint8_t *host)
{
	for (unsigned n = 0; n < sv->ram_count; n++)
		if ((uintptr_t)host - (uintptr_t)sv->ram[n].host < sv->ram[n].size)
			return &sv->ram[n];
	return NULL;
}

/* The bits of the lines that [off, off + len) of a page touches. */
static uint64_t line_mask(uint64_t off, uint64_t len)
{
	unsigned first = (unsigned)off >> 6, last = (unsigned)(off + len - 1) >> 6;
	return (UINT64_MAX << first) & (UINT64_MAX >> (63 - last));
}

/* Before they enter translated code again, all vCPUs look whether it is still that of its page. */
static void tell_all(struct soft_vm *sv, struct soft_cpu *c)
{
	const struct vm *vm = sv->vm;
	if (!sv->options.hot)
		return;
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		if (vm->vcpu[n])
			atomic_fetch_or(&vm->vcpu[n]->attention, SOFT_ATT_CODE);
	if (c)
		atomic_fetch_or(&c->v->attention, SOFT_ATT_CODE);
}

/*
 * The order matters against page_watch_code on another thread: there the generation is read first and the marks are
 * set afterwards, here the marks are cleared before the generation advances. So whoever loses a mark is stale.
 */
static bool code_hit(struct soft_vm *sv, struct soft_cpu *c, struct soft_ram *r, uint64_t page, uint64_t off, uint64_t len)
{
	struct code_page *p = &r->pages[page];
	if (!(atomic_load(&p->lines) & line_mask(off, len)))
		return false;
	atomic_store(&p->lines, 0);
	atomic_fetch_and(&r->flags[page], (uint8_t)~GMEM_FLAG_CODE);
	atomic_fetch_add(&p->gen, 1);
	tell_all(sv, c);
	return true;
}

void page_written(struct soft_vm *sv, struct soft_cpu *c, struct soft_ram *r, uint64_t off, uint64_t len)
{
	atomic_thread_fence(memory_order_seq_cst); /* the bytes are there before the marks are read */
	for (uint64_t end = off + len; off < end;) {
		uint64_t page = off >> 12, in = off & 4095, n = 4096 - in < end - off ? 4096 - in : end - off;
		uint8_t f = atomic_load(&r->flags[page]);
		if (unlikely(f & GMEM_FLAG_CLEAN))
			atomic_fetch_and(&r->flags[page], (uint8_t)~GMEM_FLAG_CLEAN);
		if (unlikely(f & GMEM_FLAG_CODE) && !sv->foreign && code_hit(sv, c, r, page, in, n) && c)
			c->end_block = true;
		off += n;
	}
}

void page_code_written(void *opaque, uint64_t gpa, uint64_t len)
{
	struct soft_vm *sv = opaque;
	while (len) {
		struct soft_ram *r = ram_find(sv, gpa);
		if (!r)
			return;
		uint64_t n = r->gpa + r->size - gpa < len ? r->gpa + r->size - gpa : len;
		page_written(sv, NULL, r, gpa - r->gpa, n);
		gpa += n;
		len -= n;
	}
}

static void note_writer(struct code_page *p, uint32_t slot)
{
	uint32_t was = atomic_load_explicit(&p->writers, memory_order_relaxed);
	if (was == slot + 1 || was == PAGE_MANY)
		return;
	if (was || !atomic_compare_exchange_strong(&p->writers, &was, slot + 1))
		atomic_store(&p->writers, PAGE_MANY);
}

bool page_take_writer(struct soft_vm *sv, struct soft_ram *r, uint64_t off, uint64_t lin)
{
	if (atomic_load(&sv->dirty_log))
		return false;
	struct code_page *p = &r->pages[off >> 12];
	if (!sv->foreign)
		note_writer(p, tlb_slot(lin)); /* before the flag is read: page_watch_code does it the other way round */
	return !(atomic_load(&r->flags[off >> 12]) & (GMEM_FLAG_CODE | GMEM_FLAG_CLEAN));
}

/* Asks the other vCPUs to let go of write translations; returns the number of the call. */
static uint64_t page_shoot(struct soft_cpu *c)
{
	uint64_t epoch = atomic_fetch_add(&c->sv->epoch, 1) + 1;
	struct vm *vm = c->vm;
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		if (vm->vcpu[n] && vm->vcpu[n] != c->v)
			atomic_fetch_or(&vm->vcpu[n]->attention, SOFT_ATT_ACK);
	return epoch;
}

static bool all_acked(struct soft_cpu *c, uint64_t epoch)
{
	struct vm *vm = c->vm;
	if (!epoch)
		return true;
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		struct soft_vcpu *p = vm->vcpu[n] ? vm->vcpu[n]->accel_data : NULL;
		if (p && &p->c != c && atomic_load(&p->active) && atomic_load(&p->ack_epoch) < epoch)
			return false;
	}
	return true;
}

bool page_watch_code(struct soft_cpu *c, struct soft_ram *r, uint64_t off, unsigned len)
{
	struct code_page *p = &r->pages[off >> 12];
	uint64_t mask = line_mask(off & 4095, len);
	if (!(atomic_load(&r->flags[off >> 12]) & GMEM_FLAG_CODE))
		atomic_fetch_or(&r->flags[off >> 12], GMEM_FLAG_CODE);
	if (~atomic_load(&p->lines) & mask)
		atomic_fetch_or(&p->lines, mask);
	uint32_t writers = atomic_load(&p->writers);
	if (writers) {
		/* Who changes it meanwhile is another vCPU, which sees the flag or is called below. */
		mmu_drop_writers_of(c, r->host + (off & ~UINT64_C(4095)), writers == PAGE_MANY ? TLB_SIZE : writers - 1);
		atomic_store(&p->writers, 0);
		if (c->vm && c->vm->vcpu_count > 1)
			atomic_store(&p->epoch, page_shoot(c));
	}
	atomic_thread_fence(memory_order_seq_cst);
	return all_acked(c, atomic_load(&p->epoch));
}

void page_ack(struct soft_cpu *c)
{
	/* The bit first: a call that comes after it sets the bit again. */
	atomic_fetch_and(&c->v->attention, ~SOFT_ATT_ACK);
	uint64_t epoch = atomic_load(&c->sv->epoch);
	uint64_t moved = atomic_load(&c->sv->cards_moved);
	if (moved != soft_vcpu_of(c)->cards_seen)
		mmu_flush_all(c);
	soft_vcpu_of(c)->cards_seen = moved;
	mmu_drop_writers(c);
	atomic_store(&soft_vcpu_of(c)->ack_epoch, epoch);
}
