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
static int choose_rom(struct board_config *bc, unsigned at, const char *spec, bool firmware, struct err *e)
{
	char file[PATH_MAX] = "";
	struct err none;
	int named = net_spec_text(file, sizeof(file), spec, "romfile", e);

	if (named < 0 || (named && !strcmp(file, "none")))
		return named < 0 ? named : 0;
	if (named)
		return firmware_file_rom(file, &bc->nic_rom[at], &bc->nic_rom_size[at], e);
	if (firmware && firmware_net_rom(models[bc->nic[at]], &bc->nic_rom[at], &bc->nic_rom_size[at], &none) < 0)
		bc->nic_rom[at] = NULL;
	return 0;
}

static int open_nic(struct board_config *bc, const struct options *o, unsigned n, struct loop *loop,
		    const struct net_helper *helper, struct media *media, struct err *e)
{
	const char *spec = o->net[n];
	unsigned at = bc->net_count;
	char id[CONTROL_ID_MAX] = "";
	uint64_t index = 0;
	int ret;

	make_mac(bc->mac[at], spec, n);
	ret = net_spec_mac(bc->mac[at], spec, e);
	if (ret >= 0)
		ret = net_spec_id(id, sizeof(id), spec, e);
	if (ret >= 0)
		ret = choose_nic(&bc->nic[at], spec, e);
	if (ret >= 0)
		ret = net_spec_boot(spec, &index, e);
	if (ret > 0)
		ret = order_place(&bc->net_boot[at], index, e);
	if (ret >= 0)
		ret = net_open(&bc->net[at], spec, loop, helper, e);
	if (ret < 0 || !bc->net[at])
		return ret;
	bc->net_count++;
	ret = choose_rom(bc, at, spec, o->board_pc, e);
	return ret < 0 ? ret : media_add_nic(media, at, id, bc->net[at], bc->mac[at], e);
}

int nics_open(struct board_config *bc, const struct options *o, struct loop *loop, const char *helper_dir,
	      struct media *media, struct err *e)
{
	const struct net_helper helper = { .dir = helper_dir, .sandbox = !o->no_sandbox };
	int ret = 0;

	for (unsigned n = 0; ret >= 0 && n < o->net_count; n++)
		ret = open_nic(bc, o, n, loop, &helper, media, e);
	return ret < 0 ? err_wrap(e, "--net") : 0;
}

void nics_free(struct board_config *bc)
{
	for (unsigned n = 0; n < BOARD_NET_MAX; n++)
		free(bc->nic_rom[n]);
}
