/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network card on a fake bus: a back end that keeps what is sent and gives what the test has. One machine, one card
 * in slot 3. Fuzz targets use it too. */
#ifndef PANAL_TESTS_DEVICES_CARD_H
#define PANAL_TESTS_DEVICES_CARD_H

#include "../x86/rig.h"
#include "devices/net/nic.h"
#include "devices/pci/pci_host.h"

enum { CARD_SLOT = 3, CARD_RAM = 1 << 20, CARD_SENT = 80, CARD_FRAME = 20000, CARD_PORTS = 0xc000 };
#define CARD_MEM UINT64_C(0xf0000000)
#define CARD_MSIX UINT64_C(0xf0100000)

struct card {
	struct rig rig;
	struct wire line[4];
	struct pci_bus *bus;
	struct net net;
	bool blocked;           /* the back end has no room */
	unsigned ready;         /* net_rx_ready calls */
	unsigned sent;          /* frames, of which the first CARD_SENT are kept */
	uint8_t frame[CARD_SENT][CARD_FRAME];
	size_t len[CARD_SENT];
	unsigned messages;
	uint32_t last_data;
};

/* Everything but the card. */
void card_up(struct card *c);
struct nic_config card_config(struct card *c);
/* After the card was made: BAR n at this address (ports: with 1 added), memory, ports and mastering on, running. */
void card_place(struct card *c, const uint32_t bar[6]);
void card_down(struct card *c);
uint32_t card_pci(struct card *c, unsigned off);
void card_pci_write(struct card *c, unsigned off, unsigned width, uint32_t v);
/* Lets the card's work be done. */
void card_run(struct card *c);
/* A frame for the card; what recv gave. */
bool card_give(struct card *c, const uint8_t *frame, size_t len);
void card_put(struct card *c, uint64_t gpa, const void *bytes, size_t len);
uint8_t *card_at(struct card *c, uint64_t gpa);
/* A TCP or UDP frame over IPv4 with good checksums, of payload bytes; its length. */
size_t card_frame(uint8_t *f, const uint8_t to[6], bool udp, size_t payload);

#endif
