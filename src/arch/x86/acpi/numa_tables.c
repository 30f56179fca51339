/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/acpi/area.h"
#include "arch/x86/numa.h"

enum { SRAT_LAPIC = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2, SRAT_ENABLED = 1 };
enum { HMAT_DOMAIN = 0, HMAT_DOMAIN_LEN = 40, HMAT_VALUES = 1, HMAT_VALUES_LEN = 32, HMAT_CACHE = 2,
	HMAT_CACHE_LEN = 32 };
enum { HMAT_INITIATOR_VALID = 1, HMAT_ENTRY_MAX = 0xfffe, PS_PER_NS = 1000 };

/* ---- SRAT (ACPI 6.4, 5.2.16): who is in which node ---- */

static void srat_cpu(struct acpi_area *ar, unsigned cpu)
{
	unsigned node = numa_node_of(ar->cfg->numa, cpu);
	uint32_t id = ar->cfg->apic_id[cpu];

	if (id < 255) {
		aml_bytes(&ar->out, (const uint8_t[]){ SRAT_LAPIC, 16, (uint8_t)node, (uint8_t)id }, 4);
		acpi_put32(ar, SRAT_ENABLED);
		acpi_zeros(ar, 8);
		return;
	}
	aml_bytes(&ar->out, (const uint8_t[]){ SRAT_X2APIC, 24, 0, 0 }, 4);
	acpi_put32(ar, node);
	acpi_put32(ar, id);
	acpi_put32(ar, SRAT_ENABLED);
	acpi_zeros(ar, 8);
}

static void srat_memory(struct acpi_area *ar, const struct numa_range *r)
{
	aml_bytes(&ar->out, (const uint8_t[]){ SRAT_MEMORY, 40 }, 2);
	acpi_put32(ar, r->node);
	acpi_put16(ar, 0);
	acpi_put64(ar, r->base);
	acpi_put64(ar, r->size);
	acpi_put32(ar, 0);
	acpi_put32(ar, SRAT_ENABLED);
	acpi_put64(ar, 0);
}

static void srat(struct acpi_area *ar)
{
	struct numa_range range[NUMA_RANGES_MAX];
	unsigned count = numa_ranges(ar->cfg->numa, ar->cfg->low_top, range);
	size_t at = acpi_begin(ar, "SRAT", 3);

	acpi_put32(ar, 1);
	acpi_put64(ar, 0);
	for (unsigned n = 0; n < ar->cfg->cpus; n++)
		srat_cpu(ar, n);
	for (unsigned n = 0; n < count; n++)
		srat_memory(ar, &range[n]);
	acpi_listed(ar, at);
}

/* ---- SLIT (5.2.17): how far they are from each other ---- */

static void slit(struct acpi_area *ar)
{
	const struct numa *n = ar->cfg->numa;
	size_t at = acpi_begin(ar, "SLIT", 1);

	acpi_put64(ar, n->count);
	for (unsigned a = 0; a < n->count; a++)
		for (unsigned b = 0; b < n->count; b++)
			acpi_put8(ar, n->distance[a][b]);
	acpi_listed(ar, at);
}

/* ---- HMAT (5.2.27): how fast ---- */

static void hmat_domain(struct acpi_area *ar, unsigned node)
{
	const struct numa_node *n = &ar->cfg->numa->node[node];
	int who = n->initiator != NUMA_NOBODY ? n->initiator : n->cpus ? (int)node : NUMA_NOBODY;

	acpi_put16(ar, HMAT_DOMAIN);
	acpi_put16(ar, 0);
	acpi_put32(ar, HMAT_DOMAIN_LEN);
	acpi_put16(ar, who != NUMA_NOBODY ? HMAT_INITIATOR_VALID : 0);
	acpi_put16(ar, 0);
	acpi_put32(ar, who != NUMA_NOBODY ? (uint32_t)who : 0);
	acpi_put32(ar, node);
	acpi_zeros(ar, 20);
}

static uint32_t largest(const struct numa *n, unsigned hierarchy, unsigned kind)
{
	uint32_t max = 0;

	for (unsigned a = 0; a < n->count; a++)
		for (unsigned b = 0; b < n->count; b++)
			if (n->value[hierarchy][kind][a][b] > max)
				max = n->value[hierarchy][kind][a][b];
	return max;
}

/* Entries have 16 bits: the unit is as large as the largest needs. */
static void hmat_values(struct acpi_area *ar, unsigned hierarchy, unsigned kind)
{
	const struct numa *n = ar->cfg->numa;
	uint32_t max = largest(n, hierarchy, kind), unit = 1, from = 0;

	if (!max)
		return;
	while (max / unit > HMAT_ENTRY_MAX)
		unit *= 2;
	for (unsigned k = 0; k < n->count; k++)
		from += n->node[k].cpus != 0;
	acpi_put16(ar, HMAT_VALUES);
	acpi_put16(ar, 0);
	acpi_put32(ar, HMAT_VALUES_LEN + 4 * (from + n->count) + 2 * from * n->count);
	aml_bytes(&ar->out, (const uint8_t[]){ (uint8_t)hierarchy, (uint8_t)kind, 0, 0 }, 4);
	acpi_put32(ar, from);
	acpi_put32(ar, n->count);
	acpi_put32(ar, 0);
	acpi_put64(ar, kind < NUMA_BANDWIDTH ? (uint64_t)unit * PS_PER_NS : unit);
	for (unsigned k = 0; k < n->count; k++)
		if (n->node[k].cpus)
			acpi_put32(ar, k);
	for (unsigned k = 0; k < n->count; k++)
		acpi_put32(ar, k);
	for (unsigned a = 0; a < n->count; a++)
		for (unsigned b = 0; n->node[a].cpus && b < n->count; b++)
			acpi_put16(ar, (uint16_t)(n->value[hierarchy][kind][a][b] / unit));
}

static void hmat_cache(struct acpi_area *ar, const struct numa_cache *c)
{
	const struct numa *n = ar->cfg->numa;
	unsigned levels = 0;

	for (unsigned k = 0; k < n->caches; k++)
		levels += n->cache[k].node == c->node;
	acpi_put16(ar, HMAT_CACHE);
	acpi_put16(ar, 0);
	acpi_put32(ar, HMAT_CACHE_LEN);
	acpi_put32(ar, c->node);
	acpi_put32(ar, 0);
	acpi_put64(ar, c->size);
	acpi_put32(ar, (levels & 15) | c->level << 4 | (uint32_t)c->associativity << 8 | (uint32_t)c->policy << 12 |
		       (uint32_t)c->line << 16);
	acpi_put32(ar, 0);
}

static bool has_hmat(const struct numa *n)
{
	bool some = n->caches;

	for (unsigned h = 0; h < NUMA_HIERARCHIES; h++)
		for (unsigned kind = 0; kind < NUMA_DATA_KINDS; kind++)
			some |= largest(n, h, kind) != 0;
	for (unsigned k = 0; k < n->count; k++)
		some |= n->node[k].initiator != NUMA_NOBODY;
	return some;
}

static void hmat(struct acpi_area *ar)
{
	const struct numa *n = ar->cfg->numa;
	size_t at = acpi_begin(ar, "HMAT", 2);

	acpi_put32(ar, 0);
	for (unsigned k = 0; k < n->count; k++)
		if (n->node[k].memory)
			hmat_domain(ar, k);
	for (unsigned h = 0; h < NUMA_HIERARCHIES; h++)
		for (unsigned kind = 0; kind < NUMA_DATA_KINDS; kind++)
			hmat_values(ar, h, kind);
	for (unsigned k = 0; k < n->caches; k++)
		hmat_cache(ar, &n->cache[k]);
	acpi_listed(ar, at);
}

void acpi_numa_tables(struct acpi_area *ar)
{
	srat(ar);
	slit(ar);
	if (has_hmat(ar->cfg->numa))
		hmat(ar);
}
