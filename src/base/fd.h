/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File descriptors: always close-on-exec, complete reads and writes, eventfds, files read whole. */
#ifndef PANAL_BASE_FD_H
#define PANAL_BASE_FD_H

#include "base/err.h"

/* Closes and sets to -1; -1 is allowed. Keeps errno. */
void fd_close(int *fd);
/* Opens with O_CLOEXEC added. The descriptor, or a negative errno with a message that names the path. */
int fd_open(const char *path, int flags, unsigned mode, struct err *e) ATTR_MUST_USE;
/* 0 or a negative errno. */
int fd_set_nonblock(int fd, bool on) ATTR_MUST_USE;

/* Writes all of it; interrupted calls go on. 0 or a negative errno. */
int fd_write_all(int fd, const void *buf, size_t len) ATTR_MUST_USE;
/* Reads until len bytes are there or the file ends: the number of bytes, or a negative errno. */
int64_t fd_read_all(int fd, void *buf, size_t len) ATTR_MUST_USE;

/* A memfd of that many zero bytes: the descriptor, or a negative errno. */
int fd_memfd(const char *name, uint64_t size, struct err *e) ATTR_MUST_USE;

/* A non-blocking eventfd: the descriptor, or a negative errno. */
int fd_event(struct err *e) ATTR_MUST_USE;
void fd_event_signal(int fd);
/* Takes all signals; true when there was one. */
bool fd_event_clear(int fd);

/* The whole regular file, at most max bytes (-EFBIG above); *out is malloc'ed with a zero byte behind it. */
int fd_read_file(const char *path, size_t max, uint8_t **out, size_t *len, struct err *e) ATTR_MUST_USE;

#endif
