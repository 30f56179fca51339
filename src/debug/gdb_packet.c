/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "debug/gdb_packet.h"

int gdb_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- in ---- */

static void begin(struct gdb_parser *p)
{
	p->at = GDB_DATA;
	p->len = 0;
	p->sum = 0;
	p->bad = false;
}

static void keep(struct gdb_parser *p, uint8_t byte)
{
	if (p->len < GDB_PACKET_MAX)
		p->data[p->len++] = (char)byte;
	else
		p->bad = true;
}

static enum gdb_input idle(struct gdb_parser *p, uint8_t byte)
{
	switch (byte) {
	case '$': begin(p); return GDB_NOTHING;
	case '+': return GDB_ACK;
	case '-': return GDB_NAK;
	case 0x03: return GDB_INTERRUPT;
	default: return GDB_NOTHING;
	}
}

static enum gdb_input data(struct gdb_parser *p, uint8_t byte)
{
	if (byte == '$') { /* a packet that was cut off: the new one counts */
		begin(p);
		return GDB_NOTHING;
	}
	if (byte == '#') {
		p->bad |= p->at == GDB_ESCAPE;
		p->at = GDB_SUM_HIGH;
		return GDB_NOTHING;
	}
	p->sum = (uint8_t)(p->sum + byte);
	if (p->at == GDB_ESCAPE) {
		keep(p, byte ^ 0x20);
		p->at = GDB_DATA;
	} else if (byte == '}') {
		p->at = GDB_ESCAPE;
	} else {
		keep(p, byte);
	}
	return GDB_NOTHING;
}

static enum gdb_input checksum(struct gdb_parser *p, uint8_t byte)
{
	int digit = gdb_hex_digit((char)byte);

	p->bad |= digit < 0;
	p->said = (uint8_t)(p->said << 4 | (digit & 15));
	if (p->at == GDB_SUM_HIGH) {
		p->at = GDB_SUM_LOW;
		return GDB_NOTHING;
	}
	p->at = GDB_IDLE;
	p->data[p->len] = 0;
	return p->bad || p->said != p->sum ? GDB_BROKEN : GDB_PACKET;
}

enum gdb_input gdb_parser_put(struct gdb_parser *p, uint8_t byte)
{
	switch (p->at) {
	case GDB_IDLE: return idle(p, byte);
	case GDB_DATA:
	case GDB_ESCAPE: return data(p, byte);
	default: return checksum(p, byte);
	}
}

/* ---- out ---- */

int gdb_packet_write(struct buf *out, const void *from, size_t len)
{
	const uint8_t *byte = from;
	uint8_t sum = 0;
	int r = buf_append_byte(out, '$');

	for (size_t n = 0; r == 0 && n < len; n++) {
		bool escape = byte[n] == '#' || byte[n] == '$' || byte[n] == '}' || byte[n] == '*';
		uint8_t put = escape ? byte[n] ^ 0x20 : byte[n];

		if (escape) {
			r = buf_append_byte(out, '}');
			sum = (uint8_t)(sum + '}');
		}
		if (r == 0)
			r = buf_append_byte(out, put);
		sum = (uint8_t)(sum + put);
	}
	return r ? r : buf_printf(out, "#%02x", sum);
}

/* ---- hexadecimal ---- */

int gdb_hex_write(struct buf *out, const void *from, size_t len)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *byte = from;
	int r = 0;

	for (size_t n = 0; r == 0 && n < len; n++) {
		r = buf_append_byte(out, (uint8_t)digit[byte[n] >> 4]);
		if (r == 0)
			r = buf_append_byte(out, (uint8_t)digit[byte[n] & 15]);
	}
	return r;
}

bool gdb_hex_read(const char **text, void *to, size_t len)
{
	uint8_t *byte = to;

	for (size_t n = 0; n < len; n++, *text += 2) {
		int high = gdb_hex_digit((*text)[0]), low = high < 0 ? -1 : gdb_hex_digit((*text)[1]);

		if (low < 0)
			return false;
		byte[n] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool gdb_hex_number(const char **text, uint64_t *value)
{
	unsigned n = 0;

	*value = 0;
	for (; n < 16 && gdb_hex_digit(**text) >= 0; n++, (*text)++)
		*value = *value << 4 | (uint64_t)gdb_hex_digit(**text);
	return n && gdb_hex_digit(**text) < 0;
}
