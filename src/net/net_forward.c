/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Protocol, perhaps the host's address, two ports. */
enum { PARTS_MIN = 3, PARTS_MAX = 4 };

static int parse_port(const char *text, uint16_t *port)
{
	uint64_t v;

	if (parse_number(text, &v, NULL) < 0 || v < 1 || v > 65535)
		return -EINVAL;
	*port = (uint16_t)v;
	return 0;
}

int net_forward_parse(struct net_forward *f, const char *text, struct err *e)
{
	char copy[128], *part[PARTS_MAX], *rest = copy;
	unsigned count = 0;
	struct in_addr addr;

	*f = (struct net_forward){ .host_addr = "127.0.0.1" };
	if (strlen(text) >= sizeof(copy))
		goto bad;
	strcpy(copy, text);
	while (rest && count < PARTS_MAX)
		part[count++] = strsep(&rest, ":");
	if (count < PARTS_MIN || rest || (strcmp(part[0], "tcp") && strcmp(part[0], "udp")))
		goto bad;
	f->udp = !strcmp(part[0], "udp");
	if (count == PARTS_MAX && (strlen(part[1]) >= sizeof(f->host_addr) || inet_pton(AF_INET, part[1], &addr) != 1))
		goto bad;
	if (count == PARTS_MAX)
		strcpy(f->host_addr, part[1]);
	if (parse_port(part[count - 2], &f->host_port) < 0 || parse_port(part[count - 1], &f->guest_port) < 0)
		goto bad;
	return 0;
bad:
	return err_set(e, -EINVAL,
		       "forward \"%s\" is not of the form tcp|udp:[HOSTADDR:]HOSTPORT:GUESTPORT, e.g. tcp:2222:22",
		       text);
}
