/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of bytes to the outside: what a serial port or a console is connected to.
 *
 * Writing never blocks and may come from any thread. Receiving happens on the loop's thread. Back-pressure goes both
 * ways: a write that takes less than offered is followed by `writable`; a receive that takes less than offered stops
 * the reading until chardev_rx_ready.
 */
#ifndef PANAL_CORE_CHARDEV_H
#define PANAL_CORE_CHARDEV_H

#include "base/err.h"

struct chardev;
struct loop;

struct chardev_client {
	/* Bytes from outside; returns how many were taken. Loop thread. */
	size_t (*receive)(void *opaque, const uint8_t *buf, size_t len);
	/* Room again after a short write. Loop thread. May be NULL. */
	void (*writable)(void *opaque);
	void *opaque;
};

enum { CHARDEV_QUEUE_MAX = 64 << 10 }; /* bytes that may wait for the outside; a write beyond is short */

/* spec: "stdio" (descriptors 0 and 1), "file:PATH" (written, created or emptied), "unix:PATH" (listens; one peer at a
 * time; without a peer bytes vanish), "pty:PATH" (the same, and a pseudo-terminal that PATH.tty leads to: who opens
 * that is the peer while nobody is at the socket), "none". The program ignores SIGPIPE. */
int chardev_open(struct chardev **out, const char *spec, struct loop *loop, struct err *e) ATTR_MUST_USE;
/* Loop thread, no writer left. Writes what waits as far as that goes without blocking. NULL is allowed. */
void chardev_close(struct chardev *c);
/* Loop thread; copied. Input begins with a client that has receive, and stops with a zeroed one. */
void chardev_set_client(struct chardev *c, const struct chardev_client *client);

/* Any thread. Returns how many bytes were taken. */
size_t chardev_write(struct chardev *c, const uint8_t *buf, size_t len);
/* The client has room again. Any thread. */
void chardev_rx_ready(struct chardev *c);

/* A listening, non-blocking unix socket at path; one that a dead program left there is replaced. The descriptor, or a
 * negative errno. */
int chardev_listen(const char *path, struct err *e) ATTR_MUST_USE;

#endif
