/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network backend: the other end of a network card. Ethernet frames without FCS, both ways, on one loop thread.
 */
#ifndef PANAL_NET_NET_H
#define PANAL_NET_NET_H

#include "base/err.h"
#include <sys/uio.h>

struct loop;
struct net;

enum { NET_FRAME_MAX = 65535 + 14 + 4, NET_IOV_MAX = 256, NET_VNET_HDR = 12 };

/* What the card gives the backend. recv returns false when the card has no room for another frame: the backend stops
 * reading until net_rx_ready. This frame was taken, or is lost; it is not offered again. iov[0] begins with a
 * virtio_net_hdr (NET_VNET_HDR bytes, virtio 1.2, 5.1.6) when offloads are on. */
struct net_client {
	bool (*recv)(void *opaque, const struct iovec *iov, unsigned count);
	void (*tx_ready)(void *opaque); /* after net_send gave false */
	void (*link)(void *opaque, bool up);
	void *opaque;
};

struct net_ops {
	const char *name;
	void (*close)(struct net *n);
	/* False: no room now, tx_ready follows. The frame is copied or sent before it returns. */
	bool (*send)(struct net *n, const struct iovec *iov, unsigned count);
	void (*rx_ready)(struct net *n);
	/* The offloads the guest accepted, as virtio-net feature bits; NULL: none possible. */
	int (*set_offloads)(struct net *n, uint64_t virtio_features);
};

struct net_count {
	uint64_t packets, bytes, dropped;
};

struct net {
	const struct net_ops *ops;
	bool down;               /* net_set_link: frames vanish both ways. Loop thread */
	struct net_count rx, tx; /* the card's view: rx went into the guest. Loop thread */
	const struct net_client *client; /* set by the card before it uses the backend */
	uint64_t offloads;               /* virtio-net feature bits this backend can do; 0: plain frames */
	struct loop *loop;
};

/* How panal-net-user is started: the folder where it lives, and whether it gives up rights after its start. */
struct net_helper {
	const char *dir;
	bool sandbox;
};

/* spec: "user,forward=tcp:2222:22", "tap=NAME", "tap=fd:N" (open already), "none" (*out = NULL). helper is read during
 * the call. */
int net_open(struct net **out, const char *spec, struct loop *loop, const struct net_helper *helper,
	     struct err *e) ATTR_MUST_USE;
void net_close(struct net *n); /* NULL is allowed */
/* The card's address that a spec names ("user,mac=52:54:00:12:34:56"): 1 and the address, or 0 when it names none.
 * Errors: -EINVAL (no unicast address). */
int net_spec_mac(uint8_t mac[6], const char *spec, struct err *e) ATTR_MUST_USE;
/* The card's name that a spec gives it, "" when it gives none. */
int net_spec_id(char *id, size_t size, const char *spec, struct err *e) ATTR_MUST_USE;

/* Counts a frame with its header, if it has one. */
void net_count(const struct net *n, struct net_count *c, const struct iovec *iov, unsigned count);

/* What a spec says of the card beside: "model", "romfile". 1 and the text, or 0 when it says nothing. Errors:
 * -EINVAL. */
int net_spec_text(char *out, size_t size, const char *spec, const char *key, struct err *e) ATTR_MUST_USE;
/* Its place among what firmware boots ("user,bootindex=1"): 1 and the index, or 0 when it names none. PCs use
 * it. */
int net_spec_boot(const char *spec, uint64_t *index, struct err *e) ATTR_MUST_USE;

static inline bool net_send(struct net *n, const struct iovec *iov, unsigned count)
{
	bool sent = n->down || n->ops->send(n, iov, count);

	if (sent && !n->down)
		net_count(n, &n->tx, iov, count);
	return sent;
}
/* Plugs the cable in or pulls it, as the card sees it. Loop thread. */
void net_set_link(struct net *n, bool up);
/* For back ends: a frame to the card; false when it has no room for another. Without a card it is lost. */
bool net_receive(struct net *n, const struct iovec *iov, unsigned count);
static inline void net_rx_ready(struct net *n) { if (n->ops->rx_ready) n->ops->rx_ready(n); }

#endif
