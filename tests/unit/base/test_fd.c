/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_files(void **state)
{
	char path[] = "/tmp/panal-fd-XXXXXX";
	int fd = mkstemp(path);
	uint8_t *data;
	size_t len;
	struct err e;

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, "hello", 5), 0);
	close(fd);
	assert_int_equal(fd_read_file(path, 5, &data, &len, &e), 0);
	assert_int_equal(len, 5);
	assert_string_equal((char *)data, "hello");
	free(data);
	assert_int_equal(fd_read_file(path, 4, &data, &len, &e), -EFBIG);
	unlink(path);
	assert_int_equal(fd_read_file(path, 4, &data, &len, &e), -ENOENT);
	assert_int_equal(fd_read_file("/tmp", 4, &data, &len, &e), -EINVAL);
}

static void test_event(void **state)
{
	int fd = fd_event(NULL);

	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(fd_event_clear(fd));
	fd_event_signal(fd);
	fd_event_signal(fd);
	assert_true(fd_event_clear(fd));
	assert_false(fd_event_clear(fd));
	fd_close(&fd);
	assert_int_equal(fd, -1);
	fd_close(&fd);
}

static void test_memfd(void **state)
{
	struct err e;
	char b[8];
	int fd = fd_memfd("test", 4096, &e);

	assert_int_equal(fd_read_all(fd, b, sizeof(b)), 8);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4096);
	fd_close(&fd);
	assert_true(fd_memfd("test", UINT64_MAX, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files), cmocka_unit_test(test_event), cmocka_unit_test(test_memfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
