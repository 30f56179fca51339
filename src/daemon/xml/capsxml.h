/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host and its machines can do, as documents: capabilities (call 7) and domain capabilities (call 342), which
 * make clients choose settings that work, and the processor's part of it. Any thread; nothing is kept.
 */
#ifndef PANAL_DAEMON_XML_CAPSXML_H
#define PANAL_DAEMON_XML_CAPSXML_H

#include "base/err.h"

struct capsxml {
	const uint8_t *uuid;  /* of the host, 16 bytes */
	const char *sysroot;  /* before /sys and /proc; "" outside tests */
	const char *emulator; /* path of panal-vmm; NULL: where it is installed */
};

/* Free the text. NULL: out of memory. */
char *capsxml_capabilities(const struct capsxml *c) ATTR_MUST_USE;

/* Arguments may be NULL: the usual one. Free *out. Errors: -EINVAL (architecture, machine, type or emulator that is not
 * there; libvirt's INVALID_ARG), -ENOMEM. */
int capsxml_domain(char **out, const struct capsxml *c, const char *emulator, const char *arch, const char *machine,
		   const char *virttype, struct err *e) ATTR_MUST_USE;

/* A <sysinfo type='smbios'> of the host, from /sys/class/dmi (call 203). */
char *capsxml_sysinfo(const struct capsxml *c) ATTR_MUST_USE;

#endif
