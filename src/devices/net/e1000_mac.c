/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register file: a table of what is kept, and the few registers that do something. */
#include "devices/net/e1000_priv.h"

#include "base/bytes.h"
#include "core/region.h"

#include <string.h>

enum { IO_ADDR = 0, IO_DATA = 4, RING_ALIGN = 0x7f, MEM_SIZE = 0x20000 };
#define ALL UINT32_MAX

/* Where a register is and what of it a write changes. */
struct place {
	uint16_t off;
	uint8_t reg;
	bool late; /* the 82574L has it, the 82540EM does not */
	uint32_t mask;
};

static const struct place places[] = {
	{ O_CTRL, R_CTRL, 0, ALL & ~(CTRL_RST | CTRL_PHY_RST) },
	{ O_EECD, R_EECD, 0, 0 }, { O_EERD, R_EERD, 0, 0 }, { O_CTRL_EXT, R_CTRL_EXT, 0, ALL & ~CTRL_EXT_EE_RST },
	{ O_FLA, R_FLA, 0, 0 }, { O_MDIC, R_MDIC, 0, 0 }, { O_FCAL, R_FCAL, 0, ALL }, { O_FCAH, R_FCAH, 0, 0xffff },
	{ O_FCT, R_FCT, 0, 0xffff }, { O_VET, R_VET, 0, 0xffff }, { O_ITR, R_ITR, 0, 0xffff },
	{ O_EIAC, R_EIAC, 1, 0x01f00000 }, { O_IAM, R_IAM, 1, ALL }, { O_IVAR, R_IVAR, 1, 0x800fffff },
	{ O_EITR, R_EITR0, 1, 0xffff }, { O_EITR + 4, R_EITR1, 1, 0xffff }, { O_EITR + 8, R_EITR2, 1, 0xffff },
	{ O_EITR + 12, R_EITR3, 1, 0xffff }, { O_EITR + 16, R_EITR4, 1, 0xffff },
	{ O_RCTL, R_RCTL, 0, ALL }, { O_FCTTV, R_FCTTV, 0, 0xffff }, { O_TXCW, R_TXCW, 0, ALL },
	{ O_TCTL, R_TCTL, 0, ALL }, { O_TIPG, R_TIPG, 0, ALL }, { O_AIT, R_AIT, 0, 0xffff },
	{ O_LEDCTL, R_LEDCTL, 0, ALL }, { O_EXTCNF_CTRL, R_EXTCNF_CTRL, 1, ALL },
	{ O_EXTCNF_SIZE, R_EXTCNF_SIZE, 1, ALL }, { O_PHY_CTRL, R_PHY_CTRL, 1, ALL }, { O_PBA, R_PBA, 0, 0xffff },
	{ O_PBS, R_PBS, 1, 0x3f }, { O_EEMNGCTL, R_EEMNGCTL, 1, 0 }, { O_FCRTL, R_FCRTL, 0, 0x8000fff8 },
	{ O_FCRTH, R_FCRTH, 0, 0xfff8 }, { O_PSRCTL, R_PSRCTL, 1, ALL },
	{ O_RDBAL, R_RDBAL, 0, ~15u }, { O_RDBAH, R_RDBAH, 0, ALL }, { O_RDLEN, R_RDLEN, 0, 0xfff80 },
	{ O_RDH, R_RDH, 0, 0xffff }, { O_RDT, R_RDT, 0, 0xffff }, { O_RDTR, R_RDTR, 0, 0xffff },
	{ O_RXDCTL, R_RXDCTL, 0, ALL }, { O_RADV, R_RADV, 0, 0xffff }, { O_RSRPD, R_RSRPD, 0, 0xfff },
	{ O_TDBAL, R_TDBAL, 0, ~15u }, { O_TDBAH, R_TDBAH, 0, ALL }, { O_TDLEN, R_TDLEN, 0, 0xfff80 },
	{ O_TDH, R_TDH, 0, 0xffff }, { O_TDT, R_TDT, 0, 0xffff }, { O_TIDV, R_TIDV, 0, 0xffff },
	{ O_TXDCTL, R_TXDCTL, 0, ALL }, { O_TADV, R_TADV, 0, 0xffff }, { O_TARC, R_TARC, 1, ALL },
	{ O_TDBAL + O_TX_STEP, R_TDBAL1, 1, ~15u }, { O_TDBAH + O_TX_STEP, R_TDBAH1, 1, ALL },
	{ O_TDLEN + O_TX_STEP, R_TDLEN1, 1, 0xfff80 }, { O_TDH + O_TX_STEP, R_TDH1, 1, 0xffff },
	{ O_TDT + O_TX_STEP, R_TDT1, 1, 0xffff }, { O_TXDCTL + O_TX_STEP, R_TXDCTL1, 1, ALL },
	{ O_TARC + O_TX_STEP, R_TARC1, 1, ALL },
	{ O_RXCSUM, R_RXCSUM, 0, 0xffff }, { O_RFCTL, R_RFCTL, 1, ALL }, { O_WUC, R_WUC, 0, ALL },
	{ O_WUFC, R_WUFC, 0, ALL }, { O_WUS, R_WUS, 0, 0 }, { O_MRQC, R_MRQC, 1, ALL }, { O_MANC, R_MANC, 0, ALL },
	{ O_IPAV, R_IPAV, 0, ALL }, { O_GCR, R_GCR, 1, ALL }, { O_GCR2, R_GCR2, 1, ALL },
	{ O_FACTPS, R_FACTPS, 1, 0 }, { O_SWSM, R_SWSM, 1, 3 }, { O_FWSM, R_FWSM, 1, 0 },
};

static const struct place *find(const struct e1000 *c, uint32_t off)
{
	for (size_t n = 0; n < COUNT_OF(places); n++)
		if (places[n].off == off)
			return places[n].late && c->model == E1000_82540EM ? NULL : &places[n];
	return NULL;
}

/* ---- tables ---- */

/* The word of a table at this offset, or NULL. */
static uint32_t *table_word(struct e1000 *c, uint32_t off)
{
	const struct {
		uint32_t at, old;
		uint32_t *word;
		unsigned count;
	} table[] = {
		{ O_MTA, O_OLD_MTA, c->mta, E1000_MTA }, { O_RA, O_OLD_RA, c->ra, 2 * E1000_RA },
		{ O_VFTA, O_OLD_VFTA, c->vfta, E1000_VFTA },
	};

	for (size_t n = 0; n < COUNT_OF(table); n++) {
		if (off >= table[n].at && off < table[n].at + 4 * table[n].count)
			return &table[n].word[(off - table[n].at) / 4];
		if (off >= table[n].old && off < table[n].old + 4 * table[n].count)
			return &table[n].word[(off - table[n].old) / 4];
	}
	return NULL;
}

/* ---- statistics: they end at their highest value and a read clears them ---- */

void e1000_count(struct e1000 *c, enum e1000_stat s, uint32_t by)
{
	c->stat[s] = c->stat[s] > UINT32_MAX - by ? UINT32_MAX : c->stat[s] + by;
}

void e1000_count64(struct e1000 *c, enum e1000_stat low, uint64_t by)
{
	uint64_t v = c->stat[low] | (uint64_t)c->stat[low + 1] << 32;

	v = v > UINT64_MAX - by ? UINT64_MAX : v + by;
	c->stat[low] = (uint32_t)v;
	c->stat[low + 1] = (uint32_t)(v >> 32);
}

void e1000_count_frame(struct e1000 *c, bool sent, const uint8_t *frame, size_t len)
{
	static const uint16_t upto[] = { 64, 127, 255, 511, 1023, 1522 };
	static const uint8_t all[FRAME_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	unsigned n = 0;

	while (n < COUNT_OF(upto) - 1 && len > upto[n])
		n++;
	e1000_count(c, (sent ? S_TX64 : S_RX64) + n, 1);
	e1000_count(c, sent ? S_TPT : S_TPR, 1);
	e1000_count(c, sent ? S_GPTC : S_GPRC, 1);
	e1000_count64(c, sent ? S_TOT : S_TOR, len);
	e1000_count64(c, sent ? S_GOTC : S_GORC, len);
	if (!memcmp(frame, all, FRAME_MAC))
		e1000_count(c, sent ? S_BPTC : S_BPRC, 1);
	else if (frame[0] & 1)
		e1000_count(c, sent ? S_MPTC : S_MPRC, 1);
}

static uint32_t stat_read(struct e1000 *c, unsigned n)
{
	/* The low half of a pair stays until the high one was read. */
	bool low = n == S_GORC || n == S_GOTC || n == S_TOR || n == S_TOT;
	bool high = n == S_GORC + 1 || n == S_GOTC + 1 || n == S_TOR + 1 || n == S_TOT + 1;
	uint32_t v = c->stat[n];

	if (!low)
		c->stat[n] = 0;
	if (high)
		c->stat[n - 1] = 0;
	return v;
}

/* ---- link and reset ---- */

void e1000_link(struct e1000 *c)
{
	c->link_up = c->nic.up;
	e1000_phy_link(c, c->nic.up);
	e1000_cause(c, ICR_LSC);
}

static void load_address(struct e1000 *c)
{
	c->ra[0] = load_le32((const uint8_t *)c->eeprom);
	c->ra[1] = c->eeprom[2] | RAH_VALID;
}

void e1000_mac_reset(struct e1000 *c)
{
	memset(c->reg, 0, sizeof(c->reg));
	memset(c->mta, 0, sizeof(c->mta));
	memset(c->vfta, 0, sizeof(c->vfta));
	memset(c->ra, 0, sizeof(c->ra));
	memset(c->stat, 0, sizeof(c->stat));
	memset(c->ctx, 0, sizeof(c->ctx));
	c->sent[0] = c->sent[1] = c->icr = c->waiting = c->io_addr = 0;
	c->wire = (struct microwire){ 0 };
	c->reg[R_CTRL] = CTRL_FD | 0x200; /* 1000 Mb/s */
	c->reg[R_VET] = 0x8100;
	c->reg[R_PBA] = 0x00100030;
	c->reg[R_LEDCTL] = 0x07068302;
	c->reg[R_RFCTL] = 0;
	c->reg[R_RXCSUM] = RXCSUM_IP | RXCSUM_L4;
	c->reg[R_MDIC] = MDIC_READY;
	c->reg[R_EEMNGCTL] = 0x40000; /* configuration done */
	c->link_up = c->nic.up;
	load_address(c);
	e1000_throttle_stop(c);
	e1000_update_irq(c);
}

void e1000_mac_loaded(struct e1000 *c)
{
	static const enum e1000_reg lengths[] = { R_RDLEN, R_TDLEN, R_TDLEN1 };
	static const enum e1000_reg places_in[] = { R_RDH, R_RDT, R_TDH, R_TDT, R_TDH1, R_TDT1 };

	for (size_t n = 0; n < COUNT_OF(lengths); n++)
		c->reg[lengths[n]] &= 0xfff80;
	for (size_t n = 0; n < COUNT_OF(places_in); n++)
		c->reg[places_in[n]] &= 0xffff;
}

static void ctrl_write(struct e1000 *c, uint32_t v)
{
	bool was = c->reg[R_CTRL] & CTRL_SLU;

	if (v & CTRL_RST) {
		e1000_mac_reset(c);
		return;
	}
	c->reg[R_CTRL] = v & ~CTRL_PHY_RST;
	if (v & CTRL_PHY_RST)
		e1000_phy_reset(c);
	if (v & CTRL_PHY_RST || (v & CTRL_SLU && !was))
		e1000_link(c);
}

static uint32_t status(const struct e1000 *c)
{
	uint32_t v = STATUS_FD | STATUS_1000 | (c->link_up ? STATUS_LU : 0);

	if (c->model == E1000_82574L)
		v |= STATUS_PHYRA | (c->reg[R_CTRL] & CTRL_MASTER_OFF ? 0 : STATUS_MASTER);
	return v;
}

/* ---- accesses ---- */

static uint32_t read_reg(struct e1000 *c, uint32_t off)
{
	const struct place *p;
	uint32_t *word;

	switch (off) {
	case O_STATUS: return status(c);
	case O_EECD: return e1000_eecd_read(c);
	case O_ICR: return e1000_icr_read(c);
	case O_ICS: return c->icr;
	case O_IMS: return c->reg[R_IMS];
	}
	if (off >= O_STATS && off < O_STATS + 4 * S_COUNT)
		return stat_read(c, (off - O_STATS) / 4);
	word = table_word(c, off);
	if (word)
		return *word;
	p = find(c, off);
	return p ? c->reg[p->reg] : 0;
}

/* What a write does beside being kept. */
static void written(struct e1000 *c, uint32_t off)
{
	switch (off) {
	case O_RCTL:
	case O_RDT:
	case O_TCTL:
	case O_TDT:
	case O_TDT + O_TX_STEP: nic_kick(&c->nic); break;
	}
}

static void write_reg(struct e1000 *c, uint32_t off, uint32_t v)
{
	const struct place *p = find(c, off);
	uint32_t *word = table_word(c, off);

	if (word) {
		*word = v;
		return;
	}
	switch (off) {
	case O_CTRL: ctrl_write(c, v); return;
	case O_EECD: e1000_eecd_write(c, v); return;
	case O_EERD: e1000_eerd_write(c, v); return;
	case O_MDIC: e1000_mdic_write(c, v); return;
	case O_ICR: c->icr &= ~v; e1000_update_irq(c); return;
	case O_ICS: e1000_cause(c, v & 0x01ffffff); return;
	case O_IMS: e1000_unmask(c, v & 0x01ffffff); return;
	case O_IMC: c->reg[R_IMS] &= ~v; e1000_update_irq(c); return;
	case O_CTRL_EXT:
		if (v & CTRL_EXT_EE_RST)
			load_address(c);
		break;
	}
	if (!p)
		return;
	c->reg[p->reg] = (c->reg[p->reg] & ~p->mask) | (v & p->mask);
	written(c, off);
}

static uint64_t mem_read(void *opaque, uint64_t off, unsigned width)
{
	return read_reg(opaque, (uint32_t)off);
}

static void mem_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	write_reg(opaque, (uint32_t)off, (uint32_t)value);
}

const struct region_ops e1000_mem_ops = { .read = mem_read, .write = mem_write, .width_min = 4, .width_max = 4 };

/* Two ports: the address of a register, and the register. */
static uint64_t io_read(void *opaque, uint64_t off, unsigned width)
{
	struct e1000 *c = opaque;

	if (off == IO_ADDR)
		return c->io_addr;
	return off == IO_DATA && c->io_addr < MEM_SIZE ? read_reg(c, c->io_addr & ~3u) : 0;
}

static void io_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct e1000 *c = opaque;

	if (off == IO_ADDR)
		c->io_addr = (uint32_t)value & (MEM_SIZE - 1);
	else if (off == IO_DATA)
		write_reg(c, c->io_addr & ~3u, (uint32_t)value);
}

const struct region_ops e1000_io_ops = { .read = io_read, .write = io_write, .width_min = 4, .width_max = 4 };
