/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/chardev.h"
#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct client {
	char got[256];
	size_t len, room;
	int writable;
};

static size_t receive(void *opaque, const uint8_t *data, size_t len)
{
	struct client *c = opaque;
	size_t n = len < c->room ? len : c->room;

	memcpy(c->got + c->len, data, n);
	c->len += n;
	c->room -= n;
	return n;
}

static void writable(void *opaque)
{
	((struct client *)opaque)->writable++;
}

static void test_specs(void **state)
{
	static const char *const bad[] = {"",     "stdi", "stdiox", "file:", "unix:", "pty:", "none:",
					  "file:/nonexistent/x", "tcp:1"};
	struct chardev *c;
	struct loop *l;
	struct err e;

	assert_int_equal(loop_create(&l, NULL, NULL), 0);
	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		assert_true(chardev_open(&c, bad[n], l, &e) < 0);
	assert_int_equal(chardev_open(&c, "none", l, &e), 0);
	assert_int_equal(chardev_write(c, (const uint8_t *)"x", 1), 1);
	chardev_close(c);
	loop_destroy(l);
}

static void test_file(void **state)
{
	char path[] = "/tmp/panal-chardev-XXXXXX", spec[64], back[8] = {0};
	int fd = mkstemp(path);
	struct chardev *c;
	struct loop *l;

	snprintf(spec, sizeof(spec), "file:%s", path);
	assert_int_equal(loop_create(&l, NULL, NULL), 0);
	assert_int_equal(chardev_open(&c, spec, l, NULL), 0);
	assert_int_equal(chardev_write(c, (const uint8_t *)"hello", 5), 5);
	chardev_close(c);
	assert_int_equal(read(fd, back, sizeof(back)), 5);
	assert_string_equal(back, "hello");
	close(fd);
	unlink(path);
	loop_destroy(l);
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : fd;
}

static void rounds(struct loop *l)
{
	for (int n = 0; n < 10; n++)
		loop_once(l, 1);
}

/* Fills the queue until a write is short, then reads all: every byte arrives once, and writable comes. */
static void check_output(struct loop *l, struct chardev *c, struct client *cl, int fd)
{
	static uint8_t block[8192], in[65536];
	uint64_t sent = 0, received = 0;
	size_t n;

	do {
		for (unsigned k = 0; k < sizeof(block); k++)
			block[k] = (uint8_t)((sent + k) * 7);
		n = chardev_write(c, block, sizeof(block));
		sent += n;
	} while (n == sizeof(block));
	assert_true(sent >= CHARDEV_QUEUE_MAX);
	for (int left = 1000; left && received < sent; left--) {
		ssize_t got = read(fd, in, sizeof(in));

		for (ssize_t k = 0; k < got; k++)
			assert_int_equal(in[k], (uint8_t)((received + (uint64_t)k) * 7));
		received += got > 0 ? (uint64_t)got : 0;
		loop_once(l, 1);
	}
	assert_true(received == sent);
	assert_int_equal(cl->writable, 1);
}

static void test_unix(void **state)
{
	struct client cl = {.room = 4};
	const struct chardev_client client = {.receive = receive, .writable = writable, .opaque = &cl};
	char path[64], spec[80];
	struct chardev *c, *second;
	struct loop *l;
	int fd;

	snprintf(path, sizeof(path), "/tmp/panal-chardev-%d", getpid());
	snprintf(spec, sizeof(spec), "unix:%s", path);
	assert_int_equal(loop_create(&l, NULL, NULL), 0);
	assert_int_equal(chardev_open(&c, spec, l, NULL), 0);
	assert_int_equal(chardev_open(&second, spec, l, NULL), -EADDRINUSE);
	chardev_set_client(c, &client);
	assert_int_equal(chardev_write(c, (const uint8_t *)"lost", 4), 4);
	fd = connect_to(path);
	assert_true(fd >= 0);
	rounds(l);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	rounds(l);
	assert_int_equal(cl.len, 4); /* no more than there is room for */
	cl.room = 100;
	chardev_rx_ready(c);
	rounds(l);
	assert_memory_equal(cl.got, "0123456789", 10);
	check_output(l, c, &cl, fd);
	close(fd);
	rounds(l);
	assert_int_equal(chardev_write(c, (const uint8_t *)"gone", 4), 4);
	fd = connect_to(path);
	rounds(l);
	assert_int_equal(write(fd, "again", 5), 5);
	rounds(l);
	assert_memory_equal(cl.got + 10, "again", 5);
	close(fd);
	chardev_close(c);
	assert_int_equal(access(path, F_OK), -1);
	loop_destroy(l);
}

/* The terminal is a peer while it is open; the socket's peer goes before it. */
static void test_pty(void **state)
{
	struct client cl = { .room = 200 };
	const struct chardev_client client = { .receive = receive, .writable = writable, .opaque = &cl };
	char path[64], link[72], spec[80], back[32] = { 0 };
	struct chardev *c;
	struct loop *l;
	int tty, fd;

	snprintf(path, sizeof(path), "/tmp/panal-pty-%d", getpid());
	snprintf(link, sizeof(link), "%s.tty", path);
	snprintf(spec, sizeof(spec), "pty:%s", path);
	assert_int_equal(loop_create(&l, NULL, NULL), 0);
	assert_int_equal(chardev_open(&c, spec, l, NULL), 0);
	chardev_set_client(c, &client);
	assert_int_equal(chardev_write(c, (const uint8_t *)"lost", 4), 4);
	tty = open(link, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (tty < 0) {
		chardev_close(c);
		loop_destroy(l);
		skip(); /* a host without pseudo-terminals */
	}
	assert_int_equal(write(tty, "a\r\n\x04\xff", 5), 5);
	rounds(l);
	assert_int_equal(cl.len, 5);
	assert_memory_equal(cl.got, "a\r\n\x04\xff", 5); /* raw */
	assert_int_equal(chardev_write(c, (const uint8_t *)"b\n\x03", 3), 3);
	assert_int_equal(read(tty, back, sizeof(back)), 3);
	assert_memory_equal(back, "b\n\x03", 3);
	check_output(l, c, &cl, tty);

	fd = connect_to(path);
	rounds(l);
	assert_int_equal(chardev_write(c, (const uint8_t *)"socket", 6), 6);
	rounds(l);
	assert_int_equal(read(fd, back, sizeof(back)), 6);
	assert_int_equal(read(tty, back, sizeof(back)), -1);
	assert_int_equal(write(tty, "unheard", 7), 7);
	assert_int_equal(write(fd, "heard", 5), 5);
	rounds(l);
	assert_int_equal(cl.len, 10);
	close(fd);
	rounds(l);
	assert_int_equal(chardev_write(c, (const uint8_t *)"tty", 3), 3);
	assert_int_equal(read(tty, back, sizeof(back)), 3);
	assert_int_equal(cl.len, 10);

	close(tty);
	rounds(l);
	assert_int_equal(chardev_write(c, (const uint8_t *)"lost", 4), 4);
	tty = open(link, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	rounds(l);
	assert_int_equal(read(tty, back, sizeof(back)), -1);
	assert_int_equal(chardev_write(c, (const uint8_t *)"new", 3), 3);
	assert_int_equal(read(tty, back, sizeof(back)), 3);
	chardev_close(c);
	assert_true(read(tty, back, sizeof(back)) <= 0);
	close(tty);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(readlink(link, back, sizeof(back)), -1);
	loop_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specs), cmocka_unit_test(test_file), cmocka_unit_test(test_unix),
		cmocka_unit_test(test_pty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
