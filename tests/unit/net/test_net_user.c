/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal-net-user, driven with frames as a guest's card sends them: what it still can do in its sandbox, and that it is
 * in one. The first argument is the folder where it lies. */
#include "base/bytes.h"
#include "core/loop.h"
#include "net/net.h"
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ETH = 14, IP = 20, UDP = 8, TCP = 20, WAIT_MS = 5000, GUEST_PORT = 1234, TFTP_PORT = 69 };
enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, TCP_SYN = 2 };
static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 }, guest_ip[4] = { 10, 0, 2, 15 };
static const uint8_t host_ip[4] = { 10, 0, 2, 2 };

struct net_rig {
	struct loop *loop;
	struct net *net;
	struct net_client client;
	uint8_t frame[2048]; /* the last IP packet for the guest */
	size_t len;
};

static bool receive(void *opaque, const struct iovec *iov, unsigned count)
{
	struct net_rig *r = opaque;
	const uint8_t *f = iov[0].iov_base;

	if (iov[0].iov_len > ETH + IP && iov[0].iov_len <= sizeof(r->frame) && f[12] == 8 && f[13] == 0) {
		memcpy(r->frame, f, iov[0].iov_len);
		r->len = iov[0].iov_len;
	}
	return true;
}

static void ignore_link(void *opaque, bool up)
{
}

static void ignore_ready(void *opaque)
{
}

static void send_frame(struct net_rig *r, const uint8_t *f, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)f, .iov_len = len };

	assert_true(net_send(r->net, &iov, 1));
}

/* "Who has 10.0.2.2? Tell 10.0.2.15": the helper learns the guest's address. */
static void announce(struct net_rig *r)
{
	static const uint8_t arp[] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t f[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	memcpy(f + 6, guest_mac, 6);
	f[12] = 8;
	f[13] = 6;
	memcpy(f + ETH, arp, sizeof(arp));
	memcpy(f + ETH + 8, guest_mac, 6);
	memcpy(f + ETH + 14, guest_ip, 4);
	memcpy(f + ETH + 24, host_ip, 4);
	send_frame(r, f, sizeof(f));
}

static uint32_t sum(const uint8_t *p, size_t len, uint32_t s)
{
	for (size_t n = 0; n < len; n++)
		s += n % 2 ? p[n] : (uint32_t)p[n] << 8;
	return s;
}

static void put_sum(uint8_t *at, uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	store_be16(at, (uint16_t)~s);
}

/* A packet of the guest's to 10.0.2.2; the transport's header and data are f + ETH + IP on. */
static void send_ip(struct net_rig *r, uint8_t *f, uint8_t protocol, size_t len, unsigned sum_at)
{
	uint8_t *ip = f + ETH, *data = ip + IP;

	memset(f, 0, ETH + IP);
	memcpy(f, (const uint8_t[]){ 0x52, 0x55, 10, 0, 2, 2 }, 6);
	memcpy(f + 6, guest_mac, 6);
	f[12] = 8;
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(IP + len));
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, guest_ip, 4);
	memcpy(ip + 16, host_ip, 4);
	put_sum(ip + 10, sum(ip, IP, 0));
	put_sum(data + sum_at, sum(data, len, sum(ip + 12, 8, protocol + (uint32_t)len)));
	send_frame(r, f, ETH + IP + len);
}

static void await_packet(struct net_rig *r, uint8_t protocol)
{
	for (unsigned ms = 0; ms < WAIT_MS && !(r->len && r->frame[ETH + 9] == protocol); ms += 10)
		loop_once(r->loop, 10);
	if (!r->len || r->frame[ETH + 9] != protocol)
		fail_msg("no packet of protocol %u came", protocol);
}

/* A socket of the host on a free port of 127.0.0.1. */
static int host_socket(int type, uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void up(struct net_rig *r, const char *folder, const char *spec)
{
	const struct net_helper helper = { .dir = folder, .sandbox = true };
	struct err e = { 0 };

	assert_int_equal(loop_create(&r->loop, NULL, &e), 0);
	if (net_open(&r->net, spec, r->loop, &helper, &e) < 0)
		fail_msg("%s", e.text);
	r->client = (struct net_client){ .recv = receive, .tx_ready = ignore_ready, .link = ignore_link, .opaque = r };
	r->net->client = &r->client;
	net_rx_ready(r->net);
	announce(r);
}

static void down(struct net_rig *r)
{
	net_close(r->net);
	loop_destroy(r->loop);
}

/* The one child of this process. */
static unsigned long status_of_child(const char *key)
{
	char path[64], line[256], *found = NULL;
	unsigned child = 0;
	unsigned long value = 999;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &child), 1);
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%u/status", child);
	f = fopen(path, "r");
	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			found = line;
	if (found)
		value = strtoul(found + strlen(key), NULL, 0);
	fclose(f);
	return value;
}

static void test_confined(void **state)
{
	struct net_rig r = { 0 };

	up(&r, *state, "user");
	assert_int_equal(status_of_child("Seccomp:"), 2); /* SECCOMP_MODE_FILTER */
	assert_int_equal(status_of_child("NoNewPrivs:"), 1);
	assert_int_not_equal(status_of_child("Uid:"), 0);
	assert_int_equal(status_of_child("CapEff:"), 0);
	down(&r);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0);
}

static void test_udp(void **state)
{
	struct net_rig r = { 0 };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t f[128], data[16];
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);

	up(&r, *state, "user");
	memset(f, 0, sizeof(f));
	store_be16(f + ETH + IP, GUEST_PORT);
	store_be16(f + ETH + IP + 2, port);
	store_be16(f + ETH + IP + 4, UDP + 4);
	memcpy(f + ETH + IP + UDP, "ping", 4);
	send_ip(&r, f, PROTOCOL_UDP, UDP + 4, 6);
	assert_int_equal(recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len), 4);
	assert_memory_equal(data, "ping", 4);
	assert_int_equal(sendto(fd, "pong!", 5, 0, (struct sockaddr *)&from, len), 5);
	await_packet(&r, PROTOCOL_UDP);
	assert_int_equal(r.len, ETH + IP + UDP + 5);
	assert_memory_equal(r.frame + ETH + IP + UDP, "pong!", 5);
	down(&r);
	close(fd);
}

/* Asks for a file by TFTP; the operation of the answer: 3 data, 5 error. */
static unsigned tftp(struct net_rig *r, const char *name)
{
	uint8_t f[128] = { 0 }, *data = f + ETH + IP + UDP;
	size_t len = 2 + strlen(name) + 1 + sizeof("octet");

	r->len = 0;
	store_be16(f + ETH + IP, GUEST_PORT);
	store_be16(f + ETH + IP + 2, TFTP_PORT);
	store_be16(f + ETH + IP + 4, (uint16_t)(UDP + len));
	data[1] = 1;
	strcpy((char *)data + 2, name);
	strcpy((char *)data + 2 + strlen(name) + 1, "octet");
	send_ip(r, f, PROTOCOL_UDP, UDP + len, 6);
	await_packet(r, PROTOCOL_UDP);
	return r->frame[ETH + IP + UDP + 1];
}

/* The guest reads the folder's files and nothing beside it, by no way. */
static void test_tftp(void **state)
{
	char dir[] = "/tmp/panal-tftp-XXXXXX", inside[64], outside[64], link[64], spec[96];
	struct net_rig r = { 0 };

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(inside, sizeof(inside), "%s/a", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	snprintf(outside, sizeof(outside), "%s.out", dir);
	put_file(inside, "hello");
	put_file(outside, "secret");
	assert_int_equal(symlink(outside, link), 0);
	snprintf(spec, sizeof(spec), "user,tftp=%s,bootfile=a", dir);
	up(&r, *state, spec);
	assert_int_equal(tftp(&r, "a"), 3);
	assert_int_equal(r.len, ETH + IP + UDP + 4 + 5);
	assert_memory_equal(r.frame + ETH + IP + UDP + 4, "hello", 5);
	assert_int_equal(tftp(&r, "b"), 5);
	assert_int_equal(tftp(&r, "../etc/passwd"), 5);
	if (sandbox_landlock_abi())
		assert_int_equal(tftp(&r, "link"), 5);
	down(&r);
	unlink(inside);
	unlink(outside);
	unlink(link);
	rmdir(dir);
}

static void test_connect(void **state)
{
	struct net_rig r = { 0 };
	uint8_t f[128] = { 0 };
	uint16_t port;
	int fd = host_socket(SOCK_STREAM, &port), peer;

	assert_int_equal(listen(fd, 1), 0);
	up(&r, *state, "user");
	store_be16(f + ETH + IP, GUEST_PORT);
	store_be16(f + ETH + IP + 2, port);
	f[ETH + IP + 12] = 5 << 4;
	f[ETH + IP + 13] = TCP_SYN;
	store_be16(f + ETH + IP + 14, 8192);
	send_ip(&r, f, PROTOCOL_TCP, TCP, 16);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	await_packet(&r, PROTOCOL_TCP); /* SYN and ACK */
	assert_int_equal(r.frame[ETH + IP + 13] & 0x12, 0x12);
	down(&r);
	close(peer);
	close(fd);
}

/* Somebody on the host connects to a forwarded port: the guest gets a SYN. */
static void test_forward(void **state)
{
	struct net_rig r = { 0 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char spec[64];
	uint16_t port;
	int fd = host_socket(SOCK_STREAM, &port);

	close(fd); /* free again; nobody else is likely to take it now */
	snprintf(spec, sizeof(spec), "user,forward=tcp:%u:7", port);
	up(&r, *state, spec);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	a.sin_port = htons(port);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	await_packet(&r, PROTOCOL_TCP);
	assert_int_equal(load_be16(r.frame + ETH + IP + 2), 7);
	assert_int_equal(r.frame[ETH + IP + 13] & 0x12, TCP_SYN);
	down(&r);
	close(fd);
}

int main(int argc, char **argv)
{
	void *folder = argc == 2 ? argv[1] : NULL;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_confined, folder),
		cmocka_unit_test_prestate(test_udp, folder),
		cmocka_unit_test_prestate(test_tftp, folder),
		cmocka_unit_test_prestate(test_connect, folder),
		cmocka_unit_test_prestate(test_forward, folder),
	};

	return folder ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
