/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net_priv.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Frames taken in one round, so that a flood does not starve the rest of the loop. */
enum { RX_BURST = 64 };

static struct net_fd *self(struct net *n)
{
	return container_of(n, struct net_fd, net);
}

static void watch(struct net_fd *n)
{
	unsigned events = 0;

	if (!n->rx_paused)
		events |= LOOP_READ;
	if (n->tx_blocked)
		events |= LOOP_WRITE;
	loop_fd_events(n->watch, events);
}

static void gone(struct net_fd *n)
{
	log_line(LOG_WARNING, "%s went away; the guest's network cable counts as pulled", n->what);
	loop_fd_remove(n->watch);
	n->watch = NULL;
	if (n->net.client && n->net.client->link)
		n->net.client->link(n->net.client->opaque, false);
}

static void receive(struct net_fd *n)
{
	for (unsigned burst = 0; burst < RX_BURST && !n->rx_paused; burst++) {
		ssize_t len = read(n->fd, n->frame, sizeof(n->frame));
		struct iovec iov = { .iov_base = n->frame };

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			gone(n);
			return;
		}
		if (len <= n->header)
			continue;
		iov.iov_len = (size_t)len;
		/* A frame that finds no room is lost, as on a real wire; the next ones wait in the kernel. */
		if (!net_receive(&n->net, &iov, 1))
			n->rx_paused = true;
	}
}

static void on_fd(void *opaque, int fd, unsigned events)
{
	struct net_fd *n = opaque;

	if ((events & LOOP_WRITE) && n->tx_blocked) {
		n->tx_blocked = false;
		if (n->net.client && n->net.client->tx_ready)
			n->net.client->tx_ready(n->net.client->opaque);
	}
	if (events & LOOP_READ)
		receive(n);
	else if (events & LOOP_HANGUP)
		gone(n);
	if (n->watch)
		watch(n);
}

bool net_fd_send(struct net *net, const struct iovec *iov, unsigned count)
{
	struct net_fd *n = self(net);

	if (!n->watch)
		return true; /* the other end is gone: frames vanish */
	if (writev(n->fd, iov, (int)count) >= 0)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS)
		return true; /* a frame the host refuses (too long, interface down) is lost */
	n->tx_blocked = true;
	watch(n);
	return false;
}

void net_fd_rx_ready(struct net *net)
{
	struct net_fd *n = self(net);

	if (!n->rx_paused)
		return;
	n->rx_paused = false;
	if (n->watch)
		watch(n);
}

int net_fd_start(struct net_fd *n, int fd, unsigned header, struct loop *loop, const char *what, struct err *e)
{
	n->fd = fd;
	n->header = header;
	n->what = what;
	n->net.loop = loop;
	/* Nothing is read before the card says that it has room. */
	n->rx_paused = true;
	return loop_fd_add(loop, fd, 0, on_fd, n, &n->watch, e);
}

void net_fd_stop(struct net_fd *n)
{
	loop_fd_remove(n->watch);
	n->watch = NULL;
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}
