/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the control room: messages, commands. */
#ifndef PANAL_CONTROL_CONTROL_PRIV_H
#define PANAL_CONTROL_CONTROL_PRIV_H

#include "control/control.h"

#include <jansson.h>

/* ---- framing.c: cuts a stream of bytes into JSON values ---- */
struct framing {
	char text[CONTROL_MESSAGE_MAX + 1];
	size_t len;
	unsigned depth;
	bool in_string, escaped, begun;
};
/* Takes one byte. 1: text[0..len) is a whole value, taken out by framing_next; 0: more is needed; -EMSGSIZE: too long
 * or too deep, the rest of the stream cannot be trusted. */
int framing_put(struct framing *f, char byte);
void framing_next(struct framing *f);

/* ---- descriptors that clients handed over (add-fd) ---- */
enum { CONTROL_FDS_MAX = 16 };
struct control_fds {
	struct control_fd {
		bool used;
		int fd;
		int64_t set;
	} entry[CONTROL_FDS_MAX];
};
void control_fds_close(struct control_fds *f);
/* The descriptor that "/dev/fdset/N" names, borrowed; -ENOENT with the error when there is none, -1 when name is the
 * name of a file. */
int control_fds_named(const struct control_fds *f, const char *name, struct err *e);

/* ---- commands ---- */
struct command_call {
	struct control *control;
	const struct control_target *target;
	json_t *arguments; /* an object, or NULL */
	bool *negotiated;
	struct control_fds *fds; /* NULL without a socket */
	int *passed_fd;          /* what came with the message, -1: nothing; who takes it sets -1 */
	const char *error_class; /* set with err when it is not GenericError */
};

struct command {
	const char *name;
	/* A new reference to what goes into "return", or NULL with *e set. */
	json_t *(*run)(struct command_call *call, struct err *e);
	bool before_negotiation;
};
extern const struct command commands[];
extern const unsigned command_count;

/* call: all but arguments is set. The answer to one message: {"return": ...} or {"error": ...}, with the id. Never NULL
 * but for lack of memory. */
json_t *command_answer(struct command_call *call, const char *text, size_t len);
/* {"QMP": {"version": ..., "capabilities": []}} */
json_t *command_greeting(void);
json_t *command_version(void);

/* The tag of the last command that was carried out; empty: none had one. NULL: there is no socket. */
char *control_tag(struct control *c);

/* /proc/self/status, or -1: opened before the sandbox forbids it. */
int control_status_fd(const struct control *c);

/* control_meta.c, control_machine.c, control_cpu.c, control_balloon.c, control_input.c,
 * control_display.c, control_media.c, control_plug.c */
json_t *cmd_qmp_capabilities(struct command_call *call, struct err *e);
json_t *cmd_query_version(struct command_call *call, struct err *e);
json_t *cmd_query_commands(struct command_call *call, struct err *e);
json_t *cmd_query_status(struct command_call *call, struct err *e);
json_t *cmd_stop(struct command_call *call, struct err *e);
json_t *cmd_cont(struct command_call *call, struct err *e);
json_t *cmd_quit(struct command_call *call, struct err *e);
json_t *cmd_system_powerdown(struct command_call *call, struct err *e);
json_t *cmd_system_wakeup(struct command_call *call, struct err *e);
json_t *cmd_inject_nmi(struct command_call *call, struct err *e);
json_t *cmd_system_reset(struct command_call *call, struct err *e);
json_t *cmd_query_vm_generation_id(struct command_call *call, struct err *e);
json_t *cmd_set_vm_generation_id(struct command_call *call, struct err *e);
json_t *cmd_query_cpus_fast(struct command_call *call, struct err *e);
json_t *cmd_query_stats(struct command_call *call, struct err *e);
json_t *cmd_query_blockstats(struct command_call *call, struct err *e);
json_t *cmd_block_set_write_threshold(struct command_call *call, struct err *e);
json_t *cmd_block_resize(struct command_call *call, struct err *e);
json_t *cmd_blockdev_change_medium(struct command_call *call, struct err *e);
json_t *cmd_eject(struct command_call *call, struct err *e);
json_t *cmd_set_link(struct command_call *call, struct err *e);
json_t *cmd_device_add(struct command_call *call, struct err *e);
json_t *cmd_device_del(struct command_call *call, struct err *e);
json_t *cmd_query_slots(struct command_call *call, struct err *e);
json_t *cmd_query_devices(struct command_call *call, struct err *e);
json_t *cmd_query_tag(struct command_call *call, struct err *e);
json_t *cmd_query_channels(struct command_call *call, struct err *e);
json_t *cmd_query_nics(struct command_call *call, struct err *e);
json_t *cmd_balloon(struct command_call *call, struct err *e);
json_t *cmd_query_balloon(struct command_call *call, struct err *e);
json_t *cmd_balloon_stats(struct command_call *call, struct err *e);
json_t *cmd_send_key(struct command_call *call, struct err *e);
json_t *cmd_input_send_event(struct command_call *call, struct err *e);
json_t *cmd_screendump(struct command_call *call, struct err *e);
json_t *cmd_add_fd(struct command_call *call, struct err *e);
json_t *cmd_remove_fd(struct command_call *call, struct err *e);

#endif
