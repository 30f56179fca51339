/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tap interface: one that exists already, which the administrator put on a bridge and gave this user the right to, or
 * one that whoever started us holds open and passed on ("fd:N"). */
#include "net/net_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Which of the tap's offloads a virtio-net feature of the guest stands for. */
static const struct {
	uint64_t feature;
	unsigned tun;
} offload_map[] = {
	{ BIT(VIRTIO_NET_F_GUEST_CSUM), TUN_F_CSUM },
	{ BIT(VIRTIO_NET_F_GUEST_TSO4), TUN_F_TSO4 },
	{ BIT(VIRTIO_NET_F_GUEST_TSO6), TUN_F_TSO6 },
	{ BIT(VIRTIO_NET_F_GUEST_ECN), TUN_F_TSO_ECN },
};

static int tap_set_offloads(struct net *net, uint64_t features)
{
	struct net_fd *n = container_of(net, struct net_fd, net);
	unsigned flags = 0;

	for (size_t k = 0; k < COUNT_OF(offload_map); k++)
		if (features & offload_map[k].feature)
			flags |= offload_map[k].tun;
	return ioctl(n->fd, TUNSETOFFLOAD, (unsigned long)flags) < 0 ? -errno : 0;
}

static void tap_close(struct net *net)
{
	struct net_fd *n = container_of(net, struct net_fd, net);

	net_fd_stop(n);
	free(n);
}

static const struct net_ops tap_ops = {
	.name = "tap",
	.close = tap_close,
	.send = net_fd_send,
	.rx_ready = net_fd_rx_ready,
	.set_offloads = tap_set_offloads,
};

/* TUNSETIFF makes what is missing, for whoever may: a misspelt name would be a cable that ends nowhere. */
static bool exists(const struct ifreq *named)
{
	struct ifreq req = *named;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found = fd < 0 || ioctl(fd, SIOCGIFINDEX, &req) == 0;

	if (fd >= 0)
		close(fd);
	return found;
}

static int attach(int fd, const char *name, struct err *e)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = NET_VNET_HDR;

	if (strlen(name) >= sizeof(req.ifr_name) || !*name)
		return err_set(e, -EINVAL, "\"%s\" is not the name of a network interface (1 to 15 characters)", name);
	strcpy(req.ifr_name, name);
	if (!exists(&req))
		return err_set(e, -ENODEV, "there is no tap interface %s; create it first: ip tuntap add "
			       "dev %s mode tap user $USER",
			       name, name);
	if (ioctl(fd, TUNSETIFF, &req) < 0) {
		if (errno == EPERM)
			return err_set(e, -EPERM,
				       "no right to use tap interface %s, which is another user's; ip tuntap add "
				       "dev NAME mode tap user $USER makes one",
				       name);
		return err_errno(e, errno, "cannot use tap interface %s%s", name,
				 errno == EBUSY	   ? " (another program has it open)"
				 : errno == EINVAL ? " (it is no tap interface)"
						   : "");
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		return err_errno(e, errno, "tap interface %s takes no virtio-net headers of %d bytes", name, size);
	return 0;
}

static int open_named(const char *name, struct err *e)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), ret;

	if (fd < 0)
		return err_errno(e, errno, "cannot open /dev/net/tun%s",
		                 errno == ENOENT ? "; load the module: modprobe tun" : "");
	ret = attach(fd, name, e);
	if (ret < 0)
		close(fd);
	return ret < 0 ? ret : fd;
}

/* The descriptor becomes ours only if it is a tap with the header: any other may be somebody's file. */
static int take_over(const char *number, struct err *e)
{
	struct ifreq req = { 0 };
	int size = NET_VNET_HDR, fd;
	uint64_t v;

	if (parse_number(number, &v, e) < 0 || v > INT_MAX)
		return err_set(e, -EINVAL, "tap=fd:%.40s: a descriptor's number is needed", number);
	fd = (int)v;
	if (ioctl(fd, TUNGETIFF, &req) < 0 || (req.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) !=
	                                              (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
		return err_set(e, -EINVAL, "descriptor %d is no tap interface with virtio-net headers", fd);
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		return err_errno(e, errno, "tap interface %.15s takes no virtio-net headers of %d bytes", req.ifr_name,
		                 size);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fd_set_nonblock(fd, true) < 0)
		return err_errno(e, errno, "cannot use descriptor %d", fd);
	return fd;
}

int net_tap_open(struct net **out, const struct opts *o, struct loop *loop,
		 const struct net_helper *helper, struct err *e)
{
	const char *name = opts_string(o, "tap", "");
	int fd = strncmp(name, "fd:", 3) ? open_named(name, e) : take_over(name + 3, e), ret = 0;
	struct net_fd *n;

	if (fd < 0)
		return fd;
	n = calloc(1, sizeof(*n));
	if (!n)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (ret == 0) {
		n->net.ops = &tap_ops;
		n->net.offloads = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
				  BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
				  BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
				  BIT(VIRTIO_NET_F_GUEST_ECN);
		ret = net_fd_start(n, fd, NET_VNET_HDR, loop, "the tap interface", e);
	}
	if (ret < 0) {
		free(n);
		close(fd);
		return ret;
	}
	*out = &n->net;
	return 0;
}
