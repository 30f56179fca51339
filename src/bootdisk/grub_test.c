/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command test, also called [: strings, numbers, files, joined by -a and -o, which bind in this order. */
#include "bootdisk/grub_priv.h"

#include <stdlib.h>
#include <string.h>

struct test {
	struct grub *g;
	char *const *argv;
	unsigned argc, at;
};

static bool is_file(struct grub *g, const char *text, bool dir)
{
	const char *inside;
	struct volume *v = volumes_resolve(g->all, script_get(g->script, "root"), text, &inside);

	return v && (dir ? gfs_is_dir(v->fs, inside) : gfs_is_file(v->fs, inside));
}

/* A file with something in it. */
static bool has_content(struct grub *g, const char *text)
{
	const char *inside;
	struct volume *v = volumes_resolve(g->all, script_get(g->script, "root"), text, &inside);
	uint8_t *data;
	size_t len;

	if (!v || gfs_load(v->fs, inside, SCRIPT_TEXT_MAX, &data, &len) < 0)
		return false;
	free(data);
	return len > 0;
}

static bool unary(struct grub *g, char what, const char *value)
{
	switch (what) {
	case 'n': return *value != 0;
	case 'z': return *value == 0;
	case 'd': return is_file(g, value, true);
	case 'e': return is_file(g, value, false) || is_file(g, value, true);
	case 'f': return is_file(g, value, false);
	default: return has_content(g, value);
	}
}

static bool compare(const char *a, const char *op, const char *b, bool *known)
{
	long x = strtol(a, NULL, 0), y = strtol(b, NULL, 0);
	const struct {
		const char *op;
		bool result;
	} all[] = {
		{"=", !strcmp(a, b)},    {"==", !strcmp(a, b)}, {"!=", strcmp(a, b) != 0}, {"<", strcmp(a, b) < 0},
		{">", strcmp(a, b) > 0}, {"-eq", x == y},       {"-ne", x != y},           {"-lt", x < y},
		{"-le", x <= y},         {"-gt", x > y},        {"-ge", x >= y},
	};

	for (size_t n = 0; n < COUNT_OF(all); n++)
		if (!strcmp(op, all[n].op)) {
			*known = true;
			return all[n].result;
		}
	*known = false;
	return false;
}

static bool primary(struct test *t)
{
	unsigned left = t->argc - t->at;
	const char *a = left ? t->argv[t->at] : "";
	bool known, result;

	if (left >= 3) {
		result = compare(a, t->argv[t->at + 1], t->argv[t->at + 2], &known);
		if (known) {
			t->at += 3;
			return result;
		}
	}
	if (left >= 2 && !strcmp(a, "!")) {
		t->at++;
		return !primary(t);
	}
	if (left >= 2 && a[0] == '-' && a[1] && !a[2] && strchr("nzdefs", a[1])) {
		t->at += 2;
		return unary(t->g, a[1], t->argv[t->at - 1]);
	}
	t->at += left != 0;
	return *a != 0;
}

static bool all_of(struct test *t)
{
	bool result = primary(t);

	while (t->at < t->argc && !strcmp(t->argv[t->at], "-a")) {
		t->at++;
		result = primary(t) && result;
	}
	return result;
}

int grub_test(struct grub *g, unsigned argc, char *const argv[])
{
	struct test t = {.g = g, .argv = argv, .argc = argc};
	bool result = all_of(&t);

	while (t.at < argc && !strcmp(argv[t.at], "-o")) {
		t.at++;
		result = all_of(&t) || result;
	}
	return !result;
}
