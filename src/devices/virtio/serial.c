/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/serial.h"

#include "base/bytes.h"
#include "core/chardev.h"
#include "core/dev.h"
#include "core/loop.h"
#include "core/vm.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORTS = VIRTIO_SERIAL_PORTS, QUEUE_SIZE = 64, SEG_MAX = 64, CLASS_SERIAL = 0x078000 };
enum { CTRL_RX = 2, CTRL_TX = 3, FIRST = 4, QUEUES_MAX = FIRST + 2 * PORTS };
enum { F_MULTIPORT = 1 << 1 };
enum { C_PORTS = 4, C_SIZE = 12 };

/* Control messages (5.3.6.2): port, event, value. Port n of ours is the device's port n + 1. */
enum { MESSAGE = 8 };
enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME = 7 };
/* What the guest is still to be told of a port, in this order. */
enum { TELL_ADD = 1, TELL_NAME = 2, TELL_OPEN = 4 };

struct virtio_serial;

struct port {
	struct virtio_serial *s;
	unsigned n;
	char name[VIRTIO_SERIAL_NAME];
	struct chardev *chardev;
	struct virtq_elem tx;
	bool tx_held;  /* tx is partly written and waits for the chardev */
	bool told;     /* what was last said to `moved`; main loop */
};

struct virtio_serial {
	struct virtio_dev v; /* first */
	struct port port[PORTS];
	unsigned count;
	void (*moved)(void *opaque, unsigned n, bool open);
	void *opaque;
	/* v.lock */
	struct virtq_elem el;   /* of a receive or control queue, for the moment */
	uint8_t tell[PORTS];
	uint8_t open[PORTS];    /* a program of the guest has it open */
	uint32_t tx_done[PORTS]; /* bytes of the chain in tx, or of the next one after a stop */
};

static struct virtio_serial *serial_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_serial, v);
}

static unsigned rx_of(unsigned n) { return FIRST + 2 * n; }
static unsigned tx_of(unsigned n) { return FIRST + 2 * n + 1; }

/* --- who has which port open --- */

static void report(void *opaque)
{
	struct virtio_serial *s = opaque;
	for (unsigned n = 0; n < s->count; n++) {
		pthread_mutex_lock(&s->v.lock);
		bool open = s->open[n], news = open != s->port[n].told;
		s->port[n].told = open;
		pthread_mutex_unlock(&s->v.lock);
		if (news && s->moved)
			s->moved(s->opaque, n, open);
	}
}

static void set_open(struct virtio_serial *s, unsigned n, bool open)
{
	if (s->open[n] == open)
		return;
	s->open[n] = open;
	/* Without memory for the message the next change tells of this one too. */
	if (loop_post(s->v.vm->loop, report, s) < 0)
		log_limited(&s->v.limit, LOG_WARNING, "%s: no memory to tell who opens ports", s->v.name);
	if (open)
		chardev_rx_ready(s->port[n].chardev);
}

/* --- control --- */

static bool send_message(struct virtio_serial *s, unsigned n, uint16_t event, uint16_t value, const char *name)
{
	struct virtio_dev *v = &s->v;
	uint8_t m[MESSAGE + VIRTIO_SERIAL_NAME];
	size_t len = name ? strlen(name) : 0;
	if (!virtio_pop(v, CTRL_RX, &s->el))
		return false;
	store_le32(m, n + 1);
	store_le16(m + 4, event);
	store_le16(m + 6, value);
	memcpy(m + MESSAGE, name ? name : "", len);
	virtq_push(&v->queue[CTRL_RX].q, &s->el, virtq_copy_in(&s->el, 0, m, MESSAGE + len));
	return true;
}

static void tell(struct virtio_serial *s)
{
	static const struct {
		uint8_t bit, event;
	} steps[] = {{TELL_ADD, PORT_ADD}, {TELL_NAME, PORT_NAME}, {TELL_OPEN, PORT_OPEN}};
	for (unsigned n = 0; n < s->count; n++)
		for (unsigned i = 0; i < COUNT_OF(steps); i++) {
			if (!(s->tell[n] & steps[i].bit))
				continue;
			const char *name = steps[i].bit == TELL_NAME ? s->port[n].name : NULL;
			if (!send_message(s, n, steps[i].event, 1, name)) {
				virtio_rearm(&s->v, CTRL_RX);
				virtio_notify(&s->v, CTRL_RX);
				return;
			}
			s->tell[n] &= (uint8_t)~steps[i].bit;
		}
	virtio_notify(&s->v, CTRL_RX);
}

static void take_message(struct virtio_serial *s, const uint8_t *m)
{
	uint32_t port = load_le32(m);
	uint16_t event = load_le16(m + 4), value = load_le16(m + 6);
	if (event == DEVICE_READY) {
		for (unsigned n = 0; n < s->count; n++)
			s->tell[n] = value ? TELL_ADD : 0;
		return;
	}
	if (port == 0 || port > s->count)
		return;
	if (event == PORT_READY && value)
		s->tell[port - 1] |= TELL_NAME | TELL_OPEN; /* the host's end always counts as open */
	else if (event == PORT_OPEN)
		set_open(s, port - 1, value != 0);
}

static void control(struct virtio_serial *s)
{
	struct virtio_dev *v = &s->v;
	uint8_t m[MESSAGE];
	while (virtio_pop(v, CTRL_TX, &s->el)) {
		if (virtq_copy_out(&s->el, 0, m, sizeof(m)) == sizeof(m))
			take_message(s, m);
		virtq_push(&v->queue[CTRL_TX].q, &s->el, 0);
	}
	virtio_rearm(v, CTRL_TX);
	virtio_notify(v, CTRL_TX);
	tell(s);
}

/* --- out of the guest --- */

/* False: the chardev takes no more for now. */
static bool write_chain(struct virtio_serial *s, struct port *p)
{
	uint64_t skip = s->tx_done[p->n];
	for (unsigned i = 0; i < p->tx.readable; i++) {
		const struct iovec *v = &p->tx.iov[i];
		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		size_t want = v->iov_len - skip;
		size_t got = chardev_write(p->chardev, (const uint8_t *)v->iov_base + skip, want);
		s->tx_done[p->n] += got;
		if (got < want)
			return false;
		skip = 0;
	}
	return true;
}

static void transmit(struct virtio_serial *s, struct port *p)
{
	struct virtio_dev *v = &s->v;
	unsigned q = tx_of(p->n);
	while (p->tx_held || virtio_pop(v, q, &p->tx)) {
		p->tx_held = true;
		if (!write_chain(s, p))
			break;
		virtq_push(&v->queue[q].q, &p->tx, 0);
		p->tx_held = false;
		s->tx_done[p->n] = 0;
	}
	if (!p->tx_held)
		virtio_rearm(v, q);
	virtio_notify(v, q);
}

static void on_writable(void *opaque)
{
	struct port *p = opaque;
	virtio_kick(&p->s->v, tx_of(p->n));
}

/* --- into the guest --- */

static size_t on_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct port *p = opaque;
	struct virtio_dev *v = &p->s->v;
	unsigned q = rx_of(p->n);
	size_t done = 0;
	pthread_mutex_lock(&v->lock);
	v->budget = QUEUE_SIZE;
	while (p->s->open[p->n] && done < len && virtio_pop(v, q, &p->s->el)) {
		size_t put = virtq_copy_in(&p->s->el, 0, buf + done, len - done);
		virtq_push(&v->queue[q].q, &p->s->el, put);
		done += put;
	}
	if (done)
		virtio_notify(v, q);
	if (done < len && virtio_active(v))
		virtio_rearm(v, q);
	pthread_mutex_unlock(&v->lock);
	return done;
}

static void serial_queue(struct virtio_dev *v, unsigned q)
{
	struct virtio_serial *s = serial_of(v);
	if (q == CTRL_TX) {
		control(s);
	} else if (q == CTRL_RX) {
		tell(s);
	} else if (q >= FIRST) {
		struct port *p = &s->port[(q - FIRST) / 2];
		if (q == tx_of(p->n))
			transmit(s, p);
		else
			chardev_rx_ready(p->chardev);
	}
}

/* --- life --- */

static void config_fill(struct virtio_serial *s)
{
	memset(s->v.config, 0, C_SIZE);
	store_le32(s->v.config + C_PORTS, s->count + 1);
}

static bool serial_reset(struct virtio_dev *v)
{
	struct virtio_serial *s = serial_of(v);
	for (unsigned n = 0; n < s->count; n++) {
		s->port[n].tx_held = false;
		s->tx_done[n] = 0;
		s->tell[n] = 0;
		set_open(s, n, false);
	}
	return true;
}

/* A chain that is partly written goes back to the ring; tx_done tells where to go on. */
static void serial_stop(struct virtio_dev *v)
{
	struct virtio_serial *s = serial_of(v);
	pthread_mutex_lock(&v->lock);
	for (unsigned n = 0; n < s->count; n++) {
		if (s->port[n].tx_held)
			virtq_unpop(&v->queue[tx_of(n)].q);
		s->port[n].tx_held = false;
	}
	pthread_mutex_unlock(&v->lock);
}

static const struct virtio_device_ops serial_ops = {
	.id = VIRTIO_ID_CONSOLE, .name = "virtio-serial", .pci_class = CLASS_SERIAL, .queue = serial_queue,
	.reset = serial_reset, .stop = serial_stop,
};

static void serial_free(struct virtio_serial *s)
{
	for (unsigned n = 0; n < PORTS; n++)
		virtq_elem_free(&s->port[n].tx);
	virtq_elem_free(&s->el);
	free(s);
}

static void serial_destroy(void *impl)
{
	struct virtio_serial *s = impl;
	for (unsigned n = 0; n < s->count; n++)
		chardev_close(s->port[n].chardev);
	virtio_destroy(&s->v);
	serial_free(s);
}

static int serial_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_serial *s = obj;
	config_fill(s);
	for (unsigned n = 0; n < PORTS; n++)
		if (s->open[n] > 1 || s->tell[n] > (TELL_ADD | TELL_NAME | TELL_OPEN))
			return err_set(e, -EINVAL, "%s: the saved ports are not possible", s->v.name);
	int rc = virtio_after_load(obj, version, e);
	return rc ? rc : loop_post(s->v.vm->loop, report, s);
}

static const struct state_field serial_fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_serial),
	STATE_ARRAY(struct virtio_serial, tell, STATE_BYTES, PORTS),
	STATE_ARRAY(struct virtio_serial, open, STATE_BYTES, PORTS),
	STATE_ARRAY(struct virtio_serial, tx_done, STATE_U32, PORTS), STATE_END,
};

static const struct state_desc serial_state = {
	.name = "virtio-serial", .version = 1, .fields = serial_fields, .before_save = virtio_before_save,
	.after_load = serial_loaded,
};

static const struct dev_type serial_type = {
	.name = "virtio-serial", .destroy = serial_destroy, .reset = virtio_dev_reset,
	.run_state = virtio_dev_run_state, .state = &serial_state, .state_size = sizeof(struct virtio_serial),
};

static struct virtio_serial *serial_new(const struct virtio_serial_config *cfg)
{
	struct virtio_serial *s = calloc(1, sizeof(*s));
	int rc = s ? virtq_elem_init(&s->el, SEG_MAX) : -ENOMEM;
	for (unsigned n = 0; rc == 0 && n < cfg->count; n++) {
		struct port *p = &s->port[n];
		p->s = s;
		p->n = n;
		p->chardev = cfg->port[n].chardev;
		snprintf(p->name, sizeof(p->name), "%s", cfg->port[n].name);
		rc = virtq_elem_init(&p->tx, SEG_MAX);
	}
	if (rc && s)
		serial_free(s);
	if (rc)
		return NULL;
	s->count = cfg->count;
	s->moved = cfg->moved;
	s->opaque = cfg->opaque;
	s->v.config_size = C_SIZE;
	s->v.device_features = F_MULTIPORT;
	config_fill(s);
	return s;
}

int virtio_serial_create(struct vm *vm, const struct virtio_serial_config *cfg, struct err *e)
{
	struct virtio_place place = cfg->place;
	uint16_t sizes[QUEUES_MAX];
	for (unsigned n = 0; n < QUEUES_MAX; n++)
		sizes[n] = QUEUE_SIZE;
	if (cfg->count == 0 || cfg->count > PORTS)
		return err_set(e, -EINVAL, "virtio-serial: 1 to %d channels are possible", PORTS);
	for (unsigned n = 0; n < cfg->count; n++)
		if (strlen(cfg->port[n].name) >= VIRTIO_SERIAL_NAME)
			return err_set(e, -EINVAL, "virtio-serial: the name of channel %u is longer than %d bytes", n,
				       VIRTIO_SERIAL_NAME - 1);
	struct virtio_serial *s = serial_new(cfg);
	if (!s)
		return err_set(e, -ENOMEM, "no memory for virtio-serial");
	place.direct = false;
	int rc = virtio_init(&s->v, vm, &serial_ops, &place, sizes, FIRST + 2 * cfg->count, e);
	if (!rc) {
		rc = dev_attach(vm, &serial_type, cfg->place.id, s, e);
		if (rc)
			virtio_destroy(&s->v);
	}
	if (rc) {
		serial_free(s);
		return rc;
	}
	for (unsigned n = 0; n < s->count; n++)
		chardev_set_client(s->port[n].chardev,
				   &(struct chardev_client){.receive = on_receive, .writable = on_writable,
							    .opaque = &s->port[n]});
	return 0;
}
