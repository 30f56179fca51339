/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/acpi/area.h"
#include "arch/x86/acpi/dsdt.h"
#include "base/bytes.h"
#include "core/gmem.h"
#include <errno.h>
#include <stdlib.h>

enum { RSDP_SIZE = 36, FACS_SIZE = 64 };
enum { CHECKSUM_AT = 9, GAS_IO = 1 };

/* FADT flags and boot architecture flags (ACPI 6.4 tables 5.10 and 5.11). */
enum {
	FADT_WBINVD = 1 << 0, FADT_C1 = 1 << 2, FADT_NO_SLEEP_BUTTON = 1 << 5, FADT_NO_RTC_WAKE = 1 << 6,
	FADT_TIMER_32 = 1 << 8, FADT_RESET = 1 << 10,
};
enum { BOOT_LEGACY = 1 << 0, BOOT_8042 = 1 << 1, BOOT_NO_VGA = 1 << 2, BOOT_NO_RTC = 1 << 5 };

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4, MADT_X2APIC = 9, MADT_X2APIC_NMI = 10 };
enum { MADT_ENABLED = 1, MADT_PCAT = 1, MPS_ACTIVE_HIGH = 1, MPS_LEVEL = 3 << 2 };

static uint64_t here(const struct acpi_area *ar) { return ar->cfg->base + ar->out.len; }

static void pad(struct acpi_area *ar, size_t align)
{
	while (!ar->out.failed && ar->out.len % align)
		aml_byte(&ar->out, 0);
}

void acpi_zeros(struct acpi_area *ar, size_t n)
{
	while (n-- && !ar->out.failed)
		aml_byte(&ar->out, 0);
}

void acpi_put8(struct acpi_area *ar, uint8_t v) { aml_byte(&ar->out, v); }
void acpi_put16(struct acpi_area *ar, uint16_t v) { aml_bytes(&ar->out, &v, 2); }
void acpi_put32(struct acpi_area *ar, uint32_t v) { aml_bytes(&ar->out, &v, 4); }
void acpi_put64(struct acpi_area *ar, uint64_t v) { aml_bytes(&ar->out, &v, 8); }

static void put_address(struct acpi_area *ar, uint64_t gpa, uint8_t bytes)
{
	if (ar->links < ACPI_LINKS_MAX)
		ar->link[ar->links++] = (struct acpi_link){ .at = (uint32_t)ar->out.len, .bytes = bytes };
	else
		ar->out.failed = -ENOSPC;
	if (bytes == 8)
		acpi_put64(ar, gpa);
	else
		acpi_put32(ar, gpa);
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;
	while (len--)
		sum += *p++;
	return -sum;
}

size_t acpi_begin(struct acpi_area *ar, const char *signature, uint8_t revision)
{
	pad(ar, 16);
	size_t at = ar->out.len;
	aml_bytes(&ar->out, signature, 4);
	acpi_put32(ar, 0); /* length and checksum: at the end */
	aml_byte(&ar->out, revision);
	aml_byte(&ar->out, 0);
	aml_bytes(&ar->out, "PANAL ", 6);
	aml_bytes(&ar->out, "PANALVM ", 8);
	acpi_put32(ar, 1);
	aml_bytes(&ar->out, "PNAL", 4);
	acpi_put32(ar, 1);
	return at;
}

static void finish(struct acpi_area *ar, size_t at)
{
	if (ar->out.failed)
		return;
	uint8_t *p = ar->out.buf + at;
	size_t len = ar->out.len - at;
	store_le32(p + 4, len);
	p[CHECKSUM_AT] = checksum(p, len);
	if (ar->spans < ACPI_SPANS_MAX)
		ar->span[ar->spans++] = (struct acpi_span){ .at = (uint32_t)at, .len = (uint32_t)len };
	else
		ar->out.failed = -ENOSPC;
}

void acpi_listed(struct acpi_area *ar, size_t at)
{
	finish(ar, at);
	ar->table[ar->tables++] = ar->cfg->base + at;
}

static void gas_io(struct acpi_area *ar, uint32_t port, uint8_t bytes)
{
	if (!port) {
		acpi_zeros(ar, 12);
		return;
	}
	static const uint8_t access[9] = {[1] = 1, [2] = 2, [4] = 3};
	aml_byte(&ar->out, GAS_IO);
	aml_byte(&ar->out, bytes * 8);
	aml_byte(&ar->out, 0);
	aml_byte(&ar->out, bytes <= 4 ? access[bytes] : 0);
	acpi_put64(ar, port);
}

static uint64_t facs(struct acpi_area *ar)
{
	pad(ar, 64);
	uint64_t gpa = here(ar);
	aml_bytes(&ar->out, "FACS", 4);
	acpi_put32(ar, FACS_SIZE);
	acpi_zeros(ar, 24); /* hardware signature, waking vectors, lock, flags */
	aml_byte(&ar->out, 2);
	acpi_zeros(ar, FACS_SIZE - 33);
	return gpa;
}

static uint64_t dsdt(struct acpi_area *ar)
{
	size_t at = acpi_begin(ar, "DSDT", 2);
	ar->generation_at = (uint32_t)dsdt_write(&ar->out, ar->cfg);
	finish(ar, at);
	return ar->cfg->base + at;
}

static uint16_t boot_flags(const struct acpi_config *c)
{
	bool serial = false;
	for (unsigned n = 0; n < ACPI_SERIAL_MAX; n++)
		serial |= c->serial[n].port != 0;
	return (serial || c->i8042 ? BOOT_LEGACY : 0) | (c->i8042 ? BOOT_8042 : 0) | (c->vga ? 0 : BOOT_NO_VGA) |
	       (c->rtc ? 0 : BOOT_NO_RTC);
}

/* ACPI 6.4 table 5.9; the order below is the table's. */
static void fadt(struct acpi_area *ar, uint64_t facs_gpa, uint64_t dsdt_gpa)
{
	const struct acpi_config *c = ar->cfg;
	size_t at = acpi_begin(ar, "FACP", 6);
	put_address(ar, facs_gpa, 4);
	put_address(ar, dsdt_gpa, 4);
	aml_byte(&ar->out, 0);
	aml_byte(&ar->out, 0); /* preferred profile: unspecified */
	acpi_put16(ar, c->sci);
	acpi_put32(ar, 0); /* no SMI command: the machine is always in ACPI mode */
	acpi_zeros(ar, 4);
	acpi_put32(ar, c->pm_event);
	acpi_put32(ar, 0);
	acpi_put32(ar, c->pm_control);
	acpi_put32(ar, 0);
	acpi_put32(ar, 0);
	acpi_put32(ar, c->pm_timer);
	acpi_put32(ar, c->gpe0_len ? c->gpe0 : 0);
	acpi_put32(ar, 0);
	aml_bytes(&ar->out, (const uint8_t[]){4, 2, 0, 4, c->gpe0_len, 0, 0, 0}, 8);
	acpi_put16(ar, 0xfff); /* no C2, no C3 */
	acpi_put16(ar, 0xfff);
	acpi_zeros(ar, 2 + 2 + 1 + 1 + 1 + 1); /* flush, duty, alarms of day and month */
	aml_byte(&ar->out, c->rtc ? 0x32 : 0); /* century */
	acpi_put16(ar, boot_flags(c));
	aml_byte(&ar->out, 0);
	acpi_put32(ar, FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_TIMER_32 | (c->s3_type ? 0 :
		FADT_NO_RTC_WAKE) |
	      (c->reset_port ? FADT_RESET : 0));
	gas_io(ar, c->reset_port, 1);
	aml_byte(&ar->out, c->reset_value);
	acpi_put16(ar, 0);
	aml_byte(&ar->out, 3); /* minor version */
	acpi_put64(ar, 0); /* the FACS lies below 4 GiB: the 32-bit field has it (ACPI 6.4 table 5.9,
		X_FIRMWARE_CTRL) */
	put_address(ar, dsdt_gpa, 8);
	gas_io(ar, c->pm_event, 4);
	gas_io(ar, 0, 0);
	gas_io(ar, c->pm_control, 2);
	gas_io(ar, 0, 0);
	gas_io(ar, 0, 0);
	gas_io(ar, c->pm_timer, 4);
	gas_io(ar, c->gpe0_len ? c->gpe0 : 0, c->gpe0_len);
	gas_io(ar, 0, 0);
	acpi_zeros(ar, 12 + 12);
	aml_bytes(&ar->out, "PANALVM\0", 8); /* hypervisor identity */
	acpi_listed(ar, at);
}

static void madt_cpu(struct acpi_area *ar, unsigned n)
{
	uint32_t id = ar->cfg->apic_id[n];
	if (id < 255) {
		aml_bytes(&ar->out, (const uint8_t[]){MADT_LAPIC, 8, n, id}, 4);
		acpi_put32(ar, MADT_ENABLED);
		return;
	}
	aml_bytes(&ar->out, (const uint8_t[]){MADT_X2APIC, 16, 0, 0}, 4);
	acpi_put32(ar, id);
	acpi_put32(ar, MADT_ENABLED);
	acpi_put32(ar, n);
}

static void madt_override(struct acpi_area *ar, uint8_t source, uint32_t gsi, uint16_t flags)
{
	aml_bytes(&ar->out, (const uint8_t[]){MADT_OVERRIDE, 10, 0, source}, 4);
	acpi_put32(ar, gsi);
	acpi_put16(ar, flags);
}

static void madt(struct acpi_area *ar)
{
	const struct acpi_config *c = ar->cfg;
	bool x2 = false;
	size_t at = acpi_begin(ar, "APIC", 4);
	acpi_put32(ar, c->lapic_base);
	acpi_put32(ar, c->pic ? MADT_PCAT : 0);
	for (unsigned n = 0; n < c->cpus; n++) {
		madt_cpu(ar, n);
		x2 |= c->apic_id[n] >= 255;
	}
	aml_bytes(&ar->out, (const uint8_t[]){MADT_IOAPIC, 12, c->ioapic_id, 0}, 4);
	acpi_put32(ar, c->ioapic_base);
	acpi_put32(ar, 0);
	if (c->timer_on_pin2)
		madt_override(ar, 0, 2, 0);
	madt_override(ar, c->sci, c->sci, MPS_ACTIVE_HIGH | MPS_LEVEL);
	aml_bytes(&ar->out, (const uint8_t[]){MADT_LAPIC_NMI, 6, 0xff, 0, 0, 1}, 6);
	if (x2)
		aml_bytes(&ar->out, (const uint8_t[]){MADT_X2APIC_NMI, 12, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0}, 12);
	acpi_listed(ar, at);
}

static void mcfg(struct acpi_area *ar)
{
	size_t at = acpi_begin(ar, "MCFG", 1);
	acpi_zeros(ar, 8);
	acpi_put64(ar, ar->cfg->ecam_base);
	acpi_put16(ar, 0);
	aml_byte(&ar->out, ar->cfg->bus_first);
	aml_byte(&ar->out, ar->cfg->bus_last);
	acpi_put32(ar, 0);
	acpi_listed(ar, at);
}

static void hpet(struct acpi_area *ar)
{
	size_t at = acpi_begin(ar, "HPET", 1);
	acpi_put32(ar, ar->cfg->hpet_id);
	aml_bytes(&ar->out, (const uint8_t[]){0, 64, 0, 0}, 4); /* in memory */
	acpi_put64(ar, ar->cfg->hpet_base);
	aml_byte(&ar->out, 0);
	acpi_put16(ar, 2000); /* least ticks of a period: 20 us */
	aml_byte(&ar->out, 0);
	acpi_listed(ar, at);
}

/* Windows: the RTC and the PM timer need no workarounds. */
static void waet(struct acpi_area *ar)
{
	size_t at = acpi_begin(ar, "WAET", 1);
	acpi_put32(ar, 3);
	acpi_listed(ar, at);
}

static uint64_t root(struct acpi_area *ar, const char *signature, bool wide)
{
	size_t at = acpi_begin(ar, signature, 1);
	for (unsigned n = 0; n < ar->tables; n++)
		put_address(ar, ar->table[n], wide ? 8 : 4);
	finish(ar, at);
	return ar->cfg->base + at;
}

static void rsdp(uint8_t *p, uint32_t rsdt, uint64_t xsdt)
{
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "PANAL ", 6);
	p[15] = 2;
	store_le32(p + 16, rsdt);
	store_le32(p + 20, RSDP_SIZE);
	store_le64(p + 24, xsdt);
	p[8] = checksum(p, 20);
	p[32] = checksum(p, RSDP_SIZE);
}

static int check(const struct acpi_config *c, struct err *e)
{
	if (c->generation_file && c->base)
		return err_set(e, -EINVAL, "only firmware can place a generation ID");
	if (!c->cpus || c->cpus > ACPI_CPU_MAX || !c->apic_id)
		return err_set(e, -EINVAL, "ACPI tables are made for 1 to %d processors, not %u", ACPI_CPU_MAX,
			c->cpus);
	if (c->virtio_count > ACPI_VIRTIO_MAX)
		return err_set(e, -EINVAL, "at most %d virtio-mmio devices can be described, not %u", ACPI_VIRTIO_MAX,
			       c->virtio_count);
	if (c->base % 64 || c->base >> 32 || c->bus_last < c->bus_first || c->sci > 15 ||
	    (c->ecam_base + ((uint64_t)c->bus_last << 20) + 0xfffff) >> 32)
		return err_set(e, -EINVAL, "the board's ACPI addresses contradict themselves");
	return 0;
}

/* The tables into ar->out, which the caller frees. */
static int build(struct acpi_area *ar, struct err *e)
{
	const struct acpi_config *c = ar->cfg;
	int rc = check(c, e);
	if (rc)
		return rc;
	acpi_zeros(ar, RSDP_SIZE);
	uint64_t facs_gpa = facs(ar), dsdt_gpa = dsdt(ar);
	fadt(ar, facs_gpa, dsdt_gpa);
	madt(ar);
	if (c->ecam_base)
		mcfg(ar);
	if (c->hpet_base)
		hpet(ar);
	if (c->numa)
		acpi_numa_tables(ar);
	waet(ar);
	ar->rsdt = root(ar, "RSDT", false);
	ar->xsdt = root(ar, "XSDT", true);
	if (ar->out.failed)
		return err_set(e, ar->out.failed, "the ACPI tables could not be put together");
	if (ar->out.len > c->size)
		return err_set(e, -ENOSPC, "the ACPI tables need %zu bytes and have %u; use fewer devices", ar->out.len,
			       c->size);
	return 0;
}

int acpi_build(struct gmem *mem, const struct acpi_config *cfg, uint64_t *rsdp_gpa, struct err *e)
{
	struct acpi_area ar = {.cfg = cfg};
	int rc = build(&ar, e);
	if (!rc) {
		rsdp(ar.out.buf, ar.rsdt, ar.xsdt);
		rc = gmem_write(mem, cfg->base, ar.out.buf, ar.out.len);
		if (rc)
			err_set(e, rc, "there is no RAM at 0x%llx for the ACPI tables", (unsigned long long)cfg->base);
	}
	aml_free(&ar.out);
	if (!rc)
		*rsdp_gpa = cfg->base;
	return rc;
}

/* ---- for firmware that places them ---- */

/* The commands (QEMU, hw/acpi/bios-linker-loader): 128 bytes each, little-endian. */
enum { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3, LOADER_TELL = 4, LOADER_ENTRY = 128,
	LOADER_NAME = 56 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2, RSDP_CHECKSUM = 8, RSDP_XCHECKSUM = 32, RSDP_V1_SIZE = 20, ACPI_PAGE = 4096 };
enum { RSDP_RSDT = 16, RSDP_XSDT = 24 };

static uint8_t *command(struct aml *out, uint32_t what, const char *file)
{
	static const uint8_t blank[LOADER_ENTRY];
	aml_bytes(out, blank, sizeof(blank));
	if (out->failed)
		return NULL;
	uint8_t *p = out->buf + out->len - LOADER_ENTRY;
	store_le32(p, what);
	memcpy(p + 4, file, strlen(file));
	return p + 4 + LOADER_NAME;
}

static void allocate(struct aml *out, const char *file, uint32_t align, uint8_t zone)
{
	uint8_t *p = command(out, LOADER_ALLOCATE, file);
	if (!p)
		return;
	store_le32(p, align);
	p[4] = zone;
}

static void pointer(struct aml *out, const char *file, uint32_t at, uint8_t bytes, const char *to)
{
	uint8_t *p = command(out, LOADER_POINTER, file);
	if (!p)
		return;
	memcpy(p, to, strlen(to));
	store_le32(p + LOADER_NAME, at);
	p[LOADER_NAME + 4] = bytes;
}

static void sum(struct aml *out, const char *file, uint32_t at, uint32_t start, uint32_t len)
{
	uint8_t *p = command(out, LOADER_CHECKSUM, file);
	if (!p)
		return;
	store_le32(p, at);
	store_le32(p + 4, start);
	store_le32(p + 8, len);
}

/* The page of the generation ID: the DSDT points into it, and the machine hears where it lies. */
static void generation(struct acpi_area *ar, struct aml *out)
{
	const struct acpi_config *c = ar->cfg;

	allocate(out, c->generation_file, ACPI_PAGE, ZONE_HIGH);
	pointer(out, ACPI_FILE_TABLES, ar->generation_at, 4, c->generation_file);
	uint8_t *p = command(out, LOADER_TELL, c->generation_address_file);
	if (!p)
		return;
	memcpy(p, c->generation_file, strlen(c->generation_file));
	p[LOADER_NAME + 8] = 8; /* bytes; offsets in both files are 0 */
}

static void loader(struct acpi_area *ar, struct aml *out)
{
	allocate(out, ACPI_FILE_RSDP, 16, ZONE_FSEG);
	allocate(out, ACPI_FILE_TABLES, 64, ZONE_HIGH);
	if (ar->generation_at)
		generation(ar, out);
	for (unsigned n = 0; n < ar->links; n++)
		pointer(out, ACPI_FILE_TABLES, ar->link[n].at, ar->link[n].bytes, ACPI_FILE_TABLES);
	pointer(out, ACPI_FILE_RSDP, RSDP_RSDT, 4, ACPI_FILE_TABLES);
	pointer(out, ACPI_FILE_RSDP, RSDP_XSDT, 8, ACPI_FILE_TABLES);
	for (unsigned n = 0; n < ar->spans; n++) {
		const struct acpi_span *t = &ar->span[n];
		ar->out.buf[t->at + CHECKSUM_AT] = 0;
		sum(out, ACPI_FILE_TABLES, t->at + CHECKSUM_AT, t->at, t->len);
	}
	sum(out, ACPI_FILE_RSDP, RSDP_CHECKSUM, 0, RSDP_V1_SIZE);
	sum(out, ACPI_FILE_RSDP, RSDP_XCHECKSUM, 0, RSDP_SIZE);
}

int acpi_build_files(const struct acpi_config *cfg, struct acpi_files *out, struct err *e)
{
	struct acpi_area ar = {.cfg = cfg};
	struct aml script = {0};
	int rc = build(&ar, e);
	if (!rc) {
		loader(&ar, &script);
		rc = script.failed ? err_set(e, script.failed, "the ACPI tables could not be put together") : 0;
	}
	if (rc) {
		aml_free(&ar.out);
		aml_free(&script);
		return rc;
	}
	*out = (struct acpi_files){.tables = ar.out.buf, .tables_len = ar.out.len, .loader = script.buf,
				   .loader_len = script.len};
	rsdp(out->rsdp, ar.rsdt, ar.xsdt);
	out->rsdp[RSDP_CHECKSUM] = out->rsdp[RSDP_XCHECKSUM] = 0;
	return 0;
}
