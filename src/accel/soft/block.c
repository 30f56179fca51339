/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded blocks, one per vCPU. A block is keyed by the host address of its first byte (its physical
 * place) and the mode; a second, direct-mapped table finds it by RIP. When the arena is full all is dropped.
 */
#include "accel/soft/ahead.h"
#include "accel/soft/mem.h"
#include "accel/soft/mmu.h"
#include "accel/soft/pages.h"
#include "accel/soft/soft.h"
#include "accel/soft/xlate.h"
#include "core/region.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	HASH_BITS = 18, HASH_SIZE = 1 << HASH_BITS,
	BLOCK_MAX = 1 << 18,
	INSN_MAX = 1 << 21,
	NEAR_BITS = 16, NEAR_SIZE = 1 << NEAR_BITS,
	CROSSINGS = 256,
	CROSSING_HOT = 64, /* hits before the translator may have one */
};

struct block_cache {
	struct block *near[NEAR_SIZE]; /* the first huge page has all of it */
	struct block *hash[HASH_SIZE];
	struct block *block; /* BLOCK_MAX */
	struct insn *insn;   /* INSN_MAX */
	unsigned block_count, insn_count;
	struct ahead_table block_table, insn_table; /* what these are in */
	uint64_t flushes;
	/* for what is not cached: code that crosses pages or is not in RAM */
	struct block scratch;
	struct insn scratch_insn;
	struct crossing {
		uint8_t bytes[15], len; /* len 0: empty */
		bool system;
		uint32_t mode;
		struct insn insn;
		struct block *block; /* the same for the translator, or NULL */
		unsigned hits;
	} crossing[CROSSINGS];
	_Atomic uint32_t scratch_gen;
};

int block_cache_create(struct block_cache **out, struct err *e)
{
	struct block_cache *bc = pages_map(sizeof(*bc), sizeof(*bc));
	if (!bc)
		return err_set(e, -ENOMEM, "no memory for a vCPU's code cache");
	bc->block = ahead_table_create(&bc->block_table, BLOCK_MAX * sizeof(*bc->block));
	bc->insn = ahead_table_create(&bc->insn_table, INSN_MAX * sizeof(*bc->insn));
	if (!bc->block || !bc->insn) {
		block_cache_destroy(bc);
		return err_set(e, -ENOMEM, "no memory for a vCPU's code cache");
	}
	*out = bc;
	return 0;
}

void block_cache_destroy(struct block_cache *bc)
{
	if (!bc)
		return;
	ahead_table_destroy(&bc->block_table);
	ahead_table_destroy(&bc->insn_table);
	munmap(bc, sizeof(*bc));
}

void block_cache_use_huge(struct block_cache *bc, struct ahead *a)
{
	ahead_take(a, bc, sizeof(*bc), AHEAD_HUGE);
}

uint64_t block_flushes(const struct soft_cpu *c)
{
	return container_of(c, const struct soft_vcpu, c)->blocks->flushes;
}

static void cache_flush(struct soft_cpu *c)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	memset(bc->hash, 0, sizeof(bc->hash));
	memset(bc->near, 0, sizeof(bc->near));
	for (unsigned n = 0; n < CROSSINGS; n++)
		bc->crossing[n].block = NULL;
	bc->block_count = bc->insn_count = 0;
	bc->flushes++;
	if (c->xlate)
		xlate_flush(c->xlate);
}

static unsigned hash_host(const uint8_t *host, uint32_t mode)
{
	uint64_t h = ((uint64_t)(uintptr_t)host ^ (uint64_t)mode << 40) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(h >> (64 - HASH_BITS));
}

static unsigned hash_near(uint64_t rip)
{
	return (unsigned)(rip ^ rip >> NEAR_BITS) & (NEAR_SIZE - 1);
}

/* Decodes from a copy of the bytes; returns how many bytes the instructions take. 0: the first needs more. */
static unsigned decode_run(struct soft_cpu *c, const uint8_t *bytes, unsigned avail, unsigned max, struct insn *out,
                           struct block *b)
{
	unsigned at = 0, n = 0;
	enum decode_result r = DECODE_NEXT;
	while (n < max && r == DECODE_NEXT && at < avail) {
		out[n].off = (uint16_t)at;
		r = decode_insn(c->sv, c->mode, bytes + at, avail - at, &out[n]);
		if (r == DECODE_MORE)
			break;
		at += out[n].len;
		n++;
	}
	b->count = (uint8_t)n;
	b->len = (uint16_t)at;
	b->system = r == DECODE_SYSTEM;
	return at;
}

/* ---- what is not cached ---- */
/* Bytes at s.rip one by one through the fetch path; up to `max`, as far as the limit of CS allows. */
static unsigned fetch_bytes(struct soft_cpu *c, uint64_t lin, uint8_t *buf, unsigned have, unsigned max)
{
	uint64_t gpa;
	for (unsigned n = have; n < max;) {
		uint64_t at = cpu_code64(c) ? lin + n : (uint32_t)(lin + n);
		const uint8_t *p = mmu_fetch(c, at, &gpa);
		unsigned room = 4096 - (at & 4095), take = max - n < room ? max - n : room;
		if (p) {
			memcpy(buf + n, p, take);
		} else {
			for (unsigned k = 0; k < take; k++)
				buf[n + k] = (uint8_t)region_read(c->vm->regions, REGION_MEMORY, gpa + k, 1);
		}
		n += take;
	}
	return max;
}

/* As decode_run for one instruction; what the same bytes gave before is remembered, by their address. */
static bool decode_crossing(struct soft_cpu *c, uint64_t lin, const uint8_t *bytes, unsigned avail, struct block *b)
{
	struct crossing *x = &soft_vcpu_of(c)->blocks->crossing[(lin ^ lin >> 12) & (CROSSINGS - 1)];
	if (x->len && x->len <= avail && x->mode == c->mode && !memcmp(x->bytes, bytes, x->len)) {
		b->insn[0] = x->insn;
		b->count = 1;
		b->len = x->len;
		b->system = x->system;
		return true;
	}
	if (!decode_run(c, bytes, avail, 1, b->insn, b))
		return false;
	/* One byte does not say it all: what cannot be decoded has that length. */
	if (b->len > 1 && b->len <= sizeof(x->bytes)) {
		memcpy(x->bytes, bytes, b->len);
		x->len = (uint8_t)b->len;
		x->system = b->system;
		x->mode = c->mode;
		x->insn = b->insn[0];
		x->block = NULL;
		x->hits = 0;
	}
	return true;
}

static struct block *block_new(struct soft_cpu *c);

/* As page_watch_code for what lies at host; *gen: the page's generation before. */
static bool watch(struct soft_cpu *c, const uint8_t *host, unsigned len, const _Atomic uint32_t **page_gen, uint32_t *gen)
{
	struct soft_ram *r = ram_of_host(c->sv, host);
	uint64_t off = (uint64_t)(host - r->host);
	*page_gen = &r->pages[off >> 12].gen;
	*gen = atomic_load(*page_gen);
	return page_watch_code(c, r, off, len);
}

static bool same_bytes(const struct crossing *x, const uint8_t *first, unsigned room, const uint8_t *second)
{
	return !memcmp(first, x->bytes, room) && !memcmp(second, x->bytes + room, x->len - room);
}

/* A block that holds until either page is written, for the translator. It stays as it is until all blocks go. */
static struct block *crossing_block(struct soft_cpu *c, struct crossing *x, uint64_t lin, const uint8_t *first,
				    const uint8_t *second)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	struct block *b = x->block;
	unsigned room = 4096 - (lin & 4095);
	if (b && b->rip == lin && b->host == first && b->second.host == second && b->gen == atomic_load(b->page_gen) &&
	    b->second.gen == atomic_load(b->second.page_gen))
		return b;
	if (++x->hits < CROSSING_HOT)
		return NULL;
	x->hits = 0;
	struct block n = { .rip = lin, .host = first, .mode = c->mode, .count = 1, .capacity = 1, .len = x->len,
			   .system = x->system, .once = true, .second.host = second };
	if (!watch(c, first, room, &n.page_gen, &n.gen) ||
	    !watch(c, second, x->len - room, &n.second.page_gen, &n.second.gen) || !same_bytes(x, first, room, second))
		return NULL;
	b = block_new(c);
	*b = n;
	b->insn = &bc->insn[bc->insn_count++];
	b->insn[0] = x->insn;
	x->block = b;
	return b;
}

/* The one instruction at lin, when it reaches into the next page and was decoded before: its bytes are compared where
 * they are now. That the first ones are the same means that the second page is needed. */
static struct block *crossing_find(struct soft_cpu *c, uint64_t lin)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	struct crossing *x = &bc->crossing[(lin ^ lin >> 12) & (CROSSINGS - 1)];
	unsigned room = 4096 - (lin & 4095);
	uint64_t gpa;
	if (x->len <= room || x->mode != c->mode)
		return NULL;
	const uint8_t *first = mmu_fetch(c, lin, &gpa);
	if (!first || memcmp(first, x->bytes, room))
		return NULL;
	const uint8_t *second = mmu_fetch(c, lin + room, &gpa);
	if (!second || !same_bytes(x, first, room, second))
		return NULL;
	struct block *b = c->xlate ? crossing_block(c, x, lin, first, second) : NULL;
	if (b)
		return b;
	bc->scratch = (struct block){ .page_gen = &bc->scratch_gen, .insn = &x->insn, .capacity = 1, .once = true, .count = 1,
				      .len = x->len, .system = x->system };
	return &bc->scratch;
}

/* One instruction, not kept as a block. Bytes beyond the first page or the limit are only touched when the
 * instruction needs them. */
static struct block *block_scratch(struct soft_cpu *c, uint64_t lin)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	struct block *b = &bc->scratch;
	uint8_t buf[16];
	unsigned room = 4096 - (lin & 4095), max = 15;
	if (!cpu_code64(c)) {
		uint64_t left = (uint64_t)c->s.seg[X86_CS].limit + 1 - c->s.rip;
		if (c->s.rip > c->s.seg[X86_CS].limit)
			cpu_gp0(c);
		max = left < max ? (unsigned)left : max;
	}
	*b = (struct block){ .page_gen = &bc->scratch_gen, .insn = &bc->scratch_insn, .capacity = 1, .once = true };
	unsigned have = fetch_bytes(c, lin, buf, 0, room < max ? room : max);
	if (decode_crossing(c, lin, buf, have, b))
		return b;
	if (have < max) {
		have = fetch_bytes(c, lin, buf, have, max);
		if (decode_crossing(c, lin, buf, have, b))
			return b;
	}
	cpu_gp0(c); /* the limit of CS cuts the instruction */
}

/* ---- what is cached ---- */
static struct block *block_new(struct soft_cpu *c)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	if (bc->block_count == BLOCK_MAX || bc->insn_count + BLOCK_INSNS > INSN_MAX)
		cache_flush(c);
	struct block *b = &bc->block[bc->block_count++];
	ahead_reach(c->sv->ahead, &bc->block_table, bc->block_count * sizeof(*b));
	ahead_reach(c->sv->ahead, &bc->insn_table, bc->insn_count * sizeof(*bc->insn));
	memset(b, 0, sizeof(*b));
	return b;
}

static unsigned block_size_for(const struct soft_cpu *c, uint32_t gen)
{
	if (c->mode & (MODE_TF | MODE_BREAK))
		return 1;
	return gen > c->sv->options.rewrites ? 4 : BLOCK_INSNS;
}

/* Decodes what is at host into b (old instructions are given up). False: the first instruction crosses the page. */
static bool block_fill(struct soft_cpu *c, struct block *b, const uint8_t *host)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	struct soft_ram *r = ram_of_host(c->sv, host);
	uint64_t off = (uint64_t)(host - r->host);
	struct code_page *page = &r->pages[off >> 12];
	unsigned room = 4096 - (off & 4095), avail = room < 15 * BLOCK_INSNS ? room : 15 * BLOCK_INSNS;
	uint8_t bytes[15 * BLOCK_INSNS];
	struct insn insn[BLOCK_INSNS];

	uint32_t gen = atomic_load(&page->gen);
	memcpy(bytes, host, avail);
	if (!decode_run(c, bytes, avail, block_size_for(c, gen), insn, b))
		return false;
	bool sure = page_watch_code(c, r, off, b->len);
	b->once = !sure || memcmp(bytes, host, b->len);
	b->host = host;
	b->mode = c->mode;
	b->page_gen = &page->gen;
	b->gen = b->once ? gen - 1 : gen;
	/* Translated code and what left it still know the instructions that were here. */
	if (b->count > b->capacity || b->translated) {
		b->translated = false;
		b->insn = &bc->insn[bc->insn_count];
		bc->insn_count += b->count;
		b->capacity = b->count;
	}
	memcpy(b->insn, insn, b->count * sizeof(*insn));
	b->link[0] = b->link[1] = NULL;
	b->x = NULL;
	b->heat = 0;
	return true;
}

struct block *block_known(struct soft_cpu *c, const uint8_t *host)
{
	struct block *b = soft_vcpu_of(c)->blocks->hash[hash_host(host, c->mode)];
	while (b && (b->host != host || b->mode != c->mode))
		b = b->chain;
	return b;
}

static struct block *block_at(struct soft_cpu *c, const uint8_t *host)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	unsigned h = hash_host(host, c->mode);
	struct block *b = block_known(c, host);
	if (b && b->gen == atomic_load(b->page_gen))
		return b;
	if (b && bc->insn_count + BLOCK_INSNS > INSN_MAX)
		b = NULL;
	if (!b) {
		b = block_new(c);
		if (!block_fill(c, b, host)) {
			bc->block_count--;
			return NULL;
		}
		b->chain = bc->hash[h];
		bc->hash[h] = b;
		return b;
	}
	return block_fill(c, b, host) ? b : NULL;
}

struct block *block_ahead(struct soft_cpu *c, const uint8_t *host)
{
	const struct block_cache *bc = soft_vcpu_of(c)->blocks;
	if (bc->block_count == BLOCK_MAX || bc->insn_count + 2 * BLOCK_INSNS > INSN_MAX)
		return NULL;
	return block_at(c, host);
}

struct block *block_find_once(struct soft_cpu *c)
{
	return block_scratch(c, cpu_code64(c) ? c->s.rip : (uint32_t)(c->s.rip + c->s.seg[X86_CS].base));
}

struct block *block_find(struct soft_cpu *c)
{
	struct block_cache *bc = soft_vcpu_of(c)->blocks;
	uint64_t rip = c->s.rip, gpa;
	struct block **near = &bc->near[hash_near(rip)], *b = *near;
	if (likely(b && block_fresh(c, b, rip)))
		return b;
	uint64_t lin = cpu_code64(c) ? rip : (uint32_t)(rip + c->s.seg[X86_CS].base);
	if (c->sv->foreign)
		return block_scratch(c, lin);
	/* The last page of 32-bit addresses goes on with the first. */
	if ((lin & 4095) > 4096 - sizeof(bc->crossing[0].bytes) && (cpu_code64(c) || (mode_flat32(c->mode) && lin < 0xfffff000))) {
		struct block *crossing = crossing_find(c, lin);
		if (crossing)
			return crossing;
	}
	if (!cpu_code64(c) && rip > c->s.seg[X86_CS].limit)
		cpu_gp0(c);
	const uint8_t *host = mmu_fetch(c, lin, &gpa);
	/* The mapping was flushed since: most often it is the same again. */
	if (!(b && b->host == host && b->rip == rip && b->mode == c->mode &&
	      b->gen == atomic_load_explicit(b->page_gen, memory_order_acquire)))
		b = host ? block_at(c, host) : NULL;
	if (!b || (!cpu_code64(c) && rip + b->len - 1 > c->s.seg[X86_CS].limit))
		return block_scratch(c, lin);
	b->rip = rip;
	b->map_gen = c->tlb.map_gen[tlb_half(rip)];
	*near = b;
	return b;
}
