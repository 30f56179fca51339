/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kind of image a file holds, from its first bytes. They may come from a guest or a stranger: nothing that is read
 * here is more than a description. Formats that a machine uses are named by its document, never guessed. */
#ifndef PANAL_DAEMON_STORAGE_PROBE_H
#define PANAL_DAEMON_STORAGE_PROBE_H

#include "base/compiler.h"

enum { PROBE_BYTES = 64 << 10, PROBE_NAME_MAX = 1023 };

struct probe {
	const char *format; /* "raw", "qcow2", "iso", "vmdk", ...: a constant */
	uint64_t capacity;  /* bytes of the disk; 0 when the header does not say (then the file's size counts) */
	const char *compat; /* qcow2: "0.10" or "1.1" */
	uint64_t cluster;   /* qcow2: bytes */
	bool lazy_refcounts, encrypted, damaged;
	char backing[PROBE_NAME_MAX + 1]; /* as the header has it; "" for none */
	char backing_format[16];
};

/* Whether the text is UTF-8 without control characters, so that XML can carry it. */
bool probe_is_text(const char *text);
/* From the file's first len bytes. */
void probe_bytes(struct probe *p, const uint8_t *data, size_t len);
/* 0 or a negative errno. Blocking. */
int probe_fd(struct probe *p, int fd) ATTR_MUST_USE;

#endif
