/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures of the screen. A machine that gave up its rights can open no file: it writes to a descriptor that came with
 * add-fd, under QMP's name for it, /dev/fdset/N.
 */
#include "control/control_priv.h"

#include "base/fd.h"
#include "display/display.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FDSET_MAX = 1 << 20 };

/* ---- descriptors that clients handed over ---- */

static const struct control_fd *find_const(const struct control_fds *f, int64_t set)
{
	for (unsigned n = 0; n < CONTROL_FDS_MAX; n++)
		if (f->entry[n].used && f->entry[n].set == set)
			return &f->entry[n];
	return NULL;
}

static struct control_fd *find_set(struct control_fds *f, int64_t set)
{
	return (struct control_fd *)(uintptr_t)find_const(f, set);
}

int control_fds_named(const struct control_fds *f, const char *name, struct err *e)
{
	static const char prefix[] = "/dev/fdset/";
	const struct control_fd *entry;

	if (strncmp(name, prefix, sizeof(prefix) - 1))
		return -1;
	entry = f ? find_const(f, strtoll(name + sizeof(prefix) - 1, NULL, 10)) : NULL;
	return entry ? entry->fd : err_set(e, -ENOENT, "%s: there is no such descriptor; add-fd brings it", name);
}

static struct control_fd *free_entry(struct control_fds *f)
{
	for (unsigned n = 0; n < CONTROL_FDS_MAX; n++)
		if (!f->entry[n].used)
			return &f->entry[n];
	return NULL;
}

void control_fds_close(struct control_fds *f)
{
	for (unsigned n = 0; n < CONTROL_FDS_MAX; n++)
		if (f->entry[n].used)
			close(f->entry[n].fd);
	memset(f, 0, sizeof(*f));
}

/* fdset-id: the number that it gets; without it the lowest that is free. One descriptor a set. */
json_t *cmd_add_fd(struct command_call *call, struct err *e)
{
	json_t *id = json_object_get(call->arguments, "fdset-id");
	struct control_fds *f = call->fds;
	struct control_fd *entry = f ? free_entry(f) : NULL;
	int64_t set = json_integer_value(id);

	if (!f || !call->passed_fd || *call->passed_fd < 0) {
		err_set(e, -EINVAL, "No file descriptor supplied via SCM_RIGHTS");
		return NULL;
	}
	if (id && (!json_is_integer(id) || set < 0 || set > FDSET_MAX || find_set(f, set))) {
		err_set(e, -EINVAL, "\"fdset-id\" is a number up to %d that no descriptor has", FDSET_MAX);
		return NULL;
	}
	if (!entry) {
		err_set(e, -ENOSPC, "%d descriptors are here already; give some back with remove-fd", CONTROL_FDS_MAX);
		return NULL;
	}
	for (set = id ? set : 0; !id && find_set(f, set);)
		set++;
	*entry = (struct control_fd){ .used = true, .set = set, .fd = *call->passed_fd };
	*call->passed_fd = -1;
	return json_pack("{s:I, s:i}", "fdset-id", (json_int_t)set, "fd", entry->fd);
}

json_t *cmd_remove_fd(struct command_call *call, struct err *e)
{
	json_t *id = json_object_get(call->arguments, "fdset-id");
	struct control_fd *entry = NULL;

	if (call->fds && json_is_integer(id))
		entry = find_set(call->fds, json_integer_value(id));
	if (!entry) {
		err_set(e, -ENOENT, "remove-fd needs the \"fdset-id\" of a descriptor that is here");
		return NULL;
	}
	close(entry->fd);
	entry->used = false;
	return json_object();
}

/* ---- screendump ---- */

static int open_target(struct command_call *call, const char *name, struct err *e)
{
	int fd = control_fds_named(call->fds, name, e);

	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd != -1)
		return fd;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return err_set(e, -errno,
			       "cannot open %s: %s; a machine in its sandbox opens no file: hand the file over with "
			       "add-fd and name it /dev/fdset/N", name, strerror(errno));
	return fd;
}

/* filename; format: png or ppm, as QMP has it; head: which screen. */
json_t *cmd_screendump(struct command_call *call, struct err *e)
{
	const char *name = json_string_value(json_object_get(call->arguments, "filename"));
	json_t *format = json_object_get(call->arguments, "format"), *head = json_object_get(call->arguments, "head");
	const char *kind = format ? json_string_value(format) : "ppm";
	const struct surface *s;
	int fd, ret;

	if (!name || !kind || (strcmp(kind, "png") && strcmp(kind, "ppm")) || (head && !json_is_integer(head))) {
		err_set(e, -EINVAL, "screendump needs \"filename\", and may have \"format\" (png or ppm) and \"head\"");
		return NULL;
	}
	if (json_integer_value(head) < 0 || json_integer_value(head) >= DISPLAY_HEADS_MAX || !call->target->display) {
		err_set(e, -ENOENT, "there is no such screen");
		return NULL;
	}
	s = display_refresh(call->target->display, (unsigned)json_integer_value(head));
	if (!s) {
		err_set(e, -ENODEV, "there is no such screen, or it shows nothing; --video gives the machine one");
		return NULL;
	}
	fd = open_target(call, name, e);
	if (fd < 0)
		return NULL;
	ret = strcmp(kind, "png") ? surface_write_ppm(s, fd, e) : surface_write_png(s, fd, e);
	close(fd);
	return ret < 0 ? NULL : json_object();
}
