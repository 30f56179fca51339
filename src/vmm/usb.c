/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/usb.h"

#include "vmm/names.h"

#include "base/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TIERS = 6, PORT_MAX = 8 };

static const struct opt_desc keys[] = {
	{ .key = "device", .kind = OPT_STRING, .positional = true },
	{ .key = "port", .kind = OPT_STRING },
	{ .key = "slot", .kind = OPT_NUMBER },
	{ .key = "id", .kind = OPT_STRING },
	{ 0 },
};
static const char *const names[BOARD_USB_KINDS] = {
	[BOARD_USB_KEYBOARD] = "keyboard", [BOARD_USB_MOUSE] = "mouse", [BOARD_USB_TABLET] = "tablet",
	[BOARD_USB_HUB] = "hub",
};

int usb_parse_port(const char *text, uint32_t *port, struct err *e)
{
	const char *at = text;

	*port = 0;
	for (unsigned tier = 0; tier < TIERS; tier++) {
		char *end;
		unsigned long n = strtoul(at, &end, 10);

		if (end == at || *at == '-' || n < 1 || n > PORT_MAX)
			break;
		*port |= (uint32_t)n << (4 * tier);
		if (!*end)
			return 0;
		if (*end != '.')
			break;
		at = end + 1;
	}
	return err_set(e, -EINVAL, "port=%s is not possible; 1 to %d are, and behind a hub 1.1 to 1.%d", text, PORT_MAX,
		       PORT_MAX);
}

static int set_controller(struct usb_options *o, uint64_t slot, struct err *e)
{
	if (slot > BOARD_SLOT_LAST)
		return err_set(e, -EINVAL, "slot %llu is not possible; %d to %d are", (unsigned long long)slot,
			       BOARD_SLOT_FIRST, BOARD_SLOT_LAST);
	o->slot = (uint8_t)slot;
	return 0;
}

static int add_device(struct usb_options *o, const char *name, const char *port, const char *id, struct err *e)
{
	struct board_usb *u = &o->dev[o->count];
	unsigned kind = 0;

	while (kind < BOARD_USB_KINDS && strcmp(names[kind], name))
		kind++;
	if (kind == BOARD_USB_KINDS)
		return err_set(e, -EINVAL, "%s is unknown; keyboard, mouse, tablet, hub, controller are possible",
			       name);
	if (o->count == BOARD_USB_MAX)
		return err_set(e, -E2BIG, "at most %d are possible", BOARD_USB_MAX);
	if (id && device_name(o->id[o->count], id, e) < 0)
		return -EINVAL;
	u->kind = (enum board_usb_kind)kind;
	o->count++;
	return port ? usb_parse_port(port, &u->port, e) : 0;
}

int usb_add(struct usb_options *o, const char *text, struct err *e)
{
	struct opts k;
	const char *name;
	int ret = opts_parse(&k, keys, text, e);

	if (ret < 0)
		return ret;
	o->wanted = true;
	name = opts_string(&k, "device", "controller");
	if (!strcmp(name, "controller"))
		ret = set_controller(o, opts_number(&k, "slot", 0), e);
	else
		ret = add_device(o, name, opts_string(&k, "port", NULL), opts_string(&k, "id", NULL), e);
	opts_free(&k);
	return ret;
}
