/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images as files that tools make, copy and resize, with blocking calls. One thread at a time. The format is named. */
#ifndef PANAL_BLOCK_DISK_IMAGE_H
#define PANAL_BLOCK_DISK_IMAGE_H

#include "block/qcow2.h"

#include <stdatomic.h>

enum disk_format { IMAGE_RAW, IMAGE_QCOW2 };

struct disk_image {
	enum disk_format format;
	struct qcow2 *q;    /* qcow2 */
	struct q_file file; /* raw */
	uint64_t size;      /* bytes of the disk, a multiple of 512 */
	int fd;             /* the image's own or raw's; closed with it */
};

/* "raw", "qcow2"; -EINVAL for another name or NULL. */
int disk_image_format_parse(const char *name, enum disk_format *format, struct err *e) ATTR_MUST_USE;

struct disk_image_open {
	const char *path;
	enum disk_format format;
	bool write, for_check;
	const char *snapshot; /* qcow2, not write */
};
/* Locked as a machine locks it: -EBUSY when one uses it. */
int disk_image_open(struct disk_image *i, const struct disk_image_open *o, struct err *e) ATTR_MUST_USE;
int disk_image_close(struct disk_image *i);

/* A file that must not exist yet; on failure it is removed again. */
int disk_image_create(const char *path, enum disk_format format, const struct qcow2_create *c,
		      struct err *e) ATTR_MUST_USE;
int disk_image_resize(struct disk_image *i, uint64_t size, bool shrink, struct err *e) ATTR_MUST_USE;

struct disk_image_convert {
	struct disk_image *from;
	const char *path; /* must not exist yet */
	enum disk_format format;
	struct qcow2_create create; /* size is filled in */
	bool compress;              /* qcow2 */
	/* Called now and then with bytes of the disk; may be NULL. */
	void (*progress)(void *opaque, uint64_t done, uint64_t total);
	void *opaque;
	const atomic_bool *stop; /* may be NULL; once it is true the copy breaks off with -ECANCELED */
};
int disk_image_convert(const struct disk_image_convert *c, struct err *e) ATTR_MUST_USE;

#endif
