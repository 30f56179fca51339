/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "devices/legacy/serial16550.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct fix {
	struct rig r;
	struct serial16550 *s;
	struct wire irq;
	uint8_t out[256];
	size_t out_len, accepts;
	unsigned rooms;
};

static size_t line_write(void *opaque, const uint8_t *buf, size_t len)
{
	struct fix *f = opaque;
	size_t n = len < f->accepts ? len : f->accepts;
	memcpy(f->out + f->out_len, buf, n);
	f->out_len += n;
	f->accepts -= n;
	return n;
}

static void line_room(void *opaque)
{
	struct fix *f = opaque;
	f->rooms++;
}

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){.accepts = 200};
	rig_up(&f.r, 0);
	struct serial16550_config cfg = {
		.irq = rig_wire(&f.irq), .timers = f.r.timers,
		.line = {.write = line_write, .room = line_room, .opaque = &f},
	};
	assert_int_equal(serial16550_create(f.r.vm, cfg, &f.s, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

static uint8_t in(struct fix *f, unsigned reg) { return rig_in(&f->r, 0x3f8 + reg, 1); }
static void out(struct fix *f, unsigned reg, uint8_t v) { rig_out(&f->r, 0x3f8 + reg, 1, v); }

static void probe_as_a_16550a(void **state)
{
	struct fix *f = *state;
	assert_int_equal(in(f, 2), 0x01);
	out(f, 2, 1);
	assert_int_equal(in(f, 2), 0xc1);
	out(f, 1, 0xff);
	assert_int_equal(in(f, 1), 0x0f);
	out(f, 7, 0x5a);
	assert_int_equal(in(f, 7), 0x5a);
	out(f, 3, 0x83), out(f, 0, 1), out(f, 1, 0);
	assert_int_equal(in(f, 0), 1);
	out(f, 3, 0x03);
	assert_int_equal(in(f, 5), 0x60);
	assert_int_equal(in(f, 6), 0xb0);
}

static void transmit_and_its_interrupt(void **state)
{
	struct fix *f = *state;
	out(f, 0, 'h');
	assert_false(f->irq.level);
	out(f, 1, 2);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0x02);
	assert_false(f->irq.level); /* reading the cause ends it */
	out(f, 0, 'i');
	assert_true(f->irq.level);
	assert_int_equal(f->out_len, 2);
	assert_memory_equal(f->out, "hi", 2);
}

static void back_pressure_outwards(void **state)
{
	struct fix *f = *state;
	f->accepts = 1;
	out(f, 2, 1);
	out(f, 1, 2);
	in(f, 2);
	out(f, 0, 'a'), in(f, 2);
	out(f, 0, 'b');
	assert_false(f->irq.level);
	assert_int_equal(in(f, 5) & 0x60, 0);
	f->accepts = 10;
	serial16550_writable(f->s);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 5) & 0x60, 0x60);
	assert_memory_equal(f->out, "ab", 2);
}

static void receive_without_fifo(void **state)
{
	struct fix *f = *state;
	out(f, 1, 1);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"xy", 2), 1);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0x04);
	assert_int_equal(in(f, 5) & 1, 1);
	unsigned before = f->rooms;
	assert_int_equal(in(f, 0), 'x');
	assert_int_equal(f->rooms, before + 1);
	assert_false(f->irq.level);
}

/* What comes while nobody listens waits outside: a driver clears the FIFO when it begins. */
static void nothing_before_the_guest_listens(void **state)
{
	struct fix *f = *state;
	out(f, 2, 7);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"early", 5), 0);
	assert_int_equal(serial16550_room(f->s), 0);
	assert_int_equal(f->rooms, 0);
	out(f, 1, 15); /* Linux looks whether a port's interrupts can be enabled */
	assert_int_equal(in(f, 1), 15);
	assert_int_equal(serial16550_room(f->s), 0);
	out(f, 1, 0);
	assert_int_equal(f->rooms, 0);
	out(f, 4, 3); /* DTR, RTS */
	assert_int_equal(f->rooms, 1);
	assert_int_equal(serial16550_room(f->s), 16);
	out(f, 4, 1);
	assert_int_equal(serial16550_room(f->s), 0);
	out(f, 1, 1);
	assert_int_equal(f->rooms, 2);
	out(f, 1, 3), out(f, 1, 1); /* no news: nobody is called for nothing */
	assert_int_equal(f->rooms, 2);
	out(f, 1, 15), in(f, 2); /* a handler at work */
	assert_int_equal(f->rooms, 3);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"early", 5), 5);
}

static void fifo_turned_on_late(void **state)
{
	struct fix *f = *state;
	out(f, 1, 5);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"ab", 2), 1);
	out(f, 2, 1), out(f, 2, 0x81);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"b", 1), 1);
	assert_int_equal(in(f, 0), 'a');
	assert_int_equal(in(f, 0), 'b');
}

/* EDK II's driver: it asks for the modem's state and its own control bits, and looks whether there is a byte. */
static void a_reader_that_asks_for_the_modem_too(void **state)
{
	struct fix *f = *state;
	out(f, 4, 1);
	for (unsigned n = 0; n < 15; n++)
		in(f, 6), in(f, 4), in(f, 5);
	assert_int_equal(serial16550_room(f->s), 0);
	in(f, 6), in(f, 4), in(f, 5);
	assert_int_not_equal(serial16550_room(f->s), 0);
}

/* A guest that writes looks at the line status before each byte; one that waits for input does nothing else. */
static void a_reader_without_interrupts(void **state)
{
	struct fix *f = *state;
	for (unsigned n = 0; n < 60; n++)
		in(f, 5), in(f, 5), out(f, 0, 'w');
	assert_int_equal(serial16550_room(f->s), 0);
	for (unsigned n = 0; n < 16; n++)
		in(f, 5);
	assert_int_equal(f->rooms, 1);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"k", 1), 1);
	assert_int_equal(in(f, 5) & 1, 1);
	assert_int_equal(in(f, 0), 'k');
	out(f, 0, 'k');
	assert_int_equal(serial16550_room(f->s), 1);
}

static void receive_trigger_and_timeout(void **state)
{
	struct fix *f = *state;
	out(f, 3, 0x83), out(f, 0, 1), out(f, 1, 0), out(f, 3, 0x03); /* 115200 8N1 */
	out(f, 2, 0x81); /* trigger at 8 */
	out(f, 1, 1);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"1234567", 7), 7);
	assert_false(f->irq.level);
	rig_advance(&f->r, 300000);
	assert_false(f->irq.level);
	rig_advance(&f->r, 60000); /* four characters: 347 us */
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0xcc);
	assert_int_equal(in(f, 0), '1');
	assert_false(f->irq.level); /* reading restarts the clock */
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"89", 2), 2);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0xc4);
	assert_int_equal(serial16550_room(f->s), 8);
	uint8_t many[32] = {0};
	assert_int_equal(serial16550_receive(f->s, many, sizeof(many)), 8);
	out(f, 2, 0x83); /* clears the receiver */
	assert_int_equal(in(f, 5) & 1, 0);
}

static void loopback(void **state)
{
	struct fix *f = *state;
	out(f, 4, 0x1a); /* loop, RTS, OUT2 */
	assert_int_equal(in(f, 6) & 0xf0, 0x90);
	out(f, 0, 0x77);
	assert_int_equal(in(f, 0), 0x77);
	assert_int_equal(f->out_len, 0);
	assert_int_equal(serial16550_receive(f->s, (const uint8_t *)"z", 1), 0);
	in(f, 6);
	out(f, 1, 8);
	out(f, 4, 0x10);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0x00);
	assert_int_equal(in(f, 6), 0x09); /* CTS and DCD fell */
	assert_false(f->irq.level);
}

static void overrun_and_break(void **state)
{
	struct fix *f = *state;
	out(f, 4, 0x10);
	out(f, 1, 4);
	out(f, 0, 1), out(f, 0, 2);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0x06);
	assert_int_equal(in(f, 5) & 0x03, 0x03);
	assert_false(f->irq.level);
	assert_int_equal(in(f, 0), 2);
	serial16550_break(f->s);
	assert_int_equal(in(f, 5) & 0x11, 0x11);
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	out(f, 2, 0x41), out(f, 1, 3), out(f, 3, 3);
	serial16550_receive(f->s, (const uint8_t *)"abc", 3);
	rig_state_round_trip(&f->r, "serial165500");
	assert_int_equal(in(f, 0), 'a');
	assert_int_equal(in(f, 0), 'b');
	assert_int_equal(in(f, 0), 'c');
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(probe_as_a_16550a), T(transmit_and_its_interrupt), T(back_pressure_outwards), T(receive_without_fifo),
		T(nothing_before_the_guest_listens), T(fifo_turned_on_late), T(a_reader_that_asks_for_the_modem_too),
		T(a_reader_without_interrupts),
		T(receive_trigger_and_timeout), T(loopback), T(overrun_and_break), T(saved_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
