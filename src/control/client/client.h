/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other end of a panal-vmm's control socket: commands with answers by callback, events. All on the loop's thread.
 * The engine runs what a guest may have broken out of, so what it says is hostile input too: an answer is at most
 * CONTROL_CLIENT_MESSAGE_MAX bytes, and whoever breaks the protocol is cut off.
 */
#ifndef PANAL_CONTROL_CLIENT_CLIENT_H
#define PANAL_CONTROL_CLIENT_CLIENT_H

#include "base/err.h"

#include <jansson.h>

struct loop;
struct control_client;

enum {
	CONTROL_CLIENT_MESSAGE_MAX = 1 << 20,
	CONTROL_CLIENT_PENDING_MAX = 256, /* commands without an answer */
};

struct control_client_ops {
	/* The engine has greeted and takes commands. */
	void (*ready)(void *opaque);
	/* data may be NULL. */
	void (*event)(void *opaque, const char *name, const json_t *data);
	/* The connection is gone, for the reason; every command under way was answered with an error. The client is
	 * still to be closed. */
	void (*lost)(void *opaque, const char *why);
};

/* result: what came in "return" (borrowed), or NULL with the error. May close the client. */
typedef void (*control_done_fn)(void *opaque, const json_t *result, const struct err *e);

/* Connects to the socket at path. Errors name it. */
int control_client_open(struct control_client **out, struct loop *loop, const char *path,
			const struct control_client_ops *ops, void *opaque, struct err *e) ATTR_MUST_USE;
/* Commands under way are answered with an error first. NULL is allowed. */
void control_client_close(struct control_client *c);

/* Once it is ready. arguments (may be NULL) are taken over. done may be NULL. When it fails (too many under way, gone,
 * no memory), done is not called. */
int control_client_execute(struct control_client *c, const char *command, json_t *arguments, control_done_fn done,
			   void *opaque, struct err *e) ATTR_MUST_USE;
/* The same with a descriptor (borrowed) that comes with the command. -EAGAIN: other commands are on their way. */
int control_client_execute_fd(struct control_client *c, const char *command, json_t *arguments, int fd,
			      control_done_fn done, void *opaque, struct err *e) ATTR_MUST_USE;

#endif
