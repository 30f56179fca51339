/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs cases on the soft CPU: a machine of one processor whose page tables show what the native child sees. */
#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "accel/soft/step.h"
#include "accel/soft/system.h"
#include "accel/soft/xlate.h"
#include "base/bytes.h"
#include "core/accel.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "oracle.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Guest-physical layout. */
enum {
	GPA_PML4 = 0x1000, GPA_PDPT = 0x2000, GPA_PD = 0x3000, GPA_PT = 0x4000, GPA_GDT = 0x5000, GPA_TSS = 0x6000,
	GPA_PDPT_K = 0x7000, GPA_PD_K = 0x8000, GPA_PT_K = 0x9000, GPA_LDT = 0xa000,
	GPA_IDT = 0xb000, GPA_HANDLER = 0xc000, GPA_STACK = 0xd000,
	GPA_CODE = 0x10000, GPA_SMC = 0x14000, GPA_DATA = 0x18000, GPA_RO = GPA_DATA + ORA_DATA_SIZE, GPA_SIZE = 0x100000,
};
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_AD = 0x60 };
#define KERNEL_AT UINT64_C(0xffffff8000000000)
#define PTE_NX (UINT64_C(1) << 63)

/* Supervisor pages from KERNEL_AT on. */
enum { K_GDT, K_TSS, K_LDT, K_IDT, K_HANDLER, K_STACK };
enum { HANDLER_SIZE = 16, VECTORS = 32, INTERRUPT = 0xfd, GATES = 256 };

enum { STEP = 256, STEPS_MAX = 4000, HOT_ROUNDS = 40 /* in which a block gets hot by itself */ };

enum {
	ATTR_CODE = X86_AR_P | X86_AR_DPL | X86_AR_S | X86_AR_CODE | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_G,
	ATTR_DATA = X86_AR_P | X86_AR_DPL | X86_AR_S | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_G | X86_AR_DB,
};

struct ora_soft {
	struct loop *loop;
	struct vm *vm;
	struct vcpu *v;
	struct soft_step *step; /* NULL: through the run loop */
	struct ora_soft_config config;
	struct x86_state base; /* what all cases share */
	struct ora_soft_counts counts;
	struct x86_cpuid cpuid[X86_CPUID_MAX];
	uint8_t fill[ORA_DATA_SIZE > ORA_CODE_SIZE ? ORA_DATA_SIZE : ORA_CODE_SIZE];
};

static bool no_interrupt(void *opaque) { return false; }
static int no_vector(void *opaque) { return -1; }
static uint8_t no_cr8(void *opaque) { return 0; }
static void set_no_cr8(void *opaque, uint8_t cr8) {}
static int no_msr_read(void *opaque, uint32_t msr, uint64_t *value) { return -ENOENT; }
static int no_msr_write(void *opaque, uint32_t msr, uint64_t value) { return -ENOENT; }

static const struct vcpu_chip chip = {
	.intr_pending = no_interrupt, .intr_ack = no_vector, .cr8_get = no_cr8, .cr8_set = set_no_cr8,
	.msr_read = no_msr_read, .msr_write = no_msr_write,
};

static void must_write(struct ora_soft *s, uint64_t gpa, const void *buf, uint64_t len)
{
	if (gmem_write(s->vm->mem, gpa, buf, len))
		abort();
}

static void must_read(struct ora_soft *s, uint64_t gpa, void *buf, uint64_t len)
{
	if (gmem_read(s->vm->mem, gpa, buf, len))
		abort();
}

static void put_entry(struct ora_soft *s, uint64_t table, unsigned index, uint64_t entry)
{
	must_write(s, table + 8 * index, &entry, 8);
}

static void map_pages(struct ora_soft *s, uint64_t at, uint64_t gpa, unsigned size, uint64_t bits)
{
	for (unsigned n = 0; n < size; n += ORA_PAGE)
		put_entry(s, GPA_PT, (at + n) >> 12 & 511, (gpa + n) | PTE_P | PTE_U | PTE_AD | bits);
}

static void make_tables(struct ora_soft *s)
{
	uint64_t inner = PTE_P | PTE_W | PTE_U | PTE_AD;
	put_entry(s, GPA_PML4, 0, GPA_PDPT | inner);
	put_entry(s, GPA_PDPT, ORA_CODE_AT >> 30, GPA_PD | inner);
	put_entry(s, GPA_PD, ORA_CODE_AT >> 21 & 511, GPA_PT | inner);
	/* The GDT lies where a kernel has it, out of reach. */
	put_entry(s, GPA_PML4, 511, GPA_PDPT_K | inner);
	put_entry(s, GPA_PDPT_K, 0, GPA_PD_K | inner);
	put_entry(s, GPA_PD_K, 0, GPA_PT_K | inner);
	static const uint16_t kernel[] = {
		[K_GDT] = GPA_GDT, [K_TSS] = GPA_TSS, [K_LDT] = GPA_LDT, [K_IDT] = GPA_IDT, [K_HANDLER] = GPA_HANDLER,
		[K_STACK] = GPA_STACK,
	};
	for (unsigned n = 0; n < COUNT_OF(kernel); n++)
		put_entry(s, GPA_PT_K, n, kernel[n] | PTE_P | PTE_W | PTE_AD);
	for (unsigned n = 0; n < ORA_LDT_COUNT; n++)
		put_entry(s, GPA_LDT, n, ora_ldt_raw(&ora_ldt[n]));
	map_pages(s, ORA_CODE_AT, GPA_CODE, ORA_CODE_SIZE, 0);
	map_pages(s, ORA_SMC_AT, GPA_SMC, ORA_CODE_SIZE, PTE_W);
	map_pages(s, ORA_DATA_AT, GPA_DATA, ORA_DATA_SIZE, PTE_W | PTE_NX);
	map_pages(s, ORA_RO_AT, GPA_RO, ORA_PAGE, PTE_NX);
	ora_fill(ORA_RO_SEED, s->fill, ORA_PAGE);
	must_write(s, GPA_RO, s->fill, ORA_PAGE);
	/* The kernel's GDT as far as user code can tell: kernel code and data, 32-bit user code, user data, user code. */
	static const uint64_t gdt[] = {
		0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff,
		0x00affb000000ffff, 0, 0, 0, 0, 0, 0, 0, 0, 0x0040f50000000000, /* the last: per-CPU number */
	};
	static const uint16_t no_io_map = 0xffff;
	must_write(s, GPA_GDT, gdt, sizeof(gdt));
	must_write(s, GPA_TSS + 102, &no_io_map, 2);
	memset(s->fill, ORA_END_BYTE, sizeof(s->fill));
	must_write(s, GPA_CODE, s->fill, ORA_CODE_SIZE);
	must_write(s, GPA_SMC, s->fill, ORA_CODE_SIZE);
}

/* As a 64-bit kernel runs its processes. */
static void make_state(struct x86_state *b)
{
	x86_state_reset(b, true, 0);
	b->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
	b->cr3 = GPA_PML4;
	b->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE |
	         X86_CR4_UMIP;
	b->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	b->xcr0 = 7;
	b->seg[X86_LDTR] = (struct x86_seg){ .sel = 0x50, .base = KERNEL_AT + 2 * ORA_PAGE, .limit = 8 * ORA_LDT_COUNT - 1,
		                             .attr = X86_AR_P | 2 };
	b->seg[X86_TR] = (struct x86_seg){ .sel = 0x40, .base = KERNEL_AT + ORA_PAGE, .limit = 0x67, .attr = X86_AR_P | 11 };
	b->gdtr = (struct x86_table){ .base = KERNEL_AT, .limit = 0x7f };
	b->idtr = (struct x86_table){ .base = KERNEL_AT, .limit = 0 };
}

static int make_vm(struct ora_soft *s, const char *options, struct err *e)
{
	struct vm_config cfg = { .accel = &accel_soft, .accel_options = options };
	int rc = loop_create(&s->loop, NULL, e);
	if (rc)
		return rc;
	cfg.loop = s->loop;
	rc = vm_create(&s->vm, &cfg, e);
	if (!rc)
		rc = gmem_add_ram(s->vm->mem, 0, GPA_SIZE, "ram", false, e);
	if (!rc)
		rc = vm_add_vcpu(s->vm, 0, &s->v, e);
	if (rc)
		return rc;
	int rows = accel_soft.cpuid(s->vm, s->cpuid, X86_CPUID_MAX, e);
	if (rows < 0)
		return rows;
	s->v->chip = &chip;
	s->v->cpuid = s->cpuid;
	s->v->cpuid_count = (unsigned)rows;
	return 0;
}

#define KERNEL_PAGE(n) (KERNEL_AT + (uint64_t)(n) * ORA_PAGE)
#define STACK_TOP (KERNEL_PAGE(K_STACK) + ORA_PAGE)

static void make_gate(struct ora_soft *s, unsigned vector, uint64_t at)
{
	put_entry(s, GPA_IDT, 2 * vector, (at & 0xffff) | 0x10 << 16 | UINT64_C(0x8e00) << 32 | (at >> 16 & 0xffff) << 48);
	put_entry(s, GPA_IDT, 2 * vector + 1, at >> 32);
}

/* A gate for each exception, into a HLT of its own; and one for interrupts, into an IRET. */
static void make_handlers(struct ora_soft *s)
{
	static const uint8_t iret[] = { 0x48, 0xcf };
	uint64_t top = STACK_TOP;
	memset(s->fill, ORA_END_BYTE, ORA_PAGE);
	must_write(s, GPA_HANDLER, s->fill, ORA_PAGE);
	must_write(s, GPA_TSS + 4, &top, 8);
	for (unsigned n = 0; n < VECTORS; n++)
		make_gate(s, n, KERNEL_PAGE(K_HANDLER) + n * HANDLER_SIZE);
	must_write(s, GPA_HANDLER + VECTORS * HANDLER_SIZE, iret, sizeof(iret));
	make_gate(s, INTERRUPT, KERNEL_PAGE(K_HANDLER) + VECTORS * HANDLER_SIZE);
	s->base.idtr = (struct x86_table){ .base = KERNEL_PAGE(K_IDT), .limit = GATES * 16 - 1 };
}

static int make_step(struct ora_soft *s, bool translate, struct err *e)
{
	return translate ? soft_step_create_translating(&s->step, s->v, e) : soft_step_create(&s->step, s->v, e);
}

int ora_soft_create(struct ora_soft **out, const struct ora_soft_config *config, struct err *e)
{
	struct ora_soft *s = calloc(1, sizeof(*s));
	bool rounds = config->rounds, translate = config->translate;
	char options[120];
	if (!s)
		return err_errno(e, ENOMEM, "soft runner");
	/* Each case writes its code into the same page. */
	int len = snprintf(options, sizeof(options), "translate=%s,rewrites=1000000000", translate ? "on" : "off");
	if (config->interrupts || config->rounds < HOT_ROUNDS)
		len += snprintf(options + len, sizeof(options) - (size_t)len, ",hot=2");
	if (config->interrupts)
		snprintf(options + len, sizeof(options) - (size_t)len, ",interrupt=%u,interrupt-every=%u", INTERRUPT,
			 config->interrupts);
	int rc = make_vm(s, rounds ? options : NULL, e);
	s->config = *config;
	if (!rc)
		rc = rounds ? accel_soft.vm_prepare(s->vm, e) : make_step(s, translate, e);
	if (rc) {
		ora_soft_destroy(s);
		return rc;
	}
	make_tables(s);
	make_state(&s->base);
	*out = s;
	if (!rounds)
		return 0;
	make_handlers(s);
	return accel_soft.set_state(s->v, &s->base, e);
}

void ora_soft_destroy(struct ora_soft *s)
{
	if (!s)
		return;
	if (s->step)
		soft_step_destroy(s->step);
	vm_destroy(s->vm);
	if (s->loop)
		loop_destroy(s->loop);
	free(s);
}

static void put_fpu(struct x86_fpu *to, const struct ora_fpu *from)
{
	const uint8_t *fx = from->fx;
	memset(to, 0, sizeof(*to));
	to->fcw = load_le16(fx);
	to->fsw = load_le16(fx + 2);
	to->ftw = fx[4];
	to->fop = load_le16(fx + 6);
	to->fip = load_le64(fx + 8);
	to->fdp = load_le64(fx + 16);
	to->mxcsr = load_le32(fx + 24);
	for (unsigned n = 0; n < 8; n++)
		memcpy(to->st[n], fx + 32 + 16 * n, 10);
	for (unsigned n = 0; n < 16; n++) {
		memcpy(to->zmm[n], fx + 160 + 16 * n, 16);
		memcpy(to->zmm[n] + 16, from->ymmh[n], 16);
	}
}

static void take_fpu(struct ora_fpu *to, const struct x86_fpu *from)
{
	uint8_t *fx = to->fx;
	memset(to, 0, sizeof(*to));
	store_le16(fx, from->fcw);
	store_le16(fx + 2, from->fsw);
	fx[4] = from->ftw;
	store_le16(fx + 6, from->fop);
	store_le64(fx + 8, from->fip);
	store_le64(fx + 16, from->fdp);
	store_le32(fx + 24, from->mxcsr);
	for (unsigned n = 0; n < 8; n++)
		memcpy(fx + 32 + 16 * n, from->st[n], 10);
	for (unsigned n = 0; n < 16; n++) {
		memcpy(fx + 160 + 16 * n, from->zmm[n], 16);
		memcpy(to->ymmh[n], from->zmm[n] + 16, 16);
	}
}

static struct x86_seg segment(uint16_t sel)
{
	const struct ora_ldt *d = ora_ldt_of(sel);
	if (d)
		return (struct x86_seg){ .sel = sel, .base = d->base, .limit = d->limit, .attr = ora_ldt_attr(d) };
	switch (sel) {
	case 0x23: return (struct x86_seg){ .sel = sel, .limit = UINT32_MAX, .attr = ATTR_CODE | X86_AR_DB };
	case 0x33: return (struct x86_seg){ .sel = sel, .limit = UINT32_MAX, .attr = ATTR_CODE | X86_AR_L };
	case 0x2b: return (struct x86_seg){ .sel = sel, .limit = UINT32_MAX, .attr = ATTR_DATA };
	default: return (struct x86_seg){ .sel = sel, .attr = X86_AR_UNUSABLE };
	}
}

/* Only when it is not there yet: a store would drop what is decoded. */
static void put_code(struct ora_soft *s, uint64_t gpa, const struct ora_case *c)
{
	uint8_t old[ORA_CODE_MAX];
	must_read(s, gpa, old, ora_code_fits(c));
	if (memcmp(old, c->code, ora_code_fits(c)))
		must_write(s, gpa, c->code, ora_code_fits(c));
}

static void put_case(struct ora_soft *s, const struct ora_case *c, struct x86_state *x)
{
	*x = s->base;
	memcpy(x->gpr, c->in.gpr, sizeof(x->gpr));
	x->rip = c->in.rip;
	x->rflags = c->in.rflags;
	for (unsigned n = X86_ES; n <= X86_GS; n++)
		x->seg[n] = segment(c->in.sel[n]);
	x->seg[X86_FS].base = c->in.fs_base;
	x->seg[X86_GS].base = c->in.gs_base;
	put_fpu(&x->fpu, &c->in.fpu);
	ora_data(c, s->fill);
	must_write(s, GPA_DATA, s->fill, ORA_DATA_SIZE);
	put_code(s, (c->smc ? GPA_SMC : GPA_CODE) + c->code_off, c);
}

/* As it was before; untouched, so that what is decoded stays, when nothing was stored. */
static void clean_smc(struct ora_soft *s)
{
	uint8_t now[ORA_CODE_SIZE];
	must_read(s, GPA_SMC, now, sizeof(now));
	memset(s->fill, ORA_END_BYTE, ORA_CODE_SIZE);
	if (memcmp(now, s->fill, sizeof(now)))
		must_write(s, GPA_SMC, s->fill, ORA_CODE_SIZE);
}

static void take_result(struct ora_soft *s, const struct ora_case *c, const struct x86_state *x, struct ora_result *r)
{
	memcpy(r->out.gpr, x->gpr, sizeof(r->out.gpr));
	r->out.rip = x->rip;
	r->out.rflags = x->rflags;
	r->out.fs_base = x->seg[X86_FS].base;
	r->out.gs_base = x->seg[X86_GS].base;
	for (unsigned n = 0; n < 6; n++)
		r->out.sel[n] = x->seg[n].sel;
	take_fpu(&r->out.fpu, &x->fpu);
	r->cr2 = r->vector == X86_PF ? x->cr2 : 0;
	must_read(s, GPA_DATA, r->data, ORA_DATA_SIZE);
	must_read(s, GPA_SMC, r->smc, ORA_CODE_SIZE);
	clean_smc(s);
	if (!c->smc)
		must_write(s, GPA_CODE + c->code_off, s->fill, ora_code_fits(c));
}

/* From the handler's stack: what the exception found. */
static void take_frame(struct ora_soft *s, struct x86_state *x, struct ora_result *r)
{
	static const uint32_t with_code =
		1 << X86_DF | 1 << X86_TS | 1 << X86_NP | 1 << X86_SS_FAULT | 1 << X86_GP | 1 << X86_PF | 1 << X86_AC;
	uint64_t frame[6]; /* code, RIP, CS, RFLAGS, RSP, SS */
	must_read(s, GPA_STACK + ORA_PAGE - sizeof(frame), frame, sizeof(frame));
	r->vector = (uint8_t)((x->rip - KERNEL_PAGE(K_HANDLER)) / HANDLER_SIZE);
	/* Deeper: the IRET of an interrupt that was taken at an address beyond the segment's limit. */
	bool nested = x->gpr[X86_RSP] < STACK_TOP - sizeof(frame);
	r->code = with_code >> r->vector & 1 && !nested ? (uint32_t)frame[0] : 0;
	x->rip = frame[1];
	x->rflags = frame[3];
	x->gpr[X86_RSP] = frame[4];
	x->seg[X86_CS].sel = (uint16_t)frame[2];
	x->seg[X86_SS].sel = (uint16_t)frame[5];
}

enum { DATA_PAGES = ORA_DATA_SIZE / ORA_PAGE };
static void set_present(struct ora_soft *s, unsigned page, bool present)
{
	uint64_t entry = (GPA_DATA + page * ORA_PAGE) | PTE_U | PTE_AD | PTE_W | PTE_NX | (present ? PTE_P : 0);
	put_entry(s, GPA_PT, (ORA_DATA_AT + page * ORA_PAGE) >> 12 & 511, entry);
}

/* Runs from *x to the end in *x: a handler's HLT. */
static enum vcpu_exit run_state(struct ora_soft *s, struct x86_state *x)
{
	struct soft_cpu *cpu = &((struct soft_vcpu *)s->v->accel_data)->c;
	struct err e;
	thunk_fpu_sync(cpu);
	cpu->s = *x;
	cpu->dr6_pending = 0;
	cpu_update_mode(cpu);
	enum vcpu_exit out = accel_soft.vcpu_run(s->v);
	return accel_soft.get_state(s->v, x, &e) ? VCPU_EXIT_ERROR : out;
}

/* In the handler of a page fault at that page: back to the instruction. */
static bool resume(struct ora_soft *s, struct x86_state *x, unsigned page)
{
	struct ora_result at;
	if ((x->rip - KERNEL_PAGE(K_HANDLER)) / HANDLER_SIZE != X86_PF || x->cr2 - ORA_DATA_AT - page * ORA_PAGE >= ORA_PAGE)
		return false;
	take_frame(s, x, &at);
	for (unsigned n = 0; n < 2; n++) {
		unsigned seg = n ? X86_CS : X86_SS;
		x->seg[seg] = segment(x->seg[seg].sel);
	}
	x->mp = X86_MP_RUNNABLE;
	return true;
}

static enum vcpu_exit run_with_fault(struct ora_soft *s, struct x86_state *x, unsigned page)
{
	set_present(s, page, false);
	mmu_flush_all(&((struct soft_vcpu *)s->v->accel_data)->c);
	enum vcpu_exit out = run_state(s, x);
	set_present(s, page, true);
	if (out == VCPU_EXIT_HALTED && resume(s, x, page))
		out = run_state(s, x);
	return out;
}

/* Where the first interrupt comes in this round, and how far apart the others are. */
static void place_interrupts(struct ora_soft *s, uint64_t random)
{
	struct soft_vm *sv = s->vm->accel_data;
	const unsigned every = 1 + (unsigned)(random % s->config.interrupts);
	sv->options.inject_every = every;
	((struct soft_vcpu *)s->v->accel_data)->blocks_seen = (unsigned)(random >> 32) % every;
}

/* What is translated and decoded stays from round to round, as in a loop of the guest. */
static void run_rounds(struct ora_soft *s, const struct ora_case *c, struct ora_result *r)
{
	struct x86_state x;
	enum vcpu_exit out = VCPU_EXIT_ERROR;
	for (unsigned n = 0; n < s->config.rounds; n++) {
		put_case(s, c, &x);
		x.idtr = s->base.idtr;
		if (s->config.interrupts)
			place_interrupts(s, ora_mix(c->seed, DATA_PAGES + n));
		if (s->config.faults)
			out = run_with_fault(s, &x, (unsigned)(ora_mix(c->seed, n) % DATA_PAGES));
		else
			out = run_state(s, &x);
		if (out != VCPU_EXIT_HALTED)
			break;
		if (n + 1 < s->config.rounds)
			clean_smc(s);
	}
	r->valid = out == VCPU_EXIT_HALTED;
	r->hung = !r->valid;
	r->disturbed = s->config.interrupts || s->config.faults;
	if (r->valid)
		take_frame(s, &x, r);
	take_result(s, c, &x, r);
}

const struct ora_soft_counts *ora_soft_counts(const struct ora_soft *s)
{
	return &s->counts;
}

/* Adds what the processor has counted, or with sign -1 takes it away. */
static void count(struct ora_soft *s, bool other, uint64_t sign)
{
	const struct soft_cpu *cpu = s->step ? soft_step_cpu(s->step) : &((struct soft_vcpu *)s->v->accel_data)->c;
	uint64_t helped = cpu->xlate ? xlate_stats(cpu->xlate)->helps : 0;
	s->counts.all[other] += sign * cpu->instructions;
	s->counts.translated[other] += sign * (cpu->instructions - cpu->interpreted - helped);
}

static void run_steps(struct ora_soft *s, const struct ora_case *c, struct ora_result *r)
{
	struct x86_state x;
	struct soft_step_result step = { 0 };
	put_case(s, c, &x);
	for (unsigned n = 0; n < STEPS_MAX && !step.raised && !step.halted && !step.shutdown; n++)
		soft_step_run(s->step, &x, STEP, false, &step);
	r->valid = step.raised;
	r->hung = !step.raised;
	r->vector = step.vector;
	r->code = step.has_code ? step.code : 0;
	take_result(s, c, &x, r);
}

void ora_soft_run(struct ora_soft *s, const struct ora_case *c, struct ora_result *r)
{
	count(s, c->mode32, UINT64_MAX);
	if (s->step)
		run_steps(s, c, r);
	else
		run_rounds(s, c, r);
	count(s, c->mode32, 1);
}
