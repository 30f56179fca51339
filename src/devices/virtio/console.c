/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/console.h"

#include "base/bytes.h"
#include "core/chardev.h"
#include "core/dev.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

enum { RX = 0, TX = 1, QUEUES = 2, QUEUE_SIZE = 64, SEG_MAX = 64, CLASS_SERIAL = 0x078000 };
enum { F_SIZE = 1 << 0, F_EMERG_WRITE = 1 << 2 };
enum { C_COLS = 0, C_ROWS = 2, C_PORTS = 4, C_EMERG = 8, C_SIZE = 12 };

struct virtio_console {
	struct virtio_dev v; /* first */
	struct chardev *chardev;
	/* v.lock */
	uint16_t cols, rows;
	struct virtq_elem rx, tx;
	bool tx_held;      /* tx is partly written and waits for the chardev */
	bool rx_blocked;   /* the chardev has bytes for which there was no buffer */
	uint32_t tx_done;  /* bytes of the chain in tx, or of the next one after a stop */
};

/* --- out of the guest --- */

/* False: the chardev takes no more for now. */
static bool write_chain(struct virtio_console *c)
{
	uint64_t skip = c->tx_done;
	for (unsigned i = 0; i < c->tx.readable; i++) {
		const struct iovec *v = &c->tx.iov[i];
		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		size_t want = v->iov_len - skip;
		size_t got = chardev_write(c->chardev, (const uint8_t *)v->iov_base + skip, want);
		c->tx_done += got;
		if (got < want)
			return false;
		skip = 0;
	}
	return true;
}

static void transmit(struct virtio_console *c)
{
	struct virtio_dev *v = &c->v;
	while (c->tx_held || virtio_pop(v, TX, &c->tx)) {
		c->tx_held = true;
		if (!write_chain(c))
			break;
		virtq_push(&v->queue[TX].q, &c->tx, 0);
		c->tx_held = false;
		c->tx_done = 0;
	}
	if (!c->tx_held)
		virtio_rearm(v, TX);
	virtio_notify(v, TX);
}

static void on_writable(void *opaque)
{
	struct virtio_console *c = opaque;
	virtio_kick(&c->v, TX);
}

/* --- into the guest --- */

static size_t on_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct virtio_console *c = opaque;
	struct virtio_dev *v = &c->v;
	size_t done = 0;
	pthread_mutex_lock(&v->lock);
	v->budget = QUEUE_SIZE;
	while (done < len && virtio_pop(v, RX, &c->rx)) {
		size_t put = virtq_copy_in(&c->rx, 0, buf + done, len - done);
		virtq_push(&v->queue[RX].q, &c->rx, put);
		done += put;
	}
	if (done)
		virtio_notify(v, RX);
	c->rx_blocked = done < len;
	if (c->rx_blocked)
		virtio_rearm(v, RX);
	pthread_mutex_unlock(&v->lock);
	return done;
}

static void console_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);
	if (n == TX) {
		transmit(c);
	} else if (c->rx_blocked) {
		c->rx_blocked = false;
		chardev_rx_ready(c->chardev);
	}
}

/* --- configuration and life --- */

static void config_fill(struct virtio_console *c)
{
	memset(c->v.config, 0, C_SIZE);
	store_le16(c->v.config + C_COLS, c->cols);
	store_le16(c->v.config + C_ROWS, c->rows);
	store_le32(c->v.config + C_PORTS, 1);
}

void virtio_console_resize(struct virtio_console *c, uint16_t cols, uint16_t rows)
{
	pthread_mutex_lock(&c->v.lock);
	c->cols = cols;
	c->rows = rows;
	config_fill(c);
	virtio_config_changed(&c->v);
	pthread_mutex_unlock(&c->v.lock);
}

static void console_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);
	uint8_t emergency = v->config[C_EMERG];
	config_fill(c);
	/* A character that finds no room is lost: nobody waits for it (5.3.5.1). */
	if (off == C_EMERG && chardev_write(c->chardev, &emergency, 1) == 0)
		return;
}

static bool console_reset(struct virtio_dev *v)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);
	c->tx_held = false;
	c->tx_done = 0;
	c->rx_blocked = true;
	return true;
}

/* A chain that is partly written goes back to the ring; tx_done tells where to go on. */
static void console_stop(struct virtio_dev *v)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);
	pthread_mutex_lock(&v->lock);
	if (c->tx_held)
		virtq_unpop(&v->queue[TX].q);
	c->tx_held = false;
	pthread_mutex_unlock(&v->lock);
}

static const struct virtio_device_ops console_ops = {
	.id = VIRTIO_ID_CONSOLE, .name = "virtio-console", .pci_class = CLASS_SERIAL, .queue = console_queue,
	.reset = console_reset, .config_written = console_config_written, .stop = console_stop,
};

static void console_free(struct virtio_console *c)
{
	virtq_elem_free(&c->rx);
	virtq_elem_free(&c->tx);
	free(c);
}

static void console_destroy(void *impl)
{
	struct virtio_console *c = impl;
	chardev_close(c->chardev);
	virtio_destroy(&c->v);
	console_free(c);
}

static int console_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_console *c = obj;
	config_fill(c);
	c->tx_held = false;
	c->rx_blocked = true;
	return virtio_after_load(obj, version, e);
}

static const struct state_field console_fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_console), STATE_FIELD(struct virtio_console, tx_done, STATE_U32), STATE_END,
};

static const struct state_desc console_state = {
	.name = "virtio-console", .version = 1, .fields = console_fields, .before_save = virtio_before_save,
	.after_load = console_loaded,
};

static const struct dev_type console_type = {
	.name = "virtio-console",
	.destroy = console_destroy,
	.reset = virtio_dev_reset,
	.run_state = virtio_dev_run_state,
	.state = &console_state,
	.state_size = sizeof(struct virtio_console),
};

int virtio_console_create(struct vm *vm, const struct virtio_console_config *cfg, struct virtio_console **out,
                          struct err *e)
{
	const uint16_t sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE};
	struct virtio_place place = cfg->place;
	struct virtio_console *c = calloc(1, sizeof(*c));
	if (!c || virtq_elem_init(&c->rx, SEG_MAX) < 0 || virtq_elem_init(&c->tx, SEG_MAX) < 0) {
		if (c)
			console_free(c);
		return err_set(e, -ENOMEM, "no memory for virtio-console");
	}
	c->chardev = cfg->chardev;
	c->rx_blocked = true;
	c->v.config_size = C_SIZE;
	c->v.device_features = F_EMERG_WRITE | (cfg->cols ? F_SIZE : 0);
	c->cols = cfg->cols;
	c->rows = cfg->rows;
	config_fill(c);
	place.direct = false;
	int rc = virtio_init(&c->v, vm, &console_ops, &place, sizes, QUEUES, e);
	if (!rc) {
		rc = dev_attach(vm, &console_type, cfg->place.id, c, e);
		if (rc)
			virtio_destroy(&c->v);
	}
	if (rc) {
		console_free(c);
		return rc;
	}
	chardev_set_client(c->chardev,
	                   &(struct chardev_client){.receive = on_receive, .writable = on_writable, .opaque = c});
	if (out)
		*out = c;
	return 0;
}
