/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_serial.h"

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

int board_serial_create(struct board_serial *bs, struct vm *vm, uint16_t port, struct irq irq, struct chardev *line,
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
