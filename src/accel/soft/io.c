/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port input and output. Sources: SDM 1 chapter 19, SDM 2 (IN, OUT, INS, OUTS).
 */
#include "accel/soft/bind.h"
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include "base/bytes.h"
#include "core/region.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* Iterations of a REP form before the run loop may look at attention. */
enum { REP_CHUNK = 1024 };

/* The I/O permission bitmap of the TSS: #GP(0) unless all bits of the ports are clear. */
static void check_bitmap(struct soft_cpu *c, uint16_t port, unsigned width)
{
	const struct x86_seg *tr = &c->s.seg[X86_TR];
	uint64_t mask = cpu_long(c) ? UINT64_MAX : UINT32_MAX;
	uint32_t at, bits;

	if (!(tr->attr & X86_AR_P) || (tr->attr & X86_AR_TYPE) != DESC_TSS32_BUSY || tr->limit < 0x67)
		cpu_gp0(c);
	at = (uint32_t)ld_super(c, (tr->base + 0x66) & mask, 2) + port / 8u;
	if (at + 1 > tr->limit) /* two bytes are always read */
		cpu_gp0(c);
	bits = (uint32_t)ld_super(c, (tr->base + at) & mask, 2) >> (port & 7);
	if (bits & ((1u << width) - 1))
		cpu_gp0(c);
}

static void check_port(struct soft_cpu *c, uint16_t port, unsigned width)
{
	if ((c->s.cr0 & X86_CR0_PE) && ((c->mode & MODE_V86) || c->cpl > cpu_iopl(c)))
		check_bitmap(c, port, width);
}

static uint64_t port_read(struct soft_cpu *c, uint16_t port, unsigned width)
{
	event_io_access(c, port, width);
	atomic_fetch_add_explicit(&c->v->stats.port_io, 1, memory_order_relaxed);
	return region_read(c->vm->regions, REGION_PORT, port, width) & width_mask(width);
}

static void port_write(struct soft_cpu *c, uint16_t port, unsigned width, uint64_t v)
{
	event_io_access(c, port, width);
	atomic_fetch_add_explicit(&c->v->stats.port_io, 1, memory_order_relaxed);
	region_write(c->vm->regions, REGION_PORT, port, width, v & width_mask(width));
}

static uint16_t port_of(const struct soft_cpu *c, const struct insn *i)
{
	return i->sub ? (uint16_t)i->imm : (uint16_t)c->s.gpr[X86_RDX];
}

static void fn_in(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = port_of(c, i);

	check_port(c, port, i->width);
	reg_set(c, X86_RAX, i->width, port_read(c, port, i->width));
	c->end_block = true; /* a device may have raised an interrupt or asked for a reset */
}

static void fn_out(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = port_of(c, i);

	check_port(c, port, i->width);
	port_write(c, port, i->width, reg_get(c, X86_RAX, i->width));
	c->end_block = true;
}

/* ---- INS, OUTS ---- */

static void step_index(struct soft_cpu *c, const struct insn *i, unsigned reg)
{
	int64_t step = c->s.rflags & X86_FLAG_DF ? -(int64_t)i->width : i->width;

	reg_set(c, reg, i->asize, c->s.gpr[reg] + (uint64_t)step);
}

static void ins_once(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = (uint16_t)c->s.gpr[X86_RDX];
	uint64_t lin = seg_linear(c, X86_ES, reg_get(c, X86_RDI, i->asize), i->width, true);

	probe_write(c, lin, i->width);
	st(c, lin, i->width, port_read(c, port, i->width));
	step_index(c, i, X86_RDI);
}

static void outs_once(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = (uint16_t)c->s.gpr[X86_RDX];
	uint64_t lin = seg_linear(c, i->seg, reg_get(c, X86_RSI, i->asize), i->width, false);

	port_write(c, port, i->width, ld(c, lin, i->width));
	step_index(c, i, X86_RSI);
}

static bool must_yield(const struct soft_cpu *c)
{
	return atomic_load_explicit(&c->v->attention, memory_order_relaxed) || c->dr6_pending || (c->mode & MODE_TF);
}

/* Each iteration leaves registers as after a whole instruction, so a fault or an interrupt restarts in the middle. */
static void io_string(struct soft_cpu *c, const struct insn *i)
{
	void (*once)(struct soft_cpu *, const struct insn *) = i->sub ? outs_once : ins_once;

	check_port(c, (uint16_t)c->s.gpr[X86_RDX], i->width);
	c->end_block = true;
	if (!(i->flags & (INSN_REP | INSN_REPNE))) {
		once(c, i);
		return;
	}
	for (unsigned n = 0; reg_get(c, X86_RCX, i->asize); n++) {
		if (n && (n >= REP_CHUNK || must_yield(c))) {
			c->next_rip = insn_rip(c, i);
			return;
		}
		once(c, i);
		reg_set(c, X86_RCX, i->asize, c->s.gpr[X86_RCX] - 1);
	}
}

/* ---- binding ---- */

enum { DIR_IN, DIR_OUT };

static bool bind_inout(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const ZydisDecodedOperand *port = &src->op[arg == DIR_IN ? 1 : 0], *data = &src->op[arg == DIR_IN ? 0 : 1];

	i->fn = arg == DIR_IN ? fn_in : fn_out;
	i->width = (uint8_t)(data->size / 8);
	i->sub = port->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (i->sub)
		i->imm = port->imm.value.u & 0xff;
	i->flags |= INSN_ENDS_BLOCK;
	return true;
}

static const ZydisDecodedOperand *memory_operand(const struct insn_source *src)
{
	for (unsigned n = 0; n < src->zi->operand_count; n++)
		if (src->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &src->op[n];
	return NULL;
}

static bool bind_string(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const ZydisDecodedOperand *mem = memory_operand(src);

	if (!mem)
		return false;
	i->fn = io_string;
	i->sub = (uint8_t)(arg >> 8);
	i->width = (uint8_t)arg;
	i->asize = (uint8_t)(src->zi->address_width / 8);
	i->seg = (uint8_t)ZydisRegisterGetId(mem->mem.segment);
	if (src->zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
		i->flags |= INSN_REP;
	i->flags |= INSN_ENDS_BLOCK;
	return true;
}

const struct insn_row insn_io[] = {
	{ ZYDIS_MNEMONIC_IN, DIR_IN, bind_inout },
	{ ZYDIS_MNEMONIC_OUT, DIR_OUT, bind_inout },
	{ ZYDIS_MNEMONIC_INSB, DIR_IN << 8 | 1, bind_string },
	{ ZYDIS_MNEMONIC_INSW, DIR_IN << 8 | 2, bind_string },
	{ ZYDIS_MNEMONIC_INSD, DIR_IN << 8 | 4, bind_string },
	{ ZYDIS_MNEMONIC_OUTSB, DIR_OUT << 8 | 1, bind_string },
	{ ZYDIS_MNEMONIC_OUTSW, DIR_OUT << 8 | 2, bind_string },
	{ ZYDIS_MNEMONIC_OUTSD, DIR_OUT << 8 | 4, bind_string },
	{ 0, 0, NULL },
};
