/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands behind "soft," in --accel, and the names of translated blocks. */
#include "accel/soft/soft_options.h"
#include "accel/soft/xlate.h"
#include "accel/soft/xlate_sight.h"
#include "base/compiler.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_options(void **unused)
{
	struct soft_options o;
	struct err e = { 0 };
	assert_int_equal(soft_options_parse(&o, NULL, &e), 0);
	assert_int_equal(o.cache, XLATE_CODE_MAX);
	assert_int_equal(o.hot, XLATE_HOT);
	assert_false(o.each_block || o.inject || o.perf || o.gdb);
	assert_int_equal(soft_options_parse(&o, "translate=off", &e), 0);
	assert_int_equal(o.hot, 0);
	assert_int_equal(soft_options_parse(&o, "translate=on", &e), 0);
	assert_int_equal(o.hot, XLATE_HOT);
	assert_int_equal(soft_options_parse(&o, "hot=1,cache=256K,chain=off,perf-map,gdb-jit=on,rewrites=7", &e), 0);
	assert_int_equal(o.rewrites, 7);
	assert_true(o.hot == 1 && o.cache == 256 << 10 && o.each_block && o.perf && o.gdb);
	assert_int_equal(soft_options_parse(&o, "translate,interrupt=0xfd,interrupt-every=7", &e), 0);
	assert_true(o.inject == 0xfd && o.inject_every == 7 && o.each_block);
	static const char *const bad[] = { "translate=maybe", "hot=0", "hot=10001", "cache=1K", "cache=129M",
					   "cache=-1", "chain=", "interrupt=31", "interrupt=256", "interrupt-every=0",
					   "fast", "hot=1,hot=2", ",", "=" };
	for (unsigned n = 0; n < COUNT_OF(bad); n++) {
		memset(&e, 0, sizeof(e));
		if (soft_options_parse(&o, bad[n], &e) == 0)
			fail_msg("\"%s\" was taken", bad[n]);
		assert_non_null(strstr(e.text, "soft"));
	}
}

static unsigned lines(const char *path, const char *want)
{
	char line[128];
	unsigned count = 0;
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		count++;
		assert_string_equal(line, want);
	}
	fclose(f);
	return count;
}

static void test_perf_map(void **unused)
{
	struct xlate_sight *s;
	struct err e = { 0 };
	char path[64];
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	assert_int_equal(xlate_sight_create(&s, false, false, &e), 0);
	assert_null(s);
	assert_int_equal(xlate_sight_create(&s, true, false, &e), 0);
	xlate_sight_add(s, &e, (const uint8_t *)0x12340, 0x55, 0xffffffff81000000);
	xlate_sight_drop(s, &e);
	xlate_sight_destroy(s);
	assert_int_equal(lines(path, "12340 55 guest_ffffffff81000000\n"), 1);
	unlink(path);
}

/* As GDB's manual has it. */
struct entry {
	struct entry *next, *prev;
	const uint8_t *file;
	uint64_t size;
};
extern struct {
	uint32_t version, action;
	struct entry *relevant, *first;
} __jit_debug_descriptor;

static void symbol_is(const struct entry *n, uint64_t at, uint64_t size, const char *name)
{
	const Elf64_Ehdr *h = (const void *)n->file;
	assert_memory_equal(h->e_ident, ELFMAG, SELFMAG);
	assert_true(h->e_shoff + h->e_shnum * sizeof(Elf64_Shdr) <= n->size);
	const Elf64_Shdr *section = (const void *)(n->file + h->e_shoff), *table = NULL;
	for (unsigned k = 0; k < h->e_shnum; k++)
		if (section[k].sh_type == SHT_SYMTAB)
			table = &section[k];
	assert_non_null(table);
	assert_true(table->sh_offset + table->sh_size <= n->size);
	const Elf64_Sym *symbol = (const void *)(n->file + table->sh_offset);
	const Elf64_Shdr *strings = &section[table->sh_link];
	assert_int_equal(symbol[1].st_value, at);
	assert_int_equal(symbol[1].st_size, size);
	assert_string_equal((const char *)n->file + strings->sh_offset + symbol[1].st_name, name);
	const Elf64_Shdr *text = &section[symbol[1].st_shndx];
	assert_string_equal((const char *)n->file + strings->sh_offset + text->sh_name, ".text");
	assert_int_equal(text->sh_addr, at);
}

static unsigned known(void)
{
	unsigned count = 0;
	for (const struct entry *n = __jit_debug_descriptor.first, *prev = NULL; n; prev = n, n = n->next, count++)
		assert_ptr_equal(n->prev, prev);
	return count;
}

static void test_gdb_jit(void **unused)
{
	struct xlate_sight *s;
	struct err e = { 0 };
	int a, b;
	assert_int_equal(__jit_debug_descriptor.version, 1);
	assert_int_equal(xlate_sight_create(&s, false, true, &e), 0);
	for (uintptr_t n = 0; n < 6; n++)
		xlate_sight_add(s, n & 1 ? &a : &b, (const uint8_t *)(0x1000 + 16 * n), 16, 0x400000 + n);
	assert_int_equal(known(), 6);
	symbol_is(__jit_debug_descriptor.first, 0x1050, 16, "guest_400005");
	xlate_sight_drop(s, &a);
	assert_int_equal(known(), 3);
	symbol_is(__jit_debug_descriptor.first, 0x1040, 16, "guest_400004");
	xlate_sight_destroy(s);
	assert_int_equal(known(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_perf_map),
		cmocka_unit_test(test_gdb_jit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
