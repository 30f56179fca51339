/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Framing of GDB's remote protocol (GDB manual, appendix E.1): $data#checksum, acknowledgements, the interrupt byte.
 * Input is hostile: nothing is kept beyond GDB_PACKET_MAX bytes.
 */
#ifndef PANAL_DEBUG_GDB_PACKET_H
#define PANAL_DEBUG_GDB_PACKET_H

#include "base/buf.h"

enum { GDB_PACKET_MAX = 16 << 10 };

enum gdb_input {
	GDB_NOTHING,   /* more bytes are needed */
	GDB_PACKET,    /* data and len of the parser hold one, unescaped, with a zero byte behind it */
	GDB_BROKEN,    /* checksum, escape or length are wrong */
	GDB_INTERRUPT, /* Ctrl-C */
	GDB_ACK,
	GDB_NAK,
};

struct gdb_parser { /* zero-initialised */
	enum { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_SUM_HIGH, GDB_SUM_LOW } at;
	uint8_t sum, said;
	bool bad;
	size_t len;
	char data[GDB_PACKET_MAX + 1];
};

enum gdb_input gdb_parser_put(struct gdb_parser *p, uint8_t byte);

/* Appends data as one packet, escaped. 0 or a negative errno. */
int gdb_packet_write(struct buf *out, const void *data, size_t len) ATTR_MUST_USE;

/* Value of a hexadecimal digit, or -1. */
int gdb_hex_digit(char c);
/* Appends bytes as hexadecimal digits. */
int gdb_hex_write(struct buf *out, const void *data, size_t len) ATTR_MUST_USE;
/* Reads exactly len bytes from 2 * len digits; false when *text has fewer. Moves *text on. */
bool gdb_hex_read(const char **text, void *data, size_t len);
/* A number in hexadecimal without a prefix, at most 16 digits; false when there is none. Moves *text on. */
bool gdb_hex_number(const char **text, uint64_t *value);

#endif
