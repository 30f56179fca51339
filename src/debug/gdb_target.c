/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDB manual, appendix G.5 "i386 Features"; k_gs_base and the control registers are a feature of our own. */
#include "debug/gdb_target.h"

#include <stdio.h>
#include <string.h>

enum kind { PLAIN, SELECTOR, ST, TAG, XMM, YMM_HIGH };

struct reg {
	const char *name, *type;
	uint8_t bytes;    /* as GDB stores it */
	uint8_t own;      /* bytes in struct x86_state */
	uint8_t kind;
	uint16_t at;      /* PLAIN, SELECTOR: offset in struct x86_state; else the number */
};

#define IN(member) offsetof(struct x86_state, member), sizeof(((struct x86_state *)0)->member)
#define REG_(name, type, bytes, kind, at, own) { name, type, bytes, own, kind, at }
#define REG(...) REG_(__VA_ARGS__)
#define GPR(name, n) REG(name, "int64", 8, PLAIN, IN(gpr[n]))
#define SEL(name, n) REG(name, "int32", 4, SELECTOR, IN(seg[n].sel))
#define X87(name, member) REG(name, "int", 4, PLAIN, IN(fpu.member))
#define ST_REG(n) { "st" #n, "i387_ext", 10, 10, ST, n }
#define XMM_REG(n) { "xmm" #n, "vec128", 16, 16, XMM, n }
#define YMM_REG(n) { "ymm" #n "h", "uint128", 16, 16, YMM_HIGH, n }
#define WORD(name, member) REG(name, "int64", 8, PLAIN, IN(member))

static const struct reg core_regs[] = {
	GPR("rax", X86_RAX), GPR("rbx", X86_RBX), GPR("rcx", X86_RCX), GPR("rdx", X86_RDX), GPR("rsi", X86_RSI),
	GPR("rdi", X86_RDI), REG("rbp", "data_ptr", 8, PLAIN, IN(gpr[X86_RBP])),
	REG("rsp", "data_ptr", 8, PLAIN, IN(gpr[X86_RSP])),
	GPR("r8", X86_R8), GPR("r9", X86_R9), GPR("r10", X86_R10), GPR("r11", X86_R11), GPR("r12", X86_R12),
	GPR("r13", X86_R13), GPR("r14", X86_R14), GPR("r15", X86_R15), REG("rip", "code_ptr", 8, PLAIN, IN(rip)),
	REG("eflags", "i386_eflags", 4, PLAIN, IN(rflags)),
	SEL("cs", X86_CS), SEL("ss", X86_SS), SEL("ds", X86_DS), SEL("es", X86_ES),
	SEL("fs", X86_FS), SEL("gs", X86_GS),
	ST_REG(0), ST_REG(1), ST_REG(2), ST_REG(3), ST_REG(4), ST_REG(5), ST_REG(6), ST_REG(7),
	X87("fctrl", fcw), X87("fstat", fsw), { "ftag", "int", 4, 4, TAG, 0 }, X87("fiseg", fcs), X87("fioff", fip),
	X87("foseg", fds), X87("fooff", fdp), X87("fop", fop),
};
static const struct reg sse_regs[] = {
	XMM_REG(0), XMM_REG(1), XMM_REG(2), XMM_REG(3), XMM_REG(4), XMM_REG(5), XMM_REG(6), XMM_REG(7),
	XMM_REG(8), XMM_REG(9), XMM_REG(10), XMM_REG(11), XMM_REG(12), XMM_REG(13), XMM_REG(14), XMM_REG(15),
	REG("mxcsr", "i386_mxcsr", 4, PLAIN, IN(fpu.mxcsr)),
};
static const struct reg avx_regs[] = {
	YMM_REG(0), YMM_REG(1), YMM_REG(2), YMM_REG(3), YMM_REG(4), YMM_REG(5), YMM_REG(6), YMM_REG(7),
	YMM_REG(8), YMM_REG(9), YMM_REG(10), YMM_REG(11), YMM_REG(12), YMM_REG(13), YMM_REG(14), YMM_REG(15),
};
static const struct reg segment_regs[] = { WORD("fs_base", seg[X86_FS].base), WORD("gs_base", seg[X86_GS].base) };
static const struct reg system_regs[] = {
	WORD("k_gs_base", kernel_gs_base), WORD("cr0", cr0), WORD("cr2", cr2), WORD("cr3", cr3), WORD("cr4", cr4),
	WORD("cr8", cr8), WORD("efer", efer),
};

static const char flag_types[] =
	"<flags id=\"i386_eflags\" size=\"4\">"
	"<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
	"<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
	"<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
	"<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
	"<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
	"<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
	"<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
	"<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
	"<field name=\"ID\" start=\"21\" end=\"21\"/></flags>";
static const char sse_types[] =
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
	"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
	"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
	"<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
	"<field name=\"uint128\" type=\"uint128\"/></union>"
	"<flags id=\"i386_mxcsr\" size=\"4\">"
	"<field name=\"IE\" start=\"0\" end=\"0\"/><field name=\"DE\" start=\"1\" end=\"1\"/>"
	"<field name=\"ZE\" start=\"2\" end=\"2\"/><field name=\"OE\" start=\"3\" end=\"3\"/>"
	"<field name=\"UE\" start=\"4\" end=\"4\"/><field name=\"PE\" start=\"5\" end=\"5\"/>"
	"<field name=\"DAZ\" start=\"6\" end=\"6\"/><field name=\"IM\" start=\"7\" end=\"7\"/>"
	"<field name=\"DM\" start=\"8\" end=\"8\"/><field name=\"ZM\" start=\"9\" end=\"9\"/>"
	"<field name=\"OM\" start=\"10\" end=\"10\"/><field name=\"UM\" start=\"11\" end=\"11\"/>"
	"<field name=\"PM\" start=\"12\" end=\"12\"/><field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

static const struct feature {
	const char *name, *types;
	const struct reg *reg;
	unsigned count;
} features[] = {
	{ "org.gnu.gdb.i386.core", flag_types, core_regs, COUNT_OF(core_regs) },
	{ "org.gnu.gdb.i386.sse", sse_types, sse_regs, COUNT_OF(sse_regs) },
	{ "org.gnu.gdb.i386.avx", "", avx_regs, COUNT_OF(avx_regs) },
	{ "org.gnu.gdb.i386.segments", "", segment_regs, COUNT_OF(segment_regs) },
	{ "panal.x86.system", "", system_regs, COUNT_OF(system_regs) },
};

static const struct reg *find(unsigned n)
{
	for (unsigned f = 0; f < COUNT_OF(features); n -= features[f++].count)
		if (n < features[f].count)
			return &features[f].reg[n];
	return NULL;
}

unsigned gdb_register_count(void)
{
	unsigned sum = 0;

	for (unsigned f = 0; f < COUNT_OF(features); f++)
		sum += features[f].count;
	return sum;
}

unsigned gdb_register_size(unsigned n)
{
	return find(n)->bytes;
}

const char *gdb_register_name(unsigned n)
{
	return find(n)->name;
}

/* The full tag word from the abridged one (SDM 1 8.1.7): 0 valid, 1 zero, 2 special, 3 empty, by physical register. */
static uint32_t tag_word(const struct x86_fpu *f)
{
	uint32_t tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		const uint8_t *st = f->st[(n - (f->fsw >> 11)) & 7];
		uint64_t mantissa;
		unsigned exponent = (st[8] | st[9] << 8) & 0x7fff, tag = 2;

		memcpy(&mantissa, st, 8);
		if (!(f->ftw >> n & 1))
			tag = 3;
		else if (!exponent && !mantissa)
			tag = 1;
		else if (exponent && exponent != 0x7fff && mantissa >> 63)
			tag = 0;
		tags |= tag << n * 2;
	}
	return tags;
}

void gdb_register_get(const struct x86_state *s, unsigned n, uint8_t *bytes)
{
	const struct reg *r = find(n);
	uint32_t tags;

	memset(bytes, 0, r->bytes);
	switch (r->kind) {
	case ST: memcpy(bytes, s->fpu.st[r->at], 10); break;
	case TAG: tags = tag_word(&s->fpu); memcpy(bytes, &tags, 4); break;
	case XMM: memcpy(bytes, s->fpu.zmm[r->at], 16); break;
	case YMM_HIGH: memcpy(bytes, s->fpu.zmm[r->at] + 16, 16); break;
	default: memcpy(bytes, (const char *)s + r->at, r->own < r->bytes ? r->own : r->bytes); break;
	}
}

bool gdb_register_set(struct x86_state *s, unsigned n, const uint8_t *bytes)
{
	const struct reg *r = find(n);
	uint32_t tags;

	switch (r->kind) {
	case SELECTOR: return memcmp((char *)s + r->at, bytes, 2) == 0;
	case ST: memcpy(s->fpu.st[r->at], bytes, 10); break;
	case TAG:
		memcpy(&tags, bytes, 4);
		s->fpu.ftw = 0;
		for (unsigned t = 0; t < 8; t++)
			s->fpu.ftw |= (uint8_t)(((tags >> t * 2 & 3) != 3) << t);
		break;
	case XMM: memcpy(s->fpu.zmm[r->at], bytes, 16); break;
	case YMM_HIGH: memcpy(s->fpu.zmm[r->at] + 16, bytes, 16); break;
	default: memcpy((char *)s + r->at, bytes, r->own < r->bytes ? r->own : r->bytes); break;
	}
	return true;
}

static int feature_xml(struct buf *out, const struct feature *f)
{
	int ret = buf_printf(out, "<feature name=\"%s\">%s", f->name, f->types);

	for (unsigned n = 0; ret == 0 && n < f->count; n++) {
		const struct reg *r = &f->reg[n];
		bool x87 = !strcmp(r->type, "int"), high = r->kind == YMM_HIGH;

		ret = buf_printf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s/>", r->name,
			r->bytes * 8u, r->type,
				 x87 ? " group=\"float\"" : high ? " group=\"vector\"" : "");
	}
	return ret ? ret : buf_printf(out, "</feature>");
}

int gdb_target_xml(struct buf *out)
{
	int ret = buf_printf(out, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
				  "<architecture>i386:x86-64</architecture>");

	for (unsigned f = 0; ret == 0 && f < COUNT_OF(features); f++)
		ret = feature_xml(out, &features[f]);
	return ret ? ret : buf_printf(out, "</target>");
}
