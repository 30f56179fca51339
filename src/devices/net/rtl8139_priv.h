/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the RTL8139C+. All functions are called with nic.lock held, but for those of life in rtl8139.c.
 * rtl8139.c: registers and life. rtl8139_tx.c, rtl8139_rx.c: both modes. */
#ifndef PANAL_DEVICES_NET_RTL8139_PRIV_H
#define PANAL_DEVICES_NET_RTL8139_PRIV_H

#include "base/bytes.h"
#include "base/log.h"
#include "core/clock.h"
#include "devices/net/frame.h"
#include "devices/net/microwire.h"
#include "devices/net/rtl8139.h"
#include "devices/pci/pci.h"

enum rtl_register {
	L_ID = 0x00, L_MAR = 0x08, L_TSD = 0x10, L_TALLY = 0x10 /* C+ */, L_TSAD = 0x20, L_TNPDS = 0x20 /* C+ */,
	L_THPDS = 0x28, L_RBSTART = 0x30, L_CR = 0x37, L_CAPR = 0x38, L_CBR = 0x3a, L_IMR = 0x3c, L_ISR = 0x3e,
	L_TCR = 0x40, L_RCR = 0x44, L_TCTR = 0x48, L_MPC = 0x4c, L_9346CR = 0x50, L_CONFIG0 = 0x51, L_CONFIG1 = 0x52,
	L_TIMER = 0x54, L_MSR = 0x58, L_CONFIG3 = 0x59, L_CONFIG4 = 0x5a, L_MULINT = 0x5c, L_TSALL = 0x60,
	L_BMCR = 0x62, L_BMSR = 0x64, L_ANAR = 0x66, L_ANLPAR = 0x68, L_ANER = 0x6a, L_CONFIG5 = 0xd8, L_POLL = 0xd9,
	L_CPCR = 0xe0, L_RDSAR = 0xe4, L_COUNT = 0x100,
};
enum { CR_RESET = 0x10, CR_RX = 0x08, CR_TX = 0x04, CR_EMPTY = 0x01 };
enum { ISR_ROK = 0x01, ISR_TOK = 0x04, ISR_RXOVW = 0x10, ISR_LINK = 0x20, ISR_TDU = 0x80, ISR_TIMEOUT = 0x4000 };
enum { RCR_ALL = 1, RCR_MATCH = 2, RCR_MULTICAST = 4, RCR_BROADCAST = 8, RCR_WRAP = 0x80 };
enum { CPCR_TX = 1, CPCR_RX = 2, CPCR_SUMS = 0x20, CPCR_VLAN = 0x40 };
enum { TSD_SIZE = 0x1fff, TSD_OWN = 0x2000, TSD_TOK = 0x8000 };
enum { RTL_SLOTS = 4, RTL_RINGS = 2 /* normal and high priority */, RTL_DESC = 16, RTL_RING = 64 };
#define DESC_OWN 0x80000000u
#define DESC_END 0x40000000u
#define DESC_FIRST 0x20000000u
#define DESC_LAST 0x10000000u
#define TCR_LOOPBACK 0x60000u

/* The counters that the C+ mode writes into memory. */
struct rtl_tally {
	uint64_t tx_ok, rx_ok, rx_matched, rx_broadcast;
	uint32_t rx_multicast;
	uint16_t missed;
};

struct rtl8139 {
	struct pci_dev pci;
	struct nic nic;
	struct vm *vm;
	struct log_limit limit;
	uint8_t mac[FRAME_MAC];
	struct timer timeout;

	/* nic.lock */
	uint8_t reg[L_COUNT];
	uint16_t eeprom[MICROWIRE_WORDS];
	struct microwire wire;
	int64_t count_from;           /* when TCTR was 0, in ns */
	uint32_t missed;              /* MPC */
	uint8_t slot, slots_waiting;  /* the send slot whose turn it is; a bit for each that the driver gave */
	uint8_t polled;               /* a bit for each send ring to look at */
	uint32_t tx_at[RTL_RINGS], rx_at; /* descriptors in the rings */
	uint32_t sent[RTL_RINGS];     /* frames that are out of the packet at hand */
	struct rtl_tally tally;

	uint8_t tx[NIC_TX_MAX], segment[NIC_TX_MAX];
};

static inline uint16_t rtl_get16(const struct rtl8139 *c, unsigned off) { return load_le16(c->reg + off); }
static inline uint32_t rtl_get32(const struct rtl8139 *c, unsigned off) { return load_le32(c->reg + off); }
static inline bool rtl_plus(const struct rtl8139 *c, unsigned bit) { return c->reg[L_CPCR] & bit; }

void rtl_cause(struct rtl8139 *c, unsigned bits);
void rtl_transmit(struct rtl8139 *c);
bool rtl_receive(void *opaque, const uint8_t *frame, size_t len);
bool rtl_has_room(const struct rtl8139 *c);

#endif
