/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must agree between the two runs of a case. */
#include "oracle.h"
#include "base/bytes.h"
#include <stdarg.h>

static const char *const gpr_name[X86_GPR_COUNT] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	                                             "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };

static const char *const seg_name[6] = { "es", "cs", "ss", "ds", "fs", "gs" };

struct diff {
	FILE *f;
	unsigned count;
};

static void diff_u64(struct diff *d, const char *name, uint64_t in, uint64_t native, uint64_t soft)
{
	if (native == soft)
		return;
	d->count++;
	if (d->f)
		fprintf(d->f, "  %s: was %llx, silicon %llx, soft %llx\n", name, (unsigned long long)in, (unsigned long long)native,
		        (unsigned long long)soft);
}

static void print_bytes(FILE *f, const uint8_t *p, unsigned len)
{
	for (unsigned n = len; n--;)
		fprintf(f, "%02x", p[n]);
}

static void diff_bytes(struct diff *d, const char *name, unsigned index, const uint8_t *in, const uint8_t *native,
                       const uint8_t *soft, unsigned len)
{
	if (!memcmp(native, soft, len))
		return;
	d->count++;
	if (!d->f)
		return;
	fprintf(d->f, "  %s%u: was ", name, index);
	print_bytes(d->f, in, len);
	fprintf(d->f, ", silicon ");
	print_bytes(d->f, native, len);
	fprintf(d->f, ", soft ");
	print_bytes(d->f, soft, len);
	fputc('\n', d->f);
}

/* The kernel hides what lies behind kernel addresses: it always says "protection". */
static uint32_t fault_code(const struct ora_result *r)
{
	return r->vector == X86_PF && r->cr2 >= 0x7ffffffff000 ? r->code | X86_PF_P : r->code;
}

/* The kernel's way back to the handler makes every null selector a zero. */
static uint16_t selector(const struct ora_result *r, unsigned n)
{
	return r->out.sel[n] & 0xfffc ? r->out.sel[n] : 0;
}

static void diff_fpu(struct diff *d, const struct ora_fpu *in, const struct ora_fpu *native, const struct ora_fpu *soft)
{
	static const struct { const char *name; uint8_t off, len; } field[] = {
		{ "fcw", 0, 2 }, { "fsw", 2, 2 }, { "ftw", 4, 1 }, { "fop", 6, 2 }, { "fip", 8, 8 }, { "fdp", 16, 8 },
		{ "mxcsr", 24, 4 },
	};
	for (unsigned n = 0; n < COUNT_OF(field); n++) {
		unsigned off = field[n].off, bits = field[n].len * 8;
		uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
		diff_u64(d, field[n].name, load_le64(in->fx + off) & mask, load_le64(native->fx + off) & mask,
		         load_le64(soft->fx + off) & mask);
	}
	for (unsigned n = 0; n < 8; n++)
		diff_bytes(d, "st", n, in->fx + 32 + 16 * n, native->fx + 32 + 16 * n, soft->fx + 32 + 16 * n, 10);
	for (unsigned n = 0; n < 16; n++) {
		diff_bytes(d, "xmm", n, in->fx + 160 + 16 * n, native->fx + 160 + 16 * n, soft->fx + 160 + 16 * n, 16);
		diff_bytes(d, "upper half of ymm", n, in->ymmh[n], native->ymmh[n], soft->ymmh[n], 16);
	}
}

static void diff_memory(struct diff *d, const char *name, uint64_t at, const uint8_t *native, const uint8_t *soft,
			unsigned len)
{
	unsigned shown = 0;
	for (unsigned n = 0; n < len; n++) {
		if (native[n] == soft[n])
			continue;
		d->count++;
		if (d->f && shown++ < 16)
			fprintf(d->f, "  %s %llx: silicon %02x, soft %02x\n", name, (unsigned long long)(at + n), native[n], soft[n]);
	}
}

unsigned ora_compare(const struct ora_case *c, const struct ora_result *native, const struct ora_result *soft, FILE *f)
{
	struct diff d = { .f = f };
	/* Outside 64-bit code the upper halves belong to nobody. */
	uint64_t gpr_mask = c->mode32 || native->out.sel[X86_CS] != 0x33 ? UINT32_MAX : UINT64_MAX;
	if (!native->valid || !soft->valid) {
		d.count += native->valid != soft->valid;
		if (f && d.count)
			fprintf(f, "  ended: silicon %s, soft %s\n", native->valid ? "yes" : "no", soft->valid ? "yes" : "no");
		return d.count;
	}
	diff_u64(&d, "vector", 0, native->vector, soft->vector);
	diff_u64(&d, "error code", 0, fault_code(native), fault_code(soft));
	diff_u64(&d, "cr2", 0, native->cr2, soft->cr2);
	diff_u64(&d, "rip", c->in.rip, native->out.rip, soft->out.rip);
	diff_u64(&d, "flags", c->in.rflags & ORA_FLAGS_COMPARED, native->out.rflags & ORA_FLAGS_COMPARED,
	         soft->out.rflags & ORA_FLAGS_COMPARED);
	for (unsigned n = 0; n < (c->mode32 ? 8 : X86_GPR_COUNT); n++)
		diff_u64(&d, gpr_name[n], c->in.gpr[n], native->out.gpr[n] & gpr_mask, soft->out.gpr[n] & gpr_mask);
	diff_u64(&d, "fs base", c->in.fs_base, native->out.fs_base, soft->out.fs_base);
	diff_u64(&d, "gs base", c->in.gs_base, native->out.gs_base, soft->out.gs_base);
	for (unsigned n = 0; n < 6; n++)
		diff_u64(&d, seg_name[n], c->in.sel[n], selector(native, n), selector(soft, n));
	diff_fpu(&d, &c->in.fpu, &native->out.fpu, &soft->out.fpu);
	diff_memory(&d, "memory", ORA_DATA_AT, native->data, soft->data, ORA_DATA_SIZE);
	diff_memory(&d, "code", ORA_SMC_AT, native->smc, soft->smc, ORA_CODE_SIZE);
	return d.count;
}

void ora_print_state(const struct ora_state *s, FILE *f)
{
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		fprintf(f, "  %s=%016llx%s", gpr_name[n], (unsigned long long)s->gpr[n], n % 4 == 3 ? "\n" : "");
	fprintf(f, "  rip=%llx flags=%llx fs=%llx gs=%llx fcw=%04x fsw=%04x ftw=%02x mxcsr=%08x\n", (unsigned long long)s->rip,
	        (unsigned long long)s->rflags, (unsigned long long)s->fs_base, (unsigned long long)s->gs_base,
	        load_le16(s->fpu.fx), load_le16(s->fpu.fx + 2), s->fpu.fx[4], load_le32(s->fpu.fx + 24));
}
