/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal-oracle: compares the soft CPU with the host's processor, instruction by random instruction.
 *
 * Ends with 0 when all agree, 1 when something differs, 77 (skipped) where this host cannot be the oracle.
 */
#include "known.h"
#include "oracle.h"
#include <Zydis/Zydis.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
	uint64_t seed, count;
	double seconds;
	struct ora_wish wish;
	bool verbose, self, no_known;
	struct ora_soft_config soft;
	unsigned rounds;
	unsigned show; /* differing cases printed in full per instruction */
	uint64_t replay[64];
	unsigned replay_count;
	uint8_t code[ORA_CODE_MAX];
	unsigned code_len;
};

struct tally {
	uint64_t cases, hung, differ, known;
	uint64_t by_group[ORA_GROUP_COUNT], by_vector[32];
	uint32_t differ_by_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	unsigned shown;
};

struct run {
	struct options opt;
	struct ora_native *native;
	struct ora_soft *soft;
	struct tally t;
};

enum { EXIT_SKIPPED = 77, SHOWN_MAX = 60 };

static void usage(void)
{
	puts("panal-oracle: random user-mode instructions, on this processor and on the soft CPU\n"
	     "  --seed N       where to start (default 1)\n"
	     "  --count N      cases (default 100000; 0: until the time is up)\n"
	     "  --seconds S    at most so long\n"
	     "  --only GROUPS  comma-separated: int lock branch stack string sys seg bmi mmx sse avx crypto x87 "
	     "fpstate invalid\n"
	     "  --mode32 P, --segmented P, --sequences P, --smc P\n"
	     "                 percent of cases in 32-bit code, in 16- or 32-bit code with segments, of several "
	     "instructions, in writable code\n"
	     "  --rounds N     through the run loop, N times in a row, instead of the step API\n"
	     "  --code HEX     these instruction bytes with random state\n"
	     "  --replay SEED  one case by its seed (may be repeated; with the other options as in the run that found "
	     "it)\n"
	     "  --self         the processor against itself: tests this program\n"
	     "  --translate    the soft CPU translates: with --rounds as in a machine, else every block at first sight\n"
	     "  --interrupts N with --rounds: interrupts, 1 to N blocks apart as the seed says, which must not show\n"
	     "  --faults       with --rounds: a page of the data is absent at its first access, which must not show\n"
	     "  --show N       cases printed in full per instruction (default 1)\n"
	     "  --no-known     known differences fail too\n"
	     "  --verbose      every case and its outcome");
}

static uint32_t parse_groups(const char *text)
{
	uint32_t groups = 0;
	while (*text) {
		size_t len = strcspn(text, ",");
		for (unsigned n = 0; n < ORA_GROUP_COUNT; n++)
			if (strlen(ora_group_name[n]) == len && !strncmp(text, ora_group_name[n], len))
				groups |= 1u << n;
		text += len + (text[len] == ',');
	}
	return groups;
}

static unsigned parse_hex(const char *text, uint8_t *to, unsigned max)
{
	unsigned n = 0, byte;
	while (n < max && sscanf(text, "%2x", &byte) == 1 && text[1]) {
		to[n++] = byte;
		text += 2;
	}
	return n;
}

static bool parse_options(struct options *o, int argc, char **argv)
{
	static const struct option list[] = {
		{"seed", 1, NULL, 's'},   {"count", 1, NULL, 'c'},   {"seconds", 1, NULL, 't'},
		{"only", 1, NULL, 'o'},   {"mode32", 1, NULL, '3'},  {"sequences", 1, NULL, 'q'},
		{"smc", 1, NULL, 'm'},    {"code", 1, NULL, 'x'},    {"segmented", 1, NULL, 'g'},
		{"rounds", 1, NULL, 'R'}, {"replay", 1, NULL, 'r'},  {"self", 0, NULL, 'S'},
		{"translate", 0, NULL, 'T'}, {"interrupts", 1, NULL, 'i'}, {"faults", 0, NULL, 'f'},
		{"show", 1, NULL, 'w'},   {"verbose", 0, NULL, 'v'}, {"no-known", 0, NULL, 'k'},
		{"help", 0, NULL, 'h'},   {NULL, 0, NULL, 0},
	};
	int k;
	*o = (struct options){ .seed = 1, .count = 100000, .show = 1, .wish = { .groups = (1u << ORA_GROUP_COUNT) - 1 } };
	while ((k = getopt_long(argc, argv, "", list, NULL)) != -1) {
		switch (k) {
		case 's': o->seed = strtoull(optarg, NULL, 0); break;
		case 'c': o->count = strtoull(optarg, NULL, 0); break;
		case 't': o->seconds = atof(optarg); break;
		case 'o': o->wish.groups = parse_groups(optarg); break;
		case '3': o->wish.mode32_percent = (unsigned)atoi(optarg); break;
		case 'R': o->soft.rounds = (unsigned)atoi(optarg); break;
		case 'g': o->wish.segmented_percent = (unsigned)atoi(optarg); break;
		case 'q': o->wish.sequence_percent = (unsigned)atoi(optarg); break;
		case 'm': o->wish.smc_percent = (unsigned)atoi(optarg); break;
		case 'x': o->code_len = parse_hex(optarg, o->code, sizeof(o->code)); break;
		case 'r':
			if (o->replay_count < COUNT_OF(o->replay))
				o->replay[o->replay_count++] = strtoull(optarg, NULL, 16);
			break;
		case 'S': o->self = true; break;
		case 'T': o->soft.translate = true; break;
		case 'i': o->soft.interrupts = (unsigned)atoi(optarg); break;
		case 'f': o->soft.faults = true; break;
		case 'w': o->show = (unsigned)atoi(optarg); break;
		case 'v': o->verbose = true; break;
		case 'k': o->no_known = true; break;
		default: usage(); return false;
		}
	}
	return o->wish.groups != 0;
}

static void print_outcome(const char *who, const struct ora_result *r)
{
	if (!r->valid) {
		printf("  %s: %s\n", who, r->hung ? "did not end" : "no result");
		return;
	}
	printf("  %s: exception %u code %x cr2 %llx at %llx\n", who, r->vector, r->code, (unsigned long long)r->cr2,
	       (unsigned long long)r->out.rip);
}

static void print_case(const struct ora_case *c, const struct ora_result *a, const struct ora_result *b)
{
	printf("case %016llx (%s, %s%s)\n", (unsigned long long)c->seed, ora_group_name[c->group],
	       c->code16 ? "16-bit" : c->mode32 ? "32-bit" : "64-bit", c->smc ? ", writable code" : "");
	ora_print_code(c, stdout);
	ora_print_state(&c->in, stdout);
	for (unsigned n = 0; n < c->plant_count; n++)
		printf("  at %x: %0*llx\n", ORA_DATA_AT + c->plant[n].off, 2 * c->plant[n].width,
		       (unsigned long long)c->plant[n].value);
	print_outcome("silicon", a);
	print_outcome("soft", b);
}

static void judge(struct run *run, const struct ora_case *c, const struct ora_result *native,
		  const struct ora_result *soft)
{
	struct tally *t = &run->t;
	t->cases++;
	t->by_group[c->group]++;
	if (native->hung) {
		t->hung++;
		if (run->opt.verbose)
			print_case(c, native, soft);
		return;
	}
	t->by_vector[native->vector & 31]++;
	unsigned differ = ora_compare(c, native, soft, NULL);
	bool known = differ && !run->opt.no_known && known_difference(c, native, soft);
	bool print = run->opt.verbose;
	if (known) {
		t->known++;
	} else if (differ) {
		t->differ++;
		print |= t->differ_by_mnemonic[c->mnemonic]++ < run->opt.show && t->shown++ < SHOWN_MAX;
	}
	if (!print)
		return;
	print_case(c, native, soft);
	if (differ)
		ora_compare(c, native, soft, stdout);
	fflush(stdout);
}

static int run_batch(struct run *run, struct ora_case *cases, unsigned n, struct err *e)
{
	const struct ora_result *native;
	struct ora_result soft;
	int rc = ora_native_run(run->native, cases, n, &native, e);
	if (rc)
		return rc;
	if (run->opt.self) {
		struct ora_result *first = malloc(n * sizeof(*first));
		if (!first)
			return err_errno(e, ENOMEM, "results");
		memcpy(first, native, n * sizeof(*first));
		rc = ora_native_run(run->native, cases, n, &native, e);
		for (unsigned k = 0; !rc && k < n; k++)
			judge(run, &cases[k], &first[k], &native[k]);
		free(first);
		return rc;
	}
	for (unsigned k = 0; k < n; k++) {
		soft = (struct ora_result){ 0 };
		if (native[k].valid)
			ora_soft_run(run->soft, &cases[k], &soft);
		judge(run, &cases[k], &native[k], &soft);
	}
	return 0;
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int run_all(struct run *run, struct err *e)
{
	const struct options *o = &run->opt;
	struct ora_case *cases = calloc(ORA_BATCH, sizeof(*cases));
	uint64_t total = o->replay_count ? o->replay_count : o->count ? o->count : UINT64_MAX, done = 0;
	double end = o->seconds > 0 ? now() + o->seconds : 0;
	int rc = cases ? 0 : err_errno(e, ENOMEM, "cases");
	while (!rc && done < total && (end == 0 || now() < end)) {
		unsigned n = total - done < ORA_BATCH ? (unsigned)(total - done) : ORA_BATCH, made = 0;
		for (unsigned k = 0; k < n; k++) {
			uint64_t seed = o->replay_count ? o->replay[done + k] : ora_mix(o->seed, done + k);
			if (o->code_len)
				ora_generate_for(&cases[made], seed, &o->wish, o->code, o->code_len);
			else
				ora_generate(&cases[made], seed, &o->wish);
			made += cases[made].insn_count > 0;
		}
		if (made)
			rc = run_batch(run, cases, made, e);
		done += n;
	}
	free(cases);
	return rc;
}

static int by_count(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return x[1] < y[1] ? 1 : x[1] > y[1] ? -1 : 0;
}

static void print_tally(const struct tally *t)
{
	uint32_t rows[ZYDIS_MNEMONIC_MAX_VALUE + 1][2];
	unsigned n = 0;
	printf("%llu cases: %llu differ, %llu differ as known, %llu without end\n", (unsigned long long)t->cases,
	       (unsigned long long)t->differ, (unsigned long long)t->known, (unsigned long long)t->hung);
	for (unsigned k = 0; k < ORA_GROUP_COUNT; k++)
		if (t->by_group[k])
			printf("  %s %llu", ora_group_name[k], (unsigned long long)t->by_group[k]);
	printf("\n  ends by exception:");
	for (unsigned k = 0; k < 32; k++)
		if (t->by_vector[k])
			printf(" %u:%llu", k, (unsigned long long)t->by_vector[k]);
	putchar('\n');
	for (unsigned k = 0; k <= ZYDIS_MNEMONIC_MAX_VALUE; k++)
		if (t->differ_by_mnemonic[k]) {
			rows[n][0] = k;
			rows[n++][1] = t->differ_by_mnemonic[k];
		}
	qsort(rows, n, sizeof(rows[0]), by_count);
	for (unsigned k = 0; k < n; k++)
		printf("  %6u  %s\n", rows[k][1], rows[k][0] ? ZydisMnemonicGetString(rows[k][0]) : "(not decodable)");
}

static void print_counts(const struct ora_soft_counts *n)
{
	for (unsigned k = 0; k < 2; k++)
		if (n->all[k])
			printf("  %s: %llu instructions, %llu translated\n", k ? "16- and 32-bit code" : "64-bit code",
			       (unsigned long long)n->all[k], (unsigned long long)n->translated[k]);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct run *run = calloc(1, sizeof(*run));
	if (!run || !parse_options(&run->opt, argc, argv))
		return 2;
	int rc = ora_native_create(&run->native, &e);
	if (!rc && !run->opt.self)
		rc = ora_soft_create(&run->soft, &run->opt.soft, &e);
	if (!rc)
		rc = run_all(run, &e);
	if (rc)
		fprintf(stderr, "panal-oracle: %s\n", e.text);
	print_tally(&run->t);
	if (run->soft && run->opt.soft.translate)
		print_counts(ora_soft_counts(run->soft));
	int status = rc == -ENOTSUP ? EXIT_SKIPPED : rc || run->t.differ ? 1 : 0;
	ora_soft_destroy(run->soft);
	ora_native_destroy(run->native);
	free(run);
	return status;
}
