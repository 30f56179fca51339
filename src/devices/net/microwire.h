/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A serial EEPROM of 64 words by its pins (93C46): a start bit, two bits of operation, six of address; then the words
 * from there on, highest bit first, after a zero. It can only be read: writes go nowhere. */
#ifndef PANAL_DEVICES_NET_MICROWIRE_H
#define PANAL_DEVICES_NET_MICROWIRE_H

#include "base/compiler.h"
#include <stdint.h>

enum { MICROWIRE_WORDS = 64 };

struct microwire {
	uint32_t bits; /* what came in since chip select */
	uint8_t count; /* clocks since the start bit */
	uint8_t out;   /* the data pin: 0 or 1 */
};

/* The pins have these levels now; rises: the clock went up just now. */
void microwire_pins(struct microwire *m, const uint16_t word[MICROWIRE_WORDS], bool select, bool rises, bool in);

#endif
