/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket calls devices. */
#ifndef PANAL_VMM_NAMES_H
#define PANAL_VMM_NAMES_H

#include "base/err.h"
#include "control/control.h"

/* Of devices that are there from the start. */
struct device_names {
	char rng[CONTROL_ID_MAX], balloon[CONTROL_ID_MAX]; /* empty: none given */
	const char (*usb)[CONTROL_ID_MAX];                  /* by the numbers of the board's configuration */
};

/* Whether text is a name for a device: then it is copied. -EINVAL: it is not. */
int device_name(char out[CONTROL_ID_MAX], const char *text, struct err *e) ATTR_MUST_USE;

#endif
