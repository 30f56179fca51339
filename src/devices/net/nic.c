/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/net/nic.h"

#include "core/loop.h"
#include "core/vm.h"
#include "devices/net/frame.h"

#include <errno.h>
#include <string.h>

int nic_config_check(const struct nic_config *cfg, const char *name, struct err *e)
{
	static const uint8_t none[FRAME_MAC];

	if ((cfg->mac[0] & 1) || !memcmp(cfg->mac, none, FRAME_MAC))
		return err_set(e, -EINVAL, "%s: the MAC address is a group's or zero; use one like 52:54:00:12:34:56",
			       name);
	return 0;
}

/* ---- the back end's side: on its loop ---- */

/* What the back end gave in pieces as one piece, without the header of its offloads. */
static size_t join(struct nic *n, const struct iovec *iov, unsigned count)
{
	size_t len = 0, skip = n->net->offloads ? NET_VNET_HDR : 0;

	for (unsigned i = 0; i < count; i++) {
		size_t cut = skip < iov[i].iov_len ? skip : iov[i].iov_len, part = iov[i].iov_len - cut;

		skip -= cut;
		if (part > sizeof(n->rx) - len)
			part = sizeof(n->rx) - len;
		memcpy(n->rx + len, (const uint8_t *)iov[i].iov_base + cut, part);
		len += part;
	}
	return len;
}

static bool on_receive(void *opaque, const struct iovec *iov, unsigned count)
{
	struct nic *n = opaque;
	bool room = false;
	size_t len;

	pthread_mutex_lock(&n->lock);
	len = join(n, iov, count);
	if (n->running)
		room = len < FRAME_HEADER || !n->up || n->ops->receive(n->opaque, n->rx, len);
	n->rx_waits = !room;
	pthread_mutex_unlock(&n->lock);
	return room;
}

static void on_tx_ready(void *opaque)
{
	struct nic *n = opaque;

	pthread_mutex_lock(&n->lock);
	n->tx_blocked = false;
	if (n->running)
		n->ops->work(n->opaque);
	pthread_mutex_unlock(&n->lock);
}

static void on_link(void *opaque, bool up)
{
	struct nic *n = opaque;

	pthread_mutex_lock(&n->lock);
	n->up = up;
	n->ops->link(n->opaque, up);
	pthread_mutex_unlock(&n->lock);
}

static void on_kick(void *opaque)
{
	struct nic *n = opaque;

	pthread_mutex_lock(&n->lock);
	if (n->running)
		n->ops->work(n->opaque);
	pthread_mutex_unlock(&n->lock);
}

/* ---- the card's side ---- */

void nic_kick(struct nic *n)
{
	if (n->running)
		timer_arm(&n->kick, 0);
}

void nic_room(struct nic *n)
{
	if (!n->rx_waits || !n->net)
		return;
	n->rx_waits = false;
	net_rx_ready(n->net);
}

bool nic_send(struct nic *n, const uint8_t *frame, size_t len)
{
	static const uint8_t header[NET_VNET_HDR];
	struct iovec iov[2] = { { (void *)(uintptr_t)header, sizeof(header) }, { (void *)(uintptr_t)frame, len } };
	bool plain;

	if (!n->net || !n->up || len < FRAME_HEADER)
		return true;
	if (n->tx_blocked)
		return false;
	plain = n->net->offloads == 0;
	n->tx_blocked = !net_send(n->net, plain ? iov + 1 : iov, plain ? 1 : 2);
	return !n->tx_blocked;
}

/* ---- life ---- */

void nic_init(struct nic *n, struct vm *vm, const struct nic_config *cfg, const struct nic_ops *ops, void *opaque)
{
	struct loop *loop = cfg->net ? cfg->net->loop : vm->loop;

	n->ops = ops;
	n->opaque = opaque;
	n->net = cfg->net;
	n->up = cfg->net && !cfg->net->down;
	n->rx_waits = true; /* nothing is read before the card has room */
	pthread_mutex_init(&n->lock, NULL);
	timer_init(&n->kick, loop_timers(loop), on_kick, n);
}

void nic_connect(struct nic *n)
{
	n->client = (struct net_client){ .recv = on_receive, .tx_ready = on_tx_ready, .link = on_link, .opaque = n };
	if (!n->net)
		return;
	/* Plain frames: the card cuts and sums by itself. */
	if (n->net->ops->set_offloads)
		n->net->ops->set_offloads(n->net, 0);
	n->net->client = &n->client;
}

void nic_run_state(struct nic *n, bool running)
{
	pthread_mutex_lock(&n->lock);
	n->running = running;
	nic_kick(n);
	pthread_mutex_unlock(&n->lock);
}

void nic_destroy(struct nic *n, bool close)
{
	timer_cancel(&n->kick);
	if (close)
		net_close(n->net);
	pthread_mutex_destroy(&n->lock);
}
