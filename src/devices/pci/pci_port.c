/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci/pci_port.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_express.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { VENDOR_REDHAT = 0x1b36, DEVICE_ROOT_PORT = 0x000c, CLASS_BRIDGE = 0x060400 };

/* Slot capabilities: button, power controller, both indicators, surprise, hot-plug, no command completed. */
enum { CAP_BUTTON = 1 << 0, CAP_POWER = 1 << 1, CAP_LED_ATTENTION = 1 << 3, CAP_LED_POWER = 1 << 4,
       CAP_SURPRISE = 1 << 5, CAP_HOTPLUG = 1 << 6, CAP_NO_COMPLETION = 1 << 18, CAP_NUMBER_SHIFT = 19 };
/* The status bits lie where their enable bits do; LINK's are apart. */
enum { EVENT_BUTTON = 1 << 0, EVENT_PRESENCE = 1 << 3, STATUS_PRESENT = 1 << 6, EVENT_LINK = 1 << 8,
       EVENTS = EVENT_BUTTON | EVENT_PRESENCE | EVENT_LINK, STATUS_CLEARED = 0x11f };
enum { CONTROL_INTERRUPT = 1 << 5, CONTROL_ATTENTION_SHIFT = 6, CONTROL_POWER_LED_SHIFT = 8,
       CONTROL_POWER_OFF = 1 << 10, CONTROL_LINK = 1 << 12, CONTROL_BITS = 0x17ff, LED_MASK = 3 };

struct pci_port {
	struct pci_dev pci;
	struct pci_bus *behind;
	struct msix msix;
	unsigned express; /* offset of the capability */
	void (*ejected)(void *opaque, struct pci_port *p);
	void (*refused)(void *opaque, struct pci_port *p);
	void *opaque;
	/* the host's lock */
	uint16_t control_seen;
	bool asked;  /* the button was pressed, and the guest has not answered */
	bool later;  /* it is to be pressed when the guest is done with switching the slot on */
	bool raised; /* the interrupt's condition holds */
};

static uint8_t *reg(struct pci_port *p, unsigned off) { return &p->pci.config[p->express + off]; }

static bool filled(const struct pci_port *p)
{
	for (unsigned n = 0; n < PCI_FUNCTIONS; n++)
		if (pci_bus_dev(p->behind, (uint8_t)n))
			return true;
	return false;
}

/* --- the host's lock is held --- */

static void update_interrupt(struct pci_port *p)
{
	uint16_t control = load_le16(reg(p, EXPRESS_SLOT_CONTROL)), status = load_le16(reg(p, EXPRESS_SLOT_STATUS));
	uint16_t on = control & (EVENT_BUTTON | EVENT_PRESENCE);
	if (control & CONTROL_LINK)
		on |= EVENT_LINK;
	bool now = (control & CONTROL_INTERRUPT) && (status & on);
	if (now && !p->raised)
		msix_notify(&p->msix, 0);
	p->raised = now;
	pci_intx(&p->pci, now && !msix_enabled(&p->msix));
}

static void set_events(struct pci_port *p, uint16_t events)
{
	store_le16(reg(p, EXPRESS_SLOT_STATUS), load_le16(reg(p, EXPRESS_SLOT_STATUS)) | events);
}

static unsigned power_led(uint16_t control)
{
	return control >> CONTROL_POWER_LED_SHIFT & LED_MASK;
}

/* The guest is done with the slot: it switched the power off, and then, having waited, the light. */
static bool let_go(uint16_t control)
{
	return (control & CONTROL_POWER_OFF) && power_led(control) == PCI_INDICATOR_OFF;
}

/* Presence and link follow what is in the slot and its power. */
static void follow(struct pci_port *p, bool tell)
{
	bool present = filled(p), on = !(load_le16(reg(p, EXPRESS_SLOT_CONTROL)) & CONTROL_POWER_OFF);
	uint16_t status = load_le16(reg(p, EXPRESS_SLOT_STATUS)), link = load_le16(reg(p, EXPRESS_LINK_STATUS));
	bool active = present && on;
	uint16_t events = 0;
	if (present != !!(status & STATUS_PRESENT))
		events |= EVENT_PRESENCE;
	/* Who put a card into a slot without power presses the button too: drivers of a slot with one need not look at
	 * presence (6.7.1.3). One that is still busy with a card that was pulled looks again by itself. */
	if (present && (events & EVENT_PRESENCE) && let_go(load_le16(reg(p, EXPRESS_SLOT_CONTROL))))
		events |= EVENT_BUTTON;
	if (active != !!(link & EXPRESS_LINK_ACTIVE))
		events |= EVENT_LINK;
	status = (status & ~STATUS_PRESENT) | (present ? STATUS_PRESENT : 0);
	link = (link & ~EXPRESS_LINK_ACTIVE) | (active ? EXPRESS_LINK_ACTIVE : 0);
	store_le16(reg(p, EXPRESS_SLOT_STATUS), status);
	store_le16(reg(p, EXPRESS_LINK_STATUS), link);
	if (tell)
		set_events(p, events);
	if (!present)
		p->asked = p->later = false;
}

/* A function that lost its power has forgotten all. */
static void power_lost(struct pci_port *p)
{
	for (unsigned n = 0; n < PCI_FUNCTIONS; n++)
		if (pci_bus_dev(p->behind, (uint8_t)n))
			pci_dev_reset(pci_bus_dev(p->behind, (uint8_t)n));
}

/* Drivers ignore the button, or take it for a wish to stop, while they switch the slot on. */
static bool steady(uint16_t control)
{
	return !(control & CONTROL_POWER_OFF) && power_led(control) != PCI_INDICATOR_BLINK;
}

static void press(struct pci_port *p)
{
	p->later = false;
	p->asked = true;
	set_events(p, EVENT_BUTTON);
}

static void control_written(struct pci_port *p)
{
	uint16_t now = load_le16(reg(p, EXPRESS_SLOT_CONTROL)), before = p->control_seen;
	p->control_seen = now;
	if (p->asked && power_led(before) == PCI_INDICATOR_BLINK && power_led(now) == PCI_INDICATOR_ON &&
	    !(now & CONTROL_POWER_OFF)) {
		p->asked = false;
		if (p->refused)
			p->refused(p->opaque, p);
	}
	if ((now ^ before) & CONTROL_POWER_OFF) {
		if (now & CONTROL_POWER_OFF)
			power_lost(p);
		follow(p, true);
	}
	if (p->later && steady(now))
		press(p);
	if ((p->asked || p->later) && let_go(now) && !let_go(before) && p->ejected) {
		p->asked = p->later = false;
		p->ejected(p->opaque, p);
	}
}

/* Status bits are cleared by writing ones: the mask lets nothing through, so the value written comes here apart. */
static void config_cleared(struct pci_dev *d, unsigned off, unsigned width, uint32_t value)
{
	struct pci_port *p = container_of(d, struct pci_port, pci);
	for (unsigned n = 0; n < width; n++) {
		unsigned at = off + n - p->express - EXPRESS_SLOT_STATUS;
		if (at < 2)
			reg(p, EXPRESS_SLOT_STATUS)[at] &= ~(value >> 8 * n & (STATUS_CLEARED >> 8 * at) & 0xff);
	}
}

static void config_written(struct pci_dev *d, unsigned off, unsigned width)
{
	struct pci_port *p = container_of(d, struct pci_port, pci);
	pci_bridge_written(d, p->behind, off, width);
	if (range_overlap(off, width, p->express + EXPRESS_SLOT_CONTROL, 2))
		control_written(p);
	update_interrupt(p);
}

/* --- the outside --- */

struct pci_bus *pci_port_bus(struct pci_port *p)
{
	return p->behind;
}

void pci_port_on_eject(struct pci_port *p, void (*ejected)(void *opaque, struct pci_port *p), void *opaque)
{
	p->ejected = ejected;
	p->opaque = opaque;
}

void pci_port_on_refusal(struct pci_port *p, void (*refused)(void *opaque, struct pci_port *p))
{
	p->refused = refused;
}

bool pci_port_filled(const struct pci_port *p)
{
	return filled(p);
}

static pthread_mutex_t *lock_of(struct pci_port *p)
{
	return &pci_bus_root(p->pci.bus)->lock;
}

void pci_port_changed(struct pci_port *p)
{
	pthread_mutex_lock(lock_of(p));
	follow(p, true);
	update_interrupt(p);
	pthread_mutex_unlock(lock_of(p));
}

int pci_port_push(struct pci_port *p, struct err *e)
{
	pthread_mutex_lock(lock_of(p));
	bool there = filled(p);
	p->later = there;
	if (there && steady(load_le16(reg(p, EXPRESS_SLOT_CONTROL)))) {
		press(p);
		update_interrupt(p);
	}
	pthread_mutex_unlock(lock_of(p));
	return there ? 0 : err_set(e, -ENOENT, "%s: the slot is empty", p->pci.name);
}

bool pci_port_powered(struct pci_port *p)
{
	pthread_mutex_lock(lock_of(p));
	bool on = !(load_le16(reg(p, EXPRESS_SLOT_CONTROL)) & CONTROL_POWER_OFF);
	pthread_mutex_unlock(lock_of(p));
	return on;
}

enum pci_indicator pci_port_power_led(struct pci_port *p)
{
	pthread_mutex_lock(lock_of(p));
	unsigned led = power_led(load_le16(reg(p, EXPRESS_SLOT_CONTROL)));
	pthread_mutex_unlock(lock_of(p));
	return led ? (enum pci_indicator)led : PCI_INDICATOR_OFF;
}

/* --- life --- */

/* What is in the slot at power-on is switched on. */
static void port_reset(void *impl)
{
	struct pci_port *p = impl;
	pthread_mutex_lock(lock_of(p));
	pci_dev_reset(&p->pci);
	pci_bridge_written(&p->pci, p->behind, 0, PCI_CONFIG_SIZE);
	unsigned led = filled(p) ? PCI_INDICATOR_ON : PCI_INDICATOR_OFF;
	uint16_t control = (uint16_t)(led << CONTROL_POWER_LED_SHIFT | PCI_INDICATOR_OFF << CONTROL_ATTENTION_SHIFT |
				      (filled(p) ? 0 : CONTROL_POWER_OFF));
	store_le16(reg(p, EXPRESS_SLOT_CONTROL), control);
	p->control_seen = control;
	p->asked = p->later = p->raised = false;
	follow(p, false);
	pthread_mutex_unlock(lock_of(p));
}

static void port_destroy(void *impl)
{
	struct pci_port *p = impl;
	pci_bus_destroy(p->behind);
	pci_dev_detach(&p->pci);
	msix_destroy(&p->msix);
	free(p);
}

static int port_loaded(void *obj, uint16_t version, struct err *e)
{
	struct pci_port *p = obj;
	int rc = pci_dev_loaded(&p->pci, e);
	if (!rc)
		rc = msix_loaded(&p->msix, e);
	if (rc)
		return rc;
	pci_bridge_written(&p->pci, p->behind, 0, PCI_CONFIG_SIZE);
	p->control_seen = load_le16(reg(p, EXPRESS_SLOT_CONTROL));
	p->raised = false;
	update_interrupt(p);
	return 0;
}

static const struct state_field port_fields[] = {
	STATE_ARRAY(struct pci_port, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_ARRAY(struct pci_port, msix.table, STATE_BYTES, MSIX_ENTRY),
	STATE_FIELD(struct pci_port, msix.pending, STATE_U64),
	STATE_FIELD(struct pci_port, asked, STATE_BOOL),
	STATE_FIELD(struct pci_port, later, STATE_BOOL),
	STATE_END,
};

static const struct state_desc port_state = {
	.name = "pci-port", .version = 1, .fields = port_fields, .after_load = port_loaded,
};

static const struct dev_type port_type = {
	.name = "pci-port", .destroy = port_destroy, .reset = port_reset, .state = &port_state,
	.state_size = sizeof(struct pci_port),
};

static void slot_init(struct pci_port *p, uint8_t number)
{
	struct pci_dev *d = &p->pci;
	uint8_t caps[4];
	p->express = pci_express_add(d, EXPRESS_ROOT_PORT, number);
	store_le32(caps, CAP_BUTTON | CAP_POWER | CAP_LED_ATTENTION | CAP_LED_POWER | CAP_SURPRISE | CAP_HOTPLUG |
				 CAP_NO_COMPLETION | (uint32_t)number << CAP_NUMBER_SHIFT);
	pci_config_init(d, p->express + EXPRESS_SLOT_CAPS, caps, sizeof(caps));
	store_le16(&d->write_mask[p->express + EXPRESS_SLOT_CONTROL], CONTROL_BITS);
	store_le16(&d->write_mask[p->express + EXPRESS_ROOT_CONTROL], 0x1f);
	/* Not the guest's to write, but neither fixed: what is in the slot decides. */
	store_le16(&d->changing[p->express + EXPRESS_SLOT_STATUS], STATUS_CLEARED | STATUS_PRESENT);
	store_le16(&d->changing[p->express + EXPRESS_LINK_STATUS], EXPRESS_LINK_ACTIVE);
	msix_init(&p->msix, d, 0, 1);
	d->config_cleared = config_cleared;
	d->config_written = config_written;
}

int pci_port_create(struct vm *vm, const struct pci_port_config *cfg, struct pci_port **out, struct err *e)
{
	struct pci_port *p = calloc(1, sizeof(*p));
	struct pci_ident id = {.vendor = VENDOR_REDHAT, .device = DEVICE_ROOT_PORT, .class_code = CLASS_BRIDGE,
			       .int_pin = (uint8_t)(cfg->function % PCI_LINES + 1)};
	char name[32];
	if (!p)
		return err_set(e, -ENOMEM, "no memory for a PCI Express root port");
	snprintf(name, sizeof(name), "port%u", cfg->number);
	int rc = pci_dev_attach(&p->pci, cfg->bus, cfg->slot, cfg->function, name, &id, e);
	if (!rc)
		rc = pci_bridge_init(&p->pci, &p->behind, e);
	if (!rc) {
		slot_init(p, cfg->number);
		rc = dev_attach(vm, &port_type, name, p, e);
	}
	if (rc)
		port_destroy(p);
	else
		*out = p;
	return rc;
}
