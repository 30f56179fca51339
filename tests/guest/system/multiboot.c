/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Multiboot guest: prints what the loader told it, then does what its command line says:
 *   off       ACPI power-off          reset     ACPI reset            triple   a triple fault
 *   panic     tells pvpanic           exit=N    N to the debug-exit port
 *   keys      prints every byte typed in hexadecimal; q powers off, e debug exit with 21, t triple fault
 *   deaf      prints dots for ever and never reads
 */
#include <stdint.h>

enum { COM1 = 0x3f8, LSR = COM1 + 5, LSR_DATA = 1, LSR_ROOM = 0x20 };
enum {
	PM_CONTROL = 0x604,
	PM_RESET = 0x60c,
	RESET_VALUE = 6,
	S5 = 5 << 10 | 1 << 13,
	DEBUG_EXIT = 0xf4,
	PVPANIC = 0x505
};

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
		mmap_addr;
};
struct module {
	uint32_t start, end, string, reserved;
};
struct map {
	uint32_t size, addr, addr_high, len, len_high, type;
};

void multiboot_main(uint32_t magic, const struct info *info);
void triple_fault(void);

static void out8(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static void out16(uint16_t port, uint16_t v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port)); }
static uint8_t in8(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void put(const char *s)
{
	for (; *s; s++) {
		while (!(in8(LSR) & LSR_ROOM))
			;
		out8(COM1, (uint8_t)*s);
	}
}

static void put_hex(uint32_t v, unsigned digits)
{
	char text[9] = {0};
	for (unsigned n = digits; n--; v >>= 4)
		text[n] = "0123456789abcdef"[v & 15];
	put(text);
}

static void put_word(const char *name, uint32_t v)
{
	put(name);
	put_hex(v, 8);
}

static uint32_t sum(const uint8_t *p, const uint8_t *end)
{
	uint32_t s = 0;
	while (p < end)
		s += *p++;
	return s;
}

/* What follows the word, where the text begins with it; else NULL. */
static const char *after(const char *text, const char *word)
{
	for (; *word; word++, text++)
		if (*text != *word)
			return 0;
	return text;
}

static void power_off(void)
{
	put("guest: power-off\n");
	out16(PM_CONTROL, S5);
}

static void keys(void)
{
	put("guest: type\n");
	for (;;) {
		uint8_t key;
		while (!(in8(LSR) & LSR_DATA))
			__asm__ volatile("pause");
		key = in8(COM1);
		put("key ");
		put_hex(key, 2);
		put("\n");
		if (key == 'q')
			power_off();
		if (key == 'e')
			out8(DEBUG_EXIT, 21);
		if (key == 't')
			triple_fault();
	}
}

static void deaf(void)
{
	for (;;) {
		put(".");
		for (volatile unsigned n = 0; n < 1000000; n++)
			;
	}
}

static void obey(const char *line)
{
	const char *number = after(line, "exit=");
	uint8_t value = 0;
	if (after(line, "off"))
		power_off();
	if (after(line, "reset"))
		out8(PM_RESET, RESET_VALUE);
	if (after(line, "triple"))
		triple_fault();
	if (after(line, "panic"))
		out8(PVPANIC, 1);
	if (after(line, "keys"))
		keys();
	if (after(line, "deaf"))
		deaf();
	if (number) {
		for (; *number >= '0' && *number <= '9'; number++)
			value = value * 10 + (*number - '0');
		out8(DEBUG_EXIT, value);
	}
}

void multiboot_main(uint32_t magic, const struct info *info)
{
	const struct module *m = (const struct module *)info->mods_addr;
	uint32_t at = info->mmap_addr;
	out8(COM1 + 1, 0);
	put_word("guest: magic ", magic);
	put_word(" lower ", info->mem_lower);
	put_word(" upper ", info->mem_upper);
	put("\nguest: line ");
	put((const char *)info->cmdline);
	put("\n");
	for (uint32_t n = 0; n < info->mods_count; n++) {
		put_word("guest: module size ", m[n].end - m[n].start);
		put_word(" sum ", sum((const uint8_t *)m[n].start, (const uint8_t *)m[n].end));
		put("\n");
	}
	for (; at < info->mmap_addr + info->mmap_length; at += ((const struct map *)at)->size + 4) {
		const struct map *e = (const struct map *)at;
		put("guest: map ");
		put_hex(e->addr_high, 8);
		put_word("", e->addr);
		put(" ");
		put_hex(e->len_high, 8);
		put_word("", e->len);
		put_word(" type ", e->type);
		put("\n");
	}
	put("guest: end of map\n");
	obey((const char *)info->cmdline);
}
