/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state of a part as a table of named, typed, versioned fields, written beside the part. The stream holds
 * names and values, never a raw struct; a loader accepts fields in any order, ignores none, and gives absent newer
 * fields their default. A stream is hostile input: counts and sizes are checked against the table.
 */
#ifndef PANAL_CORE_STATE_H
#define PANAL_CORE_STATE_H

#include "base/err.h"

enum state_kind { STATE_U8, STATE_U16, STATE_U32, STATE_U64, STATE_BOOL, STATE_BYTES };

struct state_field {
	const char *name; /* NULL ends the table */
	enum state_kind kind;
	uint16_t since; /* first version of the part's state that has it; absent before means zero */
	uint32_t offset; /* in the part's struct */
	uint32_t count;  /* array elements, or bytes for STATE_BYTES; 1 for a scalar */
};

struct state_desc {
	const char *name;
	uint16_t version;
	const struct state_field *fields;
	/* Before saving: bring the fields up to date. After loading: check them all against each other and rebuild
	 * what derives from them; a negative errno refuses the load. Either may be NULL. */
	void (*before_save)(void *obj);
	int (*after_load)(void *obj, uint16_t version, struct err *e);
};

#define STATE_FIELD(type, member, kind_) \
	{ .name = #member, .kind = kind_, .offset = offsetof(type, member), .count = 1 }
#define STATE_FIELD_SINCE(version_, type, member, kind_) \
	{ .name = #member, .kind = kind_, .since = version_, .offset = offsetof(type, member), .count = 1 }
#define STATE_ARRAY(type, member, kind_, n) \
	{ .name = #member, .kind = kind_, .offset = offsetof(type, member), .count = (n) }
#define STATE_END { .name = NULL }

/* Appends to / reads from a byte buffer; *out is malloc'ed, the caller frees. load checks everything and changes
 * *obj only when the whole stream is good. */
int state_save(const struct state_desc *d, void *obj, uint8_t **out, size_t *len, struct err *e) ATTR_MUST_USE;
int state_load(const struct state_desc *d, void *obj, size_t obj_size, const uint8_t *buf, size_t len,
	       struct err *e) ATTR_MUST_USE;

#endif
