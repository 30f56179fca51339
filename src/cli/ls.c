/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal ls: the machines, what they are doing, and where they are reached. */
#include "cli/address.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/say.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char *const heads[] = {N_("NAME"), N_("STATE"), N_("CPUS"), N_("MEMORY"), N_("ADDRESS")};

static json_t *machine_json(const struct machine *m, const struct address *a)
{
	json_t *o = json_pack("{s:s, s:s, s:i, s:I}", "name", m->name, "state", state_name(m->state), "cpus",
			      (int)m->vcpus, "memory", (json_int_t)m->memory_kib * 1024);

	if (m->id >= 0)
		json_object_set_new(o, "id", json_integer(m->id));
	if (a->host[0])
		json_object_set_new(o, "address", json_string(a->host));
	if (a->ssh_port)
		json_object_set_new(o, "ssh-port", json_integer(a->ssh_port));
	return o;
}

static void machine_row(struct table *t, const struct machine *m, const struct address *a)
{
	char memory[16];

	size_text(memory, sizeof(memory), m->memory_kib * 1024.0);
	table_cell(t, "%s", m->name);
	table_cell(t, "%s", _(state_name(m->state)));
	table_cell(t, "%u", m->vcpus);
	table_cell(t, "%s", memory);
	if (a->ssh_port && a->ssh_port != 22)
		table_cell(t, "%s:%u", a->host, a->ssh_port);
	else
		table_cell(t, "%s", a->host);
}

static void list(struct conn *c, const struct machines *all, bool json)
{
	json_t *array = json_array();
	struct table t;

	table_begin(&t, COUNT_OF(heads), heads);
	for (unsigned n = 0; n < all->n; n++) {
		struct address a = { 0 };

		if (all->v[n].id >= 0)
			(void)!address_find(c, &all->v[n], &a, NULL);
		machine_row(&t, &all->v[n], &a);
		json_array_append_new(array, machine_json(&all->v[n], &a));
	}
	if (json) {
		say_json(array);
		table_drop(&t);
		return;
	}
	json_decref(array);
	if (all->n)
		table_print(&t);
	else
		table_drop(&t);
	if (!all->n)
		fputs(_("There is no machine yet. panal launch debian NAME makes one.\n"), stderr);
}

int ls_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'},
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *uri = NULL;
	struct machines all;
	struct conn *c;
	struct err e = { 0 };
	bool json = false, quiet = false;
	int ret;

	for (int o; (o = getopt_long(argc, argv, "qc:h", longs, NULL)) != -1;) {
		if (o == 'h' || o == '?') {
			fputs(_("usage: panal ls [--json] [-q] [-c URI]\n"), o == 'h' ? stdout : stderr);
			return o == 'h' ? 0 : 2;
		}
		json |= o == 'j';
		quiet |= o == 'q';
		uri = o == 'c' ? optarg : uri;
	}
	ret = conn_open(&c, uri, &e);
	if (ret == 0)
		ret = machines_get(c, &all, &e);
	if (ret == 0) {
		for (unsigned n = 0; quiet && n < all.n; n++)
			puts(all.v[n].name);
		if (!quiet)
			list(c, &all, json);
		machines_free(&all);
	}
	conn_close(c);
	return ret < 0 ? say_err("ls", &e) : 0;
}
