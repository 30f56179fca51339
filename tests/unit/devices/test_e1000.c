/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel's gigabit cards by their registers. */
#include "card.h"

#include "base/bytes.h"
#include "devices/net/e1000.h"
#include "devices/net/e1000_regs.h"
#include "devices/net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { TX_RING = 0x1000, RX_RING = 0x2000, TX_DATA_AT = 0x10000, RX_DATA_AT = 0x40000, RX_BUFFER = 2048, RING = 8 };
static const uint8_t ours[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, all[6] = {255, 255, 255, 255, 255, 255};

static uint32_t reg(struct card *c, unsigned off) { return (uint32_t)rig_load(&c->rig, CARD_MEM + off, 4); }
static void set(struct card *c, unsigned off, uint32_t v) { rig_store(&c->rig, CARD_MEM + off, 4, v); }

static void set_rings(struct card *c, uint32_t rctl)
{
	uint8_t d[16] = {0};
	set(c, O_TDBAL, TX_RING);
	set(c, O_TDLEN, RING * 16);
	set(c, O_TCTL, TCTL_EN | TCTL_PSP);
	for (unsigned n = 0; n < RING; n++) {
		store_le64(d, RX_DATA_AT + n * RX_BUFFER);
		card_put(c, RX_RING + n * 16, d, 16);
	}
	set(c, O_RDBAL, RX_RING);
	set(c, O_RDLEN, RING * 16);
	set(c, O_RDT, RING - 1);
	set(c, O_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC | rctl);
	set(c, O_CTRL, CTRL_SLU | CTRL_FD);
	reg(c, O_ICR);
	card_run(c);
}

static int up_model(void **state, enum e1000_model model)
{
	static struct card c;
	card_up(&c);
	struct nic_config nc = card_config(&c);
	assert_int_equal(e1000_create(c.rig.vm, model, &nc, NULL), 0);
	card_place(&c, model == E1000_82540EM ? (uint32_t[6]){CARD_MEM, CARD_PORTS | 1} :
						(uint32_t[6]){CARD_MEM, 0xf0200000, CARD_PORTS | 1, CARD_MSIX});
	set_rings(&c, 0);
	*state = &c;
	return 0;
}

static int up(void **state) { return up_model(state, E1000_82540EM); }
static int up_late(void **state) { return up_model(state, E1000_82574L); }

static int down(void **state)
{
	card_down(*state);
	return 0;
}

static void put_tx(struct card *c, unsigned n, uint64_t at, uint32_t low, uint32_t high)
{
	uint8_t d[16];
	store_le64(d, at);
	store_le32(d + 8, low);
	store_le32(d + 12, high);
	card_put(c, TX_RING + n * 16, d, 16);
}

static void send_upto(struct card *c, unsigned tail)
{
	set(c, O_TDT, tail);
	card_run(c);
}

/* ---- EEPROM, PHY ---- */

static uint16_t wire_word(struct card *c, unsigned address)
{
	uint32_t command = 6u << 6 | address, base = EECD_CS | EECD_REQ;
	uint16_t v = 0;
	set(c, O_EECD, EECD_REQ);
	assert_true(reg(c, O_EECD) & EECD_GNT);
	for (int bit = 8; bit >= 0; bit--) {
		uint32_t in = command >> bit & 1 ? EECD_DI : 0;
		set(c, O_EECD, base | in);
		set(c, O_EECD, base | in | EECD_SK);
		set(c, O_EECD, base | in);
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		set(c, O_EECD, base | EECD_SK);
		v = (uint16_t)(v << 1 | !!(reg(c, O_EECD) & EECD_DO));
		set(c, O_EECD, base);
	}
	set(c, O_EECD, 0);
	return v;
}

static void the_eeprom_has_the_address_and_a_checksum(void **state)
{
	struct card *c = *state;
	uint16_t sum = 0;
	assert_int_equal(wire_word(c, 0), 0x5452);
	assert_int_equal(wire_word(c, 2), 0x5634);
	for (unsigned n = 0; n < 64; n++) {
		set(c, O_EERD, n << 8 | 1);
		assert_true(reg(c, O_EERD) & 0x10);
		assert_int_equal(reg(c, O_EERD) >> 16, wire_word(c, n));
		sum = (uint16_t)(sum + (reg(c, O_EERD) >> 16));
	}
	assert_int_equal(sum, 0xbaba);
	assert_int_equal(reg(c, O_RA), 0x12005452);
	assert_int_equal(reg(c, O_RA + 4), 0x80005634);
}

static void the_late_eeprom_has_another_register(void **state)
{
	struct card *c = *state;
	set(c, O_EERD, 1 << 2 | 1);
	assert_int_equal(reg(c, O_EERD), 0x1200u << 16 | 1 << 2 | 2);
}

static uint16_t phy(struct card *c, unsigned n)
{
	set(c, O_MDIC, MDIC_READ | 1 << 21 | n << 16);
	assert_int_equal(reg(c, O_MDIC) >> 28, 1);
	return (uint16_t)reg(c, O_MDIC);
}

static void the_phy_answers_and_follows_the_cable(void **state)
{
	struct card *c = *state;
	assert_int_equal(phy(c, 2), 0x0141);
	assert_int_equal(phy(c, 1) & 0x24, 0x24);
	assert_true(reg(c, O_STATUS) & STATUS_LU);
	set(c, O_IMS, ICR_LSC);
	c->net.client->link(c->net.client->opaque, false);
	assert_true(c->line[3].level); /* INTA of slot 3 */
	assert_int_equal(reg(c, O_ICR) & ICR_LSC, ICR_LSC);
	assert_false(c->line[3].level);
	assert_int_equal(reg(c, O_STATUS) & STATUS_LU, 0);
	assert_int_equal(phy(c, 1) & 0x24, 0);
	set(c, O_MDIC, MDIC_READ | 2 << 21 | 2 << 16); /* nobody at address 2 */
	assert_true(reg(c, O_MDIC) & MDIC_ERROR);
}

static void registers_are_reached_by_ports_too(void **state)
{
	struct card *c = *state;
	rig_out(&c->rig, CARD_PORTS, 4, O_VET);
	assert_int_equal(rig_in(&c->rig, CARD_PORTS + 4, 4), 0x8100);
	rig_out(&c->rig, CARD_PORTS, 4, O_CTRL);
	rig_out(&c->rig, CARD_PORTS + 4, 4, CTRL_RST);
	assert_int_equal(reg(c, O_TCTL), 0);
}

/* ---- sending ---- */

static void a_frame_of_two_pieces_goes_out(void **state)
{
	struct card *c = *state;
	uint8_t f[100];
	size_t len = card_frame(f, all, true, 20);
	card_put(c, TX_DATA_AT, f, len);
	put_tx(c, 0, TX_DATA_AT, 30, 0);
	put_tx(c, 1, TX_DATA_AT + 30, (uint32_t)(len - 30) | (uint32_t)(TX_EOP | TX_RS) << 24, 0);
	set(c, O_IMS, ICR_TXDW);
	send_upto(c, 2);
	assert_int_equal(c->sent, 1);
	assert_int_equal(c->len[0], len);
	assert_memory_equal(c->frame[0], f, len);
	assert_int_equal(*card_at(c, TX_RING + 16 + 12), TX_DONE);
	assert_int_equal(*card_at(c, TX_RING + 12), 0); /* no report was asked for */
	assert_int_equal(reg(c, O_TDH), 2);
	assert_true(c->line[3].level);
	assert_true(reg(c, O_ICR) & ICR_TXQE);
	assert_int_equal(reg(c, O_STATS + 4 * S_GPTC), 1);
	assert_int_equal(reg(c, O_STATS + 4 * S_GPTC), 0);
}

static void legacy_checksum_tag_and_padding(void **state)
{
	struct card *c = *state;
	uint8_t f[100];
	card_frame(f, all, true, 0);
	memset(f + 40, 0, 2);
	card_put(c, TX_DATA_AT, f, 42);
	set(c, O_CTRL, CTRL_SLU | CTRL_VME);
	put_tx(c, 0, TX_DATA_AT, 42 | 40 << 16 | (uint32_t)(TX_EOP | TX_IC | TX_VLE) << 24, 34 << 8 | 0x123u << 16);
	send_upto(c, 1);
	assert_int_equal(c->len[0], 60);
	assert_int_equal(load_be32(c->frame[0] + 12), 0x81000123);
	assert_int_equal(load_be16(c->frame[0] + 44), (uint16_t)~frame_sum(f + 34, 8, 0));
}

enum { PAYLOAD = 3000, MSS = 1000, HEADERS = 54 };

static void put_tso(struct card *c)
{
	static uint8_t f[HEADERS + PAYLOAD];
	card_frame(f, all, false, PAYLOAD);
	f[47] = 0x19; /* ACK, PSH, FIN */
	store_be16(f + 24, 0);
	store_be16(f + 50, frame_sum(f + 26, 8, 6)); /* as drivers leave it: without the length */
	card_put(c, TX_DATA_AT, f, sizeof(f));
	put_tx(c, 0, 14 | 24u << 8 | (uint64_t)33 << 16 | (uint64_t)(34 | 50 << 8) << 32,
	       PAYLOAD | (uint32_t)(TX_DEXT | TX_TSE | TX_RS | TX_TCP | TX_IPV4) << 24,
	       HEADERS << 8 | (uint32_t)MSS << 16);
	put_tx(c, 1, TX_DATA_AT, HEADERS | TX_DATA << 20 | (uint32_t)(TX_DEXT | TX_TSE) << 24,
	       (TX_IXSM | TX_TXSM) << 8);
	put_tx(c, 2, TX_DATA_AT + HEADERS,
	       PAYLOAD | TX_DATA << 20 | (uint32_t)(TX_DEXT | TX_TSE | TX_EOP | TX_RS) << 24, 0);
}

static void check_segments(struct card *c)
{
	assert_int_equal(c->sent, 3);
	for (unsigned n = 0; n < 3; n++) {
		const uint8_t *f = c->frame[n];
		struct frame_info i;
		frame_look(&i, f, c->len[n], true);
		assert_int_equal(c->len[n], HEADERS + MSS);
		assert_true(i.ipv4 && i.tcp && !i.ip_bad && !i.l4_bad);
		assert_int_equal(load_be16(f + 18), 0x1234 + n);
		assert_int_equal(load_be32(f + 38), n * MSS);
		assert_int_equal(f[47], n == 2 ? 0x19 : 0x10);
		assert_int_equal(f[HEADERS], (uint8_t)(n * MSS));
	}
}

static void a_large_send_is_cut(void **state)
{
	struct card *c = *state;
	put_tso(c);
	send_upto(c, 3);
	check_segments(c);
	assert_int_equal(*card_at(c, TX_RING + 12), TX_DONE);
	assert_int_equal(reg(c, O_STATS + 4 * S_TSCTC), 1);
}

static void what_finds_no_room_waits(void **state)
{
	struct card *c = *state;
	put_tso(c);
	c->blocked = true;
	send_upto(c, 3);
	assert_int_equal(reg(c, O_TDH), 1);
	c->blocked = false;
	c->net.client->tx_ready(c->net.client->opaque);
	check_segments(c);
	assert_int_equal(reg(c, O_TDH), 3);
}

static void the_second_ring_sends(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {255, 255, 255, 255, 255, 255};
	card_put(c, TX_DATA_AT, f, 60);
	put_tx(c, 0, TX_DATA_AT, 60 | (uint32_t)(TX_EOP | TX_RS) << 24, 0);
	set(c, O_TDBAL + O_TX_STEP, TX_RING);
	set(c, O_TDLEN + O_TX_STEP, 128);
	set(c, O_TDT + O_TX_STEP, 1);
	card_run(c);
	assert_int_equal(c->sent, 1);
	assert_true(reg(c, O_ICR) & ICR_TXQ1);
}

/* ---- receiving ---- */

static void filters_decide(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x05}, other[60] = {2, 2, 2, 2, 2, 2};
	card_give(c, f, 60);
	card_give(c, other, 60);
	assert_int_equal(reg(c, O_RDH), 0);
	set(c, O_MTA + 4 * (0x050 >> 5), 1u << (0x050 & 31)); /* bits 47 to 36 of the address */
	assert_true(card_give(c, f, 60));
	assert_int_equal(reg(c, O_RDH), 1);
	set(c, O_RCTL, RCTL_EN | RCTL_UPE);
	card_give(c, other, 60);
	assert_int_equal(reg(c, O_RDH), 2);
	memcpy(f, all, 6);
	card_give(c, f, 60); /* BAM is off now */
	assert_int_equal(reg(c, O_RDH), 2);
	set(c, O_RCTL, RCTL_EN | RCTL_BAM);
	card_give(c, f, 60);
	assert_int_equal(reg(c, O_RDH), 3);
	set(c, O_RA + 8, 0x02020202);
	set(c, O_RA + 12, 0x80000202);
	card_give(c, other, 60);
	assert_int_equal(reg(c, O_RDH), 4);
}

static void a_frame_arrives_with_its_checksums_looked_at(void **state)
{
	struct card *c = *state;
	uint8_t f[600];
	size_t len = card_frame(f, ours, false, 500);
	set(c, O_IMS, ICR_RXT0);
	assert_true(card_give(c, f, len));
	assert_true(c->line[3].level);
	const uint8_t *d = card_at(c, RX_RING);
	assert_int_equal(load_le16(d + 8), len);
	assert_int_equal(d[12], RX_DONE | RX_EOP | RX_TCPCS | RX_IPCS);
	assert_int_equal(d[13], 0);
	assert_memory_equal(card_at(c, RX_DATA_AT), f, len);
	f[100] ^= 1;
	card_give(c, f, len);
	assert_int_equal(d[16 + 13], RX_TCPE);
	set(c, O_RCTL, RCTL_EN); /* with the FCS from now on */
	card_give(c, f, len);
	assert_int_equal(load_le16(d + 32 + 8), len + 4);
}

static void tags_are_taken_off_and_filtered(void **state)
{
	struct card *c = *state;
	uint8_t f[64] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x20, 0x05, 0x08, 0x06, 0xaa};
	set(c, O_CTRL, CTRL_SLU | CTRL_VME);
	card_give(c, f, sizeof(f));
	const uint8_t *d = card_at(c, RX_RING);
	assert_int_equal(load_le16(d + 8), 60);
	assert_true(d[12] & RX_VP);
	assert_int_equal(load_le16(d + 14), 0x2005);
	assert_int_equal(load_be16(card_at(c, RX_DATA_AT + 12)), 0x0806);
	set(c, O_RCTL, RCTL_EN | RCTL_VFE);
	card_give(c, f, sizeof(f));
	assert_int_equal(reg(c, O_RDH), 1);
	set(c, O_VFTA, 1 << 5);
	card_give(c, f, sizeof(f));
	assert_int_equal(reg(c, O_RDH), 2);
}

static void a_full_ring_stops_the_back_end(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {255, 255, 255, 255, 255, 255};
	unsigned taken = 0;
	while (taken < 20 && card_give(c, f, 60))
		taken++;
	assert_int_equal(taken, RING - 2);
	card_give(c, f, 60);
	assert_int_equal(reg(c, O_STATS + 4 * S_MPC), 1);
	assert_true(reg(c, O_ICR) & ICR_RXO);
	unsigned before = c->ready;
	set(c, O_RDT, 3);
	card_run(c);
	assert_int_equal(c->ready, before + 1);
	assert_true(card_give(c, f, 60));
}

static void jumbo_frames_take_several_buffers(void **state)
{
	struct card *c = *state;
	static uint8_t f[5000];
	size_t len = card_frame(f, ours, true, 4000);
	card_give(c, f, len);
	assert_int_equal(reg(c, O_STATS + 4 * S_ROC), 1);
	set(c, O_RCTL, RCTL_EN | RCTL_SECRC | RCTL_LPE);
	card_give(c, f, len);
	assert_int_equal(reg(c, O_RDH), 2);
	assert_int_equal(load_le16(card_at(c, RX_RING + 8)), 2048);
	assert_int_equal(*card_at(c, RX_RING + 12) & RX_EOP, 0);
	assert_int_equal(load_le16(card_at(c, RX_RING + 16 + 8)), len - 2048);
	assert_memory_equal(card_at(c, RX_DATA_AT), f, len); /* the buffers lie side by side */
}

static void extended_descriptors(void **state)
{
	struct card *c = *state;
	uint8_t f[600];
	size_t len = card_frame(f, ours, true, 500);
	set(c, O_RFCTL, RFCTL_EXTENDED);
	card_give(c, f, len);
	const uint8_t *d = card_at(c, RX_RING);
	assert_int_equal(load_le32(d + 8), RX_DONE | RX_EOP | RX_UDPCS | RX_TCPCS | RX_IPCS);
	assert_int_equal(load_le16(d + 12), len);
	set(c, O_RCTL, RCTL_EN | RCTL_SECRC | RCTL_DTYP | RCTL_LPE);
	set(c, O_PSRCTL, 2 | 4 << 8);
	set(c, O_RDH, 0);
	set(c, O_RDT, 3);
	uint8_t s[32] = {0};
	store_le64(s, RX_DATA_AT);
	store_le64(s + 8, RX_DATA_AT + 0x1000);
	card_put(c, RX_RING, s, 32);
	card_give(c, f, len);
	assert_int_equal(load_le16(d + 12), 256);
	assert_int_equal(load_le16(d + 18), len - 256);
	assert_memory_equal(card_at(c, RX_DATA_AT + 0x1000), f + 256, len - 256);
}

/* ---- interrupts ---- */

static void interrupts_keep_their_distance(void **state)
{
	struct card *c = *state;
	set(c, O_ITR, 1000);
	set(c, O_IMS, ICR_TXDW);
	set(c, O_ICS, ICR_TXDW);
	assert_true(c->line[3].level);
	reg(c, O_ICR);
	set(c, O_ICS, ICR_TXDW);
	assert_false(c->line[3].level);
	rig_advance(&c->rig, 200000);
	assert_false(c->line[3].level);
	rig_advance(&c->rig, 60000);
	assert_true(c->line[3].level);
	set(c, O_IMC, ICR_TXDW);
	assert_false(c->line[3].level);
}

static void messages_go_by_ivar(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {255, 255, 255, 255, 255, 255};
	unsigned cap = card_pci(c, 0x34) & 0xff;
	for (unsigned n = 0; n < 5; n++) {
		rig_store(&c->rig, CARD_MSIX + n * 16, 4, 0xfee00000);
		rig_store(&c->rig, CARD_MSIX + n * 16 + 8, 4, 0x40 + n);
		rig_store(&c->rig, CARD_MSIX + n * 16 + 12, 4, 0);
	}
	card_pci_write(c, cap + 2, 2, 0x8000);
	set(c, O_IVAR, 8 | 9 << 8 | 10 << 16);
	set(c, O_EIAC, ICR_RXQ0 | ICR_TXQ0);
	set(c, O_IMS, ICR_RXQ0 | ICR_TXQ0 | ICR_OTHER | ICR_LSC);
	card_give(c, f, 60);
	assert_int_equal(c->messages, 1);
	assert_int_equal(c->last_data, 0x40);
	assert_int_equal(reg(c, O_IMS) & ICR_RXQ0, 0); /* until the driver is done */
	card_give(c, f, 60);
	assert_int_equal(c->messages, 1);
	set(c, O_IMS, ICR_RXQ0);
	assert_int_equal(c->messages, 2);
	c->net.client->link(c->net.client->opaque, false);
	assert_int_equal(c->last_data, 0x42);
	set(c, O_EITR, 1000);
	set(c, O_IMS, ICR_RXQ0);
	set(c, O_ICS, ICR_RXQ0);
	set(c, O_IMS, ICR_RXQ0);
	set(c, O_ICS, ICR_RXQ0);
	assert_int_equal(c->messages, 4);
	rig_advance(&c->rig, 300000);
	assert_int_equal(c->messages, 5);
}

static void its_state_survives(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {255, 255, 255, 255, 255, 255};
	card_give(c, f, 60);
	put_tso(c);
	c->blocked = true;
	send_upto(c, 3);
	struct dev *d = dev_find(c->rig.vm, "e10000");
	rig_state_round_trip(&c->rig, d ? "e10000" : "e1000e0");
	assert_int_equal(reg(c, O_RDH), 1);
	assert_int_equal(reg(c, O_TDH), 1);
	c->blocked = false;
	c->net.client->tx_ready(c->net.client->opaque);
	check_segments(c);
}

static void addresses_of_groups_are_refused(void **state)
{
	struct card *c = *state;
	struct nic_config nc = card_config(c);
	struct err e;
	nc.mac[0] = 1;
	assert_int_equal(e1000_create(c->rig.vm, E1000_82540EM, &nc, &e), -22);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
#define LATE(name) {"82574L: " #name, name, up_late, down, NULL}
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_eeprom_has_the_address_and_a_checksum), LATE(the_late_eeprom_has_another_register),
		TEST(the_phy_answers_and_follows_the_cable), LATE(the_phy_answers_and_follows_the_cable),
		TEST(registers_are_reached_by_ports_too), LATE(registers_are_reached_by_ports_too),
		TEST(a_frame_of_two_pieces_goes_out), LATE(a_frame_of_two_pieces_goes_out),
		TEST(legacy_checksum_tag_and_padding), TEST(a_large_send_is_cut), LATE(a_large_send_is_cut),
		TEST(what_finds_no_room_waits), LATE(the_second_ring_sends), TEST(filters_decide),
		TEST(a_frame_arrives_with_its_checksums_looked_at), TEST(tags_are_taken_off_and_filtered),
		TEST(a_full_ring_stops_the_back_end), TEST(jumbo_frames_take_several_buffers),
		LATE(jumbo_frames_take_several_buffers), LATE(extended_descriptors),
		TEST(interrupts_keep_their_distance), LATE(messages_go_by_ivar), TEST(its_state_survives),
		LATE(its_state_survives), TEST(addresses_of_groups_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
