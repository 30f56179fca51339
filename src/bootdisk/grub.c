/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/grub_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int grub_load_config(struct grub *g, const char *path)
{
	const char *inside;
	struct volume *v = volumes_resolve(g->all, script_get(g->script, "root"), path, &inside);
	uint8_t *data;
	size_t len;
	int ret;

	if (!v || g->depth == GRUB_CONFIG_DEPTH)
		return 1;
	if (gfs_load(v->fs, inside, SCRIPT_TEXT_MAX, &data, &len) < 0)
		return 1;
	g->depth++;
	ret = script_run(g->script, (const char *)data, len, g->ret < 0 ? NULL : g->e);
	g->depth--;
	free(data);
	if (ret < 0 && g->ret == 0) {
		g->ret = ret;
		err_wrap(g->e, "%s on %s", inside, v->name);
	}
	return ret < 0;
}

/* What GRUB has set before it reads its configuration. */
static int begin(struct grub *g, struct volume *v, const char *path)
{
	static const char *const fixed[][2] = {
		{"grub_platform", "pc"},
		{"grub_cpu", "i386"},
		{"feature_menuentry_id", "y"},
		{"feature_menuentry_options", "y"},
		{"feature_platform_search_hint", "y"},
		{"feature_default_font_path", "y"},
		{"feature_all_video_module", "y"},
		{"feature_timeout_style", "y"},
		{"feature_200_final", "y"},
	};
	char prefix[MENU_PATH_MAX];
	const char *slash = strrchr(path, '/');
	int ret = script_set(g->script, "root", v->name);

	snprintf(prefix, sizeof(prefix), "(%s)%.*s", v->name, (int)(slash - path), path);
	if (ret == 0)
		ret = script_set(g->script, "prefix", prefix);
	for (size_t n = 0; ret == 0 && n < COUNT_OF(fixed); n++) {
		ret = script_set(g->script, fixed[n][0], fixed[n][1]);
		if (ret == 0)
			ret = script_export(g->script, fixed[n][0]);
	}
	if (ret == 0)
		ret = script_export(g->script, "root");
	return ret < 0 ? ret : script_export(g->script, "prefix");
}

static int run_entry(struct grub *g, const struct menu_entry *m, struct menu_target *out)
{
	int ret;

	if (m->target) {
		*out = *m->target;
		return 0;
	}
	g->target = out;
	ret = script_run_block(g->script, m->block, g->e);
	g->target = NULL;
	if (ret < 0)
		return err_wrap(g->e, "the entry \"%s\"", m->title);
	if (g->missing[0])
		return err_set(g->e, -ENOENT, "the entry \"%s\" wants %s, which is not there", m->title, g->missing);
	if (!out->kernel.volume)
		return err_set(g->e, -EINVAL, "the default entry \"%s\" boots no Linux kernel", m->title);
	return 0;
}

/* default is a number, an id or a title; behind a > one of the submenu's. What names nothing means the first. Nothing
 * comes back out of a submenu, so its variables can replace the others. */
static int choose(struct grub *g, struct menu *menu, const char *name, unsigned depth, struct menu_target *out)
{
	size_t len = strcspn(name, ">");
	struct menu_entry *m = menu_find(menu, name, len);
	struct menu sub = {0};
	int ret;

	if (!m && menu->count)
		m = &menu->entry[0];
	if (!m || depth == GRUB_CONFIG_DEPTH)
		return err_set(g->e, -ENOENT, "it has no entry that could be booted");
	if (!m->submenu) {
		snprintf(out->title, sizeof(out->title), "%s", m->title);
		return run_entry(g, m, out);
	}
	script_enter_submenu(g->script);
	g->menu = &sub;
	ret = script_run_block(g->script, m->block, g->e);
	g->menu = NULL;
	if (ret == 0)
		ret = choose(g, &sub, name[len] ? name + len + 1 : "0", depth + 1, out);
	menu_free(&sub);
	return ret;
}

int grub_choose(struct menu_target *out, struct volumes *all, struct volume *v, const char *path, struct err *e)
{
	struct menu menu = {0};
	struct grub g = {.all = all, .menu = &menu, .e = e};
	char name[MENU_TEXT_MAX];
	int ret;

	*out = (struct menu_target){0};
	g.script = script_create(grub_command, &g);
	ret = g.script ? begin(&g, v, path) : -ENOMEM;
	if (ret < 0) {
		script_destroy(g.script);
		return err_set(e, ret, "out of memory");
	}
	if (grub_load_config(&g, path) && g.ret == 0)
		g.ret = err_set(e, -EIO, "%s on %s cannot be read", path, v->name);
	g.menu = NULL;
	snprintf(name, sizeof(name), "%s", script_get(g.script, "default"));
	ret = g.ret;
	if (ret == 0 && choose(&g, &menu, name, 0, out) < 0)
		ret = err_wrap(e, "%s on %s", path, v->name);
	menu_free(&menu);
	script_destroy(g.script);
	return ret;
}
