/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal clone: a machine that is off, once more under another name: its disks copied, its addresses, name and keys its
 * own. Only what panal launch made is cloned; virt-clone does others.
 */
#include "cli/address.h"
#include "cli/command.h"
#include "cli/disk.h"
#include "cli/document.h"
#include "cli/launch.h"
#include "cli/say.h"
#include "cli/stage.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The machine's folder in a path becomes the clone's. */
static void move_disks(struct document *d, const struct path *from, const struct path *to)
{
	static const char xpath[] = "/domain/devices/disk/source/@file";
	char path[2 * PATH_MAX], *file;
	size_t len = strlen(from->s);

	for (unsigned n = 0; (file = document_text(d, xpath, n)) != NULL; n++) {
		if (!strncmp(file, from->s, len) && file[len] == '/') {
			snprintf(path, sizeof(path), "%s%s", to->s, file + len);
			document_set(d, xpath, n, path);
		}
		free(file);
	}
}

/* The same machine but for what must be its own. */
static char *clone_document(const char *xml, const struct launch *l, const struct path *from, struct err *e)
{
	struct document *d;
	char port[16], *text;

	if (document_parse(&d, xml, e) < 0)
		return NULL;
	document_set(d, "/domain/name", 0, l->name);
	document_set(d, "/domain/uuid", 0, NULL);
	document_set(d, "/domain/devices/interface/mac", 0, NULL);
	move_disks(d, from, &l->dir);
	if (document_forward(d, 22)) {
		snprintf(port, sizeof(port), "%u", l->ssh_port);
		document_set(d, "/domain/devices/interface/portForward/range[@to='22']/@start", 0, port);
	}
	text = document_print(d);
	document_free(d);
	if (!text)
		err_set(e, -ENOMEM, _("no memory"));
	return text;
}

static int make(struct conn *c, const struct machine *m, struct launch *l, const struct path *from, struct err *e)
{
	char source[PATH_MAX + 16], target[PATH_MAX + 16], *xml, *own = NULL;
	int ret = home_make_dir(l->dir.s, e);

	snprintf(source, sizeof(source), "%s/disk.qcow2", from->s);
	snprintf(target, sizeof(target), "%s/disk.qcow2", l->dir.s);
	if (ret == 0)
		ret = disk_copy(source, target, e);
	if (ret == 0)
		ret = launch_seed(l, e);
	if (ret < 0)
		return ret;
	xml = machine_xml(c, m, XML_INACTIVE | XML_SECURE, e);
	if (xml)
		own = clone_document(xml, l, from, e);
	ret = own ? launch_define(c, own, e) : -EIO;
	free(own);
	free(xml);
	return ret;
}

static int clone(struct conn *c, const struct machine *m, const char *name, struct err *e)
{
	const struct path from = home_path("machines/%s", m->name);
	struct launch l = { .name = name, .dir = home_path("machines/%s", name) };
	char *user = launch_user(m->name, e);
	struct stage s;
	int ret = user ? home_check_name(name, e) :
			 err_set(e, -ENOENT,
				 _("panal launch did not make %s; virt-clone copies machines of other kinds"), m->name);

	if (ret == 0 && m->id >= 0)
		ret = err_set(e, -EINVAL, _("%s runs; a disk in use cannot be copied: panal stop %s first"), m->name,
			      m->name);
	if (ret == 0 && access(l.dir.s, F_OK) == 0)
		ret = err_set(e, -EEXIST, _("there is a machine %s already"), name);
	if (ret == 0)
		ret = launch_pick_port(&l, c, e);
	if (ret == 0) {
		l.user = user;
		stage_begin(&s, _("clone"));
		ret = make(c, m, &l, &from, e);
		if (ret == 0)
			stage_done(&s, name);
		else
			stage_failed(&s, name);
		if (ret < 0)
			(void)!home_remove(l.dir.s, NULL);
	}
	free(user);
	return ret;
}

int clone_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *uri = NULL;
	struct conn *c = NULL;
	struct machine m = { 0 };
	struct err e = { 0 };
	bool asked = false;
	int ret;

	for (int o; (o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1;) {
		if (o != 'c') {
			asked = o == 'h';
			optind = argc;
		}
		uri = o == 'c' ? optarg : uri;
	}
	if (optind + 2 != argc) {
		fputs(_("usage: panal clone [-c URI] NAME NEW-NAME\n"), asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	ret = conn_open(&c, uri, &e);
	if (ret == 0)
		ret = machine_find(c, argv[optind], &m, &e);
	if (ret == 0)
		ret = clone(c, &m, argv[optind + 1], &e);
	machine_free(&m);
	conn_close(c);
	return ret < 0 ? say_err("clone", &e) : 0;
}
