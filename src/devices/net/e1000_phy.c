/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EEPROM (three-wire Microwire by EECD's pins, or whole words by EERD) and PHY (clause 22 registers by MDIC). */
#include "devices/net/e1000_priv.h"

enum { DEVICE_82540EM = 0x100e, DEVICE_82574L = 0x10d3, VENDOR_INTEL = 0x8086 };
enum { VENDOR_SUB = 0x1af4, SUBSYSTEM = 0x1100 };
enum { EEPROM_SUM = 0xbaba };
enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_ADVERTISE, PHY_PARTNER, PHY_EXPANSION, PHY_1000_CONTROL = 9,
       PHY_1000_STATUS, PHY_EXT_STATUS = 15, PHY_SPECIFIC_STATUS = 17, PHY_PAGE = 22 };
enum { CONTROL_RESET = 0x8000, CONTROL_RESTART = 0x0200, STATUS_LINK = 0x0004, STATUS_AN_DONE = 0x0020 };
enum { SPECIFIC_UP = 0xac04 /* 1000 Mb/s, full, resolved, link */, SPECIFIC_MASK = 0xfc04 };

/* ---- EEPROM ---- */

void e1000_eeprom_fill(struct e1000 *c)
{
	uint16_t device = c->model == E1000_82574L ? DEVICE_82574L : DEVICE_82540EM, sum = 0;

	for (unsigned n = 0; n < E1000_EEPROM; n++)
		c->eeprom[n] = 0xffff;
	for (unsigned n = 0; n < FRAME_MAC / 2; n++)
		c->eeprom[n] = (uint16_t)(c->mac[2 * n] | c->mac[2 * n + 1] << 8);
	c->eeprom[0x03] = 0;      /* compatibility */
	c->eeprom[0x0a] = 0x6403; /* initialization control 1: signature, IDs are loaded from here */
	c->eeprom[0x0b] = SUBSYSTEM;
	c->eeprom[0x0c] = VENDOR_SUB;
	c->eeprom[0x0d] = device;
	c->eeprom[0x0e] = VENDOR_INTEL;
	c->eeprom[0x0f] = 0x3040; /* initialization control 2 */
	for (unsigned n = 0; n < E1000_EEPROM - 1; n++)
		sum = (uint16_t)(sum + c->eeprom[n]);
	c->eeprom[E1000_EEPROM - 1] = (uint16_t)(EEPROM_SUM - sum);
}

void e1000_eecd_write(struct e1000 *c, uint32_t v)
{
	bool rises = (v & EECD_SK) && !(c->reg[R_EECD] & EECD_SK);

	c->reg[R_EECD] = v & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ);
	microwire_pins(&c->wire, c->eeprom, v & EECD_CS, rises, v & EECD_DI);
}

uint32_t e1000_eecd_read(const struct e1000 *c)
{
	uint32_t v = c->reg[R_EECD] | EECD_PRES | (c->wire.out ? EECD_DO : 0);

	if (v & EECD_REQ)
		v |= EECD_GNT;
	return c->model == E1000_82574L ? v | EECD_AUTO_RD : v;
}

/* The address begins at another bit, and so does "done", from the 82541 on. */
void e1000_eerd_write(struct e1000 *c, uint32_t v)
{
	bool late = c->model == E1000_82574L;
	uint32_t address = late ? v >> 2 & 0x3fff : v >> 8 & 0xff;

	c->reg[R_EERD] = v & (late ? 0xfffc : 0xff00);
	if (!(v & 1))
		return;
	c->reg[R_EERD] |= late ? 2 : 0x10;
	c->reg[R_EERD] |= (uint32_t)(address < E1000_EEPROM ? c->eeprom[address] : 0xffff) << 16;
}

/* ---- PHY ---- */

void e1000_phy_link(struct e1000 *c, bool up)
{
	c->phy[PHY_STATUS] &= (uint16_t)~(STATUS_LINK | STATUS_AN_DONE);
	c->phy[PHY_SPECIFIC_STATUS] &= (uint16_t)~SPECIFIC_MASK;
	c->phy[PHY_PARTNER] = c->phy[PHY_1000_STATUS] = 0;
	if (!up)
		return;
	c->phy[PHY_STATUS] |= STATUS_LINK | STATUS_AN_DONE;
	c->phy[PHY_SPECIFIC_STATUS] |= SPECIFIC_UP;
	c->phy[PHY_PARTNER] = 0x45e1;     /* everything, with symmetric pause */
	c->phy[PHY_EXPANSION] |= 1;       /* the partner negotiates */
	c->phy[PHY_1000_STATUS] = 0x3c00; /* 1000BASE-T, both receivers good */
}

void e1000_phy_reset(struct e1000 *c)
{
	for (unsigned n = 0; n < E1000_PHY; n++)
		c->phy[n] = 0;
	c->phy_page = 0;
	c->phy[PHY_CONTROL] = 0x1140; /* negotiates, full duplex, 1000 */
	c->phy[PHY_STATUS] = 0x7949;
	c->phy[PHY_ID1] = 0x0141;     /* Marvell: 88E1011, and 88E1149 in the 82574L */
	c->phy[PHY_ID2] = c->model == E1000_82574L ? 0x0cb1 : 0x0c20;
	c->phy[PHY_ADVERTISE] = 0x0de1;
	c->phy[PHY_1000_CONTROL] = 0x0e00;
	c->phy[PHY_EXT_STATUS] = 0x3000;
	c->phy[16] = 0x0360;
	c->phy[20] = 0x0d60;
	e1000_phy_link(c, c->nic.up);
}

static void phy_write(struct e1000 *c, unsigned n, uint16_t v)
{
	if (n == PHY_PAGE) {
		c->phy_page = v;
	} else if (c->phy_page != 0 && n >= 16) {
		return; /* tuning of the analogue side: takes it, shows zero */
	} else if (n == PHY_CONTROL) {
		c->phy[n] = v & (uint16_t)~(CONTROL_RESET | CONTROL_RESTART);
		if (v & CONTROL_RESET)
			e1000_phy_reset(c);
		if (v & (CONTROL_RESET | CONTROL_RESTART))
			e1000_link(c);
	} else if (n == PHY_ADVERTISE || n == PHY_1000_CONTROL || n == 16 || n == 18 || n == 20 || n >= 24) {
		c->phy[n] = v;
	}
}

static uint16_t phy_read(const struct e1000 *c, unsigned n)
{
	if (n == PHY_PAGE)
		return c->phy_page;
	return c->phy_page != 0 && n >= 16 ? 0 : c->phy[n];
}

void e1000_mdic_write(struct e1000 *c, uint32_t v)
{
	unsigned n = v >> 16 & 31, address = v >> 21 & 31;
	uint32_t r = (v & ~(MDIC_ERROR | MDIC_READY)) | MDIC_READY;

	if (address != 1 || !(v & (MDIC_READ | MDIC_WRITE)))
		r |= MDIC_ERROR;
	else if (v & MDIC_READ)
		r = (r & 0xffff0000u) | phy_read(c, n);
	else
		phy_write(c, n, (uint16_t)v);
	c->reg[R_MDIC] = r;
	if (v & MDIC_IE)
		e1000_cause(c, ICR_MDAC);
}
