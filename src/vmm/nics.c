/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/nics.h"

#include "arch/x86/board.h"
#include "net/net.h"
#include "vmm/firmware.h"
#include "vmm/media.h"
#include "vmm/options.h"
#include "vmm/order.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const models[] = {
	[BOARD_NIC_VIRTIO] = "virtio", [BOARD_NIC_E1000] = "e1000", [BOARD_NIC_E1000E] = "e1000e",
	[BOARD_NIC_RTL8139] = "rtl8139",
};

/* A MAC address that stays the same from start to start and differs between machines whose networks differ: QEMU's
 * and KVM's common prefix, then a hash (FNV-1a) of the option's text and the card's number. */
static void make_mac(uint8_t mac[6], const char *spec, unsigned n)
{
	uint32_t h = (2166136261u ^ n) * 16777619u;

	for (; *spec; spec++)
		h = (h ^ (uint8_t)*spec) * 16777619u;
	memcpy(mac, (const uint8_t[]){ 0x52, 0x54, 0x00, h >> 16 & 0xff, h >> 8 & 0xff, h & 0xff }, 6);
}

static int choose_nic(enum board_nic *nic, const char *spec, struct err *e)
{
	char text[16] = "virtio";
	int ret = net_spec_text(text, sizeof(text), spec, "model", e);

	for (unsigned n = 0; ret >= 0 && n < COUNT_OF(models); n++)
		if (!strcmp(text, models[n])) {
			*nic = (enum board_nic)n;
			return 0;
		}
	if (ret < 0)
		return ret;
	return err_set(e, -EINVAL, "model=%s is unknown; virtio, e1000, e1000e, rtl8139 are possible", text);
}

/* The firmware runs it; without firmware it is of no use. A default that is not installed is not missed. */
static int choose_rom(struct nic_option *out, const char *spec, bool firmware, struct err *e)
{
	char file[PATH_MAX] = "";
	struct err none;
	int named = net_spec_text(file, sizeof(file), spec, "romfile", e);

	if (named < 0 || (named && !strcmp(file, "none")))
		return named < 0 ? named : 0;
	if (named)
		return firmware_file_rom(file, &out->rom, &out->rom_size, e);
	if (firmware && firmware_net_rom(models[out->model], &out->rom, &out->rom_size, &none) < 0)
		out->rom = NULL;
	return 0;
}

int nic_open(struct nic_option *out, const char *spec, unsigned n, bool firmware, struct loop *loop,
	     const struct net_helper *helper, struct err *e)
{
	uint64_t index = 0;
	int ret;

	*out = (struct nic_option){ 0 };
	make_mac(out->mac, spec, n);
	ret = net_spec_mac(out->mac, spec, e);
	if (ret >= 0)
		ret = net_spec_id(out->id, sizeof(out->id), spec, e);
	if (ret >= 0)
		ret = choose_nic(&out->model, spec, e);
	if (ret >= 0)
		ret = net_spec_boot(spec, &index, e);
	if (ret > 0)
		ret = order_place(&out->boot, index, e);
	if (ret >= 0)
		ret = choose_rom(out, spec, firmware, e);
	if (ret >= 0)
		ret = net_open(&out->net, spec, loop, helper, e);
	if (ret < 0)
		free(out->rom);
	return ret < 0 ? ret : 0;
}

static int open_one(struct board_config *bc, const struct options *o, unsigned n, struct loop *loop,
		    const struct net_helper *helper, struct media *media, struct err *e)
{
	unsigned at = bc->net_count;
	struct nic_option nic;
	int ret = nic_open(&nic, o->net[n], n, o->board_pc, loop, helper, e);

	if (ret < 0)
		return ret;
	if (!nic.net) { /* none: no card */
		free(nic.rom);
		return 0;
	}
	bc->nic_rom[at] = nic.rom;
	bc->nic_rom_size[at] = nic.rom_size;
	memcpy(bc->mac[at], nic.mac, sizeof(nic.mac));
	bc->nic[at] = nic.model;
	bc->net_boot[at] = nic.boot;
	bc->net[at] = nic.net;
	bc->net_count++;
	return media_add_nic(media, at, nic.id, nic.net, nic.mac, e);
}

int nics_open(struct board_config *bc, const struct options *o, struct loop *loop, const char *helper_dir,
	      struct media *media, struct err *e)
{
	const struct net_helper helper = { .dir = helper_dir, .sandbox = !o->no_sandbox };
	int ret = 0;

	for (unsigned n = 0; ret >= 0 && n < o->net_count; n++)
		ret = open_one(bc, o, n, loop, &helper, media, e);
	return ret < 0 ? err_wrap(e, "--net") : 0;
}

void nics_free(struct board_config *bc)
{
	for (unsigned n = 0; n < BOARD_NET_MAX; n++)
		free(bc->nic_rom[n]);
}
