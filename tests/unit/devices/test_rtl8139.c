/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Realtek's RTL8139C+ by its registers, in both of its modes. */
#include "card.h"

#include "base/bytes.h"
#include "devices/net/frame.h"
#include "devices/net/rtl8139.h"
#include "devices/net/rtl8139_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { TX_RING = 0x1000, RX_RING = 0x2000, TALLY_AT = 0x3000, TX_DATA_AT = 0x10000, RX_DATA_AT = 0x40000 };
static const uint8_t ours[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, all[6] = {255, 255, 255, 255, 255, 255};

static uint32_t get(struct card *c, unsigned off, unsigned width)
{
	return (uint32_t)rig_load(&c->rig, CARD_MEM + off, width);
}

static void set(struct card *c, unsigned off, unsigned width, uint32_t v)
{
	rig_store(&c->rig, CARD_MEM + off, width, v);
}

static int up(void **state)
{
	static struct card c;
	card_up(&c);
	struct nic_config nc = card_config(&c);
	assert_int_equal(rtl8139_create(c.rig.vm, &nc, NULL), 0);
	card_place(&c, (uint32_t[6]){CARD_PORTS | 1, CARD_MEM});
	*state = &c;
	return 0;
}

static int up_classic(void **state)
{
	up(state);
	struct card *c = *state;
	set(c, L_RBSTART, 4, RX_DATA_AT);
	set(c, L_CR, 1, CR_RX | CR_TX);
	set(c, L_RCR, 4, RCR_MATCH | RCR_BROADCAST | RCR_MULTICAST);
	return 0;
}

static void put_desc(struct card *c, uint64_t ring, unsigned n, uint32_t flags, uint32_t tag, uint64_t at)
{
	uint8_t d[16];
	store_le32(d, flags);
	store_le32(d + 4, tag);
	store_le64(d + 8, at);
	card_put(c, ring + n * 16, d, 16);
}

static int up_plus(void **state)
{
	up(state);
	struct card *c = *state;
	set(c, L_CPCR, 2, CPCR_TX | CPCR_RX | CPCR_SUMS | CPCR_VLAN);
	set(c, L_TNPDS, 4, TX_RING);
	set(c, L_RDSAR, 4, RX_RING);
	set(c, L_CR, 1, CR_RX | CR_TX);
	set(c, L_RCR, 4, RCR_MATCH | RCR_BROADCAST);
	for (unsigned n = 0; n < 4; n++)
		put_desc(c, RX_RING, n, DESC_OWN | (n == 3 ? DESC_END : 0) | 1536, 0, RX_DATA_AT + n * 2048);
	return 0;
}

static int down(void **state)
{
	card_down(*state);
	return 0;
}

/* ---- what both modes have ---- */

static uint16_t wire_word(struct card *c, unsigned address)
{
	uint32_t command = 6u << 6 | address;
	uint16_t v = 0;
	set(c, L_9346CR, 1, 0x80);
	for (int bit = 8; bit >= 0; bit--) {
		uint32_t in = command >> bit & 1 ? 2 : 0;
		set(c, L_9346CR, 1, 0x88 | in);
		set(c, L_9346CR, 1, 0x8c | in);
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		set(c, L_9346CR, 1, 0x88);
		set(c, L_9346CR, 1, 0x8c);
		v = (uint16_t)(v << 1 | (get(c, L_9346CR, 1) & 1));
	}
	set(c, L_9346CR, 1, 0);
	return v;
}

static void the_eeprom_and_the_id_have_the_address(void **state)
{
	struct card *c = *state;
	assert_int_equal(wire_word(c, 0), 0x8129);
	assert_int_equal(wire_word(c, 7), 0x5452);
	assert_int_equal(wire_word(c, 9), 0x5634);
	assert_int_equal(get(c, L_ID, 4), 0x12005452);
	assert_int_equal(rig_in(&c->rig, CARD_PORTS + 4, 2), 0x5634);
	assert_int_equal(get(c, L_TCR, 4) & 0x7cc00000, 0x74800000);
	set(c, L_CONFIG3, 1, 0xff); /* locked */
	assert_int_equal(get(c, L_CONFIG3, 1), 1);
}

static void the_link_follows_the_cable(void **state)
{
	struct card *c = *state;
	assert_int_equal(get(c, L_BMSR, 2) & 0x24, 0x24);
	set(c, L_IMR, 2, ISR_LINK);
	c->net.client->link(c->net.client->opaque, false);
	assert_true(c->line[3].level);
	assert_int_equal(get(c, L_BMSR, 2) & 4, 0);
	assert_int_equal(get(c, L_MSR, 1) & 4, 4);
	set(c, L_ISR, 2, ISR_LINK);
	assert_false(c->line[3].level);
}

static void the_timer_counts_33_mhz(void **state)
{
	struct card *c = *state;
	set(c, L_TCTR, 4, 0);
	rig_advance(&c->rig, 1000000);
	assert_in_range(get(c, L_TCTR, 4), 32990, 33010);
	set(c, L_TIMER, 4, 66000);
	rig_advance(&c->rig, 900000);
	assert_int_equal(get(c, L_ISR, 2) & ISR_TIMEOUT, 0);
	rig_advance(&c->rig, 200000);
	assert_int_equal(get(c, L_ISR, 2) & ISR_TIMEOUT, ISR_TIMEOUT);
}

/* ---- the classic mode ---- */

static void slots_send_in_their_order(void **state)
{
	struct card *c = *state;
	uint8_t f[100];
	set(c, L_IMR, 2, ISR_TOK);
	for (unsigned n = 0; n < 2; n++) {
		card_frame(f, all, true, 40 + n);
		card_put(c, TX_DATA_AT + n * 0x1000, f, 82 + n);
		set(c, L_TSAD + 4 * n, 4, TX_DATA_AT + n * 0x1000);
	}
	set(c, L_TSD + 4, 4, 83); /* not its turn yet */
	card_run(c);
	assert_int_equal(c->sent, 0);
	set(c, L_TSD, 4, 82);
	card_run(c);
	assert_int_equal(c->sent, 2);
	assert_int_equal(c->len[0], 82);
	assert_int_equal(c->len[1], 83);
	assert_int_equal(get(c, L_TSD, 4), 82 | TSD_OWN | TSD_TOK);
	assert_int_equal(get(c, L_TSALL, 2) & 0x3000, 0x3000);
	assert_true(c->line[3].level);
}

static void frames_go_into_the_ring_of_bytes(void **state)
{
	struct card *c = *state;
	uint8_t f[600], other[60] = {2, 2, 2, 2, 2, 2}, group[60] = {1, 0, 0x5e, 0, 0, 1};
	size_t len = card_frame(f, ours, true, 101);
	assert_int_equal(get(c, L_CR, 1) & CR_EMPTY, CR_EMPTY);
	assert_true(card_give(c, f, len));
	assert_true(card_give(c, other, 60));
	const uint8_t *r = card_at(c, RX_DATA_AT);
	assert_int_equal(load_le16(r), 0x4001);
	assert_int_equal(load_le16(r + 2), len + 4);
	assert_memory_equal(r + 4, f, len);
	assert_int_equal(get(c, L_CBR, 2), (len + 8 + 3) & ~3u);
	assert_int_equal(get(c, L_CR, 1) & CR_EMPTY, 0);
	set(c, L_CAPR, 2, (uint32_t)((len + 8 + 3) & ~3u) - 16);
	assert_int_equal(get(c, L_CR, 1) & CR_EMPTY, CR_EMPTY);
	card_give(c, group, 60);
	assert_int_equal(get(c, L_CR, 1) & CR_EMPTY, CR_EMPTY);
	unsigned hash = frame_mac_crc6(group);
	set(c, L_MAR + hash / 8, 1, 1u << (hash % 8));
	card_give(c, group, 60);
	assert_int_equal(get(c, L_CR, 1) & CR_EMPTY, 0);
}

static void the_ring_goes_around_and_is_full_at_last(void **state)
{
	struct card *c = *state;
	static uint8_t f[1500];
	size_t len = card_frame(f, ours, true, 1400);
	unsigned taken = 0;
	while (card_give(c, f, len) && taken < 20)
		taken++;
	assert_int_equal(taken, 4); /* of 8 KiB less than a longest frame is left after the fifth */
	card_give(c, f, len);
	assert_int_equal(get(c, L_ISR, 2) & ISR_RXOVW, ISR_RXOVW);
	assert_int_equal(get(c, L_MPC, 4), 1);
	unsigned before = c->ready, at = get(c, L_CBR, 2);
	set(c, L_CAPR, 2, at - 16);
	card_run(c);
	assert_int_equal(c->ready, before + 1);
	card_give(c, f, len);
	assert_true(get(c, L_CBR, 2) < at); /* around its end */
	assert_memory_equal(card_at(c, RX_DATA_AT), f + (8192 - at - 4), 200);
}

/* ---- the C+ mode ---- */

static void a_ring_sends_with_sums_and_tag(void **state)
{
	struct card *c = *state;
	uint8_t f[200];
	struct frame_info i;
	size_t len = card_frame(f, all, true, 100);
	store_be16(f + 24, 0x1111);
	store_be16(f + 40, 0x2222);
	card_put(c, TX_DATA_AT, f, len);
	put_desc(c, TX_RING, 0, DESC_OWN | DESC_FIRST | 1 << 18 | 1 << 17 | 20, 0, TX_DATA_AT);
	put_desc(c, TX_RING, 1, DESC_OWN | DESC_LAST | DESC_END | (uint32_t)(len - 20), 1 << 17 | 0x2301,
		 TX_DATA_AT + 20);
	set(c, L_POLL, 1, 0x40);
	card_run(c);
	assert_int_equal(c->sent, 1);
	assert_int_equal(load_be32(c->frame[0] + 12), 0x81000123);
	frame_look(&i, c->frame[0], c->len[0], true);
	assert_true(i.udp && !i.ip_bad && !i.l4_bad);
	assert_int_equal(load_le32(card_at(c, TX_RING)) & DESC_OWN, 0);
	assert_int_equal(get(c, L_ISR, 2) & (ISR_TOK | ISR_TDU), ISR_TOK | ISR_TDU);
}

static void put_large(struct card *c)
{
	static uint8_t f[54 + 3000];
	card_frame(f, all, false, 3000);
	card_put(c, TX_DATA_AT, f, sizeof(f));
	put_desc(c, TX_RING, 0, DESC_OWN | DESC_FIRST | DESC_LAST | DESC_END | 1 << 27 | 1000 << 16 | sizeof(f), 0,
		 TX_DATA_AT);
	set(c, L_POLL, 1, 0x40);
	card_run(c);
}

static void check_large(struct card *c)
{
	assert_int_equal(c->sent, 3);
	for (unsigned n = 0; n < 3; n++) {
		struct frame_info i;
		frame_look(&i, c->frame[n], c->len[n], true);
		assert_int_equal(c->len[n], 1054);
		assert_true(i.tcp && !i.ip_bad && !i.l4_bad);
		assert_int_equal(load_be32(c->frame[n] + 38), n * 1000);
	}
}

static void a_large_send_is_cut(void **state)
{
	put_large(*state);
	check_large(*state);
}

static void descriptors_receive(void **state)
{
	struct card *c = *state;
	uint8_t f[600], tagged[64] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x01, 0x23, 8, 6};
	size_t len = card_frame(f, ours, false, 500);
	assert_true(card_give(c, f, len));
	const uint8_t *d = card_at(c, RX_RING);
	assert_int_equal(load_le32(d), DESC_FIRST | DESC_LAST | 1 << 26 | 1 << 16 | (uint32_t)(len + 4));
	assert_memory_equal(card_at(c, RX_DATA_AT), f, len);
	f[200] ^= 1;
	card_give(c, f, len);
	assert_int_equal(load_le32(d + 16) & 1 << 13, 1 << 13);
	card_give(c, tagged, sizeof(tagged));
	assert_int_equal(load_le32(d + 36), 1 << 16 | 0x2301);
	assert_int_equal(load_be16(card_at(c, RX_DATA_AT + 2 * 2048 + 12)), 0x0806);
	assert_false(card_give(c, f, len)); /* the last */
	put_desc(c, RX_RING, 0, DESC_OWN | 1536, 0, RX_DATA_AT);
	unsigned before = c->ready;
	set(c, L_ISR, 2, ISR_ROK);
	card_run(c);
	assert_int_equal(c->ready, before + 1);
}

static void counters_are_written_into_memory(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {255, 255, 255, 255, 255, 255};
	card_give(c, f, 60);
	set(c, L_TALLY + 4, 4, 0);
	set(c, L_TALLY, 4, TALLY_AT | 8);
	assert_int_equal(get(c, L_TALLY, 4) & 8, 0);
	assert_int_equal(load_le64(card_at(c, TALLY_AT + 8)), 1);
	assert_int_equal(load_le64(card_at(c, TALLY_AT + 48)), 1);
}

static void its_state_survives(void **state)
{
	struct card *c = *state;
	uint8_t f[60] = {255, 255, 255, 255, 255, 255};
	card_give(c, f, 60);
	c->blocked = true;
	put_large(c);
	rig_state_round_trip(&c->rig, "rtl81390");
	c->blocked = false;
	c->net.client->tx_ready(c->net.client->opaque);
	check_large(c);
	card_give(c, f, 60);
	assert_int_equal(load_le32(card_at(c, RX_RING + 16)) & DESC_OWN, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
#define CLASSIC(name) cmocka_unit_test_setup_teardown(name, up_classic, down)
#define PLUS(name) cmocka_unit_test_setup_teardown(name, up_plus, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_eeprom_and_the_id_have_the_address), TEST(the_link_follows_the_cable),
		TEST(the_timer_counts_33_mhz), CLASSIC(slots_send_in_their_order),
		CLASSIC(frames_go_into_the_ring_of_bytes), CLASSIC(the_ring_goes_around_and_is_full_at_last),
		PLUS(a_ring_sends_with_sums_and_tag), PLUS(a_large_send_is_cut), PLUS(descriptors_receive),
		PLUS(counters_are_written_into_memory), PLUS(its_state_survives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
