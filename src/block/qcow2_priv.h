/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of qcow2 share. "locked": called with q->lock held. Offsets are bytes of the file, unless said. */
#ifndef PANAL_BLOCK_QCOW2_PRIV_H
#define PANAL_BLOCK_QCOW2_PRIV_H

#include "base/bytes.h"
#include "base/list.h"
#include "block/qcow2.h"
#include <pthread.h>

/* The header: interop/qcow2.txt of QEMU. Big-endian, at these bytes. */
enum {
	H_MAGIC = 0, H_VERSION = 4, H_BACKING_OFFSET = 8, H_BACKING_SIZE = 16, H_CLUSTER_BITS = 20, H_SIZE = 24,
	H_CRYPT = 32, H_L1_SIZE = 36, H_L1_OFFSET = 40, H_REFTABLE_OFFSET = 48, H_REFTABLE_CLUSTERS = 56,
	H_SNAPSHOTS = 60, H_SNAPSHOTS_OFFSET = 64, H_INCOMPATIBLE = 72, H_COMPATIBLE = 80, H_AUTOCLEAR = 88,
	H_REFCOUNT_ORDER = 96, H_LENGTH = 100, H_COMPRESSION = 104,
	H_LENGTH_V2 = 72, H_LENGTH_V3 = 104, H_LENGTH_OURS = 112, H_SECTOR = 512,
};
#define QCOW2_MAGIC 0x514649fbu

enum {
	INCOMPATIBLE_DIRTY = 1, INCOMPATIBLE_CORRUPT = 2, INCOMPATIBLE_DATA_FILE = 4, INCOMPATIBLE_COMPRESSION = 8,
	INCOMPATIBLE_EXTENDED_L2 = 16,
	INCOMPATIBLE_KNOWN = INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_COMPRESSION,
	COMPATIBLE_LAZY_REFCOUNTS = 1, AUTOCLEAR_BITMAPS = 1,
};

enum {
	EXT_END = 0, EXT_BACKING_FORMAT = 0xe2792aca, EXT_FEATURE_NAMES = 0x6803f857, EXT_BITMAPS = 0x23852875,
};

#define ENTRY_COPIED (UINT64_C(1) << 63)
#define ENTRY_COMPRESSED (UINT64_C(1) << 62)
#define ENTRY_ZERO UINT64_C(1)
#define ENTRY_OFFSET UINT64_C(0x00fffffffffffe00)

/* Bounds on what a file can make us allocate. */
enum {
	L1_BYTES_MAX = 32 << 20, REFTABLE_BYTES_MAX = 8 << 20, SNAPSHOTS_MAX = 65536, SNAPSHOT_TABLE_MAX = 64 << 20,
	BACKING_NAME_MAX = 1023, CACHE_BYTES = 32 << 20, CACHE_TABLES_MIN = 4, CACHE_TABLES_MAX = 16384,
};

/* A cluster with a table of big-endian numbers, in memory. */
struct q_table {
	uint64_t index;  /* L2: its number in L1; refcounts: the block's number */
	uint64_t offset; /* 0: the slot is empty */
	uint64_t used;   /* for the choice of what to drop */
	uint32_t dirty_from, dirty_to; /* bytes; equal: clean */
	bool fresh;      /* L2: nothing on the disk points to it yet */
	uint8_t *data;
};

struct q_cache {
	struct q_table *table;
	unsigned count;
	uint32_t *slot; /* by index: slot + 1, 0: not here */
	uint64_t slots, clock;
};

enum { Q_L2, Q_REFCOUNT };

/* Clusters of the disk that somebody works on. */
struct q_range {
	uint64_t first, last; /* cluster numbers */
	bool exclusive;       /* its mapping may change; else it stays as it is */
	struct list node;
};

struct q_free {
	uint64_t offset, clusters;
};

struct q_backing {
	struct qcow2 *image; /* or */
	struct q_file raw;
	uint64_t size;
};

struct q_snapshot {
	struct qcow2_snapshot_info info;
	uint64_t l1_offset;
	uint32_t l1_size;
};

struct qcow2 {
	/* constant after open */
	struct q_file file;
	char *path, *backing_name, *backing_format;
	bool read_only, in_snapshot;
	unsigned version, cluster_bits, refcount_order, depth;
	uint32_t cluster, l2_entries, block_entries;
	uint64_t refcount_max;
	enum qcow2_compression compression;
	struct q_backing backing;
	struct q_snapshot *snapshot;
	unsigned snapshots;
	uint64_t snapshots_offset, snapshots_bytes;
	bool bitmaps;
	uint64_t bitmaps_directory, bitmaps_bytes;

	pthread_mutex_t lock;
	pthread_cond_t ranges_changed;
	/* under lock */
	uint64_t size;
	uint8_t header[H_SECTOR];
	uint64_t incompatible, compatible, autoclear;
	uint64_t *l1; /* in the host's order */
	uint64_t l1_offset;
	uint32_t l1_size, l1_dirty_from, l1_dirty_to; /* entries */
	uint64_t *reftable;
	uint64_t reftable_offset;
	uint32_t reftable_entries, reftable_clusters;
	struct q_cache cache[2];
	struct list ranges;
	struct q_free *frees; /* referenced on the disk until the next flush */
	size_t free_count, free_room;
	uint64_t free_hint;   /* no cluster below is free */
	uint64_t packed_at;   /* where the next compressed cluster may go; 0: nowhere */
	bool l2_dirty;
};

/* --- qcow2_header.c --- */
int q_header_read(struct qcow2 *q, const struct qcow2_open *o, struct err *e) ATTR_MUST_USE;
/* Puts the changed fields into the file and waits until they are durable. Locked, or at opening. */
int q_header_write(struct qcow2 *q) ATTR_MUST_USE;

/* --- qcow2_cache.c (all locked) --- */
int q_cache_init(struct qcow2 *q) ATTR_MUST_USE;
void q_cache_free(struct q_cache *c);
int q_cache_grow(struct q_cache *c, uint64_t slots) ATTR_MUST_USE;
/* The table that the file has at that offset; valid until the next q_cache call for the same kind. */
int q_cache_get(struct qcow2 *q, int kind, uint64_t index, uint64_t offset, struct q_table **out) ATTR_MUST_USE;
/* A slot for a new table, its content undefined. */
int q_cache_new(struct qcow2 *q, int kind, uint64_t index, uint64_t offset, struct q_table **out) ATTR_MUST_USE;
struct q_table *q_cache_find(struct q_cache *c, uint64_t index);
void q_cache_drop(struct q_cache *c, uint64_t index);
void q_table_dirty(struct q_table *t, uint32_t from, uint32_t to);
int q_table_write(struct qcow2 *q, struct q_table *t) ATTR_MUST_USE;
/* All metadata to the disk, in the order that a power cut allows. The guest's data that was written is durable too. */
int q_flush_locked(struct qcow2 *q) ATTR_MUST_USE;

/* --- qcow2_refcount.c (all locked) --- */
int q_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count) ATTR_MUST_USE;
int q_refcount_add(struct qcow2 *q, uint64_t cluster, int64_t add) ATTR_MUST_USE;
int q_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t count) ATTR_MUST_USE;
/* Up to `clusters` neighbours, at least one; exact: all or -ENOSPC. *got of them, counted as used once. */
int q_alloc(struct qcow2 *q, uint64_t clusters, bool exact, uint64_t *offset, uint64_t *got) ATTR_MUST_USE;
/* Never pointed to by anything on the disk: free at once. */
void q_free_now(struct qcow2 *q, uint64_t offset, uint64_t clusters);
/* The disk points to it until the next flush. */
int q_free_later(struct qcow2 *q, uint64_t offset, uint64_t clusters) ATTR_MUST_USE;
void q_frees_apply(struct qcow2 *q);

/* --- qcow2_map.c (all locked) --- */
enum q_kind { Q_UNALLOCATED, Q_ZERO, Q_DATA, Q_COMPRESSED };
struct q_extent {
	enum q_kind kind;
	bool in_place;  /* DATA: may be written where it is */
	uint64_t host;  /* DATA: file offset of the byte asked for; COMPRESSED: of the first compressed byte */
	uint64_t len;   /* bytes from the byte asked for that are of one kind and, for DATA, side by side */
	uint32_t packed; /* COMPRESSED: bytes, at most */
};
/* At most len bytes from offset (of the disk). */
int q_map(struct qcow2 *q, uint64_t offset, uint64_t len, struct q_extent *x) ATTR_MUST_USE;
int q_entry_get(struct qcow2 *q, uint64_t cluster, uint64_t *entry) ATTR_MUST_USE;
/* The entry of that cluster of the disk; what was there is freed with the next flush. */
int q_entry_set(struct qcow2 *q, uint64_t cluster, uint64_t entry) ATTR_MUST_USE;
void q_packed(const struct qcow2 *q, uint64_t entry, uint64_t *host, uint32_t *bytes);

/* --- qcow2_io.c --- */
void q_range_add(struct qcow2 *q, struct q_range *r, uint64_t offset, uint64_t len);
bool q_range_busy(const struct qcow2 *q, uint64_t offset, uint64_t len, bool exclusive);
/* Takes the lock itself. */
void q_range_end(struct qcow2 *q, struct q_range *r);

/* --- qcow2_compress.c: no lock needed --- */
int q_unpack(enum qcow2_compression how, const uint8_t *from, size_t len, uint8_t *to, size_t size) ATTR_MUST_USE;
/* Bytes, or -E2BIG when it does not get smaller. */
int64_t q_pack(enum qcow2_compression how, const uint8_t *from, size_t len, uint8_t *to) ATTR_MUST_USE;

#endif
