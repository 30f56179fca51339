/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/net/microwire.h"

enum { COMMAND = 9, ADDRESS_BITS = 6, READ = 6 /* start bit and operation */ };

static bool data_out(const struct microwire *m, const uint16_t word[MICROWIRE_WORDS])
{
	unsigned bit, address = m->bits & (MICROWIRE_WORDS - 1);

	if (m->bits >> ADDRESS_BITS != READ || m->count < COMMAND)
		return true; /* ready */
	if (m->count == COMMAND)
		return false;
	bit = m->count - COMMAND - 1u;
	return word[(address + bit / 16) % MICROWIRE_WORDS] >> (15 - bit % 16) & 1;
}

void microwire_pins(struct microwire *m, const uint16_t word[MICROWIRE_WORDS], bool select, bool rises, bool in)
{
	if (!select) {
		m->count = 0;
		m->bits = 0;
	} else if (rises && (m->count || in)) { /* zeros before the start bit do not count */
		if (m->count < COMMAND)
			m->bits = m->bits << 1 | in;
		m->count = m->count == UINT8_MAX ? UINT8_MAX - 15 : m->count + 1;
	}
	m->out = data_out(m, word);
}
