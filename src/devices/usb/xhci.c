/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/usb/xhci_priv.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/state.h"

#include <stdlib.h>

enum { BAR_REGISTERS = 0, BAR_MSIX = 2, CLASS_XHCI = 0x0c0330, ROUNDS_MAX = 32 };
enum { VENDOR_REDHAT = 0x1b36, DEVICE_XHCI = 0x000d, REVISION = 1 }; /* which all systems take for a plain one */
enum { SERIAL_BUS_RELEASE = 0x60 };

struct usb_port *xhci_port(struct xhci *x, unsigned n)
{
	return n >= 1 && n <= XHCI_PORTS ? &x->port[n - 1] : NULL;
}

/* ---- work, on the main loop ---- */

void xhci_ring_all(struct xhci *x)
{
	for (unsigned n = 1; n <= XHCI_SLOTS; n++)
		for (unsigned ep = 1; ep < XHCI_EPS; ep++)
			if (x->slot[n].ep[ep].state == EP_RUNNING)
				x->bell[n] |= 1u << ep;
	if (x->crcr & CR_RUNNING)
		x->bell[0] |= 1;
	xhci_post(x);
}

static void controller_reset(struct xhci *x)
{
	for (unsigned n = 1; n <= XHCI_SLOTS; n++)
		xhci_slot_clear(&x->slot[n]);
	x->commands = (struct xhci_ring){ 0 };
	for (unsigned n = 0; n < XHCI_PORTS; n++)
		if (x->port[n].dev)
			usb_reset(x->port[n].dev);
	pthread_mutex_lock(&x->lock);
	xhci_regs_reset(x);
	pthread_mutex_unlock(&x->lock);
}

/* What was asked for since the last time. */
static bool take_bells(struct xhci *x, uint32_t bell[XHCI_SLOTS + 1])
{
	uint32_t any = 0;

	pthread_mutex_lock(&x->lock);
	if (x->live && x->usbcmd & CMD_RUN && !x->reset_due) {
		if (x->refill)
			xhci_ring_all(x);
		x->refill = false;
		x->bell[0] |= x->crcr_stop;
		memcpy(bell, x->bell, sizeof(x->bell));
		memset(x->bell, 0, sizeof(x->bell));
		for (unsigned n = 0; n <= XHCI_SLOTS; n++)
			any |= bell[n];
	}
	pthread_mutex_unlock(&x->lock);
	return any;
}

static void answer(struct xhci *x, const uint32_t bell[XHCI_SLOTS + 1])
{
	if (bell[0])
		xhci_commands(x);
	for (unsigned n = 1; n <= XHCI_SLOTS; n++)
		for (uint32_t due = bell[n]; due; due &= due - 1) {
			unsigned ep = (unsigned)__builtin_ctz(due);
			uint8_t *state = &x->slot[n].ep[ep].state;

			if (*state == EP_STOPPED) {
				*state = EP_RUNNING;
				xhci_ep_show(x, n, ep);
			}
			if (*state == EP_RUNNING)
				xhci_endpoint(x, n, ep);
		}
}

void xhci_work(void *opaque)
{
	struct xhci *x = opaque;
	uint32_t bell[XHCI_SLOTS + 1];
	bool reset;

	pthread_mutex_lock(&x->lock);
	x->posted = false;
	reset = x->live && x->reset_due;
	pthread_mutex_unlock(&x->lock);
	if (reset)
		controller_reset(x);
	xhci_ports_work(x);
	for (unsigned n = 0; n < ROUNDS_MAX; n++) {
		if (!take_bells(x, bell))
			return;
		answer(x, bell);
	}
	pthread_mutex_lock(&x->lock);
	xhci_post(x); /* others are waiting too */
	pthread_mutex_unlock(&x->lock);
}

/* ---- life ---- */

static void xhci_reset(void *impl)
{
	struct xhci *x = impl;

	pci_dev_reset(&x->pci);
	msix_reset(&x->msix);
	controller_reset(x);
}

static void xhci_run_state(void *impl, bool running)
{
	struct xhci *x = impl;

	pthread_mutex_lock(&x->lock);
	x->live = running;
	if (running)
		xhci_ring_all(x);
	pthread_mutex_unlock(&x->lock);
}

static void xhci_destroy(void *impl)
{
	struct xhci *x = impl;

	msix_destroy(&x->msix);
	pci_dev_detach(&x->pci);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

/* ---- saved state ---- */

static void before_save(void *obj)
{
	struct xhci *x = obj;

	for (unsigned n = 0; n < XHCI_INTRS; n++) {
		const struct xhci_intr *i = &x->intr[n];
		const uint64_t v[8] = { i->iman | (uint64_t)i->imod << 32, i->erstsz, i->erstba, i->erdp, i->enqueue,
					i->segment | (uint64_t)i->left << 32, i->started, i->cycle };

		memcpy(x->saved_intr[n], v, sizeof(v));
	}
	for (unsigned n = 0; n <= XHCI_SLOTS; n++) {
		const struct xhci_slot *s = &x->slot[n];

		x->saved_slot[n][0] = (s->enabled ? 1u << 31 : 0) | s->state;
		x->saved_slot[n][1] = s->root_port;
		x->saved_slot[n][2] = s->route;
		x->saved_context[n] = s->context;
		x->saved_setup[n] = load_le64(s->ep[1].setup);
		for (unsigned ep = 0; ep < XHCI_EPS; ep++) {
			const struct xhci_ep *p = &s->ep[ep];
			/* A bell that was rung and not heard yet starts it. */
			bool starts = p->state == EP_STOPPED && x->bell[n] >> ep & 1;

			x->saved_ep[n][ep] = (starts ? EP_RUNNING : p->state) | (uint32_t)p->type << 8 |
					     (uint32_t)p->stage << 16;
			x->saved_ring[n][ep] = p->ring.at | p->ring.cycle;
		}
	}
}

static void slot_loaded(struct xhci *x, unsigned n)
{
	struct xhci_slot *s = &x->slot[n];
	const uint32_t *v = x->saved_slot[n];

	*s = (struct xhci_slot){ .enabled = n && v[0] >> 31, .state = v[0] & 3, .route = v[2] & 0xfffff,
				 .context = x->saved_context[n] & ~UINT64_C(63) };
	s->root_port = v[1] <= XHCI_PORTS ? (uint8_t)v[1] : 0;
	for (unsigned ep = 1; ep < XHCI_EPS && s->enabled; ep++) {
		uint32_t e = x->saved_ep[n][ep];

		s->ep[ep] = (struct xhci_ep){ .state = e & 7, .type = e >> 8 & 7, .stage = e >> 16 & 3 };
		s->ep[ep].ring = (struct xhci_ring){ x->saved_ring[n][ep] & ~UINT64_C(15), x->saved_ring[n][ep] & 1 };
	}
	store_le64(s->ep[1].setup, x->saved_setup[n]);
}

static void intr_loaded(struct xhci_intr *i, const uint64_t *v)
{
	*i = (struct xhci_intr){ .iman = v[0] & 3, .imod = (uint32_t)(v[0] >> 32), .erstsz = v[1] & 0xffff,
				 .erstba = v[2] & ~UINT64_C(63), .erdp = v[3], .enqueue = v[4],
				 .segment = (uint32_t)v[5], .left = (uint32_t)(v[5] >> 32), .started = v[6] & 1,
				 .cycle = v[7] & 1 };
	i->started &= i->left > 0 && i->left <= XHCI_SEGMENT_MAX;
}

static int after_load(void *obj, uint16_t version, struct err *e)
{
	struct xhci *x = obj;
	int ret = pci_dev_loaded(&x->pci, e);

	if (ret == 0)
		ret = msix_loaded(&x->msix, e);
	if (ret < 0)
		return ret;
	for (unsigned n = 0; n <= XHCI_SLOTS; n++)
		slot_loaded(x, n);
	for (unsigned n = 0; n < XHCI_INTRS; n++)
		intr_loaded(&x->intr[n], x->saved_intr[n]);
	xhci_find_devices(x);
	pthread_mutex_lock(&x->lock);
	xhci_ring_all(x);
	xhci_intx(x);
	pthread_mutex_unlock(&x->lock);
	return 0;
}

static const struct state_field fields[] = {
	STATE_ARRAY(struct xhci, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_ARRAY(struct xhci, msix.table, STATE_BYTES, XHCI_INTRS * MSIX_ENTRY),
	STATE_FIELD(struct xhci, msix.pending, STATE_U64),
	STATE_FIELD(struct xhci, usbcmd, STATE_U32), STATE_FIELD(struct xhci, usbsts, STATE_U32),
	STATE_FIELD(struct xhci, dnctrl, STATE_U32), STATE_FIELD(struct xhci, config, STATE_U32),
	STATE_FIELD(struct xhci, crcr, STATE_U64), STATE_FIELD(struct xhci, dcbaap, STATE_U64),
	STATE_ARRAY(struct xhci, portsc, STATE_U32, XHCI_PORTS), STATE_FIELD(struct xhci, port_told, STATE_U32),
	STATE_FIELD(struct xhci, port_reset, STATE_U32),
	STATE_FIELD(struct xhci, reset_due, STATE_BOOL), STATE_FIELD(struct xhci, crcr_new, STATE_BOOL),
	STATE_FIELD(struct xhci, crcr_stop, STATE_BOOL), STATE_FIELD(struct xhci, starved, STATE_BOOL),
	STATE_FIELD(struct xhci, commands.at, STATE_U64), STATE_FIELD(struct xhci, commands.cycle, STATE_BOOL),
	STATE_ARRAY(struct xhci, saved_intr, STATE_U64, XHCI_INTRS * 8),
	STATE_ARRAY(struct xhci, saved_slot, STATE_U32, (XHCI_SLOTS + 1) * 3),
	STATE_ARRAY(struct xhci, saved_context, STATE_U64, XHCI_SLOTS + 1),
	STATE_ARRAY(struct xhci, saved_setup, STATE_U64, XHCI_SLOTS + 1),
	STATE_ARRAY(struct xhci, saved_ep, STATE_U32, (XHCI_SLOTS + 1) * XHCI_EPS),
	STATE_ARRAY(struct xhci, saved_ring, STATE_U64, (XHCI_SLOTS + 1) * XHCI_EPS),
	STATE_END,
};

static const struct state_desc xhci_state = {
	.name = "xhci", .version = 1, .fields = fields, .before_save = before_save, .after_load = after_load,
};

static const struct dev_type xhci_type = {
	.name = "xhci", .destroy = xhci_destroy, .reset = xhci_reset, .run_state = xhci_run_state, .state = &xhci_state,
	.state_size = sizeof(struct xhci),
};

static void set_up(struct xhci *x)
{
	static const uint8_t release[2] = { 0x30, 0x20 }; /* USB 3.0; frame length as it is (5.2.3, 5.2.4) */

	pci_bar_set(&x->pci, BAR_REGISTERS, &(struct pci_bar){ .size = XHCI_BAR, .is_64 = true, .ops = &xhci_regs_ops,
							       .opaque = x, .lock = &x->lock });
	pci_config_init(&x->pci, SERIAL_BUS_RELEASE, release, sizeof(release));
	msix_init(&x->msix, &x->pci, BAR_MSIX, XHCI_INTRS);
}

int xhci_create(struct vm *vm, const struct xhci_config *cfg, struct xhci **out, struct err *e)
{
	struct xhci *x = calloc(1, sizeof(*x));
	const struct pci_ident id = { .vendor = VENDOR_REDHAT, .device = DEVICE_XHCI, .class_code = CLASS_XHCI,
				      .revision = REVISION, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
				      .int_pin = 1 };
	int ret;

	if (!x)
		return err_set(e, -ENOMEM, "no memory for the USB controller");
	x->vm = vm;
	pthread_mutex_init(&x->lock, NULL);
	xhci_ports_init(x);
	ret = pci_dev_attach(&x->pci, cfg->bus, cfg->slot, cfg->function, "xhci", &id, e);
	if (ret < 0) {
		pthread_mutex_destroy(&x->lock);
		free(x);
		return ret;
	}
	set_up(x);
	xhci_regs_reset(x);
	ret = dev_attach(vm, &xhci_type, NULL, x, e);
	if (ret < 0)
		xhci_destroy(x);
	else
		*out = x;
	return ret;
}
