/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of Intel's gigabit cards: offsets in BAR 0 and bits. */
#ifndef PANAL_DEVICES_NET_E1000_REGS_H
#define PANAL_DEVICES_NET_E1000_REGS_H

enum e1000_offset {
	O_CTRL = 0x0000, O_STATUS = 0x0008, O_EECD = 0x0010, O_EERD = 0x0014, O_CTRL_EXT = 0x0018, O_FLA = 0x001c,
	O_MDIC = 0x0020, O_FCAL = 0x0028, O_FCAH = 0x002c, O_FCT = 0x0030, O_VET = 0x0038,
	O_ICR = 0x00c0, O_ITR = 0x00c4, O_ICS = 0x00c8, O_IMS = 0x00d0, O_IMC = 0x00d8, O_EIAC = 0x00dc,
	O_IAM = 0x00e0, O_IVAR = 0x00e4, O_EITR = 0x00e8 /* five */,
	O_RCTL = 0x0100, O_FCTTV = 0x0170, O_TXCW = 0x0178, O_RXCW = 0x0180,
	O_TCTL = 0x0400, O_TIPG = 0x0410, O_AIT = 0x0458, O_LEDCTL = 0x0e00, O_EXTCNF_CTRL = 0x0f00,
	O_EXTCNF_SIZE = 0x0f08, O_PHY_CTRL = 0x0f10, O_PBA = 0x1000, O_PBS = 0x1008, O_EEMNGCTL = 0x1010,
	O_FCRTL = 0x2160, O_FCRTH = 0x2168, O_PSRCTL = 0x2170,
	O_RDBAL = 0x2800, O_RDBAH = 0x2804, O_RDLEN = 0x2808, O_RDH = 0x2810, O_RDT = 0x2818, O_RDTR = 0x2820,
	O_RXDCTL = 0x2828, O_RADV = 0x282c, O_RSRPD = 0x2c00,
	O_TDBAL = 0x3800, O_TDBAH = 0x3804, O_TDLEN = 0x3808, O_TDH = 0x3810, O_TDT = 0x3818, O_TIDV = 0x3820,
	O_TXDCTL = 0x3828, O_TADV = 0x382c, O_TARC = 0x3840, O_TX_STEP = 0x100,
	O_STATS = 0x4000, O_RXCSUM = 0x5000, O_RFCTL = 0x5008, O_MTA = 0x5200, O_RA = 0x5400, O_VFTA = 0x5600,
	O_WUC = 0x5800, O_WUFC = 0x5808, O_WUS = 0x5810, O_MRQC = 0x5818, O_MANC = 0x5820, O_IPAV = 0x5838,
	O_GCR = 0x5b00, O_GCR2 = 0x5b64, O_FACTPS = 0x5b30, O_SWSM = 0x5b50, O_FWSM = 0x5b54,
	/* where the 82542 had them, which the 82540EM still answers */
	O_OLD_MTA = 0x0200, O_OLD_RA = 0x0040, O_OLD_VFTA = 0x0600,
};

#define CTRL_FD 0x00000001u
#define CTRL_MASTER_OFF 0x00000004u
#define CTRL_SLU 0x00000040u
#define CTRL_RST 0x04000000u
#define CTRL_VME 0x40000000u
#define CTRL_PHY_RST 0x80000000u
#define STATUS_FD 0x00000001u
#define STATUS_LU 0x00000002u
#define STATUS_1000 0x00000080u
#define STATUS_PHYRA 0x00000400u
#define STATUS_MASTER 0x00080000u
#define CTRL_EXT_EE_RST 0x00002000u
#define CTRL_EXT_EIAME 0x01000000u
#define CTRL_EXT_IAME 0x08000000u

#define EECD_SK 0x01u
#define EECD_CS 0x02u
#define EECD_DI 0x04u
#define EECD_DO 0x08u
#define EECD_REQ 0x40u
#define EECD_GNT 0x80u
#define EECD_PRES 0x100u
#define EECD_AUTO_RD 0x200u /* 82574L */

#define MDIC_WRITE 0x04000000u
#define MDIC_READ 0x08000000u
#define MDIC_READY 0x10000000u
#define MDIC_IE 0x20000000u
#define MDIC_ERROR 0x40000000u

enum e1000_cause {
	ICR_TXDW = 1 << 0, ICR_TXQE = 1 << 1, ICR_LSC = 1 << 2, ICR_RXDMT0 = 1 << 4, ICR_RXO = 1 << 6,
	ICR_RXT0 = 1 << 7, ICR_MDAC = 1 << 9, ICR_TXD_LOW = 1 << 15, ICR_RXQ0 = 1 << 20, ICR_RXQ1 = 1 << 21,
	ICR_TXQ0 = 1 << 22, ICR_TXQ1 = 1 << 23, ICR_OTHER = 1 << 24,
};
#define ICR_ASSERTED 0x80000000u

enum e1000_rctl {
	RCTL_EN = 1 << 1, RCTL_SBP = 1 << 2, RCTL_UPE = 1 << 3, RCTL_MPE = 1 << 4, RCTL_LPE = 1 << 5,
	RCTL_DTYP = 1 << 10, RCTL_BAM = 1 << 15, RCTL_VFE = 1 << 18, RCTL_BSEX = 1 << 25, RCTL_SECRC = 1 << 26,
};
enum { RFCTL_EXTENDED = 1 << 15, RXCSUM_IP = 1 << 8, RXCSUM_L4 = 1 << 9, RXCSUM_PCSD = 1 << 13 };
enum { TCTL_EN = 1 << 1, TCTL_PSP = 1 << 3 };
#define RAH_VALID 0x80000000u

/* Send descriptors. */
enum { TX_EOP = 0x01, TX_IC = 0x04, TX_TSE = 0x04, TX_RS = 0x08, TX_DEXT = 0x20, TX_VLE = 0x40, TX_DONE = 1 };
enum { TX_CONTEXT = 0, TX_DATA = 1, TX_IXSM = 1, TX_TXSM = 2, TX_TCP = 1, TX_IPV4 = 2 };

/* Received: status and errors, as both forms of descriptor have them. */
enum { RX_DONE = 0x01, RX_EOP = 0x02, RX_IXSM = 0x04, RX_VP = 0x08, RX_UDPCS = 0x10, RX_TCPCS = 0x20, RX_IPCS = 0x40,
       RX_PIF = 0x80 };
enum { RX_TCPE = 0x20, RX_IPE = 0x40 };

/* Statistics, as numbers of registers from O_STATS on. */
enum e1000_stat {
	S_MPC = 0x10 / 4, S_RX64 = 0x5c / 4, S_GPRC = 0x74 / 4, S_BPRC = 0x78 / 4, S_MPRC = 0x7c / 4, S_GPTC = 0x80 / 4,
	S_GORC = 0x88 / 4, S_GOTC = 0x90 / 4, S_RNBC = 0xa0 / 4, S_ROC = 0xac / 4, S_TOR = 0xc0 / 4,
	S_TOT = 0xc8 / 4, S_TPR = 0xd0 / 4, S_TPT = 0xd4 / 4, S_TX64 = 0xd8 / 4, S_MPTC = 0xf0 / 4, S_BPTC = 0xf4 / 4,
	S_TSCTC = 0xf8 / 4, S_COUNT = 0x128 / 4,
};

#endif
