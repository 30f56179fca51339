/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/doctor.h"

#include "base/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_name[] = {[DOCTOR_OK] = "OK", [DOCTOR_WARN] = "WARN", [DOCTOR_FAIL] = "FAIL"};

static void print_text(const struct doctor_report *r, FILE *out)
{
	for (unsigned n = 0; n < r->count; n++) {
		const struct doctor_line *l = &r->line[n];
		fprintf(out, "%-5s%-18s%s\n", status_name[l->status], l->id, l->text);
		if (l->remedy[0])
			fprintf(out, "     %-18s-> %s\n", "", l->remedy);
	}
}

static void print_json(const struct doctor_report *r, FILE *out)
{
	json_t *lines = json_array();
	for (unsigned n = 0; n < r->count; n++) {
		const struct doctor_line *l = &r->line[n];
		json_array_append_new(lines, json_pack("{s:s, s:s, s:s, s:s}", "id", l->id, "status",
						       status_name[l->status], "text", l->text, "remedy", l->remedy));
	}
	json_t *all = json_pack("{s:b, s:o}", "can-run", r->can_run, "checks", lines);
	json_dumpf(all, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(all);
}

int doctor_run(const struct doctor_source *source, FILE *out, bool json)
{
	struct doctor_facts *f = calloc(1, sizeof(*f));
	struct doctor_report *r = calloc(1, sizeof(*r));
	int status = 1;
	if (f && r) {
		source->kvm(&f->kvm);
		source->who(&f->who, &f->kvm);
		source->speed(&f->speed, &f->kvm);
		source->host(&f->host);
		doctor_judge(f, r);
		if (json)
			print_json(r, out);
		else
			print_text(r, out);
		status = r->can_run ? 0 : 1;
	}
	free(f);
	free(r);
	return status;
}

static void usage(FILE *out)
{
	fputs(_("usage: panal doctor [--json]\n"
		"Says what of this host a machine can use, and what to do where something is missing.\n"
		"Exit status: 0 when a machine can run here with some accelerator, 1 when not, 2 for a wrong command "
		"line.\n"),
	      out);
}

int doctor_main(int argc, char **argv)
{
	bool json = false;
	for (int n = 1; n < argc; n++) {
		if (!strcmp(argv[n], "--json")) {
			json = true;
		} else if (!strcmp(argv[n], "--help") || !strcmp(argv[n], "-h")) {
			usage(stdout);
			return 0;
		} else {
			fprintf(stderr, _("panal doctor: unknown argument '%s'\n"), argv[n]);
			usage(stderr);
			return 2;
		}
	}
	return doctor_run(&doctor_this_host, stdout, json);
}
