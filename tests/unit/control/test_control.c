/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket as a client sees it, well-behaved and not. */
#include "control/control.h"
#include "display/input.h"
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct world {
	struct rig rig;
	struct control *control;
	char path[64];
	char answer[1 << 17];
	struct input *input;
	char typed[256]; /* what keyboard and mouse got */
	int pressed, quits;
};

static void press(void *opaque) { ((struct world *)opaque)->pressed++; }
static void quit(void *opaque) { ((struct world *)opaque)->quits++; }

static void on_input(void *opaque, const struct input_event *ev)
{
	struct world *w = opaque;
	size_t len = strlen(w->typed);
	if (ev->kind == INPUT_KEY)
		snprintf(w->typed + len, sizeof(w->typed) - len, "%c%s ", ev->down ? '+' : '-', ev->key->name);
	else
		snprintf(w->typed + len, sizeof(w->typed) - len, "%c%d ", ev->axis == AXIS_X ? 'x' : 'y', ev->value);
}

static void on_event(void *opaque, enum vm_event ev, enum vm_request why)
{
	control_event(((struct world *)opaque)->control, ev, why);
}

static void world_make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	rig_up(&w->rig, 0);
	struct err e = {0};
	const struct input_sink sink = {.kinds = 1 << INPUT_KEY | 1 << INPUT_REL, .event = on_input, .opaque = w};
	assert_int_equal(input_create(&w->input, w->rig.loop, NULL), 0);
	assert_int_equal(input_attach(w->input, &sink, NULL), 0);
	const struct control_target target = {
		.vm = w->rig.vm, .input = w->input, .power_button = press, .quit = quit, .opaque = w,
	};
	snprintf(w->path, sizeof(w->path), "/tmp/panal-control-%d", getpid());
	if (control_create(&w->control, w->path, w->rig.loop, &target, &e) < 0)
		fail_msg("%s", e.text);
	w->rig.vm->on_event = on_event;
	w->rig.vm->on_event_opaque = w;
	assert_int_equal(vm_start(w->rig.vm, false, NULL), 0);
}

static void world_end(struct world *w)
{
	control_destroy(w->control);
	w->rig.vm->on_event = NULL;
	input_destroy(w->input);
	assert_int_equal(access(w->path, F_OK), -1);
	rig_down(&w->rig);
}

static int dial(struct world *w)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", w->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Sends, lets the loop work, and leaves what came back in w->answer. False: the connection was closed. */
static bool talk(struct world *w, int fd, const char *text, size_t len)
{
	size_t got = 0, sent = 0;
	bool open = true;
	for (int idle = 0; idle < 40 && open;) {
		ssize_t n = sent < len ? send(fd, text + sent, len - sent, MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		loop_once(w->rig.loop, 0);
		n = recv(fd, w->answer + got, sizeof(w->answer) - 1 - got, 0);
		open = n > 0 || (n < 0 && errno == EAGAIN);
		got += n > 0 ? (size_t)n : 0;
		idle = n > 0 || sent < len ? 0 : idle + 1;
	}
	w->answer[got] = 0;
	return open;
}

static void expect(struct world *w, int fd, const char *text, const char *part)
{
	assert_true(talk(w, fd, text, strlen(text)));
	if (!strstr(w->answer, part))
		fail_msg("%s: \"%s\" does not hold \"%s\"", text, w->answer, part);
}

static int dial_ready(struct world *w)
{
	int fd = dial(w);
	expect(w, fd, "", "\"QMP\"");
	expect(w, fd, "{\"execute\":\"qmp_capabilities\"}", "{\"return\":{}}");
	return fd;
}

/* How a command ended, for who was not there to hear it. */
static void test_tag(void **state)
{
	char text[256], tag[65];
	struct world w;
	world_make(&w);
	int fd = dial_ready(&w);
	expect(&w, fd, "{\"execute\":\"query-tag\"}", "{\"tag\":\"\"}");
	expect(&w, fd, "{\"execute\":\"stop\",\"arguments\":{\"tag\":\"first\"}}", "{\"return\":{}}");
	expect(&w, fd, "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"x\",\"tag\":\"second\"}}", "\"error\"");
	close(fd);
	fd = dial_ready(&w);
	expect(&w, fd, "{\"execute\":\"query-tag\"}", "{\"tag\":\"first\"}");
	memset(tag, 'a', 64);
	tag[64] = 0;
	snprintf(text, sizeof(text), "{\"execute\":\"cont\",\"arguments\":{\"tag\":\"%s\"}}", tag);
	expect(&w, fd, text, "at most 63 bytes");
	expect(&w, fd, "{\"execute\":\"cont\",\"arguments\":{\"tag\":7}}", "at most 63 bytes");
	expect(&w, fd, "{\"execute\":\"query-status\"}", "\"paused\"");
	snprintf(text, sizeof(text), "{\"execute\":\"cont\",\"arguments\":{\"tag\":\"%s\"}}", tag + 1);
	expect(&w, fd, text, "{\"return\":{}}");
	expect(&w, fd, "{\"execute\":\"query-tag\"}", tag + 1);
	expect(&w, fd, "{\"execute\":\"query-devices\"}", "{\"return\":[]}");
	close(fd);
	world_end(&w);
}

static void test_negotiation(void **state)
{
	static struct world w;
	world_make(&w);
	struct stat st;
	assert_int_equal(stat(w.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	int fd = dial(&w);
	expect(&w, fd, "", "\"QMP\"");
	expect(&w, fd, "{\"execute\":\"query-status\"}", "CommandNotFound");
	expect(&w, fd, "{\"execute\":\"qmp_capabilities\",\"id\":7}", "\"id\":7");
	expect(&w, fd, "{\"execute\":\"qmp_capabilities\"}", "\"error\"");
	expect(&w, fd, "{\"execute\":\"query-version\"}", "\"qemu\"");
	expect(&w, fd, "{\"execute\":\"query-commands\"}", "system_powerdown");
	close(fd);
	world_end(&w);
}

static void test_machine(void **state)
{
	static struct world w;
	world_make(&w);
	int fd = dial_ready(&w);
	expect(&w, fd, "{\"execute\":\"query-status\"}", "\"running\":true");
	expect(&w, fd, "{\"execute\":\"stop\"}", "\"event\":\"STOP\"");
	expect(&w, fd, "{\"execute\":\"query-status\"}", "\"paused\"");
	expect(&w, fd, "{\"execute\":\"cont\",\"arguments\":{}}", "\"event\":\"RESUME\"");
	expect(&w, fd, "{\"execute\":\"system_reset\"}", "{\"guest\":false,\"reason\":\"host-qmp-system-reset\"}");
	expect(&w, fd, "{\"execute\":\"system_powerdown\"}", "\"event\":\"POWERDOWN\"");
	assert_int_equal(w.pressed, 1);
	expect(&w, fd, "{\"execute\":\"query-cpus-fast\"}", "{\"return\":[]}");
	expect(&w, fd, "{\"execute\":\"query-stats\"}", "guest-memory");
	vm_request(w.rig.vm, VM_REQUEST_RESET);
	expect(&w, fd, "", "{\"guest\":true,\"reason\":\"guest-reset\"}");
	vm_request(w.rig.vm, VM_REQUEST_PANIC);
	expect(&w, fd, "", "GUEST_PANICKED");
	vm_request(w.rig.vm, VM_REQUEST_POWEROFF);
	expect(&w, fd, "", "{\"guest\":true,\"reason\":\"guest-shutdown\"}");
	expect(&w, fd, "{\"execute\":\"cont\"}", "\"error\"");
	expect(&w, fd, "{\"execute\":\"quit\"}", "\"return\"");
	assert_int_equal(w.quits, 1);
	close(fd);
	world_end(&w);
}

static void test_input(void **state)
{
	static const char *const bad[] = {
		"{\"execute\":\"send-key\"}",
		"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[]}}",
		"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"enter\"}]}}",
		"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"number\",\"data\":0}]}}",
		"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[3],\"hold-time\":10}}",
		"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"a\"}],"
		"\"hold-time\":-1}}",
		"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"abs\",\"data\":"
		"{\"axis\":\"x\",\"value\":1}}]}}",
		"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"rel\",\"data\":"
		"{\"axis\":\"x\",\"value\":1}},{\"type\":\"key\"}]}}",
	};
	static struct world w;
	world_make(&w);
	int fd = dial_ready(&w);
	expect(&w, fd,
	       "{\"execute\":\"send-key\",\"arguments\":{\"hold-time\":1,\"keys\":[{\"type\":\"qcode\",\"data\":"
	       "\"ctrl\"},{\"type\":\"number\",\"data\":211}]}}", "\"return\"");
	for (int n = 0; n < 100 && !strstr(w.typed, "-ctrl"); n++)
		loop_once(w.rig.loop, 10);
	assert_string_equal(w.typed, "+ctrl +delete -delete -ctrl ");
	w.typed[0] = 0;
	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		expect(&w, fd, bad[n], "\"error\"");
	expect(&w, fd, "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"rel\",\"data\":"
	       "{\"axis\":\"y\",\"value\":-7}},{\"type\":\"key\",\"data\":{\"down\":true,\"key\":{\"type\":\"qcode\","
	       "\"data\":\"spc\"}}}]}}", "\"return\"");
	assert_string_equal(w.typed, "y-7 +spc ");
	close(fd);
	world_end(&w);
}

/* Each is answered with an error, and the connection goes on. */
static void test_refused(void **state)
{
	static const char *const bad[] = {
		"[]",
		"1 ",
		"{}",
		"{\"execute\":1}",
		"{\"execute\":\"nothing\"}",
		"{\"execute\":\"stop\",\"arguments\":3}",
		"{\"execute\":\"stop\",\"more\":1}",
		"{\"execute\":\"stop\",\"execute\":\"cont\"}",
		"{]",
		"}",
		"{\"execute\":\"\xff\"}",
		"{\"execute\":\"\\u0000\"}",
		"nonsense ",
	};
	static struct world w;
	static char text[2048];
	world_make(&w);
	int fd = dial_ready(&w);
	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		expect(&w, fd, bad[n], "\"error\"");
	/* A name so long that the message is cut within a character of two bytes. */
	for (unsigned shift = 0; shift < 2; shift++) {
		int at = snprintf(text, sizeof(text), "{\"execute\":\"%s", shift ? "x" : "");
		for (int n = 0; n < 400; n++)
			at += snprintf(text + at, sizeof(text) - (size_t)at, "\xc3\xa4");
		snprintf(text + at, sizeof(text) - (size_t)at, "\"}");
		expect(&w, fd, text, "CommandNotFound");
	}
	expect(&w, fd, "{\"execute\":\"query-status\"}", "\"running\":true");
	close(fd);
	world_end(&w);
}

/* These end the connection, and only that. */
static void test_cut_off(void **state)
{
	static struct world w;
	static char text[CONTROL_MESSAGE_MAX + 100];
	world_make(&w);
	int good = dial_ready(&w), fd = dial_ready(&w);
	memset(text, '[', sizeof(text));
	assert_false(talk(&w, fd, text, CONTROL_DEPTH_MAX + 1));
	close(fd);
	fd = dial_ready(&w);
	memset(text, 'a', sizeof(text));
	text[0] = '"';
	assert_false(talk(&w, fd, text, sizeof(text)));
	close(fd);
	expect(&w, good, "{\"execute\":\"query-status\"}", "\"running\":true");
	close(good);
	world_end(&w);
}

/* One that asks and never reads is dropped; so is one too many. */
static void test_greedy(void **state)
{
	static const char ask[] = "{\"execute\":\"query-commands\"}";
	static struct world w;
	int fd[CONTROL_CLIENTS_MAX + 1];
	world_make(&w);
	fd[0] = dial_ready(&w);
	ssize_t n = 0;
	for (int k = 0; k < 100000 && (n >= 0 || errno == EAGAIN); k++) {
		n = send(fd[0], ask, sizeof(ask) - 1, MSG_NOSIGNAL);
		loop_once(w.rig.loop, 0);
	}
	assert_int_equal(n, -1);
	close(fd[0]);
	for (unsigned k = 0; k < COUNT_OF(fd); k++) {
		fd[k] = dial(&w);
		bool open = talk(&w, fd[k], "", 0);
		assert_int_equal(open, k < CONTROL_CLIENTS_MAX);
	}
	for (unsigned k = 0; k < COUNT_OF(fd); k++)
		close(fd[k]);
	world_end(&w);
}

/* A socket that a killed machine left behind does not stop the next one; a live one does. */
static void test_stale_socket(void **state)
{
	static struct world w;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const struct control_target target = {0};
	struct control *second;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/panal-control-%d", getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	world_make(&w);
	assert_int_equal(control_create(&second, w.path, w.rig.loop, &target, NULL), -EADDRINUSE);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negotiation), cmocka_unit_test(test_tag),
		cmocka_unit_test(test_machine), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_cut_off),     cmocka_unit_test(test_greedy),  cmocka_unit_test(test_stale_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
