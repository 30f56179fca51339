/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "devices/legacy/serial16550.h"

struct line {
	struct serial16550 *s;
	unsigned accepts;
};

static size_t line_write(void *opaque, const uint8_t *buf, size_t len)
{
	struct line *l = opaque;
	size_t n = len < l->accepts ? len : l->accepts;
	l->accepts -= n;
	return n;
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct line *l = opaque;
	if (a & 1) {
		serial16550_receive(l->s, (const uint8_t *)&b, (a >> 1) % 9);
	} else if (a & 2) {
		l->accepts = a >> 2 & 31;
		serial16550_writable(l->s);
	} else {
		serial16550_break(l->s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	struct line line = {0};
	rig_up(&r, 0);
	struct serial16550_config cfg = {
		.irq = rig_wire(&out), .timers = r.timers, .line = {.write = line_write, .opaque = &line},
	};
	if (serial16550_create(r.vm, cfg, &line.s, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_PORT, 0x3f8, 8}}, .ranges = 1, .other = other, .opaque = &line};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
