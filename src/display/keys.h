/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a keyboard under the names of QMP's QKeyCode, and what they are called elsewhere. Constant data. */
#ifndef PANAL_DISPLAY_KEYS_H
#define PANAL_DISPLAY_KEYS_H

#include "base/compiler.h"

enum {
	KEY_EXTENDED = 0xe000, /* of set2: the code has the prefix e0 */
	KEY_PAUSE = 0x0100,    /* of set2: the sequence that only Pause has */
};

struct key {
	const char *name;
	uint16_t linux_code; /* KEY_* of Linux's input-event-codes.h: virtio-input, evdev */
	uint16_t set2;       /* PS/2 scan code set 2, with KEY_EXTENDED; 0: a PS/2 keyboard has no such key */
	uint8_t set3;        /* PS/2 scan code set 3; 0: none */
	uint8_t hid;         /* usage of the keyboard page (USB HID usage tables, 10); 0: none */
};

/* NULL: no such key. */
const struct key *key_by_name(const char *name);
/* QMP's key numbers: the code of scan code set 1, with bit 7 for the prefix e0. */
const struct key *key_by_number(unsigned number);
/* All of them, for tests and drivers' lists. */
const struct key *key_at(unsigned n); /* NULL after the last */
/* What a keyboard controller that translates makes of a set 2 byte (make code 0-7f, 83, 84). */
uint8_t key_set1(uint8_t set2);

#endif
