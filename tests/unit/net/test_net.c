/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The texts of --net, and a backend on a descriptor: room, none, the other end gone. */
#include "net/net_priv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void test_forward(void **state)
{
	static const struct {
		const char *text, *addr;
		bool udp;
		uint16_t host, guest;
	} good[] = {
		{ "tcp:2222:22", "127.0.0.1", false, 2222, 22 },
		{ "udp:0.0.0.0:1:65535", "0.0.0.0", true, 1, 65535 },
		{ "tcp:10.1.2.3:80:8080", "10.1.2.3", false, 80, 8080 },
	};
	static const char too_long[] = "tcp:1111111111111111111111111111111111111111111111111111111111111111"
				       "1111111111111111111111111111111111111111111111111111111111111111:1";
	const char *const bad[] = {
		"", "tcp", "tcp:1", "tcp:0:1", "tcp:1:0", "tcp:1:65536", "icmp:1:2", "tcp:a:1", "tcp::1:2", "tcp:1::2",
		":tcp:1:2",
		"tcp:1:2:", "tcp:127.0.0.1:1:2:", "tcp:127.0.0.1:1:2:9", "tcp:127.0.0.1:1:2:9:9", "tcp:localhost:1:2",
		"tcp:1.2.3:1:2",
		"tcp:-1:2", "tcp:::",
		too_long,
	};
	struct net_forward f;
	struct err e;

	for (size_t n = 0; n < COUNT_OF(good); n++) {
		assert_int_equal(net_forward_parse(&f, good[n].text, &e), 0);
		assert_string_equal(f.host_addr, good[n].addr);
		assert_int_equal(f.udp, good[n].udp);
		assert_int_equal(f.host_port, good[n].host);
		assert_int_equal(f.guest_port, good[n].guest);
	}
	for (size_t n = 0; n < COUNT_OF(bad); n++) {
		if (net_forward_parse(&f, bad[n], &e) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[n]);
		assert_non_null(strstr(e.text, "tcp:2222:22"));
	}
}

/* Each says what is wrong with it; none opens anything. */
static void test_refused(void **state)
{
	static const struct {
		const char *spec, *part;
	} bad[] = {
		{ "", "unknown" },
		{ "magic", "magic" },
		{ "user,tap=tap0", "tap means nothing" },
		{ "user,colour=red", "colour" },
		{ "tap=tap0,forward=tcp:1:2", "forward means nothing" },
		{ "none,dns=off", "dns means nothing" },
		{ "user,forward=tcp:1", "tcp:1" },
		{ "user,dns=perhaps", "dns" },
		{ "tap=tap0,tap=tap1", "tap" },
	};
	const struct net_helper helper = { .dir = "/nonexistent" };
	struct loop *loop;
	struct net *net = NULL;
	struct err e;

	assert_int_equal(loop_create(&loop, NULL, &e), 0);
	for (size_t n = 0; n < COUNT_OF(bad); n++) {
		assert_true(net_open(&net, bad[n].spec, loop, &helper, &e) < 0);
		if (!strstr(e.text, bad[n].part))
			fail_msg("%s: \"%s\" does not hold \"%s\"", bad[n].spec, e.text, bad[n].part);
	}
	assert_int_equal(net_open(&net, "none", loop, &helper, &e), 0);
	assert_null(net);
	/* The helper is not there: a line, no process. */
	assert_true(net_open(&net, "user", loop, &helper, &e) < 0);
	assert_non_null(strstr(e.text, "/nonexistent/panal-net-user"));
	loop_destroy(loop);
}

struct card {
	unsigned frames, tx_ready, links_down, room;
	size_t bytes;
};

static bool card_recv(void *opaque, const struct iovec *iov, unsigned count)
{
	struct card *c = opaque;

	c->frames++;
	c->bytes += iov[0].iov_len;
	return c->frames < c->room;
}

static void card_tx_ready(void *opaque)
{
	((struct card *)opaque)->tx_ready++;
}

static void card_link(void *opaque, bool up)
{
	((struct card *)opaque)->links_down += !up;
}

static void test_descriptor(void **state)
{
	static const struct net_client client = { .recv = card_recv, .tx_ready = card_tx_ready, .link = card_link };
	static struct net_fd n;
	struct card card = { .room = 2 };
	struct net_client c = client;
	struct iovec frame = { (void *)(uintptr_t) "0123456789abcdef", 16 };
	struct loop *loop;
	char buf[64];
	int pair[2];

	c.opaque = &card;
	assert_int_equal(loop_create(&loop, NULL, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(net_fd_start(&n, pair[0], 0, loop, "the test's other end", NULL), 0);
	n.net.client = &c;
	for (unsigned k = 0; k < 3; k++)
		assert_int_equal(send(pair[1], "frame", 5, 0), 5);
	/* Nothing is read before there is room; then as long as there is. */
	loop_once(loop, 0);
	assert_int_equal(card.frames, 0);
	net_fd_rx_ready(&n.net);
	loop_once(loop, 0);
	loop_once(loop, 0);
	assert_int_equal(card.frames, 2);
	card.room = 10;
	net_fd_rx_ready(&n.net);
	loop_once(loop, 0);
	assert_int_equal(card.frames, 3);
	assert_int_equal(card.bytes, 15);
	/* Outwards until the pipe is full; told when there is room again. */
	unsigned sent = 0;
	while (net_fd_send(&n.net, &frame, 1))
		assert_true(++sent < 1000000);
	loop_once(loop, 0);
	assert_int_equal(card.tx_ready, 0);
	while (sent--)
		assert_int_equal(recv(pair[1], buf, sizeof(buf), 0), 16);
	loop_once(loop, 0);
	assert_int_equal(card.tx_ready, 1);
	/* The other end goes: the cable is pulled once, and frames vanish. */
	close(pair[1]);
	loop_once(loop, 0);
	loop_once(loop, 0);
	assert_int_equal(card.links_down, 1);
	assert_true(net_fd_send(&n.net, &frame, 1));
	net_fd_stop(&n);
	loop_destroy(loop);
}

static void test_mac(void **state)
{
	static const char *const bad[] = { "user,mac=", "user,mac=52:54:00:12:34", "user,mac=53:54:00:12:34:56",
					   "user,mac=52:54:00:12:34:567", "user,mac=5:54:00:12:34:56" };
	uint8_t mac[6] = { 0 };
	struct err e = { 0 };

	assert_int_equal(net_spec_mac(mac, "user", &e), 0);
	assert_int_equal(net_spec_mac(mac, "tap=x,mac=52:54:00:aB:cd:0f", &e), 1);
	assert_memory_equal(mac, ((uint8_t[]){ 0x52, 0x54, 0, 0xab, 0xcd, 0x0f }), 6);
	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		assert_int_equal(net_spec_mac(mac, bad[n], &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_descriptor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
