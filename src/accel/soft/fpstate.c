/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FXSAVE, FXRSTOR and the XSAVE family, and the checks that come before x87, MMX, SSE and AVX instructions.
 * Sources: SDM 1 10.5, 13.4 to 13.14; SDM 2 for each instruction; SDM 3A 2.5, 13.
 */
#include "accel/soft/bind.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include "base/bytes.h"
#include "core/vcpu.h"

#include <cpuid.h>

enum { STATE_X87 = 1, STATE_SSE = 2, STATE_AVX = 4 };
enum { LEGACY_SIZE = 512, HEADER_AT = 512, HEADER_SIZE = 64, EXTENDED_AT = 576 };
/* The components to and including AMX's registers; those after AVX-512's are passed over (never in use here). */
enum { AREA_MAX = EXTENDED_AT + 256 + 64 + 512 + 1024 + 8 + 64 + 8192 + 2048 };
enum { MXCSR_DEFAULT = 0x1f80, MXCSR_MASK = 0xffff, MXCSR_AT = 24, ST_AT = 32, XMM_AT = 160 };

/* ---- checks ---- */

void fpu_check_x87(struct soft_cpu *c, bool waits)
{
	if (c->s.cr0 & (X86_CR0_EM | X86_CR0_TS))
		cpu_fault(c, X86_NM);
	if (waits && (c->s.fpu.fsw & 0x80))
		cpu_fault(c, X86_MF);
}

void fpu_check_mmx(struct soft_cpu *c)
{
	if (c->s.cr0 & X86_CR0_EM)
		cpu_ud(c);
	if (c->s.cr0 & X86_CR0_TS)
		cpu_fault(c, X86_NM);
	if (c->s.fpu.fsw & 0x80)
		cpu_fault(c, X86_MF);
}

void fpu_check_sse(struct soft_cpu *c)
{
	if ((c->s.cr0 & X86_CR0_EM) || !(c->s.cr4 & X86_CR4_OSFXSR))
		cpu_ud(c);
	if (c->s.cr0 & X86_CR0_TS)
		cpu_fault(c, X86_NM);
}

void fpu_check_avx(struct soft_cpu *c)
{
	if (!cpu_protected(c) || !(c->s.cr4 & X86_CR4_OSXSAVE) || (c->s.xcr0 & 6) != 6)
		cpu_ud(c);
	if (c->s.cr0 & X86_CR0_TS)
		cpu_fault(c, X86_NM);
}

static void check_fxsave(struct soft_cpu *c)
{
	if (c->s.cr0 & X86_CR0_EM)
		cpu_ud(c);
	if (c->s.cr0 & X86_CR0_TS)
		cpu_fault(c, X86_NM);
}

static void check_xsave(struct soft_cpu *c)
{
	if (!(c->s.cr4 & X86_CR4_OSXSAVE))
		cpu_ud(c);
	if (c->s.cr0 & X86_CR0_TS)
		cpu_fault(c, X86_NM);
}

/* ---- the legacy region ---- */

static unsigned xmm_count(const struct soft_cpu *c)
{
	return cpu_code64(c) ? 16 : 8;
}

static void put_x87(const struct x86_fpu *f, uint8_t *p, bool wide)
{
	store_le16(p, f->fcw);
	store_le16(p + 2, f->fsw);
	p[4] = f->ftw;
	p[5] = 0;
	store_le16(p + 6, f->fop);
	store_le64(p + 8, f->fip);
	store_le64(p + 16, f->fdp);
	if (!wide) {
		store_le32(p + 12, f->fcs);
		store_le32(p + 20, f->fds);
	}
	for (unsigned n = 0; n < 8; n++) {
		memset(p + ST_AT + n * 16, 0, 16);
		memcpy(p + ST_AT + n * 16, f->st[n], 10);
	}
}

/* The register is as wide as the widest linear address; it reads back canonical. */
static uint64_t pointer_bits(uint64_t v)
{
	return (uint64_t)((int64_t)(v << 7) >> 7);
}

static void get_x87(struct x86_fpu *f, const uint8_t *p, bool wide)
{
	f->fcw = (load_le16(p) & 0x1f3f) | 0x40; /* reserved bits do not stick */
	f->fsw = load_le16(p + 2);
	f->ftw = p[4];
	f->fop = load_le16(p + 6) & 0x7ff;
	f->fip = wide ? pointer_bits(load_le64(p + 8)) : load_le32(p + 8);
	f->fdp = wide ? load_le64(p + 16) : load_le32(p + 16);
	f->fcs = f->fds = 0; /* deprecated: CPUID.7:EBX[13] */
	/* ES and B follow from what is pending and unmasked. */
	if (f->fsw & ~f->fcw & 0x3f)
		f->fsw |= 0x8080;
	else
		f->fsw &= (uint16_t)~0x8080;
	for (unsigned n = 0; n < 8; n++)
		memcpy(f->st[n], p + ST_AT + n * 16, 10);
}

static void init_x87(struct x86_fpu *f)
{
	f->fcw = 0x37f;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = f->fdp = 0;
	f->fcs = f->fds = 0;
	memset(f->st, 0, sizeof(f->st));
}

static void put_xmm(const struct x86_fpu *f, uint8_t *p, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		memcpy(p + XMM_AT + n * 16, f->zmm[n], 16);
}

static void get_xmm(struct x86_fpu *f, const uint8_t *p, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		memcpy(f->zmm[n], p + XMM_AT + n * 16, 16);
}

/* ---- FXSAVE, FXRSTOR ---- */

/* An area may run over the end of a 4 GiB segment. */
static uint64_t wrap(const struct soft_cpu *c, uint64_t lin)
{
	return cpu_code64(c) ? lin : (uint32_t)lin;
}

static void check_area(struct soft_cpu *c, uint64_t lin, unsigned align)
{
	if (lin & (align - 1)) {
		/* Where alignment is checked, odd addresses raise #AC (SDM 2, FXSAVE, leaves the choice to processors). */
		mmu_check_align(c, lin, 4);
		cpu_gp0(c);
	}
}

static uint64_t area_linear(struct soft_cpu *c, const struct insn *i, unsigned size, unsigned align, bool write)
{
	uint64_t lin = insn_linear(c, i, size, write);

	check_area(c, lin, align);
	return lin;
}

/* Processors look at the end of an area first: that is the address that a fault names. */
static void probe_area(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	probe_write(c, wrap(c, lin + size - 1), 1);
	probe_write(c, lin, size);
}

static void fn_fxsave(struct soft_cpu *c, const struct insn *i)
{
	uint8_t image[LEGACY_SIZE];
	uint64_t lin;

	check_fxsave(c);
	lin = area_linear(c, i, LEGACY_SIZE, 16, true);
	probe_area(c, lin, LEGACY_SIZE);
	ld_buf(c, lin, image, LEGACY_SIZE); /* what FXSAVE does not write stays */
	thunk_fpu_sync(c);
	put_x87(&c->s.fpu, image, i->sub);
	store_le32(image + MXCSR_AT, c->s.fpu.mxcsr);
	store_le32(image + MXCSR_AT + 4, MXCSR_MASK);
	put_xmm(&c->s.fpu, image, xmm_count(c));
	st_buf(c, lin, image, XMM_AT + 16 * xmm_count(c));
}

static void fn_fxrstor(struct soft_cpu *c, const struct insn *i)
{
	uint8_t image[LEGACY_SIZE];
	uint64_t lin;

	check_fxsave(c);
	lin = area_linear(c, i, LEGACY_SIZE, 16, false);
	probe_read(c, wrap(c, lin + LEGACY_SIZE - 1), 1); /* the end first, as probe_area */
	ld_buf(c, lin, image, LEGACY_SIZE);
	if (load_le32(image + MXCSR_AT) & ~(uint32_t)MXCSR_MASK)
		cpu_gp0(c);
	thunk_fpu_sync(c);
	get_x87(&c->s.fpu, image, i->sub);
	c->s.fpu.mxcsr = load_le32(image + MXCSR_AT);
	get_xmm(&c->s.fpu, image, xmm_count(c));
}

/* ---- XSAVE family: where components lie ---- */

struct xsave_place fpstate_host_place(unsigned component)
{
	uint32_t size, at, flags, d;

	if (component == 2)
		return (struct xsave_place){ EXTENDED_AT, 256, false };
	if (!__get_cpuid_count(0xd, component, &size, &at, &flags, &d))
		return (struct xsave_place){ 0 };
	return (struct xsave_place){ at, size, flags & 2 };
}

/* As the vCPU's CPUID tells it; where that says nothing, the guest sees the host's (some KVMs), or has none. */
static void learn_places(struct soft_cpu *c)
{
	for (unsigned n = 2; n < XSAVE_COMPONENTS; n++) {
		const struct x86_cpuid *row = c->v ? vcpu_cpuid(c->v, 0xd, n) : NULL;
		struct xsave_place *p = &c->xsave_place[n];

		if (row && row->subleaf_matters && row->eax)
			*p = (struct xsave_place){ row->ebx, row->eax, row->ecx & 2 };
		else
			*p = fpstate_host_place(n);
		if (p->size > AREA_MAX)
			p->size = 0;
	}
	c->xsave_known = true;
}

/* All components of an area; size 0 for those that it has not, or that lie where no processor puts them. */
struct layout {
	struct xsave_place p[XSAVE_COMPONENTS];
	uint32_t size;
};

static void layout_of(struct soft_cpu *c, uint64_t mask, bool compacted, struct layout *l)
{
	uint32_t next = EXTENDED_AT;

	if (!c->xsave_known)
		learn_places(c);
	*l = (struct layout){ .size = EXTENDED_AT };
	for (unsigned n = 2; n < XSAVE_COMPONENTS; n++) {
		struct xsave_place p = c->xsave_place[n];

		if (!(mask >> n & 1) || !p.size)
			continue;
		if (compacted) {
			p.at = p.align64 ? (next + 63) & ~63u : next;
			next = p.at + p.size;
		}
		if (p.at < EXTENDED_AT || p.at > AREA_MAX - p.size)
			continue;
		l->p[n] = p;
		if (p.at + p.size > l->size)
			l->size = p.at + p.size;
	}
}

uint32_t fpstate_size(struct soft_cpu *c, uint64_t mask, bool compacted)
{
	struct layout l;

	layout_of(c, mask, compacted, &l);
	return l.size;
}

/* The components beyond SSE as pieces of struct x86_fpu. */
static const struct component {
	uint8_t n;      /* its bit in XCR0 */
	uint8_t pieces; /* outside of 64-bit code half as many, where they are registers 8 to 15 too */
	uint8_t bytes;
	uint16_t offset, stride; /* in struct x86_fpu */
} components[] = {
	{ 2, 16, 16, offsetof(struct x86_fpu, zmm) + 16, 64 },
	{ 5, 8, 8, offsetof(struct x86_fpu, k), 8 },
	{ 6, 16, 32, offsetof(struct x86_fpu, zmm) + 32, 64 },
	{ 7, 16, 64, offsetof(struct x86_fpu, zmm) + 16 * 64, 64 },
	{ 9, 1, 4, offsetof(struct x86_fpu, pkru), 4 },
};

/* SDM 1 13.5.4 to 13.6: which registers XSAVE and XRSTOR touch outside of 64-bit code. */
static unsigned pieces_of(const struct soft_cpu *c, const struct component *m)
{
	if (cpu_code64(c) || m->pieces != 16)
		return m->pieces;
	return m->n == 7 ? 0 : 8;
}

enum direction { TO_IMAGE, FROM_IMAGE, TO_ZERO };

static void move_component(struct soft_cpu *c, const struct component *m, uint8_t *image, enum direction to)
{
	uint8_t *state = (uint8_t *)&c->s.fpu + m->offset;

	for (unsigned n = 0; n < pieces_of(c, m); n++, state += m->stride, image += m->bytes) {
		if (to == TO_IMAGE)
			memcpy(image, state, m->bytes);
		else if (to == FROM_IMAGE)
			memcpy(state, image, m->bytes);
		else
			memset(state, 0, m->bytes);
	}
}

/* ---- XSAVE family ---- */

static bool is_zero(const uint8_t *p, unsigned len)
{
	uint64_t any = 0;
	for (; len >= 8; p += 8, len -= 8)
		any |= load_le64(p);
	while (len--)
		any |= *p++;
	return !any;
}

uint64_t fpstate_in_use(struct soft_cpu *c)
{
	const struct x86_fpu *f = &c->s.fpu;
	uint64_t used = 0;

	thunk_fpu_sync(c);
	if (f->fcw != 0x37f || f->fsw || f->ftw || f->fop || f->fip || f->fdp || f->fcs || f->fds)
		used |= STATE_X87;
	for (unsigned n = 0; n < 8; n++)
		if (!is_zero(f->st[n], 10))
			used |= STATE_X87;
	for (unsigned n = 0; n < xmm_count(c); n++) {
		if (!is_zero(f->zmm[n], 16))
			used |= STATE_SSE;
	}
	for (unsigned m = 0; m < COUNT_OF(components); m++)
		for (unsigned n = 0; n < pieces_of(c, &components[m]); n++)
			if (!is_zero((const uint8_t *)f + components[m].offset + n * components[m].stride, components[m].bytes))
				used |= UINT64_C(1) << components[m].n;
	return used & (c->s.xcr0 | STATE_X87);
}

static uint64_t requested(const struct soft_cpu *c)
{
	return c->s.xcr0 & ((uint32_t)c->s.gpr[X86_RAX] | c->s.gpr[X86_RDX] << 32);
}

enum xsave_kind { XSAVE_PLAIN, XSAVE_OPT, XSAVE_COMPACT, XSAVE_SUPERVISOR };

/* The components in `mask` go into the image, which holds the area's old content. */
static void fill_area(struct soft_cpu *c, const struct layout *l, uint8_t *image, uint64_t mask, bool wide)
{
	if (mask & STATE_X87)
		put_x87(&c->s.fpu, image, wide);
	if (mask & STATE_SSE)
		put_xmm(&c->s.fpu, image, xmm_count(c));
	for (unsigned n = 0; n < COUNT_OF(components); n++)
		if (mask >> components[n].n & 1 && l->p[components[n].n].size)
			move_component(c, &components[n], image + l->p[components[n].n].at, TO_IMAGE);
}

static void put_mxcsr(struct soft_cpu *c, uint8_t *image)
{
	store_le32(image + MXCSR_AT, c->s.fpu.mxcsr);
	store_le32(image + MXCSR_AT + 4, MXCSR_MASK);
}

static void save_area(struct soft_cpu *c, const struct insn *i, enum xsave_kind kind, bool wide)
{
	uint8_t image[AREA_MAX];
	uint64_t rfbm = requested(c), used, lin, bv;
	struct layout l;
	unsigned size, from = 0;

	layout_of(c, rfbm, kind >= XSAVE_COMPACT, &l);
	size = l.size;
	lin = area_linear(c, i, size, 64, true);
	used = fpstate_in_use(c);
	if (kind >= XSAVE_COMPACT && c->s.fpu.mxcsr != MXCSR_DEFAULT)
		used |= STATE_SSE;
	if (kind >= XSAVE_COMPACT && !(rfbm & used & (STATE_X87 | STATE_SSE)))
		from = HEADER_AT; /* nothing is written to the place of what is not in use */
	probe_area(c, wrap(c, lin + from), size - from);
	ld_buf(c, wrap(c, lin + from), image + from, size - from);
	if (kind >= XSAVE_COMPACT) {
		fill_area(c, &l, image, rfbm & used, wide);
		if (rfbm & used & STATE_SSE)
			put_mxcsr(c, image);
		/* The header's reserved bytes stay as they are. */
		store_le64(image + HEADER_AT, rfbm & used);
		store_le64(image + HEADER_AT + 8, UINT64_C(1) << 63 | rfbm);
	} else {
		fill_area(c, &l, image, kind == XSAVE_OPT ? rfbm & used : rfbm, wide);
		if (rfbm & (STATE_SSE | STATE_AVX))
			put_mxcsr(c, image);
		bv = load_le64(image + HEADER_AT);
		store_le64(image + HEADER_AT, (bv & ~rfbm) | (used & rfbm));
	}
	st_buf(c, wrap(c, lin + from), image + from, size - from);
}

static void fn_xsave(struct soft_cpu *c, const struct insn *i)
{
	enum xsave_kind kind = i->sub & 3;

	check_xsave(c);
	if (kind == XSAVE_SUPERVISOR && c->cpl)
		cpu_gp0(c);
	save_area(c, i, kind, i->sub & 4);
}

/* Checks the header (SDM 1 13.8.1, 13.8.2); returns XSTATE_BV and whether the area is compacted. */
static uint64_t check_header(struct soft_cpu *c, const uint8_t *header, bool supervisor, bool *compacted)
{
	uint64_t bv = load_le64(header), comp = load_le64(header + 8);

	*compacted = comp >> 63;
	if (bv & ~c->s.xcr0)
		cpu_gp0(c);
	if (*compacted) {
		if (((comp << 1 >> 1) & ~c->s.xcr0) || (bv & ~comp) || !is_zero(header + 16, 48))
			cpu_gp0(c);
	} else if (supervisor || !is_zero(header + 8, 16)) {
		cpu_gp0(c);
	}
	return bv;
}

static void restore_components(struct soft_cpu *c, const struct layout *l, uint8_t *image, uint64_t rfbm,
			       uint64_t bv, bool wide)
{
	struct x86_fpu *f = &c->s.fpu;

	if (rfbm & bv & STATE_X87)
		get_x87(f, image, wide);
	else if (rfbm & STATE_X87)
		init_x87(f);
	for (unsigned n = 0; n < xmm_count(c) && rfbm & ~bv & STATE_SSE; n++)
		memset(f->zmm[n], 0, 16);
	if (rfbm & bv & STATE_SSE)
		get_xmm(f, image, xmm_count(c));
	for (unsigned n = 0; n < COUNT_OF(components); n++) {
		const struct component *m = &components[n];
		uint64_t bit = UINT64_C(1) << m->n;

		if (rfbm & bit)
			move_component(c, m, image + l->p[m->n].at, bv & bit && l->p[m->n].size ? FROM_IMAGE : TO_ZERO);
	}
}

/* Only what is asked for is read. */
static void read_area(struct soft_cpu *c, const struct layout *l, uint64_t lin, uint8_t *image,
		      uint64_t mask)
{
	for (unsigned n = 0; n < COUNT_OF(components); n++) {
		const struct xsave_place *p = &l->p[components[n].n];

		if (mask >> components[n].n & 1 && p->size)
			ld_buf(c, wrap(c, lin + p->at), image + p->at, p->size);
	}
	if (mask & STATE_X87) {
		ld_buf(c, lin, image, MXCSR_AT);
		ld_buf(c, wrap(c, lin + ST_AT), image + ST_AT, XMM_AT - ST_AT);
	}
	if (mask & STATE_SSE)
		ld_buf(c, wrap(c, lin + XMM_AT), image + XMM_AT, 16 * xmm_count(c));
}

static void fn_xrstor(struct soft_cpu *c, const struct insn *i)
{
	uint8_t image[AREA_MAX];
	uint64_t rfbm, bv, lin;
	uint32_t mxcsr = 0;
	bool compacted, wide = i->sub & 4, supervisor = i->sub & 1, load_mxcsr;
	struct layout l;

	check_xsave(c);
	if (supervisor && c->cpl)
		cpu_gp0(c);
	rfbm = requested(c);
	lin = area_linear(c, i, fpstate_size(c, rfbm, false), 64, false);
	probe_read(c, wrap(c, lin + HEADER_AT + 8), 8); /* the header comes first */
	ld_buf(c, wrap(c, lin + HEADER_AT), image + HEADER_AT, HEADER_SIZE);
	/* Then whether the rest is there, before what the header says. A compacted area may have no MXCSR. */
	compacted = load_le64(image + HEADER_AT + 8) >> 63;
	if (rfbm & STATE_X87)
		probe_read(c, lin, 1);
	else if (rfbm & (STATE_SSE | STATE_AVX) && !compacted)
		probe_read(c, wrap(c, lin + MXCSR_AT), 4);
	bv = check_header(c, image + HEADER_AT, supervisor, &compacted);
	layout_of(c, compacted ? load_le64(image + HEADER_AT + 8) << 1 >> 1 : rfbm, compacted, &l);
	load_mxcsr = compacted ? rfbm & bv & STATE_SSE : rfbm & (STATE_SSE | STATE_AVX);
	if (load_mxcsr) {
		ld_buf(c, wrap(c, lin + MXCSR_AT), image + MXCSR_AT, 4);
		mxcsr = load_le32(image + MXCSR_AT);
	}
	read_area(c, &l, lin, image, rfbm & bv);
	if (load_mxcsr && (mxcsr & ~(uint32_t)MXCSR_MASK))
		cpu_gp0(c);
	thunk_fpu_sync(c);
	restore_components(c, &l, image, rfbm, bv, wide);
	if (load_mxcsr)
		c->s.fpu.mxcsr = mxcsr;
	else if (compacted && (rfbm & STATE_SSE))
		c->s.fpu.mxcsr = MXCSR_DEFAULT;
}

/* ---- binding ---- */

enum { OP_FXSAVE, OP_FXRSTOR, OP_XSAVE, OP_XRSTOR };

/* arg: operation << 8 | sub, where bit 2 of sub (bit 0 for FXSAVE) is the 64-bit form. */
static bool bind_state(struct insn *i, const struct insn_source *src, unsigned arg)
{
	static const insn_fn fn[] = { fn_fxsave, fn_fxrstor, fn_xsave, fn_xrstor };

	i->fn = fn[arg >> 8];
	i->sub = (uint8_t)arg;
	return src->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

const struct insn_row insn_fpstate[] = {
	{ ZYDIS_MNEMONIC_FXSAVE, OP_FXSAVE << 8, bind_state },
	{ ZYDIS_MNEMONIC_FXSAVE64, OP_FXSAVE << 8 | 1, bind_state },
	{ ZYDIS_MNEMONIC_FXRSTOR, OP_FXRSTOR << 8, bind_state },
	{ ZYDIS_MNEMONIC_FXRSTOR64, OP_FXRSTOR << 8 | 1, bind_state },
	{ ZYDIS_MNEMONIC_XSAVE, OP_XSAVE << 8 | XSAVE_PLAIN, bind_state },
	{ ZYDIS_MNEMONIC_XSAVE64, OP_XSAVE << 8 | XSAVE_PLAIN | 4, bind_state },
	{ ZYDIS_MNEMONIC_XSAVEOPT, OP_XSAVE << 8 | XSAVE_OPT, bind_state },
	{ ZYDIS_MNEMONIC_XSAVEOPT64, OP_XSAVE << 8 | XSAVE_OPT | 4, bind_state },
	{ ZYDIS_MNEMONIC_XSAVEC, OP_XSAVE << 8 | XSAVE_COMPACT, bind_state },
	{ ZYDIS_MNEMONIC_XSAVEC64, OP_XSAVE << 8 | XSAVE_COMPACT | 4, bind_state },
	{ ZYDIS_MNEMONIC_XSAVES, OP_XSAVE << 8 | XSAVE_SUPERVISOR, bind_state },
	{ ZYDIS_MNEMONIC_XSAVES64, OP_XSAVE << 8 | XSAVE_SUPERVISOR | 4, bind_state },
	{ ZYDIS_MNEMONIC_XRSTOR, OP_XRSTOR << 8, bind_state },
	{ ZYDIS_MNEMONIC_XRSTOR64, OP_XRSTOR << 8 | 4, bind_state },
	{ ZYDIS_MNEMONIC_XRSTORS, OP_XRSTOR << 8 | 1, bind_state },
	{ ZYDIS_MNEMONIC_XRSTORS64, OP_XRSTOR << 8 | 5, bind_state },
	{ 0, 0, NULL },
};
