/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal cpu: processor models: what there is, what is in one, what two have in common. */
#include "cli/command.h"
#include "cli/say.h"
#include "core/accel.h"
#include "cpu/fit.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* A model's features, this host's for "host"; with +FEATURE and -FEATURE. */
static int features_of(const char *spec, struct cpu_set *out, struct err *e)
{
	struct cpu_spec s;
	int ret = cpu_spec_parse(&s, spec, e);

	if (ret < 0)
		return ret;
	if (s.model)
		cpu_model_set(s.model, out);
	else
		cpu_set_of_host(out);
	for (unsigned n = 0; n < CPU_LEAVES; n++)
		out->word[n] = (out->word[n] | s.more.word[n]) & ~s.less.word[n];
	return 0;
}

static const char *vendor_name(const struct cpu_model *m)
{
	return !m->vendor ? "-" : m->vendor[0] == 'G' ? "Intel" : "AMD";
}

/* What the software CPU carries of this host's: a machine there is refused what it lacks. */
static void soft_set(struct cpu_set *out)
{
	struct x86_cpuid rows[128];
	int count = accel_soft.cpuid(NULL, rows, COUNT_OF(rows), NULL);

	cpu_set_of_rows(out, rows, count > 0 ? (unsigned)count : 0);
}

/* A cell with what a model lacks there. */
static bool fits_cell(struct table *t, const struct cpu_set *have, const struct cpu_set *wanted)
{
	struct cpu_set missing;
	char lacks[64];
	bool fits = cpu_set_missing(&missing, have, wanted);

	cpu_set_text(&missing, lacks, sizeof(lacks));
	table_cell(t, fits ? "%s" : _("%s: lacks %s"), fits ? _("yes") : _("no"), lacks);
	return fits;
}

static int list(char **specs, int count, bool json, struct err *e)
{
	static const char *const heads[] = {N_("MODEL"), N_("VENDOR"), N_("THIS HOST"), N_("SOFTWARE CPU")};
	struct cpu_set have, soft, wanted;
	const struct cpu_model *m;
	json_t *array = json_array();
	struct table t;

	cpu_set_of_host(&have);
	soft_set(&soft);
	table_begin(&t, COUNT_OF(heads), heads);
	for (unsigned n = 0; (m = cpu_model_at(n)) != NULL; n++) {
		bool host, carried;

		cpu_model_set(m, &wanted);
		table_cell(&t, "%s", m->name);
		table_cell(&t, "%s", vendor_name(m));
		host = fits_cell(&t, &have, &wanted);
		carried = fits_cell(&t, &soft, &wanted);
		json_array_append_new(array, json_pack("{s:s, s:s?, s:b, s:b}", "name", m->name, "vendor", m->vendor,
						       "host", host, "soft", carried));
	}
	if (json) {
		table_drop(&t);
		return say_json(array);
	}
	json_decref(array);
	table_print(&t);
	return 0;
}

static void add_name(void *opaque, const char *name) { json_array_append_new(opaque, json_string(name)); }

static int print_set(const struct cpu_set *s, bool json)
{
	char text[4096];
	json_t *array = json_array();

	if (json) {
		cpu_set_each(s, add_name, array);
		return say_json(array);
	}
	json_decref(array);
	cpu_set_text(s, text, sizeof(text));
	puts(text);
	return 0;
}

static int show(char **specs, int count, bool json, struct err *e)
{
	struct cpu_set s;
	int ret = features_of(specs[0], &s, e);

	return ret < 0 ? ret : print_set(&s, json);
}

/* Whether a guest of the first can go on with the second: 0, or 1 and what is missing. */
static int compare(char **specs, int count, bool json, struct err *e)
{
	struct cpu_set a, b, missing;
	char text[1024];
	int ret = features_of(specs[0], &a, e);

	if (ret == 0)
		ret = features_of(specs[1], &b, e);
	if (ret < 0)
		return ret;
	if (cpu_set_missing(&missing, &b, &a)) {
		if (json)
			return print_set(&missing, true);
		printf(_("%s has all of %s\n"), specs[1], specs[0]);
		return 0;
	}
	if (json)
		return print_set(&missing, true) + 1;
	cpu_set_text(&missing, text, sizeof(text));
	printf(_("%s lacks %s of %s\n"), specs[1], text, specs[0]);
	return 1;
}

/* What all of them have, as the newest level or model that is in it and what is left over. */
static int baseline(char **specs, int count, bool json, struct err *e)
{
	const struct cpu_model *best;
	struct cpu_set all, one, base, more;
	char text[2048];
	int ret = features_of(specs[0], &all, e);

	for (int n = 1; ret == 0 && n < count; n++) {
		ret = features_of(specs[n], &one, e);
		for (unsigned w = 0; w < CPU_LEAVES; w++)
			all.word[w] &= one.word[w];
	}
	if (ret < 0)
		return ret;
	best = cpu_model_best(&all, NULL);
	if (!best)
		return err_set(e, -ENOENT, _("they have not even the x86-64 level 1 in common"));
	cpu_model_set(best, &base);
	cpu_set_missing(&more, &base, &all);
	if (json)
		return print_set(&all, true);
	cpu_set_text(&more, text, sizeof(text));
	printf("%s", best->name);
	for (char *p = text, *word; (word = strsep(&p, " ")) != NULL;)
		if (*word)
			printf(",+%s", word);
	putchar('\n');
	return 0;
}

static const struct {
	const char *name;
	int least, most;
	int (*run)(char **specs, int count, bool json, struct err *e);
} actions[] = {{"list", 0, 0, list}, {"show", 1, 1, show}, {"compare", 2, 2, compare}, {"baseline", 1, 64, baseline}};

int cpu_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct err e = { 0 };
	bool json = false, asked = false;

	for (int o; (o = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
		json |= o == 'j';
		asked |= o == 'h';
		if (o == '?')
			return 2;
	}
	for (size_t n = 0; !asked && optind < argc && n < COUNT_OF(actions); n++) {
		int given = argc - optind - 1, ret;

		if (strcmp(actions[n].name, argv[optind]) || given < actions[n].least || given > actions[n].most)
			continue;
		ret = actions[n].run(argv + optind + 1, given, json, &e);
		return ret < 0 ? say_err("cpu", &e) : ret;
	}
	fputs(_("usage: panal cpu list | show MODEL | compare MODEL MODEL | baseline MODEL...  [--json]\n"
		"MODEL is a name of the list or host, with ,+FEATURE and ,-FEATURE.\n"), asked ? stdout : stderr);
	return asked ? 0 : 2;
}
