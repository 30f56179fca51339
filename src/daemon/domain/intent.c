/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running machine is about to be told, noted before it is told: a daemon that is killed leaves an intent, and
 * the next one asks the machine whether it was carried out. The machine's word is the tag of the command that it did
 * last. What the guest was asked to give up is noted until it has, for it may do so while there is no daemon.
 */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"
#include "core/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- by the daemon that has it ---- */

void domain_intend(struct domain *d, struct intent *in)
{
	uint64_t word[2] = { 0 };

	if (getrandom(word, sizeof(word), 0) != sizeof(word))
		word[0] = (uint64_t)clock_now(timerq_clock(loop_timers(d->all->daemon->loop)));
	snprintf(in->tag, sizeof(in->tag), "%016llx%016llx", (unsigned long long)word[0], (unsigned long long)word[1]);
	d->intent = in;
}

int intent_begin(struct domain *d, json_t *arguments, struct fault *f)
{
	struct err e = { 0 };

	if (!d->intent)
		return 0;
	d->intent->noted = true;
	json_object_set_new(arguments, "tag", json_string(d->intent->tag));
	return note_write(d, NOTE_RUNNING, &e) < 0 ? fault_from_err(f, FAULT_SYSTEM, FROM_DOMAIN, &e) : 0;
}

/* The next start's definition, once it is on disk. */
static int replace_config(struct domain *d, struct domdef **config, struct fault *f)
{
	struct domdef **place = d->next ? &d->next : &d->def, *old = *place;

	*place = *config;
	*config = NULL;
	if (domain_save(d, f) < 0) {
		domdef_free(*place);
		*place = old;
		return -1;
	}
	domdef_free(old);
	return 0;
}

static void replace_live(struct domain *d, struct domdef **live)
{
	domdef_free(d->def);
	d->def = *live;
	*live = NULL;
}

int domain_settle(struct domain *d, struct intent *in, bool done, struct fault *f)
{
	bool active = d->machine, mine = d->intent == in, changed = done && (in->live || in->leaving[0]);
	int ret = 0;

	if (done && in->config && in->live && !d->next && d->persistent)
		ret = fault_set(f, FAULT_INTERNAL, FROM_DOMAIN, "one definition for two");
	else if (done && in->config)
		ret = replace_config(d, &in->config, f);
	if (done && in->live)
		replace_live(d, &in->live);
	if (done && in->leaving[0] && domain_has_device(d, in->leaving)) /* what is on USB goes at once */
		leaving_add(d, in->leaving);
	if (mine)
		d->intent = NULL;
	if (active && mine && (in->noted || changed))
		domain_note(d);
	return ret;
}

/* ---- what the guest was asked to give up ---- */

void leaving_add(struct domain *d, const char *id)
{
	leaving_remove(d, id);
	if (!d->leaving)
		d->leaving = json_array();
	json_array_append_new(d->leaving, json_string(id));
}

bool leaving_remove(struct domain *d, const char *id)
{
	for (size_t n = 0; n < json_array_size(d->leaving); n++)
		if (!strcmp(json_string_value(json_array_get(d->leaving, n)), id))
			return json_array_remove(d->leaving, n) == 0;
	return false;
}

/* ---- the note ---- */

static int put_document(json_t *o, const char *key, const struct domdef *def, unsigned flags)
{
	char *xml = def ? domdef_format(def, flags) : NULL;

	if (xml)
		json_object_set_new(o, key, json_string(xml));
	free(xml);
	return def && !xml ? -1 : 0;
}

json_t *intent_json(const struct intent *in)
{
	json_t *o = json_pack("{s:s, s:s}", "tag", in->tag, "leaving", in->leaving);

	if (o && put_document(o, "live", in->live, DOMDEF_FORMAT_SECURE) == 0 &&
	    put_document(o, "config", in->config, DOMDEF_FORMAT_SECURE | DOMDEF_FORMAT_INACTIVE) == 0)
		return o;
	json_decref(o);
	return NULL;
}

static int document(const json_t *o, const char *key, unsigned flags, struct domdef **out, struct err *e)
{
	const char *xml = json_string_value(json_object_get(o, key));

	return xml ? domdef_parse(out, xml, strlen(xml), flags, e) : 0;
}

static void intent_free(struct intent *in)
{
	domdef_free(in->live);
	domdef_free(in->config);
	free(in);
}

static struct intent *intent_read(const json_t *o, struct err *e)
{
	const char *tag = json_string_value(json_object_get(o, "tag"));
	const char *leaving = json_string_value(json_object_get(o, "leaving"));
	struct intent *in = calloc(1, sizeof(*in));
	int ret = in && tag && *tag ? 0 : err_set(e, -EINVAL, "it is broken");

	if (ret == 0) {
		*in = (struct intent){ .found = true, .noted = true };
		snprintf(in->tag, sizeof(in->tag), "%s", tag);
		snprintf(in->leaving, sizeof(in->leaving), "%s", leaving ? leaving : "");
		ret = document(o, "live", DOMDEF_PARSE_LIVE, &in->live, e);
	}
	if (ret == 0)
		ret = document(o, "config", 0, &in->config, e);
	if (ret == 0)
		return in;
	if (in)
		intent_free(in);
	return NULL;
}

void intent_restore(struct domain *d, const json_t *note)
{
	const json_t *o = json_object_get(note, "intent"), *list = json_object_get(note, "leaving");
	struct err e = { 0 };

	for (size_t n = 0; n < json_array_size(list); n++)
		if (json_is_string(json_array_get(list, n)))
			leaving_add(d, json_string_value(json_array_get(list, n)));
	d->intent = o ? intent_read(o, &e) : NULL;
	if (o && !d->intent)
		log_line(LOG_WARNING, "%s: what it was about to be told is not known: %s", domain_name(d), e.text);
}

void intent_forget(struct domain *d)
{
	if (d->intent && d->intent->found)
		intent_free(d->intent);
	d->intent = NULL;
	json_decref(d->leaving);
	d->leaving = NULL;
}

/* ---- by the daemon that found it ---- */

static const json_t *device_of(const json_t *list, const char *id)
{
	for (size_t n = 0; n < json_array_size(list); n++) {
		const json_t *o = json_array_get(list, n);
		const char *name = json_string_value(json_object_get(o, "device"));

		if (name && !strcmp(name, id))
			return o;
	}
	return NULL;
}

/* What was given up, or refused, while nobody heard it. */
static void devices_known(void *opaque, const json_t *result, const struct err *e)
{
	struct domain *d = opaque;
	json_t *asked = json_deep_copy(d->leaving);

	for (size_t n = 0; d->machine && result && n < json_array_size(asked); n++) {
		const char *id = json_string_value(json_array_get(asked, n));
		const json_t *o = device_of(result, id);

		if (!o)
			domain_device_gone(d, id);
		else if (!json_is_true(json_object_get(o, "unplugging")))
			leaving_remove(d, id);
	}
	json_decref(asked);
	if (d->machine)
		domain_adopted(d);
}

static void ask_devices(struct domain *d)
{
	if (!json_array_size(d->leaving))
		domain_adopted(d);
	else if (machine_execute(d->machine, "query-devices", NULL, devices_known, d, NULL) < 0)
		machine_end(d->machine);
}

static void tag_known(void *opaque, const json_t *result, const struct err *e)
{
	struct domain *d = opaque;
	const char *tag = json_string_value(json_object_get(result, "tag"));
	struct intent *in = d->intent;
	struct fault f = { 0 };

	if (!d->machine || !in) /* its end follows */
		return;
	if (domain_settle(d, in, tag && !strcmp(tag, in->tag), &f) < 0)
		log_line(LOG_ERROR, "%s: %s", domain_name(d), f.text);
	intent_free(in);
	ask_devices(d);
}

void intent_ask(struct domain *d)
{
	/* What was handed to it and not used is still there. */
	for (unsigned n = 0; n < DOMAIN_HAND_FDS; n++)
		if (machine_execute(d->machine, "remove-fd", json_pack("{s:i}", "fdset-id", DOMAIN_HAND_SET + (int)n),
				    NULL, NULL, NULL) < 0)
			break;
	if (!d->intent)
		ask_devices(d);
	else if (machine_execute(d->machine, "query-tag", NULL, tag_known, d, NULL) < 0)
		machine_end(d->machine);
}
