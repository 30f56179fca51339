/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A little driver for the xHCI controller: rings in guest memory, commands, transfers. Tests of USB devices and the
 * fuzz targets use it. What fails ends the test. */
#ifndef PANAL_TESTS_DEVICES_UDRIVER_H
#define PANAL_TESTS_DEVICES_UDRIVER_H

#include "rig.h"

#include "devices/usb/xhci.h"

#define UREGS UINT64_C(0xf0000000)
#define UMSIX UINT64_C(0xf0010000)
enum { U_RAM = 1 << 20, U_EVENTS = 0x3000, U_COMMANDS = 0x2000, U_DATA = 0x80000, U_MESSAGES = 8 };
enum { U_OP = 0x40, U_PORTS = 0x440, U_RT = 0x1000, U_BELLS = 0x2000 };

struct uevent {
	uint64_t parameter;
	uint32_t length;
	unsigned code, type, slot, ep, flags;
};

struct udriver {
	struct rig r;
	struct wire line[4];
	struct pci_bus *bus;
	struct xhci *x;
	unsigned messages;      /* MSIs that came */
	uint32_t last_message;  /* data of the last one */
	uint32_t command_at, event_at;
	bool command_cycle, event_cycle;
	struct {
		uint32_t at;
		bool cycle;
	} ring[33][32];
	unsigned slot_of_port[XHCI_PORTS + 1];
};

/* Machine, controller with its BARs placed, no driver yet. */
void udriver_up(struct udriver *u);
void udriver_down(struct udriver *u);
/* Resets the controller and starts it with rings. Port status events are left in the ring. */
void udriver_start(struct udriver *u, bool msix);

uint32_t udriver_read(struct udriver *u, uint32_t off);
void udriver_write(struct udriver *u, uint32_t off, uint32_t v);
void udriver_bell(struct udriver *u, unsigned slot, unsigned target);
/* The main loop's turn. */
void udriver_spin(struct udriver *u);

/* The next event, if there is one. */
bool udriver_event(struct udriver *u, struct uevent *ev);
/* The next event that is not a port's; the test ends without one. */
struct uevent udriver_wait(struct udriver *u);
/* Runs a command; gives its completion code, and the slot when out is not NULL. */
unsigned udriver_command(struct udriver *u, unsigned type, uint64_t parameter, uint32_t control, unsigned *slot);
/* Puts a TRB on an endpoint's ring; gives its address. */
uint64_t udriver_put(struct udriver *u, unsigned slot, unsigned ep, uint64_t parameter, uint32_t status,
		     uint32_t control);

/* Port reset, slot, address. route 0: the device at the port itself. Gives the slot. */
unsigned udriver_address(struct udriver *u, unsigned port, uint32_t route);
/* A control request; the data is at U_DATA. Gives the code of the last stage; moved: bytes. */
unsigned udriver_control(struct udriver *u, unsigned slot, uint8_t type, uint8_t request, uint16_t value,
			 uint16_t index, uint16_t length, uint32_t *moved);
/* Configures these endpoints (bit per context index), interrupt when in `interrupt`, and sets configuration 1. */
void udriver_configure(struct udriver *u, unsigned slot, uint32_t eps, uint32_t interrupt);
/* A transfer of one part; gives the code, or 0 when the device had nothing. */
unsigned udriver_transfer(struct udriver *u, unsigned slot, unsigned ep, uint64_t at, uint32_t length, uint32_t *moved);
uint8_t *udriver_data(struct udriver *u);

#endif
