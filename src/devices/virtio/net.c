/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/net.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/vm.h"
#include "net/net.h"
#include <errno.h>
#include <stdlib.h>

enum { RX = 0, TX = 1, CTRL = 2, QUEUES = 3, QUEUE_SIZE = 256, CTRL_SIZE = 64, ELEM_SEGS = NET_IOV_MAX };
enum { CLASS_ETHERNET = 0x020000, MAC = 6, HDR = NET_VNET_HDR, HDR_BUFFERS = 10, MTU_MIN = 68 };
enum { MERGE_MAX = 128, TABLE_MAX = 64, CTRL_MAX = 4096 };

enum feature {
	F_MTU = 1 << 3,
	F_MAC = 1 << 5,
	F_MRG_RXBUF = 1 << 15,
	F_STATUS = 1 << 16,
	F_CTRL_VQ = 1 << 17,
	F_CTRL_RX = 1 << 18,
	F_CTRL_MAC = 1 << 23,
};
enum config { C_MAC = 0, C_STATUS = 6, C_PAIRS = 8, C_MTU = 10, C_SIZE = 12 };
enum { LINK_UP = 1 };

/* Control commands (5.1.6.5) */
enum { CLASS_RX = 0, RX_PROMISC = 0, RX_ALLMULTI = 1, CLASS_MAC = 1, MAC_TABLE = 0, MAC_ADDR = 1 };
enum { CTRL_OK = 0, CTRL_ERROR = 1 };

struct virtio_net {
	struct virtio_dev v; /* first */
	struct net *net;
	struct net_client client;
	bool header; /* the backend's frames carry a virtio_net_hdr */
	uint8_t mac[MAC];
	uint16_t mtu;
	/* v.lock */
	struct virtq_elem rx, more, tx, ctrl;
	bool rx_blocked; /* the backend waits for net_rx_ready */
	uint8_t promisc, allmulti, table_full;
	uint16_t table_count;
	uint8_t table[TABLE_MAX * MAC]; /* more addresses that are ours */
};

static struct virtio_net *net_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_net, v);
}

/* --- out of the guest --- */

/* The frame's segments; without its header where the backend takes plain frames. Returns how many. */
static unsigned frame_of(struct virtio_net *n, struct iovec *out)
{
	uint64_t skip = n->header ? 0 : HDR;
	unsigned count = 0;
	for (unsigned i = 0; i < n->tx.readable; i++) {
		struct iovec v = n->tx.iov[i];
		uint64_t cut = skip < v.iov_len ? skip : v.iov_len;
		skip -= cut;
		v.iov_base = (uint8_t *)v.iov_base + cut;
		v.iov_len -= cut;
		if (v.iov_len)
			out[count++] = v;
	}
	return count;
}

/* False: the backend has no room now. A frame that is no frame is dropped, as by a real card. */
static bool send_chain(struct virtio_net *n)
{
	struct iovec iov[ELEM_SEGS];
	if (n->tx.readable_len <= HDR || n->tx.readable_len > HDR + NET_FRAME_MAX || !n->net)
		return true;
	unsigned count = frame_of(n, iov);
	return net_send(n->net, iov, count);
}

static void transmit(struct virtio_net *n)
{
	struct virtio_dev *v = &n->v;
	struct virtq *q = &v->queue[TX].q;
	virtq_notifications(q, false);
	while (virtio_pop(v, TX, &n->tx)) {
		if (!send_chain(n)) {
			/* on_tx_ready comes back to it. */
			virtq_unpop(q);
			virtio_notify(v, TX);
			return;
		}
		virtq_push(q, &n->tx, 0);
	}
	virtio_rearm(v, TX);
	virtio_notify(v, TX);
}

static void on_tx_ready(void *opaque)
{
	struct virtio_net *n = opaque;
	virtio_kick(&n->v, TX);
}

/* --- into the guest --- */

static bool table_has(const struct virtio_net *n, const uint8_t *mac)
{
	for (unsigned i = 0; i < n->table_count; i++)
		if (!memcmp(n->table + i * MAC, mac, MAC))
			return true;
	return false;
}

static bool for_us(const struct virtio_net *n, const uint8_t *mac)
{
	static const uint8_t broadcast[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	if (n->promisc || !memcmp(mac, broadcast, MAC) || !memcmp(mac, n->v.config + C_MAC, MAC))
		return true;
	bool multicast = mac[0] & 1;
	return n->table_full || (multicast && n->allmulti) || table_has(n, mac);
}

/* Where the receive copies from: header, then the backend's frame. */
struct source {
	const struct iovec *iov;
	unsigned count, i;
	size_t at; /* in iov[i] */
};

/* Fills the writable part of el from offset skip; returns the bytes stored. */
static size_t pour(const struct virtq_elem *el, size_t skip, struct source *s)
{
	size_t done = 0;
	while (s->i < s->count && skip + done < el->writable_len) {
		const struct iovec *v = &s->iov[s->i];
		size_t put = virtq_copy_in(el, skip + done, (const uint8_t *)v->iov_base + s->at, v->iov_len - s->at);
		done += put;
		s->at += put;
		if (s->at == v->iov_len) {
			s->i++;
			s->at = 0;
		}
	}
	return done;
}

static void take_back(struct virtio_net *n, unsigned chains)
{
	while (chains--)
		virtq_unpop(&n->v.queue[RX].q);
}

/* Stores one frame, over several chains where that was agreed upon. False: there were too few. The first chain is
 * filled in last, because its header tells how many there are. */
static bool deliver(struct virtio_net *n, struct source *s, size_t total)
{
	struct virtio_dev *v = &n->v;
	struct virtq *q = &v->queue[RX].q;
	unsigned chains = 0;
	size_t done = 0, first = 0;
	while (done < total) {
		struct virtq_elem *el = chains ? &n->more : &n->rx;
		bool may = chains == 0 || (virtio_has(v, F_MRG_RXBUF) && chains < MERGE_MAX);
		if (!may || !virtio_pop(v, RX, el)) {
			take_back(n, chains);
			return false;
		}
		size_t put = pour(el, 0, s);
		if (chains)
			virtq_fill(q, el, put, chains);
		else
			first = put;
		chains++;
		done += put;
		if (put == 0) {
			virtio_broken(v, "a receive buffer that cannot be written");
			return false;
		}
	}
	uint8_t count[2];
	store_le16(count, chains);
	virtq_copy_in(&n->rx, HDR_BUFFERS, count, 2);
	virtq_fill(q, &n->rx, first, 0);
	virtq_publish(q, chains);
	virtio_notify(v, RX);
	return true;
}

static bool receive(struct virtio_net *n, const struct iovec *iov, unsigned count)
{
	static const uint8_t no_header[HDR];
	struct iovec all[2 + NET_IOV_MAX];
	struct source s = {.iov = all};
	size_t total = 0, header = n->header ? HDR : 0;
	if (count == 0 || count > NET_IOV_MAX || iov[0].iov_len < header + MAC)
		return true;
	if (!for_us(n, (const uint8_t *)iov[0].iov_base + header))
		return true;
	if (!n->header)
		all[s.count++] = (struct iovec){(void *)(uintptr_t)no_header, HDR};
	for (unsigned i = 0; i < count; i++)
		all[s.count++] = iov[i];
	for (unsigned i = 0; i < s.count; i++)
		total += all[i].iov_len;
	n->v.budget = QUEUE_SIZE;
	return deliver(n, &s, total);
}

static bool on_recv(void *opaque, const struct iovec *iov, unsigned count)
{
	struct virtio_net *n = opaque;
	struct virtio_dev *v = &n->v;
	struct virtq *q = &v->queue[RX].q;
	pthread_mutex_lock(&v->lock);
	uint16_t before = virtq_waiting(q);
	bool taken = virtio_active(v) && receive(n, iov, count);
	bool room = taken && !virtq_empty(q);
	if (!room) {
		/* What the driver offers from now on wakes the backend; the buffers that did not do for this frame do
		 * not. */
		n->rx_blocked = true;
		virtq_notifications(q, true);
		if (virtq_waiting(q) > (taken ? 0 : before))
			virtio_kick(v, RX);
	}
	pthread_mutex_unlock(&v->lock);
	return room;
}

/* --- control queue --- */

static uint8_t set_table(struct virtio_net *n, const uint8_t *p, size_t len)
{
	unsigned count = 0;
	bool full = false;
	/* Two lists, unicast and multicast: a count, then so many addresses. */
	for (unsigned list = 0; list < 2; list++) {
		if (len < 4)
			return CTRL_ERROR;
		uint64_t entries = load_le32(p);
		p += 4;
		len -= 4;
		if (entries * MAC > len)
			return CTRL_ERROR;
		for (uint64_t i = 0; i < entries; i++, p += MAC, len -= MAC) {
			if (count < TABLE_MAX)
				memcpy(n->table + count++ * MAC, p, MAC);
			else
				full = true;
		}
	}
	n->table_count = count;
	n->table_full = full;
	return CTRL_OK;
}

static uint8_t command(struct virtio_net *n, const uint8_t *p, size_t len)
{
	if (len < 3)
		return CTRL_ERROR;
	switch (p[0] << 8 | p[1]) {
	case CLASS_RX << 8 | RX_PROMISC:
		n->promisc = p[2] != 0;
		return CTRL_OK;
	case CLASS_RX << 8 | RX_ALLMULTI:
		n->allmulti = p[2] != 0;
		return CTRL_OK;
	case CLASS_MAC << 8 | MAC_TABLE:
		return set_table(n, p + 2, len - 2);
	case CLASS_MAC << 8 | MAC_ADDR:
		if (len - 2 != MAC)
			return CTRL_ERROR;
		memcpy(n->v.config + C_MAC, p + 2, MAC);
		return CTRL_OK;
	default:
		return CTRL_ERROR;
	}
}

static void control(struct virtio_net *n)
{
	struct virtio_dev *v = &n->v;
	uint8_t text[CTRL_MAX];
	while (virtio_pop(v, CTRL, &n->ctrl)) {
		size_t len = virtq_copy_out(&n->ctrl, 0, text, sizeof(text));
		uint8_t answer = n->ctrl.readable_len > sizeof(text) ? CTRL_ERROR : command(n, text, len);
		virtq_push(&v->queue[CTRL].q, &n->ctrl, virtq_copy_in(&n->ctrl, 0, &answer, 1));
	}
	virtio_rearm(v, CTRL);
	virtio_notify(v, CTRL);
}

static void net_queue(struct virtio_dev *v, unsigned index)
{
	struct virtio_net *n = net_of(v);
	if (index == TX) {
		transmit(n);
	} else if (index == CTRL) {
		control(n);
	} else if (n->rx_blocked && n->net) {
		n->rx_blocked = false;
		virtq_notifications(&v->queue[RX].q, false);
		net_rx_ready(n->net);
	}
}

/* --- life --- */

static void on_link(void *opaque, bool up)
{
	struct virtio_net *n = opaque;
	pthread_mutex_lock(&n->v.lock);
	store_le16(n->v.config + C_STATUS, up ? LINK_UP : 0);
	virtio_config_changed(&n->v);
	pthread_mutex_unlock(&n->v.lock);
}

static void net_features(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);
	if (n->net && n->net->ops->set_offloads &&
	    n->net->ops->set_offloads(n->net, v->driver_features & n->net->offloads) < 0)
		log_limited(&v->limit, LOG_WARNING, "%s: the backend refuses the offloads that it had offered",
			    v->name);
}

static bool net_reset(struct virtio_dev *v)
{
	struct virtio_net *n = net_of(v);
	n->rx_blocked = true;
	n->promisc = 1; /* until the driver says otherwise everything passes (5.1.6.5.1) */
	n->allmulti = n->table_full = 0;
	n->table_count = 0;
	memset(n->table, 0, sizeof(n->table));
	memcpy(v->config + C_MAC, n->mac, MAC);
	return true;
}

static const struct virtio_device_ops net_dev_ops = {
	.id = VIRTIO_ID_NET,
	.name = "virtio-net",
	.pci_class = CLASS_ETHERNET,
	.queue = net_queue,
	.features = net_features,
	.reset = net_reset,
};

static void net_free(struct virtio_net *n)
{
	virtq_elem_free(&n->rx);
	virtq_elem_free(&n->more);
	virtq_elem_free(&n->tx);
	virtq_elem_free(&n->ctrl);
	free(n);
}

static void net_destroy(void *impl)
{
	struct virtio_net *n = impl;
	virtio_dev_run_state(&n->v, false);
	virtio_destroy(&n->v);
	net_close(n->net);
	net_free(n);
}

static int net_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_net *n = obj;
	if (n->table_count > TABLE_MAX || n->promisc > 1 || n->allmulti > 1 || n->table_full > 1)
		return err_set(e, -EINVAL, "%s: the saved receive filter is not possible", n->v.name);
	store_le16(n->v.config + C_STATUS, n->net ? LINK_UP : 0);
	store_le16(n->v.config + C_PAIRS, 1);
	store_le16(n->v.config + C_MTU, n->mtu);
	n->rx_blocked = true;
	int rc = virtio_after_load(obj, version, e);
	if (!rc && (n->v.status & VIRTIO_FEATURES_OK))
		net_features(&n->v);
	return rc;
}

static const struct state_field net_fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_net),
	STATE_FIELD(struct virtio_net, promisc, STATE_U8),
	STATE_FIELD(struct virtio_net, allmulti, STATE_U8),
	STATE_FIELD(struct virtio_net, table_full, STATE_U8),
	STATE_FIELD(struct virtio_net, table_count, STATE_U16),
	STATE_ARRAY(struct virtio_net, table, STATE_BYTES, TABLE_MAX * MAC),
	STATE_END,
};

static const struct state_desc net_state = {
	.name = "virtio-net",
	.version = 1,
	.fields = net_fields,
	.before_save = virtio_before_save,
	.after_load = net_loaded,
};

static const struct dev_type net_type = {
	.name = "virtio-net", .destroy = net_destroy, .reset = virtio_dev_reset, .run_state = virtio_dev_run_state,
	.state = &net_state, .state_size = sizeof(struct virtio_net),
};

static int check_config(const struct virtio_net_config *cfg, struct err *e)
{
	static const uint8_t none[MAC];
	if ((cfg->mac[0] & 1) || !memcmp(cfg->mac, none, MAC))
		return err_set(e, -EINVAL,
			       "virtio-net: the MAC address is a group's or zero; use one like 52:54:00:12:34:56");
	if (cfg->mtu && cfg->mtu < MTU_MIN)
		return err_set(e, -EINVAL, "virtio-net: an MTU of %u is below %d", cfg->mtu, MTU_MIN);
	return 0;
}

static struct virtio_net *net_new(const struct virtio_net_config *cfg)
{
	struct virtio_net *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	if (virtq_elem_init(&n->rx, ELEM_SEGS) < 0 || virtq_elem_init(&n->more, ELEM_SEGS) < 0 ||
	    virtq_elem_init(&n->tx, ELEM_SEGS) < 0 || virtq_elem_init(&n->ctrl, CTRL_SIZE) < 0) {
		net_free(n);
		return NULL;
	}
	n->net = cfg->net;
	n->header = cfg->net && cfg->net->offloads;
	n->mtu = cfg->mtu;
	memcpy(n->mac, cfg->mac, MAC);
	n->v.config_size = C_SIZE;
	n->v.device_features = F_MAC | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC |
			       (cfg->mtu ? F_MTU : 0) | (cfg->net ? cfg->net->offloads : 0);
	store_le16(n->v.config + C_STATUS, cfg->net && !cfg->net->down ? LINK_UP : 0);
	store_le16(n->v.config + C_PAIRS, 1);
	store_le16(n->v.config + C_MTU, cfg->mtu);
	net_reset(&n->v);
	return n;
}

int virtio_net_create(struct vm *vm, const struct virtio_net_config *cfg, struct err *e)
{
	const uint16_t sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE, CTRL_SIZE};
	struct virtio_place place = cfg->place;
	int rc = check_config(cfg, e);
	if (rc)
		return rc;
	struct virtio_net *n = net_new(cfg);
	if (!n)
		return err_set(e, -ENOMEM, "no memory for virtio-net");
	place.loop = cfg->net ? cfg->net->loop : NULL;
	place.direct = false;
	rc = virtio_init(&n->v, vm, &net_dev_ops, &place, sizes, QUEUES, e);
	if (!rc) {
		rc = dev_attach(vm, &net_type, cfg->place.id, n, e);
		if (rc)
			virtio_destroy(&n->v);
	}
	if (rc) {
		net_free(n);
		return rc;
	}
	n->client = (struct net_client){.recv = on_recv, .tx_ready = on_tx_ready, .link = on_link, .opaque = n};
	if (n->net)
		n->net->client = &n->client;
	return 0;
}
