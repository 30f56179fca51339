/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's disks and network cards by name, for the control socket. The back ends belong to the devices; here is
 * what they are called. Main loop.
 */
#ifndef PANAL_VMM_MEDIA_H
#define PANAL_VMM_MEDIA_H

#include "arch/x86/board.h"
#include "block/block.h"
#include "control/control.h"

struct media {
	struct media_disk {
		char id[CONTROL_ID_MAX]; /* empty: no disk here */
		struct blk *blk;         /* NULL: an empty CD-ROM drive */
		bool cdrom;
		struct scsi_cd *cd; /* what changes its medium; both NULL: it cannot be changed */
		struct fdc_drive *floppy;
		struct media *media;
		enum blk_policy read_error, write_error;
		uint64_t told_ns; /* when a failure was last told */
	} disk[BOARD_DISK_MAX];
	struct media_nic {
		char id[CONTROL_ID_MAX];
		struct net *net; /* NULL: connected to nothing */
		uint8_t mac[6];
	} nic[BOARD_NET_MAX];
	struct control **control; /* told of trays and failures */
	struct vm *vm;            /* stops when a disk fails that is to */
};

/* id empty: "disk0", "nic0" by its place n in the list. -EEXIST: the name is taken; -EINVAL: it is no name. */
int media_add_disk(struct media *m, unsigned n, const char *id, struct blk *blk, bool cdrom, struct err *e)
	ATTR_MUST_USE;
int media_add_nic(struct media *m, unsigned n, const char *id, struct net *net, const uint8_t mac[6], struct err *e)
	ATTR_MUST_USE;

/* Where another can go; BOARD_DISK_MAX, BOARD_NET_MAX: nowhere. */
unsigned media_free_disk(const struct media *m);
unsigned media_free_nic(const struct media *m);
/* What becomes of the disk's requests that fail. After media_add_disk. */
void media_on_error(struct media *m, unsigned n, enum blk_policy read, enum blk_policy write);
/* Requests that failed and wait are tried again, or fail for good. */
void media_retry(struct media *m);
void media_fail(struct media *m);
/* Before the disk of that name, or all (NULL), goes: what waits fails, and no more will wait. */
void media_let_go(struct media *m, const char *id);
/* For struct control_target. */
int media_threshold(struct media *m, const char *id, uint64_t offset, struct err *e) ATTR_MUST_USE;
/* The disk or card of that name goes. */
void media_remove(struct media *m, const char *id);

/* The board is made: its CD-ROM drives, and who is to be told of their trays. */
void media_drives(struct media *m, const struct board_config *bc, struct control **control, struct vm *vm);
/* For struct control_target. */
int media_change(struct media *m, struct loop *loop, const struct control_medium *want, struct err *e) ATTR_MUST_USE;

/* The n-th there is; false: there are fewer. For struct control_target. */
bool media_disk_at(const struct media *m, unsigned n, struct control_disk *out);
bool media_nic_at(const struct media *m, unsigned n, struct control_nic *out);

#endif
