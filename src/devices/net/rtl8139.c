/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers are bytes at their offsets; a table says which bytes a write changes, and after a write follows what it
 * does beside. */
#include "devices/net/rtl8139_priv.h"

#include "core/dev.h"
#include "core/gmem.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VENDOR_REALTEK = 0x10ec, DEVICE_8139 = 0x8139, REVISION_PLUS = 0x20, CLASS_ETHERNET = 0x020000 };
enum { BAR_IO = 0, BAR_MEM = 1, EE_PROGRAM = 0x80, EE_CONFIG = 0xc0, EE_MODE = 0xc0 };
enum { EE_CS = 8, EE_SK = 4, EE_DI = 2, POLL_HIGH = 0x80, POLL_NORMAL = 0x40, TALLY_DUMP = 8, TALLY_SIZE = 64 };
enum { BMCR_RESET = 0x8000, BMCR_RESTART = 0x0200, BMSR_UP = 0x0024, MSR_NO_LINK = 4, TIMER_KHZ = 33000 };
#define TCR_VERSION 0x74800000u
#define TCR_WRITABLE 0x030707f1u

/* Bytes that a write changes as it is. */
static const struct {
	uint8_t from, to;
	bool locked; /* only while 9346CR says so */
} writable[] = {
	{ L_ID, L_ID + 5, false }, { L_MAR, L_MAR + 7, false }, { L_TSAD, L_RBSTART + 3, false },
	{ L_CAPR, L_CAPR + 1, false }, { L_IMR, L_IMR + 1, false }, { L_TCR, L_RCR + 3, false },
	{ L_CONFIG0, L_CONFIG1, true }, { L_TIMER, L_TIMER + 3, false }, { L_CONFIG3, L_CONFIG4, true },
	{ L_MULINT, L_MULINT + 1, false }, { L_BMCR, L_BMCR + 1, false }, { L_ANAR, L_ANAR + 1, false },
	{ L_CONFIG5, L_CONFIG5, true }, { L_CPCR, L_CPCR + 1, false }, { L_RDSAR, L_RDSAR + 7, false },
};

/* ---- interrupts and the timer ---- */

static void update_irq(struct rtl8139 *c)
{
	pci_intx(&c->pci, rtl_get16(c, L_ISR) & rtl_get16(c, L_IMR));
}

void rtl_cause(struct rtl8139 *c, unsigned bits)
{
	store_le16(c->reg + L_ISR, (uint16_t)(rtl_get16(c, L_ISR) | bits));
	update_irq(c);
}

static int64_t now(const struct rtl8139 *c)
{
	return clock_now(timerq_clock(c->timeout.queue));
}

static void arm_timeout(struct rtl8139 *c)
{
	uint32_t count = rtl_get32(c, L_TIMER);

	timer_cancel(&c->timeout);
	if (count)
		timer_arm(&c->timeout, c->count_from + (int64_t)muldiv64(count, 1000000, TIMER_KHZ));
}

static void on_timeout(void *opaque)
{
	struct rtl8139 *c = opaque;

	pthread_mutex_lock(&c->nic.lock);
	rtl_cause(c, ISR_TIMEOUT);
	pthread_mutex_unlock(&c->nic.lock);
}

/* ---- link ---- */

static void show_link(struct rtl8139 *c)
{
	bool up = c->nic.up;

	store_le16(c->reg + L_BMSR, up ? 0x7809 | BMSR_UP : 0x7809);
	store_le16(c->reg + L_ANLPAR, up ? 0x45e1 : 0);
	store_le16(c->reg + L_ANER, up ? 1 : 0);
	c->reg[L_MSR] = up ? 0 : MSR_NO_LINK;
}

static void on_link(void *opaque, bool up)
{
	show_link(opaque);
	rtl_cause(opaque, ISR_LINK);
}

/* ---- resets ---- */

static void fill_eeprom(struct rtl8139 *c)
{
	memset(c->eeprom, 0, sizeof(c->eeprom));
	c->eeprom[0] = 0x8129;
	c->eeprom[1] = VENDOR_REALTEK;
	c->eeprom[2] = DEVICE_8139;
	for (unsigned n = 0; n < FRAME_MAC / 2; n++)
		c->eeprom[7 + n] = load_le16(c->mac + 2 * n);
}

static void registers_reset(struct rtl8139 *c)
{
	uint8_t id[FRAME_MAC], ee = c->reg[L_9346CR];

	memcpy(id, c->reg + L_ID, FRAME_MAC);
	memset(c->reg, 0, sizeof(c->reg));
	memcpy(c->reg + L_ID, id, FRAME_MAC);
	c->reg[L_9346CR] = ee;
	c->reg[L_CR] = CR_EMPTY;
	store_le16(c->reg + L_CAPR, 0xfff0);
	for (unsigned n = 0; n < RTL_SLOTS; n++)
		store_le32(c->reg + L_TSD + 4 * n, TSD_OWN);
	store_le32(c->reg + L_TCR, TCR_VERSION);
	c->reg[L_CONFIG1] = 0x0c; /* memory and port windows are there */
	c->reg[L_CONFIG3] = 1;    /* descriptors come back fast */
	store_le16(c->reg + L_BMCR, 0x3100);
	store_le16(c->reg + L_ANAR, 0x05e1);
	c->missed = c->sent[0] = c->sent[1] = c->rx_at = c->tx_at[0] = c->tx_at[1] = 0;
	c->slot = c->slots_waiting = c->polled = 0;
	show_link(c);
	update_irq(c);
}

static void power_on(struct rtl8139 *c)
{
	fill_eeprom(c);
	c->reg[L_9346CR] = 0;
	memcpy(c->reg + L_ID, c->mac, FRAME_MAC);
	c->wire = (struct microwire){ 0 };
	c->tally = (struct rtl_tally){ 0 };
	c->count_from = now(c);
	timer_cancel(&c->timeout);
	registers_reset(c);
}

/* ---- reads ---- */

/* OWN, TABT, TUN and TOK of the four slots. */
static uint16_t slots_summary(const struct rtl8139 *c)
{
	uint16_t v = 0;

	for (unsigned n = 0; n < RTL_SLOTS; n++) {
		uint32_t tsd = rtl_get32(c, L_TSD + 4 * n);

		v |= (uint16_t)((tsd & TSD_OWN ? 1u : 0) << n | (tsd & TSD_TOK ? 0x1000u : 0) << n);
	}
	return v;
}

static void refresh(struct rtl8139 *c)
{
	bool empty = (uint16_t)(rtl_get16(c, L_CAPR) + 16) == rtl_get16(c, L_CBR);

	c->reg[L_CR] = (uint8_t)((c->reg[L_CR] & ~CR_EMPTY) | (empty ? CR_EMPTY : 0));
	store_le32(c->reg + L_TCTR, (uint32_t)muldiv64((uint64_t)(now(c) - c->count_from), TIMER_KHZ, 1000000));
	store_le32(c->reg + L_MPC, c->missed);
	store_le16(c->reg + L_TSALL, slots_summary(c));
	c->reg[L_9346CR] &= (uint8_t)~1;
	if ((c->reg[L_9346CR] & EE_MODE) == EE_PROGRAM)
		c->reg[L_9346CR] |= c->wire.out;
}

static uint64_t rtl_read(void *opaque, uint64_t off, unsigned width)
{
	struct rtl8139 *c = opaque;

	refresh(c);
	return load_le32(c->reg + (off & ~UINT64_C(3))) >> (off & 3) * 8 & width_mask(width);
}

/* ---- writes ---- */

static bool may_write(const struct rtl8139 *c, unsigned off)
{
	for (size_t n = 0; n < COUNT_OF(writable); n++)
		if (off >= writable[n].from && off <= writable[n].to)
			return !writable[n].locked || (c->reg[L_9346CR] & EE_MODE) == EE_CONFIG;
	return false;
}

static void command(struct rtl8139 *c, uint8_t v)
{
	uint8_t was = c->reg[L_CR];

	if (v & CR_RESET) {
		registers_reset(c);
		return;
	}
	c->reg[L_CR] = (uint8_t)((was & CR_EMPTY) | (v & (CR_RX | CR_TX)));
	if (v & CR_RX && !(was & CR_RX)) {
		c->rx_at = 0;
		store_le16(c->reg + L_CBR, 0);
	}
	if (v & CR_TX && !(was & CR_TX)) {
		c->slot = c->slots_waiting = 0;
		c->tx_at[0] = c->tx_at[1] = 0;
	}
	nic_kick(&c->nic);
}

static void eeprom_pins(struct rtl8139 *c, uint8_t v)
{
	bool rises = v & EE_SK && !(c->reg[L_9346CR] & EE_SK);

	c->reg[L_9346CR] = v & (EE_MODE | EE_CS | EE_SK | EE_DI);
	if ((v & EE_MODE) == EE_PROGRAM)
		microwire_pins(&c->wire, c->eeprom, v & EE_CS, rises, v & EE_DI);
}

static void dump_tally(struct rtl8139 *c, uint32_t low)
{
	uint64_t to = (uint64_t)rtl_get32(c, L_TALLY + 4) << 32 | (low & ~63u);
	uint8_t t[TALLY_SIZE] = { 0 };

	store_le64(t, c->tally.tx_ok);
	store_le64(t + 8, c->tally.rx_ok);
	store_le16(t + 28, c->tally.missed);
	store_le64(t + 40, c->tally.rx_matched);
	store_le64(t + 48, c->tally.rx_broadcast);
	store_le32(t + 56, c->tally.rx_multicast);
	if (gmem_write(c->vm->mem, to, t, sizeof(t)))
		log_limited(&c->limit, LOG_WARNING, "rtl8139: the counters' place is not in RAM");
	store_le32(c->reg + L_TALLY, low & ~(uint32_t)TALLY_DUMP);
}

/* A send slot, or in C+ mode, whose send rings are elsewhere, the counters. */
static void slot_write(struct rtl8139 *c, unsigned off, uint32_t v)
{
	unsigned n = (off - L_TSD) / 4;

	if (c->reg[L_CPCR] & (CPCR_TX | CPCR_RX)) {
		store_le32(c->reg + off, v);
		if (off == L_TALLY && v & TALLY_DUMP)
			dump_tally(c, v);
		return;
	}
	store_le32(c->reg + off, v & (TSD_SIZE | TSD_OWN | 0x3f0000));
	if (v & TSD_OWN)
		return;
	c->slots_waiting |= (uint8_t)(1u << n);
	nic_kick(&c->nic);
}

/* What a write to these bytes does beside being kept. */
static void written(struct rtl8139 *c, unsigned off, unsigned end)
{
	if (off < L_TCR + 4 && end > L_TCR)
		store_le32(c->reg + L_TCR, (rtl_get32(c, L_TCR) & TCR_WRITABLE) | TCR_VERSION);
	if (off < L_BMCR + 2 && end > L_BMCR) {
		if (rtl_get16(c, L_BMCR) & (BMCR_RESET | BMCR_RESTART))
			on_link(c, c->nic.up);
		store_le16(c->reg + L_BMCR, rtl_get16(c, L_BMCR) & (uint16_t)~(BMCR_RESET | BMCR_RESTART));
	}
	if (off < L_TIMER + 4 && end > L_TIMER)
		arm_timeout(c);
	if (off < L_CAPR + 2 && end > L_CAPR)
		nic_kick(&c->nic);
	if (off < L_IMR + 2 && end > L_IMR)
		update_irq(c);
}

static void write_bytes(struct rtl8139 *c, unsigned off, unsigned width, uint32_t v)
{
	for (unsigned n = 0; n < width; n++, v >>= 8) {
		unsigned at = off + n;
		uint8_t b = (uint8_t)v;

		if (at == L_CR)
			command(c, b);
		else if (at == L_ISR || at == L_ISR + 1)
			c->reg[at] &= (uint8_t)~b;
		else if (at == L_9346CR)
			eeprom_pins(c, b);
		else if (at == L_POLL)
			c->polled |= (uint8_t)((b & POLL_NORMAL ? 1 : 0) | (b & POLL_HIGH ? 2 : 0));
		else if (may_write(c, at))
			c->reg[at] = b;
	}
}

static void rtl_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct rtl8139 *c = opaque;
	unsigned at = (unsigned)off;

	if (at >= L_TSD && at < L_TSAD) {
		if (width == 4)
			slot_write(c, at, (uint32_t)value);
		return;
	}
	write_bytes(c, at, width, (uint32_t)value);
	written(c, at, at + width);
	if (at <= L_TCTR && at + width > L_TCTR) {
		c->count_from = now(c);
		arm_timeout(c);
	}
	if (at <= L_MPC && at + width > L_MPC)
		c->missed = 0;
	if (at <= L_POLL && at + width > L_POLL)
		nic_kick(&c->nic);
	if (at < L_ISR + 2 && at + width > L_ISR)
		update_irq(c);
	if (at < L_ISR + 2 && at + width > L_ISR && !c->nic.tx_blocked)
		nic_kick(&c->nic); /* a driver that has emptied its ring tells by this only */
}

static const struct region_ops ops = { .read = rtl_read, .write = rtl_write, .width_min = 1, .width_max = 4 };

/* ---- life ---- */

static void work(void *opaque)
{
	struct rtl8139 *c = opaque;

	rtl_transmit(c);
	if (rtl_has_room(c))
		nic_room(&c->nic);
}

static const struct nic_ops nic_ops = { .work = work, .receive = rtl_receive, .link = on_link };

static void rtl_reset(void *impl)
{
	struct rtl8139 *c = impl;

	pci_dev_reset(&c->pci);
	pthread_mutex_lock(&c->nic.lock);
	power_on(c);
	pthread_mutex_unlock(&c->nic.lock);
}

static void rtl_run_state(void *impl, bool running)
{
	nic_run_state(&((struct rtl8139 *)impl)->nic, running);
}

static void take_down(struct rtl8139 *c, bool close)
{
	nic_run_state(&c->nic, false);
	pci_dev_detach(&c->pci);
	timer_cancel(&c->timeout);
	nic_destroy(&c->nic, close);
	free(c);
}

static void rtl_destroy(void *impl)
{
	take_down(impl, true);
}

static int rtl_loaded(void *obj, uint16_t version, struct err *e)
{
	struct rtl8139 *c = obj;
	int ret = pci_dev_loaded(&c->pci, e);

	if (ret < 0)
		return ret;
	if (c->slot >= RTL_SLOTS || c->rx_at >= RTL_RING || c->tx_at[0] >= RTL_RING || c->tx_at[1] >= RTL_RING)
		return err_set(e, -EINVAL, "rtl8139: a saved place in a ring is not possible");
	c->wire.out &= 1;
	c->count_from = c->count_from > now(c) || c->count_from < 0 ? now(c) : c->count_from;
	arm_timeout(c);
	show_link(c);
	update_irq(c);
	return 0;
}

static const struct state_field fields[] = {
	STATE_ARRAY(struct rtl8139, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_ARRAY(struct rtl8139, reg, STATE_BYTES, L_COUNT),
	STATE_ARRAY(struct rtl8139, eeprom, STATE_U16, MICROWIRE_WORDS),
	STATE_FIELD(struct rtl8139, wire.bits, STATE_U32), STATE_FIELD(struct rtl8139, wire.count, STATE_U8),
	STATE_FIELD(struct rtl8139, wire.out, STATE_U8), STATE_FIELD(struct rtl8139, count_from, STATE_U64),
	STATE_FIELD(struct rtl8139, missed, STATE_U32), STATE_FIELD(struct rtl8139, slot, STATE_U8),
	STATE_FIELD(struct rtl8139, slots_waiting, STATE_U8), STATE_FIELD(struct rtl8139, polled, STATE_U8),
	STATE_ARRAY(struct rtl8139, tx_at, STATE_U32, RTL_RINGS), STATE_FIELD(struct rtl8139, rx_at, STATE_U32),
	STATE_ARRAY(struct rtl8139, sent, STATE_U32, RTL_RINGS), STATE_FIELD(struct rtl8139, tally.tx_ok, STATE_U64),
	STATE_FIELD(struct rtl8139, tally.rx_ok, STATE_U64), STATE_FIELD(struct rtl8139, tally.rx_matched, STATE_U64),
	STATE_FIELD(struct rtl8139, tally.rx_broadcast, STATE_U64),
	STATE_FIELD(struct rtl8139, tally.rx_multicast, STATE_U32),
	STATE_FIELD(struct rtl8139, tally.missed, STATE_U16),
	STATE_END,
};

static const struct state_desc state = { .name = "rtl8139", .version = 1, .fields = fields, .after_load = rtl_loaded };

static const struct dev_type type = {
	.name = "rtl8139", .destroy = rtl_destroy, .reset = rtl_reset, .run_state = rtl_run_state, .state = &state,
	.state_size = sizeof(struct rtl8139),
};

static int add_function(struct rtl8139 *c, const struct nic_config *cfg, struct err *e)
{
	struct pci_ident id = { .vendor = VENDOR_REALTEK, .device = DEVICE_8139, .class_code = CLASS_ETHERNET,
				.revision = REVISION_PLUS, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
				.int_pin = 1 };
	struct pci_bar bar = { .size = L_COUNT, .ops = &ops, .opaque = c, .lock = &c->nic.lock };
	int ret = pci_dev_attach(&c->pci, cfg->bus, cfg->slot, 0, "rtl8139", &id, e);

	if (ret < 0)
		return ret;
	pci_bar_set(&c->pci, BAR_MEM, &bar);
	bar.ports = true;
	pci_bar_set(&c->pci, BAR_IO, &bar);
	return cfg->rom ? pci_rom_set(&c->pci, cfg->rom, cfg->rom_size, e) : 0;
}

int rtl8139_create(struct vm *vm, const struct nic_config *cfg, struct err *e)
{
	struct rtl8139 *c;
	int ret = nic_config_check(cfg, "rtl8139", e);

	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "no memory for the network card");
	c->vm = vm;
	memcpy(c->mac, cfg->mac, FRAME_MAC);
	timer_init(&c->timeout, cfg->timers ? cfg->timers : vm->timers, on_timeout, c);
	nic_init(&c->nic, vm, cfg, &nic_ops, c);
	ret = add_function(c, cfg, e);
	if (ret == 0) {
		power_on(c);
		ret = dev_attach(vm, &type, NULL, c, e);
	}
	if (ret < 0) {
		take_down(c, false); /* the back end stays the caller's */
		return ret;
	}
	nic_connect(&c->nic);
	return 0;
}
