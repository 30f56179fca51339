/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A board whose making fails halfway: each back end belongs to somebody, and is closed once. */
#include "arch/x86/board.h"

#include "core/accel.h"
#include "core/chardev.h"
#include "core/loop.h"
#include "core/vm.h"
#include "images.h"
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct counted {
	struct net net;
	unsigned closed;
};

static void count_close(struct net *net)
{
	container_of(net, struct counted, net)->closed++;
}

static const struct net_ops counting = { .name = "counting", .close = count_close };

/* A kernel as a file that needs no folder. */
static int kernel_file(char *path, size_t size)
{
	static struct file f;
	int fd = memfd_create("kernel", 0);

	elf64_make(&f, 4096, 4096, true);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f.data, f.size), f.size);
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd;
}

/* Makes a board that cannot be made; cfg tells afterwards whose the back ends are. */
static void fail_with(struct board_config *cfg, const char *part, struct vm **vm, struct loop **loop)
{
	struct vm_config vc = { .accel = &accel_soft };
	struct board *b;
	struct err e = { 0 };

	assert_int_equal(loop_create(loop, NULL, &e), 0);
	vc.loop = *loop;
	assert_int_equal(vm_create(vm, &vc, &e), 0);
	assert_true(board_micro_create(*vm, cfg, &b, &e) < 0);
	if (!strstr(e.text, part))
		fail_msg("nothing of %s in: %s", part, e.text);
}

static struct board_config config(struct counted *card, unsigned count)
{
	struct board_config cfg = {
		.memory = 16 << 20, .cpus = 1, .topology = { 1, 1, 1 }, .net_count = count,
	};

	for (unsigned n = 0; n < count; n++) {
		card[n] = (struct counted){ .net.ops = &counting };
		cfg.net[n] = &card[n].net;
		memcpy(cfg.mac[n], (const uint8_t[]){ 0x52, 0x54, 0, 0, 0, (uint8_t)n }, 6);
	}
	return cfg;
}

static void test_before_devices(void **state)
{
	struct counted card[2];
	struct board_config cfg = config(card, 2);
	struct vm *vm;
	struct loop *loop;

	cfg.boot.kernel = "/nonexistent/kernel";
	fail_with(&cfg, "/nonexistent/kernel", &vm, &loop);
	vm_destroy(vm);
	for (unsigned n = 0; n < 2; n++) {
		assert_ptr_equal(cfg.net[n], &card[n].net);
		assert_int_equal(card[n].closed, 0);
	}
	loop_destroy(loop);
}

/* The second card's address is not possible: the first card has its device by then, the third never gets one. */
static void test_between_devices(void **state)
{
	struct counted card[3];
	struct board_config cfg = config(card, 3);
	struct vm *vm;
	struct loop *loop;
	char path[32];
	int fd = kernel_file(path, sizeof(path));

	cfg.boot.kernel = path;
	memset(cfg.mac[1], 0, 6);
	fail_with(&cfg, "MAC", &vm, &loop);
	assert_null(cfg.net[0]);
	assert_non_null(cfg.net[1]);
	assert_non_null(cfg.net[2]);
	vm_destroy(vm);
	assert_int_equal(card[0].closed, 1);
	assert_int_equal(card[1].closed + card[2].closed, 0);
	loop_destroy(loop);
	close(fd);
}

/* The last device fails: the console before it went with the machine, and ASan would see it closed twice or never. */
static void test_last_device(void **state)
{
	struct counted card[1];
	struct board_config cfg = config(card, 1);
	struct vm *vm;
	struct loop *loop, *outside;
	char path[32];
	int fd = kernel_file(path, sizeof(path));

	assert_int_equal(loop_create(&outside, NULL, NULL), 0);
	assert_int_equal(chardev_open(&cfg.console, "none", outside, NULL), 0);
	cfg.boot.kernel = path;
	cfg.vsock_path = "/nonexistent/vsock";
	cfg.vsock_cid = 3;
	fail_with(&cfg, "/nonexistent/vsock", &vm, &loop);
	assert_null(cfg.console);
	assert_null(cfg.net[0]);
	vm_destroy(vm);
	assert_int_equal(card[0].closed, 1);
	loop_destroy(loop);
	loop_destroy(outside);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_devices),
		cmocka_unit_test(test_between_devices),
		cmocka_unit_test(test_last_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
