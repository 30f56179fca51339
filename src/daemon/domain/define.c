/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions: on disk under their UUID, the complete document and beside it the text as the user gave it. What changes
 * them passes through the folder's journal. */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"
#include "daemon/store/journal.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LENGTH_MAX = 200, UUID_TEXT = 37 };

static const char autostarted[] = "autostarted";

static void file_name(const struct domain *d, const char *suffix, char out[64])
{
	char uuid[UUID_TEXT];

	xuuid_text(domain_uuid(d), uuid);
	snprintf(out, 64, "%s%s", uuid, suffix);
}

/* ---- writing ---- */

static int change_files(struct domains *ds, const struct journal_change *changes, unsigned count, struct err *e)
{
	if (!ds->journal)
		return err_set(e, -EIO, "the definitions in %s could not be read; see the log", ds->config_dir);
	return journal_commit(ds->journal, changes, count, e);
}

/* xml: the text that the user gave, for the day when the document knows more; NULL: another change, it stays. */
static int write_definition(const struct domain *d, const struct domdef *def, const char *xml, struct fault *f)
{
	char *text = domdef_format(def, DOMDEF_FORMAT_INACTIVE | DOMDEF_FORMAT_SECURE), name[64], given[64];
	struct err e = { 0 };
	int ret;

	if (!text)
		return fault_set(f, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the definition");
	file_name(d, ".xml", name);
	file_name(d, ".given", given);
	ret = change_files(d->all, (struct journal_change[]){
			{name, text, strlen(text)}, {given, xml, xml ? strlen(xml) : 0}}, xml ? 2 : 1, &e);
	free(text);
	return ret < 0 ? fault_from_err(f, FAULT_SYSTEM, FROM_DOMAIN, &e) : 0;
}

int domain_save(struct domain *d, struct fault *f)
{
	return d->persistent ? write_definition(d, domain_config(d), NULL, f) : 0;
}

static int remove_files(const struct domain *d, struct fault *f)
{
	static const char *const suffixes[] = {".xml", ".given", ".autostart"};
	struct journal_change changes[COUNT_OF(suffixes)] = { 0 };
	char names[COUNT_OF(suffixes)][64];
	struct err e = { 0 };

	for (unsigned n = 0; n < COUNT_OF(suffixes); n++) {
		file_name(d, suffixes[n], names[n]);
		changes[n].name = names[n];
	}
	if (change_files(d->all, changes, COUNT_OF(suffixes), &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_DOMAIN, &e);
	return 0;
}

/* ---- parsing and the rules of names ---- */

static int check_name(const char *name, struct fault *f)
{
	if (!*name || strlen(name) > NAME_LENGTH_MAX)
		return fault_set(f, FAULT_XML, FROM_DOMAIN, "the domain's name must have 1 to %d bytes",
				 NAME_LENGTH_MAX);
	if (strpbrk(name, "/\n") || !strcmp(name, ".") || !strcmp(name, ".."))
		return fault_set(f, FAULT_XML, FROM_DOMAIN, "name %s cannot contain '/' or a line's end", name);
	return 0;
}

static struct domdef *parse(const char *xml, bool validate, struct fault *f)
{
	struct domdef *def;
	struct err e = { 0 };
	int ret = domdef_parse(&def, xml, strlen(xml), validate ? DOMDEF_PARSE_VALIDATE : 0, &e);

	if (ret < 0) {
		fault_set(f, domdef_fault(ret), FROM_DOMAIN, "%s", e.text);
		return NULL;
	}
	if (check_name(def->name, f) < 0) {
		domdef_free(def);
		return NULL;
	}
	return def;
}

/* The domain that the definition is of, when there is one: same name and same UUID, or neither. */
static int find_same(struct domains *ds, const struct domdef *def, struct domain **out, struct fault *f)
{
	struct domain *by_uuid = domain_by_uuid(ds, def->uuid.b), *by_name = domain_by_name(ds, def->name);
	char uuid[UUID_TEXT];

	*out = by_uuid;
	if (by_uuid == by_name)
		return 0;
	if (by_uuid) {
		xuuid_text(def->uuid.b, uuid);
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_DOMAIN, "domain '%s' is already defined with uuid %s",
				 domain_name(by_uuid), uuid);
	}
	xuuid_text(domain_uuid(by_name), uuid);
	return fault_set(f, FAULT_OPERATION_FAILED, FROM_DOMAIN, "domain '%s' already exists with uuid %s", def->name,
			 uuid);
}

/* ---- define ---- */

/* Takes def over, also when it fails. */
static int define_new(struct domains *ds, struct domdef *def, const char *xml, struct domain **out, struct fault *f)
{
	struct domain *d = domain_new(ds, def);

	if (!d) {
		domdef_free(def);
		return fault_set(f, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the domain");
	}
	if (write_definition(d, def, xml, f) < 0) {
		domain_free(d);
		return -1;
	}
	d->persistent = true;
	*out = d;
	return 0;
}

/* Of a domain that runs the definition is that of the next start. */
static int define_again(struct domain *d, struct domdef *def, const char *xml, struct fault *f)
{
	if (write_definition(d, def, xml, f) < 0) {
		domdef_free(def);
		return -1;
	}
	if (domain_active(d)) {
		domdef_free(d->next);
		d->next = def;
	} else {
		domdef_free(d->def);
		d->def = def;
	}
	d->persistent = true;
	return 0;
}

int domain_define(struct domains *ds, const char *xml, bool validate, struct domain **out, struct fault *f)
{
	struct domdef *def = parse(xml, validate, f);
	bool known;
	int ret;

	if (!def)
		return -1;
	if (find_same(ds, def, out, f) < 0) {
		domdef_free(def);
		return -1;
	}
	known = *out && (*out)->persistent;
	ret = *out ? define_again(*out, def, xml, f) : define_new(ds, def, xml, out, f);
	if (ret < 0)
		return -1;
	domain_lifecycle(*out, EVENT_DEFINED, known ? DEFINED_UPDATED : DEFINED_ADDED);
	return 0;
}

/* Of a machine that is defined: one run by another document, as libvirt has it. Takes def over. */
static int create_again(struct domain *d, struct domdef *def, bool paused, domain_done_fn done, void *opaque,
			struct fault *f)
{
	int ret;

	if (domain_active(d))
		ret = fault_set(f, FAULT_OPERATION_INVALID, FROM_DOMAIN, "domain is already active as '%s'", def->name);
	else
		ret = domain_start_as(d, def, paused, done, opaque, f);
	domdef_free(def);
	return ret;
}

int domain_create(struct domains *ds, const char *xml, bool validate, bool paused, domain_done_fn done, void *opaque,
		  struct domain **out, struct fault *f)
{
	struct domdef *def = parse(xml, validate, f);
	struct domain *d = NULL;
	int ret = def ? find_same(ds, def, &d, f) : -1;

	if (ret == 0 && d) {
		*out = d;
		return create_again(d, def, paused, done, opaque, f);
	}
	if (ret == 0 && !(d = domain_new(ds, def)))
		ret = fault_set(f, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the domain");
	if (ret < 0) {
		domdef_free(def);
		return -1;
	}
	*out = d;
	ret = domain_start(d, paused, done, opaque, f);
	if (ret < 0)
		domain_free(d);
	return ret;
}

int domain_undefine(struct domain *d, struct fault *f)
{
	if (!d->persistent)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_DOMAIN, "cannot undefine transient domain");
	if (remove_files(d, f) < 0)
		return -1;
	d->persistent = d->autostart = false;
	domain_lifecycle(d, EVENT_UNDEFINED, UNDEFINED_REMOVED);
	if (!domain_active(d)) {
		domain_free(d);
		return 0;
	}
	domdef_free(d->next);
	d->next = NULL;
	return 0;
}

int domain_set_autostart(struct domain *d, bool on, struct fault *f)
{
	struct err e = { 0 };
	char name[64];

	if (!d->persistent)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_DOMAIN, "cannot set autostart for transient domain");
	file_name(d, ".autostart", name);
	if (change_files(d->all, &(struct journal_change){name, on ? "" : NULL, 0}, 1, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_DOMAIN, &e);
	d->autostart = on;
	return 0;
}

int domain_rename(struct domain *d, const char *name, struct fault *f)
{
	char *fresh, *old = d->def->name;

	if (domain_active(d))
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_DOMAIN, "cannot rename active domain");
	if (!d->persistent)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_DOMAIN, "cannot rename a transient domain");
	if (check_name(name, f) < 0)
		return -1;
	if (domain_by_name(d->all, name))
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_DOMAIN, "domain with name '%s' already exists", name);
	fresh = strdup(name);
	if (!fresh)
		return fault_set(f, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the name");
	d->def->name = fresh;
	if (domain_save(d, f) < 0) {
		d->def->name = old;
		free(fresh);
		return -1;
	}
	free(old);
	domain_lifecycle(d, EVENT_DEFINED, DEFINED_RENAMED);
	return 0;
}

/* ---- at the daemon's start ---- */

static void load_one(void *opaque, const char *name)
{
	struct domains *ds = opaque;
	struct domain *d = NULL;
	struct domdef *def;
	struct fault f = { 0 };
	struct err e = { 0 };
	char file[96], *text;
	size_t len;

	snprintf(file, sizeof(file), "%.60s.xml", name);
	if (store_read(ds->config_dir, file, &text, &len, &e) < 0) {
		log_line(LOG_ERROR, "a domain's definition was left out: %s", e.text);
		return;
	}
	def = parse(text, false, &f);
	free(text);
	if (!def || find_same(ds, def, &d, &f) < 0 || d || !(d = domain_new(ds, def))) {
		log_line(LOG_ERROR, "the definition %s/%s was left out: %s", ds->config_dir, file,
			 f.text[0] ? f.text : "it is there twice");
		domdef_free(def);
		return;
	}
	d->persistent = true;
	snprintf(file, sizeof(file), "%.60s.autostart", name);
	d->autostart = store_has(ds->config_dir, file);
}

void definitions_load(struct domains *ds)
{
	struct err e = { 0 };

	/* Without it nothing is changed (change_files), but machines are there as their files say. */
	if (journal_open(&ds->journal, ds->config_dir, JOURNAL_BYTES, &e) < 0)
		log_line(LOG_ERROR, "%s", e.text);
	if (store_each(ds->config_dir, ".xml", load_one, ds, &e) < 0)
		log_line(LOG_ERROR, "%s", e.text);
}

static void started(void *opaque, const struct fault *f)
{
	if (f)
		log_line(LOG_ERROR, "autostart of a domain: %s", f->text);
}

/* The run directory is empty after the host's start: what was written into it says that this was done. */
void definitions_autostart(struct domains *ds)
{
	const char *dir = ds->daemon->run_dir;
	struct fault f;

	if (store_has(dir, autostarted) || store_write(dir, autostarted, "", 0, false, NULL) < 0)
		return;
	list_each(it, &ds->list) {
		struct domain *d = list_entry(it, struct domain, node);

		if (d->autostart && !domain_active(d) && domain_start(d, false, started, NULL, &f) < 0)
			started(NULL, &f);
	}
}
