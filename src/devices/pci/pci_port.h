/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI Express root port: a bridge of the root bus with one hot-plug slot behind it (PCI Express 3.0, 6.7 and 7.8.9 to
 * 7.8.11): presence detect, attention button, power controller, both indicators; no command completion (7.8.9, "No
 * Command Completed Support"), since commands take no time.
 *
 * Plugging: attach a function to slot 0 of pci_port_bus(), then pci_port_changed(). Unplugging: pci_port_push() presses
 * the attention button; when the guest has switched the slot's power and its light off, `ejected` is called, on a
 * vCPU's thread with the host's lock held, so it does no more than post; the function is then detached on the main
 * loop, and pci_port_changed() says so. A guest without a driver never answers; one that says no lights the power
 * indicator again without having switched the power off, and `refused` is called likewise. Pulling without asking is
 * allowed too (surprise removal).
 */
#ifndef PANAL_DEVICES_PCI_PCI_PORT_H
#define PANAL_DEVICES_PCI_PCI_PORT_H

#include "devices/pci/pci.h"

struct pci_port;

/* Power and attention indicators, as the guest set them (7.8.10). */
enum pci_indicator { PCI_INDICATOR_ON = 1, PCI_INDICATOR_BLINK = 2, PCI_INDICATOR_OFF = 3 };

struct pci_port_config {
	struct pci_bus *bus; /* the root bus */
	uint8_t slot, function;
	uint8_t number; /* physical slot and link, from 1 on, unique in the machine */
};

/* Owned by the machine. */
int pci_port_create(struct vm *vm, const struct pci_port_config *cfg, struct pci_port **out,
		    struct err *e) ATTR_MUST_USE;
struct pci_bus *pci_port_bus(struct pci_port *p);
void pci_port_on_eject(struct pci_port *p, void (*ejected)(void *opaque, struct pci_port *p), void *opaque);
void pci_port_on_refusal(struct pci_port *p, void (*refused)(void *opaque, struct pci_port *p));
/* Whether something is in the slot. Main loop. */
bool pci_port_filled(const struct pci_port *p);
/* The slot was filled or emptied: the guest hears of it. Main loop. */
void pci_port_changed(struct pci_port *p);
/* The attention button: the guest is asked to give the function up, as soon as it is done with switching it on.
 * -ENOENT: the slot is empty. Any thread. */
int pci_port_push(struct pci_port *p, struct err *e) ATTR_MUST_USE;
/* Did the guest switch the slot's power on? Any thread. */
bool pci_port_powered(struct pci_port *p);
enum pci_indicator pci_port_power_led(struct pci_port *p);

#endif
