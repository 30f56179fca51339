/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal start, stop, restart, pause, resume: machines by their names, one after the other. */
#include "cli/command.h"
#include "cli/once.h"
#include "cli/power.h"
#include "cli/say.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STOP_SECONDS = 90, POLL_MS = 100 };
enum { SHUTDOWN_POWER_BUTTON = 1, SHUTDOWN_AGENT = 2 }; /* libvirt's numbers */

struct power {
	const char *command, *uri, *append; /* append: for the kernel, in this one run */
	unsigned seconds; /* of patience before the plug is pulled */
	bool force;
};

/* ---- waiting ---- */

static bool is_off(int state) { return state == MACHINE_OFF || state == MACHINE_CRASHED; }

/* True: it is off, or gone (a machine that is nowhere defined goes when it stops). */
static bool wait_off(struct conn *c, const struct machine *m, struct stage *s, double seconds)
{
	int state;

	do {
		state = machine_state(c, m, NULL);
		if (state < 0 || is_off(state))
			return true;
		stage_tick(s);
		poll(NULL, 0, POLL_MS);
	} while (stage_seconds(s) < seconds);
	return false;
}

/* ---- stopping ---- */

/* Asks the guest: its agent when one answers, else the power button. False: nobody could be asked. */
static bool ask(struct conn *c, const struct machine *m, struct stage *s)
{
	if (machine_call(c, m, "DOMAIN_SHUTDOWN_FLAGS", SHUTDOWN_AGENT, NULL) == 0) {
		stage_begin(s, _("agent"));
		return true;
	}
	stage_begin(s, _("power button"));
	return machine_call(c, m, "DOMAIN_SHUTDOWN_FLAGS", SHUTDOWN_POWER_BUTTON, NULL) == 0;
}

int power_off(struct conn *c, const struct machine *m, bool force, unsigned seconds, struct err *e)
{
	struct stage s;
	int ret;

	if (!force && ask(c, m, &s)) {
		if (wait_off(c, m, &s, seconds)) {
			stage_done(&s, _("the guest has switched off"));
			return 0;
		}
		stage_failed(&s, _("the guest does not react"));
	}
	stage_begin(&s, _("pull the plug"));
	ret = machine_call(c, m, "DOMAIN_DESTROY_FLAGS", 0, e);
	if (ret == 0)
		stage_done(&s, "");
	else
		stage_failed(&s, e->text);
	return ret;
}

static int stop(struct conn *c, const struct machine *m, const struct power *p, struct err *e)
{
	if (m->id < 0)
		return err_set(e, -EINVAL, _("%s is off"), m->name);
	return power_off(c, m, p->force, p->seconds, e);
}

/* ---- the others ---- */

static int start(struct conn *c, const struct machine *m, const struct power *p, struct err *e)
{
	struct stage s;
	int ret;

	stage_begin(&s, _("start"));
	ret = p->append ? once_start(c, m, p->append, e) : machine_call(c, m, "DOMAIN_CREATE", -1, e);
	if (ret == 0)
		stage_done(&s, m->name);
	else
		stage_failed(&s, m->name);
	return ret;
}

static int restart(struct conn *c, const struct machine *m, const struct power *p, struct err *e)
{
	int ret = m->id < 0 ? 0 : power_off(c, m, p->force, p->seconds, e);

	struct machine off = *m;

	off.id = -1;
	return ret < 0 ? ret : start(c, &off, p, e);
}

static int suspend(struct conn *c, const struct machine *m, const struct power *p, struct err *e)
{
	return machine_call(c, m, "DOMAIN_SUSPEND", -1, e);
}

static int resume(struct conn *c, const struct machine *m, const struct power *p, struct err *e)
{
	return machine_call(c, m, "DOMAIN_RESUME", -1, e);
}

/* ---- the command line ---- */

static const struct {
	const char *name;
	int (*run)(struct conn *c, const struct machine *m, const struct power *p, struct err *e);
} actions[] = {{"start", start}, {"stop", stop}, {"restart", restart}, {"pause", suspend}, {"resume", resume}};

static int act(struct conn *c, const char *name, const struct power *p)
{
	struct machine m;
	struct err e = { 0 };
	int ret = machine_find(c, name, &m, &e);

	for (size_t n = 0; ret == 0 && n < COUNT_OF(actions); n++)
		if (!strcmp(actions[n].name, p->command))
			ret = actions[n].run(c, &m, p, &e);
	machine_free(&m);
	return ret < 0 ? say_err(p->command, &e) : 0;
}

static int usage(const struct power *p, bool asked)
{
	bool starts = strstr(p->command, "start"), stops = strstr(p->command, "st") && strcmp(p->command, "start");

	fprintf(asked ? stdout : stderr, _("usage: panal %s%s%s [-c URI] NAME...\n"), p->command,
		stops ? " [--force] [--timeout SECONDS]" : "", starts ? " [--append TEXT]" : "");
	return asked ? 0 : 2;
}

int power_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"force", no_argument, NULL, 'f'},
		{"timeout", required_argument, NULL, 't'},
		{"append", required_argument, NULL, 'a'},
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct power p = { .command = argv[0], .seconds = STOP_SECONDS };
	struct conn *c = NULL;
	struct err e = { 0 };
	int status = 0;

	for (int o; (o = getopt_long(argc, argv, "ft:c:h", longs, NULL)) != -1;)
		switch (o) {
		case 'f': p.force = true; break;
		case 't': p.seconds = strtoul(optarg, NULL, 10); break;
		case 'a': p.append = optarg; break;
		case 'c': p.uri = optarg; break;
		default: return usage(&p, o == 'h');
		}
	if (optind == argc || (p.append && !strstr(p.command, "start")))
		return usage(&p, false);
	if (conn_open(&c, p.uri, &e) < 0)
		return say_err(p.command, &e);
	for (int n = optind; n < argc; n++)
		status |= act(c, argv[n], &p);
	conn_close(c);
	return status;
}
