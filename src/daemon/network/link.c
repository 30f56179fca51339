/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of rtnetlink(7), put together with libmnl. */
#include "daemon/network/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MESSAGE_MAX = 32 << 10 };

/* ---- asking the kernel ---- */

struct request {
	struct nlmsghdr *head;
	uint8_t buf[1024];
};

static void *begin(struct request *r, uint16_t type, uint16_t flags, size_t size)
{
	memset(r, 0, sizeof(*r));
	r->head = mnl_nlmsg_put_header(r->buf);
	r->head->nlmsg_type = type;
	r->head->nlmsg_flags = NLM_F_REQUEST | flags;
	r->head->nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(r->head, size);
}

/* Sends and reads up to the acknowledgement or the list's end; f gets what comes before it. */
static int converse(struct mnl_socket *s, const struct request *r, mnl_cb_t f, void *opaque)
{
	uint8_t *buf = malloc(MESSAGE_MAX);
	int ret = MNL_CB_OK;

	if (!buf)
		return -ENOMEM;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(s, r->head, r->head->nlmsg_len) < 0)
		ret = MNL_CB_ERROR;
	while (ret > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(s, buf, MESSAGE_MAX);

		ret = got < 0 ? MNL_CB_ERROR : mnl_cb_run(buf, (size_t)got, 1, mnl_socket_get_portid(s), f, opaque);
	}
	free(buf);
	return ret < 0 ? -errno : 0;
}

static int ask(const struct request *r, mnl_cb_t f, void *opaque)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int ret;

	if (!s)
		return -errno;
	ret = converse(s, r, f, opaque);
	mnl_socket_close(s);
	return ret;
}

/* ---- what there is ---- */

static void read_counters(struct link_counters *c, const struct nlattr *a)
{
	struct rtnl_link_stats64 s = { 0 };
	size_t len = mnl_attr_get_payload_len(a);

	memcpy(&s, mnl_attr_get_payload(a), len < sizeof(s) ? len : sizeof(s));
	*c = (struct link_counters){ .rx_bytes = s.rx_bytes, .rx_packets = s.rx_packets, .rx_errors = s.rx_errors,
		.rx_dropped = s.rx_dropped, .tx_bytes = s.tx_bytes, .tx_packets = s.tx_packets,
		.tx_errors = s.tx_errors, .tx_dropped = s.tx_dropped };
}

static void read_kind(struct link_info *l, const struct nlattr *info)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			snprintf(l->kind, sizeof(l->kind), "%.*s", (int)mnl_attr_get_payload_len(a),
				 mnl_attr_get_str(a));
}

static void read_link(struct link_info *l, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	*l = (struct link_info){ .index = (unsigned)m->ifi_index, .up = m->ifi_flags & IFF_UP,
		.running = m->ifi_flags & IFF_RUNNING, .loopback = m->ifi_flags & IFF_LOOPBACK,
		.ethernet = m->ifi_type == ARPHRD_ETHER };
	mnl_attr_for_each(a, h, sizeof(*m)) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			snprintf(l->name, sizeof(l->name), "%.*s", (int)mnl_attr_get_payload_len(a),
				 mnl_attr_get_str(a));
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(a) == sizeof(l->mac))
				memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
			break;
		case IFLA_MTU:
			l->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_MASTER:
			l->master = mnl_attr_get_u32(a);
			break;
		case IFLA_STATS64:
			read_counters(&l->counters, a);
			break;
		case IFLA_LINKINFO:
			read_kind(l, a);
			break;
		}
	}
}

static int take_link(const struct nlmsghdr *h, void *opaque)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		read_link(opaque, h);
	return MNL_CB_OK;
}

static int check_name(const char *name, struct err *e)
{
	if (!name || !*name || strlen(name) >= LINK_NAME_SIZE)
		return err_set(e, -ENODEV, "'%.40s' is no name of a network interface: 1 to 15 characters",
			       name ? name : "");
	return 0;
}

int link_get(const char *name, struct link_info *out, struct err *e)
{
	struct request r;
	int ret = check_name(name, e);

	*out = (struct link_info){ 0 };
	if (ret < 0)
		return ret;
	((struct ifinfomsg *)begin(&r, RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg)))->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(r.head, IFLA_IFNAME, name);
	ret = ask(&r, take_link, out);
	if (ret == -ENODEV || (ret == 0 && !out->index))
		return err_set(e, -ENODEV, "there is no network interface '%s'", name);
	return ret < 0 ? err_errno(e, -ret, "cannot ask for the network interface %s", name) : 0;
}

struct each {
	void (*f)(void *opaque, const struct link_info *l);
	void *opaque;
};

static int each_link(const struct nlmsghdr *h, void *opaque)
{
	const struct each *it = opaque;
	struct link_info l;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	read_link(&l, h);
	it->f(it->opaque, &l);
	return MNL_CB_OK;
}

int link_each(void (*f)(void *opaque, const struct link_info *l), void *opaque, struct err *e)
{
	struct each it = { f, opaque };
	struct request r;
	int ret;

	((struct ifinfomsg *)begin(&r, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg)))->ifi_family = AF_UNSPEC;
	ret = ask(&r, each_link, &it);
	return ret < 0 ? err_errno(e, -ret, "cannot list the network interfaces") : 0;
}

/* ---- changing ---- */

int link_add_bridge(const struct link_bridge *b, struct err *e)
{
	struct nlattr *info, *data;
	struct request r;
	int ret = check_name(b->name, e);

	if (ret < 0)
		return ret;
	begin(&r, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(r.head, IFLA_IFNAME, b->name);
	if (b->mac)
		mnl_attr_put(r.head, IFLA_ADDRESS, 6, b->mac);
	if (b->mtu)
		mnl_attr_put_u32(r.head, IFLA_MTU, b->mtu);
	info = mnl_attr_nest_start(r.head, IFLA_LINKINFO);
	mnl_attr_put_strz(r.head, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(r.head, IFLA_INFO_DATA);
	mnl_attr_put_u32(r.head, IFLA_BR_FORWARD_DELAY, b->delay_s * 100); /* hundredths of a second */
	mnl_attr_put_u32(r.head, IFLA_BR_STP_STATE, b->stp);
	mnl_attr_nest_end(r.head, data);
	mnl_attr_nest_end(r.head, info);
	ret = ask(&r, NULL, NULL);
	return ret < 0 ? err_errno(e, -ret, "Unable to create bridge %s", b->name) : 0;
}

/* attribute: of 32 bits, or 0 for none */
static int change(const char *name, uint16_t type, unsigned flags, uint16_t attribute, unsigned value)
{
	struct link_info l;
	struct ifinfomsg *m;
	struct request r;
	int ret = link_get(name, &l, NULL);

	if (ret < 0)
		return ret;
	m = begin(&r, type, NLM_F_ACK, sizeof(*m));
	m->ifi_index = (int)l.index;
	m->ifi_flags = m->ifi_change = flags;
	if (attribute)
		mnl_attr_put_u32(r.head, attribute, value);
	return ask(&r, NULL, NULL);
}

int link_delete(const char *name, struct err *e)
{
	int ret = change(name, RTM_DELLINK, 0, 0, 0);

	return ret < 0 && ret != -ENODEV ? err_errno(e, -ret, "cannot delete the network interface %s", name) : 0;
}

int link_set_up(const char *name, struct err *e)
{
	int ret = change(name, RTM_NEWLINK, IFF_UP, 0, 0);

	return ret < 0 ? err_errno(e, -ret, "cannot switch the network interface %s on", name) : 0;
}

int link_set_mtu(const char *name, unsigned mtu, struct err *e)
{
	int ret = change(name, RTM_NEWLINK, 0, IFLA_MTU, mtu);

	return ret < 0 ? err_errno(e, -ret, "cannot set the MTU of %s to %u", name, mtu) : 0;
}

int link_set_master(const char *name, const char *bridge, struct err *e)
{
	struct link_info b = { 0 };
	int ret = bridge ? link_get(bridge, &b, e) : 0;

	if (ret < 0)
		return ret;
	if (bridge && strcmp(b.kind, "bridge"))
		return err_set(e, -EOPNOTSUPP, "the network interface %s is no bridge", bridge);
	ret = change(name, RTM_NEWLINK, 0, IFLA_MASTER, b.index);
	return ret < 0 ? err_errno(e, -ret, "Unable to add port %s to bridge %s", name, bridge ? bridge : "(none)") :
			 0;
}

/* ---- addresses and routes ---- */

static size_t address_size(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

int link_add_address(const char *name, int family, const void *address, unsigned prefix, struct err *e)
{
	struct link_info l;
	struct ifaddrmsg *m;
	struct request r;
	uint32_t mask = prefix && prefix < 32 ? htonl(UINT32_MAX << (32 - prefix)) : UINT32_MAX, broadcast;
	int ret = link_get(name, &l, e);

	if (ret < 0)
		return ret;
	m = begin(&r, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
	*m = (struct ifaddrmsg){ .ifa_family = (uint8_t)family, .ifa_prefixlen = (uint8_t)prefix,
		.ifa_index = l.index };
	if (family == AF_INET6)
		m->ifa_flags = IFA_F_NODAD; /* the bridge has no port yet that anyone could be asked on */
	mnl_attr_put(r.head, IFA_LOCAL, address_size(family), address);
	mnl_attr_put(r.head, IFA_ADDRESS, address_size(family), address);
	if (family == AF_INET && prefix < 31) {
		memcpy(&broadcast, address, sizeof(broadcast));
		broadcast |= ~mask;
		mnl_attr_put(r.head, IFA_BROADCAST, sizeof(broadcast), &broadcast);
	}
	ret = ask(&r, NULL, NULL);
	return ret < 0 && ret != -EEXIST ? err_errno(e, -ret, "cannot give %s its address", name) : 0;
}

int link_add_route(const char *name, int family, const void *network, unsigned prefix, const void *gateway,
		   unsigned metric, struct err *e)
{
	struct link_info l;
	struct rtmsg *m;
	struct request r;
	int ret = link_get(name, &l, e);

	if (ret < 0)
		return ret;
	m = begin(&r, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, sizeof(*m));
	*m = (struct rtmsg){ .rtm_family = (uint8_t)family, .rtm_dst_len = (uint8_t)prefix, .rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST,
		.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK };
	mnl_attr_put(r.head, RTA_DST, address_size(family), network);
	if (gateway)
		mnl_attr_put(r.head, RTA_GATEWAY, address_size(family), gateway);
	mnl_attr_put_u32(r.head, RTA_OIF, l.index);
	if (metric)
		mnl_attr_put_u32(r.head, RTA_PRIORITY, metric);
	ret = ask(&r, NULL, NULL);
	return ret < 0 && ret != -EEXIST ? err_errno(e, -ret, "cannot add a static route through %s", name) : 0;
}

struct finding {
	unsigned index, *prefix;
	int family;
	void *address;
	bool found;
};

static int take_address(const struct nlmsghdr *h, void *opaque)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct finding *f = opaque;
	const struct nlattr *a;
	size_t size = address_size(f->family);

	if (h->nlmsg_type != RTM_NEWADDR || f->found || m->ifa_index != f->index || m->ifa_family != f->family)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		if (mnl_attr_get_type(a) != IFA_ADDRESS || mnl_attr_get_payload_len(a) != size)
			continue;
		memcpy(f->address, mnl_attr_get_payload(a), size);
		*f->prefix = m->ifa_prefixlen;
		f->found = true;
	}
	return MNL_CB_OK;
}

bool link_address(const char *name, int family, void *address, unsigned *prefix)
{
	struct finding f = { .family = family, .address = address, .prefix = prefix };
	struct link_info l;
	struct request r;

	if (link_get(name, &l, NULL) < 0)
		return false;
	f.index = l.index;
	((struct ifaddrmsg *)begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg)))->ifa_family =
		(uint8_t)family;
	return ask(&r, take_address, &f) == 0 && f.found;
}

/* ---- taps ---- */

static int make_tap(int fd, const char *name, const uint8_t mac[6], char out[LINK_NAME_SIZE], struct err *e)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int s, ret = 0;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return err_errno(e, errno, "Unable to create tap device %s", name);
	snprintf(out, LINK_NAME_SIZE, "%.15s", req.ifr_name);
	/* Not the guest's own: the host would take the guest's frames for its own. */
	memcpy(req.ifr_hwaddr.sa_data, mac, 6);
	req.ifr_hwaddr.sa_data[0] = (char)0xfe;
	req.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || ioctl(s, SIOCSIFHWADDR, &req) < 0)
		ret = err_errno(e, errno, "cannot set the address of tap device %s", out);
	if (s >= 0)
		close(s);
	return ret;
}

int link_open_tap(const char *name, const uint8_t mac[6], char out[LINK_NAME_SIZE], struct err *e)
{
	int ret = check_name(name, e), fd;

	if (ret < 0)
		return ret;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "cannot open /dev/net/tun%s",
				 errno == ENOENT ? "; load the module: modprobe tun" : "");
	ret = make_tap(fd, name, mac, out, e);
	if (ret < 0)
		close(fd);
	return ret < 0 ? ret : fd;
}

bool link_parse_mac(uint8_t mac[6], const char *text)
{
	unsigned b[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6 ||
	    text[end])
		return false;
	for (unsigned n = 0; n < 6; n++)
		mac[n] = (uint8_t)b[n];
	return true;
}
