/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What firmware is handed of a kernel: places, the setup header, the option ROM. */
#include "arch/x86/boot/handover.h"
#include "arch/x86/boot/image.h"
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

enum { SETUP = 2 * 512, CODE = 4096, MIB = 1 << 20 };

static const uint16_t keys[HANDOVER_PIECES] = { 0x18, 0x11, 0x12, 0x15 };

struct fix {
	uint8_t file[SETUP + CODE], rd[2][5];
	char line[64];
	struct boot b;
	struct handover h;
};

static struct fix f;

static int up(void **state)
{
	struct setup_header h = { .setup_sects = 1, .boot_flag = 0xaa55, .header = 0x53726448, .version = 0x20c,
				  .jump = 0x6aeb, .loadflags = LOADED_HIGH, .syssize = CODE / 16,
				  .initrd_addr_max = 0x37ffffff,
				  .cmdline_size = 20, .pref_address = 16 * MIB, .init_size = 8 * MIB };

	memset(&f, 0, sizeof(f));
	memcpy(f.file + 0x1f1, &h, sizeof(h));
	memcpy(f.rd[0], "abcde", 5);
	memcpy(f.rd[1], "fghij", 5);
	strcpy(f.line, "quiet");
	f.b = (struct boot){ .kind = KERNEL_BZIMAGE, .kernel = { f.file, sizeof(f.file), "k" }, .cmdline = f.line,
			     .initrd = { { f.rd[0], 5, "a" }, { f.rd[1], 5, "b" } }, .initrd_count = 2 };
	return 0;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static void pieces_lie_where_the_header_says(void **state)
{
	struct setup_header h;

	assert_int_equal(handover_make(&f.h, &f.b, 512 * MIB, keys, NULL), 0);
	const struct handover_piece *p = f.h.piece;
	memcpy(&h, p[HANDOVER_SETUP].bytes + 0x1f1, sizeof(h));
	assert_int_equal(p[HANDOVER_SETUP].len, SETUP);
	assert_int_equal(p[HANDOVER_KERNEL].len, CODE);
	assert_int_equal(p[HANDOVER_INITRD].len, 13);
	assert_memory_equal(p[HANDOVER_INITRD].bytes, "abcde\0\0\0fghij", 13);
	assert_int_equal(h.ramdisk_image, p[HANDOVER_INITRD].addr);
	assert_int_equal(h.ramdisk_size, 13);
	assert_true(h.ramdisk_image >= 24 * MIB && h.ramdisk_image + 13 <= 511 * MIB);
	assert_int_equal(h.cmd_line_ptr, p[HANDOVER_CMDLINE].addr);
	assert_true(h.loadflags & CAN_USE_HEAP);
	handover_free(&f.h);
}

static void a_rom_names_the_pieces(void **state)
{
	assert_int_equal(handover_make(&f.h, &f.b, 512 * MIB, keys, NULL), 0);
	assert_int_equal(load_le16(f.h.rom), 0xaa55);
	assert_int_equal(f.h.rom[2], 1);
	assert_int_equal(sum(f.h.rom, sizeof(f.h.rom)), 0);
	unsigned pnp = load_le16(f.h.rom + 0x1a);
	assert_memory_equal(f.h.rom + pnp, "$PnP", 4);
	assert_int_equal(sum(f.h.rom + pnp, 32), 0);
	unsigned found = 0;
	for (unsigned n = 0; n + 16 <= sizeof(f.h.rom); n += 16)
		found += load_be32(f.h.rom + n) == (0x110000 | 10) && load_be32(f.h.rom + n + 4) == CODE &&
			 load_be64(f.h.rom + n + 8) == MIB;
	assert_int_equal(found, 1);
	handover_free(&f.h);
}

static void what_does_not_fit_is_refused(void **state)
{
	assert_int_equal(handover_make(&f.h, &f.b, 24 * MIB, keys, NULL), -E2BIG);
	assert_int_equal(handover_make(&f.h, &f.b, 16 * MIB, keys, NULL), -E2BIG);
	strcpy(f.line, "a line of twenty-one.");
	assert_int_equal(handover_make(&f.h, &f.b, 512 * MIB, keys, NULL), -E2BIG);
	f.b.kind = KERNEL_MULTIBOOT;
	assert_int_equal(handover_make(&f.h, &f.b, 512 * MIB, keys, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pieces_lie_where_the_header_says, up),
		cmocka_unit_test_setup(a_rom_names_the_pieces, up),
		cmocka_unit_test_setup(what_does_not_fit_is_refused, up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
