/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GRUB's commands, as far as they decide what is booted. The others succeed and do nothing: modules, terminals,
 * colours, waiting, saving. */
#include "bootdisk/bls.h"
#include "bootdisk/grub_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENV_MAX = 64 << 10, OK = 0, NO = 1 };

static struct volume *resolve(struct grub *g, const char *text, const char **inside)
{
	return volumes_resolve(g->all, script_get(g->script, "root"), text, inside);
}

static int set_variable(struct grub *g, const char *name, const char *value)
{
	return script_set(g->script, name, value) < 0 ? NO : OK;
}

static int do_set(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	char *eq = argc > 1 ? strchr(argv[1], '=') : NULL;
	char name[64];

	if (!eq)
		return argc > 1 ? NO : OK;
	snprintf(name, sizeof(name), "%.*s", (int)(eq - argv[1]), argv[1]);
	return set_variable(g, name, eq + 1);
}

static int do_unset(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	return argc > 1 ? set_variable(g, argv[1], "") : OK;
}

static int do_export(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	int status = OK;

	for (unsigned n = 1; n < argc; n++)
		if (script_export(g->script, argv[n]) < 0)
			status = NO;
	return status;
}

static int do_test(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	bool bracket = !strcmp(argv[0], "[") && !strcmp(argv[argc - 1], "]");

	return argc - 1 < bracket ? NO : grub_test(g, argc - 1 - bracket, argv + 1);
}

static int do_false(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	return NO;
}

/* ---- search ---- */

struct search {
	char how; /* u: UUID, l: label, f: file */
	const char *variable, *name;
};

static void search_option(struct search *s, const char *o, const char *value, unsigned *n)
{
	if (!strcmp(o, "--fs-uuid") || !strcmp(o, "-u"))
		s->how = 'u';
	else if (!strcmp(o, "--label") || !strcmp(o, "--fs-label") || !strcmp(o, "-l"))
		s->how = 'l';
	else if (!strcmp(o, "--file") || !strcmp(o, "-f"))
		s->how = 'f';
	else if (!strncmp(o, "--set=", 6))
		s->variable = o + 6;
	else if (!strcmp(o, "--set") || !strcmp(o, "-s"))
		s->variable = "root";
	else if ((!strcmp(o, "--hint")) && value)
		++*n;
}

static int do_search(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	struct search s = {.how = 'f'};
	struct volume *v;

	if (!strcmp(argv[0], "search.fs_uuid") || !strcmp(argv[0], "search.fs_label") ||
	    !strcmp(argv[0], "search.file")) {
		s.how = argv[0][7] == 'f' && argv[0][8] == 'i' ? 'f' : argv[0][10] == 'u' ? 'u' : 'l';
		s.name = argc > 1 ? argv[1] : NULL;
		s.variable = argc > 2 ? argv[2] : "root";
	}
	for (unsigned n = 1; !s.name && n < argc; n++) {
		if (argv[n][0] == '-')
			search_option(&s, argv[n], n + 1 < argc ? argv[n + 1] : NULL, &n);
		else
			s.name = argv[n];
	}
	if (!s.name)
		return NO;
	v = s.how == 'u'   ? volumes_with_uuid(g->all, s.name)
	    : s.how == 'l' ? volumes_with_label(g->all, s.name)
			   : volumes_with_file(g->all, s.name);
	if (!v)
		return NO;
	return s.variable ? set_variable(g, s.variable, v->name) : OK;
}

/* ---- the environment block: lines of name=value ---- */

static bool wanted(const char *name, unsigned argc, char *const argv[])
{
	for (unsigned n = 0; n < argc; n++)
		if (!strcmp(argv[n], name))
			return true;
	return argc == 0;
}

static int do_load_env(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	char path[MENU_PATH_MAX];
	const char *inside, *named = NULL;
	struct volume *v;
	unsigned first = 1;
	uint8_t *data;
	size_t len;

	for (; first < argc && argv[first][0] == '-'; first++) {
		if (!strncmp(argv[first], "--file=", 7))
			named = argv[first] + 7;
		else if ((!strcmp(argv[first], "-f") || !strcmp(argv[first], "--file")) && first + 1 < argc)
			named = argv[++first];
	}
	snprintf(path, sizeof(path), "%s", named ? named : "");
	if (!named)
		snprintf(path, sizeof(path), "%s/grubenv", script_get(g->script, "prefix"));
	v = resolve(g, path, &inside);
	if (!v || gfs_load(v->fs, inside, ENV_MAX, &data, &len) < 0)
		return NO;
	for (char *line = (char *)data, *end; *line; line = end) {
		char *eq = strchr(line, '=');

		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = 0;
		if (*line == '#' || !eq || eq >= end)
			continue;
		*eq = 0;
		if (wanted(line, argc - first, argv + first))
			(void)set_variable(g, line, eq + 1);
	}
	free(data);
	return OK;
}

/* ---- menus ---- */

static int do_entry(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	struct menu_entry *m;

	if (argc < 2 || !g->menu)
		return NO;
	m = menu_add(g->menu);
	if (!m)
		return NO;
	snprintf(m->title, sizeof(m->title), "%s", argv[1]);
	m->block = block;
	m->submenu = !strcmp(argv[0], "submenu");
	for (unsigned n = 2; n < argc; n++) {
		if (!strncmp(argv[n], "--id=", 5))
			snprintf(m->id, sizeof(m->id), "%s", argv[n] + 5);
		else if (!strcmp(argv[n], "--id") && n + 1 < argc)
			snprintf(m->id, sizeof(m->id), "%s", argv[n + 1]);
	}
	return OK;
}

static int do_blscfg(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	/* entries name the kernel from the root of the file system that they lie on */
	static const char *const place[] = {"/loader/entries", "/boot/loader/entries"};
	struct volume *v = volumes_named(g->all, script_get(g->script, "root"));

	for (size_t n = 0; g->menu && v && n < COUNT_OF(place); n++)
		if (gfs_is_dir(v->fs, place[n]))
			return bls_add(g->menu, v, place[n], g->script, NULL) < 0 ? NO : OK;
	return NO;
}

static int do_config(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	return argc > 1 ? grub_load_config(g, argv[1]) : NO;
}

/* ---- kernels ---- */

static bool take_file(struct grub *g, struct menu_file *f, const char *text)
{
	const char *inside;
	struct volume *v = resolve(g, text, &inside);

	if (!v || !gfs_is_file(v->fs, inside)) {
		snprintf(g->missing, sizeof(g->missing), "%s", text);
		return false;
	}
	f->volume = v;
	snprintf(f->path, sizeof(f->path), "%s", inside);
	return true;
}

/* An argument with blanks goes into quotes, as the kernel's parser wants them. */
static void add_argument(struct menu_target *t, const char *arg)
{
	bool quote = strpbrk(arg, " \t") != NULL;
	size_t len = strlen(t->cmdline);

	snprintf(t->cmdline + len, sizeof(t->cmdline) - len, "%s%s%s%s", len ? " " : "", quote ? "\"" : "", arg,
		 quote ? "\"" : "");
}

static int do_linux(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	struct menu_target *t = g->target;

	if (!t || argc < 2)
		return NO;
	t->initrd_count = 0;
	/* GRUB tells the kernel its own name first */
	snprintf(t->cmdline, sizeof(t->cmdline), "BOOT_IMAGE=%s", argv[1]);
	for (unsigned n = 2; n < argc; n++)
		add_argument(t, argv[n]);
	return take_file(g, &t->kernel, argv[1]) ? OK : NO;
}

static int do_initrd(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block)
{
	struct menu_target *t = g->target;

	if (!t)
		return NO;
	t->initrd_count = 0;
	for (unsigned n = 1; n < argc; n++) {
		if (t->initrd_count == MENU_INITRD_MAX || !take_file(g, &t->initrd[t->initrd_count], argv[n]))
			return NO;
		t->initrd_count++;
	}
	return OK;
}

static const struct {
	const char *name;
	int (*run)(struct grub *g, unsigned argc, char *const argv[], const struct script_block *block);
} commands[] = {
	{"set", do_set},
	{"unset", do_unset},
	{"export", do_export},
	{"[", do_test},
	{"test", do_test},
	{"false", do_false},
	{"search", do_search},
	{"search.fs_uuid", do_search},
	{"search.fs_label", do_search},
	{"search.file", do_search},
	{"load_env", do_load_env},
	{"menuentry", do_entry},
	{"submenu", do_entry},
	{"blscfg", do_blscfg},
	{"source", do_config},
	{".", do_config},
	{"configfile", do_config},
	{"linux", do_linux},
	{"linux16", do_linux},
	{"linuxefi", do_linux},
	{"initrd", do_initrd},
	{"initrd16", do_initrd},
	{"initrdefi", do_initrd},
};

int grub_command(void *opaque, unsigned argc, char *const argv[], const struct script_block *block)
{
	for (size_t n = 0; n < COUNT_OF(commands); n++)
		if (!strcmp(argv[0], commands[n].name))
			return commands[n].run(opaque, argc, argv, block);
	return OK;
}
