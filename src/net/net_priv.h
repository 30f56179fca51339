/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the net room: the kinds of backend behind net.h. */
#ifndef PANAL_NET_NET_PRIV_H
#define PANAL_NET_NET_PRIV_H

#include "base/opt.h"
#include "core/loop.h"
#include "net/net.h"

struct net_kind {
	const char *name;
	int (*open)(struct net **out, const struct opts *o, struct loop *loop,
		    const struct net_helper *helper, struct err *e);
	const char *help;
	const char *const *keys; /* that mean something to this kind, beside "kind"; NULL-terminated */
};

int net_user_open(struct net **out, const struct opts *o, struct loop *loop,
		  const struct net_helper *helper, struct err *e);
int net_tap_open(struct net **out, const struct opts *o, struct loop *loop,
		 const struct net_helper *helper, struct err *e);

/* "tcp:8080:80", "udp:127.0.0.1:5353:53": host side first. */
struct net_forward {
	bool udp;
	char host_addr[64]; /* numeric IPv4; "127.0.0.1" when left out: nobody outside this host is let in unasked */
	uint16_t host_port, guest_port;
};
int net_forward_parse(struct net_forward *f, const char *text, struct err *e) ATTR_MUST_USE;

/* A descriptor that carries one frame a read or write, watched on the loop: what user and tap have in common. */
struct net_fd {
	struct net net;
	int fd;
	struct loop_fd *watch;
	bool rx_paused, tx_blocked;
	unsigned header; /* bytes of virtio_net_hdr before each frame: 0 or NET_VNET_HDR */
	const char *what; /* for messages */
	uint8_t frame[NET_VNET_HDR + NET_FRAME_MAX];
};
int net_fd_start(struct net_fd *n, int fd, unsigned header, struct loop *loop, const char *what,
		 struct err *e) ATTR_MUST_USE;
void net_fd_stop(struct net_fd *n); /* closes fd */
bool net_fd_send(struct net *n, const struct iovec *iov, unsigned count);
void net_fd_rx_ready(struct net *n);

#endif
