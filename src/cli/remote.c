/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/remote.h"

#include "cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT_NO_DOMAIN = 42 };

/* ---- one machine ---- */

/* A reference is name, UUID, number. */
static int take_reference(struct machine *m, const struct value *ref, struct err *e)
{
	m->name = strdup(ref->items[0].s);
	if (!m->name)
		return err_set(e, -ENOMEM, _("no memory"));
	memcpy(m->uuid, ref->items[1].x, UUID_SIZE);
	m->id = ref->items[2].i;
	return 0;
}

void machine_args(struct xdr_out *o, const struct machine *m)
{
	xdr_out_init(o);
	xdr_string(o, m->name);
	xdr_uuid(o, m->uuid);
	xdr_i32(o, m->id);
}

int machine_find(struct conn *c, const char *name, struct machine *m, struct err *e)
{
	struct xdr_out args;
	struct reply r;
	int ret;

	*m = (struct machine){ .id = -1 };
	xdr_out_init(&args);
	xdr_string(&args, name);
	ret = conn_call(c, "DOMAIN_LOOKUP_BY_NAME", &args, &r, e);
	xdr_out_free(&args);
	if (ret == 0)
		ret = take_reference(m, &r.v.item[0], e);
	else if (conn_fault(c) == FAULT_NO_DOMAIN)
		err_set(e, ret, _("there is no machine %s; panal ls lists them"), name);
	reply_free(&r);
	return ret;
}

void machine_free(struct machine *m)
{
	free(m->name);
	m->name = NULL;
}

int machine_call(struct conn *c, const struct machine *m, const char *proc, int64_t flags, struct err *e)
{
	struct xdr_out args;
	int ret;

	machine_args(&args, m);
	if (flags >= 0)
		xdr_u32(&args, (uint32_t)flags);
	ret = conn_call(c, proc, &args, NULL, e);
	xdr_out_free(&args);
	return ret;
}

int machine_state(struct conn *c, const struct machine *m, struct err *e)
{
	struct xdr_out args;
	struct reply r;
	int ret;

	machine_args(&args, m);
	xdr_u32(&args, 0);
	ret = conn_call(c, "DOMAIN_GET_STATE", &args, &r, e);
	xdr_out_free(&args);
	if (ret == 0)
		ret = r.v.item[0].i;
	reply_free(&r);
	return ret;
}

int document_call(struct conn *c, const char *proc, const char *xml, struct err *e)
{
	struct xdr_out args;
	int ret;

	xdr_out_init(&args);
	xdr_string(&args, xml);
	xdr_u32(&args, 0);
	ret = conn_call(c, proc, &args, NULL, e);
	xdr_out_free(&args);
	return ret;
}

char *machine_xml(struct conn *c, const struct machine *m, uint32_t flags, struct err *e)
{
	struct xdr_out args;
	struct reply r;
	char *xml = NULL;

	machine_args(&args, m);
	xdr_u32(&args, flags);
	if (conn_call(c, "DOMAIN_GET_XML_DESC", &args, &r, e) == 0) {
		xml = strdup(r.v.item[0].s);
		if (!xml)
			err_set(e, -ENOMEM, _("no memory"));
	}
	xdr_out_free(&args);
	reply_free(&r);
	return xml;
}

/* ---- all of them ---- */

/* How a statistic's field, "net.3.rx.bytes" without its number, adds to a machine. */
static const struct stat_row {
	const char *field;
	size_t offset;
} stat_rows[] = {
	{"cpu.time", offsetof(struct machine, cpu_ns)},
	{"balloon.current", offsetof(struct machine, memory_kib)},
	{"balloon.rss", offsetof(struct machine, resident_kib)},
	{"block.rd.bytes", offsetof(struct machine, read_bytes)},
	{"block.wr.bytes", offsetof(struct machine, written_bytes)},
	{"net.rx.bytes", offsetof(struct machine, received_bytes)},
	{"net.tx.bytes", offsetof(struct machine, sent_bytes)},
};

/* The field's name without numbers between its dots. */
static void plain_name(char *out, size_t size, const char *field)
{
	size_t len = 0;

	for (; *field && len + 1 < size; field++) {
		if (*field == '.' && field[1] >= '0' && field[1] <= '9') {
			field += 1 + strspn(field + 1, "0123456789");
			if (!*field)
				break;
		}
		out[len++] = *field;
	}
	out[len] = 0;
}

static void take_stat(struct machine *m, const char *field, const struct value *v)
{
	char name[96];

	plain_name(name, sizeof(name), field);
	if (!strcmp(name, "state.state") && v->typed == TYPED_INT)
		m->state = v->i;
	else if (!strcmp(name, "vcpu.current") && v->typed == TYPED_UINT)
		m->vcpus = v->u;
	for (size_t n = 0; n < COUNT_OF(stat_rows); n++)
		if (!strcmp(name, stat_rows[n].field) && v->typed == TYPED_ULLONG)
			*(uint64_t *)((char *)m + stat_rows[n].offset) += v->H;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct machine *)a)->name, ((const struct machine *)b)->name);
}

/* A record is a reference and its typed parameters: field and value, in turn. */
static int take_record(struct machine *m, const struct value *record, struct err *e)
{
	const struct value *params = &record[1];
	int ret = take_reference(m, &record[0], e);

	for (uint32_t n = 0; ret == 0 && n < params->count; n++)
		take_stat(m, params->items[n * params->width].s, &params->items[n * params->width + 1]);
	return ret;
}

int machines_get(struct conn *c, struct machines *all, struct err *e)
{
	const struct value *list;
	struct xdr_out args;
	struct reply r;
	int ret;

	*all = (struct machines){ 0 };
	xdr_out_init(&args);
	xdr_u32(&args, 0); /* no list of machines: all */
	xdr_u32(&args, 0); /* all groups */
	xdr_u32(&args, 0);
	ret = conn_call(c, "CONNECT_GET_ALL_DOMAIN_STATS", &args, &r, e);
	xdr_out_free(&args);
	if (ret == 0) {
		list = &r.v.item[0];
		all->v = calloc(list->count + 1, sizeof(*all->v));
		ret = all->v ? 0 : err_set(e, -ENOMEM, _("no memory"));
		for (; ret == 0 && all->n < list->count; all->n++)
			ret = take_record(&all->v[all->n], &list->items[all->n * list->width], e);
	}
	reply_free(&r);
	if (ret == 0)
		qsort(all->v, all->n, sizeof(*all->v), by_name);
	else
		machines_free(all);
	return ret;
}

void machines_free(struct machines *all)
{
	for (unsigned n = 0; n < all->n; n++)
		free(all->v[n].name);
	free(all->v);
	*all = (struct machines){ 0 };
}
