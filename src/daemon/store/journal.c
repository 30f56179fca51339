/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal is a row of records from its beginning, each numbered one above the one before. A record that is not
 * whole, or older, ends the row: it was being written at a crash, or is left from before the journal began anew.
 *
 *     0  magic     4  CRC-32 of all that follows     8  number (64 bits)    16  length, a multiple of 8     20  changes
 *     each change: length of the name, length of the data (REMOVED: none), name, data
 *
 * All numbers are little-endian. Making a row's changes again is always right, once or twice, as they are made in their
 * order to the end: so a journal that has just been waited for may still be found full.
 */
#include "daemon/store/journal.h"

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { HEAD = 24, CHANGE_HEAD = 8, NAME_LONGEST = 200, JOURNAL_MAX = 3 * STORE_FILE_MAX };
enum { AT_CRC = 4, AT_NUMBER = 8, AT_LENGTH = 16, AT_COUNT = 20 };

static const uint32_t magic = 0x6a6c6e70, removed = UINT32_MAX;
static const char file_name[] = "journal";

struct journal {
	char dir[PATH_MAX / 2];
	size_t wanted; /* the size of one that is made */
	int fd;        /* -1: there is no file yet */
	size_t size, used;
	uint64_t number; /* of the last record */
	bool broken;     /* a change that failed may come back */
};

/* ---- records ---- */

/* One file as a record tells it; both point into the record, the name is not terminated. */
struct entry {
	const char *name;
	const uint8_t *data; /* NULL: removed */
	uint32_t name_len, len;
	unsigned order;
};

static size_t record_length(const struct journal_change *changes, unsigned count)
{
	size_t len = HEAD;

	for (unsigned n = 0; n < count; n++)
		len += CHANGE_HEAD + strlen(changes[n].name) + (changes[n].data ? changes[n].len : 0);
	return round_up(len, 8);
}

static uint8_t *record_make(uint64_t number, const struct journal_change *changes, unsigned count, size_t len)
{
	uint8_t *r = calloc(1, len), *p = r ? r + HEAD : NULL;

	if (!r)
		return NULL;
	for (unsigned n = 0; n < count; n++) {
		const struct journal_change *c = &changes[n];
		size_t name_len = strlen(c->name);

		store_le32(p, name_len);
		store_le32(p + 4, c->data ? c->len : removed);
		memcpy(p + CHANGE_HEAD, c->name, name_len);
		p += CHANGE_HEAD + name_len;
		if (c->data && c->len)
			memcpy(p, c->data, c->len);
		p += c->data ? c->len : 0;
	}
	store_le32(r, magic);
	store_le64(r + AT_NUMBER, number);
	store_le32(r + AT_LENGTH, len);
	store_le32(r + AT_COUNT, count);
	store_le32(r + AT_CRC, crc32(0, r + AT_NUMBER, len - AT_NUMBER));
	return r;
}

/* The length of a whole record at the beginning of these bytes; 0: there is none. */
static size_t record_check(const uint8_t *r, size_t room)
{
	size_t len;

	if (room < HEAD || load_le32(r) != magic)
		return 0;
	len = load_le32(r + AT_LENGTH);
	if (len < HEAD || len > room || len % 8 || load_le32(r + AT_CRC) != crc32(0, r + AT_NUMBER, len - AT_NUMBER))
		return 0;
	return len;
}

static bool name_allowed(const char *name, uint32_t len)
{
	return len && len <= NAME_LONGEST && name[0] != '.' && !memchr(name, '/', len) && !memchr(name, 0, len);
}

/* Where the change behind this one begins; NULL: this one is not what we write. */
static const uint8_t *entry_read(struct entry *out, const uint8_t *p, const uint8_t *end)
{
	if (end - p < CHANGE_HEAD)
		return NULL;
	out->name_len = load_le32(p);
	out->len = load_le32(p + 4);
	p += CHANGE_HEAD;
	if (out->name_len > end - p || !name_allowed((const char *)p, out->name_len))
		return NULL;
	out->name = (const char *)p;
	p += out->name_len;
	out->data = out->len == removed ? NULL : p;
	if (!out->data)
		return p;
	return out->len > end - p ? NULL : p + out->len;
}

/* ---- a whole journal ---- */

struct row {
	uint8_t *bytes;
	size_t len; /* of the records */
	uint64_t number;
	struct entry *entries;
	unsigned count, room;
};

static void row_free(struct row *row)
{
	free(row->entries);
	free(row->bytes);
}

static int row_add(struct row *row, const uint8_t *record, size_t len)
{
	const uint8_t *p = record + HEAD, *end = record + len;

	for (uint32_t n = load_le32(record + AT_COUNT); n > 0; n--) {
		if (row->count == row->room) {
			unsigned room = row->room ? row->room * 2 : 64;
			struct entry *more = reallocarray(row->entries, room, sizeof(*more));

			if (!more)
				return -ENOMEM;
			row->entries = more;
			row->room = room;
		}
		p = entry_read(&row->entries[row->count], p, end);
		if (!p)
			return -EINVAL;
		row->entries[row->count].order = row->count;
		row->count++;
	}
	return 0;
}

/* By name, of one name the last first. */
static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	size_t shorter = x->name_len < y->name_len ? x->name_len : y->name_len;
	int by_name = memcmp(x->name, y->name, shorter);

	if (by_name || x->name_len != y->name_len)
		return by_name ? by_name : x->name_len < y->name_len ? -1 : 1;
	return x->order > y->order ? -1 : 1;
}

static bool same_name(const struct entry *x, const struct entry *y)
{
	return x->name_len == y->name_len && !memcmp(x->name, y->name, x->name_len);
}

/* Of each file the last change alone. */
static void row_settle(struct row *row)
{
	unsigned kept = 0;

	if (row->count)
		qsort(row->entries, row->count, sizeof(*row->entries), compare);
	for (unsigned n = 0; n < row->count; n++)
		if (!kept || !same_name(&row->entries[kept - 1], &row->entries[n]))
			row->entries[kept++] = row->entries[n];
	row->count = kept;
}

static int row_read(struct row *row, int fd, size_t size)
{
	int64_t got;
	size_t len;
	int ret;

	*row = (struct row){ .bytes = malloc(size ? size : 1) };
	if (!row->bytes)
		return -ENOMEM;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	got = fd_read_all(fd, row->bytes, size);
	if (got < 0)
		return got;
	while ((len = record_check(row->bytes + row->len, got - row->len))) {
		uint64_t number = load_le64(row->bytes + row->len + AT_NUMBER);

		if (row->len && number != row->number + 1)
			break;
		ret = row_add(row, row->bytes + row->len, len);
		if (ret < 0)
			return ret;
		row->number = number;
		row->len += len;
	}
	row_settle(row);
	return 0;
}

/* ---- the file ---- */

static int failed(const struct journal *j, int ret, const char *what, struct err *e)
{
	return err_errno(e, -ret, "cannot %s %s/%s", what, j->dir, file_name);
}

static int put(const struct journal *j, const void *data, size_t len, size_t at)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = pwrite(j->fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		at += n;
		len -= n;
	}
	return fdatasync(j->fd) < 0 ? -errno : 0;
}

/* Of zeros that are on the disk, so that records only overwrite. */
static int make(struct journal *j, size_t size, struct err *e)
{
	void *zeros = calloc(1, size);
	char path[PATH_MAX];
	int ret;

	if (!zeros)
		return err_set(e, -ENOMEM, "out of memory");
	fd_close(&j->fd);
	ret = store_write(j->dir, file_name, zeros, size, true, e);
	free(zeros);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "%s/%s", j->dir, file_name);
	j->fd = fd_open(path, O_RDWR | O_NOFOLLOW, 0, e);
	j->size = size;
	j->used = 0;
	return j->fd < 0 ? j->fd : 0;
}

/* All files that the journal names are on the disk afterwards; only the first wait is a long one. */
static int wait_for_files(const struct journal *j, const struct row *row, struct err *e)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned n = 0; n < row->count && ret == 0; n++) {
			const struct entry *it = &row->entries[n];

			snprintf(path, sizeof(path), "%s/%.*s", j->dir, (int)it->name_len, it->name);
			fd = it->data ? fd_open(path, O_RDONLY | O_NOFOLLOW, 0, e) : -ENOENT;
			if (fd == -ENOENT)
				continue;
			if (fd < 0)
				return fd;
			if (pass == 0) /* no more than a beginning: its result is the fsync's */
				(void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
			else if (fsync(fd) < 0)
				ret = err_errno(e, errno, "cannot write %s to disk", path);
			close(fd);
		}
	}
	return ret < 0 ? ret : store_sync(j->dir, e);
}

static int begin_anew(struct journal *j, struct err *e)
{
	static const uint8_t nothing[HEAD];
	struct row row;
	int ret;

	if (j->fd < 0 || !j->used)
		return 0;
	ret = row_read(&row, j->fd, j->used);
	if (ret < 0)
		failed(j, ret, "read", e);
	else
		ret = wait_for_files(j, &row, e);
	row_free(&row);
	if (ret < 0)
		return ret;
	ret = put(j, nothing, sizeof(nothing), 0);
	if (ret < 0)
		return failed(j, ret, "write", e);
	j->used = 0;
	return 0;
}

/* ---- after a crash ---- */

static bool is_so(const char *dir, const char *name, const struct entry *it)
{
	char *text;
	size_t len;
	bool same;

	if (!it->data)
		return !store_has(dir, name);
	if (store_read(dir, name, &text, &len, NULL) < 0)
		return false;
	same = len == it->len && !memcmp(text, it->data, len);
	free(text);
	return same;
}

static int bring_in(struct journal *j, const struct row *row, struct err *e)
{
	char name[NAME_LONGEST + 1];
	int ret = 0;

	for (unsigned n = 0; n < row->count && ret == 0; n++) {
		const struct entry *it = &row->entries[n];

		snprintf(name, sizeof(name), "%.*s", (int)it->name_len, it->name);
		if (is_so(j->dir, name, it))
			continue;
		ret = it->data ? store_write(j->dir, name, it->data, it->len, false, e)
			       : store_remove(j->dir, name, false, e);
	}
	return ret;
}

static int recover(struct journal *j, struct err *e)
{
	struct stat st;
	struct row row;
	int ret;

	if (fstat(j->fd, &st) < 0)
		return failed(j, -errno, "read", e);
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_MAX)
		return err_set(e, -EINVAL, "%s/%s is none of ours; move it away", j->dir, file_name);
	ret = row_read(&row, j->fd, st.st_size);
	if (ret < 0)
		failed(j, ret, "read", e);
	else
		ret = bring_in(j, &row, e);
	j->size = st.st_size;
	j->used = row.len;
	j->number = row.number;
	row_free(&row);
	return ret;
}

int journal_open(struct journal **out, const char *dir, size_t bytes, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));
	char path[PATH_MAX];
	int ret = 0;

	if (!j)
		return err_set(e, -ENOMEM, "out of memory");
	snprintf(j->dir, sizeof(j->dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/%s", j->dir, file_name);
	j->wanted = bytes;
	j->fd = fd_open(path, O_RDWR | O_NOFOLLOW, 0, e);
	if (j->fd >= 0)
		ret = recover(j, e);
	else if (j->fd != -ENOENT)
		ret = j->fd;
	else
		j->fd = -1;
	if (ret < 0) {
		journal_abandon(j);
		return ret;
	}
	*out = j;
	return 0;
}

/* ---- a change ---- */

static void drop(const struct journal *j, const struct journal_change *changes, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		if (changes[n].data)
			store_drop(j->dir, changes[n].name);
}

static int begin(const struct journal *j, const struct journal_change *changes, unsigned count, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; n < count && ret == 0; n++)
		if (changes[n].data)
			ret = store_begin(j->dir, changes[n].name, changes[n].data, changes[n].len, e);
	if (ret < 0)
		drop(j, changes, count);
	return ret;
}

static int finish(const struct journal *j, const struct journal_change *changes, unsigned count, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; n < count && ret == 0; n++)
		ret = changes[n].data ? store_finish(j->dir, changes[n].name, e)
				      : store_remove(j->dir, changes[n].name, false, e);
	return ret;
}

/* The record behind the last one is nothing again. */
static void take_back(struct journal *j)
{
	static const uint8_t nothing[HEAD];
	int ret = put(j, nothing, sizeof(nothing), j->used);

	if (ret == 0)
		return;
	j->broken = true;
	log_line(LOG_ERROR, "cannot take back a change in %s/%s: %s", j->dir, file_name, strerror(-ret));
}

static int record(struct journal *j, const struct journal_change *changes, unsigned count, size_t len, struct err *e)
{
	uint8_t *r = record_make(j->number + 1, changes, count, len);
	int ret;

	if (!r)
		return err_set(e, -ENOMEM, "out of memory");
	ret = put(j, r, len, j->used);
	free(r);
	if (ret == 0)
		return 0;
	take_back(j);
	return failed(j, ret, "write", e);
}

static int make_room(struct journal *j, size_t len, struct err *e)
{
	int ret = 0;

	if (j->fd >= 0 && len <= j->size - j->used)
		return 0;
	ret = begin_anew(j, e);
	if (ret == 0 && (j->fd < 0 || len > j->size))
		ret = make(j, len > j->wanted ? round_up(len, 4096) : j->wanted, e);
	return ret;
}

int journal_commit(struct journal *j, const struct journal_change *changes, unsigned count, struct err *e)
{
	size_t len = record_length(changes, count);
	int ret;

	if (j->broken)
		return err_set(e, -EIO, "%s/%s could not be written; see the log, then start the daemon again", j->dir,
			       file_name);
	if (len > JOURNAL_MAX)
		return err_set(e, -EFBIG, "a change of %zu bytes is too long for %s", len, j->dir);
	ret = make_room(j, len, e);
	if (ret == 0)
		ret = begin(j, changes, count, e);
	if (ret < 0)
		return ret;
	ret = record(j, changes, count, len, e);
	if (ret < 0) {
		drop(j, changes, count);
		return ret;
	}
	ret = finish(j, changes, count, e);
	if (ret < 0) {
		take_back(j);
		drop(j, changes, count);
		return ret;
	}
	j->used += len;
	j->number++;
	return 0;
}

size_t journal_used(const struct journal *j)
{
	return j->used;
}

void journal_abandon(struct journal *j)
{
	fd_close(&j->fd);
	free(j);
}

void journal_close(struct journal *j)
{
	struct err e = { 0 };
	bool there;

	if (!j)
		return;
	there = j->fd >= 0 && !j->broken;
	if (there && (begin_anew(j, &e) < 0 || store_remove(j->dir, file_name, false, &e) < 0))
		log_line(LOG_WARNING, "%s", e.text);
	journal_abandon(j);
}
