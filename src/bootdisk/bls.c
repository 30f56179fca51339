/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/bls.h"

#include "bootdisk/script.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 << 10, NAMES_MAX = MENU_ENTRIES_MAX };

struct names {
	char (*name)[GFS_NAME_MAX];
	unsigned count;
};

static void take_name(void *opaque, const char *name)
{
	struct names *n = opaque;
	size_t len = strlen(name);

	if (n->count < NAMES_MAX && len > 5 && len < GFS_NAME_MAX && !strcmp(name + len - 5, ".conf"))
		memcpy(n->name[n->count++], name, len + 1);
}

/* By file name, the highest version first. */
static int newest_first(const void *a, const void *b)
{
	return strverscmp(b, a);
}

/* One line: its key, and where its value begins; the line ends at *end. */
static char *split_line(char *line, char **end)
{
	char *value;

	*end = line + strcspn(line, "\n");
	if (**end)
		*(*end)++ = 0;
	line[strcspn(line, "\r")] = 0;
	for (size_t len = strlen(line); len && strchr(" \t", line[len - 1]); len--)
		line[len - 1] = 0;
	value = line + strcspn(line, " \t");
	if (*value)
		*value++ = 0;
	return value + strspn(value, " \t");
}

static void set_path(struct menu_file *f, struct volume *v, const char *path, size_t len)
{
	f->volume = v;
	snprintf(f->path, sizeof(f->path), "%s%.*s", *path == '/' ? "" : "/",
		 (int)(len < MENU_PATH_MAX ? len : MENU_PATH_MAX), path);
}

/* One or several, parted by blanks; a name with a dollar is one that GRUB would have set. */
static void add_initrds(struct menu_target *t, struct volume *v, const char *value)
{
	while (*(value += strspn(value, " \t")) && t->initrd_count < MENU_INITRD_MAX) {
		size_t len = strcspn(value, " \t");

		if (*value != '$')
			set_path(&t->initrd[t->initrd_count++], v, value, len);
		value += len;
	}
}

static void add_options(struct menu_target *t, const char *value, const struct script *vars)
{
	size_t len = strlen(t->cmdline);

	if (len && len < sizeof(t->cmdline) - 1)
		t->cmdline[len++] = ' ';
	if (vars)
		script_expand(vars, value, t->cmdline + len, sizeof(t->cmdline) - len);
	else
		snprintf(t->cmdline + len, sizeof(t->cmdline) - len, "%s", value);
}

static void take_line(struct menu_target *t, struct volume *v, const char *key, const char *value,
		      const struct script *vars)
{
	if (!strcmp(key, "title"))
		snprintf(t->title, sizeof(t->title), "%s", value);
	else if (!strcmp(key, "linux"))
		set_path(&t->kernel, v, value, strlen(value));
	else if (!strcmp(key, "initrd"))
		add_initrds(t, v, value);
	else if (!strcmp(key, "options"))
		add_options(t, value, vars);
}

static int read_entry(struct menu_target *t, struct volume *v, const char *path, const struct script *vars)
{
	uint8_t *data;
	size_t len;
	int ret = gfs_load(v->fs, path, FILE_MAX, &data, &len);

	if (ret < 0)
		return ret;
	for (char *line = (char *)data, *end; *line; line = end) {
		const char *value = split_line(line, &end);

		take_line(t, v, line, value, vars);
	}
	free(data);
	return 0;
}

static int add_one(struct menu *m, struct volume *v, const char *directory, const char *name, const struct script *vars)
{
	struct menu_target *t = calloc(1, sizeof(*t));
	char path[MENU_PATH_MAX];
	struct menu_entry *entry;
	int ret;

	if (!t)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	ret = read_entry(t, v, path, vars);
	entry = ret == 0 && t->kernel.volume ? menu_add(m) : NULL;
	if (!entry) {
		free(t);
		return ret == -ENOMEM ? ret : 0;
	}
	snprintf(entry->id, sizeof(entry->id), "%.*s", (int)(strlen(name) - 5), name);
	if (!t->title[0])
		snprintf(t->title, sizeof(t->title), "%s", entry->id);
	snprintf(entry->title, sizeof(entry->title), "%s", t->title);
	entry->target = t;
	return 0;
}

int bls_add(struct menu *m, struct volume *v, const char *directory, const struct script *vars, struct err *e)
{
	struct names names = {.name = calloc(NAMES_MAX, GFS_NAME_MAX)};
	int ret = names.name ? gfs_list(v->fs, directory, take_name, &names) : -ENOMEM;

	if (ret == 0)
		qsort(names.name, names.count, GFS_NAME_MAX, newest_first);
	for (unsigned n = 0; ret == 0 && n < names.count; n++)
		ret = add_one(m, v, directory, names.name[n], vars);
	free(names.name);
	return ret < 0 ? err_errno(e, -ret, "cannot read %s on %s", directory, v->name) : 0;
}

void bls_default(struct volume *v, const char *conf, char *out, size_t size)
{
	uint8_t *data;
	size_t len;

	out[0] = 0;
	if (gfs_load(v->fs, conf, FILE_MAX, &data, &len) < 0)
		return;
	for (char *line = (char *)data, *end; *line; line = end) {
		const char *value = split_line(line, &end);

		if (!strcmp(line, "default") && *value != '@')
			snprintf(out, size, "%s", value);
	}
	free(data);
}

struct menu_entry *bls_choose(const struct menu *m, const char *pattern)
{
	for (unsigned n = 0; *pattern && n < m->count; n++) {
		char file[MENU_TEXT_MAX + 8];

		snprintf(file, sizeof(file), "%s.conf", m->entry[n].id);
		if (fnmatch(pattern, m->entry[n].id, 0) == 0 || fnmatch(pattern, file, 0) == 0)
			return &m->entry[n];
	}
	return m->count ? &m->entry[0] : NULL;
}
