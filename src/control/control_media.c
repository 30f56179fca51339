/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What disks and network cards have done. */
#include "control/control_priv.h"

#include "block/block.h"
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void put(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

static json_t *disk_numbers(const struct blk *b)
{
	static const struct blk_stats none;
	const struct blk_stats *s = b ? blk_stats(b) : &none;
	const struct {
		const char *name, *operations;
		const struct blk_count *count;
	} kinds[] = { { "rd", "rd_operations", &s->read }, { "wr", "wr_operations", &s->write },
		      { "flush", "flush_operations", &s->flush }, { "unmap", "unmap_operations", &s->discard } };
	json_t *o = json_object();
	char name[32];

	for (unsigned n = 0; n < COUNT_OF(kinds); n++) {
		put(o, kinds[n].operations, kinds[n].count->requests);
		snprintf(name, sizeof(name), "%s_total_time_ns", kinds[n].name);
		put(o, name, kinds[n].count->ns);
		snprintf(name, sizeof(name), "failed_%s_operations", kinds[n].name);
		put(o, name, kinds[n].count->errors);
		if (kinds[n].count == &s->flush)
			continue;
		snprintf(name, sizeof(name), "%s_bytes", kinds[n].name);
		put(o, name, kinds[n].count->bytes);
	}
	return o;
}

/* As in QMP, one object a disk, in the order of the command line; size, and whether there is an image in the drive, are
 * ours. */
json_t *cmd_query_blockstats(struct command_call *call, struct err *e)
{
	json_t *list = json_array();
	struct control_disk d;

	for (unsigned n = 0; call->target->disk && call->target->disk(call->target->opaque, n, &d); n++)
		json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:I, s:o}", "device", d.id, "removable",
						      (int)d.removable, "inserted", d.blk != NULL, "size",
						      (json_int_t)(d.blk ? blk_info(d.blk)->size : 0), "stats",
						      disk_numbers(d.blk)));
	return list;
}

/* device or id: its name. */
static bool find_disk(struct command_call *call, struct control_disk *out, struct err *e)
{
	const char *id = json_string_value(json_object_get(call->arguments, "device"));

	if (!id)
		id = json_string_value(json_object_get(call->arguments, "id"));
	if (!id) {
		err_set(e, -EINVAL, "\"device\" names the disk; query-blockstats lists them");
		return false;
	}
	for (unsigned n = 0; call->target->disk && call->target->disk(call->target->opaque, n, out); n++)
		if (!strcmp(out->id, id))
			return true;
	call->error_class = "DeviceNotFound";
	err_set(e, -ENODEV, "there is no disk '%.60s'; query-blockstats lists them", id);
	return false;
}

/* device, size: in bytes. The guest is told. */
json_t *cmd_block_resize(struct command_call *call, struct err *e)
{
	json_t *size = json_object_get(call->arguments, "size");
	struct control_disk d;

	if (!find_disk(call, &d, e))
		return NULL;
	if (!json_is_integer(size) || json_integer_value(size) <= 0) {
		err_set(e, -EINVAL, "block_resize needs \"size\": the bytes that the disk is to have");
		return NULL;
	}
	if (!d.blk || d.removable) {
		err_set(e, -EINVAL, "'%s' is a CD-ROM drive; its medium has the size that it has", d.id);
		return NULL;
	}
	return blk_resize(d.blk, (uint64_t)json_integer_value(size), e) < 0 ? NULL : json_object();
}

/* ---- CD-ROM drives ---- */

static json_t *change_medium(struct command_call *call, const char *name, struct err *e)
{
	struct control_medium want = { .name = name, .force = json_is_true(json_object_get(call->arguments, "force")) };
	struct control_disk d;
	int fd = name ? control_fds_named(call->fds, name, e) : -1, ret;

	if (fd < -1 || !find_disk(call, &d, e))
		return NULL;
	if (!d.removable || !call->target->change_medium) {
		err_set(e, -EINVAL, "'%s' is no drive whose medium can be changed", d.id);
		return NULL;
	}
	want.id = d.id;
	want.file = fd >= 0 ? &fd : NULL;
	ret = call->target->change_medium(call->target->opaque, &want, e);
	if (ret == -EBUSY)
		call->error_class = "DeviceLocked";
	return ret < 0 ? NULL : json_object();
}

/* device or id; filename: a file, or /dev/fdset/N; force: against the guest's lock. The image is raw. */
json_t *cmd_blockdev_change_medium(struct command_call *call, struct err *e)
{
	const char *name = json_string_value(json_object_get(call->arguments, "filename"));
	const char *format = json_string_value(json_object_get(call->arguments, "format"));

	if (!name || !name[0] || (format && strcmp(format, "raw"))) {
		err_set(e, -EINVAL, "blockdev-change-medium needs \"filename\"; an image for a drive is \"raw\"");
		return NULL;
	}
	return change_medium(call, name, e);
}

/* device or id; force: against the guest's lock. */
json_t *cmd_eject(struct command_call *call, struct err *e)
{
	return change_medium(call, NULL, e);
}

/* One object a network card; "rx" is what went into the guest. */
json_t *cmd_query_nics(struct command_call *call, struct err *e)
{
	json_t *list = json_array();
	struct control_nic c;
	char mac[18];

	for (unsigned n = 0; call->target->nic && call->target->nic(call->target->opaque, n, &c); n++) {
		json_t *o = json_object();
		static const struct net_count none;
		const struct net_count *rx = c.net ? &c.net->rx : &none, *tx = c.net ? &c.net->tx : &none;

		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", c.mac[0], c.mac[1], c.mac[2], c.mac[3],
			 c.mac[4], c.mac[5]);
		put(o, "rx_bytes", rx->bytes);
		put(o, "rx_packets", rx->packets);
		put(o, "rx_dropped", rx->dropped);
		put(o, "tx_bytes", tx->bytes);
		put(o, "tx_packets", tx->packets);
		json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "device", c.id, "mac", mac, "stats", o));
	}
	return list;
}

/* name: of a card; up: whether its cable is plugged in. */
json_t *cmd_set_link(struct command_call *call, struct err *e)
{
	const char *name = json_string_value(json_object_get(call->arguments, "name"));
	json_t *up = json_object_get(call->arguments, "up");
	struct control_nic c;

	if (!name || !json_is_boolean(up)) {
		err_set(e, -EINVAL, "set_link needs \"name\", a card's, and \"up\"");
		return NULL;
	}
	for (unsigned n = 0; call->target->nic && call->target->nic(call->target->opaque, n, &c); n++)
		if (!strcmp(c.id, name) && c.net) {
			net_set_link(c.net, json_is_true(up));
			return json_object();
		}
	call->error_class = "DeviceNotFound";
	err_set(e, -ENODEV, "there is no network card '%.60s' with a cable; query-nics lists them", name);
	return NULL;
}

/* One object a channel: its name, and whether a program of the guest has it open. */
json_t *cmd_query_channels(struct command_call *call, struct err *e)
{
	json_t *list = json_array();
	struct control_channel c;

	for (unsigned n = 0; call->target->channel && call->target->channel(call->target->opaque, n, &c); n++)
		json_array_append_new(list, json_pack("{s:s, s:b}", "id", c.name, "open", (int)c.open));
	return list;
}

/* node-name: the disk's name; write-threshold: an offset in the image's file, 0 for none. */
json_t *cmd_block_set_write_threshold(struct command_call *call, struct err *e)
{
	const char *id = json_string_value(json_object_get(call->arguments, "node-name"));
	json_t *offset = json_object_get(call->arguments, "write-threshold");

	if (!id || !json_is_integer(offset) || json_integer_value(offset) < 0) {
		err_set(e, -EINVAL, "block-set-write-threshold needs \"node-name\", a disk's, and \"write-threshold\"");
		return NULL;
	}
	if (!call->target->disk_threshold) {
		err_set(e, -ENOTSUP, "there are no disks here");
		return NULL;
	}
	if (call->target->disk_threshold(call->target->opaque, id, (uint64_t)json_integer_value(offset), e) < 0)
		return NULL;
	return json_object();
}
