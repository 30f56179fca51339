/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small documents: secrets, and snapshots of machines. domdef_fault gives libvirt's number for a failure. */
#ifndef PANAL_DAEMON_XML_SMALLDEF_H
#define PANAL_DAEMON_XML_SMALLDEF_H

#include "daemon/xml/xmap.h"

/* virSecretUsageType. */
enum secretdef_usage {
	SECRETDEF_NONE,
	SECRETDEF_VOLUME,
	SECRETDEF_CEPH,
	SECRETDEF_ISCSI,
	SECRETDEF_TLS,
	SECRETDEF_VTPM
};

struct secretdef {
	XLIST(struct xraw) extra;
	int ephemeral, private; /* 0 absent, 1 no, 2 yes */
	struct xuuid uuid;
	char *description;
	int usage; /* enum secretdef_usage */
	char *volume, *name, *target;
};

/* uuid is filled in. Errors: -EILSEQ, -EBADMSG, -EPROTO, -ENOMEM. */
int secretdef_parse(struct secretdef **out, const char *xml, size_t len, bool validate, struct err *e) ATTR_MUST_USE;
char *secretdef_format(const struct secretdef *d) ATTR_MUST_USE;
void secretdef_free(struct secretdef *d);
/* What the usage names: the volume, name or target; "" for none. */
const char *secretdef_usage_id(const struct secretdef *d);

struct snapdef_disk {
	XLIST(struct xraw) extra;
	char *name, *snapshot, *type, *driver, *source;
	XLIST(struct xraw) parts;
};

struct snapdef {
	XLIST(struct xraw) extra;
	char *name, *description, *state;
	struct xnum creation_time;
	char *parent;
	char *memory, *memory_file;
	XLIST(struct snapdef_disk) disks;
	XLIST(struct xraw) domain, inactive_domain, cookie; /* documents of the machine at that time */
	struct xnum active;
};

/* A name, if there is none, is the daemon's matter. Errors as above. */
int snapdef_parse(struct snapdef **out, const char *xml, size_t len, bool validate, struct err *e) ATTR_MUST_USE;
char *snapdef_format(const struct snapdef *d) ATTR_MUST_USE;
void snapdef_free(struct snapdef *d);

extern const struct xmap secretdef_map, snapdef_map;

#endif
