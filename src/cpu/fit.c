/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu/fit.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { VENDOR_LENGTH = 12, BRAND_LEAF = 0x80000002, XSAVE_LEAF = 0xd };

/* ---- what is asked for ---- */

static int set_vendor(struct cpu_spec *s, const char *name, struct err *e)
{
	const char *vendor = !strcmp(name, "intel") ? "GenuineIntel" : !strcmp(name, "amd") ? "AuthenticAMD" : name;

	if (strlen(vendor) != VENDOR_LENGTH)
		return err_set(e, -EINVAL, "the vendor %s is not possible; intel, amd, or 12 characters are", name);
	strcpy(s->vendor, vendor);
	return 0;
}

static int set_model(struct cpu_spec *s, const char *name, struct err *e)
{
	if (!strcmp(name, "host") || !strcmp(name, "max"))
		return 0;
	s->model = cpu_model_find(name);
	return s->model ? 0 : err_set(e, -EINVAL, "there is no processor model %s; host, max, x86-64-v1 to v4 and "
				      "those of panal cpu list are", name);
}

static int change(struct cpu_spec *s, const char *word, struct err *e)
{
	struct cpu_set *to = word[0] == '+' ? &s->more : &s->less, *from = word[0] == '+' ? &s->less : &s->more;

	if (!cpu_set_change(to, word + 1, true))
		return err_set(e, -EINVAL, "there is no processor feature %s; panal cpu show MODEL names them",
			       word + 1);
	cpu_set_change(from, word + 1, false);
	return 0;
}

static int take_word(struct cpu_spec *s, const char *word, bool first, struct err *e)
{
	if (first)
		return set_model(s, word, e);
	if (word[0] == '+' || word[0] == '-')
		return change(s, word, e);
	if (!strncmp(word, "vendor=", 7))
		return set_vendor(s, word + 7, e);
	if (!strcmp(word, "enforce=on") || !strcmp(word, "enforce=off")) {
		s->lenient = word[9] == 'f';
		return 0;
	}
	return err_set(e, -EINVAL, "%s is not possible after a processor model; +FEATURE, -FEATURE, vendor= and "
		       "enforce= are", word);
}

int cpu_spec_parse(struct cpu_spec *s, const char *text, struct err *e)
{
	char word[64];
	int ret = 0;

	*s = (struct cpu_spec){ 0 };
	for (bool first = true; ret == 0; first = false) {
		size_t len = strcspn(text, ",");

		if (len >= sizeof(word))
			return err_set(e, -EINVAL, "%.64s... is no processor model or feature", text);
		memcpy(word, text, len);
		word[len] = 0;
		ret = take_word(s, word, first, e);
		if (!text[len])
			break;
		text += len + 1;
	}
	return ret;
}

/* ---- rows ---- */

struct fit {
	struct x86_cpuid *rows;
	unsigned count;
	struct cpu_set chosen;
};

static struct x86_cpuid *find(const struct fit *f, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < f->count; n++) {
		struct x86_cpuid *r = &f->rows[n];

		if (r->leaf == leaf && (!r->subleaf_matters || r->subleaf == subleaf))
			return r;
	}
	return NULL;
}

/* Features that are the machine's rather than the model's: any model has them. */
static void machine_features(struct cpu_set *s, const struct cpu_set *have)
{
	struct cpu_set own = { 0 };

	cpu_set_add(&own, "x2apic tsc-deadline hypervisor ht tsc_adjust xsave invtsc");
	for (unsigned n = 0; n < CPU_LEAVES; n++)
		s->word[n] |= own.word[n] & have->word[n];
}

static int choose(struct fit *f, const struct cpu_spec *s, struct err *e)
{
	struct cpu_set have, missing;
	char names[256];

	cpu_set_of_rows(&have, f->rows, f->count);
	f->chosen = have;
	if (s->model) {
		cpu_model_set(s->model, &f->chosen);
		machine_features(&f->chosen, &have);
	}
	for (unsigned n = 0; n < CPU_LEAVES; n++)
		f->chosen.word[n] = (f->chosen.word[n] | s->more.word[n]) & ~s->less.word[n];
	if (cpu_set_missing(&missing, &have, &f->chosen))
		return 0;
	if (!s->lenient) {
		cpu_set_text(&missing, names, sizeof(names));
		return err_set(e, -ENOTSUP, "the processor %s is not possible here, the accelerator on this host "
			       "lacks %s; take another model, leave features out (,-FEATURE), or add enforce=off to go "
			       "without", s->model ? s->model->name : "asked for", names);
	}
	for (unsigned n = 0; n < CPU_LEAVES; n++)
		f->chosen.word[n] &= have.word[n];
	return 0;
}

/* AMD repeats some of leaf 1's EDX in 80000001H (APM 3, E.4.2). */
enum { AMD_COPIES = 0x0183f3ff };

static void mask_features(struct fit *f, bool all)
{
	uint32_t leaf1 = 0;

	for (unsigned n = 0; n < CPU_LEAVES; n++) {
		const struct cpu_leaf *l = &cpu_leaves[n];
		struct x86_cpuid *r = find(f, l->leaf, l->subleaf);
		uint32_t named = 0, *reg, keep;

		if (!r)
			continue;
		for (unsigned bit = 0; bit < 32; bit++)
			named |= (uint32_t)(l->name[bit] != NULL) << bit;
		reg = cpu_row_reg(r, l->reg);
		keep = all ? *reg & ~named : 0; /* bits without a name are nobody's feature: a named model has none */
		if (l->leaf == 0x80000001 && l->reg == CPU_EDX)
			keep |= *reg & AMD_COPIES & ~named & leaf1;
		*reg = f->chosen.word[n] | keep;
		if (l->leaf == 1 && l->reg == CPU_EDX)
			leaf1 = *reg;
	}
}

/* XSAVE's components go with the features that need them (SDM 1, 13.1): the row's bit and what keeps it. */
static void mask_xsave(struct fit *f)
{
	static const struct {
		uint32_t component;
		const char *feature;
	} parts[] = {
		{ 1u << 2, "avx" }, { 7u << 5, "avx512f" }, { 1u << 9, "pku" }, { 3u << 17, "amx-tile" },
	};
	struct x86_cpuid *r = find(f, XSAVE_LEAF, 0);
	uint32_t size = 512 + 64;

	if (!r)
		return;
	for (size_t n = 0; n < COUNT_OF(parts); n++)
		if (!cpu_set_has(&f->chosen, parts[n].feature))
			r->eax &= ~parts[n].component;
	for (unsigned n = 2; n < 32; n++) {
		const struct x86_cpuid *part = find(f, XSAVE_LEAF, n);

		if (part && r->eax >> n & 1 && part->ebx + part->eax > size)
			size = part->ebx + part->eax;
	}
	r->ecx = size;
}

/* ---- identity ---- */

static void put_vendor(struct fit *f, const char *vendor)
{
	static const uint32_t leaves[] = { 0, 0x80000000 };

	for (size_t n = 0; n < COUNT_OF(leaves); n++) {
		struct x86_cpuid *r = find(f, leaves[n], 0);

		if (!r)
			continue;
		r->ebx = load_le32(vendor);
		r->edx = load_le32(vendor + 4);
		r->ecx = load_le32(vendor + 8);
	}
}

/* SDM 2A, figure 3-6: families above 15 and models above 15 have more bits further up. */
static uint32_t signature(const struct cpu_model *m)
{
	unsigned family = m->family > 15 ? 15 : m->family;

	return m->stepping | (m->model & 15) << 4 | family << 8 | (m->model >> 4) << 16 | (m->family - family) << 20;
}

static void put_model(struct fit *f, const struct cpu_model *m)
{
	struct x86_cpuid *r = find(f, 1, 0);
	char brand[48] = "";

	if (r)
		r->eax = signature(m);
	memcpy(brand, m->brand, strlen(m->brand));
	for (uint32_t n = 0; n < 3; n++) {
		r = find(f, BRAND_LEAF + n, 0);
		if (r)
			*r = (struct x86_cpuid){ r->leaf, r->subleaf, r->subleaf_matters, load_le32(brand + 16 * n),
				load_le32(brand + 16 * n + 4), load_le32(brand + 16 * n + 8),
				load_le32(brand + 16 * n + 12) };
	}
}

int cpu_fit(struct x86_cpuid *rows, unsigned count, const struct cpu_spec *s, struct err *e)
{
	struct fit f = { .rows = rows, .count = count };
	int ret = choose(&f, s, e);

	if (ret < 0)
		return ret;
	mask_features(&f, !s->model);
	mask_xsave(&f);
	if (s->model && s->model->vendor) {
		put_vendor(&f, s->model->vendor);
		put_model(&f, s->model);
	}
	if (s->vendor[0])
		put_vendor(&f, s->vendor);
	return 0;
}
