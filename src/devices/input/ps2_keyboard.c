/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/input/ps2.h"

#include <string.h>

/* ---- the queue, which the mouse has too ---- */

bool ps2_take(struct ps2_queue *q, uint8_t *byte)
{
	if (!q->count)
		return false;
	*byte = q->byte[q->first];
	q->first = (q->first + 1) % PS2_QUEUE;
	q->count--;
	return true;
}

void ps2_put(struct ps2_queue *q, uint8_t byte)
{
	if (q->count < PS2_QUEUE)
		q->byte[(q->first + q->count++) % PS2_QUEUE] = byte;
}

bool ps2_room(const struct ps2_queue *q, unsigned bytes)
{
	return q->count + bytes <= PS2_QUEUE - PS2_ANSWER_ROOM;
}

bool ps2_queue_valid(const struct ps2_queue *q)
{
	return q->first < PS2_QUEUE && q->count <= PS2_QUEUE;
}

/* ---- commands ---- */

enum {
	KBD_LEDS = 0xed, KBD_ECHO = 0xee, KBD_SET = 0xf0, KBD_ID = 0xf2, KBD_RATE = 0xf3, KBD_ENABLE = 0xf4,
	KBD_DISABLE = 0xf5, KBD_DEFAULT = 0xf6, KBD_ALL_REPEAT = 0xf7, KBD_ALL_BREAK = 0xf8, KBD_ALL_MAKE = 0xf9,
	KBD_ALL = 0xfa, KBD_KEY_REPEAT = 0xfb, KBD_KEY_BREAK = 0xfc, KBD_KEY_MAKE = 0xfd, KBD_RESEND = 0xfe,
	KBD_RESET = 0xff,
};
enum { ACK = 0xfa, NAK = 0xfe, SELF_TEST_PASSED = 0xaa, RATE_DEFAULT = 0x2b };

static void defaults(struct ps2_keyboard *k)
{
	k->queue.count = 0;
	k->command = 0;
	k->set = 2;
	k->leds = 0;
	k->rate = RATE_DEFAULT;
	memset(k->no_break, 0, sizeof(k->no_break));
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	memset(k, 0, sizeof(*k));
	defaults(k);
	k->enabled = true;
}

static void answer(struct ps2_keyboard *k, uint8_t byte)
{
	ps2_put(&k->queue, byte);
}

/* The second byte of a command. */
static void argument(struct ps2_keyboard *k, uint8_t command, uint8_t value)
{
	bool valid = true;

	switch (command) {
	case KBD_LEDS: k->leds = value & 7; break;
	case KBD_RATE: k->rate = value & 0x7f; break;
	case KBD_SET:
		valid = value <= 3;
		if (valid && value)
			k->set = value;
		break;
	case KBD_KEY_BREAK: k->no_break[value / 8] &= (uint8_t)~(1u << value % 8); break;
	default: k->no_break[value / 8] |= (uint8_t)(1u << value % 8); break; /* KBD_KEY_REPEAT, KBD_KEY_MAKE */
	}
	answer(k, valid ? ACK : NAK);
	if (command == KBD_SET && valid && !value)
		answer(k, k->set);
}

static void simple(struct ps2_keyboard *k, uint8_t command)
{
	bool repeat_only = command == KBD_ALL_REPEAT || command == KBD_ALL_MAKE;

	if (command == KBD_DISABLE || command == KBD_DEFAULT || command == KBD_RESET)
		defaults(k);
	if (command == KBD_ENABLE || command == KBD_RESET)
		k->enabled = true;
	if (command == KBD_DISABLE)
		k->enabled = false;
	if (repeat_only || command == KBD_ALL_BREAK || command == KBD_ALL)
		memset(k->no_break, repeat_only ? 0xff : 0, sizeof(k->no_break));
	answer(k, ACK);
	if (command == KBD_ID) {
		answer(k, 0xab);
		answer(k, 0x83);
	}
	if (command == KBD_RESET)
		answer(k, SELF_TEST_PASSED);
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t value)
{
	uint8_t command = k->command;

	k->command = 0;
	if (command && value < KBD_LEDS) {
		argument(k, command, value);
		return;
	}
	switch (value) {
	case KBD_LEDS: case KBD_RATE: case KBD_SET: case KBD_KEY_REPEAT: case KBD_KEY_BREAK: case KBD_KEY_MAKE:
		k->command = value;
		answer(k, ACK);
		break;
	case KBD_ECHO: answer(k, KBD_ECHO); break;
	case KBD_RESEND: answer(k, k->last); break;
	case KBD_ID: case KBD_ENABLE: case KBD_DISABLE: case KBD_DEFAULT: case KBD_RESET: case KBD_ALL_REPEAT:
	case KBD_ALL_BREAK: case KBD_ALL_MAKE: case KBD_ALL:
		simple(k, value);
		break;
	default: answer(k, NAK);
	}
}

bool ps2_keyboard_take(struct ps2_keyboard *k, uint8_t *byte)
{
	if (!ps2_take(&k->queue, byte))
		return false;
	if (*byte != NAK)
		k->last = *byte;
	return true;
}

/* ---- keys ---- */

enum { CODES_MAX = 8, PRINT = KEY_EXTENDED | 0x7c };

/* Print comes with a shift, and Pause has a sequence of its own and no release. */
static unsigned codes_set2(uint16_t code, bool down, uint8_t *out)
{
	static const uint8_t pause[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
	static const uint8_t print_down[] = { 0xe0, 0x12, 0xe0, 0x7c };
	static const uint8_t print_up[] = { 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12 };
	unsigned n = 0;

	if (code == KEY_PAUSE) {
		memcpy(out, pause, sizeof(pause));
		return down ? sizeof(pause) : 0;
	}
	if (code == PRINT) {
		memcpy(out, down ? print_down : print_up, down ? sizeof(print_down) : sizeof(print_up));
		return down ? sizeof(print_down) : sizeof(print_up);
	}
	if (code & KEY_EXTENDED)
		out[n++] = 0xe0;
	if (!down)
		out[n++] = 0xf0;
	out[n++] = (uint8_t)code;
	return n;
}

/* Set 1 is set 2 as the controller would translate it. */
static unsigned codes_set1(uint16_t code, bool down, uint8_t *out)
{
	uint8_t set2[CODES_MAX];
	unsigned count = codes_set2(code, down, set2), n = 0;
	uint8_t release = 0;

	for (unsigned i = 0; i < count; i++) {
		if (set2[i] == 0xf0) {
			release = 0x80;
		} else {
			out[n++] = set2[i] >= 0xe0 ? set2[i] : key_set1(set2[i]) | release;
			release = 0;
		}
	}
	return n;
}

static unsigned codes_set3(const struct ps2_keyboard *k, uint8_t code, bool down, uint8_t *out)
{
	unsigned n = 0;

	if (!code || (!down && k->no_break[code / 8] >> code % 8 & 1))
		return 0;
	if (!down)
		out[n++] = 0xf0;
	out[n++] = code;
	return n;
}

void ps2_keyboard_key(struct ps2_keyboard *k, const struct key *key, bool down)
{
	uint8_t codes[CODES_MAX];
	unsigned count = 0;

	if (!k->enabled || (k->set != 3 && !key->set2))
		return;
	switch (k->set) {
	case 1: count = codes_set1(key->set2, down, codes); break;
	case 2: count = codes_set2(key->set2, down, codes); break;
	default: count = codes_set3(k, key->set3, down, codes);
	}
	/* A key is told wholly or not at all. */
	for (unsigned n = 0; ps2_room(&k->queue, count - n) && n < count; n++)
		ps2_put(&k->queue, codes[n]);
}
