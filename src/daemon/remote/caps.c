/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host and its machines can do, as documents. */
#include "daemon/remote/remote_priv.h"

#include "daemon/host.h"
#include "daemon/xml/capsxml.h"

#include <limits.h>
#include <stdio.h>

struct frame {
	uint8_t uuid[16];
	char emulator[PATH_MAX];
	struct capsxml caps;
};

static const struct capsxml *fill(struct frame *f, const struct daemon *d)
{
	host_uuid(f->uuid);
	snprintf(f->emulator, sizeof(f->emulator), "%s/panal-vmm", d->program_dir);
	f->caps = (struct capsxml){ .uuid = f->uuid, .sysroot = "", .emulator = f->emulator };
	return &f->caps;
}

static int get_capabilities(struct call *c)
{
	struct frame f;

	return remote_put_text(c, FROM_NONE, capsxml_capabilities(fill(&f, c->opaque)));
}

enum { CAPABILITIES_WITHOUT_OFF = 1 }; /* features that are switched off are left out: none is */

static int get_domain_capabilities(struct call *c)
{
	struct err e = { 0 };
	struct frame f;
	char *text;
	int ret;

	ret = capsxml_domain(&text, fill(&f, c->opaque), call_s(c, 0), call_s(c, 1), call_s(c, 2), call_s(c, 3), &e);
	return ret < 0 ? fault_from_err(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, &e) :
			 remote_put_text(c, FROM_NONE, text);
}

static int get_sysinfo(struct call *c)
{
	struct frame f;

	return remote_put_text(c, FROM_NONE, capsxml_sysinfo(fill(&f, c->opaque)));
}

const struct handler remote_caps[] = {
	{"CONNECT_GET_CAPABILITIES", get_capabilities},
	{"CONNECT_GET_DOMAIN_CAPABILITIES", get_domain_capabilities, NULL, CAPABILITIES_WITHOUT_OFF},
	{"CONNECT_GET_SYSINFO", get_sysinfo},
};
const unsigned remote_caps_count = COUNT_OF(remote_caps);
