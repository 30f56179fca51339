/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal top: what each machine uses, live. Rates are differences between two readings. */
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/say.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct top {
	struct conn *c;
	double interval_s;
	unsigned rounds; /* 0: until q */
	bool json, screen;
};

/* One machine's use between two readings. */
struct use {
	double cpu; /* of one processor */
	double read, written, received, sent; /* bytes a second */
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static const struct machine *same_machine(const struct machines *all, const struct machine *m)
{
	for (unsigned n = 0; n < all->n; n++)
		if (!memcmp(all->v[n].uuid, m->uuid, UUID_SIZE) && all->v[n].id == m->id)
			return &all->v[n];
	return NULL;
}

/* A counter that went back (a device was reset) has no rate. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now >= before && seconds > 0 ? (now - before) / seconds : 0;
}

static struct use use_of(const struct machine *m, const struct machine *before, double seconds)
{
	if (!before)
		return (struct use){ 0 };
	return (struct use){
		.cpu = rate(m->cpu_ns, before->cpu_ns, seconds) / 1e9,
		.read = rate(m->read_bytes, before->read_bytes, seconds),
		.written = rate(m->written_bytes, before->written_bytes, seconds),
		.received = rate(m->received_bytes, before->received_bytes, seconds),
		.sent = rate(m->sent_bytes, before->sent_bytes, seconds),
	};
}

/* ---- showing ---- */

static const char *const heads[] = {N_("NAME"), N_("STATE"), N_("CPU"), N_("MEMORY"), N_("IN USE"), N_("READ/s"),
	N_("WRITTEN/s"), N_("RECEIVED/s"), N_("SENT/s")};

static void size_cell(struct table *t, double bytes)
{
	char text[16];

	size_text(text, sizeof(text), bytes);
	table_cell(t, "%s", text);
}

static void show_table(const struct machines *now, const struct machines *before, double seconds)
{
	struct table t;

	table_begin(&t, COUNT_OF(heads), heads);
	for (unsigned n = 0; n < now->n; n++) {
		const struct machine *m = &now->v[n];
		const struct use u = use_of(m, same_machine(before, m), seconds);

		if (m->id < 0)
			continue;
		table_cell(&t, "%s", m->name);
		table_cell(&t, "%s", _(state_name(m->state)));
		table_cell(&t, "%.1f %%", u.cpu * 100);
		size_cell(&t, m->memory_kib * 1024.0);
		size_cell(&t, m->resident_kib * 1024.0);
		size_cell(&t, u.read);
		size_cell(&t, u.written);
		size_cell(&t, u.received);
		size_cell(&t, u.sent);
	}
	table_print(&t);
}

static void show_json(const struct machines *now, const struct machines *before, double seconds)
{
	json_t *array = json_array();

	for (unsigned n = 0; n < now->n; n++) {
		const struct machine *m = &now->v[n];
		const struct use u = use_of(m, same_machine(before, m), seconds);

		if (m->id >= 0)
			json_array_append_new(array, json_pack("{s:s, s:s, s:f, s:I, s:I, s:f, s:f, s:f, s:f}", "name",
				m->name, "state", state_name(m->state), "cpu", u.cpu, "memory",
				(json_int_t)m->memory_kib * 1024, "resident", (json_int_t)m->resident_kib * 1024,
				"read", u.read, "written", u.written, "received", u.received, "sent", u.sent));
	}
	json_dumpf(array, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(array);
}

static void show(const struct top *t, const struct machines *now, const struct machines *before, double seconds)
{
	if (t->json) {
		show_json(now, before, seconds);
	} else {
		if (t->screen)
			fputs("\033[H\033[J", stdout);
		show_table(now, before, seconds);
		if (t->screen)
			fputs(_("\nq leaves.\n"), stdout);
	}
	fflush(stdout);
}

/* Waits; true when q was typed. */
static bool pause_or_quit(const struct top *t)
{
	struct pollfd p = { .fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN };
	char key;

	return poll(&p, 1, t->interval_s * 1000) > 0 && (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q');
}

static int watch(const struct top *t, struct err *e)
{
	struct machines before = { 0 }, now;
	double then = now_s();
	int ret = machines_get(t->c, &before, e);

	for (unsigned n = 0; ret == 0 && (!t->rounds || n < t->rounds); n++) {
		double at;

		if (pause_or_quit(t))
			break;
		ret = machines_get(t->c, &now, e);
		if (ret < 0)
			break;
		at = now_s();
		show(t, &now, &before, at - then);
		machines_free(&before);
		before = now;
		then = at;
	}
	machines_free(&before);
	return ret;
}

/* Single keys, unseen, while the screen is ours; Ctrl-C goes on to end us. */
static bool take_keys(struct termios *old)
{
	struct termios now;

	if (tcgetattr(STDIN_FILENO, old) < 0)
		return false;
	now = *old;
	now.c_lflag &= ~(ICANON | ECHO);
	return tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
}

int top_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"interval", required_argument, NULL, 'i'},
		{"rounds", required_argument, NULL, 'n'},
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct top t = { .interval_s = 1 };
	const char *uri = NULL;
	struct termios old;
	struct err e = { 0 };
	int ret;

	for (int o; (o = getopt_long(argc, argv, "i:n:c:h", longs, NULL)) != -1;)
		switch (o) {
		case 'j': t.json = true; break;
		case 'i': t.interval_s = strtod(optarg, NULL); break;
		case 'n': t.rounds = strtoul(optarg, NULL, 10); break;
		case 'c': uri = optarg; break;
		default:
			fputs(_("usage: panal top [--json] [-i SECONDS] [-n ROUNDS] [-c URI]\n"),
			      o == 'h' ? stdout : stderr);
			return o == 'h' ? 0 : 2;
		}
	if (!(t.interval_s >= 0.1 && t.interval_s <= 3600))
		return say_error("top", _("the interval is between 0.1 and 3600 seconds"));
	ret = conn_open(&t.c, uri, &e);
	t.screen = ret == 0 && !t.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && take_keys(&old);
	if (ret == 0)
		ret = watch(&t, &e);
	if (t.screen)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
	conn_close(t.c);
	return ret < 0 ? say_err("top", &e) : 0;
}
