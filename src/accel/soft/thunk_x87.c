/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: the guest's registers live in the host's FPU from their first use on (thunk.h), the instructions run there.
 *
 * An unmasked exception of the guest sets ES in the host's status word and nothing more: the host would signal it at
 * the next waiting instruction, but the guest's #MF check comes before each of those, so none is ever executed with
 * ES set. Sources: SDM 1 chapter 8, SDM 3A 13.
 */
#include "accel/soft/thunk_priv.h"
#include "base/bytes.h"

#include <string.h>

enum { FSW_ES = 1 << 7, FSW_TOP = 7 << 11, FSW_B = 1 << 15, FCW_MASKS = 0x3f };
/* Exceptions that keep a store from happening when they are unmasked: all but precision. */
enum { FSW_NO_STORE = 0x1f };
/* Places in the FXSAVE image */
enum { FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_MXCSR = 24, FX_ST = 32, FX_SIZE = 512 };

/* Whose x87 registers are in this thread's FPU. A property of the thread, as the FPU is. */
static __thread struct soft_cpu *owner;

#define CLOBBER_XMM                                                                                                   \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",    \
		"xmm13", "xmm14", "xmm15"

/* A state that comes from outside may say that nothing is pending (ES) while an unmasked flag is set: the host would
 * signal it at the next instruction. ES is believed. */
static void make_consistent(struct x86_fpu *f)
{
	uint16_t unmasked = ~f->fcw & FCW_MASKS;

	if (!(f->fsw & FSW_ES))
		f->fsw &= ~(unmasked | FSW_B);
	else if (!(f->fsw & unmasked))
		f->fsw &= ~(FSW_ES | FSW_B);
}

void thunk_x87_load(struct soft_cpu *c)
{
	struct thunk_vcpu *t = thunk_of(c);
	struct x86_fpu *f = &c->s.fpu;

	if (owner && owner != c)
		thunk_fpu_sync(owner);
	make_consistent(f);
	memset(t->image, 0, FX_SIZE);
	store_le16(t->image + FX_FCW, f->fcw);
	store_le16(t->image + FX_FSW, f->fsw);
	t->image[FX_FTW] = f->ftw;
	store_le32(t->image + FX_MXCSR, 0x1f80);
	for (unsigned n = 0; n < 8; n++)
		memcpy(t->image + FX_ST + 16 * n, f->st[n], 10);
	__asm__ volatile("fxrstor64 %0" : : "m"(*(const uint8_t(*)[FX_SIZE])t->image) : CLOBBER_XMM);
	t->x87_live = true;
	owner = c;
}

void thunk_fpu_sync(struct soft_cpu *c)
{
	struct thunk_vcpu *t = thunk_of(c);
	struct x86_fpu *f = &c->s.fpu;

	if (!t || !t->x87_live)
		return;
	/* The host's own code finds the FPU as the ABI promises. */
	__asm__ volatile("fxsave64 %0\n\tfninit" : "=m"(*(uint8_t(*)[FX_SIZE])t->image));
	f->fcw = load_le16(t->image + FX_FCW);
	f->fsw = load_le16(t->image + FX_FSW);
	f->ftw = t->image[FX_FTW];
	for (unsigned n = 0; n < 8; n++) {
		memset(f->st[n], 0, 16);
		memcpy(f->st[n], t->image + FX_ST + 16 * n, 10);
	}
	t->x87_live = false;
	owner = NULL;
}

void thunk_mmx_enter(struct soft_cpu *c)
{
	struct x86_fpu *f = &c->s.fpu;
	unsigned top = f->fsw >> 11 & 7;
	uint8_t st[8][16];

	/* st[] counts from TOP, and TOP becomes 0. */
	for (unsigned n = 0; n < 8; n++)
		memcpy(st[(n + top) & 7], f->st[n], 16);
	memcpy(f->st, st, sizeof(st));
	f->fsw &= ~FSW_TOP;
	f->ftw = 0xff;
}

/* ---- instructions that compute ---- */

ALWAYS_INLINE void check(struct soft_cpu *c, bool waits)
{
	if (unlikely((c->s.cr0 & (X86_CR0_EM | X86_CR0_TS)) || (c->s.fpu.fsw & FSW_ES)))
		fpu_check_x87(c, waits);
}

static uint16_t host_fsw(void)
{
	uint16_t v;

	__asm__ volatile("fnstsw %0" : "=a"(v));
	return v;
}

/*
 * What is remembered of the last instruction. FOP and FDP change with unmasked exceptions only, and FCS and FDS are
 * always zero: CPUID.7 says so (EBX bits 6 and 13; SDM 1, 8.1.8 and 8.1.9). i->imm holds the opcode bits.
 * ES and B follow the status and control words; returns whether an unmasked exception is pending that came before
 * the instruction's store.
 */
ALWAYS_INLINE bool after(struct soft_cpu *c, const struct insn *i, bool memory, uint64_t lin)
{
	struct x86_fpu *f = &c->s.fpu;

	f->fip = insn_rip(c, i);
	if (likely((f->fcw & FCW_MASKS) == FCW_MASKS))
		return false;
	f->fsw = host_fsw();
	if (!(f->fsw & FSW_ES))
		return false;
	f->fop = i->imm;
	if (memory)
		f->fdp = insn_ea(c, i);
	return f->fsw & ~f->fcw & FSW_NO_STORE;
}

static void fn_reg(struct soft_cpu *c, const struct insn *i)
{
	check(c, true);
	thunk_x87_use(c);
	((thunk_code *)i->aux)(c, NULL);
	after(c, i, false, 0);
}

/* The checks before a load or store, its linear address, and the operand's place in memory where it has one. */
static void *operand(struct soft_cpu *c, const struct insn *i, bool write, uint64_t *lin)
{
	check(c, true);
	*lin = mem_addr(c, i, i->width, write);
	if (i->width == 10) {
		mmu_check_range(c, *lin, 10);
		mmu_check_align(c, *lin, 8);
	}
	return thunk_ram(c, *lin, i->width, write);
}

static void fn_load(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin;
	void *p = operand(c, i, false, &lin);

	if (unlikely(!p))
		p = thunk_stage_load(c, lin, i->width, 0);
	thunk_x87_use(c);
	((thunk_code *)i->aux)(c, p);
	after(c, i, true, lin);
}

/* An unmasked exception keeps the store from happening, and its page fault too: the instruction runs, and when it did
 * store, is taken back until the place is known to be writable. */
static void probe_if_stored(struct soft_cpu *c, const struct insn *i, uint64_t lin)
{
	struct x86_fpu before;
	uint16_t fsw;

	if ((c->s.fpu.fcw & FCW_MASKS) == FCW_MASKS) {
		probe_write(c, lin, i->width);
		return;
	}
	thunk_fpu_sync(c);
	before = c->s.fpu;
	thunk_x87_use(c);
	((thunk_code *)i->aux)(c, thunk_of(c)->stage);
	fsw = host_fsw();
	thunk_fpu_sync(c);
	c->s.fpu = before;
	if (!(fsw & ~before.fcw & FSW_NO_STORE))
		probe_write(c, lin, i->width);
}

static void fn_store(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin;
	void *p = operand(c, i, true, &lin);
	bool unstored;

	if (unlikely(!p))
		probe_if_stored(c, i, lin);
	thunk_x87_use(c);
	((thunk_code *)i->aux)(c, p ? p : thunk_of(c)->stage);
	unstored = after(c, i, true, lin);
	if (unlikely(!p) && !unstored)
		thunk_stage_store(c, lin, i->width, 0);
}

/* ---- control instructions ---- */

static uint16_t fsw_now(struct soft_cpu *c)
{
	if (thunk_of(c)->x87_live)
		c->s.fpu.fsw = host_fsw();
	return c->s.fpu.fsw;
}

static void fn_fnstsw_ax(struct soft_cpu *c, const struct insn *i)
{
	check(c, false);
	reg_set(c, X86_RAX, 2, fsw_now(c));
}

static void fn_fnstsw(struct soft_cpu *c, const struct insn *i)
{
	check(c, false);
	st16(c, insn_linear(c, i, 2, true), fsw_now(c));
}

static void fn_fnstcw(struct soft_cpu *c, const struct insn *i)
{
	check(c, false);
	st16(c, insn_linear(c, i, 2, true), c->s.fpu.fcw);
}

static void fn_fldcw(struct soft_cpu *c, const struct insn *i)
{
	uint16_t v;

	check(c, true);
	v = ld16(c, insn_linear(c, i, 2, false));
	thunk_x87_use(c);
	/* A flag that is set and now unmasked makes an exception pending. */
	__asm__ volatile("fldcw %2\n\tfnstcw %0\n\tfnstsw %1" : "=m"(c->s.fpu.fcw), "=m"(c->s.fpu.fsw) : "m"(v));
}

static void fn_fnclex(struct soft_cpu *c, const struct insn *i)
{
	check(c, false);
	thunk_x87_use(c);
	__asm__ volatile("fnclex\n\tfnstsw %0" : "=m"(c->s.fpu.fsw));
}

static void x87_init(struct soft_cpu *c)
{
	struct x86_fpu *f = &c->s.fpu;

	thunk_x87_use(c);
	__asm__ volatile("fninit");
	f->fcw = 0x37f;
	f->fsw = 0;
	f->fip = f->fdp = 0;
	f->fcs = f->fds = f->fop = 0;
}

static void fn_fninit(struct soft_cpu *c, const struct insn *i)
{
	check(c, false);
	x87_init(c);
}

/* FENI, FDISI and FSETPM of the 8087 and 80287: nothing is done. */
static void fn_nothing(struct soft_cpu *c, const struct insn *i)
{
	check(c, false);
}

/* FWAIT heeds TS only where MP is set (SDM 3A table 2-2). */
static void fn_fwait(struct soft_cpu *c, const struct insn *i)
{
	if ((c->s.cr0 & (X86_CR0_MP | X86_CR0_TS)) == (X86_CR0_MP | X86_CR0_TS))
		cpu_fault(c, X86_NM);
	if (c->s.fpu.fsw & FSW_ES)
		cpu_fault(c, X86_MF);
}

/* ---- the environment in memory: SDM 1 figures 8-9 to 8-12 ---- */

enum { ENV16 = 14, ENV32 = 28, SAVE_REGS = 80 };

/* The full tag word: what FNSTENV makes of the registers (SDM 1, 8.1.7). */
static uint16_t full_tags(const struct x86_fpu *f)
{
	unsigned top = f->fsw >> 11 & 7;
	uint16_t tags = 0;

	for (unsigned p = 0; p < 8; p++) {
		const uint8_t *st = f->st[(p - top) & 7];
		uint64_t mantissa = load_le64(st);
		unsigned exponent = load_le16(st + 8) & 0x7fff, tag;

		if (!(f->ftw >> p & 1))
			tag = 3;
		else if (exponent == 0 && mantissa == 0)
			tag = 1;
		else if (exponent != 0 && exponent != 0x7fff && mantissa >> 63)
			tag = 0;
		else
			tag = 2;
		tags |= tag << 2 * p;
	}
	return tags;
}

static bool real_format(const struct soft_cpu *c)
{
	return !cpu_protected(c);
}

static void put_env32(const struct soft_cpu *c, uint8_t *m)
{
	const struct x86_fpu *f = &c->s.fpu;

	memset(m, 0xff, ENV32); /* the reserved halves are stored as ones */
	store_le16(m, f->fcw);
	store_le16(m + 4, f->fsw);
	store_le16(m + 8, full_tags(f));
	if (real_format(c)) {
		uint32_t ip = f->fip + (f->fcs << 4), dp = f->fdp + (f->fds << 4);

		store_le16(m + 12, ip);
		store_le32(m + 16, (ip >> 16) << 12 | (f->fop & 0x7ff));
		store_le16(m + 20, dp);
		store_le32(m + 24, (dp >> 16) << 12);
		return;
	}
	store_le32(m + 12, f->fip);
	store_le32(m + 16, f->fcs | (uint32_t)(f->fop & 0x7ff) << 16);
	store_le32(m + 20, f->fdp);
	store_le16(m + 24, f->fds);
}

static void put_env16(const struct soft_cpu *c, uint8_t *m)
{
	const struct x86_fpu *f = &c->s.fpu;

	store_le16(m, f->fcw);
	store_le16(m + 2, f->fsw);
	store_le16(m + 4, full_tags(f));
	if (real_format(c)) {
		uint32_t ip = f->fip + (f->fcs << 4), dp = f->fdp + (f->fds << 4);

		store_le16(m + 6, ip);
		store_le16(m + 8, (ip >> 16 & 15) << 12 | (f->fop & 0x7ff));
		store_le16(m + 10, dp);
		store_le16(m + 12, (dp >> 16 & 15) << 12);
		return;
	}
	store_le16(m + 6, f->fip);
	store_le16(m + 8, f->fcs);
	store_le16(m + 10, f->fdp);
	store_le16(m + 12, f->fds);
}

static void get_pointers32(const struct soft_cpu *c, const uint8_t *m, struct x86_fpu *f)
{
	if (real_format(c)) {
		f->fip = load_le16(m + 12) | (load_le32(m + 16) >> 12 & 0xffff) << 16;
		f->fop = load_le16(m + 16) & 0x7ff;
		f->fdp = load_le16(m + 20) | (load_le32(m + 24) >> 12 & 0xffff) << 16;
		f->fcs = f->fds = 0;
		return;
	}
	f->fip = load_le32(m + 12);
	f->fop = load_le16(m + 18) & 0x7ff;
	f->fdp = load_le32(m + 20);
	f->fcs = f->fds = 0; /* deprecated: CPUID.7:EBX[13] */
}

static void get_pointers16(const struct soft_cpu *c, const uint8_t *m, struct x86_fpu *f)
{
	f->fip = load_le16(m + 6);
	f->fdp = load_le16(m + 10);
	f->fcs = f->fds = 0;
	if (real_format(c)) {
		f->fip |= (uint32_t)(load_le16(m + 8) >> 12) << 16;
		f->fop = load_le16(m + 8) & 0x7ff;
		f->fdp |= (uint32_t)(load_le16(m + 12) >> 12) << 16;
		return;
	}
}

/* c->s.fpu is current and stays the only copy. */
static void get_env(struct soft_cpu *c, const uint8_t *m, bool wide)
{
	struct x86_fpu *f = &c->s.fpu;
	unsigned step = wide ? 4 : 2;
	uint16_t tags = load_le16(m + 2 * step);
	unsigned old_top = f->fsw >> 11 & 7, top;
	uint8_t st[8][16];

	f->fcw = (load_le16(m) & 0x1f3f) | 0x40; /* infinity control is kept, reserved bits are not */
	f->fsw = load_le16(m + step) & ~(FSW_ES | FSW_B);
	if (f->fsw & ~f->fcw & FCW_MASKS)
		f->fsw |= FSW_ES | FSW_B;
	f->ftw = 0;
	for (unsigned n = 0; n < 8; n++)
		if ((tags >> 2 * n & 3) != 3)
			f->ftw |= 1u << n;
	/* The physical registers stay, their distance from TOP changes. */
	top = f->fsw >> 11 & 7;
	for (unsigned n = 0; n < 8; n++)
		memcpy(st[(n + old_top - top) & 7], f->st[n], 16);
	memcpy(f->st, st, sizeof(st));
	if (wide)
		get_pointers32(c, m, f);
	else
		get_pointers16(c, m, f);
}

/* i->width is the size of the whole operand: 14, 28, 94 or 108. */
static bool is_wide(const struct insn *i)
{
	return i->width == ENV32 || i->width == ENV32 + SAVE_REGS;
}

/* Where the environment or the whole state lies in memory. */
static uint64_t area(struct soft_cpu *c, const struct insn *i, bool write)
{
	uint64_t lin = insn_linear(c, i, i->width, write);

	mmu_check_align(c, lin, is_wide(i) ? 4 : 2);
	if (write)
		probe_write(c, lin, i->width);
	return lin;
}

static void fn_fnstenv(struct soft_cpu *c, const struct insn *i)
{
	uint8_t m[ENV32];
	uint64_t lin;

	check(c, false);
	lin = area(c, i, true);
	thunk_fpu_sync(c);
	if (is_wide(i))
		put_env32(c, m);
	else
		put_env16(c, m);
	st_buf(c, lin, m, i->width);
	/* All exceptions are masked afterwards, which clears ES too. */
	c->s.fpu.fcw |= FCW_MASKS;
	c->s.fpu.fsw &= ~(FSW_ES | FSW_B);
}

static void fn_fldenv(struct soft_cpu *c, const struct insn *i)
{
	uint8_t m[ENV32];

	check(c, true);
	ld_buf(c, area(c, i, false), m, i->width);
	thunk_fpu_sync(c);
	get_env(c, m, is_wide(i));
}

static void fn_fnsave(struct soft_cpu *c, const struct insn *i)
{
	uint8_t m[ENV32 + SAVE_REGS];
	unsigned env = i->width - SAVE_REGS;
	uint64_t lin;

	check(c, false);
	lin = area(c, i, true);
	thunk_fpu_sync(c);
	if (is_wide(i))
		put_env32(c, m);
	else
		put_env16(c, m);
	for (unsigned n = 0; n < 8; n++)
		memcpy(m + env + 10 * n, c->s.fpu.st[n], 10);
	st_buf(c, lin, m, i->width);
	x87_init(c);
}

static void fn_frstor(struct soft_cpu *c, const struct insn *i)
{
	uint8_t m[ENV32 + SAVE_REGS];
	unsigned env = i->width - SAVE_REGS;

	check(c, true);
	ld_buf(c, area(c, i, false), m, i->width);
	thunk_fpu_sync(c);
	get_env(c, m, is_wide(i));
	for (unsigned n = 0; n < 8; n++)
		memcpy(c->s.fpu.st[n], m + env + 10 * n, 10);
}

/* ---- binding ---- */

static insn_fn control_fn(const ZydisDecodedInstruction *zi, bool mem)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_FNSTSW: return mem ? fn_fnstsw : fn_fnstsw_ax;
	case ZYDIS_MNEMONIC_FNSTCW: return fn_fnstcw;
	case ZYDIS_MNEMONIC_FLDCW: return fn_fldcw;
	case ZYDIS_MNEMONIC_FNCLEX: return fn_fnclex;
	case ZYDIS_MNEMONIC_FNINIT: return fn_fninit;
	case ZYDIS_MNEMONIC_FNSTENV: return fn_fnstenv;
	case ZYDIS_MNEMONIC_FLDENV: return fn_fldenv;
	case ZYDIS_MNEMONIC_FNSAVE: return fn_fnsave;
	case ZYDIS_MNEMONIC_FRSTOR: return fn_frstor;
	case ZYDIS_MNEMONIC_FWAIT: return fn_fwait;
	case ZYDIS_MNEMONIC_FENI8087_NOP:
	case ZYDIS_MNEMONIC_FDISI8087_NOP:
	case ZYDIS_MNEMONIC_FSETPM287_NOP: return fn_nothing;
	default: return NULL;
	}
}

bool thunk_x87_bind(struct insn *i, const struct insn_source *src, bool *needs_code)
{
	const ZydisDecodedOperand *mem = thunk_mem_operand(src);

	i->fn = control_fn(src->zi, mem);
	i->width = mem ? mem->size / 8 : 0;
	*needs_code = !i->fn;
	if (i->fn)
		return true;
	i->imm = (src->zi->opcode & 7) << 8 | src->bytes[src->zi->raw.modrm.offset];
	if (!mem)
		i->fn = fn_reg;
	else
		i->fn = mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? fn_store : fn_load;
	return true;
}
