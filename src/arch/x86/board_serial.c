/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_serial.h"

#include "arch/x86/gsi.h"
#include "core/chardev.h"
#include "core/vm.h"
#include "devices/legacy/serial16550.h"

static size_t line_write(void *opaque, const uint8_t *buf, size_t len)
{
	return chardev_write(((struct board_serial *)opaque)->line, buf, len);
}

static void line_room(void *opaque)
{
	chardev_rx_ready(((struct board_serial *)opaque)->line);
}

static size_t receive(void *opaque, const uint8_t *buf, size_t len)
{
	return serial16550_receive(((struct board_serial *)opaque)->port, buf, len);
}

static void writable(void *opaque)
{
	serial16550_writable(((struct board_serial *)opaque)->port);
}

static int create(struct board_serial *bs, struct vm *vm, uint16_t port, struct irq irq, struct chardev *line,
	struct err *e)
{
	const struct chardev_client client = { .receive = receive, .writable = writable, .opaque = bs };
	struct serial16550_config cfg = { .port = port, .irq = irq, .timers = vm->timers };
	int ret;

	bs->line = line;
	if (line)
		cfg.line = (struct serial_line){ .write = line_write, .room = line_room, .opaque = bs };
	ret = serial16550_create(vm, cfg, &bs->port, e);
	if (ret == 0 && line)
		chardev_set_client(line, &client);
	return ret;
}

const struct board_serial_place board_serial_place[BOARD_SERIALS] = {
	{ 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 },
};

static void shared_set(void *opaque, int n, bool level)
{
	struct board_serial_irq *s = opaque;
	unsigned bit = 1u << n, was = level ? atomic_fetch_or(&s->up, bit) : atomic_fetch_and(&s->up, ~bit);

	/* An edge of its own for each: the controller's input may be edge-triggered. */
	if (level && was && !(was & bit))
		irq_set(&s->out, false);
	irq_set(&s->out, level || (was & ~bit));
}

int board_serials_create(struct board_serials *bs, struct vm *vm, struct gsi *gsi, struct chardev *const *line,
                         unsigned count, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < BOARD_SERIALS && (n == 0 || n < count); n++) {
		struct board_serial_irq *shared = &bs->irq[n % 2];
		const struct board_serial_place *at = &board_serial_place[n];
		struct irq irq = { .set = shared_set, .opaque = shared, .n = (int)n };

		shared->out = gsi_isa(gsi, at->irq);
		ret = create(&bs->item[n], vm, at->port, irq, line[n], e);
	}
	return ret;
}
