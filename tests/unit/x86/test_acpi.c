/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds the tables, checks their links and sums, and has ACPICA's iasl take them apart and compile them again. */
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/acpi/aml.h"
#include "arch/x86/numa.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "core/gmem.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { BASE = 0xe0000, SIZE = 0x20000 };

static uint32_t ids[64];

static struct acpi_config machine(unsigned cpus)
{
	struct acpi_config c = {
		.base = BASE, .size = SIZE, .cpus = cpus, .apic_id = ids, .lapic_base = 0xfee00000,
		.ioapic_base = 0xfec00000, .ioapic_id = 0, .pic = true, .timer_on_pin2 = true, .pm_event = 0x600,
		.pm_control = 0x604, .pm_timer = 0x608, .gpe0 = 0x620, .gpe0_len = 4, .reset_port = 0x60c,
		.reset_value = 6, .s5_type = 5, .sci = 9, .serial = {{0x3f8, 4}, {0x2f8, 3}}, .rtc = true,
		.i8042 = true, .hpet_base = 0xfed00000, .hpet_id = 0x8086a201,
		.pvpanic_port = 0x505, .ecam_base = 0xe0000000, .bus_first = 0, .bus_last = 255,
		.mem32_base = 0xc0000000, .mem32_size = 0x20000000, .mem64_base = UINT64_C(0x800000000),
		.mem64_size = UINT64_C(0x400000000), .pci_io = true, .virtio_count = 3,
		.virtio = {{0xd0000000, 0x1000, 5}, {0xd0001000, 0x1000, 6}, {0xd0002000, 0x1000, 18}},
	};
	for (unsigned n = 0; n < 64; n++)
		ids[n] = n == 5 ? 300 : n;
	for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++)
		for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++)
			c.pci_gsi[slot][pin] = acpi_pci_gsi(slot, pin);
	return c;
}

static struct gmem *memory(void)
{
	struct gmem *mem;
	assert_int_equal(gmem_create(&mem, NULL), 0);
	assert_int_equal(gmem_add_ram(mem, 0, 0x100000, "ram", false, NULL), 0);
	return mem;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;
	while (len--)
		s += *p++;
	return s;
}

static const uint8_t *table(struct gmem *mem, uint64_t gpa)
{
	const uint8_t *p = gmem_at(mem, gpa, 36);
	assert_non_null(p);
	p = gmem_at(mem, gpa, load_le32(p + 4));
	assert_non_null(p);
	if (memcmp(p, "FACS", 4))
		assert_int_equal(sum(p, load_le32(p + 4)), 0);
	return p;
}

static void dump(const char *dir, struct gmem *mem, uint64_t gpa)
{
	const uint8_t *p = table(mem, gpa);
	char path[256];
	snprintf(path, sizeof(path), "%s/%.4s.aml", dir, (const char *)p);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, load_le32(p + 4), 1, f), 1);
	fclose(f);
}

static void dump_all(const char *dir, struct gmem *mem, uint64_t rsdp)
{
	const uint8_t *p = gmem_at(mem, rsdp, 36);
	const uint8_t *xsdt = table(mem, load_le64(p + 24));
	const uint8_t *rsdt = table(mem, load_le32(p + 16));
	unsigned n = (load_le32(xsdt + 4) - 36) / 8;
	assert_int_equal((load_le32(rsdt + 4) - 36) / 4, n);
	dump(dir, mem, load_le64(p + 24));
	for (unsigned k = 0; k < n; k++) {
		uint64_t gpa = load_le64(xsdt + 36 + k * 8);
		assert_int_equal(gpa, load_le32(rsdt + 36 + k * 4));
		dump(dir, mem, gpa);
		const uint8_t *t = table(mem, gpa);
		if (!memcmp(t, "FACP", 4)) {
			assert_int_equal(load_le32(t + 4), 276);
			dump(dir, mem, load_le32(t + 40));
			dump(dir, mem, load_le32(t + 36));
			assert_int_equal(load_le32(t + 36) % 64, 0);
		}
	}
}

static int shell(const char *dir, const char *command)
{
	char line[1024];
	snprintf(line, sizeof(line), "cd %s && { %s; } > log 2>&1", dir, command);
	int rc = system(line);
	if (rc) {
		snprintf(line, sizeof(line), "cat %s/log", dir);
		if (system(line))
			fprintf(stderr, "the log cannot be shown\n");
	}
	return rc;
}

/* Disassembles each table, compiles the result, and wants no error nor warning. The DSDT that comes out of it must
 * have the same source. */
static void with_iasl(const char *dir)
{
	static const char *const check =
		"for t in *.aml; do n=${t%.aml}; iasl -d $t && iasl -we -p again-$n $n.dsl || exit 1; done; "
		"iasl -d again-DSDT.aml && grep -v '^ [*]' DSDT.dsl > a && grep -v '^ [*]' again-DSDT.dsl > b && "
		"diff a b";
	assert_int_equal(shell(dir, check), 0);
}

static void check_tables(struct gmem *mem, uint64_t rsdp)
{
	const uint8_t *p = gmem_at(mem, rsdp, 36);
	assert_memory_equal(p, "RSD PTR ", 8);
	assert_int_equal(sum(p, 20), 0);
	assert_int_equal(sum(p, 36), 0);
	char dir[] = "/tmp/panal-acpi-XXXXXX";
	assert_non_null(mkdtemp(dir));
	dump_all(dir, mem, rsdp);
	if (system("iasl -v > /dev/null 2>&1"))
		print_message("SKIPPED: iasl (package acpica-tools) is missing: the AML is not checked\n");
	else
		with_iasl(dir);
	char line[64];
	snprintf(line, sizeof(line), "rm -r %s", dir);
	assert_int_equal(system(line), 0);
}

static void check_machine(const struct acpi_config *c)
{
	struct gmem *mem = memory();
	uint64_t rsdp = 0;
	struct err e = {0};
	int rc = acpi_build(mem, c, &rsdp, &e);
	if (rc)
		fail_msg("%s", e.text);
	check_tables(mem, rsdp);
	gmem_destroy(mem);
}

/* ---- as firmware does it: QEMU's linker and loader ---- */

enum { TABLES_AT = BASE, RSDP_AT = 0xd0000, PAGE_AT = 0xc0000 };

static uint64_t file_at(const char *name)
{
	if (!strcmp(name, ACPI_FILE_TABLES))
		return TABLES_AT;
	return strcmp(name, ACPI_FILE_RSDP) ? PAGE_AT : RSDP_AT;
}

static void add_to(uint8_t *p, unsigned bytes, uint64_t v)
{
	for (unsigned n = 0; n < bytes; n++, v >>= 8) {
		v += p[n];
		p[n] = (uint8_t)v;
	}
}

/* Runs the script; gives what it would tell the machine of the generation ID's page. */
static uint64_t link_files(struct gmem *mem, const struct acpi_files *f)
{
	uint64_t told = 0;

	for (size_t at = 0; at < f->loader_len; at += 128) {
		const uint8_t *c = f->loader + at, *p = c + 60;
		uint64_t file = file_at((const char *)c + 4);

		switch (load_le32(c)) {
		case 1: assert_int_equal(file % load_le32(p), 0); break;
		case 2: add_to(gmem_at(mem, file + load_le32(p + 56), 8), p[60], file_at((const char *)p)); break;
		case 3: {
			uint8_t *sum_at = gmem_at(mem, file + load_le32(p), 1);
			uint32_t len = load_le32(p + 8);

			*sum_at = (uint8_t)-sum(gmem_at(mem, file + load_le32(p + 4), len), len);
			break;
		}
		case 4:
			assert_int_equal(p[64], 8);
			told = file_at((const char *)p) + load_le32(p + 60);
			break;
		default: fail();
		}
	}
	return told;
}

static void check_files(const struct acpi_config *c)
{
	struct gmem *mem = memory();
	struct acpi_files f;
	struct err e = {0};

	if (acpi_build_files(c, &f, &e))
		fail_msg("%s", e.text);
	assert_int_equal(gmem_write(mem, TABLES_AT, f.tables, f.tables_len), 0);
	assert_int_equal(gmem_write(mem, RSDP_AT, f.rsdp, sizeof(f.rsdp)), 0);
	assert_int_equal(link_files(mem, &f), c->generation_file ? PAGE_AT : 0);
	if (c->generation_file) {
		uint8_t *at = memmem(gmem_at(mem, TABLES_AT, f.tables_len), f.tables_len, "VGIA", 4);

		assert_non_null(at);
		assert_int_equal(load_le32(at + 5), PAGE_AT + c->generation_offset);
	}
	check_tables(mem, RSDP_AT);
	free(f.tables);
	free(f.loader);
	gmem_destroy(mem);
}

static struct numa nodes(void)
{
	static struct numa n;
	struct err e = {0};

	n = (struct numa){ .count = 3, .node = { { 1 << 30, 0x3, NUMA_NOBODY }, { UINT64_C(2) << 30, 0x3c,
	NUMA_NOBODY },
						  { 1 << 30, 0, 1 } } };
	n.distance[0][2] = 31;
	n.value[NUMA_MEMORY][NUMA_LATENCY][0][1] = 100;
	n.value[NUMA_MEMORY][NUMA_BANDWIDTH][1][2] = 300000;
	n.cache[n.caches++] = (struct numa_cache){ 1, 1, 1 << 20, NUMA_DIRECT, NUMA_WRITE_BACK, 64 };
	if (numa_check(&n, 6, UINT64_C(4) << 30, &e))
		fail_msg("%s", e.text);
	return n;
}

/* What a PC can have: all of it, each alone, none. */
static void shapes_of_a_pc(void **state)
{
	struct numa n = nodes();

	for (unsigned shape = 0; shape <= 10; shape++) {
		struct acpi_config c = machine(6);
		bool all = shape == 0;

		c.base = c.virtio_count = 0;
		c.s3_type = all || shape == 1;
		c.s4_type = all || shape == 9 ? 2 : 0;
		c.floppy = all || shape == 10;
		c.parallel.port = all || shape == 2 ? 0x378 : 0;
		c.parallel.irq = 7;
		if (all || shape == 3)
			c.serial[2].port = 0x3e8, c.serial[2].irq = 4, c.serial[3].port = 0x2e8, c.serial[3].irq = 3;
		c.generation_file = all || shape == 4 ? "etc/vmgenid_guid" : NULL;
		c.generation_address_file = "etc/vmgenid_addr";
		c.generation_offset = 40;
		c.generation_gpe = 5;
		c.numa = all || shape == 5 ? &n : NULL;
		c.low_top = 0x80000000;
		c.ide = all || shape == 6;
		c.vga = c.mouse = all || shape == 7;
		c.fw_cfg_port = all || shape < 8 ? 0x510 : 0;
		c.mem32_more_base = all || shape == 8 ? 0xf0000000 : 0;
		c.mem32_more_size = c.mem32_more_base ? 0xec00000 : 0;
		check_files(&c);
	}
}

static void memory_of_nodes(void **state)
{
	struct numa n = nodes();
	struct numa_range r[NUMA_RANGES_MAX];
	struct err e = {0};
	static const struct numa_range want[] = {
		{ 0, 0, 0xa0000 }, { 0, 0x100000, 0x3ff00000 }, { 1, 0x40000000, 0x40000000 },
		{ 1, UINT64_C(0x100000000), 0x40000000 }, { 2, UINT64_C(0x140000000), 0x40000000 },
	};

	assert_int_equal(numa_ranges(&n, 0x80000000, r), 5);
	for (unsigned i = 0; i < COUNT_OF(want); i++) {
		assert_int_equal(r[i].node, want[i].node);
		assert_int_equal(r[i].base, want[i].base);
		assert_int_equal(r[i].size, want[i].size);
	}
	assert_int_equal(n.distance[2][0], 31);
	assert_int_equal(n.distance[1][0], 20);
	assert_int_equal(numa_node_of(&n, 5), 1);
	assert_int_equal(numa_check(&n, 7, UINT64_C(4) << 30, &e), -EINVAL); /* one is in no node */
	assert_int_equal(numa_check(&n, 5, UINT64_C(4) << 30, &e), -EINVAL);
	assert_int_equal(numa_check(&n, 6, UINT64_C(5) << 30, &e), -EINVAL);
	assert_int_equal(numa_check(&n, 6, UINT64_C(3) << 30, &e), -EINVAL);
	n.node[1].initiator = 2; /* has none */
	assert_int_equal(numa_check(&n, 6, UINT64_C(4) << 30, &e), -EINVAL);
	n.node[1].initiator = NUMA_NOBODY;
	n.distance[1][1] = 11;
	assert_int_equal(numa_check(&n, 6, UINT64_C(4) << 30, &e), -EINVAL);
}

static void full_machine(void **state)
{
	struct acpi_config c = machine(64);
	check_machine(&c);
}

static void small_machine(void **state)
{
	struct acpi_config c = machine(1);
	c.ecam_base = 0;
	c.virtio_count = 0;
	c.rtc = c.i8042 = c.pic = false;
	c.pvpanic_port = c.serial[0].port = c.serial[1].port = 0;
	c.gpe0_len = 0;
	c.reset_port = 0;
	check_machine(&c);
}

static void refusals(void **state)
{
	struct gmem *mem = memory();
	struct acpi_config c = machine(64);
	uint64_t rsdp;
	struct err e = {0};
	c.size = 0x400;
	assert_int_equal(acpi_build(mem, &c, &rsdp, &e), -ENOSPC);
	c = machine(4);
	c.base = 0x200000;
	assert_int_equal(acpi_build(mem, &c, &rsdp, &e), -EFAULT);
	c = machine(0);
	assert_int_equal(acpi_build(mem, &c, &rsdp, &e), -EINVAL);
	gmem_destroy(mem);
}

static void aml_encodings(void **state)
{
	struct aml a = {0};
	aml_eisa_id(&a, "PNP0A03");
	assert_memory_equal(a.buf, "\x0c\x41\xd0\x0a\x03", 5);
	a.len = 0;
	aml_path(&a, "\\_SB.PCI0.S1");
	assert_memory_equal(a.buf, "\\\x2f\x03_SB_PCI0S1__", 15);
	a.len = 0;
	aml_scope(&a, "\\_SB");
	for (unsigned n = 0; n < 70; n++)
		aml_byte(&a, 0xa3);
	aml_end(&a);
	assert_memory_equal(a.buf, "\x10\x4d\x04\\_SB_", 8); /* two length bytes: 0x4d = 70 + 5 + 2 */
	aml_path(&a, "toolong");
	assert_int_equal(a.failed, -EINVAL);
	aml_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aml_encodings), cmocka_unit_test(full_machine), cmocka_unit_test(small_machine),
		cmocka_unit_test(refusals), cmocka_unit_test(shapes_of_a_pc), cmocka_unit_test(memory_of_nodes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
