/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets between guest and host, both directions. */
#include "vdriver.h"

#include "base/bytes.h"
#include "devices/virtio/vsock.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST, CID = 42, HDR = 44, BUF = 4096 };

struct vs {
	struct vd d;
	char path[64];
	uint64_t tx, rx[8];
	unsigned next_rx, offered;
	uint8_t packet[BUF]; /* the last that was received */
	uint32_t fwd;
};

static void vs_up(struct vs *s)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->path, sizeof(s->path), "/tmp/panal-vs-%d", (int)getpid());
	unlink(s->path);
	vd_up(&s->d, false);
	struct virtio_vsock_config cfg = {.place = vd_place(&s->d), .path = s->path, .cid = CID};
	cfg.place.id = "vsock0";
	assert_int_equal(virtio_vsock_create(s->d.rig.vm, &cfg, NULL), 0);
	vd_find(&s->d);
	vd_start(&s->d, VIRTIO_F_EVENT_IDX, 3);
	s->tx = vd_alloc(&s->d, BUF);
	for (unsigned i = 0; i < 8; i++)
		s->rx[i] = vd_alloc(&s->d, BUF);
	assert_int_equal(rig_load(&s->d.rig, s->d.device, 4), CID);
}

static void vs_buffers(struct vs *s)
{
	for (unsigned i = 0; i < 8; i++)
		vd_offer(&s->d, 0, i, (struct vd_buf[]){{s->rx[i], BUF, true}}, 1);
	vd_run(&s->d);
}

static void vs_send(struct vs *s, unsigned op, uint32_t gport, uint32_t hport, const void *data, uint32_t len,
		    uint32_t flags)
{
	uint8_t h[HDR] = {0};
	store_le64(h, CID);
	store_le64(h + 8, 2);
	store_le32(h + 16, gport);
	store_le32(h + 20, hport);
	store_le32(h + 24, len);
	store_le16(h + 28, 1);
	store_le16(h + 30, op);
	store_le32(h + 32, flags);
	store_le32(h + 36, 65536);
	store_le32(h + 40, s->fwd);
	vd_put(&s->d, s->tx, h, HDR);
	if (len)
		vd_put(&s->d, s->tx + HDR, data, len);
	vd_offer(&s->d, 1, 0, (struct vd_buf[]){{s->tx, HDR, false}, {s->tx + HDR, len, false}}, len ? 2 : 1);
	assert_int_equal(vd_take(&s->d, 1, NULL), 0);
}

/* The next packet's op; its buffer is offered again. */
static unsigned vs_receive(struct vs *s)
{
	uint32_t len;
	int i = vd_take(&s->d, 0, &len);
	if (i < 0)
		return 0;
	vd_get(&s->d, s->rx[i], s->packet, len);
	assert_int_equal(load_le64(s->packet), 2);
	assert_int_equal(load_le64(s->packet + 8), CID);
	assert_int_equal(len, HDR + load_le32(s->packet + 24));
	vd_offer(&s->d, 0, i, (struct vd_buf[]){{s->rx[i], BUF, true}}, 1);
	return load_le16(s->packet + 30);
}

static int listener(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, path);
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void test_guest_connects(void **state)
{
	struct vs s;
	char path[80], b[64] = {0};
	vs_up(&s);
	vs_buffers(&s);
	snprintf(path, sizeof(path), "%s_77", s.path);
	/* Nobody listens. */
	unlink(path);
	vs_send(&s, REQUEST, 1000, 77, NULL, 0, 0);
	assert_int_equal(vs_receive(&s), RST);
	assert_int_equal(load_le32(s.packet + 20), 1000);
	int l = listener(path);
	vs_send(&s, REQUEST, 1001, 77, NULL, 0, 0);
	assert_int_equal(vs_receive(&s), RESPONSE);
	int peer = accept(l, NULL, NULL);
	vs_send(&s, RW, 1001, 77, "from the guest", 14, 0);
	assert_int_equal(recv(peer, b, sizeof(b), 0), 14);
	assert_string_equal(b, "from the guest");
	assert_int_equal(send(peer, "from the host", 13, 0), 13);
	assert_int_equal(vs_receive(&s), RW);
	assert_memory_equal(s.packet + HDR, "from the host", 13);
	vs_send(&s, CREDIT_REQUEST, 1001, 77, NULL, 0, 0);
	assert_int_equal(vs_receive(&s), CREDIT_UPDATE);
	assert_int_equal(load_le32(s.packet + 40), 14);
	/* The guest closes. */
	vs_send(&s, SHUTDOWN, 1001, 77, NULL, 0, 3);
	assert_int_equal(vs_receive(&s), RST);
	assert_int_equal(recv(peer, b, sizeof(b), 0), 0);
	/* A packet for what is no more. */
	vs_send(&s, RW, 1001, 77, "x", 1, 0);
	assert_int_equal(vs_receive(&s), RST);
	close(peer);
	close(l);
	unlink(path);
	vd_down(&s.d);
	assert_int_equal(access(s.path, F_OK), -1);
}

static int host_connect(struct vs *s, const char *line)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, s->path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	vd_run(&s->d);
	return fd;
}

static void test_host_connects(void **state)
{
	struct vs s;
	char b[64] = {0};
	vs_up(&s);
	vs_buffers(&s);
	int fd = host_connect(&s, "CONNECT 5000\nearly");
	assert_int_equal(vs_receive(&s), REQUEST);
	uint32_t hport = load_le32(s.packet + 16);
	assert_int_equal(load_le32(s.packet + 20), 5000);
	vs_send(&s, RESPONSE, 5000, hport, NULL, 0, 0);
	ssize_t n = recv(fd, b, sizeof(b), 0);
	assert_true(n > 4 && !memcmp(b, "OK ", 3) && b[n - 1] == '\n');
	assert_int_equal(vs_receive(&s), RW);
	assert_memory_equal(s.packet + HDR, "early", 5);
	/* The host closes: the guest hears of it and answers. */
	close(fd);
	assert_int_equal(vs_receive(&s), SHUTDOWN);
	assert_int_equal(load_le32(s.packet + 32), 3);
	vs_send(&s, RST, 5000, hport, NULL, 0, 0);
	/* Bad lines. */
	static const char *const bad[] = {"CONNECT \n", "CONNECT 99999999999\n", "HELLO\n", "CONNECT 12x\n",
					  "CONNECT 1111111111111111111111111111111111"};
	for (unsigned i = 0; i < COUNT_OF(bad); i++) {
		fd = host_connect(&s, bad[i]);
		n = recv(fd, b, sizeof(b), MSG_DONTWAIT);
		assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
		close(fd);
	}
	/* The guest refuses. */
	fd = host_connect(&s, "CONNECT 1\n");
	assert_int_equal(vs_receive(&s), REQUEST);
	vs_send(&s, RST, 1, load_le32(s.packet + 16), NULL, 0, 0);
	assert_int_equal(recv(fd, b, sizeof(b), 0), 0);
	close(fd);
	vd_down(&s.d);
}

/* A guest without credit and buffers gets no more; a host that does not read stops the guest by credit. */
static void test_credit(void **state)
{
	enum { MUCH = 200000 };
	struct vs s;
	char path[80];
	uint8_t *b = calloc(1, MUCH);
	vs_up(&s);
	vs_buffers(&s);
	snprintf(path, sizeof(path), "%s_9", s.path);
	int l = listener(path);
	vs_send(&s, REQUEST, 1, 9, NULL, 0, 0);
	assert_int_equal(vs_receive(&s), RESPONSE);
	int peer = accept(l, NULL, NULL);
	size_t given = 0, got = 0;
	for (unsigned i = 0; i < MUCH; i++)
		b[i] = i * 13 + (i >> 8);
	for (unsigned i = 0; i < 5000 && got < MUCH; i++) {
		ssize_t n = given < MUCH ? send(peer, b + given, MUCH - given, MSG_DONTWAIT) : 0;
		given += n > 0 ? n : 0;
		vd_run(&s.d);
		uint32_t len;
		int k = vd_take_now(&s.d, 0, &len);
		if (k < 0) {
			assert_true(got - s.fwd <= 65536);
			s.fwd = got;
			vs_send(&s, CREDIT_UPDATE, 1, 9, NULL, 0, 0);
			continue;
		}
		vd_get(&s.d, s.rx[k], s.packet, len);
		assert_int_equal(load_le16(s.packet + 30), RW);
		assert_memory_equal(s.packet + HDR, b + got, len - HDR);
		got += len - HDR;
		vd_offer(&s.d, 0, k, (struct vd_buf[]){{s.rx[k], BUF, true}}, 1);
	}
	assert_int_equal(got, MUCH);
	/* The host does not read: beyond the credit the connection is reset. */
	unsigned op = 0;
	for (unsigned i = 0; i < 1000 && op != RST; i++) {
		vs_send(&s, RW, 1, 9, b, 2048, 0);
		uint32_t len;
		int k = vd_take_now(&s.d, 0, &len);
		if (k < 0)
			continue;
		vd_get(&s.d, s.rx[k], s.packet, len);
		op = load_le16(s.packet + 30);
		vd_offer(&s.d, 0, k, (struct vd_buf[]){{s.rx[k], BUF, true}}, 1);
	}
	assert_int_equal(op, RST);
	close(peer);
	close(l);
	unlink(path);
	free(b);
	vd_down(&s.d);
}

static void test_reset_and_state(void **state)
{
	struct vs s;
	char b[8];
	vs_up(&s);
	vs_buffers(&s);
	int fd = host_connect(&s, "CONNECT 5\n");
	assert_int_equal(vs_receive(&s), REQUEST);
	vd_start(&s.d, 0, 3);
	assert_int_equal(recv(fd, b, sizeof(b), 0), 0);
	close(fd);
	/* After a load the guest is told. */
	vm_pause(s.d.rig.vm);
	rig_state_round_trip(&s.d.rig, "vsock0");
	vm_resume(s.d.rig.vm);
	uint32_t len;
	vd_offer(&s.d, 2, 0, (struct vd_buf[]){{s.tx, 4, true}}, 1);
	assert_int_equal(vd_take(&s.d, 2, &len), 0);
	assert_int_equal(len, 4);
	vd_down(&s.d);
}

static void test_refused(void **state)
{
	struct vs s;
	struct err e = {0};
	vs_up(&s);
	struct virtio_vsock_config cfg = {.place = vd_place(&s.d), .path = s.path};
	cfg.place.slot = 9;
	assert_int_equal(virtio_vsock_create(s.d.rig.vm, &cfg, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "another machine"));
	cfg.cid = 2;
	assert_int_equal(virtio_vsock_create(s.d.rig.vm, &cfg, &e), -EINVAL);
	vd_down(&s.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_connects), cmocka_unit_test(test_host_connects),
		cmocka_unit_test(test_credit),         cmocka_unit_test(test_reset_and_state),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
