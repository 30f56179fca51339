/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices that write bytes to the outside and no more: the parallel port, the firmware's log. */
#include "rig.h"

#include "core/chardev.h"
#include "devices/legacy/debug_port.h"
#include "devices/legacy/parallel.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fix {
	struct rig r;
	struct loop *outside;
	struct chardev *out;
	struct wire irq;
	char path[32];
};

static int up(void **state)
{
	static struct fix f;
	char spec[48];
	f = (struct fix){.path = "/tmp/panal-lpt-XXXXXX"};
	close(mkstemp(f.path));
	snprintf(spec, sizeof(spec), "file:%s", f.path);
	rig_up(&f.r, 0);
	assert_int_equal(loop_create(&f.outside, NULL, NULL), 0);
	assert_int_equal(chardev_open(&f.out, spec, f.outside, NULL), 0);
	assert_int_equal(parallel_create(f.r.vm, (struct parallel_config){.irq = rig_wire(&f.irq), .out = f.out},
		NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	chardev_close(f->out);
	loop_destroy(f->outside);
	unlink(f->path);
	return 0;
}

static void print(struct fix *f, const char *text, uint8_t more)
{
	for (; *text; text++) {
		assert_int_equal(rig_in(&f->r, 0x379, 1) & 0x80, 0x80); /* not busy */
		rig_out(&f->r, 0x378, 1, (uint8_t)*text);
		rig_out(&f->r, 0x37a, 1, 0x0d | more);
		rig_out(&f->r, 0x37a, 1, 0x0c | more);
	}
}

/* The outside is closed; that is all that came there. */
static void wrote(struct fix *f, const char *want)
{
	char got[16] = "";
	chardev_close(f->out);
	f->out = NULL;
	int fd = open(f->path, O_RDONLY);
	assert_int_equal(read(fd, got, sizeof(got)), strlen(want));
	close(fd);
	assert_string_equal(got, want);
}

static void prints_to_a_file(void **state)
{
	struct fix *f = *state;
	print(f, "abc", 0);
	assert_int_equal(f->irq.rises, 0);
	print(f, "de", 0x10);
	assert_int_equal(f->irq.rises, 2);
	rig_out(&f->r, 0x37a, 1, 0x09); /* INIT is low: the printer does not listen */
	wrote(f, "abcde");
}

static void the_log_port_writes_what_it_gets(void **state)
{
	struct fix *f = *state;
	struct err e;
	assert_int_equal(rig_in(&f->r, 0x402, 1), 0xff); /* absent: no code is there */
	assert_int_equal(debug_port_create(f->r.vm, (struct debug_port_config){.port = 0x402}, NULL), 0);
	assert_int_equal(rig_in(&f->r, 0x402, 1), 0xff); /* without an outside neither */
	assert_int_equal(debug_port_create(f->r.vm, (struct debug_port_config){.port = 0x402, .out = f->out}, NULL), 0);
	assert_int_equal(debug_port_create(f->r.vm, (struct debug_port_config){.port = 0x402, .out = f->out}, &e),
			 -EEXIST);
	assert_int_equal(rig_in(&f->r, 0x402, 1), 0xe9); /* by which firmware knows that it is there */
	for (const char *t = "log\n"; *t; t++)
		rig_out(&f->r, 0x402, 1, (uint8_t)*t);
	rig_out(&f->r, 0x402, 4, 0x41424344); /* a byte wide: the rest of it is the next ports' */
	wrote(f, "log\nD");
}

static void registers(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_in(&f->r, 0x37a, 1), 0xcc);
	assert_int_equal(rig_in(&f->r, 0x379, 1), 0xdf);
	rig_out(&f->r, 0x378, 1, 0x5a);
	assert_int_equal(rig_in(&f->r, 0x378, 1), 0x5a);
	rig_out(&f->r, 0x37a, 1, 0x2d); /* strobe, and the data lines turned round */
	assert_int_equal(rig_in(&f->r, 0x378, 1), 0xff);
	rig_state_round_trip(&f->r, "parallel0");
	assert_int_equal(rig_in(&f->r, 0x379, 1), 0x9f); /* acknowledged, once */
	assert_int_equal(rig_in(&f->r, 0x379, 1), 0xdf);
	rig_reset(&f->r, "parallel0");
	assert_int_equal(rig_in(&f->r, 0x378, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(prints_to_a_file, up, down),
		cmocka_unit_test_setup_teardown(registers, up, down),
		cmocka_unit_test_setup_teardown(the_log_port_writes_what_it_gets, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
