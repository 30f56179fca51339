/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of a folder's small files that survive the host's crash after one short wait for the disk.
 *
 * A file that is written, renamed and waited for costs two waits, each of them for the file system's own journal.
 * Here the whole change goes into a file of the folder that is there already ("journal"), whose blocks are
 * overwritten: one fdatasync of data. Then the files themselves are replaced, and nobody waits for them: after a power
 * cut the changes in the journal are made again, in their order. When it is full, and when it is closed, the files that
 * it names are waited for, all at once, and it begins anew.
 *
 * Each change of these files must pass here: what did not would be undone by the journal after a crash.
 * One thread.
 */
#ifndef PANAL_DAEMON_STORE_JOURNAL_H
#define PANAL_DAEMON_STORE_JOURNAL_H

#include "base/err.h"

struct journal;

enum { JOURNAL_BYTES = 1 << 20, JOURNAL_CHANGES_MAX = 8 };

struct journal_change {
	const char *name; /* a file of the folder */
	const void *data; /* NULL: the file is removed, if it is there */
	size_t len;
};

/* Brings what is in the folder's journal into its files. `bytes` is the size of one that is made here, at the first
 * change. An error: the folder's files may not be what was promised; they may be read, and must not be changed. */
int journal_open(struct journal **out, const char *dir, size_t bytes, struct err *e) ATTR_MUST_USE;
/* All of the changes or none, and after a return of 0 for good. At most JOURNAL_CHANGES_MAX. */
int journal_commit(struct journal *j, const struct journal_change *changes, unsigned count, struct err *e)
	ATTR_MUST_USE;
/* Bytes in use: fewer than before when the journal began anew. */
size_t journal_used(const struct journal *j);
/* Waits for the files, removes the journal. NULL is allowed. */
void journal_close(struct journal *j);
/* As after a kill: nothing is waited for or removed. For tests. */
void journal_abandon(struct journal *j);

#endif
