/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices that are a port: the report of a panic, the exit of test guests, the firmware's log. */
#include "drive.h"

#include "arch/x86/pvpanic.h"
#include "core/chardev.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/debug_port.h"

enum { PANIC = 0x505, EXIT = 0xf4, LOG = 0x402 };

static void must(int rc)
{
	if (rc)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct loop *outside; /* outlives the machine, as the log does */
	struct chardev *log;
	rig_up(&r, 0);
	must(loop_create(&outside, NULL, NULL));
	must(chardev_open(&log, "none", outside, NULL));
	must(pvpanic_create(r.vm, (struct pvpanic_config){.port = PANIC}, NULL));
	must(debug_exit_create(r.vm, (struct debug_exit_config){.port = EXIT}, NULL));
	must(debug_port_create(r.vm, (struct debug_port_config){.port = LOG, .out = log}, NULL));
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, PANIC, 1}, {REGION_PORT, EXIT, 4}, {REGION_PORT, LOG, 1}}, .ranges = 3,
	};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	chardev_close(log);
	loop_destroy(outside);
	return 0;
}
