/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI-X of one PCI function: capability, and table and pending bits in a BAR of their own (PCI 3.0, 6.8.2). */
#ifndef PANAL_DEVICES_PCI_MSIX_H
#define PANAL_DEVICES_PCI_MSIX_H

#include "base/err.h"
#include "core/irq.h"
#include <pthread.h>

struct pci_dev;

enum { MSIX_MAX = 64, MSIX_ENTRY = 16, MSIX_BAR_SIZE = 4096 };

/* A vector's eventfd, where messages can be bound to one (msi_sink.bind). */
struct msix_wire {
	int fd;         /* -1: none yet */
	bool known;     /* addr and data were tried */
	bool bound;     /* the signal raises them; else they are sent one by one */
	uint64_t addr;
	uint32_t data;
};

struct msix {
	/* constant after msix_init */
	struct pci_dev *dev;
	struct msi_sink sink;
	unsigned count;
	unsigned cap; /* offset in configuration space */

	/* lock: messages are sent, and bound, with it held; the accelerator's lock comes after it */
	pthread_mutex_t lock;
	bool enabled, masked; /* copies of the control word */
	uint8_t table[MSIX_MAX * MSIX_ENTRY];
	uint64_t pending; /* one bit a vector */
	struct msix_wire wire[MSIX_MAX];
};

/* Adds the capability and takes BAR number bar. 1 to MSIX_MAX vectors. The function is attached, nothing runs. */
void msix_init(struct msix *m, struct pci_dev *dev, unsigned bar, unsigned count);
void msix_destroy(struct msix *m);
void msix_reset(struct msix *m);
/* After table, pending and the function's configuration were loaded. */
int msix_loaded(struct msix *m, struct err *e) ATTR_MUST_USE;

/* True when the guest switched from the interrupt pin to messages. Any thread. */
bool msix_enabled(struct msix *m);
/* Sends the vector's message, or remembers it while masked. A vector that does not exist is ignored. Any thread. */
void msix_notify(struct msix *m, unsigned vector);

/* For pci.c: a configuration write; whether the byte at off is the capability's control word. */
void msix_config_written(struct msix *m, unsigned off, unsigned width);
bool msix_owns(const struct msix *m, unsigned off);

#endif
