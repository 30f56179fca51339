/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parts of the xHCI controller (Intel's specification 1.0; sections in comments are its).
 *
 * vCPUs read and write the registers, under the controller's lock; that includes the event rings, which anybody may
 * fill. All else happens on the main loop: a doorbell sets a bit and posts xhci_work. So rings, slots and devices need
 * no lock.
 */
#ifndef PANAL_DEVICES_USB_XHCI_PRIV_H
#define PANAL_DEVICES_USB_XHCI_PRIV_H

#include "base/log.h"
#include "core/vm.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci.h"
#include "devices/usb/xhci.h"

#include <pthread.h>

enum { XHCI_SLOTS = 32, XHCI_EPS = 32, XHCI_INTRS = 4, XHCI_BAR = 0x4000, XHCI_TD_MAX = 1024,
       XHCI_SEGMENT_MAX = 4096 /* TRBs of an event ring's segment (6.5) */ };

/* Operational registers that parts share (5.4). */
enum { CMD_RUN = 1 << 0, CMD_RESET = 1 << 1, CMD_INTE = 1 << 2, CMD_SAVE = 1 << 8, CMD_RESTORE = 1 << 9 };
enum {
	STS_HALTED = 1 << 0, STS_HOST_ERROR = 1 << 2, STS_EVENT = 1 << 3, STS_PORT = 1 << 4,
	STS_RESTORE_ERROR = 1 << 10, STS_NOT_READY = 1 << 11, STS_CONTROLLER_ERROR = 1 << 12,
};
enum { CR_CYCLE = 1, CR_STOP = 2, CR_ABORT = 4, CR_RUNNING = 8 };

/* PORTSC (5.4.8) */
enum {
	PORT_CONNECTED = 1 << 0, PORT_ENABLED = 1 << 1, PORT_RESET = 1 << 4, PORT_LINK = 15 << 5, PORT_LINK_AT = 5,
	PORT_POWER = 1 << 9, PORT_SPEED = 15 << 10, PORT_SPEED_AT = 10, PORT_LINK_WRITE = 1 << 16,
	PORT_CONNECT_CHANGE = 1 << 17, PORT_ENABLE_CHANGE = 1 << 18, PORT_WARM_CHANGE = 1 << 19,
	PORT_RESET_CHANGE = 1 << 21, PORT_LINK_CHANGE = 1 << 22, PORT_CHANGES = 0x7f << 17,
	PORT_STICKY = 3 << 14 | 7 << 25, /* indicator, wake bits */
};
#define PORT_WARM_RESET 0x80000000u
enum xhci_link { LINK_U0 = 0, LINK_U3 = 3, LINK_DISABLED = 4, LINK_DETECT = 5, LINK_POLLING = 7, LINK_RESUME = 15 };

/* TRB types (6.4.6) and the bits of their last word that parts share. */
enum {
	TRB_NORMAL = 1, TRB_SETUP = 2, TRB_DATA = 3, TRB_STATUS = 4, TRB_ISOCH = 5, TRB_LINK = 6, TRB_EVENT_DATA = 7,
	TRB_NOOP = 8, TRB_ENABLE_SLOT = 9, TRB_DISABLE_SLOT = 10, TRB_ADDRESS_DEVICE = 11, TRB_CONFIGURE = 12,
	TRB_EVALUATE = 13, TRB_RESET_EP = 14, TRB_STOP_EP = 15, TRB_SET_DEQUEUE = 16, TRB_RESET_DEVICE = 17,
	TRB_NOOP_COMMAND = 23, TRB_TRANSFER_EVENT = 32, TRB_COMMAND_EVENT = 33, TRB_PORT_EVENT = 34,
};
enum {
	TRB_SIZE = 16, TRB_CYCLE = 1 << 0, TRB_TOGGLE = 1 << 1, TRB_SHORT = 1 << 2, TRB_CHAIN = 1 << 4,
	TRB_IOC = 1 << 5, TRB_IMMEDIATE = 1 << 6, TRB_BLOCK_INTERRUPT = 1 << 9, TRB_TYPE_AT = 10,
	TRB_DIRECTION_IN = 1 << 16, EVENT_OF_DATA = 1 << 2,
};

enum xhci_code {
	CC_SUCCESS = 1, CC_TRANSACTION_ERROR = 4, CC_TRB_ERROR = 5, CC_STALL = 6, CC_NO_SLOTS = 9,
	CC_SLOT_NOT_ENABLED = 11, CC_EP_NOT_ENABLED = 12, CC_SHORT_PACKET = 13, CC_PARAMETER = 17,
	CC_CONTEXT_STATE = 19, CC_RING_STOPPED = 24, CC_STOPPED = 26,
};

struct xhci_trb {
	uint64_t at; /* guest address */
	uint64_t parameter;
	uint32_t status, control;
};

static inline unsigned trb_type(const struct xhci_trb *t)
{
	return t->control >> TRB_TYPE_AT & 63;
}

struct xhci_ring {
	uint64_t at; /* of the next TRB */
	bool cycle;
};

enum { SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };
enum { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR };
enum { EP_TYPE_CONTROL = 4 };
enum xhci_stage { STAGE_NONE, STAGE_SETUP, STAGE_DONE };

struct xhci_ep {
	uint8_t state, type;
	bool waiting;  /* the device refused the transfer at the ring's head */
	uint8_t stage; /* control: STAGE_SETUP: a request came and was not executed yet */
	uint8_t setup[8];
	struct xhci_ring ring;
};

struct xhci_slot {
	bool enabled;
	uint8_t state, root_port;
	uint32_t route;
	uint64_t context; /* guest address of the output device context */
	struct usb_dev *dev;
	struct xhci_ep ep[XHCI_EPS]; /* by device context index, 1 to 31 */
};

struct xhci_intr {
	uint32_t iman, imod, erstsz;
	uint64_t erstba, erdp;
	/* the producer's side */
	bool started, cycle;
	uint32_t segment, left; /* segment in use; TRBs left in it */
	uint64_t enqueue;
};

struct xhci {
	struct pci_dev pci;
	struct msix msix;
	struct vm *vm;
	struct log_limit limit;

	pthread_mutex_t lock;
	uint32_t usbcmd, usbsts, dnctrl, config;
	uint64_t crcr, dcbaap;
	uint32_t portsc[XHCI_PORTS];
	uint32_t port_told, port_untold; /* bits: an event was sent for the changes; one is due and had no room */
	uint32_t port_reset;             /* bits: the guest asked for a reset that is not done */
	struct xhci_intr intr[XHCI_INTRS];
	uint32_t bell[XHCI_SLOTS + 1]; /* a bit a doorbell target; [0]: the command ring */
	bool reset_due, posted, live;  /* live: the machine runs */
	bool crcr_new, crcr_stop;      /* the guest wrote a ring's address; it wants the ring stopped */
	bool starved, refill;          /* something waits for room in an event ring; there may be some again */

	/* main loop */
	struct usb_port port[XHCI_PORTS];
	struct xhci_ring commands;
	struct xhci_slot slot[XHCI_SLOTS + 1]; /* from 1 */
	struct xhci_trb td[XHCI_TD_MAX];       /* the transfer being executed */
	unsigned td_count;
	struct xfer x;
	uint8_t control[USB_CONTROL_MAX + 1];

	/* saved state only */
	uint32_t saved_slot[XHCI_SLOTS + 1][3];
	uint64_t saved_context[XHCI_SLOTS + 1];
	uint64_t saved_setup[XHCI_SLOTS + 1];
	uint32_t saved_ep[XHCI_SLOTS + 1][XHCI_EPS];
	uint64_t saved_ring[XHCI_SLOTS + 1][XHCI_EPS];
	uint64_t saved_intr[XHCI_INTRS][8];
};

/* xhci_regs.c: lock */
extern const struct region_ops xhci_regs_ops;
void xhci_regs_reset(struct xhci *x);
void xhci_post(struct xhci *x); /* has xhci_work run */
void xhci_ring_all(struct xhci *x); /* as if the guest rang for every endpoint that runs; main loop, lock */

/* xhci_event.c */
struct xhci_event {
	unsigned type, code, slot, ep, intr;
	uint64_t parameter;
	uint32_t length; /* 24 bits */
	uint32_t flags;
	bool quiet; /* no interrupt for it */
};
void xhci_event_put(struct xhci *x, const struct xhci_event *ev); /* lock */
void xhci_event(struct xhci *x, const struct xhci_event *ev);     /* without the lock */
bool xhci_event_room(struct xhci *x, unsigned intr);              /* for a transfer's; without the lock */
bool xhci_event_one_free(struct xhci *x, unsigned intr);          /* lock */
void xhci_event_wrote_dequeue(struct xhci *x, unsigned intr, uint64_t value);
void xhci_intx(struct xhci *x); /* lock */

/* xhci_ring.c: main loop */
/* The next TRB that the guest has given, behind links. False: none, or the ring is broken (then ring->at is 0). */
bool xhci_ring_next(struct xhci *x, struct xhci_ring *r, struct xhci_trb *out);
/* A whole transfer descriptor into x->td. False: it is not complete, or broken. The ring is moved only if true. */
bool xhci_ring_td(struct xhci *x, struct xhci_ring *r);

/* xhci_context.c: main loop */
unsigned xhci_address_device(struct xhci *x, unsigned slot, uint64_t input, bool block);
unsigned xhci_configure(struct xhci *x, unsigned slot, uint64_t input, bool deconfigure);
unsigned xhci_evaluate(struct xhci *x, unsigned slot, uint64_t input);
unsigned xhci_reset_device(struct xhci *x, unsigned slot);
/* Writes the endpoint's state and ring into the guest's context. */
void xhci_ep_show(struct xhci *x, unsigned slot, unsigned ep);
void xhci_slot_clear(struct xhci_slot *s);

/* xhci_command.c: main loop */
void xhci_commands(struct xhci *x);

/* xhci_transfer.c: main loop */
void xhci_endpoint(struct xhci *x, unsigned slot, unsigned ep);
void xhci_ep_stopped(struct xhci *x, unsigned slot, unsigned ep); /* says what was under way */

/* xhci_port.c */
void xhci_ports_init(struct xhci *x);
void xhci_ports_reset(struct xhci *x); /* the controller's reset; lock */
void xhci_ports_work(struct xhci *x);  /* resets that the guest asked for; main loop, without the lock */
void xhci_port_write(struct xhci *x, unsigned n, uint32_t v); /* lock */
void xhci_ports_tell(struct xhci *x);  /* events that are due; lock */
/* Finds the slots' devices anew. Main loop. */
void xhci_find_devices(struct xhci *x);

/* xhci.c: main loop */
void xhci_work(void *opaque);

#endif
