/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options written as "value,key=value,flag": the form of --disk, --net and of device options.
 *
 * A part owns a const table of the keys that it takes; parsing checks every key and value against it, so an
 * unknown key or a bad value is one clear error. A comma in a value is written twice.
 */
#ifndef PANAL_BASE_OPT_H
#define PANAL_BASE_OPT_H

#include "base/err.h"

enum opt_kind {
	OPT_STRING,
	OPT_SIZE,   /* bytes; suffix K, M, G, T (powers of 1024), e.g. 1G, 1.5G is refused */
	OPT_NUMBER, /* unsigned, decimal or 0x hexadecimal */
	OPT_BOOL,   /* on/off, yes/no, true/false; the key alone means on */
};

struct opt_desc {
	const char *key;
	enum opt_kind kind;
	bool positional; /* the first part, when it has no '=' , is the value of this key */
	bool repeat;     /* may be given more than once */
	const char *help;
};

enum { OPT_MAX = 32 };

struct opt {
	const struct opt_desc *desc;
	char *text;      /* owned */
	uint64_t number; /* for SIZE, NUMBER and BOOL */
};

struct opts {
	struct opt item[OPT_MAX];
	unsigned count;
};

/* Parses text by the table (ended by key == NULL). On failure *out is empty. Free with opts_free. */
int opts_parse(struct opts *out, const struct opt_desc *table, const char *text, struct err *e) ATTR_MUST_USE;
void opts_free(struct opts *o);

/* The value of the key, or the default when it was not given. A returned string lives as long as the opts. */
const char *opts_string(const struct opts *o, const char *key, const char *dflt);
uint64_t opts_number(const struct opts *o, const char *key, uint64_t dflt);
bool opts_bool(const struct opts *o, const char *key, bool dflt);

/* "512M" -> bytes. Errors: -EINVAL (not a size), -ERANGE (over 2^63-1). */
int parse_size(const char *text, uint64_t *bytes, struct err *e) ATTR_MUST_USE;
int parse_number(const char *text, uint64_t *value, struct err *e) ATTR_MUST_USE;

#endif
