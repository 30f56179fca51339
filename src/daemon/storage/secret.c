/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/storage/secret.h"

#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/store/store.h"
#include "daemon/xml/domdef.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct secrets {
	struct secret_watcher watcher;
	struct list list;
	char dir[PATH_MAX / 2];
};

static void file_name(const struct secretdef *d, const char *suffix, char out[64])
{
	char uuid[37];

	xuuid_text(d->uuid.b, uuid);
	snprintf(out, 64, "%s%s", uuid, suffix);
}

/* The compiler must not take the writing away because the memory is freed next. */
static void forget_value(struct secret *s)
{
	if (s->value)
		explicit_bzero(s->value, s->len);
	free(s->value);
	s->value = NULL;
	s->len = 0;
}

static void secret_free(struct secret *s)
{
	list_remove(&s->node);
	forget_value(s);
	secretdef_free(s->def);
	free(s);
}

static struct secret *secret_new(struct secrets *all, struct secretdef *def)
{
	struct secret *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->all = all;
	s->def = def;
	list_add_tail(&all->list, &s->node);
	return s;
}

/* ---- all of them ---- */

static void load(void *opaque, const char *name)
{
	struct secrets *all = opaque;
	struct secretdef *def = NULL;
	struct secret *s = NULL;
	struct err e = {0};
	char file[64], *text = NULL;
	size_t len;

	snprintf(file, sizeof(file), "%.36s.xml", name);
	if (store_read(all->dir, file, &text, &len, &e) == 0 && secretdef_parse(&def, text, len, false, &e) == 0)
		s = secret_new(all, def);
	free(text);
	if (!s) {
		log_line(LOG_ERROR, "the secret in %s/%s is left alone: %s", all->dir, file, e.text);
		secretdef_free(def);
		return;
	}
	snprintf(file, sizeof(file), "%.36s.value", name);
	if (store_read(all->dir, file, &text, &s->len, &e) == 0)
		s->value = (uint8_t *)text;
	else if (e.code != -ENOENT)
		log_line(LOG_ERROR, "%s", e.text);
}

int secrets_create(struct secrets **out, struct daemon *daemon, const struct secret_watcher *watcher, struct err *e)
{
	struct secrets *all = calloc(1, sizeof(*all));
	int ret = 0;

	if (!all)
		return err_set(e, -ENOMEM, "out of memory");
	all->watcher = *watcher;
	list_init(&all->list);
	snprintf(all->dir, sizeof(all->dir), "%s/secrets", daemon->config_dir);
	if (mkdir(all->dir, 0700) < 0 && errno != EEXIST)
		ret = err_errno(e, errno, "cannot make the directory %s", all->dir);
	if (ret == 0)
		ret = store_each(all->dir, ".xml", load, all, e);
	if (ret < 0)
		secrets_destroy(all);
	else
		*out = all;
	return ret;
}

void secrets_destroy(struct secrets *all)
{
	if (!all)
		return;
	list_each_safe(it, &all->list) secret_free(list_entry(it, struct secret, node));
	free(all);
}

struct secret *secret_by_uuid(struct secrets *all, const uint8_t uuid[16])
{
	list_each(it, &all->list)
	{
		struct secret *s = list_entry(it, struct secret, node);

		if (!memcmp(s->def->uuid.b, uuid, 16))
			return s;
	}
	return NULL;
}

struct secret *secret_by_usage(struct secrets *all, int usage, const char *id)
{
	list_each(it, &all->list)
	{
		struct secret *s = list_entry(it, struct secret, node);

		if (s->def->usage == usage && usage != SECRETDEF_NONE && !strcmp(secretdef_usage_id(s->def), id))
			return s;
	}
	return NULL;
}

void secrets_each(struct secrets *all, void (*f)(void *opaque, struct secret *s), void *opaque)
{
	list_each(it, &all->list) f(opaque, list_entry(it, struct secret, node));
}

/* ---- define ---- */

static int write_definition(const struct secrets *all, const struct secretdef *def, struct fault *f)
{
	char *text = secretdef_format(def), name[64];
	struct err e = {0};
	int ret;

	if (!text)
		return fault_set(f, FAULT_NO_MEMORY, FROM_SECRET, "no memory for the definition");
	file_name(def, ".xml", name);
	ret = store_write(all->dir, name, text, strlen(text), true, &e);
	free(text);
	return ret < 0 ? fault_from_err(f, FAULT_SYSTEM, FROM_SECRET, &e) : 0;
}

/* Removes the file of the suffix. */
static int remove_file(const struct secret *s, const char *suffix, struct fault *f)
{
	struct err e = {0};
	char name[64];

	file_name(s->def, suffix, name);
	if (store_remove(s->all->dir, name, true, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_SECRET, &e);
	return 0;
}

/* What a secret is used for stays; and a private one does not become public with its value. */
static int check(struct secrets *all, const struct secretdef *def, struct secret **out, struct fault *f)
{
	struct secret *s = secret_by_uuid(all, def->uuid.b);
	const char *id = secretdef_usage_id(def);
	struct secret *same_use = secret_by_usage(all, def->usage, id);
	char uuid[37];

	*out = s;
	if (s && (s->def->usage != def->usage || strcmp(secretdef_usage_id(s->def), id))) {
		xuuid_text(def->uuid.b, uuid);
		return fault_set(f, FAULT_INTERNAL, FROM_SECRET,
				 "a secret with UUID %s is already defined for use with %s", uuid,
				 secretdef_usage_id(s->def));
	}
	if (!s && same_use) {
		xuuid_text(same_use->def->uuid.b, uuid);
		return fault_set(f, FAULT_INTERNAL, FROM_SECRET,
				 "a secret with UUID %s already defined for use with %s", uuid, id);
	}
	if (s && secret_private(s) && def->private != 2)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_SECRET,
				 "cannot change private flag on existing secret");
	return 0;
}

static int write_value(const struct secret *s, struct fault *f)
{
	struct err e = {0};
	char name[64];

	file_name(s->def, ".value", name);
	if (store_write(s->all->dir, name, s->value, s->len, true, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_SECRET, &e);
	return 0;
}

/* What becomes ephemeral leaves nothing on disk; what becomes lasting brings its value there. */
static int redefine(struct secret *s, struct secretdef *def, struct fault *f)
{
	bool ephemeral = def->ephemeral == 2;
	int ret = 0;

	if (ephemeral && !secret_ephemeral(s))
		ret = remove_file(s, ".xml", f) < 0 ? -1 : remove_file(s, ".value", f);
	else if (!ephemeral && secret_ephemeral(s) && s->value)
		ret = write_value(s, f);
	if (ret == 0 && !ephemeral)
		ret = write_definition(s->all, def, f);
	if (ret < 0)
		return ret;
	secretdef_free(s->def);
	s->def = def;
	return 0;
}

static int define_new(struct secrets *all, struct secretdef *def, struct secret **out, struct fault *f)
{
	if (def->ephemeral != 2 && write_definition(all, def, f) < 0)
		return -1;
	*out = secret_new(all, def);
	return *out ? 0 : fault_set(f, FAULT_NO_MEMORY, FROM_SECRET, "no memory for the secret");
}

int secret_define(struct secrets *all, const char *xml, bool validate, struct secret **out, struct fault *f)
{
	struct secretdef *def;
	struct err e = {0};
	int ret = secretdef_parse(&def, xml, strlen(xml), validate, &e);

	if (ret < 0)
		return fault_set(f, domdef_fault(ret), FROM_SECRET, "%s", e.text);
	ret = check(all, def, out, f);
	if (ret == 0)
		ret = *out ? redefine(*out, def, f) : define_new(all, def, out, f);
	if (ret < 0) {
		secretdef_free(def);
		return -1;
	}
	all->watcher.lifecycle(all->watcher.opaque, *out, SECRET_EVENT_DEFINED);
	return 0;
}

/* The definition goes first: whoever is killed between leaves a value that the next start removes (store_each). */
int secret_undefine(struct secret *s, struct fault *f)
{
	if (remove_file(s, ".xml", f) < 0 || remove_file(s, ".value", f) < 0)
		return -1;
	s->all->watcher.lifecycle(s->all->watcher.opaque, s, SECRET_EVENT_UNDEFINED);
	secret_free(s);
	return 0;
}

int secret_set(struct secret *s, const uint8_t *value, size_t len, struct fault *f)
{
	struct secret fresh = {.all = s->all, .def = s->def, .len = len};

	if (len > SECRET_VALUE_MAX)
		return fault_set(f, FAULT_INVALID_ARG, FROM_SECRET, "a secret has at most %d bytes", SECRET_VALUE_MAX);
	fresh.value = malloc(len + 1);
	if (!fresh.value)
		return fault_set(f, FAULT_NO_MEMORY, FROM_SECRET, "no memory for the value");
	memcpy(fresh.value, value, len);
	if (!secret_ephemeral(s) && write_value(&fresh, f) < 0) {
		forget_value(&fresh);
		return -1;
	}
	forget_value(s);
	s->value = fresh.value;
	s->len = len;
	s->all->watcher.value_changed(s->all->watcher.opaque, s);
	return 0;
}
