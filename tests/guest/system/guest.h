/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the self-checking guests share: serial output, checks, and the way out. Every check prints one line,
 * "ok name: value" or "FAIL name: value, want value", so that two processors can be compared line by line.
 */
#ifndef PANAL_TESTS_GUEST_H
#define PANAL_TESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline uint8_t inb(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

void print(const char *s);
void print_hex(uint64_t v);
void print_dec(uint64_t v);

/* One check: got against want. */
void check(const char *name, uint64_t got, uint64_t want);
/* The same for a value that another processor may differ in by right: printed, not judged. */
void note(const char *name, uint64_t got);
/* A check of many parts: prints the text when ok, else what the caller said with `fault`. */
void verdict(const char *name, bool ok);

unsigned failures(void);
/* Ends the machine: debug exit with 0 when nothing failed, else 1. */
__attribute__((noreturn)) void finish(void);
__attribute__((noreturn)) void die(const char *why, uint64_t a, uint64_t b);

void *memset(void *d, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
