/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal console: a machine's serial console on this terminal, until Ctrl-A x or the machine's end. */
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/say.h"
#include "cli/terminal.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { CONSOLE_FORCE = 1 }; /* libvirt's: takes it from whoever has it */

enum { GO_ON = 1 };

/* What was typed. GO_ON, 0 to leave, or an error. */
static int from_keyboard(struct conn *c, struct terminal *t, struct err *e)
{
	char keys[512], out[512];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
	size_t len = 0;
	int ret;

	if (n <= 0)
		return 0;
	for (ssize_t k = 0; k < n; k++) {
		enum terminal_key what = t->raw ? terminal_key(t, keys[k]) : TERMINAL_PASS;

		if (what == TERMINAL_QUIT)
			return 0;
		if (what == TERMINAL_PASS)
			out[len++] = keys[k];
	}
	ret = len ? conn_stream_write(c, out, len, e) : 0;
	return ret < 0 ? ret : GO_ON;
}

static int to_screen(struct conn *c, struct err *e)
{
	const uint8_t *data;
	ssize_t len = conn_stream_read(c, &data, e);

	for (ssize_t at = 0, n; at < len; at += n) {
		n = write(STDOUT_FILENO, data + at, len - at);
		if (n < 0)
			return err_errno(e, errno, _("cannot write to the terminal"));
	}
	return len <= 0 ? len : GO_ON;
}

static int talk(struct conn *c, struct terminal *t, struct err *e)
{
	struct pollfd p[] = {{ .fd = STDIN_FILENO, .events = POLLIN }, { .fd = conn_fd(c), .events = POLLIN }};
	int ret = GO_ON;

	while (ret == GO_ON) {
		if (poll(p, COUNT_OF(p), -1) < 0 && errno != EINTR)
			return err_errno(e, errno, _("cannot wait for the console"));
		if (p[1].revents)
			ret = to_screen(c, e);
		if (ret == GO_ON && p[0].revents)
			ret = from_keyboard(c, t, e);
		if (ret == 0 && p[0].revents && !t->raw) { /* the end of a file: what the guest says goes on */
			p[0].fd = -1;
			p[0].revents = 0;
			ret = GO_ON;
		}
	}
	return ret;
}

static int console_attach(struct conn *c, const struct machine *m, bool force, struct err *e)
{
	struct terminal t;
	struct xdr_out args;
	int ret;

	machine_args(&args, m);
	xdr_optional_string(&args, NULL);
	xdr_u32(&args, force ? CONSOLE_FORCE : 0);
	ret = conn_call(c, "DOMAIN_OPEN_CONSOLE", &args, NULL, e);
	xdr_out_free(&args);
	if (ret < 0)
		return ret;
	fprintf(stderr, _("Connected to %s. Ctrl-A x leaves, Ctrl-A Ctrl-A sends Ctrl-A.\n"), m->name);
	terminal_raw(&t);
	ret = talk(c, &t, e);
	terminal_restore(&t);
	fputc('\n', stderr);
	return ret;
}

int console_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"force", no_argument, NULL, 'f'},
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *uri = NULL;
	struct conn *c = NULL;
	struct machine m = { 0 };
	struct err e = { 0 };
	bool force = false, asked = false;
	int ret;

	for (int o; (o = getopt_long(argc, argv, "fc:h", longs, NULL)) != -1;) {
		if (o == 'h' || o == '?') {
			asked = o == 'h';
			optind = argc;
		}
		force |= o == 'f';
		uri = o == 'c' ? optarg : uri;
	}
	if (optind + 1 != argc) {
		fputs(_("usage: panal console [--force] [-c URI] NAME\n"), asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	ret = conn_open(&c, uri, &e);
	if (ret == 0)
		ret = machine_find(c, argv[optind], &m, &e);
	if (ret == 0)
		ret = console_attach(c, &m, force, &e);
	machine_free(&m);
	conn_close(c);
	return ret < 0 ? say_err("console", &e) : 0;
}
