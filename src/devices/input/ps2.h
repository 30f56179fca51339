/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two devices at the ends of PS/2 cables: keyboard and mouse, as the bytes that come and go. No locks and no
 * wires: the keyboard controller that owns them has those. (IBM PS/2 Hardware Interface Technical Reference, keyboards
 * and mouse; for the wheel the de-facto extension of the sample rates.)
 */
#ifndef PANAL_DEVICES_INPUT_PS2_H
#define PANAL_DEVICES_INPUT_PS2_H

#include "display/input.h"

/* Bytes on their way to the controller. Answers always find room: events leave PS2_ANSWER_ROOM free. */
enum { PS2_QUEUE = 64, PS2_ANSWER_ROOM = 16 };
struct ps2_queue {
	uint8_t byte[PS2_QUEUE];
	uint8_t first, count;
};
/* False: empty. */
bool ps2_take(struct ps2_queue *q, uint8_t *byte);
void ps2_put(struct ps2_queue *q, uint8_t byte); /* dropped when full */
bool ps2_room(const struct ps2_queue *q, unsigned bytes); /* for an event of so many */
bool ps2_queue_valid(const struct ps2_queue *q);

enum { PS2_KEYS_BYTES = 32 };
struct ps2_keyboard {
	struct ps2_queue queue;
	uint8_t command; /* whose second byte is awaited; 0: none */
	uint8_t set;     /* scan code set 1 to 3 */
	uint8_t leds;    /* bit 0 scroll, 1 num, 2 caps lock */
	uint8_t rate;
	uint8_t last; /* byte that was sent, for resend */
	bool enabled;
	uint8_t no_break[PS2_KEYS_BYTES]; /* bit per set 3 code: its release is not told */
};

void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t value); /* from the host */
void ps2_keyboard_key(struct ps2_keyboard *k, const struct key *key, bool down);
bool ps2_keyboard_take(struct ps2_keyboard *k, uint8_t *byte);

struct ps2_mouse {
	struct ps2_queue queue;
	uint8_t command;
	uint8_t id; /* 0: three bytes, 3: with a wheel, 4: and five buttons */
	uint8_t rate, resolution;
	uint8_t knock[2];      /* the two rates set before the last one */
	uint8_t buttons, told; /* bits left, right, middle, side, extra: now, and as the guest knows them */
	uint8_t last;
	bool enabled, remote, wrap, scaling;
	uint32_t dx, dy, dz; /* two's complement: movement that was not told; y grows upwards */
};

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t value);
/* INPUT_REL and INPUT_BUTTON; ps2_mouse_report makes packets of what has come, as far as there is room. */
void ps2_mouse_event(struct ps2_mouse *m, const struct input_event *ev);
void ps2_mouse_report(struct ps2_mouse *m);
bool ps2_mouse_take(struct ps2_mouse *m, uint8_t *byte);

#endif
