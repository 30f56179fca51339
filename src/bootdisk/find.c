/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/find.h"

#include "bootdisk/bls.h"
#include "bootdisk/grub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where distributions have it. The full configurations come before those of EFI partitions, which only point to them.
 */
static const char *const grub_paths[] = {
	"/boot/grub/grub.cfg",  "/boot/grub2/grub.cfg",    "/grub/grub.cfg",       "/grub2/grub.cfg",
	"/EFI/debian/grub.cfg", "/EFI/ubuntu/grub.cfg",    "/EFI/fedora/grub.cfg", "/EFI/centos/grub.cfg",
	"/EFI/redhat/grub.cfg", "/EFI/almalinux/grub.cfg", "/EFI/rocky/grub.cfg",  "/EFI/opensuse/grub.cfg",
	"/EFI/BOOT/grub.cfg",
};

static const struct {
	const char *directory, *conf;
} bls_places[] = {
	{"/loader/entries", "/loader/loader.conf"},
	{"/boot/loader/entries", "/boot/loader/loader.conf"},
};

static struct volume *find_grub(struct volumes *all, const char **path)
{
	for (size_t n = 0; n < COUNT_OF(grub_paths); n++) {
		struct volume *v = volumes_with_file(all, grub_paths[n]);

		*path = grub_paths[n];
		if (v)
			return v;
	}
	return NULL;
}

static int choose_bls(struct menu_target *out, struct volume *v, size_t place, struct err *e)
{
	char pattern[MENU_TEXT_MAX];
	struct menu menu = {0};
	struct menu_entry *entry;
	int ret = bls_add(&menu, v, bls_places[place].directory, NULL, e);

	bls_default(v, bls_places[place].conf, pattern, sizeof(pattern));
	entry = ret == 0 ? bls_choose(&menu, pattern) : NULL;
	if (entry)
		*out = *entry->target;
	else if (ret == 0)
		ret = err_set(e, -ENOENT, "%s on %s has no entry with a Linux kernel", bls_places[place].directory,
			      v->name);
	menu_free(&menu);
	return ret;
}

static bool has_entries(struct volumes *all, struct volume **v, size_t *place)
{
	for (*place = 0; *place < COUNT_OF(bls_places); ++*place)
		for (unsigned n = 0; n < all->count; n++) {
			*v = &all->volume[n];
			if ((*v)->fs && gfs_is_dir((*v)->fs, bls_places[*place].directory))
				return true;
		}
	return false;
}

/* Nothing that boots: what there is, so that the reader sees why. */
static int tell_what_is_there(const struct volumes *all, struct err *e)
{
	char list[256] = "";

	for (unsigned n = 0; n < all->count; n++) {
		const struct volume *v = &all->volume[n];
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s: %s", len ? ", " : "", v->name,
			 v->fs ? "no boot configuration" : v->why);
	}
	return err_set(e, -ENOENT,
		       "no boot configuration was found (%s); ext2 to ext4 and FAT are read here; --board pc boots "
		       "the disk by its own loader",
		       list);
}

static int choose(struct menu_target *out, struct volumes *all, struct err *e)
{
	const char *path;
	struct volume *v = find_grub(all, &path);
	size_t place;

	if (v)
		return grub_choose(out, all, v, path, e);
	if (has_entries(all, &v, &place))
		return choose_bls(out, v, place, e);
	return tell_what_is_there(all, e);
}

static int load(struct find_file *out, const struct menu_file *f, struct err *e)
{
	int ret = gfs_load(f->volume->fs, f->path, FIND_FILE_MAX, &out->data, &out->size);

	if (ret < 0)
		return err_errno(e, -ret, "%s on %s", f->path, f->volume->name);
	snprintf(out->path, sizeof(out->path), "%s", f->path);
	return 0;
}

static int load_all(struct find_result *out, const struct menu_target *t, struct err *e)
{
	int ret = load(&out->kernel, &t->kernel, e);

	for (unsigned n = 0; ret == 0 && n < t->initrd_count; n++) {
		ret = load(&out->initrd[n], &t->initrd[n], e);
		out->initrd_count = n + (ret == 0);
	}
	memcpy(out->title, t->title, sizeof(out->title));
	memcpy(out->cmdline, t->cmdline, sizeof(out->cmdline));
	if (gfs_unclean(t->kernel.volume->fs))
		snprintf(out->warning, sizeof(out->warning),
			 "the file system on %s was not unmounted: what its journal holds is not seen",
			 t->kernel.volume->name);
	return ret;
}

int find_boot(struct find_result *out, const struct disk_reader *d, struct err *e)
{
	struct volumes *all = calloc(1, sizeof(*all));
	struct menu_target *t = calloc(1, sizeof(*t));
	int ret = all && t ? volumes_open(all, d, e) : err_set(e, -ENOMEM, "out of memory");

	*out = (struct find_result){0};
	if (ret == 0)
		ret = choose(t, all, e);
	if (ret == 0)
		ret = load_all(out, t, e);
	if (ret < 0)
		find_free(out);
	if (all)
		volumes_close(all);
	free(all);
	free(t);
	return ret;
}

void find_free(struct find_result *r)
{
	free(r->kernel.data);
	for (unsigned n = 0; n < r->initrd_count; n++)
		free(r->initrd[n].data);
	*r = (struct find_result){0};
}
