/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --disk PATH[,format=raw|qcow2][,readonly][,bus=...][,cache=...][,bootindex=N]: an image by its option text. */
#ifndef PANAL_VMM_DISK_H
#define PANAL_VMM_DISK_H

#include "arch/x86/board.h"
#include "base/err.h"
#include "block/block.h"

struct loop;

struct disk {
	struct blk *blk; /* NULL: an empty CD-ROM or floppy drive */
	enum board_bus bus;
	bool cdrom;
	uint32_t port; /* on the USB controller, as board_usb.port; 0: any */
	char id[32]; /* empty: none given */
	unsigned boot; /* bootindex=; 0: none */
	enum blk_policy read_error, write_error;
	uint8_t unit;  /* unit= and 1; 0: none given */
	char serial[BOARD_SERIAL + 1]; /* serial=; empty: none given */
};

/* Files that are open already, by names like /dev/fdset/16. */
struct disk_files {
	/* The descriptor, borrowed; -1: it is no such name; -ENOENT: there is none. */
	int (*named)(void *opaque, const char *name, struct err *e);
	void *opaque;
};

/* files: NULL, or where the path is looked for first. */
int disk_open(struct disk *out, const char *text, struct loop *loop, const struct disk_files *files,
	      struct err *e) ATTR_MUST_USE;
/* --cdrom PATH|none: a drive on SATA with this image. */
int disk_open_cdrom(struct disk *out, const char *path, struct loop *loop, struct err *e) ATTR_MUST_USE;

/* --floppy PATH|none[,readonly]...: a floppy drive; the keys are --disk's. */
int disk_open_floppy(struct disk *out, const char *text, struct loop *loop, struct err *e) ATTR_MUST_USE;

#endif
