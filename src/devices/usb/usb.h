/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB devices and the ports that they are plugged into (USB 2.0 chapter 9, USB 3.2 chapter 9).
 *
 * A device answers at once: what it has nothing for yet it refuses (USB_NAK), and calls usb_wakeup when it has. So no
 * transfer is ever under way, and a controller has nothing to cancel, to wait for or to save. Main loop, all of it.
 */
#ifndef PANAL_DEVICES_USB_USB_H
#define PANAL_DEVICES_USB_USB_H

#include "base/err.h"
#include "devices/storage/xfer.h"

#include <errno.h>

struct usb_dev;
struct usb_port;

enum usb_speed { USB_FULL, USB_LOW, USB_HIGH, USB_SUPER, USB_SPEEDS };
enum { USB_NAK = -EAGAIN, USB_STALL = -EPIPE };
enum { USB_IN = 0x80, USB_TIERS = 5, USB_CONTROL_MAX = 65535, USB_PORTS_MAX = 15 };

enum usb_request_type {
	USB_TYPE_CLASS = 0x20, USB_TYPE_VENDOR = 0x40, USB_TYPE_MASK = 0x60, USB_TO_DEVICE = 0, USB_TO_INTERFACE = 1,
	USB_TO_ENDPOINT = 2, USB_TO_OTHER = 3,
};
enum usb_request {
	USB_GET_STATUS = 0, USB_CLEAR_FEATURE = 1, USB_SET_FEATURE = 3, USB_SET_ADDRESS = 5, USB_GET_DESCRIPTOR = 6,
	USB_GET_CONFIGURATION = 8, USB_SET_CONFIGURATION = 9, USB_GET_INTERFACE = 10, USB_SET_INTERFACE = 11,
	USB_SET_SEL = 48, USB_SET_ISOCH_DELAY = 49,
};
enum usb_descriptor {
	USB_DT_DEVICE = 1, USB_DT_CONFIG = 2, USB_DT_STRING = 3, USB_DT_INTERFACE = 4, USB_DT_ENDPOINT = 5,
	USB_DT_QUALIFIER = 6, USB_DT_OTHER_SPEED = 7, USB_DT_BOS = 15, USB_DT_HID = 0x21, USB_DT_REPORT = 0x22,
	USB_DT_HUB = 0x29, USB_DT_SS_COMPANION = 0x30,
};

struct usb_setup {
	uint8_t type, request;
	uint16_t value, index, length;
};

/* What a device tells of itself at one speed. Constant data; one configuration. */
struct usb_desc {
	const uint8_t *device, *config; /* config: with its interfaces and endpoints */
	uint16_t config_size;
	const uint8_t *bos; /* NULL: none */
	uint16_t bos_size;
};

struct usb_ops {
	/* A request that is not a standard one, or that asks for a descriptor of its own. data has room for
	 * USB_CONTROL_MAX; to the device: length bytes are in it. Bytes to the host, or USB_STALL. NULL: none. */
	int (*control)(struct usb_dev *d, const struct usb_setup *s, uint8_t *data);
	/* A transfer of endpoint ep (with USB_IN): moves what there is by xfer_put, or takes all of x->room by
	 * xfer_get. 0, USB_NAK or USB_STALL. The device is configured, the endpoint is one of its descriptors'. */
	int (*data)(struct usb_dev *d, uint8_t ep, struct xfer *x);
	/* The configuration or the halt of an endpoint changed, or the bus was reset. NULL: no matter. */
	void (*reset)(struct usb_dev *d);
	void (*unhalted)(struct usb_dev *d, uint8_t ep);
	/* A hub's port, from 1; NULL: there is none. */
	struct usb_port *(*port)(struct usb_dev *d, unsigned n);
};

struct usb_dev {
	/* constant from the start */
	const struct usb_ops *ops;
	const struct usb_desc *desc[USB_SPEEDS]; /* NULL: not at this speed */
	const char *const *string;               /* by index from 1, NULL ends */
	const char *serial;                      /* the string after those; NULL: none. Borrowed */

	struct usb_port *port; /* NULL: unplugged */
	enum usb_speed speed;
	/* saved */
	uint8_t configuration; /* 0: not configured */
	bool remote_wakeup;
	uint32_t halted; /* a bit an endpoint: 0 to 15 OUT, 16 to 31 IN */
};

#define USB_STATE_FIELDS(type) \
	STATE_FIELD(type, usb.configuration, STATE_U8), STATE_FIELD(type, usb.remote_wakeup, STATE_BOOL), \
	STATE_FIELD(type, usb.halted, STATE_U32)

struct usb_port_ops {
	/* Something was plugged into this port, or pulled out of it or of a hub behind it. */
	void (*changed)(struct usb_port *p, bool here);
	/* A device here or behind has data for an endpoint that it refused before. */
	void (*wakeup)(struct usb_port *p, struct usb_dev *d, uint8_t ep);
};

struct usb_port {
	const struct usb_port_ops *ops;
	void *opaque;
	unsigned n;      /* from 1 */
	unsigned speeds; /* a bit per enum usb_speed */
	struct usb_dev *dev;
};

/* Plugs it in, at the highest speed that both know. -EBUSY, -EINVAL: no such speed. */
int usb_attach(struct usb_port *p, struct usb_dev *d, struct err *e) ATTR_MUST_USE;
void usb_detach(struct usb_dev *d); /* one that is not plugged in is allowed */

/* The bus was reset: no configuration. */
void usb_reset(struct usb_dev *d);
/* Bytes to the host (at most s->length; 0 for those from it), or USB_STALL. */
int usb_control(struct usb_dev *d, const struct usb_setup *s, uint8_t *data);
/* 0, USB_NAK or USB_STALL; x->moved tells how much. */
int usb_data(struct usb_dev *d, uint8_t ep, struct xfer *x);
void usb_wakeup(struct usb_dev *d, uint8_t ep);
/* The endpoint's place in usb_dev.halted. */
uint32_t usb_ep_bit(uint8_t ep);

/* The device at a route below a root port: four bits a hub, the nearest one lowest (USB 3.2, 8.9). */
struct usb_dev *usb_at(const struct usb_port *root, uint32_t route);

#endif
