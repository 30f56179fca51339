/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of Intel's gigabit cards. All functions are called with nic.lock held, but for those of e1000.c that take it.
 * e1000.c: life and PCI. e1000_mac.c: registers. e1000_phy.c: EEPROM and PHY. e1000_irq.c, e1000_tx.c, e1000_rx.c.
 */
#ifndef PANAL_DEVICES_NET_E1000_PRIV_H
#define PANAL_DEVICES_NET_E1000_PRIV_H

#include "base/log.h"
#include "core/clock.h"
#include "devices/net/e1000.h"
#include "devices/net/e1000_regs.h"
#include "devices/net/frame.h"
#include "devices/net/microwire.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci.h"

/* The registers that are kept as they are; e1000_mac.c has the table of their offsets. */
enum e1000_reg {
	R_CTRL, R_EECD, R_EERD, R_CTRL_EXT, R_FLA, R_MDIC, R_FCAL, R_FCAH, R_FCT, R_VET, R_ITR, R_IMS, R_EIAC, R_IAM,
	R_IVAR, R_EITR0, R_EITR1, R_EITR2, R_EITR3, R_EITR4, R_RCTL, R_FCTTV, R_TXCW, R_TCTL, R_TIPG, R_AIT, R_LEDCTL,
	R_EXTCNF_CTRL, R_EXTCNF_SIZE, R_PHY_CTRL, R_PBA, R_PBS, R_EEMNGCTL, R_FCRTL, R_FCRTH, R_PSRCTL,
	R_RDBAL, R_RDBAH, R_RDLEN, R_RDH, R_RDT, R_RDTR, R_RXDCTL, R_RADV, R_RSRPD,
	R_TDBAL, R_TDBAH, R_TDLEN, R_TDH, R_TDT, R_TIDV, R_TXDCTL, R_TADV, R_TARC,
	R_TDBAL1, R_TDBAH1, R_TDLEN1, R_TDH1, R_TDT1, R_TXDCTL1, R_TARC1,
	R_RXCSUM, R_RFCTL, R_WUC, R_WUFC, R_WUS, R_MRQC, R_MANC, R_IPAV, R_GCR, R_GCR2, R_FACTPS, R_SWSM, R_FWSM,
	R_COUNT, R_MAX = 96 /* what a saved state has room for */
};

enum { E1000_MTA = 128, E1000_RA = 16, E1000_VFTA = 128, E1000_EEPROM = MICROWIRE_WORDS };
enum { E1000_PHY = 32, E1000_RINGS = 2 };
enum { E1000_VECTORS = 5, E1000_CTX = 4 };

struct e1000 {
	struct pci_dev pci;
	struct msix msix; /* 82574L */
	struct nic nic;
	struct vm *vm;
	enum e1000_model model;
	struct log_limit limit;
	uint8_t mac[FRAME_MAC];
	struct timer throttle[E1000_VECTORS]; /* 0 is also the pin's */

	/* nic.lock */
	uint32_t reg[R_MAX], mta[E1000_MTA], ra[2 * E1000_RA], vfta[E1000_VFTA], stat[S_COUNT];
	uint32_t icr;
	uint16_t eeprom[E1000_EEPROM], phy[E1000_PHY];
	uint16_t phy_page;
	uint32_t io_addr;         /* of the ports */
	struct microwire wire;    /* the EEPROM's pins */
	bool pin;                 /* the level we drive */
	uint32_t waiting;         /* vectors whose message waits for its throttle timer */
	uint32_t link_up;         /* as the guest's STATUS shows it */
	uint32_t ctx[E1000_RINGS][2][E1000_CTX]; /* contexts of a ring: checksums, and segmentation */
	uint32_t sent[E1000_RINGS];    /* frames that are out of the packet at the ring's head */

	uint8_t tx[NIC_TX_MAX], segment[NIC_TX_MAX];
};

/* e1000_mac.c */
extern const struct region_ops e1000_mem_ops, e1000_io_ops;
void e1000_mac_reset(struct e1000 *c);
/* Makes rings of a saved state as a driver could have set them. */
void e1000_mac_loaded(struct e1000 *c);
void e1000_link(struct e1000 *c);
void e1000_count(struct e1000 *c, enum e1000_stat s, uint32_t by);
void e1000_count64(struct e1000 *c, enum e1000_stat low, uint64_t by);
/* Counts a frame by its length with FCS, and by kind. */
void e1000_count_frame(struct e1000 *c, bool sent, const uint8_t *frame, size_t len);

/* e1000_phy.c */
void e1000_eeprom_fill(struct e1000 *c);
void e1000_eecd_write(struct e1000 *c, uint32_t v);
uint32_t e1000_eecd_read(const struct e1000 *c);
void e1000_eerd_write(struct e1000 *c, uint32_t v);
void e1000_phy_reset(struct e1000 *c);
void e1000_phy_link(struct e1000 *c, bool up);
void e1000_mdic_write(struct e1000 *c, uint32_t v);

/* e1000_irq.c */
void e1000_cause(struct e1000 *c, uint32_t bits);
void e1000_unmask(struct e1000 *c, uint32_t bits);
void e1000_update_irq(struct e1000 *c);
uint32_t e1000_icr_read(struct e1000 *c);
void e1000_throttle_init(struct e1000 *c, struct timerq *timers);
void e1000_throttle_stop(struct e1000 *c);

/* e1000_tx.c, e1000_rx.c */
void e1000_work(void *opaque);
void e1000_transmit(struct e1000 *c);
bool e1000_receive(void *opaque, const uint8_t *frame, size_t len);
bool e1000_has_room(const struct e1000 *c);

#endif
