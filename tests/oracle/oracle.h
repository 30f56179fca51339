/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The silicon is the oracle: a random user-mode instruction with a random state runs on the host's processor and on
 * the soft CPU, and everything that software can see afterwards is compared.
 *
 * Both see the same linear addresses, all below 4 GiB so that 32-bit code reaches them:
 *
 *   CODE  2 pages  read, execute          HLT everywhere but for the case's bytes
 *   SMC   2 pages  read, write, execute   the same, for code that writes code
 *   DATA  2 pages  read, write            filled from the case's seed, then the plants
 *         1 page   read                   filled from a constant seed
 *   and nothing between, before and after them.
 *
 * A case ends with the first exception; falling through meets HLT, whose #GP is the normal end.
 */
#ifndef PANAL_TESTS_ORACLE_H
#define PANAL_TESTS_ORACLE_H

#include "arch/x86/regs.h"
#include "base/err.h"
#include <stdio.h>

enum {
	ORA_PAGE = 4096,
	ORA_CODE_SIZE = 2 * ORA_PAGE,
	ORA_DATA_SIZE = 2 * ORA_PAGE, /* the writable part */
	ORA_CODE_AT = 0x10000000,
	ORA_SMC_AT = 0x10008000,
	ORA_DATA_AT = 0x10010000,
	ORA_RO_AT = ORA_DATA_AT + ORA_DATA_SIZE,
	ORA_RO_SEED = 0x5eed,
	ORA_END_BYTE = 0xf4, /* HLT */
	ORA_CODE_MAX = 96, /* bytes of a case */
	ORA_PLANT_MAX = 20,
	ORA_INSN_MAX = 12, /* instructions of a sequence */
	ORA_BATCH = 32,
	ORA_FLAGS = X86_FLAG_ARITH | X86_FLAG_DF | X86_FLAG_AC | X86_FLAG_TF, /* what a case may start with */
	ORA_FLAGS_COMPARED = ORA_FLAGS | X86_FLAG_IF | X86_FLAG_IOPL | X86_FLAG_NT | X86_FLAG_ID,
};

/* The FXSAVE64 image and, beside it, the upper halves of the YMM registers. */
struct ora_fpu {
	uint8_t fx[512];
	uint8_t ymmh[16][16];
};

struct ora_state {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rip, rflags;
	uint64_t fs_base, gs_base;
	uint16_t sel[6]; /* X86_ES... */
	struct ora_fpu fpu;
};

/* A value stored into the writable data before the run. */
struct ora_plant {
	uint16_t off, width;
	uint64_t value;
};

struct ora_case {
	uint64_t seed; /* remakes the case */
	uint64_t data_seed;
	bool mode32, smc; /* mode32: not 64-bit */
	bool code16;
	uint8_t insn_count, plant_count;
	uint16_t code_off, code_len; /* within CODE or SMC; bytes past its end are dropped */
	uint8_t insn_off[ORA_INSN_MAX];
	uint8_t code[ORA_CODE_MAX];
	struct ora_plant plant[ORA_PLANT_MAX];
	struct ora_state in;
	uint32_t groups; /* bit per enum ora_group of the instructions */
	uint8_t group;   /* of the first */
	uint16_t mnemonic; /* ZydisMnemonic of it, 0 for undecodable bytes */
	uint16_t insn_mnemonic[ORA_INSN_MAX];
};

struct ora_result {
	bool valid, hung;
	bool disturbed; /* by interrupts, or by faults that were mended */
	uint8_t vector;
	uint32_t code; /* error code, 0 where the exception has none */
	uint64_t cr2;  /* for page faults, else 0 */
	struct ora_state out;
	uint8_t data[ORA_DATA_SIZE];
	uint8_t smc[ORA_CODE_SIZE];
};

static inline uint64_t ora_window(const struct ora_case *c)
{
	return c->smc ? ORA_SMC_AT : ORA_CODE_AT;
}

/* ---- ldt.c ---- */
enum {
	ORA_LDT_CODE16,
	ORA_LDT_CODE32,
	ORA_LDT_EXEC_ONLY,
	ORA_LDT_DATA16,
	ORA_LDT_DATA32,
	ORA_LDT_READ_ONLY,
	ORA_LDT_DOWN16,
	ORA_LDT_DOWN32,
	ORA_LDT_ODD,
	ORA_LDT_ABSENT,
	ORA_LDT_COUNT
};
struct ora_ldt {
	uint32_t base, limit;
	uint8_t contents; /* 0 data, 1 expand-down data, 2 code */
	bool wide, readonly, absent; /* readonly: of code, not readable */
};
extern const struct ora_ldt ora_ldt[ORA_LDT_COUNT];
#define ORA_LDT_SEL(n) ((uint16_t)((n) << 3 | 7))
uint16_t ora_ldt_attr(const struct ora_ldt *d); /* X86_AR_* */
uint64_t ora_ldt_raw(const struct ora_ldt *d);
const struct ora_ldt *ora_ldt_of(uint16_t sel); /* NULL: not one of it */
uint32_t ora_seg_base(uint16_t sel);            /* 0 for those not of it */

/* Bytes of the case's code that lie in the window. */
static inline unsigned ora_code_fits(const struct ora_case *c)
{
	unsigned room = ORA_CODE_SIZE - c->code_off;
	return room < c->code_len ? room : c->code_len;
}

/* ---- gen.c ---- */
enum ora_group {
	ORA_INT,
	ORA_LOCK,
	ORA_BRANCH,
	ORA_STACK,
	ORA_STRING,
	ORA_SYS,
	ORA_SEG,
	ORA_BMI,
	ORA_MMX,
	ORA_SSE,
	ORA_AVX,
	ORA_CRYPTO,
	ORA_X87,
	ORA_FPSTATE,
	ORA_INVALID,
	ORA_GROUP_COUNT
};
extern const char *const ora_group_name[ORA_GROUP_COUNT];

/* What kinds of cases are wanted. */
struct ora_wish {
	uint32_t groups; /* bit per enum ora_group */
	unsigned mode32_percent, segmented_percent, sequence_percent, smc_percent;
};

/* The case of that seed: the same seed and wish give the same case. */
void ora_generate(struct ora_case *c, uint64_t seed, const struct ora_wish *w);
/* As above with given instruction bytes; state and memory are random around them. */
void ora_generate_for(struct ora_case *c, uint64_t seed, const struct ora_wish *w, const uint8_t *code, unsigned len);
/* The contents that a data page range starts with. */
void ora_fill(uint64_t seed, uint8_t *at, unsigned len);
/* The writable data of a case: fill and plants. */
void ora_data(const struct ora_case *c, uint8_t *at);
uint64_t ora_mix(uint64_t a, uint64_t b);
/* Is one of its instructions this? */
bool ora_has(const struct ora_case *c, unsigned mnemonic);
void ora_print_code(const struct ora_case *c, FILE *f);

/* ---- smc.c ---- */
struct rng;
/* The code and registers of a case that overwrites itself; the rest of the case is there already. */
void ora_smc_code(struct ora_case *c, struct rng *r);

/* ---- native.c ---- */
struct ora_native;
/* -ENOTSUP where this host lacks what the runner needs (FSGSBASE in user mode, AVX2). */
int ora_native_create(struct ora_native **out, struct err *e) ATTR_MUST_USE;
void ora_native_destroy(struct ora_native *n);
/* Runs n <= ORA_BATCH cases; results stay valid until the next call. */
int ora_native_run(struct ora_native *nat, const struct ora_case *cases, unsigned n, const struct ora_result **results,
                   struct err *e) ATTR_MUST_USE;

/* ---- soft.c ---- */
struct ora_soft;
struct ora_soft_config {
	/* 0: through the step API, which starts with empty translations. Else through the run loop, so often in a row
	 * with all that is cached kept: exceptions go through the IDT into a handler that halts. */
	unsigned rounds;
	bool translate; /* with rounds as accel option translate=on, else every block at first sight */
	/* With rounds only; neither may show in the result. */
	unsigned interrupts; /* an interrupt after every so many blocks; 0: none */
	bool faults;         /* in each round a page of the data is absent until the first access */
};
int ora_soft_create(struct ora_soft **out, const struct ora_soft_config *config, struct err *e) ATTR_MUST_USE;
void ora_soft_destroy(struct ora_soft *s);
/* Instructions so far, and those of them that the translator's own code did: [0] in 64-bit cases, [1] in others. */
struct ora_soft_counts {
	uint64_t all[2], translated[2];
};
const struct ora_soft_counts *ora_soft_counts(const struct ora_soft *s);
void ora_soft_run(struct ora_soft *s, const struct ora_case *c, struct ora_result *r);

/* ---- compare.c ---- */
/* Returns the number of differences; with f, each is printed as "  field: silicon X, soft Y". */
unsigned ora_compare(const struct ora_case *c, const struct ora_result *native, const struct ora_result *soft, FILE *f);
void ora_print_state(const struct ora_state *s, FILE *f);

#endif
