/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/address.h"

#include "cli/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOURCE_LEASE = 0, SSH_PORT = 22 };

/* The first IPv4 address of the first card that has one. True: found. */
static bool first_address(const struct value *interfaces, struct address *a)
{
	enum { NAME, MAC, ADDRESSES };

	for (uint32_t n = 0; n < interfaces->count; n++) {
		const struct value *list = &interfaces->items[n * interfaces->width + ADDRESSES];

		for (uint32_t i = 0; i < list->count; i++) {
			const struct value *one = &list->items[i * list->width];

			if (one[0].i != 0) /* not IPv4 */
				continue;
			snprintf(a->host, sizeof(a->host), "%s", one[1].s);
			a->ssh_port = SSH_PORT;
			return true;
		}
	}
	return false;
}

static bool by_lease(struct conn *c, const struct machine *m, struct address *a)
{
	struct xdr_out args;
	struct reply r;
	bool found = false;

	machine_args(&args, m);
	xdr_u32(&args, SOURCE_LEASE);
	xdr_u32(&args, 0);
	if (conn_call(c, "DOMAIN_INTERFACE_ADDRESSES", &args, &r, NULL) == 0)
		found = first_address(&r.v.item[0], a);
	xdr_out_free(&args);
	reply_free(&r);
	return found;
}

/* A negative errno, or the port. */
static int forwarded(struct conn *c, const struct machine *m, struct err *e)
{
	char *xml = machine_xml(c, m, 0, e);
	struct document *d;
	int ret;

	if (!xml)
		return -EREMOTEIO;
	ret = document_parse(&d, xml, e);
	free(xml);
	if (ret < 0)
		return ret;
	ret = document_forward(d, SSH_PORT);
	document_free(d);
	return ret;
}

unsigned address_forwarded(struct conn *c, const struct machine *m)
{
	int port = forwarded(c, m, NULL);

	return port < 0 ? 0 : port;
}

int address_find(struct conn *c, const struct machine *m, struct address *a, struct err *e)
{
	int port;

	*a = (struct address){ 0 };
	if (by_lease(c, m, a))
		return 0;
	port = forwarded(c, m, e);
	if (port < 0)
		return port;
	a->ssh_port = port;
	if (port)
		snprintf(a->host, sizeof(a->host), "localhost");
	return 0;
}
