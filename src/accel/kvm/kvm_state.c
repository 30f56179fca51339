/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPU's state between KVM's structures and struct x86_state. The vCPU is parked or the caller is its thread.
 *
 * Order when setting: the system registers come first, because EFER and the control registers decide which other
 * values KVM accepts, and because loading CR3 there resets what the events set afterwards.
 */
#include "accel/kvm/kvm.h"

#include "base/bytes.h"
#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* ---- general registers ---- */

/* In encoding order. */
static const uint16_t gpr_offset[X86_GPR_COUNT] = {
	offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx), offsetof(struct kvm_regs, rdx),
	offsetof(struct kvm_regs, rbx), offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
	offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi), offsetof(struct kvm_regs, r8),
	offsetof(struct kvm_regs, r9),  offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
	offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13), offsetof(struct kvm_regs, r14),
	offsetof(struct kvm_regs, r15),
};

static int failed(struct kvm_cpu *k, struct err *e, const char *what)
{
	return err_errno(e, errno, "KVM: %s of vCPU %u", what, k->v->index);
}

static int regs_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	struct kvm_regs r;
	if (ioctl(k->fd, KVM_GET_REGS, &r) < 0)
		return failed(k, e, "cannot read the registers");
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		s->gpr[n] = load_le64((char *)&r + gpr_offset[n]);
	s->rip = r.rip;
	s->rflags = r.rflags;
	return 0;
}

static int regs_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	struct kvm_regs r = { .rip = s->rip, .rflags = s->rflags | X86_FLAG_ONE };
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		store_le64((char *)&r + gpr_offset[n], s->gpr[n]);
	return ioctl(k->fd, KVM_SET_REGS, &r) < 0 ? failed(k, e, "cannot set the registers") : 0;
}

/* ---- system registers ---- */

static const uint16_t seg_offset[X86_SEG_COUNT] = {
	offsetof(struct kvm_sregs, es),  offsetof(struct kvm_sregs, cs), offsetof(struct kvm_sregs, ss),
	offsetof(struct kvm_sregs, ds),  offsetof(struct kvm_sregs, fs), offsetof(struct kvm_sregs, gs),
	offsetof(struct kvm_sregs, ldt), offsetof(struct kvm_sregs, tr),
};

struct x86_seg kvm_seg_read(const struct kvm_segment *k)
{
	return (struct x86_seg){
		.base = k->base,
		.limit = k->limit,
		.sel = k->selector,
		.attr = (k->type & 0xfu) | (k->s ? X86_AR_S : 0u) | (uint32_t)(k->dpl & 3) << X86_AR_DPL_SHIFT |
			(k->present ? X86_AR_P : 0u) | (k->avl ? X86_AR_AVL : 0u) | (k->l ? X86_AR_L : 0u) |
			(k->db ? X86_AR_DB : 0u) | (k->g ? X86_AR_G : 0u) |
			(k->unusable || !k->present ? X86_AR_UNUSABLE : 0u),
	};
}

struct kvm_segment kvm_seg_make(const struct x86_seg *s)
{
	bool unusable = (s->attr & X86_AR_UNUSABLE) || !(s->attr & X86_AR_P);
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.type = s->attr & X86_AR_TYPE,
		.s = !!(s->attr & X86_AR_S),
		.dpl = (s->attr & X86_AR_DPL) >> X86_AR_DPL_SHIFT,
		.present = !unusable,
		.avl = !!(s->attr & X86_AR_AVL),
		.l = !!(s->attr & X86_AR_L),
		.db = !!(s->attr & X86_AR_DB),
		.g = !!(s->attr & X86_AR_G),
		.unusable = unusable,
	};
}

static int sregs_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	struct kvm_sregs r;
	if (ioctl(k->fd, KVM_GET_SREGS, &r) < 0)
		return failed(k, e, "cannot read the system registers");
	for (unsigned n = 0; n < X86_SEG_COUNT; n++)
		s->seg[n] = kvm_seg_read((const struct kvm_segment *)((char *)&r + seg_offset[n]));
	s->gdtr = (struct x86_table){ .base = r.gdt.base, .limit = r.gdt.limit };
	s->idtr = (struct x86_table){ .base = r.idt.base, .limit = r.idt.limit };
	s->cr0 = r.cr0;
	s->cr2 = r.cr2;
	s->cr3 = r.cr3;
	s->cr4 = r.cr4;
	s->cr8 = r.cr8;
	s->efer = r.efer;
	s->apic_base = r.apic_base;
	return 0;
}

/* An interrupt on its way in (interrupt_bitmap) goes through the events. */
static int sregs_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	struct kvm_sregs r = {
		.gdt = { .base = s->gdtr.base, .limit = s->gdtr.limit },
		.idt = { .base = s->idtr.base, .limit = s->idtr.limit },
		.cr0 = s->cr0,
		.cr2 = s->cr2,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.cr8 = s->cr8,
		.efer = s->efer,
		.apic_base = s->apic_base,
	};
	for (unsigned n = 0; n < X86_SEG_COUNT; n++)
		*(struct kvm_segment *)((char *)&r + seg_offset[n]) = kvm_seg_make(&s->seg[n]);
	if (ioctl(k->fd, KVM_SET_SREGS, &r) < 0)
		return failed(k, e, "cannot set the system registers (a CPU state that this host's KVM cannot carry)");
	k->apic_base = s->apic_base;
	return 0;
}

/* ---- x87, SSE, AVX, AVX-512, protection keys: the standard (not compacted) XSAVE image, SDM 1 13.4 ---- */

enum { XSAVE_LEGACY = 512, XSAVE_HEADER = 64, XSAVE_BYTES_OLD = 4096 };
enum { XC_X87, XC_SSE, XC_AVX, XC_OPMASK = 5, XC_ZMM_HIGH, XC_ZMM_16_31, XC_PKRU = 9 };

unsigned kvm_xsave_bytes(const struct kvm_machine *m)
{
	unsigned want = m->offer.xsave2 > 0 ? (unsigned)m->offer.xsave2 : 0;
	return (unsigned)round_up(want > XSAVE_BYTES_OLD ? want : XSAVE_BYTES_OLD, 4096);
}

/* Where the host's processor puts a component, or NULL when it has none or the buffer ends before it. */
static uint8_t *component(const struct kvm_cpu *k, unsigned n, unsigned bytes)
{
	unsigned size, offset, c, d;
	if (!__get_cpuid_count(0xd, n, &size, &offset, &c, &d) || size < bytes ||
	    offset < XSAVE_LEGACY + XSAVE_HEADER || !range_inside(offset, bytes, k->xsave_size))
		return NULL;
	return (uint8_t *)k->xsave + offset;
}

/* Copies `count` pieces of `bytes`, each `stride` apart in the state. */
static void pieces(uint8_t *image, uint8_t *state, unsigned stride, unsigned bytes, unsigned count, bool out)
{
	for (unsigned n = 0; n < count; n++)
		memcpy(out ? image + n * bytes : state + n * stride, out ? state + n * stride : image + n * bytes,
		       bytes);
}

/* The components beyond FXSAVE: out = into the image. The image's absent components are in their reset state. */
static const struct {
	uint8_t n;
	uint16_t offset, stride, bytes, count; /* in struct x86_fpu */
} component_table[] = {
	{ XC_AVX, offsetof(struct x86_fpu, zmm) + 16, 64, 16, 16 },
	{ XC_OPMASK, offsetof(struct x86_fpu, k), 8, 8, 8 },
	{ XC_ZMM_HIGH, offsetof(struct x86_fpu, zmm) + 32, 64, 32, 16 },
	{ XC_ZMM_16_31, offsetof(struct x86_fpu, zmm) + 16 * 64, 64, 64, 16 },
	{ XC_PKRU, offsetof(struct x86_fpu, pkru), 4, 4, 1 },
};

static uint64_t components_copy(struct kvm_cpu *k, struct x86_fpu *f, uint64_t mask, bool out)
{
	uint64_t done = 0;
	for (unsigned n = 0; n < COUNT_OF(component_table); n++) {
		unsigned c = component_table[n].n, bytes = component_table[n].bytes, count = component_table[n].count;
		uint8_t *image = mask >> c & 1 ? component(k, c, bytes * count) : NULL;
		if (!image)
			continue;
		pieces(image, (uint8_t *)f + component_table[n].offset, component_table[n].stride, bytes, count, out);
		done |= UINT64_C(1) << c;
	}
	return done;
}

static void legacy_get(const uint8_t *p, struct x86_fpu *f, uint64_t present)
{
	f->fcw = present & 1 ? load_le16(p) : 0x37f;
	f->mxcsr = load_le32(p + 24);
	if (present & 1) {
		f->fsw = load_le16(p + 2);
		f->ftw = p[4];
		f->fop = load_le16(p + 6);
		f->fip = load_le64(p + 8);
		f->fdp = load_le64(p + 16);
		for (unsigned n = 0; n < 8; n++)
			memcpy(f->st[n], p + 32 + n * 16, 10);
	}
	for (unsigned n = 0; n < 16 && present >> XC_SSE & 1; n++)
		memcpy(f->zmm[n], p + 160 + n * 16, 16);
}

static void legacy_put(uint8_t *p, const struct x86_fpu *f)
{
	store_le16(p, f->fcw);
	store_le16(p + 2, f->fsw);
	p[4] = f->ftw;
	store_le16(p + 6, f->fop);
	store_le64(p + 8, f->fip);
	store_le64(p + 16, f->fdp);
	store_le32(p + 24, f->mxcsr);
	for (unsigned n = 0; n < 8; n++)
		memcpy(p + 32 + n * 16, f->st[n], 10);
	for (unsigned n = 0; n < 16; n++)
		memcpy(p + 160 + n * 16, f->zmm[n], 16);
}

static int xcrs_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	struct kvm_xcrs x = { 0 };
	s->xcr0 = 1;
	if (!k->m->offer.xcrs)
		return 0;
	if (ioctl(k->fd, KVM_GET_XCRS, &x) < 0)
		return failed(k, e, "cannot read XCR0");
	for (unsigned n = 0; n < x.nr_xcrs && n < COUNT_OF(x.xcrs); n++)
		if (x.xcrs[n].xcr == 0)
			s->xcr0 = x.xcrs[n].value;
	return 0;
}

int kvm_xcrs_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = s->xcr0 } };
	if (!k->m->offer.xcrs)
		return 0;
	return ioctl(k->fd, KVM_SET_XCRS, &x) < 0 ? failed(k, e, "cannot set XCR0 (features that this host lacks)") : 0;
}

/* A kernel without KVM_CAP_XSAVE: FXSAVE's part only. */
static int fpu_get_old(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	struct kvm_fpu f;
	if (ioctl(k->fd, KVM_GET_FPU, &f) < 0)
		return failed(k, e, "cannot read the FPU");
	s->fpu.fcw = f.fcw;
	s->fpu.fsw = f.fsw;
	s->fpu.ftw = f.ftwx;
	s->fpu.fop = f.last_opcode;
	s->fpu.fip = f.last_ip;
	s->fpu.fdp = f.last_dp;
	s->fpu.mxcsr = f.mxcsr;
	for (unsigned n = 0; n < 8; n++)
		memcpy(s->fpu.st[n], f.fpr[n], 10);
	for (unsigned n = 0; n < 16; n++)
		memcpy(s->fpu.zmm[n], f.xmm[n], 16);
	return 0;
}

static int fpu_set_old(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	struct kvm_fpu f = {
		.fcw = s->fpu.fcw,
		.fsw = s->fpu.fsw,
		.ftwx = s->fpu.ftw,
		.last_opcode = s->fpu.fop,
		.last_ip = s->fpu.fip,
		.last_dp = s->fpu.fdp,
		.mxcsr = s->fpu.mxcsr,
	};
	for (unsigned n = 0; n < 8; n++)
		memcpy(f.fpr[n], s->fpu.st[n], 10);
	for (unsigned n = 0; n < 16; n++)
		memcpy(f.xmm[n], s->fpu.zmm[n], 16);
	return ioctl(k->fd, KVM_SET_FPU, &f) < 0 ? failed(k, e, "cannot set the FPU") : 0;
}

int kvm_fpu_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	memset(&s->fpu, 0, sizeof(s->fpu));
	if (!k->m->offer.xsave)
		return fpu_get_old(k, s, e);
	if (ioctl(k->fd, k->m->offer.xsave2 > 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, k->xsave) < 0)
		return failed(k, e, "cannot read the vector registers");
	const uint8_t *image = k->xsave;
	uint64_t present = load_le64(image + XSAVE_LEGACY);
	legacy_get(image, &s->fpu, present);
	components_copy(k, &s->fpu, present, false);
	return 0;
}

static int xsave_put(struct kvm_cpu *k, const struct x86_state *s, uint64_t mask)
{
	uint8_t *image = k->xsave;
	legacy_put(image, &s->fpu);
	uint64_t known = 3, old = load_le64(image + XSAVE_LEGACY);
	for (unsigned n = 0; n < COUNT_OF(component_table); n++)
		known |= UINT64_C(1) << component_table[n].n;
	uint64_t present = 3 | components_copy(k, (struct x86_fpu *)&s->fpu, mask, true);
	store_le64(image + XSAVE_LEGACY, present | (old & ~known));
	return ioctl(k->fd, KVM_SET_XSAVE, image) < 0 ? -errno : 0;
}

int kvm_fpu_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	if (!k->m->offer.xsave)
		return fpu_set_old(k, s, e);
	memset(k->xsave, 0, k->xsave_size);
	return xsave_put(k, s, k->xcr0_mask) < 0 ? failed(k, e, "cannot set the vector registers") : 0;
}

/* After fpu_get: what struct x86_fpu has no room for (AMX) stays. The guest may have more components on than its CPUID
 * table offers, where KVM lets it see the host's CPUID. */
static int fpu_set_again(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	if (!k->m->offer.xsave)
		return fpu_set_old(k, s, e);
	if (xsave_put(k, s, k->xcr0_mask | s->xcr0) == 0)
		return 0;
	return kvm_fpu_set(k, s, e);
}

/* ---- MSRs ---- */

enum { MSR_ALWAYS = 1, MSR_APIC = 2, MSR_STEP = 4 };

/* MSR_ALWAYS: not in every kernel's index list though it has them. MSR_APIC: only with the kernel's local APIC.
 * MSR_STEP: what a single instruction (SYSCALL, SWAPGS, WRMSR of these, XSAVES) reads or writes. */
#define MSR(index, member, flags) { index, offsetof(struct x86_state, member), flags }
static const struct {
	uint32_t index;
	uint16_t offset;
	uint8_t flags;
} msr_table[] = {
	MSR(0xc0000081, star, MSR_STEP),
	MSR(0xc0000082, lstar, MSR_STEP),
	MSR(0xc0000083, cstar, MSR_STEP),
	MSR(0xc0000084, sfmask, MSR_STEP),
	MSR(0xc0000102, kernel_gs_base, MSR_STEP),
	MSR(0xc0000103, tsc_aux, MSR_STEP),
	MSR(0x174, sysenter_cs, MSR_STEP),
	MSR(0x175, sysenter_esp, MSR_STEP),
	MSR(0x176, sysenter_eip, MSR_STEP),
	MSR(0xda0, xss, MSR_STEP),
	MSR(0x277, pat, MSR_ALWAYS),
	MSR(0x1a0, misc_enable, 0),
	MSR(0x48, spec_ctrl, 0),
	MSR(0x1d9, debugctl, 0),
	MSR(0x3b, tsc_adjust, 0),
	MSR(0x17a, mcg_status, 0),
	MSR(0x17b, mcg_ctl, 0),
	MSR(0x2ff, mtrr_def, MSR_ALWAYS),
	MSR(0x250, mtrr_fixed[0], MSR_ALWAYS),
	MSR(0x258, mtrr_fixed[1], MSR_ALWAYS),
	MSR(0x259, mtrr_fixed[2], MSR_ALWAYS),
	MSR(0x268, mtrr_fixed[3], MSR_ALWAYS),
	MSR(0x269, mtrr_fixed[4], MSR_ALWAYS),
	MSR(0x26a, mtrr_fixed[5], MSR_ALWAYS),
	MSR(0x26b, mtrr_fixed[6], MSR_ALWAYS),
	MSR(0x26c, mtrr_fixed[7], MSR_ALWAYS),
	MSR(0x26d, mtrr_fixed[8], MSR_ALWAYS),
	MSR(0x26e, mtrr_fixed[9], MSR_ALWAYS),
	MSR(0x26f, mtrr_fixed[10], MSR_ALWAYS),
	MSR(0x200, mtrr_base[0], MSR_ALWAYS), MSR(0x201, mtrr_mask[0], MSR_ALWAYS),
	MSR(0x202, mtrr_base[1], MSR_ALWAYS), MSR(0x203, mtrr_mask[1], MSR_ALWAYS),
	MSR(0x204, mtrr_base[2], MSR_ALWAYS), MSR(0x205, mtrr_mask[2], MSR_ALWAYS),
	MSR(0x206, mtrr_base[3], MSR_ALWAYS), MSR(0x207, mtrr_mask[3], MSR_ALWAYS),
	MSR(0x208, mtrr_base[4], MSR_ALWAYS), MSR(0x209, mtrr_mask[4], MSR_ALWAYS),
	MSR(0x20a, mtrr_base[5], MSR_ALWAYS), MSR(0x20b, mtrr_mask[5], MSR_ALWAYS),
	MSR(0x20c, mtrr_base[6], MSR_ALWAYS), MSR(0x20d, mtrr_mask[6], MSR_ALWAYS),
	MSR(0x20e, mtrr_base[7], MSR_ALWAYS), MSR(0x20f, mtrr_mask[7], MSR_ALWAYS),
	MSR(0x6e0, tsc_deadline, MSR_APIC), /* last: it arms the timer */
};
_Static_assert(COUNT_OF(msr_table) <= KVM_MSR_MAX, "msr_table outgrew kvm_cpu.msr");

struct msr_block {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[KVM_MSR_MAX];
};

int kvm_msrs_read(struct kvm_cpu *k, struct kvm_msr_entry *list, unsigned count)
{
	struct msr_block b = { .head.nmsrs = count };
	if (count > KVM_MSR_MAX)
		return -EINVAL;
	memcpy(b.entry, list, count * sizeof(*list));
	int r = ioctl(k->fd, KVM_GET_MSRS, &b);
	memcpy(list, b.entry, count * sizeof(*list));
	return r < 0 ? -errno : r;
}

int kvm_msrs_write(struct kvm_cpu *k, const struct kvm_msr_entry *list, unsigned count)
{
	struct msr_block b = { .head.nmsrs = count };
	if (count > KVM_MSR_MAX)
		return -EINVAL;
	memcpy(b.entry, list, count * sizeof(*list));
	int r = ioctl(k->fd, KVM_SET_MSRS, &b);
	return r < 0 ? -errno : r;
}

static bool msr_listed(const struct kvm_machine *m, uint32_t index)
{
	for (unsigned n = 0; n < m->msr_index_count; n++)
		if (m->msr_index[n] == index)
			return true;
	return false;
}

/* Which rows of the table exist on this vCPU: listed or always there, and readable. After the CPUID table is set. */
static void msrs_probe(struct kvm_cpu *k)
{
	k->msr_count = 0;
	for (unsigned n = 0; n < COUNT_OF(msr_table); n++) {
		struct kvm_msr_entry entry = { .index = msr_table[n].index };
		if (!(msr_table[n].flags & MSR_ALWAYS) && !msr_listed(k->m, entry.index))
			continue;
		if ((msr_table[n].flags & MSR_APIC) && !k->m->irqchip)
			continue;
		if (kvm_msrs_read(k, &entry, 1) == 1)
			k->msr[k->msr_count++] = (uint8_t)n;
	}
	k->msrs_probed = true;
}

static unsigned msrs_list(struct kvm_cpu *k, struct kvm_msr_entry *list, uint8_t *row, uint8_t flags)
{
	unsigned count = 0;
	if (!k->msrs_probed)
		msrs_probe(k);
	for (unsigned n = 0; n < k->msr_count; n++) {
		if (flags && !(msr_table[k->msr[n]].flags & flags))
			continue;
		row[count] = k->msr[n];
		list[count++] = (struct kvm_msr_entry){ .index = msr_table[k->msr[n]].index };
	}
	return count;
}

static int msrs_get(struct kvm_cpu *k, struct x86_state *s, uint8_t flags, struct err *e)
{
	struct kvm_msr_entry list[KVM_MSR_MAX];
	uint8_t row[KVM_MSR_MAX];
	unsigned count = msrs_list(k, list, row, flags);
	int r = kvm_msrs_read(k, list, count);
	if (r != (int)count)
		return err_set(e, r < 0 ? r : -EIO, "KVM: cannot read MSR %#x of vCPU %u", list[r < 0 ? 0 : r].index,
			       k->v->index);
	for (unsigned n = 0; n < count; n++)
		store_le64((char *)s + msr_table[row[n]].offset, list[n].data);
	return 0;
}

/* old: write only what differs from it; NULL: all. An MSR that refuses the value is passed over when it holds zero
 * (a feature that this vCPU does not have), else it is an error. */
static int msrs_set(struct kvm_cpu *k, const struct x86_state *old, const struct x86_state *s, uint8_t flags,
		    struct err *e)
{
	struct kvm_msr_entry all[KVM_MSR_MAX], list[KVM_MSR_MAX];
	uint8_t row[KVM_MSR_MAX];
	unsigned rows = msrs_list(k, all, row, flags), count = 0;
	for (unsigned n = 0; n < rows; n++) {
		uint32_t at = msr_table[row[n]].offset;
		all[n].data = load_le64((const char *)s + at);
		if (!old || load_le64((const char *)old + at) != all[n].data)
			list[count++] = all[n];
	}
	for (unsigned at = 0; at < count;) {
		int r = kvm_msrs_write(k, list + at, count - at);
		if (r < 0)
			return err_errno(e, -r, "KVM: cannot set the MSRs of vCPU %u", k->v->index);
		at += (unsigned)r;
		if (at == count)
			break;
		if (list[at].data)
			return err_set(
				e, -EINVAL,
				"KVM refuses %#llx for MSR %#x of vCPU %u (a CPU state that this host cannot carry)",
				(unsigned long long)list[at].data, list[at].index, k->v->index);
		at++;
	}
	return 0;
}

/* ---- debug registers, events, how far from running ---- */

static int debug_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	struct kvm_debugregs d;
	if (!k->m->offer.debugregs)
		return 0;
	if (ioctl(k->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return failed(k, e, "cannot read the debug registers");
	for (unsigned n = 0; n < 4; n++)
		s->dr[n] = d.db[n];
	s->dr[6] = d.dr6;
	s->dr[7] = d.dr7;
	return 0;
}

static int debug_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	struct kvm_debugregs d = { .dr6 = s->dr[6], .dr7 = s->dr[7] };
	if (!k->m->offer.debugregs)
		return 0;
	for (unsigned n = 0; n < 4; n++)
		d.db[n] = s->dr[n];
	return ioctl(k->fd, KVM_SET_DEBUGREGS, &d) < 0 ? failed(k, e, "cannot set the debug registers") : 0;
}

static int events_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	struct kvm_vcpu_events ev = { 0 };
	memset(&s->ev, 0, sizeof(s->ev));
	if (!k->m->offer.vcpu_events)
		return 0;
	if (ioctl(k->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return failed(k, e, "cannot read the pending events");
	s->ev = (struct x86_events){
		.nmi_pending = ev.nmi.pending || ev.nmi.injected,
		.nmi_blocked = ev.nmi.masked,
		.smi_pending = ev.smi.pending,
		.smm = ev.smi.smm,
		.sti_shadow = ev.interrupt.shadow & KVM_X86_SHADOW_INT_STI,
		.movss_shadow = ev.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS,
		.exception_pending = ev.exception.injected || ev.exception.pending,
		.exception_vector = ev.exception.nr,
		.exception_has_code = ev.exception.has_error_code,
		.exception_code = ev.exception.error_code,
		.interrupt_pending = ev.interrupt.injected && !ev.interrupt.soft,
		.interrupt_vector = ev.interrupt.nr,
	};
	return 0;
}

static int events_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	if (!k->m->offer.vcpu_events)
		return 0;
	const struct x86_events *x = &s->ev;
	struct kvm_vcpu_events ev = {
		.exception = {
			.injected = x->exception_pending,
			.nr = x->exception_vector,
			.has_error_code = x->exception_has_code,
			.error_code = x->exception_code,
		},
		.interrupt = {
			.injected = x->interrupt_pending,
			.nr = x->interrupt_vector,
			.shadow = (x->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
			          (x->movss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0),
		},
		.nmi = { .pending = x->nmi_pending, .masked = x->nmi_blocked },
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
	};
	if (k->m->offer.smm) {
		ev.flags |= KVM_VCPUEVENT_VALID_SMM;
		ev.smi.smm = x->smm;
		ev.smi.pending = x->smi_pending;
	}
	return ioctl(k->fd, KVM_SET_VCPU_EVENTS, &ev) < 0 ? failed(k, e, "cannot set the pending events") : 0;
}

/* Without a kernel irqchip the kernel knows only running; halted and waiting are ours. */
static int mp_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	s->mp = k->wait_sipi ? X86_MP_WAIT_SIPI : k->halted ? X86_MP_HALTED : X86_MP_RUNNABLE;
	if (!k->m->irqchip || !k->m->offer.mp_state)
		return 0;
	struct kvm_mp_state mp;
	if (ioctl(k->fd, KVM_GET_MP_STATE, &mp) < 0)
		return failed(k, e, "cannot read the run state");
	s->mp = mp.mp_state == KVM_MP_STATE_HALTED ? X86_MP_HALTED
		: mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED
			? X86_MP_WAIT_SIPI
			: X86_MP_RUNNABLE;
	return 0;
}

static int mp_set(struct kvm_cpu *k, const struct x86_state *s, struct err *e)
{
	k->wait_sipi = s->mp == X86_MP_WAIT_SIPI && !k->m->irqchip;
	k->halted = s->mp == X86_MP_HALTED && !k->m->irqchip;
	if (!k->m->irqchip || !k->m->offer.mp_state)
		return 0;
	static const uint32_t to_kvm[] = {
		[X86_MP_RUNNABLE] = KVM_MP_STATE_RUNNABLE,
		[X86_MP_HALTED] = KVM_MP_STATE_HALTED,
		[X86_MP_WAIT_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
	};
	struct kvm_mp_state mp = { .mp_state = to_kvm[s->mp] };
	return ioctl(k->fd, KVM_SET_MP_STATE, &mp) < 0 ? failed(k, e, "cannot set the run state") : 0;
}

/* ---- whole states ---- */

int kvm_state_get(struct vcpu *v, struct x86_state *s, struct err *e)
{
	struct kvm_cpu *k = kvm_cpu_of(v);
	memset(s, 0, sizeof(*s));
	int r = kvm_cpuid_set(k, e);
	if (r == 0)
		r = regs_get(k, s, e);
	if (r == 0)
		r = sregs_get(k, s, e);
	if (r == 0)
		r = xcrs_get(k, s, e);
	if (r == 0)
		r = kvm_fpu_get(k, s, e);
	if (r == 0)
		r = msrs_get(k, s, 0, e);
	if (r == 0)
		r = debug_get(k, s, e);
	if (r == 0)
		r = events_get(k, s, e);
	if (r == 0)
		r = mp_get(k, s, e);
	s->tsc = kvm_clock_tsc_get(k);
	return r;
}

int kvm_state_set(struct vcpu *v, const struct x86_state *s, struct err *e)
{
	struct kvm_cpu *k = kvm_cpu_of(v);
	int r = kvm_cpuid_set(k, e);
	if (r == 0)
		r = sregs_set(k, s, e);
	if (r == 0)
		r = regs_set(k, s, e);
	if (r == 0)
		r = kvm_xcrs_set(k, s, e);
	if (r == 0)
		r = kvm_fpu_set(k, s, e);
	if (r == 0)
		kvm_clock_tsc_set(k, s->tsc);
	if (r == 0)
		r = msrs_set(k, NULL, s, 0, e);
	if (r == 0)
		r = debug_set(k, s, e);
	if (r == 0)
		r = events_set(k, s, e);
	if (r == 0)
		r = mp_set(k, s, e);
	return r;
}

static int light_rest_get(struct kvm_cpu *k, struct x86_state *s, struct err *e)
{
	int r = xcrs_get(k, s, e);
	if (r == 0)
		r = kvm_fpu_get(k, s, e);
	if (r == 0)
		r = msrs_get(k, s, MSR_STEP, e);
	if (r == 0)
		s->tsc = kvm_clock_tsc_get(k);
	return r;
}

int kvm_state_get_light(struct kvm_cpu *k, struct x86_state *s, bool general, struct err *e)
{
	int r = regs_get(k, s, e);
	if (r == 0)
		r = sregs_get(k, s, e);
	if (r == 0)
		r = debug_get(k, s, e);
	if (r == 0)
		r = events_get(k, s, e);
	if (r == 0 && !general)
		r = light_rest_get(k, s, e);
	s->mp = X86_MP_RUNNABLE; /* it was executing */
	return r;
}

static bool sregs_differ(const struct x86_state *a, const struct x86_state *b)
{
	return memcmp(a->seg, b->seg, sizeof(a->seg)) || memcmp(&a->gdtr, &b->gdtr, sizeof(a->gdtr)) ||
	       memcmp(&a->idtr, &b->idtr, sizeof(a->idtr)) || a->cr0 != b->cr0 || a->cr2 != b->cr2 ||
	       a->cr3 != b->cr3 || a->cr4 != b->cr4 || a->cr8 != b->cr8 || a->efer != b->efer ||
	       a->apic_base != b->apic_base;
}

int kvm_state_set_changed(struct kvm_cpu *k, const struct x86_state *old, const struct x86_state *s, struct err *e)
{
	int r = sregs_differ(old, s) ? sregs_set(k, s, e) : 0;
	if (r == 0)
		r = regs_set(k, s, e);
	if (r == 0 && old->xcr0 != s->xcr0)
		r = kvm_xcrs_set(k, s, e);
	if (r == 0 && memcmp(&old->fpu, &s->fpu, sizeof(s->fpu)))
		r = fpu_set_again(k, s, e);
	if (r == 0)
		r = msrs_set(k, old, s, MSR_STEP, e);
	if (r == 0 && memcmp(old->dr, s->dr, sizeof(s->dr)))
		r = debug_set(k, s, e);
	if (r == 0)
		r = events_set(k, s, e);
	if (r == 0 && old->mp != s->mp)
		r = mp_set(k, s, e);
	return r;
}
