/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller with keyboard and mouse, and the one-register devices. */
#include "drive.h"

#include "arch/x86/i8042.h"
#include "arch/x86/pvpanic.h"
#include "devices/legacy/debug_exit.h"
#include "display/input.h"

static void other(void *opaque, uint32_t a, uint64_t b)
{
	unsigned count = 0;

	while (key_at(count))
		count++;
	struct input_event ev = {
		.kind = a % (INPUT_KINDS - 1), /* nobody takes positions */
		.down = a >> 8 & 1,
		.key = key_at((a >> 16) % count),
		.button = (a >> 16) % BUTTON_COUNT,
		.axis = a >> 9 & 1,
		.value = (int32_t)b,
	};
	input_send(opaque, &ev, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	struct input *input;
	rig_up(&r, 0);
	if (input_create(&input, r.loop, NULL) ||
	    i8042_create(r.vm, (struct i8042_config){.irq = rig_wire(&out), .input = input}, NULL) ||
	    pvpanic_create(r.vm, (struct pvpanic_config){0}, NULL) ||
	    debug_exit_create(r.vm, (struct debug_exit_config){0}, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, 0x60, 5}, {REGION_PORT, 0x505, 1}, {REGION_PORT, 0xf4, 4}}, .ranges = 3,
		.other = other, .opaque = input,
	};
	fuzz_drive(&r, &plan, data, size);
	vm_destroy(r.vm);
	input_destroy(input);
	timerq_destroy(r.timers);
	loop_destroy(r.loop);
	return 0;
}
