/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel's network cards by their registers: accesses, descriptors put together from the input, frames that arrive.
 * Built once a card: FUZZ_CARD. */
#include "drive.h"

#include "../unit/devices/card.h"
#include "base/bytes.h"
#include "devices/net/e1000.h"
#include "devices/net/e1000_regs.h"

#include <string.h>

enum card_kind { CARD_e1000, CARD_e1000e };
#define KIND_OF(name) CARD_##name
#define KIND(name) KIND_OF(name)
enum { TX_AT = 0x1000, RX_AT = 0x2000, RING_BYTES = 0x800 };

static void make(struct card *c)
{
	struct nic_config nc = card_config(c);
	bool late = KIND(FUZZ_CARD) == CARD_e1000e;
	if (e1000_create(c->rig.vm, late ? E1000_82574L : E1000_82540EM, &nc, NULL))
		__builtin_trap();
	card_place(c, late ? (uint32_t[6]){CARD_MEM, 0xf0200000, CARD_PORTS | 1, CARD_MSIX} :
			     (uint32_t[6]){CARD_MEM, CARD_PORTS | 1});
}

static void set(struct card *c, unsigned off, uint32_t v) { rig_store(&c->rig, CARD_MEM + off, 4, v); }

static void start(struct card *c, uint32_t a)
{
	static const uint16_t ring[][2] = {{O_TDBAL, TX_AT}, {O_TDLEN, RING_BYTES}, {O_RDBAL, RX_AT},
					   {O_RDLEN, RING_BYTES}, {O_CTRL, CTRL_SLU}, {O_TCTL, TCTL_EN | TCTL_PSP}};
	for (size_t n = 0; n < COUNT_OF(ring); n++)
		set(c, ring[n][0], ring[n][1]);
	set(c, O_RCTL, (a & 0x0203fff8) | RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM);
	set(c, O_RFCTL, a & 1 ? RFCTL_EXTENDED : 0);
	set(c, O_PSRCTL, a * 2654435761u);
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct card *c = opaque;
	uint8_t d[16], f[2048];
	unsigned n = a >> 3 & 0x7f;
	switch (a & 7) {
	case 0: start(c, a >> 3); break;
	case 1:
	case 2: /* a descriptor to send, often of few bytes in RAM */
		store_le64(d, a & 1u << 31 ? b : 0x8000 + (b & 0xfff));
		store_le64(d + 8, a & 1u << 30 ? b : (b & 0xfff0ffffff0003ff) | (uint64_t)(a >> 10 & 0xff) << 24);
		card_put(c, TX_AT + n * 16, d, 16);
		break;
	case 3: /* a buffer */
		store_le64(d, a & 1u << 31 ? b : 0x9000 + (b & 0xffff));
		store_le64(d + 8, b);
		card_put(c, RX_AT + n * 16, d, 16);
		break;
	case 4: set(c, O_TDT, n); break;
	case 5: set(c, O_RDT, n); break;
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
	make(&c);
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, CARD_MEM, 0x6000}, {REGION_PORT, 0xcf8, 8},
					   {REGION_PORT, CARD_PORTS, 8}, {REGION_MEMORY, CARD_MEM, 0x200},
					   {REGION_MEMORY, CARD_MEM + 0x2800, 0x40},
					   {REGION_MEMORY, CARD_MEM + 0x3800, 0x40}, {REGION_MEMORY, CARD_MSIX, 0x60}},
				 .ranges = 7, .other = other, .opaque = &c};
	fuzz_drive(&c.rig, &plan, data, size);
	card_down(&c);
	return 0;
}
