/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

enum { SERIAL = 0x3f8, DEBUG_EXIT = 0xf4 };

static unsigned failed;

static void put(char ch)
{
	for (unsigned n = 0; n < 100000 && !(inb(SERIAL + 5) & 0x20); n++)
		;
	outb(SERIAL, (uint8_t)ch);
}

void print(const char *s)
{
	for (; *s; s++)
		put(*s);
}

void print_hex(uint64_t v)
{
	bool begun = false;

	for (int shift = 60; shift >= 0; shift -= 4) {
		unsigned digit = v >> shift & 15;
		begun |= digit || shift == 0;
		if (begun)
			put("0123456789abcdef"[digit]);
	}
}

void print_dec(uint64_t v)
{
	uint32_t low = (uint32_t)v; /* small numbers only: no 64-bit division in 32-bit code */

	if (low >= 10)
		print_dec(low / 10);
	put((char)('0' + low % 10));
}

void check(const char *name, uint64_t got, uint64_t want)
{
	print(got == want ? "ok " : "FAIL ");
	print(name);
	print(": ");
	print_hex(got);
	if (got != want) {
		print(", want ");
		print_hex(want);
		failed++;
	}
	print("\n");
}

void note(const char *name, uint64_t got)
{
	print("note ");
	print(name);
	print(": ");
	print_hex(got);
	print("\n");
}

void verdict(const char *name, bool ok)
{
	print(ok ? "ok " : "FAIL ");
	print(name);
	print("\n");
	failed += !ok;
}

unsigned failures(void)
{
	return failed;
}

void finish(void)
{
	print(failed ? "end: " : "end: all fine, ");
	print_dec(failed);
	print(" failed\n");
	outb(DEBUG_EXIT, failed != 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void die(const char *why, uint64_t a, uint64_t b)
{
	print("FAIL unexpected ");
	print(why);
	print(" ");
	print_hex(a);
	print(" ");
	print_hex(b);
	print("\n");
	failed++;
	finish();
}

void *memset(void *d, int c, size_t n)
{
	char *p = d;

	while (n--)
		*p++ = (char)c;
	return d;
}

void *memcpy(void *d, const void *s, size_t n)
{
	char *p = d;
	const char *q = s;

	while (n--)
		*p++ = *q++;
	return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;

	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}
