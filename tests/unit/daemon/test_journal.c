/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of definitions: after each power cut the folder says what was promised.
 *
 * A power cut is played on a copy. What the journal's fdatasync wrote is there. Of each file that the journal has not
 * waited for there is any version since then, or an empty one, or none; and of the change that was under way a part of
 * the record.
 */
#include "base/bytes.h"
#include "daemon/store/journal.h"
#include "daemon/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 6, TEXT_MAX = 700, VERSIONS = 64, SMALL = 8192 };

struct text {
	bool there;
	size_t len;
	char bytes[TEXT_MAX];
};

struct bed {
	char dir[64], copy[64];
	struct journal *j;
	struct text now[NAMES];
	struct text version[NAMES][VERSIONS]; /* since the journal waited; the first: what it waited for */
	unsigned versions[NAMES];
	unsigned cuts;
	uint64_t seed;
};

static unsigned any(struct bed *b, unsigned below)
{
	b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
	return (b->seed >> 33) % below;
}

static void name_of(unsigned n, char out[16])
{
	snprintf(out, 16, "f%u.xml", n);
}

static void empty_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			assert_int_equal(store_remove(dir, entry->d_name, false, NULL), 0);
	closedir(d);
}

static void setup(struct bed *b, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	b->seed = seed;
	/* In memory: a wait for a busy disk is none of what is tested. */
	strcpy(b->dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test-journal-XXXXXX" : "/tmp/test-journal-XXXXXX");
	strcpy(b->copy, b->dir);
	assert_non_null(mkdtemp(b->dir));
	assert_non_null(mkdtemp(b->copy));
	assert_int_equal(journal_open(&b->j, b->dir, SMALL, NULL), 0);
	for (unsigned n = 0; n < NAMES; n++)
		b->versions[n] = 1;
}

static void teardown(struct bed *b)
{
	journal_close(b->j);
	assert_false(store_has(b->dir, "journal"));
	empty_dir(b->dir);
	empty_dir(b->copy);
	assert_int_equal(rmdir(b->dir), 0);
	assert_int_equal(rmdir(b->copy), 0);
}

static void expect_files(struct bed *b, const char *dir)
{
	char name[16], *text;
	size_t len;

	for (unsigned n = 0; n < NAMES; n++) {
		name_of(n, name);
		assert_int_equal(store_has(dir, name), b->now[n].there);
		if (!b->now[n].there)
			continue;
		assert_int_equal(store_read(dir, name, &text, &len, NULL), 0);
		assert_int_equal(len, b->now[n].len);
		assert_memory_equal(text, b->now[n].bytes, len);
		free(text);
	}
}

/* ---- changes ---- */

static void random_text(struct bed *b, struct text *t)
{
	t->there = any(b, 4) > 0;
	t->len = t->there ? any(b, TEXT_MAX) : 0;
	memset(t->bytes, 'a' + any(b, 26), t->len);
}

/* One to three different files. */
static unsigned random_change(struct bed *b, struct journal_change *changes, struct text *texts, char (*names)[16],
			      unsigned *which)
{
	unsigned count = 1 + any(b, 3), first = any(b, NAMES);

	for (unsigned n = 0; n < count; n++) {
		which[n] = (first + n) % NAMES;
		name_of(which[n], names[n]);
		random_text(b, &texts[n]);
		changes[n] = (struct journal_change){names[n], texts[n].there ? texts[n].bytes : NULL, texts[n].len};
	}
	return count;
}

static void step(struct bed *b)
{
	struct journal_change changes[3];
	struct text texts[3];
	char names[3][16];
	unsigned which[3], count = random_change(b, changes, texts, names, which);
	size_t before = journal_used(b->j);

	assert_int_equal(journal_commit(b->j, changes, count, NULL), 0);
	if (journal_used(b->j) < before) /* all that was before was waited for */
		for (unsigned n = 0; n < NAMES; n++) {
			b->version[n][0] = b->now[n];
			b->versions[n] = 1;
		}
	for (unsigned n = 0; n < count; n++) {
		b->now[which[n]] = texts[n];
		assert_true(b->versions[which[n]] < VERSIONS);
		b->version[which[n]][b->versions[which[n]]++] = texts[n];
	}
}

/* ---- the cut ---- */

static void copy_journal(struct bed *b)
{
	char *bytes;
	size_t len, used = journal_used(b->j);

	assert_int_equal(store_read(b->dir, "journal", &bytes, &len, NULL), 0);
	if (any(b, 2) && used + 64 <= len) /* a record that was being written: its head, some of it, or rubbish */
		for (size_t n = 0; n < 64; n++)
			bytes[used + n] = n < 24 && any(b, 2) ? bytes[n] : (char)any(b, 256);
	assert_int_equal(store_write(b->copy, "journal", bytes, len, false, NULL), 0);
	free(bytes);
}

static void cut(struct bed *b)
{
	struct journal *j;
	char name[16];

	empty_dir(b->copy);
	copy_journal(b);
	for (unsigned n = 0; n < NAMES; n++) {
		const struct text *t = &b->version[n][any(b, b->versions[n])];
		bool lost = b->versions[n] > 1 && any(b, 4) == 0; /* renamed, and its data not written */

		name_of(n, name);
		if (t->there)
			assert_int_equal(store_write(b->copy, name, t->bytes, lost ? 0 : t->len, false, NULL), 0);
	}
	assert_int_equal(journal_open(&j, b->copy, SMALL, NULL), 0);
	expect_files(b, b->copy);
	journal_abandon(j);
	b->cuts++;
}

static void promises_hold_after_power_cuts(void **state)
{
	struct bed *b = malloc(sizeof(*b));

	assert_non_null(b);
	for (uint64_t seed = 1; seed <= 10; seed++) {
		setup(b, seed);
		for (unsigned n = 0; n < 60; n++) {
			step(b);
			cut(b);
			if (any(b, 8) == 0) { /* the daemon alone is killed, and another goes on */
				journal_abandon(b->j);
				assert_int_equal(journal_open(&b->j, b->dir, SMALL, NULL), 0);
			}
			expect_files(b, b->dir);
		}
		assert_int_equal(b->cuts, 60);
		teardown(b);
	}
	free(b);
}

/* ---- what does not fit ---- */

static void a_long_change_makes_a_longer_journal(void **state)
{
	struct journal_change change = {"f0.xml", NULL, 5 * SMALL};
	struct bed *b = malloc(sizeof(*b));
	char *text = calloc(1, change.len), *got;
	struct journal *j;
	size_t len;

	setup(b, 1);
	step(b);
	change.data = text;
	memset(text, 'x', change.len);
	assert_int_equal(journal_commit(b->j, &change, 1, NULL), 0);
	journal_abandon(b->j);
	assert_int_equal(store_remove(b->dir, "f0.xml", false, NULL), 0);
	assert_int_equal(journal_open(&j, b->dir, SMALL, NULL), 0);
	assert_int_equal(store_read(b->dir, "f0.xml", &got, &len, NULL), 0);
	assert_int_equal(len, change.len);
	assert_memory_equal(got, text, len);
	b->j = j;
	free(got);
	free(text);
	teardown(b);
	free(b);
}

/* A folder stands where a file should: the change fails, and does not come back. */
static void a_change_that_fails_is_none(void **state)
{
	struct journal_change changes[] = {{"f0.xml", "new", 3}, {"f1.xml", "new", 3}};
	struct bed *b = malloc(sizeof(*b));
	char path[96];
	struct err e = { 0 };

	setup(b, 1);
	assert_int_equal(journal_commit(b->j, &(struct journal_change){"f0.xml", "old", 3}, 1, NULL), 0);
	snprintf(path, sizeof(path), "%s/f1.xml", b->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(journal_commit(b->j, changes, 2, &e) < 0);
	assert_non_null(strstr(e.text, "f1.xml"));
	assert_int_equal(rmdir(path), 0);
	assert_false(store_has(b->dir, "f1.xml.new"));
	journal_abandon(b->j);
	assert_int_equal(journal_open(&b->j, b->dir, SMALL, NULL), 0);
	assert_false(store_has(b->dir, "f1.xml"));
	assert_int_equal(journal_commit(b->j, changes, 2, &e), 0);
	assert_true(store_has(b->dir, "f1.xml"));
	teardown(b);
	free(b);
}

/* Whole by its sum, and yet none of ours: a name that leaves the folder, a hidden one. */
static void other_names_are_refused(void **state)
{
	struct bed *b = malloc(sizeof(*b));
	struct journal *j;
	char *bytes;
	size_t len;

	for (unsigned kind = 0; kind < 2; kind++) {
		struct journal_change change = {kind ? "x/..f" : ".hidden", NULL, 0};

		setup(b, 1);
		assert_int_equal(journal_commit(b->j, &change, 1, NULL), 0);
		assert_int_equal(store_read(b->dir, "journal", &bytes, &len, NULL), 0);
		free(bytes);
		assert_true(journal_open(&j, b->dir, SMALL, NULL) < 0);
		journal_abandon(b->j);
		assert_int_equal(store_remove(b->dir, "journal", false, NULL), 0);
		assert_int_equal(journal_open(&b->j, b->dir, SMALL, NULL), 0);
		teardown(b);
	}
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promises_hold_after_power_cuts),
		cmocka_unit_test(a_long_change_makes_a_longer_journal),
		cmocka_unit_test(a_change_that_fails_is_none),
		cmocka_unit_test(other_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
