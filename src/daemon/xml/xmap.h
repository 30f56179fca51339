/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps between XML elements and C structs. One table describes an element: each row names an attribute or a child,
 * the type of its value and the member that holds it, and serves reading, writing, freeing and the check for what is
 * unknown. So there is one list of names, and its order is the order of what is written.
 *
 * What no row names is kept: attributes and whole child elements go to the struct's list of extras and are written
 * where they were found (or refused, with XMAP_STRICT). A value that does not fit its type is an error that names
 * element, attribute and value. All text is UTF-8. Structs start zeroed; all they own is freed by xmap_free.
 * Nothing here has state; different objects may be worked on by different threads at once.
 */
#ifndef PANAL_DAEMON_XML_XMAP_H
#define PANAL_DAEMON_XML_XMAP_H

#include "base/buf.h"
#include "base/err.h"

/* Only its address matters here: libxml2's node. */
struct _xmlNode;

enum {
	XMAP_LIST_MAX = 4096,  /* children of one name, and extras of one object */
	XMAP_DEPTH_MAX = 64,   /* nested elements in a document */
	XMAP_TEXT_MAX = 4 << 20, /* bytes of a document: a string of the wire */
	XMAP_OUT_MAX = 32 << 20,
};

/* A number that may be absent. */
struct xnum {
	uint64_t v;
	bool set;
	bool hex; /* written as 0x.., at least two digits; reading remembers how it was written */
};

struct xuuid {
	uint8_t b[16];
	bool set;
};

/* A part of the document that is kept as it is. */
struct xraw {
	const struct xrow *where; /* the group's row that it was found in; NULL: the object's own element */
	char *name;               /* of the attribute or element, without prefix */
	char *uri;                /* namespace, or NULL */
	char *text;               /* the attribute's name='value', or the element, lines parted by \n */
	bool attribute, verbatim; /* verbatim: lines are not indented again */
};

/* Lists start with this. */
struct xlist {
	void **v;
	unsigned n;
};

#define XLIST(type)             \
	struct {                \
		type **v;       \
		unsigned n;     \
	}

enum xplace {
	X_END,
	X_ATTR,  /* attribute */
	X_TEXT,  /* the text of the element itself */
	X_ELEM,  /* the text of a child element */
	X_GROUP, /* child element whose rows fill the same struct; with = struct xrow[] */
	X_EMBED, /* rows of the same element that fill a struct within the struct; with = struct xrow[] */
	X_ONE,   /* child element in a struct of its own; member is a pointer, with = struct xmap */
	X_LIST,  /* any number of them; member is an XLIST, with = struct xmap */
	X_RAW,   /* child elements of this name, kept as they are; member is an XLIST(struct xraw) */
	X_ANY,   /* every child element, verbatim; member is an XLIST(struct xraw) */
};

enum xtype {
	XV_STR,   /* char * */
	XV_NUM,   /* struct xnum, decimal or 0x */
	XV_ENUM,  /* int; with = names, [0] is "" for absent */
	XV_FLAG,  /* bool: the element is there */
	XV_UUID,  /* struct xuuid */
	XV_KIB,   /* struct xnum in KiB; an attribute "unit" says what the text counts, KiB if absent */
	XV_BYTES, /* the same in bytes */
	XV_MAC,   /* char *, lower-case, colons */
};

enum {
	XF_LIVE = 1,     /* of a running machine: read and written only with XMAP_LIVE */
	XF_SECRET = 2,   /* written only with XMAP_SECRET */
	XF_ALWAYS = 4,   /* a group that is written even when it is empty */
	XF_REQUIRED = 8, /* its absence is an error */
	XF_NUMBERED = 16, /* XV_NUM that is always written in hexadecimal */
	XF_NOUNIT = 32,  /* XV_KIB, XV_BYTES: written without the unit */
	XF_FIRST = 64,   /* more elements of the name may follow the first; they are kept as they are */
};

struct xrow {
	const char *name;
	uint8_t place, type;
	uint8_t flags, digits; /* digits: least number of hexadecimal digits */
	uint32_t offset;
	const void *with;
};

struct xmap {
	const char *name; /* of the element, for messages */
	size_t size;
	size_t extra; /* offset of an XLIST(struct xraw) */
	const struct xrow *rows;
};

/* Rows. T is the struct that the table fills; the member's type is checked. */
#define XOFF(member, ctype)                                                                                        \
	(offsetof(T, member) +                                                                                     \
	 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((T *)0)->member), ctype) ? 1 : -1]))
#define XSTR(p, n, m, ...) { .name = n, .place = X_##p, .type = XV_STR, .offset = XOFF(m, char *), ##__VA_ARGS__ }
#define XMAC(p, n, m, ...) { .name = n, .place = X_##p, .type = XV_MAC, .offset = XOFF(m, char *), ##__VA_ARGS__ }
#define XNUM(p, n, m, ...) { .name = n, .place = X_##p, .type = XV_NUM, .offset = XOFF(m, struct xnum), ##__VA_ARGS__ }
#define XHEX(p, n, m, d, ...)                                                                                      \
	{ .name = n, .place = X_##p, .type = XV_NUM, .offset = XOFF(m, struct xnum), .flags = XF_NUMBERED,         \
	  .digits = d, ##__VA_ARGS__ }
#define XKIB(p, n, m, ...) { .name = n, .place = X_##p, .type = XV_KIB, .offset = XOFF(m, struct xnum), ##__VA_ARGS__ }
#define XBYTES(p, n, m, ...)                                                                                       \
	{ .name = n, .place = X_##p, .type = XV_BYTES, .offset = XOFF(m, struct xnum), ##__VA_ARGS__ }
#define XUUID(p, n, m, ...)                                                                                \
	{                                                                                                  \
		.name = n, .place = X_##p, .type = XV_UUID, .offset = XOFF(m, struct xuuid), ##__VA_ARGS__ \
	}
#define XENUM(p, n, m, names, ...)                                                                                 \
	{ .name = n, .place = X_##p, .type = XV_ENUM, .offset = XOFF(m, int), .with = names, ##__VA_ARGS__ }
#define XFLAG(n, m, ...) { .name = n, .place = X_ELEM, .type = XV_FLAG, .offset = XOFF(m, bool), ##__VA_ARGS__ }
#define XGROUP(n, r, ...) { .name = n, .place = X_GROUP, .with = r, ##__VA_ARGS__ }
#define XEMBED(m, r) { .name = "", .place = X_EMBED, .offset = offsetof(T, m), .with = r }
#define XONE(n, m, map, ...) { .name = n, .place = X_ONE, .offset = offsetof(T, m), .with = &map, ##__VA_ARGS__ }
#define XMANY(n, m, map, ...) { .name = n, .place = X_LIST, .offset = offsetof(T, m), .with = &map, ##__VA_ARGS__ }
#define XRAW(n, m, ...) { .name = n, .place = X_RAW, .offset = offsetof(T, m), ##__VA_ARGS__ }
#define XANY(m) { .name = "", .place = X_ANY, .offset = offsetof(T, m) }
#define XEND { .place = X_END }

enum {
	XMAP_LIVE = 1,
	XMAP_SECRET = 2,
	XMAP_STRICT = 4, /* what no row names is an error */
};

/* Error numbers that these functions give, beside -ENOMEM:
 * -EILSEQ the text is no well-formed XML; -EBADMSG the document is wrong; -EPROTO something unknown, with XMAP_STRICT.
 */

/* Reads an element into obj (zeroed, of map->size). On failure what was read stays; the caller frees it. */
int xmap_read(const struct xmap *map, void *obj, struct _xmlNode *node, unsigned flags, struct err *e) ATTR_MUST_USE;
/* Makes an object from a text whose root element is `root`, or map->name when that is NULL. what: for messages,
 * "domain_definition". */
int xmap_parse(const struct xmap *map, void **obj, const char *xml, size_t len, const char *what, unsigned flags,
	       struct err *e) ATTR_MUST_USE;
/* Appends the element to b, its lines indented by `indent` spaces. Errors of b. */
int xmap_write(const struct xmap *map, const void *obj, const char *name, unsigned flags, unsigned indent,
	       struct buf *b) ATTR_MUST_USE;
/* The same as a text of its own; free it. NULL: out of memory or beyond XMAP_OUT_MAX. */
char *xmap_format(const struct xmap *map, const void *obj, const char *name, unsigned flags);
/* Frees what obj owns and zeroes it; xmap_free also frees obj itself. NULL is allowed. */
void xmap_clear(const struct xmap *map, void *obj);
void xmap_free(const struct xmap *map, void *obj);
void xraw_free(struct xraw *r);

/* The list takes the item. -ENOMEM, -E2BIG. Positions above the end append. */
int xlist_add(void *list, void *item) ATTR_MUST_USE;
int xlist_insert(void *list, unsigned at, void *item) ATTR_MUST_USE;
void *xlist_take(void *list, unsigned at);
/* A zeroed item at the end of the list. NULL: out of memory, or the list is full. */
void *xlist_new(void *list, size_t size) ATTR_MUST_USE;

/* Sets a string that an object owns. -ENOMEM. */
int xstr_set(char **member, const char *value) ATTR_MUST_USE;
int xstr_printf(char **member, const char *fmt, ...) ATTR_PRINTF(2, 3) ATTR_MUST_USE;
static inline struct xnum xnum(uint64_t v) { return (struct xnum){ .v = v, .set = true }; }
static inline struct xnum xhex(uint64_t v) { return (struct xnum){ .v = v, .set = true, .hex = true }; }
/* The position of the name in a table of an XV_ENUM; 0 when it is not there. */
int xenum_find(const char *const names[], const char *name);

/* 36 characters and a zero. Reading takes 32 hexadecimal digits with dashes and blanks between, as libvirt does. */
void xuuid_text(const uint8_t uuid[16], char text[37]);
int xuuid_parse(uint8_t uuid[16], const char *text) ATTR_MUST_USE;
/* Version 4, from the kernel's random numbers. */
void xuuid_random(struct xuuid *u);

/* Scale of a unit: "KiB", "MB", "bytes"..., as libvirt counts. 0: unknown. */
uint64_t xunit_scale(const char *unit);

/* Text for XML. */
int xml_escape(struct buf *b, const char *text) ATTR_MUST_USE;

#endif
