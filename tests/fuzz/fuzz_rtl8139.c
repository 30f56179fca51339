/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Realtek's card in both modes: register accesses, descriptors put together from the input, frames that arrive. */
#include "drive.h"

#include "../unit/devices/card.h"
#include "base/bytes.h"
#include "devices/net/rtl8139.h"
#include "devices/net/rtl8139_priv.h"

enum { TX_AT = 0x1000, RX_AT = 0x2000 };

static void set(struct card *c, unsigned off, unsigned width, uint32_t v)
{
	rig_store(&c->rig, CARD_MEM + off, width, v);
}

static void start(struct card *c, uint32_t a)
{
	set(c, L_CPCR, 2, a & 0x7f);
	set(c, L_TNPDS, 4, TX_AT);
	set(c, L_RDSAR, 4, RX_AT);
	set(c, L_RBSTART, 4, 0x20000);
	set(c, L_CR, 1, CR_RX | CR_TX);
	set(c, L_RCR, 4, (a >> 7 & 0x1880) | RCR_ALL);
	set(c, L_TCR, 4, a >> 20 & 1 ? TCR_LOOPBACK : 0);
}

static void put(struct card *c, uint64_t at, uint32_t flags, uint64_t b, bool far)
{
	uint8_t d[16];
	store_le32(d, flags | DESC_OWN);
	store_le32(d + 4, (uint32_t)(b >> 32));
	store_le64(d + 8, far ? b : 0x8000 + (b & 0xffff));
	card_put(c, at, d, 16);
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct card *c = opaque;
	uint8_t f[2048];
	unsigned n = a >> 3 & 0x3f;
	switch (a & 7) {
	case 0: start(c, a >> 3); break;
	case 1: put(c, TX_AT + n * 16, (a << 3 & 0x7fff0000) | (b & 0x3ff), b, a & 1u << 31); break;
	case 2: put(c, RX_AT + n * 16, (a & 0x40000000) | (b & 0x1fff), b >> 8, a & 1u << 31); break;
	case 3: set(c, L_POLL, 1, a >> 8 & 0xff); break;
	case 4:
		set(c, L_TSAD + 4 * (n & 3), 4, 0x8000 + (b & 0xffff));
		set(c, L_TSD + 4 * (n & 3), 4, a >> 9 & 0x1fff);
		break;
	case 5: set(c, L_CAPR, 2, (uint32_t)b); break;
	case 6:
		for (size_t i = 0; i < sizeof(f); i++)
			f[i] = (uint8_t)(b >> (i % 8 * 8));
		card_frame(f, f + 100, a & 1u << 30, n * 8);
		f[a >> 20 & 63] ^= (uint8_t)b;
		card_give(c, f, (b >> 20) % sizeof(f));
		break;
	case 7:
		c->blocked = b & 1;
		if (!c->blocked)
			c->net.client->tx_ready(c->net.client->opaque);
		c->net.client->link(c->net.client->opaque, b & 6);
		break;
	}
	loop_once(c->rig.loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct card c;
	card_up(&c);
	struct nic_config nc = card_config(&c);
	if (rtl8139_create(c.rig.vm, &nc, NULL))
		__builtin_trap();
	card_place(&c, (uint32_t[6]){CARD_PORTS | 1, CARD_MEM});
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, CARD_MEM, 0x100}, {REGION_PORT, 0xcf8, 8},
					   {REGION_PORT, CARD_PORTS, 0x100}, {REGION_MEMORY, CARD_MEM + 0x30, 0x40}},
				 .ranges = 4, .other = other, .opaque = &c};
	fuzz_drive(&c.rig, &plan, data, size);
	card_down(&c);
	return 0;
}
