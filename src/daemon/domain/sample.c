/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a running machine's disks and network cards have done. Its answers are not trusted: numbers are only numbers. */
#include "daemon/domain/domain_priv.h"

#include <stdlib.h>
#include <string.h>

struct asking {
	struct domain *domain;
	unsigned pending;
	void (*done)(void *opaque);
	void *opaque;
};

static uint64_t number(const json_t *o, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(o, name));

	return v > 0 ? (uint64_t)v : 0;
}

static void take_name(char out[DOMAIN_DEVICE_MAX], const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "device"));

	out[0] = 0;
	if (name && strlen(name) < DOMAIN_DEVICE_MAX)
		strcpy(out, name);
}

static void take_disk(struct domain_disk_sample *d, const json_t *o)
{
	const json_t *s = json_object_get(o, "stats");

	take_name(d->id, o);
	d->size = number(o, "size");
	d->read = (struct domain_count){ number(s, "rd_operations"), number(s, "rd_bytes"),
					 number(s, "rd_total_time_ns") };
	d->write = (struct domain_count){ number(s, "wr_operations"), number(s, "wr_bytes"),
					  number(s, "wr_total_time_ns") };
	d->flush = (struct domain_count){ number(s, "flush_operations"), 0, number(s, "flush_total_time_ns") };
	d->errors = number(s, "failed_rd_operations") + number(s, "failed_wr_operations") +
		    number(s, "failed_flush_operations") + number(s, "failed_unmap_operations");
}

static void take_nic(struct domain_nic_sample *n, const json_t *o)
{
	const json_t *s = json_object_get(o, "stats");

	take_name(n->id, o);
	n->rx_bytes = number(s, "rx_bytes");
	n->rx_packets = number(s, "rx_packets");
	n->rx_dropped = number(s, "rx_dropped");
	n->tx_bytes = number(s, "tx_bytes");
	n->tx_packets = number(s, "tx_packets");
}

static void answered(struct asking *a)
{
	struct asking gone = *a;

	if (--a->pending)
		return;
	free(a);
	gone.done(gone.opaque);
}

static void disks_came(void *opaque, const json_t *result, const struct err *e)
{
	struct asking *a = opaque;
	struct domain_sample *s = a->domain->sample;

	if (!s) /* the run has ended */
		result = NULL;
	else
		s->disk_count = 0;
	for (size_t n = 0; n < json_array_size(result) && n < DOMAIN_DISKS_MAX; n++)
		take_disk(&s->disk[s->disk_count++], json_array_get(result, n));
	answered(a);
}

static void nics_came(void *opaque, const json_t *result, const struct err *e)
{
	struct asking *a = opaque;
	struct domain_sample *s = a->domain->sample;

	if (!s)
		result = NULL;
	else
		s->nic_count = 0;
	for (size_t n = 0; n < json_array_size(result) && n < DOMAIN_NICS_MAX; n++)
		take_nic(&s->nic[s->nic_count++], json_array_get(result, n));
	answered(a);
}

static void take_balloon(struct domain_balloon_sample *b, const json_t *o)
{
	static const char *const names[BALLOON_STATS] = {
		"stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults", "stat-free-memory",
		"stat-total-memory", "stat-available-memory", "stat-disk-caches", "stat-htlb-pgalloc",
		"stat-htlb-pgfail",
	};
	const json_t *s = json_object_get(o, "stats");

	*b = (struct domain_balloon_sample){ .there = json_is_object(o), .bytes = number(o, "actual"),
					     .told_s = number(o, "last-update") };
	for (unsigned n = 0; n < BALLOON_STATS; n++) {
		b->has[n] = json_is_integer(json_object_get(s, names[n]));
		b->stat[n] = number(s, names[n]);
	}
}

static void balloon_came(void *opaque, const json_t *result, const struct err *e)
{
	struct asking *a = opaque;

	if (a->domain->sample)
		take_balloon(&a->domain->sample->balloon, result);
	answered(a);
}

int domain_balloon_period(struct domain *d, unsigned seconds, domain_done_fn done, void *opaque, struct fault *f)
{
	return domain_command(d, "balloon-stats", json_pack("{s:i}", "period", (int)seconds), done, opaque, f);
}

int domain_sample(struct domain *d, void (*done)(void *opaque), void *opaque)
{
	struct asking *a = d->machine ? malloc(sizeof(*a)) : NULL;

	if (!a)
		return -1;
	if (!d->sample)
		d->sample = calloc(1, sizeof(*d->sample));
	if (!d->sample) {
		free(a);
		return -1;
	}
	*a = (struct asking){ .domain = d, .pending = 3, .done = done, .opaque = opaque };
	if (machine_execute(d->machine, "query-blockstats", NULL, disks_came, a, NULL) < 0) {
		free(a);
		return -1;
	}
	/* Its own failure is an answer too: then the one that is under way tells. */
	if (machine_execute(d->machine, "query-nics", NULL, nics_came, a, NULL) < 0)
		answered(a);
	if (machine_execute(d->machine, "query-balloon", NULL, balloon_came, a, NULL) < 0)
		answered(a);
	return 0;
}

const struct domain_disk_sample *domain_disk_sample(const struct domain *d, const struct domdef_disk *k)
{
	char id[DOMDEF_ID_MAX];

	for (unsigned n = 0; d->sample && domdef_disk_id(k, id) && n < d->sample->disk_count; n++)
		if (!strcmp(d->sample->disk[n].id, id))
			return &d->sample->disk[n];
	return NULL;
}

const struct domain_nic_sample *domain_nic_sample(const struct domain *d, const struct domdef_interface *i)
{
	char id[DOMDEF_ID_MAX];

	for (unsigned n = 0; d->sample && domdef_nic_id(i, id) && n < d->sample->nic_count; n++)
		if (!strcmp(d->sample->nic[n].id, id))
			return &d->sample->nic[n];
	return NULL;
}
