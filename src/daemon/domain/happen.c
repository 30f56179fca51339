/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens in a running machine and is told on: failures of disks, the guest's clock and memory. */
#include "daemon/domain/domain_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct domdef_disk *disk_named(const struct domain *d, const json_t *name)
{
	const char *wanted = json_string_value(name);
	char id[DOMDEF_ID_MAX];

	for (unsigned n = 0; wanted && n < d->def->disks.n; n++)
		if (domdef_disk_id(d->def->disks.v[n], id) && !strcmp(id, wanted))
			return d->def->disks.v[n];
	return NULL;
}

static void stopped_by(struct domain *d, const struct domdef_disk *k, bool full)
{
	enum { SUSPENDED_IOERROR = 2, ERROR_UNSPECIFIED = 1, ERROR_NO_SPACE = 2 };

	if (!d->disk_errors)
		d->disk_errors = json_object();
	json_object_set_new(d->disk_errors, k->target, json_integer(full ? ERROR_NO_SPACE : ERROR_UNSPECIFIED));
	if (d->state != DOMAIN_RUNNING)
		return;
	domain_set_state(d, DOMAIN_PAUSED, PAUSED_IOERROR);
	domain_note(d);
	domain_lifecycle(d, EVENT_SUSPENDED, SUSPENDED_IOERROR);
}

static void on_io_error(struct domain *d, const json_t *data)
{
	static const char *const actions[] = { "ignore", "stop", "report" }; /* by libvirt's numbers */
	const struct domdef_disk *k = disk_named(d, json_object_get(data, "device"));
	const char *action = json_string_value(json_object_get(data, "action"));
	bool full = json_is_true(json_object_get(data, "nospace"));

	for (int n = 0; k && action && n < (int)COUNT_OF(actions); n++)
		if (!strcmp(action, actions[n])) {
			d->all->watcher.io_error(d->all->watcher.opaque, d, k, n, full ? "enospc" : "");
			if (n == 1)
				stopped_by(d, k, full);
		}
}

static void on_threshold(struct domain *d, const json_t *data)
{
	const struct domdef_disk *k = disk_named(d, json_object_get(data, "node-name"));

	if (k)
		d->all->watcher.threshold(d->all->watcher.opaque, d, k,
					  (uint64_t)json_integer_value(json_object_get(data, "write-threshold")),
					  (uint64_t)json_integer_value(json_object_get(data, "amount-exceeded")));
}

/* A clock that is the guest's own affair keeps what the guest made of it. */
static void on_clock(struct domain *d, const json_t *data)
{
	int64_t offset = json_integer_value(json_object_get(data, "offset"));
	char *text = NULL;

	if (d->def->clock.offset == DOM_OFFSET_VARIABLE && asprintf(&text, "%lld", (long long)offset) > 0) {
		free(d->def->clock.adjustment);
		d->def->clock.adjustment = text;
		domain_note(d);
	}
	d->all->watcher.clock(d->all->watcher.opaque, d, offset);
}

void domain_happened(struct domain *d, const char *name, const json_t *data)
{
	if (!strcmp(name, "BLOCK_IO_ERROR"))
		on_io_error(d, data);
	else if (!strcmp(name, "BLOCK_WRITE_THRESHOLD"))
		on_threshold(d, data);
	else if (!strcmp(name, "RTC_CHANGE"))
		on_clock(d, data);
	else if (!strcmp(name, "BALLOON_CHANGE"))
		d->all->watcher.balloon(d->all->watcher.opaque, d,
					(uint64_t)json_integer_value(json_object_get(data, "actual")) / 1024);
}
