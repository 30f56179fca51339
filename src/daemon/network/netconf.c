/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions: on disk under their UUID, the complete document and beside it the text as the user gave it. */
#include "daemon/network/network_priv.h"

#include "base/log.h"
#include "daemon/network/dnsmasq.h"
#include "daemon/network/firewall.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LENGTH_MAX = 200, BRIDGES_MAX = 1000, SCRATCH_MAX = 8 << 20 };

static void file_name(const struct network *n, const char *suffix, char out[64])
{
	char uuid[37];

	xuuid_text(network_uuid(n), uuid);
	snprintf(out, 64, "%s%s", uuid, suffix);
}

/* ---- writing ---- */

/* xml: the text that the user gave, for the day when the document knows more; NULL: another change, it stays. */
static int write_definition(const struct network *n, const struct netdef *def, const char *xml, struct fault *f)
{
	char *text = netdef_format(def, NETDEF_FORMAT_INACTIVE), name[64], given[64];
	struct err e = { 0 };
	int ret;

	if (!text)
		return fault_set(f, FAULT_NO_MEMORY, FROM_NETWORK, "no memory for the definition");
	file_name(n, ".xml", name);
	file_name(n, ".given", given);
	if (xml)
		ret = store_write_both(n->all->config_dir, name, text, strlen(text), given, xml, strlen(xml), true, &e);
	else
		ret = store_write(n->all->config_dir, name, text, strlen(text), true, &e);
	free(text);
	return ret < 0 ? fault_from_err(f, FAULT_SYSTEM, FROM_NETWORK, &e) : 0;
}

static int remove_files(const struct network *n, struct fault *f)
{
	static const char *const suffixes[] = {".xml", ".given", ".autostart"};
	struct err e = { 0 };
	char name[64];

	for (unsigned k = 0; k < COUNT_OF(suffixes); k++) {
		file_name(n, suffixes[k], name);
		if (store_remove(n->all->config_dir, name, k == 0, &e) < 0)
			return fault_from_err(f, FAULT_SYSTEM, FROM_NETWORK, &e);
	}
	return 0;
}

/* ---- what a definition must be like ---- */

/* What would go into other programs' configuration is made once for trying: an error belongs to the call that defines.
 */
static int try_texts(const struct netdef *def, struct err *e)
{
	struct buf b;
	int ret;

	if (!netdef_own_bridge(def))
		return 0;
	buf_init(&b, SCRATCH_MAX);
	ret = dnsmasq_text(&b, def, "/", e);
	if (ret == 0)
		ret = firewall_text(&b, def, e);
	buf_free(&b);
	return ret;
}

static int check(const struct netdef *def, struct fault *f)
{
	struct err e = { 0 };
	int ret;

	if (strlen(def->name) > NAME_LENGTH_MAX || strchr(def->name, '\n') || !strcmp(def->name, ".") ||
	    !strcmp(def->name, ".."))
		return fault_set(f, FAULT_XML, FROM_NETWORK,
				 "a network's name has 1 to %d bytes and no line's end", NAME_LENGTH_MAX);
	if (!netdef_own_bridge(def) && (def->mode != NETDEF_BRIDGE || !def->bridge))
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_NETWORK,
				 "this forward mode of network %s is not possible; nat, route, open, none (isolated) "
				 "and bridge with a <bridge name='...'/> of the host are",
				 def->name);
	ret = try_texts(def, &e);
	return ret < 0 ? fault_set(f, domdef_fault(ret), FROM_NETWORK, "%s", e.text) : 0;
}

/* The network that the definition is of, when there is one: same name and same UUID, or neither. */
static int find_same(struct networks *ns, const struct netdef *def, struct network **out, struct fault *f)
{
	struct network *by_uuid = network_by_uuid(ns, def->uuid.b), *by_name = network_by_name(ns, def->name);
	char uuid[37];

	*out = by_uuid;
	if (by_uuid == by_name)
		return 0;
	if (by_uuid) {
		xuuid_text(def->uuid.b, uuid);
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_NETWORK,
				 "network '%s' is already defined with uuid %s", network_name(by_uuid), uuid);
	}
	xuuid_text(network_uuid(by_name), uuid);
	return fault_set(f, FAULT_OPERATION_FAILED, FROM_NETWORK, "network '%s' already exists with uuid %s",
			 def->name, uuid);
}

/* Whether a network other than `except` has this bridge for its own. */
static bool bridge_taken(struct networks *ns, const char *bridge, const struct network *except)
{
	list_each(it, &ns->list) {
		const struct network *n = list_entry(it, struct network, node);
		const struct netdef *both[] = {n->def, n->next};

		for (unsigned k = 0; k < COUNT_OF(both) && n != except; k++)
			if (both[k] && both[k]->bridge && netdef_own_bridge(both[k]) &&
			    !strcmp(both[k]->bridge, bridge))
				return true;
	}
	return false;
}

/* A bridge of its own gets a free name where the document has none, and %d stands for a number. */
static int name_bridge(struct networks *ns, struct netdef *def, const struct network *same, struct fault *f)
{
	const char *pattern = def->bridge && strstr(def->bridge, "%d") ? def->bridge : "virbr%d";
	const char *at = strstr(pattern, "%d");
	struct link_info l;
	char name[64];

	if (!netdef_own_bridge(def))
		return 0;
	if (def->bridge && pattern != def->bridge && bridge_taken(ns, def->bridge, same))
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_NETWORK, "bridge name '%s' already in use.",
				 def->bridge);
	if (!def->bridge && same && network_config(same)->bridge)
		return xstr_set(&def->bridge, network_config(same)->bridge);
	for (unsigned n = 0; n < BRIDGES_MAX && (!def->bridge || pattern == def->bridge); n++) {
		snprintf(name, sizeof(name), "%.*s%u%s", (int)(at - pattern), pattern, n, at + 2);
		if (bridge_taken(ns, name, NULL) || link_get(name, &l, NULL) == 0)
			continue;
		return xstr_set(&def->bridge, name) < 0 ? fault_set(f, FAULT_NO_MEMORY, FROM_NETWORK, "no memory") : 0;
	}
	return def->bridge ? 0 : fault_set(f, FAULT_INTERNAL, FROM_NETWORK, "no name for a bridge is free");
}

/* A definition that may become a network's; *same: the one that is there. NULL: the fault is set. */
static struct netdef *parse(struct networks *ns, const char *xml, bool validate, struct network **same, struct fault *f)
{
	struct netdef *def;
	struct err e = { 0 };
	int ret = netdef_parse(&def, xml, strlen(xml), validate ? NETDEF_VALIDATE : 0, &e);

	if (ret < 0) {
		fault_set(f, domdef_fault(ret), FROM_NETWORK, "%s", e.text);
		return NULL;
	}
	if (find_same(ns, def, same, f) < 0 || name_bridge(ns, def, *same, f) < 0 || check(def, f) < 0) {
		netdef_free(def);
		return NULL;
	}
	return def;
}

/* ---- define ---- */

/* Takes def over, also when it fails. */
static int define_new(struct networks *ns, struct netdef *def, const char *xml, struct network **out, struct fault *f)
{
	struct network *n = network_new(ns, def);

	if (!n) {
		netdef_free(def);
		return fault_set(f, FAULT_NO_MEMORY, FROM_NETWORK, "no memory for the network");
	}
	if (write_definition(n, def, xml, f) < 0) {
		network_free(n);
		return -1;
	}
	n->persistent = true;
	*out = n;
	return 0;
}

static void take_config(struct network *n, struct netdef *def)
{
	struct netdef **place = n->active ? &n->next : &n->def;

	netdef_free(*place);
	*place = def;
}

static int define_again(struct network *n, struct netdef *def, const char *xml, struct fault *f)
{
	if (write_definition(n, def, xml, f) < 0) {
		netdef_free(def);
		return -1;
	}
	take_config(n, def);
	n->persistent = true;
	return 0;
}

int network_define(struct networks *ns, const char *xml, bool validate, struct network **out, struct fault *f)
{
	struct netdef *def = parse(ns, xml, validate, out, f);

	if (!def || (*out ? define_again(*out, def, xml, f) : define_new(ns, def, xml, out, f)) < 0)
		return -1;
	network_tell(*out, NETWORK_DEFINED);
	return 0;
}

int network_create(struct networks *ns, const char *xml, bool validate, struct network **out, struct fault *f)
{
	struct network *n = NULL;
	struct netdef *def = parse(ns, xml, validate, &n, f);

	if (!def)
		return -1;
	if (n && n->active) {
		netdef_free(def);
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK, "network is already active as '%s'",
				 network_name(n));
	}
	if (n) {
		netdef_free(def);
		return fault_set(f, FAULT_OPERATION_FAILED, FROM_NETWORK, "network '%s' is already defined",
				 network_name(n));
	}
	n = network_new(ns, def);
	if (!n) {
		netdef_free(def);
		return fault_set(f, FAULT_NO_MEMORY, FROM_NETWORK, "no memory for the network");
	}
	if (network_start(n, f) < 0) {
		network_free(n);
		return -1;
	}
	*out = n;
	return 0;
}

int network_undefine(struct network *n, struct fault *f)
{
	if (!n->persistent)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK, "cannot undefine transient network");
	if (remove_files(n, f) < 0)
		return -1;
	n->persistent = n->autostart = false;
	network_tell(n, NETWORK_UNDEFINED);
	if (!n->active) {
		network_free(n);
		return 0;
	}
	netdef_free(n->next);
	n->next = NULL;
	return 0;
}

int network_set_autostart(struct network *n, bool on, struct fault *f)
{
	struct err e = { 0 };
	char name[64];
	int ret;

	if (!n->persistent)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK,
				 "cannot set autostart for transient network");
	file_name(n, ".autostart", name);
	ret = on ? store_write(n->all->config_dir, name, "", 0, true, &e) :
		   store_remove(n->all->config_dir, name, true, &e);
	if (ret < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_NETWORK, &e);
	n->autostart = on;
	return 0;
}

/* ---- changes ---- */

/* The changed copy is on disk before it takes the definition's place. */
static int save_config(struct network *n, struct netdef *fresh, struct fault *f)
{
	if (check(fresh, f) < 0 || write_definition(n, fresh, NULL, f) < 0) {
		netdef_free(fresh);
		return -1;
	}
	take_config(n, fresh);
	return 0;
}

static int save_live(struct network *n, struct netdef *fresh, struct fault *f)
{
	struct netdef *old = n->def;
	struct err e = { 0 };

	if (check(fresh, f) < 0) {
		netdef_free(fresh);
		return -1;
	}
	n->def = fresh;
	if (netnote_write(n, NETNOTE_RUNNING, &e) == 0 && network_adopt(n, &e) == 0 &&
	    (!netdef_own_bridge(fresh) || netdns_start(n, &e) == 0)) {
		netdef_free(old);
		return 0;
	}
	n->def = old;
	netdef_free(fresh);
	if (netnote_write(n, NETNOTE_RUNNING, NULL) < 0 || (netdef_own_bridge(old) && netdns_start(n, NULL) < 0))
		log_line(LOG_ERROR, "network %s: the state before a failed change is not reached again",
			 network_name(n));
	return fault_from_err(f, FAULT_INTERNAL, FROM_NETWORK, &e);
}


static struct netdef *changed(const struct netdef *d, network_change_fn change, void *opaque, struct fault *f)
{
	struct netdef *copy = netdef_copy(d);

	if (!copy) {
		fault_set(f, FAULT_NO_MEMORY, FROM_NETWORK, "no memory for the definition");
		return NULL;
	}
	if (change(opaque, copy, f) < 0) {
		netdef_free(copy);
		return NULL;
	}
	return copy;
}

int network_change(struct network *n, unsigned flags, network_change_fn change, void *opaque, struct fault *f)
{
	struct netdef *live = NULL, *config = NULL;

	if (!(flags & 3))
		flags |= n->active ? 1 : 2;
	if ((flags & 1) && !n->active)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK, "network is not running");
	if ((flags & 2) && !n->persistent)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK,
				 "cannot change persistent config of a transient network");
	if ((flags & 1) && !(live = changed(n->def, change, opaque, f)))
		return -1;
	if ((flags & 2) && !(config = changed(network_config(n), change, opaque, f))) {
		netdef_free(live);
		return -1;
	}
	if (live && save_live(n, live, f) < 0) {
		netdef_free(config);
		return -1;
	}
	return config ? save_config(n, config, f) : 0;
}

struct update {
	unsigned command, section;
	int parent;
	const char *xml;
};

static int apply_update(void *opaque, struct netdef *d, struct fault *f)
{
	const struct update *u = opaque;
	struct err e = { 0 };
	int ret = netdef_update(d, u->command, u->section, u->parent, u->xml, &e);

	return ret < 0 ? fault_set(f, domdef_fault(ret), FROM_NETWORK, "%s", e.text) : 0;
}

int network_update(struct network *n, unsigned command, unsigned section, int parent, const char *xml, unsigned flags,
		   struct fault *f)
{
	struct update u = { command, section, parent, xml };

	return network_change(n, flags, apply_update, &u, f);
}

/* ---- at the daemon's start ---- */

static void load_one(void *opaque, const char *name)
{
	struct networks *ns = opaque;
	struct network *n = NULL;
	struct netdef *def = NULL;
	struct fault f = { 0 };
	struct err e = { 0 };
	char file[96], *text;
	size_t len;

	snprintf(file, sizeof(file), "%.60s.xml", name);
	if (store_read(ns->config_dir, file, &text, &len, &e) < 0) {
		log_line(LOG_ERROR, "a network's definition was left out: %s", e.text);
		return;
	}
	if (netdef_parse(&def, text, len, 0, &e) < 0)
		fault_from_err(&f, FAULT_XML, FROM_NETWORK, &e);
	free(text);
	if (!def || find_same(ns, def, &n, &f) < 0 || n || check(def, &f) < 0 || !(n = network_new(ns, def))) {
		log_line(LOG_ERROR, "the definition %s/%s was left out: %s", ns->config_dir, file,
			 f.text[0] ? f.text : "it is there twice");
		netdef_free(def);
		return;
	}
	n->persistent = true;
	snprintf(file, sizeof(file), "%.60s.autostart", name);
	n->autostart = store_has(ns->config_dir, file);
}

void network_definitions_load(struct networks *ns)
{
	struct err e = { 0 };

	if (store_each(ns->config_dir, ".xml", load_one, ns, &e) < 0)
		log_line(LOG_ERROR, "%s", e.text);
}

/* A subnet that the host does not have yet: 192.168.122.0/24 unless it lies on such a network itself. */
static unsigned free_subnet(void)
{
	char address[32], interface[16];
	struct netip ip;

	for (unsigned n = 122; n < 255; n++) {
		snprintf(address, sizeof(address), "192.168.%u.1", n);
		if (netip_parse(&ip, NULL, address, NULL, xnum(24), NULL) == 0 && !netip_in_use(&ip, interface))
			return n;
	}
	return 122;
}

/* Once in the life of the configuration: who undefines it is not given it again. */
void network_make_default(struct networks *ns)
{
	static const char marker[] = "default-made";
	struct network *n;
	struct fault f = { 0 };
	unsigned net = free_subnet();
	char xml[512];

	if (ns->daemon->session || store_has(ns->config_dir, marker))
		return;
	snprintf(xml, sizeof(xml),
		 "<network><name>default</name><forward mode='nat'/>"
		 "<bridge stp='on' delay='0'/><ip address='192.168.%u.1' netmask='255.255.255.0'>"
		 "<dhcp><range start='192.168.%u.2' end='192.168.%u.254'/></dhcp></ip></network>",
		 net, net, net);
	if (!network_by_name(ns, "default") && network_define(ns, xml, false, &n, &f) < 0)
		log_line(LOG_ERROR, "the network default could not be made: %s", f.text);
	else if (store_write(ns->config_dir, marker, "", 0, true, NULL) < 0)
		log_line(LOG_WARNING, "cannot note in %s that the network default was made", ns->config_dir);
}
