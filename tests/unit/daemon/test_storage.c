/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a pool makes of files: headers, directories, and the place aside where new ones are made. */
#include "base/bytes.h"
#include "daemon/storage/probe.h"
#include "daemon/storage/storage_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- headers ---- */

static void header(uint8_t *h, uint32_t version, uint64_t size)
{
	memset(h, 0, PROBE_BYTES);
	memcpy(h, "QFI\xfb", 4);
	store_be32(h + 4, version);
	store_be32(h + 20, 16);
	store_be64(h + 24, size);
	if (version == 3)
		store_be32(h + 100, 104);
}

static void headers_are_described(void **state)
{
	static uint8_t h[PROBE_BYTES];
	struct probe p;

	header(h, 3, 1 << 20);
	store_be64(h + 8, 512);
	store_be32(h + 16, 9);
	memcpy(h + 512, "/some/img", 9);
	store_be32(h + 104, 0xe2792aca);
	store_be32(h + 108, 3);
	memcpy(h + 112, "raw", 3);
	store_be64(h + 80, 1);
	probe_bytes(&p, h, sizeof(h));
	assert_string_equal(p.format, "qcow2");
	assert_int_equal(p.capacity, 1 << 20);
	assert_string_equal(p.compat, "1.1");
	assert_int_equal(p.cluster, 65536);
	assert_string_equal(p.backing, "/some/img");
	assert_string_equal(p.backing_format, "raw");
	assert_true(p.lazy_refcounts);
	assert_false(p.damaged);
	header(h, 2, 512);
	probe_bytes(&p, h, 72);
	assert_string_equal(p.compat, "0.10");
	assert_string_equal(p.backing, "");
	probe_bytes(&p, h, 71);
	assert_string_equal(p.format, "raw");
}

static void lies_are_not_believed(void **state)
{
	static uint8_t h[PROBE_BYTES];
	struct probe p;

	header(h, 3, UINT64_MAX);
	probe_bytes(&p, h, sizeof(h));
	assert_true(p.damaged && p.capacity == 0);
	header(h, 3, 512);
	store_be64(h + 8, sizeof(h) - 4);
	store_be32(h + 16, 5);
	probe_bytes(&p, h, sizeof(h));
	assert_true(p.damaged && !p.backing[0]);
	store_be64(h + 8, UINT64_MAX - 1);
	probe_bytes(&p, h, sizeof(h));
	assert_true(p.damaged && !p.backing[0]);
	store_be64(h + 8, 600);
	memcpy(h + 600, "\xc3(abc", 5);
	probe_bytes(&p, h, sizeof(h));
	assert_true(p.damaged && !p.backing[0]);
}

static void text_is_text(void **state)
{
	static const char *const good[] = {
		"", "plain", "\xc3\xb1", "\xe2\x82\xac", "\xf0\x9f\x90\x9d", "\xf4\x8f\xbf\xbd"};
	static const char *const bad[] = {"\n",
					  "\x7f",
					  "\xff",
					  "\xc0\xaf",
					  "\xed\xa0\x80",
					  "\xe2\x82",
					  "\xf4\x90\x80\x80",
					  "\xef\xbf\xbf",
					  "\xf0\x80\x80\x80"};

	for (unsigned n = 0; n < COUNT_OF(good); n++)
		assert_true(probe_is_text(good[n]));
	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		assert_false(probe_is_text(bad[n]));
}

/* ---- aside ---- */

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void assert_file(const char *path, const char *text)
{
	char got[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got) - 1), (ssize_t)strlen(text));
	close(fd);
	assert_string_equal(got, text);
}

static int set_up(void **state)
{
	char dir[] = "/tmp/test-storage-XXXXXX";

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"a", "b"};
	char path[128];

	for (unsigned n = 0; n < COUNT_OF(names); n++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, names[n]);
		unlink(path);
	}
	assert_int_equal(rmdir(*state), 0); /* nothing else is left */
	free(*state);
	return 0;
}

static void names_are_not_replaced(void **state)
{
	char path[128];
	struct aside a;

	snprintf(path, sizeof(path), "%s/a", (char *)*state);
	assert_int_equal(aside_make(&a, *state, NULL), 0);
	make_file(a.file, "first");
	assert_int_equal(aside_publish(&a, path, NULL), 0);
	aside_remove(&a);
	assert_int_equal(aside_make(&a, *state, NULL), 0);
	make_file(a.file, "second");
	assert_int_equal(aside_publish(&a, path, NULL), -EEXIST);
	aside_remove(&a);
	assert_file(path, "first");
}

static void the_living_are_left_alone(void **state)
{
	struct aside a, dead;

	assert_int_equal(aside_make(&a, *state, NULL), 0);
	assert_int_equal(aside_make(&dead, *state, NULL), 0);
	make_file(a.file, "is being made");
	make_file(dead.file, "was being made");
	close(dead.fd); /* as its process's end does */
	asides_clear(*state);
	assert_int_equal(access(dead.dir, F_OK), -1);
	assert_file(a.file, "is being made");
	aside_remove(&a);
}

static void exchanged_files_are_overwritten(void **state)
{
	char path[128], link_path[128], zeros[6] = {0}, got[6];
	struct aside a;
	int fd;

	snprintf(path, sizeof(path), "%s/a", (char *)*state);
	snprintf(link_path, sizeof(link_path), "%s/b", (char *)*state);
	make_file(path, "secret");
	assert_int_equal(link(path, link_path), 0);
	assert_int_equal(aside_make(&a, *state, NULL), 0);
	make_file(a.file, "new");
	assert_int_equal(aside_exchange(&a, path, NULL), 0);
	close(a.fd); /* the process ends here: the next one goes on */
	asides_clear(*state);
	assert_file(path, "new");
	fd = open(link_path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, got, 6), 6);
	close(fd);
	assert_memory_equal(got, zeros, 6);
}

/* ---- directories ---- */

static void directories_are_looked_through(void **state)
{
	char path[128];
	struct list found;
	unsigned count = 0;

	snprintf(path, sizeof(path), "%s/a", (char *)*state);
	make_file(path, "text");
	assert_int_equal(scan_dir(&found, *state, NULL), 0);
	list_each_safe(it, &found)
	{
		struct found *f = list_entry(it, struct found, node);

		assert_string_equal(f->def->name, "a");
		assert_string_equal(f->def->path, path);
		assert_string_equal(f->def->format, "raw");
		assert_int_equal(f->def->capacity.v, 4);
		list_remove(it);
		found_free(f);
		count++;
	}
	assert_int_equal(count, 1);
	assert_int_equal(scan_dir(&found, "/nonexistent", NULL), -ENOENT);
}

static void permissions_are_numbers(void **state)
{
	char mode[] = "0640", keep[] = "-1", seven[] = "7", eight[] = "0888", large[] = "17777777", name[] = "root";
	struct storage_permissions d = { .mode = mode, .owner = keep, .group = seven };
	struct want w;

	assert_int_equal(permissions_read(&d, &w, NULL), 0);
	assert_int_equal(w.mode, 0640);
	assert_int_equal(w.owner, -1);
	assert_int_equal(w.group, 7);
	d.mode = eight;
	assert_int_equal(permissions_read(&d, &w, NULL), -EBADMSG);
	d.mode = large;
	assert_int_equal(permissions_read(&d, &w, NULL), -EBADMSG);
	d.mode = NULL;
	d.owner = name;
	assert_int_equal(permissions_read(&d, &w, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_described),
		cmocka_unit_test(lies_are_not_believed),
		cmocka_unit_test(text_is_text),
		cmocka_unit_test_setup_teardown(names_are_not_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_living_are_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(exchanged_files_are_overwritten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(directories_are_looked_through, set_up, tear_down),
		cmocka_unit_test(permissions_are_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
