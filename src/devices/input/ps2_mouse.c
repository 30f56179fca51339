/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/input/ps2.h"

#include <string.h>

enum {
	MOUSE_SCALE_1 = 0xe6, MOUSE_SCALE_2 = 0xe7, MOUSE_RESOLUTION = 0xe8, MOUSE_STATUS = 0xe9, MOUSE_STREAM = 0xea,
	MOUSE_READ = 0xeb, MOUSE_WRAP_OFF = 0xec, MOUSE_WRAP = 0xee, MOUSE_REMOTE = 0xf0, MOUSE_ID = 0xf2,
	MOUSE_RATE = 0xf3, MOUSE_ENABLE = 0xf4, MOUSE_DISABLE = 0xf5, MOUSE_DEFAULT = 0xf6, MOUSE_RESEND = 0xfe,
	MOUSE_RESET = 0xff,
};
enum { ACK = 0xfa, NAK = 0xfe, SELF_TEST_PASSED = 0xaa, RATE_DEFAULT = 100, RESOLUTION_DEFAULT = 2 };
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_FIVE = 4 };
enum { LEFT = 1, RIGHT = 2, MIDDLE = 4, SIDE = 8, EXTRA = 16 };

static void defaults(struct ps2_mouse *m)
{
	m->rate = RATE_DEFAULT;
	m->resolution = RESOLUTION_DEFAULT;
	m->enabled = m->remote = m->scaling = m->wrap = false;
	m->command = 0;
	m->dx = m->dy = m->dz = 0;
	m->told = m->buttons;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	memset(m, 0, sizeof(*m));
	defaults(m);
}

static void answer(struct ps2_mouse *m, uint8_t byte)
{
	ps2_put(&m->queue, byte);
}

/* ---- movement ---- */

static int32_t limited(int32_t v, int32_t max)
{
	return v > max ? max : v < -max - 1 ? -max - 1 : v;
}

/* One packet; what does not fit in it stays for the next. */
static void packet(struct ps2_mouse *m)
{
	int32_t dx = limited((int32_t)m->dx, 255), dy = limited((int32_t)m->dy, 255), dz = 0;
	uint8_t b = m->buttons;

	answer(m, (uint8_t)(8 | (b & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
	answer(m, (uint8_t)dx);
	answer(m, (uint8_t)dy);
	if (m->id == ID_WHEEL) {
		dz = limited((int32_t)m->dz, 127);
		answer(m, (uint8_t)dz);
	} else if (m->id == ID_FIVE) {
		dz = limited((int32_t)m->dz, 7);
		answer(m, (uint8_t)((dz & 0x0f) | (b & SIDE ? 0x10 : 0) | (b & EXTRA ? 0x20 : 0)));
	}
	m->dx -= (uint32_t)dx;
	m->dy -= (uint32_t)dy;
	m->dz = m->id ? m->dz - (uint32_t)dz : 0;
	m->told = b;
}

void ps2_mouse_report(struct ps2_mouse *m)
{
	while (m->enabled && !m->remote && !m->wrap && ps2_room(&m->queue, 4) &&
	       (m->dx || m->dy || m->dz || m->told != m->buttons))
		packet(m);
}

/* No further than a few screens: what nobody takes does not pile up. */
static uint32_t moved(uint32_t sum, int32_t by)
{
	enum { FAR = 8192 };

	return (uint32_t)limited((int32_t)sum + limited(by, FAR), FAR);
}

void ps2_mouse_event(struct ps2_mouse *m, const struct input_event *ev)
{
	static const uint8_t bit[BUTTON_COUNT] = { [BUTTON_LEFT] = LEFT, [BUTTON_RIGHT] = RIGHT,
						   [BUTTON_MIDDLE] = MIDDLE, [BUTTON_SIDE] = SIDE,
						   [BUTTON_EXTRA] = EXTRA };

	if (ev->kind == INPUT_REL) {
		if (ev->axis == AXIS_X)
			m->dx = moved(m->dx, ev->value);
		else
			m->dy = moved(m->dy, -limited(ev->value, INT16_MAX));
	} else if (ev->button == BUTTON_WHEEL_UP || ev->button == BUTTON_WHEEL_DOWN) {
		if (ev->down)
			m->dz = moved(m->dz, ev->button == BUTTON_WHEEL_UP ? -1 : 1);
	} else {
		m->buttons = (uint8_t)(ev->down ? m->buttons | bit[ev->button] : m->buttons & ~bit[ev->button]);
	}
	if (!m->enabled) {
		m->dx = m->dy = m->dz = 0;
		m->told = m->buttons;
	}
}

/* ---- commands ---- */

/* Three rates in a row that nobody would set make it show its wheel, and then its other buttons. */
static void rate_set(struct ps2_mouse *m, uint8_t rate)
{
	if (m->knock[0] == 200 && m->knock[1] == 100 && rate == 80 && m->id == ID_PLAIN)
		m->id = ID_WHEEL;
	else if (m->knock[0] == 200 && m->knock[1] == 200 && rate == 80 && m->id == ID_WHEEL)
		m->id = ID_FIVE;
	m->knock[0] = m->knock[1];
	m->knock[1] = m->rate = rate;
}

static void status(struct ps2_mouse *m)
{
	uint8_t b = m->buttons;

	answer(m, (uint8_t)((b & LEFT ? 4 : 0) | (b & RIGHT ? 1 : 0) | (b & MIDDLE ? 2 : 0) | (m->scaling ? 0x10 : 0) |
			    (m->enabled ? 0x20 : 0) | (m->remote ? 0x40 : 0)));
	answer(m, m->resolution);
	answer(m, m->rate);
}

static void reset_command(struct ps2_mouse *m)
{
	m->queue.count = 0;
	m->id = ID_PLAIN;
	memset(m->knock, 0, sizeof(m->knock));
	defaults(m);
	answer(m, ACK);
	answer(m, SELF_TEST_PASSED);
	answer(m, m->id);
}

static void simple(struct ps2_mouse *m, uint8_t command)
{
	answer(m, ACK);
	switch (command) {
	case MOUSE_SCALE_1: m->scaling = false; break;
	case MOUSE_SCALE_2: m->scaling = true; break;
	case MOUSE_STATUS: status(m); break;
	case MOUSE_STREAM: m->remote = false; break;
	case MOUSE_REMOTE: m->remote = true; break;
	case MOUSE_WRAP: m->wrap = true; break;
	case MOUSE_READ: packet(m); break;
	case MOUSE_ID: answer(m, m->id); break;
	case MOUSE_ENABLE: m->enabled = true; break;
	case MOUSE_DISABLE: m->enabled = false; break;
	case MOUSE_DEFAULT: defaults(m); break;
	default: m->command = command; break; /* MOUSE_RESOLUTION, MOUSE_RATE */
	}
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t value)
{
	uint8_t command = m->command;

	m->command = 0;
	if (m->wrap && value != MOUSE_WRAP_OFF && value != MOUSE_RESET) {
		answer(m, value);
		return;
	}
	if (command == MOUSE_RESOLUTION || command == MOUSE_RATE) {
		if (command == MOUSE_RATE)
			rate_set(m, value);
		else
			m->resolution = value & 3;
		answer(m, ACK);
		return;
	}
	m->queue.count = 0; /* what was under way is not sent (mouse reference, "data transmission") */
	if (value == MOUSE_RESET)
		reset_command(m);
	else if (value == MOUSE_WRAP_OFF)
		m->wrap = false, answer(m, ACK);
	else if (value == MOUSE_RESEND)
		answer(m, m->last);
	else if (value < MOUSE_SCALE_1 || value == 0xed || value == 0xef || value == 0xf1 || value > MOUSE_DEFAULT)
		answer(m, NAK);
	else
		simple(m, value);
}

bool ps2_mouse_take(struct ps2_mouse *m, uint8_t *byte)
{
	if (!ps2_take(&m->queue, byte))
		return false;
	if (*byte != NAK)
		m->last = *byte;
	if (!m->queue.count)
		ps2_mouse_report(m);
	return true;
}
