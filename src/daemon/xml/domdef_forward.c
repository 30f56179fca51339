/* SPDX-License-Identifier: GPL-2.0-or-later */
/* <portForward> of a user-mode card: ports of the host that lead into the guest. */
#include "daemon/xml/domdef_priv.h"
#include "daemon/xml/xmldoc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FORWARDS_MAX = 256, PORT_MAX = 65535 };

struct forward {
	char *proto, *address;
	struct buf *out;
	unsigned *count;
	struct err *e;
};

static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name);
}

static char *attribute(xmlNode *node, const char *name) { return (char *)xmlGetProp(node, (const xmlChar *)name); }

/* The attribute as a port; `absent` where it is not there; 0: not a port. */
static unsigned port(xmlNode *node, const char *name, unsigned absent)
{
	char *text = attribute(node, name), *end;
	unsigned long v;

	if (!text)
		return absent;
	v = strtoul(text, &end, 10);
	if (!*text || *end || v > PORT_MAX)
		v = 0;
	xmlFree(text);
	return v;
}

static int add(const struct forward *f, unsigned host, unsigned guest)
{
	if (++*f->count > FORWARDS_MAX)
		return err_set(f->e, -ENOTSUP, "a machine forwards at most %d ports", FORWARDS_MAX);
	if (buf_printf(f->out, ",forward=%s:%s%s%u:%u", f->proto, f->address ? f->address : "", f->address ? ":" : "",
		       host, guest) < 0)
		return err_set(f->e, -ENOMEM, "out of memory");
	return 0;
}

/* start, or start to end, of the host's ports; to: the guest's first one, else the same. */
static int take_range(const struct forward *f, xmlNode *node)
{
	unsigned start = port(node, "start", 0), end = port(node, "end", start), to = port(node, "to", start);
	char *exclude = attribute(node, "exclude");
	bool excluded = exclude && !strcmp(exclude, "yes");
	int ret = 0;

	xmlFree(exclude);
	if (excluded)
		return err_set(f->e, -ENOTSUP, "<range exclude='yes'> of <portForward> is not possible; leave it out");
	if (!start || end < start || !to || to + (end - start) > PORT_MAX)
		return err_set(f->e, -ENOTSUP, "<range> of <portForward> needs ports from 1 to 65535: start, and "
			       "perhaps end and to");
	for (unsigned n = 0; ret == 0 && n <= end - start; n++)
		ret = add(f, start + n, to + n);
	return ret;
}

static int take_element(struct forward *f, xmlNode *root)
{
	struct in_addr v4;
	unsigned ranges = 0;
	int ret = 0;

	f->proto = attribute(root, "proto");
	f->address = attribute(root, "address");
	if (!f->proto || (strcmp(f->proto, "tcp") && strcmp(f->proto, "udp")))
		ret = err_set(f->e, -ENOTSUP, "<portForward> needs proto='tcp' or proto='udp'");
	else if (f->address && inet_pton(AF_INET, f->address, &v4) != 1)
		ret = err_set(f->e, -ENOTSUP, "<portForward> of the address %s is not possible; an IPv4 address is",
			      f->address);
	for (xmlNode *n = root->children; n && ret == 0; n = n->next)
		if (is_element(n, "range")) {
			ret = take_range(f, n);
			ranges++;
		}
	if (ret == 0 && !ranges)
		ret = err_set(f->e, -ENOTSUP, "<portForward> without <range> is not possible; name the ports");
	xmlFree(f->proto);
	xmlFree(f->address);
	return ret;
}

int domdef_forwards(const struct domdef_interface *i, struct buf *out, struct err *e)
{
	unsigned count = 0;
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < i->port_forward.n; n++) {
		const char *text = i->port_forward.v[n]->text;
		struct forward f = { .out = out, .count = &count, .e = e };
		xmlDoc *doc;

		ret = xmldoc_parse(&doc, text, strlen(text), "portForward", e);
		if (ret < 0)
			return ret;
		ret = take_element(&f, xmlDocGetRootElement(doc));
		xmlFreeDoc(doc);
	}
	return ret;
}
