/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int open_none(struct net **out, const struct opts *o, struct loop *loop,
		     const struct net_helper *helper, struct err *e)
{
	*out = NULL;
	return 0;
}

static const char *const user_keys[] = { "mac", "bootindex", "id", "model", "romfile", "link", "forward", "dns",
					 "restrict", "tftp", "bootfile", "helper", NULL };
static const char *const tap_keys[] = { "mac", "bootindex", "id", "model", "romfile", "link", "tap", NULL };
static const char *const no_keys[] = { NULL };

static const struct net_kind kinds[] = {
	{ "user", net_user_open, "user[,forward=tcp:HOST:GUEST]", user_keys },
	{ "tap", net_tap_open, "tap=NAME|fd:N", tap_keys },
	{ "none", open_none, "none", no_keys },
};

static const struct opt_desc keys[] = {
	{ .key = "kind", .kind = OPT_STRING, .positional = true },
	{ .key = "tap", .kind = OPT_STRING, .help = "name of a tap interface, or fd:N" },
	{ .key = "mac", .kind = OPT_STRING, .help = "the card's address" },
	{ .key = "id", .kind = OPT_STRING, .help = "the card's name" },
	{ .key = "model", .kind = OPT_STRING, .help = "virtio, e1000, e1000e or rtl8139" },
	{ .key = "bootindex", .kind = OPT_NUMBER, .help = "its place in the firmware's boot order" },
	{ .key = "romfile", .kind = OPT_STRING, .help = "its option ROM, or none" },
	{ .key = "link", .kind = OPT_BOOL, .help = "off: the cable is not plugged in at the start" },
	{ .key = "tftp", .kind = OPT_STRING, .help = "folder that the guest reads by TFTP" },
	{ .key = "bootfile", .kind = OPT_STRING, .help = "what DHCP names for booting" },
	{ .key = "helper", .kind = OPT_STRING, .help = "fd:N: the socket of a panal-net-user that runs already" },
	{ .key = "forward", .kind = OPT_STRING, .repeat = true, .help = "tcp|udp:[HOSTADDR:]HOSTPORT:GUESTPORT" },
	{ .key = "dns", .kind = OPT_BOOL, .help = "off: no name server in the guest's network" },
	{ .key = "restrict", .kind = OPT_BOOL, .help = "on: the guest reaches nothing outside" },
	{ 0 },
};

/* What a kind does not know is an error: an option that does nothing would mislead. */
static int check_keys(const struct net_kind *kind, const struct opts *o, struct err *e)
{
	for (unsigned n = 0; n < o->count; n++) {
		const char *key = o->item[n].desc->key;
		bool known = !strcmp(key, "kind");

		for (const char *const *k = kind->keys; *k && !known; k++)
			known = !strcmp(*k, key);
		if (!known)
			return err_set(e, -EINVAL, "%s means nothing to a network of kind \"%s\"; leave it out",
			               key, kind->name);
	}
	return 0;
}

int net_open(struct net **out, const char *spec, struct loop *loop, const struct net_helper *helper, struct err *e)
{
	struct opts o;
	const char *kind;
	int ret = opts_parse(&o, keys, spec, e);

	if (ret < 0)
		return err_wrap(e, "network \"%s\"", spec);
	kind = opts_string(&o, "kind", opts_string(&o, "tap", NULL) ? "tap" : "");
	ret = -EINVAL;
	for (size_t n = 0; n < COUNT_OF(kinds); n++)
		if (!strcmp(kind, kinds[n].name)) {
			ret = check_keys(&kinds[n], &o, e);
			if (ret == 0)
				ret = kinds[n].open(out, &o, loop, helper, e);
			if (ret == 0 && *out)
				(*out)->down = !opts_bool(&o, "link", true);
			opts_free(&o);
			return ret;
		}
	err_set(e, ret, "network \"%s\" is unknown; one of %s, %s, %s is possible", spec, kinds[0].help, kinds[1].help,
	        kinds[2].help);
	opts_free(&o);
	return ret;
}

int net_spec_mac(uint8_t mac[6], const char *spec, struct err *e)
{
	struct opts o;
	unsigned b[6];
	const char *text;
	int ret = opts_parse(&o, keys, spec, e), end = 0;

	if (ret < 0)
		return ret;
	text = opts_string(&o, "mac", NULL);
	if (text && (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6 ||
	             text[end] || end != 17 || b[0] & 1))
		ret = err_set(e, -EINVAL, "mac=%s is no address of a card; 52:54:00:12:34:56 is", text);
	for (unsigned n = 0; ret == 0 && text && n < 6; n++)
		mac[n] = (uint8_t)b[n];
	ret = ret < 0 ? ret : text != NULL;
	opts_free(&o);
	return ret;
}

int net_spec_id(char *id, size_t size, const char *spec, struct err *e)
{
	struct opts o;
	const char *text;
	int ret = opts_parse(&o, keys, spec, e);

	if (ret < 0)
		return ret;
	text = opts_string(&o, "id", "");
	if (strlen(text) >= size)
		ret = err_set(e, -EINVAL, "id=%s is longer than %zu characters", text, size - 1);
	else
		strcpy(id, text);
	opts_free(&o);
	return ret;
}

int net_spec_text(char *out, size_t size, const char *spec, const char *key, struct err *e)
{
	struct opts o;
	const char *text;
	int ret = opts_parse(&o, keys, spec, e);

	if (ret < 0)
		return ret;
	text = opts_string(&o, key, NULL);
	if (text && strlen(text) >= size)
		ret = err_set(e, -EINVAL, "%s=%s is too long", key, text);
	else if (text)
		strcpy(out, text);
	ret = ret < 0 ? ret : text != NULL;
	opts_free(&o);
	return ret;
}

void net_count(const struct net *n, struct net_count *c, const struct iovec *iov, unsigned count)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	c->packets++;
	c->bytes += n->offloads && bytes > NET_VNET_HDR ? bytes - NET_VNET_HDR : bytes;
}

void net_set_link(struct net *n, bool up)
{
	n->down = !up;
	if (n->client && n->client->link)
		n->client->link(n->client->opaque, up);
}

bool net_receive(struct net *n, const struct iovec *iov, unsigned count)
{
	if (!n->client || n->down) {
		n->rx.dropped++;
		return true;
	}
	net_count(n, &n->rx, iov, count);
	return n->client->recv(n->client->opaque, iov, count);
}

int net_spec_boot(const char *spec, uint64_t *index, struct err *e)
{
	struct opts o;
	int ret = opts_parse(&o, keys, spec, e);

	if (ret < 0)
		return ret;
	*index = opts_number(&o, "bootindex", UINT64_MAX);
	opts_free(&o);
	return *index != UINT64_MAX;
}

void net_close(struct net *n)
{
	if (n)
		n->ops->close(n);
}
