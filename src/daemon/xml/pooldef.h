/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The documents of a storage pool and of a volume in it. Sizes are bytes. domdef_fault gives libvirt's number for a
 * failure. */
#ifndef PANAL_DAEMON_XML_POOLDEF_H
#define PANAL_DAEMON_XML_POOLDEF_H

#include "daemon/xml/xmap.h"

enum pooldef_type { POOLDEF_NONE, POOLDEF_DIR, POOLDEF_FS, POOLDEF_NETFS, POOLDEF_LOGICAL, POOLDEF_DISK, POOLDEF_ISCSI,
		    POOLDEF_ISCSI_DIRECT, POOLDEF_SCSI, POOLDEF_MPATH, POOLDEF_RBD, POOLDEF_SHEEPDOG, POOLDEF_GLUSTER,
		    POOLDEF_ZFS, POOLDEF_VSTORAGE };
enum voldef_type { VOLDEF_NONE, VOLDEF_FILE, VOLDEF_BLOCK, VOLDEF_DIR, VOLDEF_NETWORK, VOLDEF_NETDIR, VOLDEF_PLOOP };

struct storage_permissions {
	char *mode, *label; /* mode: octal text */
	char *owner, *group; /* numbers; "-1": as they are */
};

struct pooldef {
	XLIST(struct xraw) extra;
	int type; /* enum pooldef_type */
	char *name;
	struct xuuid uuid;
	struct xnum capacity, allocation, available;
	XLIST(struct xraw) features;
	char *source_name, *source_dir, *source_format, *vendor, *product;
	XLIST(struct xraw) source_parts;
	char *path;
	struct storage_permissions permissions;
	XLIST(struct xraw) refresh;
};

/* Errors: -EILSEQ, -EBADMSG, -EPROTO, -ENOMEM. validate: what no row knows is refused. */
int pooldef_parse(struct pooldef **out, const char *xml, size_t len, bool validate, struct err *e) ATTR_MUST_USE;
char *pooldef_format(const struct pooldef *d) ATTR_MUST_USE;
void pooldef_free(struct pooldef *d);

struct voldef {
	XLIST(struct xraw) extra;
	int type; /* enum voldef_type */
	char *name, *key;
	struct xnum capacity, allocation, physical;
	XLIST(struct xraw) source;
	char *path, *format;
	struct storage_permissions permissions;
	char *atime, *mtime, *ctime, *btime; /* "seconds.nanoseconds" */
	char *compat;
	XLIST(struct xraw) features, encryption;
	struct xnum cluster_size;
	bool nocow;
	char *backing_path, *backing_format;
	struct storage_permissions backing_permissions;
	XLIST(struct xraw) backing_parts;
};

int voldef_parse(struct voldef **out, const char *xml, size_t len, bool validate, struct err *e) ATTR_MUST_USE;
char *voldef_format(const struct voldef *d) ATTR_MUST_USE;
void voldef_free(struct voldef *d);

extern const struct xmap pooldef_map, voldef_map;

#endif
