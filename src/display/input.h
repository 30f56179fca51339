/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input: what people do at a display (or a program does by the control socket) on its way to the machine's keyboard and
 * mouse. An event is a value; whoever takes events registers a sink, and an event goes to the sink that was added
 * last among those which take its kind and whose driver in the guest is ready.
 *
 * Main loop, all of it; sinks lock their own state.
 */
#ifndef PANAL_DISPLAY_INPUT_H
#define PANAL_DISPLAY_INPUT_H

#include "base/err.h"
#include "display/keys.h"

struct input;
struct loop;

enum input_kind { INPUT_KEY, INPUT_BUTTON, INPUT_REL, INPUT_ABS, INPUT_KINDS };
enum input_button {
	BUTTON_LEFT, BUTTON_MIDDLE, BUTTON_RIGHT, BUTTON_WHEEL_UP, BUTTON_WHEEL_DOWN, BUTTON_SIDE, BUTTON_EXTRA,
	BUTTON_WHEEL_LEFT, BUTTON_WHEEL_RIGHT, BUTTON_TOUCH, BUTTON_COUNT
};
enum input_axis { AXIS_X, AXIS_Y };
enum { INPUT_ABS_MAX = 0x7fff }; /* positions go from 0 to this on both axes */

struct input_event {
	enum input_kind kind;
	bool down;             /* INPUT_KEY, INPUT_BUTTON; a wheel's step is down, then up */
	const struct key *key; /* INPUT_KEY */
	enum input_button button;
	enum input_axis axis; /* INPUT_REL, INPUT_ABS */
	int32_t value;
};

enum { INPUT_SINKS_MAX = 8, INPUT_QUEUE_MAX = 256, INPUT_HOLD_MS = 100 };

struct input_sink {
	unsigned kinds; /* bit per enum input_kind */
	void (*event)(void *opaque, const struct input_event *ev);
	void (*sync)(void *opaque);  /* what came since the last one belongs together; may be NULL */
	bool (*ready)(void *opaque); /* NULL: always */
	void *opaque;
};

int input_create(struct input **out, struct loop *loop, struct err *e) ATTR_MUST_USE;
void input_destroy(struct input *in); /* NULL is allowed */

/* The sink is copied; -ENOSPC at INPUT_SINKS_MAX. input_detach takes off what has this opaque, if anything. */
int input_attach(struct input *in, const struct input_sink *sink, struct err *e) ATTR_MUST_USE;
void input_detach(struct input *in, void *opaque);

/* True when somebody takes events of this kind. */
bool input_takes(struct input *in, enum input_kind kind);
/* Delivers, in order; then tells each sink that got one that the group is complete. What nobody takes is dropped. */
void input_send(struct input *in, const struct input_event *ev, unsigned count);
/* Presses the keys one after the other, holds them for hold_ms, and lets them go in the opposite order; behind what
 * earlier calls have not done yet. -ENOBUFS: INPUT_QUEUE_MAX events wait already. */
int input_send_keys(struct input *in, const struct key *const *keys, unsigned count, unsigned hold_ms,
		    struct err *e) ATTR_MUST_USE;

/* The names of QMP; -1: no such name. */
int input_button_by_name(const char *name);
int input_axis_by_name(const char *name);

#endif
