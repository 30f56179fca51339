/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every register-level network card has in common: its place between the guest's driver, which writes registers on
 * vCPU threads, and the back end, which lives on its loop.
 *
 * A register write that gives the card something to do calls nic_kick; the card's work function then runs on the loop.
 * All callbacks run with the card's lock held. Frames from the guest go out by nic_send inside work; when the back end
 * has no room, work is called again as soon as it has.
 */
#ifndef PANAL_DEVICES_NET_NIC_H
#define PANAL_DEVICES_NET_NIC_H

#include "base/err.h"
#include "core/clock.h"
#include "net/net.h"
#include <pthread.h>

struct pci_bus;
struct vm;

/* What the creator of a card gives. */
struct nic_config {
	struct pci_bus *bus;
	uint8_t slot;
	struct timerq *timers; /* NULL: the machine's */
	struct net *net; /* NULL: no cable. The machine owns it when create succeeded */
	uint8_t mac[6];
	const uint8_t *rom; /* option ROM, borrowed as long as the card; NULL: none */
	size_t rom_size;
};
/* -EINVAL: a multicast or all-zero MAC. */
int nic_config_check(const struct nic_config *cfg, const char *name, struct err *e) ATTR_MUST_USE;

struct nic_ops {
	void (*work)(void *opaque);
	/* A frame of len bytes, without FCS; it is copied. False: the card has no room for another one. */
	bool (*receive)(void *opaque, const uint8_t *frame, size_t len);
	void (*link)(void *opaque, bool up);
};

enum { NIC_TX_MAX = 65536 + 1024 };

struct nic {
	/* constant after nic_init */
	const struct nic_ops *ops;
	void *opaque;
	struct net *net;
	struct net_client client;
	struct timer kick;

	pthread_mutex_t lock;
	bool running, up;
	bool tx_blocked; /* the back end has no room */
	bool rx_waits;   /* the back end waits for net_rx_ready */
	uint8_t rx[NET_FRAME_MAX];
};

void nic_init(struct nic *n, struct vm *vm, const struct nic_config *cfg, const struct nic_ops *ops, void *opaque);
/* The back end learns who receives: to be called when create can no longer fail. */
void nic_connect(struct nic *n);
/* Closes the back end, when close is true, and frees what is the card's. */
void nic_destroy(struct nic *n, bool close);
void nic_run_state(struct nic *n, bool running);

/* With the lock held. */
void nic_kick(struct nic *n);
/* In work: the card has room for frames. */
void nic_room(struct nic *n);
/* In work: false when the back end has no room; work is called again. */
bool nic_send(struct nic *n, const uint8_t *frame, size_t len);

#endif
