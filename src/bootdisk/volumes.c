/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/volumes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int volumes_open(struct volumes *v, const struct disk_reader *d, struct err *e)
{
	struct disk_table *t = malloc(sizeof(*t));
	int ret = t ? disk_scan(d, t, e) : err_set(e, -12, "out of memory");

	v->count = 0;
	for (unsigned n = 0; ret == 0 && n < t->count; n++) {
		struct volume *u = &v->volume[v->count++];
		struct err why = {0};

		*u = (struct volume){.part = t->part[n]};
		if (u->part.number)
			snprintf(u->name, sizeof(u->name), "hd0,%s%u", u->part.gpt ? "gpt" : "msdos", u->part.number);
		else
			snprintf(u->name, sizeof(u->name), "hd0");
		if (gfs_open(&u->fs, d, u->part.at, u->part.size, &why) < 0) {
			u->fs = NULL;
			snprintf(u->why, sizeof(u->why), "%.95s", why.text);
		}
	}
	free(t);
	return ret;
}

void volumes_close(struct volumes *v)
{
	for (unsigned n = 0; n < v->count; n++)
		gfs_close(v->volume[n].fs);
	v->count = 0;
}

/* hd0, hd0,gpt2, hd0,2: the partition's number; -1: no name of this disk. */
static int number_of(const char *name, size_t len)
{
	const char *at = name + 3, *end = name + len;
	int number = 0;

	if (len < 3 || strncmp(name, "hd0", 3))
		return -1;
	if (at == end)
		return 0;
	if (*at++ != ',')
		return -1;
	while (at < end && isalpha((unsigned char)*at))
		at++;
	if (at == end)
		return -1;
	for (; at < end; at++) {
		if (!isdigit((unsigned char)*at) || number > DISK_PARTITIONS_MAX)
			return -1;
		number = number * 10 + (*at - '0');
	}
	return number;
}

static struct volume *named(struct volumes *v, const char *name, size_t len)
{
	int number = number_of(name, len);

	for (unsigned n = 0; number >= 0 && n < v->count; n++)
		if (v->volume[n].fs && v->volume[n].part.number == (unsigned)number)
			return &v->volume[n];
	return NULL;
}

struct volume *volumes_named(struct volumes *v, const char *name)
{
	size_t len = strlen(name);

	if (name[0] == '(' && name[len - 1] == ')')
		return named(v, name + 1, len - 2);
	return named(v, name, len);
}

struct volume *volumes_with_uuid(struct volumes *v, const char *uuid)
{
	for (unsigned n = 0; n < v->count; n++)
		if (v->volume[n].fs && *uuid && !strcasecmp(gfs_uuid(v->volume[n].fs), uuid))
			return &v->volume[n];
	return NULL;
}

struct volume *volumes_with_label(struct volumes *v, const char *label)
{
	for (unsigned n = 0; n < v->count; n++)
		if (v->volume[n].fs && *label && !strcmp(gfs_label(v->volume[n].fs), label))
			return &v->volume[n];
	return NULL;
}

struct volume *volumes_with_file(struct volumes *v, const char *path)
{
	for (unsigned n = 0; n < v->count; n++)
		if (v->volume[n].fs && gfs_is_file(v->volume[n].fs, path))
			return &v->volume[n];
	return NULL;
}

struct volume *volumes_resolve(struct volumes *v, const char *root, const char *text, const char **inside)
{
	const char *end = text[0] == '(' ? strchr(text, ')') : NULL;

	*inside = end ? end + 1 : text;
	return end ? named(v, text + 1, (size_t)(end - text - 1)) : volumes_named(v, root);
}
