/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is noted of a running machine, in a directory of its own below the run directory: "note" (JSON: process,
 * number, state, document, what it is about to be told) and its sockets. The note is written before the process is
 * made, so that a daemon that was killed at any moment leaves nothing that the next cannot find.
 */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"
#include "daemon/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const phases[] = {[NOTE_STARTING] = "starting", [NOTE_RUNNING] = "running"};

void note_dir(const struct domains *ds, const char *uuid, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", ds->machines_dir, uuid);
}

int note_write(const struct domain *d, enum note_phase phase, struct err *e)
{
	char *xml = domdef_format(d->def, DOMDEF_FORMAT_SECURE), *text = NULL, uuid[37], dir[PATH_MAX];
	pid_t pid = d->machine ? machine_pid(d->machine) : 0;
	uint64_t start = d->machine ? machine_start_time(d->machine) : 0;
	json_t *note;
	int ret;

	note = xml ? json_pack("{s:i, s:i, s:I, s:s, s:b, s:i, s:i, s:b, s:s}", "id", d->id, "pid", (int)pid, "start",
			       (json_int_t)start, "phase", phases[phase], "paused", d->start_paused, "state", d->state,
			       "reason", d->reason, "reboot", d->reboot_wanted, "xml", xml) :
		     NULL;
	if (note && d->leaving)
		json_object_set(note, "leaving", d->leaving);
	if (note && d->intent && d->intent->noted &&
	    json_object_set_new(note, "intent", intent_json(d->intent)) < 0) {
		json_decref(note);
		note = NULL;
	}
	if (note)
		text = json_dumps(note, JSON_INDENT(1));
	json_decref(note);
	free(xml);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	xuuid_text(domain_uuid(d), uuid);
	note_dir(d->all, uuid, dir);
	ret = store_write(dir, "note", text, strlen(text), false, e);
	free(text);
	return ret;
}

void note_remove(struct domains *ds, const char *uuid)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	note_dir(ds, uuid, path);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(path);
}

/* ---- at the daemon's start ---- */

/* The domain of the note: defined and now running, or transient. */
static struct domain *domain_of(struct domains *ds, struct domdef *def)
{
	struct domain *d = domain_by_uuid(ds, def->uuid.b);

	if (!d && !domain_by_name(ds, def->name))
		return domain_new(ds, def);
	if (!d || domain_active(d))
		return NULL;
	d->next = d->def;
	d->def = def;
	return d;
}

/* It does not run after all: what was put upon the definition is taken off again. */
static void take_back(struct domain *d)
{
	d->id = -1;
	intent_forget(d);
	if (!d->persistent) {
		domain_free(d);
		return;
	}
	if (d->next) {
		domdef_free(d->def);
		d->def = d->next;
		d->next = NULL;
	}
	domain_set_state(d, DOMAIN_SHUTOFF, SHUTOFF_UNKNOWN);
}

static int integer(const json_t *note, const char *key)
{
	return (int)json_integer_value(json_object_get(note, key));
}

static int restore(struct domains *ds, const json_t *note, struct err *e)
{
	const char *xml = json_string_value(json_object_get(note, "xml"));
	const char *phase = json_string_value(json_object_get(note, "phase"));
	struct domdef *def;
	struct domain *d;
	int ret;

	if (!xml || !phase)
		return err_set(e, -EINVAL, "the note is broken");
	ret = domdef_parse(&def, xml, strlen(xml), DOMDEF_PARSE_LIVE, e);
	if (ret < 0)
		return ret;
	d = domain_of(ds, def);
	if (!d) {
		domdef_free(def);
		return err_set(e, -EEXIST, "its name or UUID is another domain's");
	}
	d->id = integer(note, "id");
	d->start_paused = json_is_true(json_object_get(note, "paused"));
	d->reboot_wanted = json_is_true(json_object_get(note, "reboot"));
	domain_set_state(d, integer(note, "state"), integer(note, "reason"));
	intent_restore(d, note);
	if (d->id > ds->last_id)
		ds->last_id = d->id;
	ret = domain_adopt(d, integer(note, "pid"), (uint64_t)json_integer_value(json_object_get(note, "start")),
			   strcmp(phase, phases[NOTE_RUNNING]) ? NOTE_STARTING : NOTE_RUNNING, e);
	if (ret < 0)
		take_back(d);
	return ret;
}

static void load_one(struct domains *ds, const char *uuid)
{
	struct err e = { 0 };
	char dir[PATH_MAX], *text = NULL;
	json_t *note = NULL;
	size_t len;
	int ret;

	note_dir(ds, uuid, dir);
	store_clean(dir);
	ret = store_read(dir, "note", &text, &len, &e);
	if (ret == 0)
		note = json_loadb(text, len, 0, NULL);
	if (ret == 0)
		ret = restore(ds, note, &e);
	if (ret < 0) {
		log_line(LOG_INFO, "the machine %s runs no more: %s", uuid, e.text);
		note_remove(ds, uuid);
	}
	json_decref(note);
	free(text);
}

void notes_load(struct domains *ds)
{
	struct dirent **list;
	int count = scandir(ds->machines_dir, &list, NULL, alphasort);
	uint8_t uuid[16];

	for (int n = 0; n < count; n++) {
		if (xuuid_parse(uuid, list[n]->d_name) == 0)
			load_one(ds, list[n]->d_name);
		free(list[n]);
	}
	if (count >= 0)
		free(list);
}
