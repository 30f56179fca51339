/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaves as in SDM volume 2A, CPUID, and AMD's APM volume 3, appendix E. */
#include "arch/x86/cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VENDOR_AMD_EBX 0x68747541u   /* "Auth" */
#define VENDOR_HYGON_EBX 0x6f677948u /* "Hygo" */
#define F1_ECX_X2APIC (1u << 21)
#define F1_ECX_TSC_DEADLINE (1u << 24)
#define F1_ECX_HYPERVISOR (1u << 31)
#define F1_EDX_HTT (1u << 28)
#define F6_EAX_ARAT (1u << 2)
#define F7_EDX_HYBRID (1u << 15)
#define F81_ECX_CMP_LEGACY (1u << 1)
#define F81_ECX_TOPOLOGY (1u << 22)
#define F87_EDX_INVARIANT_TSC (1u << 8)

/* KVM's leaf 0x40000001 (Linux Documentation/virt/kvm/x86/cpuid.rst). */
#define KVM_CLOCKS (1u << 0 | 1u << 3 | 1u << 24) /* old and new MSRs, stable */
#define KVM_NO_IO_DELAY (1u << 1)
enum { LEVEL_THREAD = 1, LEVEL_CORE = 2, LEVEL_DIE = 5 };
enum { CACHE_DATA = 1, CACHE_CODE = 2, CACHE_UNIFIED = 3, CACHES = 4 };
#define BRAND_HYPERVISOR 0x40000000u

struct build {
	struct x86_cpuid *out;
	unsigned max, count;
	bool full;
	const struct x86_cpuid *rows;
	unsigned row_count;
	const struct cpuid_config *cfg;
	unsigned index;
	uint32_t apic_id;
	bool amd;
};

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;
	while ((1u << bits) < count)
		bits++;
	return bits;
}

static unsigned thread_bits(const struct x86_topology *t) { return bits_for(t->threads); }
static unsigned die_bits(const struct x86_topology *t) { return thread_bits(t) + bits_for(t->cores); }
static unsigned dies_of(const struct x86_topology *t) { return t->dies ? t->dies : 1; }
static unsigned package_bits(const struct x86_topology *t) { return die_bits(t) + bits_for(dies_of(t)); }
static unsigned logical_of(const struct x86_topology *t) { return dies_of(t) * t->cores * t->threads; }

uint32_t apic_id_for(const struct x86_topology *t, unsigned index)
{
	unsigned thread = index % t->threads, core = index / t->threads % t->cores;
	unsigned die = index / t->threads / t->cores % dies_of(t), socket = index / logical_of(t);
	return socket << package_bits(t) | die << die_bits(t) | core << thread_bits(t) | thread;
}

static const struct x86_cpuid *row(const struct build *b, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < b->row_count; n++) {
		const struct x86_cpuid *r = &b->rows[n];
		if (r->leaf == leaf && (!r->subleaf_matters || r->subleaf == subleaf))
			return r;
	}
	return NULL;
}

static struct x86_cpuid *find(const struct build *b, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < b->count; n++)
		if (b->out[n].leaf == leaf && b->out[n].subleaf == subleaf)
			return &b->out[n];
	return NULL;
}

/* The row in the table, added when it is not there. Never NULL: past the end a spare row takes the writes. */
static struct x86_cpuid *need(struct build *b, uint32_t leaf, uint32_t subleaf, bool matters)
{
	struct x86_cpuid *r = find(b, leaf, subleaf);
	if (r)
		return r;
	if (b->count == b->max) {
		b->full = true;
		return &b->out[b->max - 1];
	}
	r = &b->out[b->count++];
	*r = (struct x86_cpuid){.leaf = leaf, .subleaf = subleaf, .subleaf_matters = matters};
	return r;
}

/* Leaves that are made anew, whatever the accelerator says. */
static bool made_here(uint32_t leaf)
{
	static const uint32_t leaves[] = {4, 0xb, 0x15, 0x16, 0x1a, 0x1f, 0x8000001d, 0x8000001e};
	for (unsigned n = 0; n < sizeof(leaves) / sizeof(leaves[0]); n++)
		if (leaf == leaves[n])
			return true;
	return leaf >> 28 == 4;
}

static void copy_rows(struct build *b)
{
	for (unsigned n = 0; n < b->row_count; n++) {
		const struct x86_cpuid *r = &b->rows[n];
		if (!made_here(r->leaf))
			*need(b, r->leaf, r->subleaf_matters ? r->subleaf : 0, r->subleaf_matters) = *r;
	}
}

static void basic(struct build *b)
{
	const struct x86_topology *t = &b->cfg->topology;
	unsigned logical = logical_of(t), slots = 1u << package_bits(t);
	struct x86_cpuid *l0 = need(b, 0, 0, false);
	uint32_t top = b->amd ? 0xb : 0x1f;
	if (l0->eax < top)
		l0->eax = top;
	struct x86_cpuid *l1 = need(b, 1, 0, false);
	l1->ebx = (l1->ebx & 0xff00) | b->apic_id << 24 | (slots > 255 ? 255 : slots) << 16;
	l1->ecx = (l1->ecx & ~(F1_ECX_X2APIC | F1_ECX_TSC_DEADLINE)) | F1_ECX_HYPERVISOR |
		  (b->cfg->x2apic ? F1_ECX_X2APIC : 0) | (b->cfg->tsc_deadline ? F1_ECX_TSC_DEADLINE : 0);
	l1->edx = (l1->edx & ~F1_EDX_HTT) | (logical > 1 ? F1_EDX_HTT : 0);
	/* The APIC timer never sleeps; the rest of leaf 6 is the host's own thermal and power management. */
	struct x86_cpuid *l6 = need(b, 6, 0, false);
	*l6 = (struct x86_cpuid){.leaf = 6, .eax = F6_EAX_ARAT};
	struct x86_cpuid *l7 = find(b, 7, 0);
	if (l7)
		l7->edx &= ~F7_EDX_HYBRID; /* all vCPUs are of one kind */
}

/* ---- caches ---- */

struct cache {
	unsigned level, type, line, ways, sets, flags; /* flags: EDX */
};

/* What a host that names no caches is taken to have: sizes of a common server. */
static const struct cache usual[CACHES] = {
	{1, CACHE_DATA, 64, 8, 64, 0}, {1, CACHE_CODE, 64, 8, 64, 0},
	{2, CACHE_UNIFIED, 64, 16, 1024, 0}, {3, CACHE_UNIFIED, 64, 16, 32768, 0},
};

static bool host_cache(const struct build *b, uint32_t leaf, const struct cache *like, struct cache *c)
{
	for (unsigned sub = 0; sub < 8; sub++) {
		const struct x86_cpuid *r = row(b, leaf, sub);
		if (!r || !r->subleaf_matters || !(r->eax & 31))
			return false;
		if ((r->eax & 31) != like->type || ((r->eax >> 5) & 7) != like->level)
			continue;
		*c = (struct cache){
			.level = like->level, .type = like->type, .line = (r->ebx & 0xfff) + 1,
			.ways = (r->ebx >> 22) + 1, .sets = r->ecx + 1, .flags = r->edx,
		};
		return true;
	}
	return false;
}

/* Leaf 4 and AMD's 0x8000001d have one layout. L1 and L2 belong to a core, L3 to the die. */
static void caches(struct build *b)
{
	const struct x86_topology *t = &b->cfg->topology;
	uint32_t leaf = b->amd ? 0x8000001d : 4;
	for (unsigned n = 0; n < CACHES; n++) {
		struct cache c = usual[n];
		if (!host_cache(b, 4, &usual[n], &c))
			host_cache(b, 0x8000001d, &usual[n], &c);
		unsigned sharing = (1u << (c.level == 3 ? die_bits(t) : thread_bits(t))) - 1;
		unsigned core_ids = (1u << (package_bits(t) - thread_bits(t))) - 1;
		if (b->amd) /* counts there are exact, not rounded to APIC id ranges */
			sharing = (c.level == 3 ? t->cores * t->threads : t->threads) - 1;
		struct x86_cpuid *r = need(b, leaf, n, true);
		r->eax = c.type | c.level << 5 | 1 << 8 | sharing << 14;
		if (!b->amd)
			r->eax |= (core_ids > 63 ? 63 : core_ids) << 26;
		r->ebx = (c.line - 1) | (c.ways - 1) << 22;
		r->ecx = c.sets - 1;
		r->edx = c.flags;
	}
	need(b, leaf, CACHES, true);
}

/* AMD's older form of the same; Linux takes "L3 present" from it. */
static void amd_caches(struct build *b)
{
	struct x86_cpuid *l5 = need(b, 0x80000005, 0, false), *l6 = need(b, 0x80000006, 0, false);
	if (!l5->ecx)
		l5->ecx = l5->edx = 32 << 24 | 8 << 16 | 1 << 8 | 64;
	if (!(l6->ecx >> 16))
		l6->ecx = 1024u << 16 | 8 << 12 | 1 << 8 | 64;
	if (!(l6->edx >> 18))
		l6->edx = 64u << 18 | 8 << 12 | 1 << 8 | 64; /* in units of 512 KiB */
}

/* ---- topology ---- */

static void level(struct build *b, uint32_t leaf, unsigned sub, unsigned shift, unsigned count, unsigned type)
{
	struct x86_cpuid *r = need(b, leaf, sub, true);
	r->eax = shift;
	r->ebx = count;
	r->ecx = sub | type << 8;
	r->edx = b->apic_id;
}

static void topology(struct build *b)
{
	const struct x86_topology *t = &b->cfg->topology;
	static const uint32_t leaves[] = {0xb, 0x1f};
	for (unsigned n = 0; n < (b->amd ? 1 : 2); n++) {
		level(b, leaves[n], 0, thread_bits(t), t->threads, LEVEL_THREAD);
		/* Leaf 0xb knows no dies: to it the cores of all are the socket's. */
		bool dies = leaves[n] == 0x1f && dies_of(t) > 1;
		unsigned shift = dies ? die_bits(t) : package_bits(t);
		unsigned sub = 1;
		level(b, leaves[n], sub++, shift, dies ? t->threads * t->cores : logical_of(t), LEVEL_CORE);
		if (dies)
			level(b, leaves[n], sub++, package_bits(t), logical_of(t), LEVEL_DIE);
		level(b, leaves[n], sub, 0, 0, 0);
	}
}

static void amd_topology(struct build *b)
{
	const struct x86_topology *t = &b->cfg->topology;
	unsigned logical = logical_of(t);
	need(b, 0x80000008, 0, false)->ecx = (logical - 1) | package_bits(t) << 12;
	struct x86_cpuid *x1 = need(b, 0x80000001, 0, false);
	x1->ecx = (x1->ecx & ~F81_ECX_CMP_LEGACY) | F81_ECX_TOPOLOGY | (logical > 1 ? F81_ECX_CMP_LEGACY : 0);
	struct x86_cpuid *r = need(b, 0x8000001e, 0, false);
	r->eax = b->apic_id;
	r->ebx = (b->index / t->threads % (t->cores * dies_of(t))) | (t->threads - 1) << 8;
	r->ecx = b->index / logical; /* one node a socket */
	struct x86_cpuid *top = need(b, 0x80000000, 0, false);
	if (top->eax < 0x8000001e)
		top->eax = 0x8000001e;
}

static void extended(struct build *b)
{
	if (b->amd) {
		amd_topology(b);
		amd_caches(b);
	} else if (find(b, 0x80000008, 0)) {
		find(b, 0x80000008, 0)->ecx = 0;
	}
	struct x86_cpuid *x8 = find(b, 0x80000008, 0);
	if (x8 && b->cfg->phys_bits && (x8->eax & 0xff) > b->cfg->phys_bits)
		x8->eax = (x8->eax & ~UINT32_C(0xff)) | b->cfg->phys_bits;
	struct x86_cpuid *top = need(b, 0x80000000, 0, false);
	if (top->eax < 0x80000007)
		top->eax = 0x80000007;
	struct x86_cpuid *x7 = need(b, 0x80000007, 0, false);
	x7->edx = (x7->edx & ~F87_EDX_INVARIANT_TSC) | (b->cfg->invariant_tsc ? F87_EDX_INVARIANT_TSC : 0);
}

/* ---- time ---- */

/*
 * Leaf 15H: TSC = crystal * num / den. Systems compute crystal_kHz * num in 32 bits, so num is bounded; within the
 * bound the best fraction is found by walking its continued fraction.
 */
static void ratio(uint64_t tsc_khz, uint64_t crystal_khz, uint32_t *num, uint32_t *den)
{
	uint64_t a = tsc_khz, d = crystal_khz, p0 = 0, p1 = 1, q0 = 1, q1 = 0;
	uint64_t num_max = UINT32_MAX / crystal_khz;
	while (d) {
		uint64_t k = a / d, p = k * p1 + p0, q = k * q1 + q0, rest = a % d;
		if (p > num_max || q > UINT32_MAX)
			break;
		p0 = p1;
		p1 = p;
		q0 = q1;
		q1 = q;
		a = d;
		d = rest;
	}
	*num = p1;
	*den = q1;
}

static void frequencies(struct build *b)
{
	uint32_t tsc = b->cfg->tsc_khz, apic = b->cfg->apic_hz ? b->cfg->apic_hz : 1000000000;
	if (b->amd || tsc < 1000 || apic < 1000)
		return;
	uint32_t num, den;
	ratio(tsc, apic / 1000, &num, &den);
	if (num && den) {
		struct x86_cpuid *r = need(b, 0x15, 0, false);
		r->eax = den;
		r->ebx = num;
		r->ecx = apic;
	}
	struct x86_cpuid *r = need(b, 0x16, 0, false);
	r->eax = r->ebx = (tsc + 500) / 1000;
	r->ecx = 100;
}

/* ---- hypervisor ---- */

static void hypervisor(struct build *b)
{
	uint32_t apic_khz = (b->cfg->apic_hz ? b->cfg->apic_hz : 1000000000) / 1000;
	struct x86_cpuid *r = need(b, BRAND_HYPERVISOR, 0, false);
	r->eax = BRAND_HYPERVISOR + 0x10;
	memcpy(&r->ebx, "KVMK", 4);
	memcpy(&r->ecx, "VMKV", 4);
	memcpy(&r->edx, "M\0\0\0", 4);
	const struct x86_cpuid *kernel = row(b, BRAND_HYPERVISOR + 1, 0);
	r = need(b, BRAND_HYPERVISOR + 1, 0, false);
	uint32_t clocks = b->cfg->pvclock ? KVM_CLOCKS : 0;
	if (!kernel)
		r->eax = clocks | KVM_NO_IO_DELAY;
	else if (b->cfg->kernel_irqchip)
		r->eax = b->cfg->pvclock ? kernel->eax : kernel->eax & ~KVM_CLOCKS;
	else /* without the kernel's APICs its EOI and IPI shortcuts lead nowhere */
		r->eax = kernel->eax & (clocks | KVM_NO_IO_DELAY);
	r = need(b, BRAND_HYPERVISOR + 0x10, 0, false);
	r->eax = b->cfg->tsc_khz;
	r->ebx = apic_khz;
}

static int compare(const void *pa, const void *pb)
{
	const struct x86_cpuid *a = pa, *b = pb;
	if (a->leaf != b->leaf)
		return a->leaf < b->leaf ? -1 : 1;
	return a->subleaf < b->subleaf ? -1 : a->subleaf > b->subleaf;
}

int cpuid_build(struct x86_cpuid *out, unsigned max, const struct x86_cpuid *rows, unsigned count,
                const struct cpuid_config *cfg, unsigned index, struct err *e)
{
	const struct x86_topology *t = &cfg->topology;
	if (!t->sockets || !t->cores || !t->threads || t->sockets > 256 || t->cores > 256 || t->threads > 256
		|| dies_of(t) > 256 ||
	    (uint64_t)t->sockets * logical_of(t) < cfg->cpus || index >= cfg->cpus)
		return err_set(e, -EINVAL, "%u processors do not fit into %u sockets of %u dies of %u cores of %u "
			       "threads; give sockets * dies * cores * threads = cpus", cfg->cpus, t->sockets,
			       dies_of(t), t->cores, t->threads);
	if (!max)
		return err_set(e, -ENOSPC, "no room for the CPUID table");
	struct build b = {.out = out, .max = max, .rows = rows, .row_count = count, .cfg = cfg, .index = index,
			  .apic_id = apic_id_for(t, index)};
	const struct x86_cpuid *vendor = row(&b, 0, 0);
	b.amd = vendor && (vendor->ebx == VENDOR_AMD_EBX || vendor->ebx == VENDOR_HYGON_EBX);
	copy_rows(&b);
	basic(&b);
	caches(&b);
	topology(&b);
	extended(&b);
	frequencies(&b);
	hypervisor(&b);
	if (b.full)
		return err_set(e, -ENOSPC, "the CPUID table needs more than %u rows", max);
	qsort(out, b.count, sizeof(*out), compare);
	return (int)b.count;
}
