/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taps of machines. */
#include "daemon/network/network_priv.h"

#include "base/fd.h"
#include "base/log.h"
#include "daemon/network/firewall.h"

#include <errno.h>
#include <string.h>

/* The bridge of a network that runs, or does now. */
static int find_bridge(struct networks *ns, const char *name, const struct netdef **out, struct err *e)
{
	struct network *n = network_by_name(ns, name);
	struct fault f = { 0 };
	struct err own = { 0 };

	if (!n)
		return err_set(e, -ESRCH, "no network with matching name '%s'", name);
	if (n->active) {
		/* Docker or a firewall's reload may have come since the start. */
		if (netdef_own_bridge(n->def) && firewall_refresh(n->def, &own) < 0)
			log_line(LOG_WARNING, "network %s: %s", name, own.text);
	} else if (network_start(n, &f) < 0) {
		return err_set(e, -EIO, "network '%s' is not active and does not start: %.400s", name, f.text);
	}
	*out = n->def;
	return 0;
}

static int fill_live(struct domdef_interface *i, const char *tap, const char *bridge)
{
	struct xuuid port;
	char text[37];
	int ret = xstr_set(&i->target, tap);

	if (ret < 0 || i->type != DOM_NET_NETWORK)
		return ret;
	xuuid_random(&port);
	xuuid_text(port.b, text);
	ret = xstr_set(&i->portid, text);
	return ret < 0 ? ret : xstr_set(&i->bridge, bridge);
}

static int attach(struct domdef_interface *i, const char *bridge, unsigned mtu, struct err *e)
{
	const char *name = i->target && strncmp(i->target, "vnet", 4) ? i->target : "vnet%d";
	char tap[LINK_NAME_SIZE];
	uint8_t mac[6];
	int fd, ret;

	if (!i->mac || !link_parse_mac(mac, i->mac))
		return err_set(e, -EINVAL, "'%.40s' is no address of a network card", i->mac ? i->mac : "");
	ret = fd = link_open_tap(name, mac, tap, e);
	if (ret >= 0 && mtu)
		ret = link_set_mtu(tap, mtu, e);
	if (ret >= 0)
		ret = link_set_master(tap, bridge, e);
	if (ret >= 0)
		ret = link_set_up(tap, e);
	if (ret >= 0 && fill_live(i, tap, bridge) < 0)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (ret < 0)
		fd_close(&fd);
	return ret < 0 ? ret : fd;
}

int network_plug(struct networks *ns, struct domdef_interface *i, struct err *e)
{
	const struct netdef *d = NULL;
	unsigned mtu = i->mtu.set ? (unsigned)i->mtu.v : 0;
	int ret;

	if (ns->daemon->session)
		return err_set(e, -ENOTSUP,
			       "a user's own instance has no rights to networks and bridges: <interface type='user'/> "
			       "works without, and so does qemu:///system");
	if (i->type == DOM_NET_BRIDGE)
		return attach(i, i->bridge, mtu, e);
	ret = find_bridge(ns, i->network, &d, e);
	if (ret < 0)
		return ret;
	return attach(i, d->bridge, mtu ? mtu : (unsigned)d->mtu.v, e);
}

void network_replug(const struct network *n, const char *tap)
{
	struct err e = { 0 };

	if (link_set_master(tap, n->def->bridge, &e) < 0)
		log_line(LOG_WARNING, "network %s: %s", network_name(n), e.text);
}
