/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal delete and undelete. A deleted machine goes to DATA/trash/NAME: its document and, where panal made them, its
 * own disks; undelete brings it back. What lies elsewhere is not touched.
 */
#include "cli/command.h"
#include "cli/home.h"
#include "cli/launch.h"
#include "cli/power.h"
#include "cli/say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_SECONDS = 90 };
enum { UNDEFINE_MANAGED_SAVE = 1, UNDEFINE_SNAPSHOTS = 2, UNDEFINE_KEEP_NVRAM = 8 }; /* libvirt's numbers */

struct places {
	struct path disks, trash, trash_disks, document;
};

static struct places places_of(const char *name)
{
	return (struct places){
		.disks = home_path("machines/%s", name),
		.trash = home_path("trash/%s", name),
		.trash_disks = home_path("trash/%s/disks", name),
		.document = home_path("trash/%s/machine.xml", name),
	};
}

static int move(const char *from, const char *to, struct err *e)
{
	if (rename(from, to) < 0 && errno != ENOENT)
		return err_errno(e, errno, _("cannot move %s to %s"), from, to);
	return 0;
}

/* The document is safe before the definition goes, and the disks move last: whatever happens in between, one of both
 * places has all that the other lacks, and delete or undelete can be said again. */
static int to_trash(struct conn *c, const struct machine *m, const struct places *p, struct err *e)
{
	char *xml = machine_xml(c, m, XML_INACTIVE | XML_SECURE, e);
	int ret = xml ? home_remove(p->trash.s, e) : -EREMOTEIO;

	if (ret == 0)
		ret = home_make_dir(p->trash.s, e);
	if (ret == 0)
		ret = home_write(p->document.s, xml, e);
	free(xml);
	if (ret == 0)
		ret = machine_call(c, m, "DOMAIN_UNDEFINE_FLAGS", UNDEFINE_MANAGED_SAVE | UNDEFINE_SNAPSHOTS |
				   UNDEFINE_KEEP_NVRAM, e);
	return ret == 0 ? move(p->disks.s, p->trash_disks.s, e) : ret;
}

static int delete(struct conn *c, const char *name, bool force, bool purge, struct err *e)
{
	const struct places p = places_of(name);
	struct machine m;
	int ret = home_check_name(name, e);

	if (ret == 0)
		ret = machine_find(c, name, &m, e);
	if (ret < 0)
		return ret;
	if (m.id >= 0)
		ret = power_off(c, &m, force, STOP_SECONDS, e);
	if (ret == 0)
		ret = to_trash(c, &m, &p, e);
	machine_free(&m);
	if (ret == 0 && purge)
		return home_remove(p.trash.s, e);
	if (ret == 0)
		fprintf(stderr, _("%s is deleted. Undo: panal undelete %s   For good: panal delete --purge %s\n"), name,
			name, name);
	return ret;
}

/* What is in the trash already, for good. */
static int purge_trash(const char *name, struct err *e)
{
	const struct places p = places_of(name);

	if (home_check_name(name, e) < 0)
		return e->code;
	if (access(p.document.s, F_OK) < 0)
		return err_set(e, -ENOENT, _("there is no machine %s, and none in the trash"), name);
	return home_remove(p.trash.s, e);
}

static int undelete(struct conn *c, const char *name, struct err *e)
{
	const struct places p = places_of(name);
	struct machine m;
	char *xml;
	int ret = home_check_name(name, e);

	if (ret < 0)
		return ret;
	if (machine_find(c, name, &m, NULL) == 0) {
		machine_free(&m);
		return err_set(e, -EEXIST, _("there is another machine %s now; rename or delete that first"), name);
	}
	xml = access(p.document.s, F_OK) == 0 ? home_read(p.document.s, e) : NULL;
	if (!xml)
		return err_set(e, -ENOENT, _("there is no %s in the trash"), name);
	if (access(p.trash_disks.s, F_OK) == 0)
		ret = move(p.trash_disks.s, p.disks.s, e);
	if (ret == 0)
		ret = launch_define(c, xml, e);
	free(xml);
	return ret == 0 ? home_remove(p.trash.s, e) : ret;
}

static int usage(const char *command, bool asked)
{
	fprintf(asked ? stdout : stderr, _("usage: panal delete [--force] [--purge] [-c URI] NAME...\n"
		"       panal undelete [-c URI] NAME...\n"));
	return asked ? 0 : 2;
}

int delete_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"force", no_argument, NULL, 'f'},
		{"purge", no_argument, NULL, 'p'},
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const bool undo = argv[0][0] == 'u';
	const char *uri = NULL;
	bool force = false, purge = false;
	struct conn *c = NULL;
	struct err e = { 0 };
	int status = 0;

	for (int o; (o = getopt_long(argc, argv, "fc:h", longs, NULL)) != -1;)
		switch (o) {
		case 'f': force = true; break;
		case 'p': purge = true; break;
		case 'c': uri = optarg; break;
		default: return usage(argv[0], o == 'h');
		}
	if (optind == argc)
		return usage(argv[0], false);
	if (conn_open(&c, uri, &e) < 0)
		return say_err(argv[0], &e);
	for (int n = optind; n < argc; n++) {
		int ret = undo ? undelete(c, argv[n], &e) : delete(c, argv[n], force, purge, &e);

		if (ret < 0 && !undo && purge && purge_trash(argv[n], NULL) == 0)
			ret = 0;
		status |= ret < 0 ? say_err(argv[0], &e) : 0;
	}
	conn_close(c);
	return status;
}
