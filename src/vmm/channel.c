/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/channel.h"

#include "base/opt.h"
#include "core/chardev.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct opt_desc keys[] = {
	{ .key = "name", .kind = OPT_STRING, .positional = true },
	{ .key = "socket", .kind = OPT_STRING },
	{ 0 },
};

static int keep(struct channels *c, const char *name, const char *path, struct err *e)
{
	struct channel *n = &c->item[c->count];

	if (!name || !path)
		return err_set(e, -EINVAL, "a channel is name=NAME,socket=PATH");
	if (strlen(name) >= sizeof(n->name) || strlen(path) >= sizeof(n->path))
		return err_set(e, -EINVAL, "a channel's name has at most %zu characters, its socket's path %zu",
			       sizeof(n->name) - 1, sizeof(n->path) - 1);
	for (unsigned k = 0; k < c->count; k++)
		if (!strcmp(c->item[k].name, name))
			return err_set(e, -EEXIST, "there are two channels named %s", name);
	strcpy(n->name, name);
	strcpy(n->path, path);
	c->count++;
	return 0;
}

int channel_add(struct channels *c, const char *text, struct err *e)
{
	struct opts k;
	int ret;

	if (c->count == BOARD_CHANNEL_MAX)
		return err_set(e, -E2BIG, "at most %d channels are possible", BOARD_CHANNEL_MAX);
	ret = opts_parse(&k, keys, text, e);
	if (ret < 0)
		return ret;
	ret = keep(c, opts_string(&k, "name", NULL), opts_string(&k, "socket", NULL), e);
	opts_free(&k);
	return ret;
}

static void moved(void *opaque, unsigned n, bool open)
{
	struct channels *c = opaque;

	c->item[n].open = open;
	if (*c->control)
		control_event_channel(*c->control, c->item[n].name, open);
}

int channels_open(struct channels *c, struct board_config *bc, struct loop *loop, struct control **control,
		  struct err *e)
{
	char spec[128];
	int ret = 0;

	c->control = control;
	bc->channel_moved = moved;
	bc->channel_opaque = c;
	for (unsigned n = 0; ret == 0 && n < c->count; n++) {
		snprintf(spec, sizeof(spec), "unix:%s", c->item[n].path);
		ret = chardev_open(&bc->channel[n], spec, loop, e);
		bc->channel_name[n] = c->item[n].name;
		bc->channel_count += ret == 0;
	}
	return ret < 0 ? err_wrap(e, "--channel") : 0;
}

bool channel_at(const struct channels *c, unsigned n, struct control_channel *out)
{
	if (n < c->count)
		*out = (struct control_channel){ c->item[n].name, c->item[n].open };
	return n < c->count;
}
