/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Console, network card and balloon. */
#include "vdriver.h"

#include "base/bytes.h"
#include "core/chardev.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/console.h"
#include "devices/virtio/serial.h"
#include "devices/virtio/net.h"
#include "net/net.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void round_trip(struct vd *d, const char *id)
{
	vm_pause(d->rig.vm);
	rig_state_round_trip(&d->rig, id);
	vm_resume(d->rig.vm);
}

/* --- console --- */

struct con {
	struct vd d;
	char path[64];
	int peer;
	struct virtio_console *c;
};

static void con_up(struct con *k, bool mmio)
{
	char spec[80];
	snprintf(k->path, sizeof(k->path), "/tmp/panal-con-%d.sock", (int)getpid());
	snprintf(spec, sizeof(spec), "unix:%s", k->path);
	unlink(k->path);
	vd_up(&k->d, mmio);
	struct virtio_console_config cfg = {.place = vd_place(&k->d), .cols = 80, .rows = 25};
	cfg.place.id = "con0";
	assert_int_equal(chardev_open(&cfg.chardev, spec, k->d.rig.loop, NULL), 0);
	assert_int_equal(virtio_console_create(k->d.rig.vm, &cfg, &k->c, NULL), 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, k->path);
	k->peer = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(k->peer, (struct sockaddr *)&a, sizeof(a)), 0);
	vd_find(&k->d);
	vd_run(&k->d);
}

static void con_down(struct con *k)
{
	vd_down(&k->d);
	close(k->peer);
	unlink(k->path);
}

static void con_works(bool mmio)
{
	struct con k;
	char b[64] = {0};
	con_up(&k, mmio);
	vd_start(&k.d, VIRTIO_F_EVENT_IDX, 2);
	uint64_t buf = vd_alloc(&k.d, 4096);
	vd_put(&k.d, buf, "hello world", 11);
	vd_offer(&k.d, 1, 0, (struct vd_buf[]){{buf, 6, false}, {buf + 6, 5, false}}, 2);
	assert_int_equal(vd_take(&k.d, 1, NULL), 0);
	assert_int_equal(recv(k.peer, b, sizeof(b), 0), 11);
	assert_string_equal(b, "hello world");
	/* Bytes wait until there is a buffer. */
	assert_int_equal(send(k.peer, "typed", 5, 0), 5);
	vd_run(&k.d);
	uint32_t len;
	vd_offer(&k.d, 0, 0, (struct vd_buf[]){{buf, 3, true}}, 1);
	assert_int_equal(vd_take(&k.d, 0, &len), 0);
	assert_int_equal(len, 3);
	vd_offer(&k.d, 0, 1, (struct vd_buf[]){{buf + 3, 64, true}}, 1);
	assert_int_equal(vd_take(&k.d, 0, &len), 1);
	assert_int_equal(len, 2);
	vd_get(&k.d, buf, b, 5);
	assert_memory_equal(b, "typed", 5);
	/* Emergency writes, and a new size. */
	rig_store(&k.d.rig, k.d.device + 8, 4, '!');
	assert_int_equal(recv(k.peer, b, sizeof(b), 0), 1);
	assert_int_equal(b[0], '!');
	vd_isr(&k.d);
	virtio_console_resize(k.c, 132, 50);
	assert_int_equal(rig_load(&k.d.rig, k.d.device, 4), 50 << 16 | 132);
	assert_true(vd_isr(&k.d) & 2);
	round_trip(&k.d, "con0");
	vd_offer(&k.d, 1, 1, (struct vd_buf[]){{buf, 5, false}}, 1);
	assert_int_equal(vd_take(&k.d, 1, NULL), 1);
	con_down(&k);
}

/* --- named ports --- */

static void said(void *opaque, unsigned n, bool open)
{
	*(int *)opaque = (int)(n * 2 + open);
}

/* A control message of the driver, and what the device says in turn. */
static void control(struct vd *d, uint64_t buf, uint32_t port, uint16_t event)
{
	uint8_t m[8] = {0};
	store_le32(m, port);
	store_le16(m + 4, event);
	store_le16(m + 6, 1);
	vd_put(d, buf, m, 8);
	vd_offer(d, 3, 0, (struct vd_buf[]){{buf, 8, false}}, 1);
	assert_int_equal(vd_take(d, 3, NULL), 0);
}

static void expect_control(struct vd *d, uint64_t buf, uint32_t port, uint16_t event, uint32_t len)
{
	uint8_t m[8];
	uint32_t got;
	vd_offer(d, 2, 0, (struct vd_buf[]){{buf, 64, true}}, 1);
	assert_int_equal(vd_take(d, 2, &got), 0);
	vd_get(d, buf, m, 8);
	assert_int_equal(got, len);
	assert_int_equal(load_le32(m), port);
	assert_int_equal(load_le16(m + 4), event);
}

static void test_ports(void **state)
{
	struct con k = {0};
	char spec[80], b[16] = {0};
	int news = -1;
	snprintf(k.path, sizeof(k.path), "/tmp/panal-port-%d.sock", (int)getpid());
	snprintf(spec, sizeof(spec), "unix:%s", k.path);
	unlink(k.path);
	vd_up(&k.d, false);
	struct virtio_serial_config cfg = {.place = vd_place(&k.d), .count = 2, .moved = said, .opaque = &news,
					   .port = {{.name = "one"}, {.name = "second"}}};
	cfg.place.id = "con0";
	assert_int_equal(chardev_open(&cfg.port[0].chardev, "none", k.d.rig.loop, NULL), 0);
	assert_int_equal(chardev_open(&cfg.port[1].chardev, spec, k.d.rig.loop, NULL), 0);
	assert_int_equal(virtio_serial_create(k.d.rig.vm, &cfg, NULL), 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, k.path);
	k.peer = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(k.peer, (struct sockaddr *)&a, sizeof(a)), 0);
	vd_find(&k.d);
	vd_run(&k.d);
	assert_int_equal(rig_load(&k.d.rig, k.d.device + 4, 4), 3);
	vd_start(&k.d, 2, 8);
	uint64_t buf = vd_alloc(&k.d, 4096);
	control(&k.d, buf, 0, 0);
	expect_control(&k.d, buf, 1, 1, 8);
	expect_control(&k.d, buf, 2, 1, 8);
	control(&k.d, buf, 2, 3);
	expect_control(&k.d, buf, 2, 7, 8 + 6);
	expect_control(&k.d, buf, 2, 6, 8);
	/* What comes before the port is open waits. */
	assert_int_equal(send(k.peer, "early", 5, 0), 5);
	vd_run(&k.d);
	control(&k.d, buf, 2, 6);
	vd_run(&k.d);
	assert_int_equal(news, 3);
	uint32_t len;
	vd_offer(&k.d, 6, 0, (struct vd_buf[]){{buf, 64, true}}, 1);
	assert_int_equal(vd_take(&k.d, 6, &len), 0);
	assert_int_equal(len, 5);
	vd_put(&k.d, buf, "reply", 5);
	vd_offer(&k.d, 7, 0, (struct vd_buf[]){{buf, 5, false}}, 1);
	assert_int_equal(vd_take(&k.d, 7, NULL), 0);
	assert_int_equal(recv(k.peer, b, sizeof(b), 0), 5);
	assert_string_equal(b, "reply");
	control(&k.d, buf, 99, 6); /* there is no such port */
	round_trip(&k.d, "con0");
	con_down(&k);
}

static void test_console(void **state) { con_works(false); }
static void test_console_mmio(void **state) { con_works(true); }

/* A peer that does not read: the chain waits, also across a pause and a save, and nothing is lost or doubled. */
static void test_console_back_pressure(void **state)
{
	enum { CHUNK = 65536, CHUNKS = 15 };
	struct con k;
	con_up(&k, false);
	vd_start(&k.d, 0, 2);
	uint64_t buf = vd_alloc(&k.d, CHUNK);
	uint8_t *bytes = malloc(CHUNK), *got = malloc(CHUNK);
	for (unsigned i = 0; i < CHUNK; i++)
		bytes[i] = i * 7 + (i >> 8);
	vd_put(&k.d, buf, bytes, CHUNK);
	for (unsigned i = 0; i < CHUNKS; i++)
		vd_offer(&k.d, 1, i, (struct vd_buf[]){{buf, CHUNK, false}}, 1);
	vd_run(&k.d);
	round_trip(&k.d, "con0");
	size_t total = 0;
	for (unsigned i = 0; i < 20000 && total < CHUNK * CHUNKS; i++) {
		ssize_t n = recv(k.peer, got, 5000, MSG_DONTWAIT);
		for (ssize_t j = 0; j < n; j++)
			assert_int_equal(got[j], bytes[(total + j) % CHUNK]);
		if (n > 0)
			total += n;
		loop_once(k.d.rig.loop, 0);
	}
	assert_int_equal(total, CHUNK * CHUNKS);
	for (unsigned i = 0; i < CHUNKS; i++)
		assert_int_equal(vd_take(&k.d, 1, NULL), i);
	free(bytes);
	free(got);
	con_down(&k);
}

/* --- network --- */

struct wirenet {
	struct net net; /* first */
	uint8_t sent[70000];
	size_t sent_len;
	unsigned sends, ready, closed;
	bool full;
	uint64_t offloads;
};

static void wire_close(struct net *n) { ((struct wirenet *)n)->closed++; }
static void wire_ready(struct net *n) { ((struct wirenet *)n)->ready++; }

static bool wire_send(struct net *n, const struct iovec *iov, unsigned count)
{
	struct wirenet *w = (struct wirenet *)n;
	if (w->full)
		return false;
	w->sent_len = 0;
	for (unsigned i = 0; i < count; w->sent_len += iov[i++].iov_len)
		memcpy(w->sent + w->sent_len, iov[i].iov_base, iov[i].iov_len);
	w->sends++;
	return true;
}

static int wire_offloads(struct net *n, uint64_t f)
{
	((struct wirenet *)n)->offloads = f;
	return 0;
}

static const struct net_ops wire_ops = {
	.name = "test", .close = wire_close, .send = wire_send, .rx_ready = wire_ready, .set_offloads = wire_offloads,
};

static const uint8_t my_mac[6] = {0x52, 0x54, 0, 1, 2, 3};

static void net_up(struct vd *d, struct wirenet *w, uint64_t offloads, bool mmio)
{
	vd_up(d, mmio);
	memset(w, 0, sizeof(*w));
	w->net = (struct net){.ops = &wire_ops, .offloads = offloads, .loop = d->rig.loop};
	struct virtio_net_config cfg = {.place = vd_place(d), .net = &w->net, .mtu = 1400};
	cfg.place.id = "net0";
	memcpy(cfg.mac, my_mac, 6);
	assert_int_equal(virtio_net_create(d->rig.vm, &cfg, NULL), 0);
	vd_find(d);
}

static void frame_make(uint8_t *f, size_t len, const uint8_t *to)
{
	for (size_t i = 0; i < len; i++)
		f[i] = i * 3 + 1;
	memcpy(f, to, 6);
}

static bool offer_frame(struct wirenet *w, const uint8_t *f, size_t len)
{
	/* In two pieces. */
	struct iovec v[2] = {{(void *)(uintptr_t)f, 40}, {(uint8_t *)(uintptr_t)f + 40, len - 40}};
	return w->net.client->recv(w->net.client->opaque, v, 2);
}

static int command(struct vd *d, const uint8_t *text, unsigned len)
{
	uint64_t buf = vd_alloc(d, len + 1);
	uint8_t answer = 0xee;
	vd_put(d, buf, text, len);
	vd_offer(d, 2, 0, (struct vd_buf[]){{buf, len, false}, {buf + len, 1, true}}, 2);
	assert_int_equal(vd_take(d, 2, NULL), 0);
	vd_get(d, buf + len, &answer, 1);
	return answer;
}

static void test_net_tx(void **state)
{
	struct vd d;
	static struct wirenet w;
	uint8_t f[100];
	net_up(&d, &w, 0, false);
	assert_int_equal(rig_load(&d.rig, d.device + 10, 2), 1400);
	vd_start(&d, 1 << 5 | 1 << 17, 3);
	uint64_t buf = vd_alloc(&d, 4096);
	frame_make(f, 100, my_mac);
	vd_put(&d, buf + 12, f, 100);
	vd_offer(&d, 1, 0, (struct vd_buf[]){{buf, 20, false}, {buf + 20, 92, false}}, 2);
	assert_int_equal(vd_take(&d, 1, NULL), 0);
	assert_int_equal(w.sent_len, 100);
	assert_memory_equal(w.sent, f, 100);
	/* A backend without room. */
	w.full = true;
	vd_offer(&d, 1, 4, (struct vd_buf[]){{buf, 112, false}}, 1);
	assert_int_equal(vd_take_now(&d, 1, NULL), -1);
	w.full = false;
	w.net.client->tx_ready(w.net.client->opaque);
	assert_int_equal(vd_take(&d, 1, NULL), 4);
	assert_int_equal(w.sends, 2);
	/* A header without a frame vanishes. */
	vd_offer(&d, 1, 5, (struct vd_buf[]){{buf, 12, false}}, 1);
	assert_int_equal(vd_take(&d, 1, NULL), 5);
	assert_int_equal(w.sends, 2);
	vd_down(&d);
	assert_int_equal(w.closed, 1);
}

static void net_rx(bool merge, bool mmio)
{
	struct vd d;
	static struct wirenet w;
	uint8_t f[1500], b[2048];
	net_up(&d, &w, 0, mmio);
	frame_make(f, sizeof(f), my_mac);
	assert_false(offer_frame(&w, f, sizeof(f)));
	vd_start(&d, 1 << 5 | (merge ? 1 << 15 : 0) | VIRTIO_F_EVENT_IDX, 2);
	vd_run(&d);
	assert_true(w.ready > 0);
	uint64_t buf = vd_alloc(&d, 8192);
	uint32_t len, total = 0;
	unsigned size = merge ? 600 : 1512;
	for (unsigned i = 0; i < 4; i++)
		vd_offer(&d, 0, i, (struct vd_buf[]){{buf + i * size, size, true}}, 1);
	vd_run(&d);
	assert_true(offer_frame(&w, f, sizeof(f)));
	unsigned chains = merge ? 3 : 1;
	for (unsigned i = 0; i < chains; i++) {
		assert_int_equal(vd_take(&d, 0, &len), i);
		total += len;
	}
	assert_int_equal(total, 1512);
	vd_get(&d, buf, b, 1512);
	assert_int_equal(load_le16(b + 10), chains);
	assert_memory_equal(b + 12, f, 1500);
	/* With merging one buffer is left: too little. */
	if (merge) {
		assert_false(offer_frame(&w, f, sizeof(f)));
		assert_int_equal(vd_take_now(&d, 0, NULL), -1);
		unsigned ready = w.ready;
		vd_offer(&d, 0, 5, (struct vd_buf[]){{buf, 4096, true}}, 1);
		vd_run(&d);
		assert_true(w.ready > ready);
		assert_false(offer_frame(&w, f, sizeof(f)));
		assert_int_equal(vd_take(&d, 0, &len), 3);
		assert_int_equal(vd_take(&d, 0, &len), 5);
		assert_int_equal(len, 912);
	}
	vd_down(&d);
}

static void test_net_rx(void **state) { net_rx(false, false); }
static void test_net_rx_merged(void **state) { net_rx(true, false); }
static void test_net_rx_mmio(void **state) { net_rx(true, true); }

static void test_net_control(void **state)
{
	struct vd d;
	static struct wirenet w;
	uint8_t f[60];
	const uint8_t other[6] = {0x52, 0x54, 0, 9, 9, 9}, group[6] = {1, 0, 0x5e, 1, 1, 1};
	net_up(&d, &w, 0, false);
	vd_start(&d, 1 << 5 | 1 << 15 | 1 << 17 | 1 << 18 | 1 << 23, 3);
	uint64_t buf = vd_alloc(&d, 4096);
	for (unsigned i = 0; i < 8; i++)
		vd_offer(&d, 0, i, (struct vd_buf[]){{buf + i * 128, 128, true}}, 1);
	assert_int_equal(command(&d, (const uint8_t[]){0, 0, 0}, 3), 0);
	frame_make(f, 60, other);
	offer_frame(&w, f, 60);
	frame_make(f, 60, group);
	offer_frame(&w, f, 60);
	assert_int_equal(vd_take_now(&d, 0, NULL), -1);
	assert_int_equal(command(&d, (const uint8_t[]){0, 1, 1}, 3), 0);
	offer_frame(&w, f, 60);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	/* A new address, and one more in the table. */
	uint8_t addr[8] = {1, 1};
	memcpy(addr + 2, other, 6);
	assert_int_equal(command(&d, addr, 8), 0);
	frame_make(f, 60, other);
	offer_frame(&w, f, 60);
	assert_int_equal(vd_take(&d, 0, NULL), 1);
	uint8_t table[16] = {1, 0, 1, 0, 0, 0};
	memcpy(table + 6, my_mac, 6);
	assert_int_equal(command(&d, table, 16), 0);
	frame_make(f, 60, my_mac);
	offer_frame(&w, f, 60);
	assert_int_equal(vd_take(&d, 0, NULL), 2);
	/* Nonsense. */
	table[2] = 200;
	assert_int_equal(command(&d, table, 16), 1);
	memset(table + 2, 0xff, 4);
	assert_int_equal(command(&d, table, 16), 1);
	assert_int_equal(command(&d, (const uint8_t[]){9, 9, 9}, 3), 1);
	assert_int_equal(command(&d, (const uint8_t[]){0, 0}, 2), 1);
	round_trip(&d, "net0");
	frame_make(f, 60, my_mac);
	offer_frame(&w, f, 60);
	assert_int_equal(vd_take(&d, 0, NULL), 3);
	/* The cable. */
	vd_isr(&d);
	w.net.client->link(w.net.client->opaque, false);
	assert_int_equal(rig_load(&d.rig, d.device + 6, 2), 0);
	assert_true(vd_isr(&d) & 2);
	vd_down(&d);
}

static void test_net_offloads(void **state)
{
	struct vd d;
	static struct wirenet w;
	uint8_t f[72] = {1};
	net_up(&d, &w, 1 | 2, false);
	assert_int_equal(vd_features(&d) & 3, 3);
	vd_start(&d, 1 << 5 | 1 << 15 | 2, 2);
	assert_int_equal(w.offloads, 2);
	uint64_t buf = vd_alloc(&d, 4096);
	vd_put(&d, buf, f, 72);
	vd_offer(&d, 1, 0, (struct vd_buf[]){{buf, 72, false}}, 1);
	assert_int_equal(vd_take(&d, 1, NULL), 0);
	assert_int_equal(w.sent_len, 72);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{buf, 128, true}}, 1);
	memcpy(f + 12, my_mac, 6);
	offer_frame(&w, f, 72);
	uint32_t len;
	assert_int_equal(vd_take(&d, 0, &len), 0);
	assert_int_equal(len, 72);
	vd_get(&d, buf, f, 12);
	assert_int_equal(f[0], 1);
	assert_int_equal(load_le16(f + 10), 1);
	vd_down(&d);
}

static void test_net_refused(void **state)
{
	struct vd d;
	vd_up(&d, false);
	struct virtio_net_config cfg = {.place = vd_place(&d), .mac = {1}};
	assert_int_equal(virtio_net_create(d.rig.vm, &cfg, NULL), -EINVAL);
	cfg.mac[0] = 2;
	cfg.mtu = 10;
	assert_int_equal(virtio_net_create(d.rig.vm, &cfg, NULL), -EINVAL);
	cfg.mtu = 0;
	assert_int_equal(virtio_net_create(d.rig.vm, &cfg, NULL), 0);
	vd_find(&d);
	assert_int_equal(rig_load(&d.rig, d.device + 6, 2), 0);
	vd_down(&d);
}

/* --- balloon --- */

static void balloon_up(struct vd *d, struct virtio_balloon **b)
{
	vd_up(d, false);
	struct virtio_balloon_config cfg = {.place = vd_place(d)};
	cfg.place.id = "balloon0";
	assert_int_equal(virtio_balloon_create(d->rig.vm, &cfg, b, NULL), 0);
	vd_find(d);
}

static uint8_t byte_at(struct vd *d, uint64_t gpa)
{
	uint8_t b;
	vd_get(d, gpa, &b, 1);
	return b;
}

static void test_balloon_pages(void **state)
{
	struct vd d;
	struct virtio_balloon *b;
	struct virtio_balloon_info info;
	balloon_up(&d, &b);
	vd_start(&d, 1 << 1 | 1 << 5, 4);
	uint64_t list = vd_alloc(&d, 4096), pages = vd_alloc(&d, 8 * 4096);
	assert_int_equal(gmem_fill(d.rig.vm->mem, pages, 0x77, 8 * 4096), 0);
	uint32_t pfn[4] = {pages >> 12, (pages >> 12) + 1, (pages >> 12) + 3, 0xfffffff0};
	vd_put(&d, list, pfn, 16);
	vd_offer(&d, 0, 0, (struct vd_buf[]){{list, 16, false}}, 1);
	assert_int_equal(vd_take(&d, 0, NULL), 0);
	assert_int_equal(byte_at(&d, pages) | byte_at(&d, pages + 4096 + 5) | byte_at(&d, pages + 3 * 4096), 0);
	assert_int_equal(byte_at(&d, pages + 2 * 4096), 0x77);
	vd_offer(&d, 1, 0, (struct vd_buf[]){{list, 16, false}}, 1);
	assert_int_equal(vd_take(&d, 1, NULL), 0);
	/* Reported pages. */
	vd_offer(&d, 3, 0, (struct vd_buf[]){{pages + 4 * 4096, 8192, true}, {pages + 6 * 4096 + 1, 4096, true}}, 2);
	assert_int_equal(vd_take(&d, 3, NULL), 0);
	assert_int_equal(byte_at(&d, pages + 5 * 4096), 0);
	assert_int_equal(byte_at(&d, pages + 6 * 4096), 0x77);
	/* Target and actual size. */
	virtio_balloon_set_target(b, 1 << 20);
	assert_int_equal(rig_load(&d.rig, d.device, 4), 256);
	rig_store(&d.rig, d.device + 4, 4, 128);
	rig_store(&d.rig, d.device, 4, 5);
	virtio_balloon_query(b, &info);
	assert_int_equal(info.target, 1 << 20);
	assert_int_equal(info.actual, 128 << 12);
	assert_int_equal(info.reported, 8192);
	round_trip(&d, "balloon0");
	vd_down(&d);
}

static void test_balloon_stats(void **state)
{
	struct vd d;
	struct virtio_balloon *b;
	struct virtio_balloon_info info;
	balloon_up(&d, &b);
	vd_start(&d, 1 << 1, 3);
	uint64_t buf = vd_alloc(&d, 4096);
	uint8_t s[30] = {0};
	store_le16(s, BALLOON_FREE);
	store_le64(s + 2, 12345);
	store_le16(s + 10, 999);
	vd_put(&d, buf, s, 30);
	vd_offer(&d, 2, 0, (struct vd_buf[]){{buf, 30, false}}, 1);
	assert_int_equal(vd_take_now(&d, 2, NULL), -1);
	round_trip(&d, "balloon0");
	vd_run(&d);
	virtio_balloon_query(b, &info);
	assert_int_equal(info.stat[BALLOON_FREE], 12345);
	assert_true(info.stat[BALLOON_TOTAL] == UINT64_MAX);
	assert_int_equal(vd_take(&d, 2, NULL), 0);
	vd_down(&d);
}

/* Without statistics the reporting queue is number 2. */
static void test_balloon_numbers(void **state)
{
	struct vd d;
	struct virtio_balloon *b;
	balloon_up(&d, &b);
	vd_start(&d, 1 << 5, 3);
	uint64_t pages = vd_alloc(&d, 4096);
	assert_int_equal(gmem_fill(d.rig.vm->mem, pages, 0x77, 4096), 0);
	vd_offer(&d, 2, 0, (struct vd_buf[]){{pages, 4096, true}}, 1);
	assert_int_equal(vd_take(&d, 2, NULL), 0);
	assert_int_equal(byte_at(&d, pages), 0);
	vd_down(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_console_mmio),
		cmocka_unit_test(test_console_back_pressure),
		cmocka_unit_test(test_net_tx),
		cmocka_unit_test(test_net_rx),
		cmocka_unit_test(test_net_rx_merged),
		cmocka_unit_test(test_net_rx_mmio),
		cmocka_unit_test(test_net_control),
		cmocka_unit_test(test_net_offloads),
		cmocka_unit_test(test_net_refused),
		cmocka_unit_test(test_balloon_pages),
		cmocka_unit_test(test_balloon_stats),
		cmocka_unit_test(test_balloon_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
