/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal launch: from nothing to a machine that one can log in to, stage by stage. */
#include "cli/launch.h"

#include "base/opt.h"
#include "cli/address.h"
#include "cli/command.h"
#include "cli/disk.h"
#include "cli/reach.h"
#include "cli/recipe.h"
#include "cli/say.h"
#include "cli/stage.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BOOT_SECONDS = 600, POLL_MS = 200, CPUS_MAX = 64 };

/* ---- stages ---- */

static int create(struct launch *l, struct conn *c, struct err *e)
{
	char path[PATH_MAX + 16], raw[PATH_MAX + 16], *xml;
	int ret = home_make_dir(l->dir.s, e);

	if (ret == 0 && !l->network && !l->ssh_port)
		ret = launch_pick_port(l, c, e);
	snprintf(path, sizeof(path), "%s/disk.qcow2", l->dir.s);
	snprintf(raw, sizeof(raw), "%s/root.img", l->image.s);
	if (ret == 0)
		ret = disk_overlay(path, raw, l->disk, e);
	if (ret == 0)
		ret = launch_seed(l, e);
	if (ret < 0)
		return ret;
	xml = launch_document(l);
	ret = xml ? launch_define(c, xml, e) : err_set(e, -ENOMEM, _("no memory"));
	free(xml);
	return ret;
}

/* A name that is in use, or whose folder is there, is refused before anything is made. */
static int check_new(const struct launch *l, struct conn *c, struct err *e)
{
	struct machine m;
	int ret = home_check_name(l->name, e);

	if (ret < 0)
		return ret;
	ret = machine_find(c, l->name, &m, NULL);
	machine_free(&m);
	if (ret == 0)
		return err_set(e, -EEXIST, _("there is a machine %s already; take another name, or panal delete %s"),
			       l->name, l->name);
	if (access(l->dir.s, F_OK) == 0)
		return err_set(e, -EEXIST, _("%s is left from a machine that is gone; remove it or take another name"),
			       l->dir.s);
	return 0;
}

/* Waits for ssh to answer. A machine that stops meanwhile is a failure, one that is slow is not undone. */
static int wait_for_ssh(const struct launch *l, struct conn *c, struct address *a, struct err *e)
{
	struct machine m;
	struct stage s;
	int ret = machine_find(c, l->name, &m, e);

	if (ret < 0)
		return ret;
	stage_begin(&s, _("boot"));
	stage_part(&s, _("until ssh answers"));
	do {
		stage_tick(&s);
		poll(NULL, 0, POLL_MS);
		ret = machine_state(c, &m, e);
		if (ret == MACHINE_OFF || ret == MACHINE_CRASHED)
			ret = err_set(e, -EIO, _("it stopped before it was ready; panal start %s and panal console %s "
				      "show why"), l->name, l->name);
		else if (ret >= 0)
			ret = address_find(c, &m, a, e);
	} while (ret == 0 && !(a->ssh_port && reach_ssh(a->host, a->ssh_port)) && stage_seconds(&s) < BOOT_SECONDS);
	if (ret == 0 && stage_seconds(&s) >= BOOT_SECONDS)
		ret = err_set(e, -ETIMEDOUT, _("ssh does not answer yet; the machine goes on: panal console %s shows "
			      "what it does"), l->name);
	if (ret == 0)
		stage_done(&s, _("ssh answers"));
	else
		stage_failed(&s, l->name);
	machine_free(&m);
	return ret;
}

static int start(struct launch *l, struct conn *c, struct err *e)
{
	struct machine m;
	int ret = machine_find(c, l->name, &m, e);

	if (ret == 0)
		ret = machine_call(c, &m, "DOMAIN_CREATE", -1, e);
	machine_free(&m);
	return ret;
}

static int stage(const char *what, int (*run)(struct launch *l, struct conn *c, struct err *e), struct launch *l,
		 struct conn *c, const char *detail, struct err *e)
{
	struct stage s;
	int ret;

	stage_begin(&s, what);
	ret = run(l, c, e);
	if (ret == 0)
		stage_done(&s, detail);
	else
		stage_failed(&s, l->name);
	return ret;
}

/* ---- the end ---- */

static void show(const struct launch *l, const struct address *a, double seconds)
{
	static const char *const heads[] = {N_("NAME"), N_("USER"), N_("ADDRESS"), N_("CPUS"), N_("MEMORY"),
		N_("DISK")};
	char memory[16], disk[16];
	struct table t;

	if (l->json) {
		say_json(json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:f}", "name", l->name, "user", l->user,
				   "address", a->host, "ssh-port", (int)a->ssh_port, "cpus", (int)l->cpus, "memory",
				   (json_int_t)l->memory, "disk", (json_int_t)l->disk, "seconds", seconds));
		return;
	}
	size_text(memory, sizeof(memory), l->memory);
	size_text(disk, sizeof(disk), l->disk);
	table_begin(&t, COUNT_OF(heads), heads);
	table_cell(&t, "%s", l->name);
	table_cell(&t, "%s", l->user);
	table_cell(&t, a->ssh_port ? "%s:%u" : "%s", a->host, a->ssh_port);
	table_cell(&t, "%u", l->cpus);
	table_cell(&t, "%s", memory);
	table_cell(&t, "%s", disk);
	table_print(&t);
	printf(_("Ready in %.0f s.  Shell: panal shell %s   Console: panal console %s   Undo: panal delete %s\n"),
	       seconds, l->name, l->name, l->name);
}

static int launch(struct launch *l)
{
	struct address a = { 0 };
	struct conn *c = NULL;
	struct stage all = { 0 };
	struct err e = { 0 };
	int ret = conn_open(&c, l->uri, &e);

	stage_begin(&all, "");
	l->dir = home_path("machines/%s", l->name);
	l->image = home_path("images/debian-12");
	if (ret == 0)
		ret = check_new(l, c, &e);
	if (ret == 0)
		ret = recipe_make("debian", &l->image, &e);
	if (ret == 0) {
		ret = stage(_("create"), create, l, c, l->name, &e);
		if (ret < 0)
			(void)!home_remove(l->dir.s, NULL);
	}
	if (ret == 0)
		ret = stage(_("start"), start, l, c, "", &e);
	if (ret == 0 && !l->no_wait)
		ret = wait_for_ssh(l, c, &a, &e);
	if (ret == 0)
		show(l, &a, stage_seconds(&all));
	conn_close(c);
	return ret < 0 ? say_err("launch", &e) : 0;
}

/* ---- the command line ---- */

static int usage(bool asked)
{
	fputs(_("usage: panal launch debian NAME [--memory 1G] [--cpus 2] [--disk 20G] [--user NAME] [--port PORT]\n"
		"                    [--network NAME] [--no-wait] [--json] [-c URI]\n"
		"Makes a Debian 12 machine from Debian's packages and starts it. Your ssh keys may log in.\n"),
	      asked ? stdout : stderr);
	return asked ? 0 : 2;
}

enum { OPT_MEMORY = 256, OPT_CPUS, OPT_DISK, OPT_USER, OPT_PORT, OPT_NETWORK, OPT_NO_WAIT, OPT_JSON };

static int set(struct launch *l, int option, struct err *e)
{
	switch (option) {
	case OPT_MEMORY: return parse_size(optarg, &l->memory, e);
	case OPT_DISK: return parse_size(optarg, &l->disk, e);
	case OPT_CPUS: l->cpus = strtoul(optarg, NULL, 10); break;
	case OPT_PORT: l->ssh_port = strtoul(optarg, NULL, 10); break;
	case OPT_USER: l->user = optarg; break;
	case OPT_NETWORK: l->network = optarg; break;
	case OPT_NO_WAIT: l->no_wait = true; break;
	case OPT_JSON: l->json = true; break;
	case 'c': l->uri = optarg; break;
	default: return err_set(e, -EINVAL, "%s", "");
	}
	if (!l->cpus || l->cpus > CPUS_MAX)
		return err_set(e, -EINVAL, _("a machine has 1 to %d processors"), CPUS_MAX);
	if (l->ssh_port > 65535)
		return err_set(e, -EINVAL, _("ports go up to 65535"));
	return 0;
}

/* The user of the guest is named as the one who asks; root's machines get "debian". */
static const char *default_user(void)
{
	const char *user = getenv("USER");

	return geteuid() == 0 || !user || home_check_name(user, NULL) < 0 ? "debian" : user;
}

int launch_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"memory", required_argument, NULL, OPT_MEMORY},
		{"cpus", required_argument, NULL, OPT_CPUS},
		{"disk", required_argument, NULL, OPT_DISK},
		{"user", required_argument, NULL, OPT_USER},
		{"port", required_argument, NULL, OPT_PORT},
		{"network", required_argument, NULL, OPT_NETWORK},
		{"no-wait", no_argument, NULL, OPT_NO_WAIT},
		{"json", no_argument, NULL, OPT_JSON},
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct launch l = { .user = default_user(), .memory = UINT64_C(1) << 30, .disk = UINT64_C(20) << 30,
		.cpus = 2 };
	struct err e = { 0 };

	for (int o; (o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1;) {
		if (o == 'h' || o == '?')
			return usage(o == 'h');
		if (set(&l, o, &e) < 0)
			return say_err("launch", &e);
	}
	if (optind + 2 != argc)
		return usage(false);
	if (strcmp(argv[optind], "debian"))
		return say_error("launch", _("%s is not in the catalogue; debian is"), argv[optind]);
	l.name = argv[optind + 1];
	if (home_check_name(l.user, &e) < 0)
		return say_err("launch", &e);
	return launch(&l);
}
