/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/capsxml.h"

#include "daemon/xml/domdef_priv.h"
#include "cpu/model.h"
#include "daemon/xml/hostcpu.h"
#include "daemon/xml/xtext.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UEFI_IMAGE "/usr/share/OVMF/OVMF_CODE_4M.fd" /* see vmm/firmware.c */

enum { CPUS_MAX = 4096, NODES_MAX = 1024 };

/* A document that is being written. */
struct out {
	struct xtext t;
	unsigned indent;
};

/* One line, indented. */
static void ATTR_PRINTF(2, 3) line(struct out *o, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	xtext_put(&o->t, "%*s%s\n", (int)o->indent, "", text ? text : "");
	if (!text)
		o->t.ret = -ENOMEM;
	free(text);
}

static void begin(struct out *o, const char *tag)
{
	line(o, "<%s>", tag);
	o->indent += 2;
}

static void end(struct out *o, const char *tag)
{
	o->indent -= 2;
	line(o, "</%s>", tag);
}

/* <name>text</name> with the text escaped. */
static void element(struct out *o, const char *name, const char *text)
{
	xtext_put(&o->t, "%*s<%s>", (int)o->indent, "", name);
	xtext_escape(&o->t, text);
	xtext_put(&o->t, "</%s>\n", name);
}

static const char *emulator_of(const struct capsxml *c)
{
	return c->emulator ? c->emulator : PANAL_EMULATOR;
}

/* ---- /sys ---- */

/* The first line of a file, without its end; false: there is none. */
static bool ATTR_PRINTF(4, 5) read_line(const struct capsxml *c, char *text, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s", c->sysroot ? c->sysroot : "");
	va_list ap;
	FILE *f;
	bool ok;

	va_start(ap, fmt);
	vsnprintf(path + len, sizeof(path) - (size_t)len, fmt, ap);
	va_end(ap);
	f = fopen(path, "re");
	ok = f && fgets(text, (int)size, f);
	if (f)
		fclose(f);
	if (ok)
		text[strcspn(text, "\n")] = 0;
	return ok;
}

static long read_number(const struct capsxml *c, unsigned cpu, const char *name)
{
	char text[64];

	if (!read_line(c, text, sizeof(text), "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name))
		return 0;
	return strtol(text, NULL, 10);
}

/* "0-3,8" has n? */
static bool in_ranges(const char *list, unsigned n)
{
	while (*list) {
		char *after;
		unsigned long first = strtoul(list, &after, 10), last = first;

		if (after == list)
			return false;
		if (*after == '-')
			last = strtoul(after + 1, &after, 10);
		if (n >= first && n <= last)
			return true;
		list = *after == ',' ? after + 1 : after;
		if (*after && *after != ',')
			return false;
	}
	return false;
}

struct order {
	unsigned sockets, dies, cores, threads, cpus;
};

static unsigned count_distinct(const long *v, unsigned n)
{
	unsigned distinct = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = 0;

		while (k < i && v[k] != v[i])
			k++;
		distinct += k == i;
	}
	return distinct;
}

/* How the host's processors are arranged: sockets x dies x cores x threads. Where that is not all of them, it is one
 * socket of cores. */
static void read_order(const struct capsxml *c, const char *online, struct order *order)
{
	long *package = calloc(CPUS_MAX, sizeof(long)), *die = calloc(CPUS_MAX, sizeof(long)),
	     *core = calloc(CPUS_MAX, sizeof(long));
	unsigned n = 0;

	for (unsigned cpu = 0; package && die && core && cpu < CPUS_MAX; cpu++) {
		if (!in_ranges(online, cpu))
			continue;
		package[n] = read_number(c, cpu, "physical_package_id");
		die[n] = package[n] << 16 | (read_number(c, cpu, "die_id") & 0xffff);
		core[n] = die[n] << 16 | (read_number(c, cpu, "core_id") & 0xffff);
		n++;
	}
	*order = (struct order){ 1, 1, n ? n : 1, 1, n ? n : 1 };
	if (n) {
		unsigned s = count_distinct(package, n), d = count_distinct(die, n), k = count_distinct(core, n);

		if (d % s == 0 && k % d == 0 && n % k == 0)
			*order = (struct order){ s, d / s, k / d, n / k, n };
	}
	free(package);
	free(die);
	free(core);
}

/* ---- the host ---- */

static void put_cpu(struct out *o, const struct capsxml *c, const char *online)
{
	struct hostcpu *cpu = calloc(1, sizeof(*cpu));
	struct order order;
	char text[64];

	if (!cpu) {
		o->t.ret = -ENOMEM;
		return;
	}
	hostcpu_read(cpu);
	read_order(c, online, &order);
	begin(o, "cpu");
	element(o, "arch", "x86_64");
	element(o, "model", cpu->model);
	element(o, "vendor", cpu->vendor);
	line(o, "<topology sockets='%u' dies='%u' cores='%u' threads='%u'/>", order.sockets, order.dies, order.cores,
	     order.threads);
	for (unsigned n = 0; n < cpu->feature_count; n++)
		if (!strchr(cpu->feature[n], '.')) /* libvirt's schema has no full stop here */
			line(o, "<feature name='%s'/>", cpu->feature[n]);
	line(o, "<pages unit='KiB' size='4'/>");
	if (read_line(c, text, sizeof(text), "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"))
		line(o, "<pages unit='KiB' size='2048'/>");
	if (read_line(c, text, sizeof(text), "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"))
		line(o, "<pages unit='KiB' size='1048576'/>");
	end(o, "cpu");
	free(cpu);
}

static unsigned long long node_memory(const struct capsxml *c, unsigned node)
{
	char text[256];
	const char *colon;

	if (read_line(c, text, sizeof(text), "/sys/devices/system/node/node%u/meminfo", node) ||
	    read_line(c, text, sizeof(text), "/proc/meminfo")) {
		colon = strchr(text, ':');
		return colon ? strtoull(colon + 1, NULL, 10) : 0;
	}
	return 0;
}

static void put_cell_cpus(struct out *o, const struct capsxml *c, const char *list, const char *online)
{
	unsigned count = 0;

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		count += in_ranges(list, cpu) && in_ranges(online, cpu);
	line(o, "<cpus num='%u'>", count);
	o->indent += 2;
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		char siblings[256];

		if (!in_ranges(list, cpu) || !in_ranges(online, cpu))
			continue;
		if (!read_line(c, siblings, sizeof(siblings),
			       "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu))
			snprintf(siblings, sizeof(siblings), "%u", cpu);
		line(o, "<cpu id='%u' socket_id='%ld' die_id='%ld' core_id='%ld' siblings='%s'/>", cpu,
		     read_number(c, cpu, "physical_package_id"), read_number(c, cpu, "die_id"),
		     read_number(c, cpu, "core_id"), siblings);
	}
	end(o, "cpus");
}

static void put_distances(struct out *o, const struct capsxml *c, unsigned node, const char *nodes)
{
	char text[1024], *at = text;

	if (!read_line(c, text, sizeof(text), "/sys/devices/system/node/node%u/distance", node))
		return;
	begin(o, "distances");
	for (unsigned other = 0; other < NODES_MAX && *at; other++)
		if (in_ranges(nodes, other))
			line(o, "<sibling id='%u' value='%lu'/>", other, strtoul(at, &at, 10));
	end(o, "distances");
}

static void put_cells(struct out *o, const struct capsxml *c, const char *online)
{
	char nodes[256], list[1024];
	unsigned count = 0;

	if (!read_line(c, nodes, sizeof(nodes), "/sys/devices/system/node/online"))
		strcpy(nodes, "0"); /* a kernel without NUMA */
	for (unsigned node = 0; node < NODES_MAX; node++)
		count += in_ranges(nodes, node);
	begin(o, "topology");
	line(o, "<cells num='%u'>", count);
	o->indent += 2;
	for (unsigned node = 0; node < NODES_MAX; node++) {
		unsigned long long kib = node_memory(c, node);

		if (!in_ranges(nodes, node))
			continue;
		if (!read_line(c, list, sizeof(list), "/sys/devices/system/node/node%u/cpulist", node))
			snprintf(list, sizeof(list), "%.1000s", online);
		line(o, "<cell id='%u'>", node);
		o->indent += 2;
		line(o, "<memory unit='KiB'>%llu</memory>", kib);
		line(o, "<pages unit='KiB' size='4'>%llu</pages>", kib / 4);
		put_distances(o, c, node, nodes);
		put_cell_cpus(o, c, list, online);
		end(o, "cell");
	}
	end(o, "cells");
	end(o, "topology");
}

static void put_guest(struct out *o, const struct capsxml *c, const char *arch, unsigned wordsize)
{
	begin(o, "guest");
	element(o, "os_type", "hvm");
	line(o, "<arch name='%s'>", arch);
	o->indent += 2;
	line(o, "<wordsize>%u</wordsize>", wordsize);
	element(o, "emulator", emulator_of(c));
	for (const struct domdef_machine *m = domdef_machines; m->name; m++)
		if (!strchr(m->name, '*'))
			line(o, "<machine maxCpus='%d'>%s</machine>", DOMDEF_VCPU_MAX, m->name);
	line(o, "<domain type='qemu'/>");
	line(o, "<domain type='kvm'/>");
	end(o, "arch");
	begin(o, "features");
	if (wordsize == 32) {
		line(o, "<pae/>");
		line(o, "<nonpae/>");
	}
	line(o, "<acpi default='on' toggle='no'/>");
	line(o, "<apic default='on' toggle='no'/>");
	line(o, "<cpuselection/>");
	line(o, "<deviceboot/>");
	line(o, "<disksnapshot default='off' toggle='no'/>");
	end(o, "features");
	end(o, "guest");
}

char *capsxml_capabilities(const struct capsxml *c)
{
	struct out o = { 0 };
	char online[1024], uuid[37];

	xtext_init(&o.t, XMAP_OUT_MAX);
	if (!read_line(c, online, sizeof(online), "/sys/devices/system/cpu/online"))
		strcpy(online, "0");
	begin(&o, "capabilities");
	begin(&o, "host");
	xuuid_text(c->uuid, uuid);
	element(&o, "uuid", uuid);
	put_cpu(&o, c, online);
	line(&o, "<power_management/>");
	line(&o, "<iommu support='no'/>");
	put_cells(&o, c, online);
	end(&o, "host");
	put_guest(&o, c, "i686", 32);
	put_guest(&o, c, "x86_64", 64);
	end(&o, "capabilities");
	return xtext_take(&o.t);
}

/* ---- domain capabilities ---- */

/* <name supported='yes'> with enums: each is "name", values..., NULL; ended by NULL. */
struct offer {
	const char *name;
	const char *const *enums;
};

static void put_offer(struct out *o, const struct offer *f)
{
	const char *const *at = f->enums;

	if (!at) {
		line(o, "<%s supported='no'/>", f->name);
		return;
	}
	line(o, "<%s supported='yes'>", f->name);
	o->indent += 2;
	for (; *at; at++) {
		line(o, "<enum name='%s'>", *at++);
		o->indent += 2;
		for (; *at; at++)
			line(o, "<value>%s</value>", *at);
		end(o, "enum");
	}
	end(o, f->name);
}

static const char *const memory_backing[] = { "sourceType", "anonymous", "memfd", NULL, NULL };
static const char *const disks[] = {"diskDevice",
				    "disk",
				    "cdrom",
				    NULL,
				    "bus",
				    "virtio",
				    "sata",
				    "scsi",
				    "ide",
				    "usb",
				    NULL,
				    "model",
				    "virtio",
				    "virtio-non-transitional",
				    NULL,
				    NULL};
static const char *const rngs[] = { "model", "virtio", NULL, "backendModel", "random", NULL, NULL };
/* No type of display yet. "supported" with an empty list keeps clients from choosing SPICE, which a plain "no" does
 * not. */
static const char *const graphics[] = { "type", NULL, NULL };
/* What "virsh screenshot" takes a picture of. */
static const char *const videos[] = { "modelType", "vga", "bochs", "virtio", "none", NULL, NULL };
static const struct offer devices[] = {
	{ "disk", disks }, { "graphics", graphics }, { "video", videos }, { "hostdev", NULL }, { "rng", rngs },
	{ "filesystem", NULL }, { "tpm", NULL }, { "redirdev", NULL },
};
static const struct offer backing = { "memoryBacking", memory_backing };
static const char *const features_not_there[] = { "gic", "vmcoreinfo", "genid", "backingStoreInput", "backup", "sev",
						  "sgx" };

/* Usable is what this host's processor has all of. */
static void put_cpu_models(struct out *o)
{
	struct cpu_set have, wanted, missing;
	const struct cpu_model *m;

	cpu_set_of_host(&have);
	line(o, "<mode name='custom' supported='yes'>");
	o->indent += 2;
	for (unsigned n = 0; (m = cpu_model_at(n)) != NULL; n++) {
		cpu_model_set(m, &wanted);
		line(o, "<model usable='%s' vendor='%s'>%s</model>",
		     cpu_set_missing(&missing, &have, &wanted) ? "yes" : "no",
		     !m->vendor ? "unknown" : m->vendor[0] == 'G' ? "Intel" : "AMD", m->name);
	}
	end(o, "mode");
}

static void put_cpu_modes(struct out *o)
{
	struct hostcpu *cpu = calloc(1, sizeof(*cpu));

	if (!cpu) {
		o->t.ret = -ENOMEM;
		return;
	}
	hostcpu_read(cpu);
	begin(o, "cpu");
	line(o, "<mode name='host-passthrough' supported='yes'>");
	o->indent += 2;
	line(o, "<enum name='hostPassthroughMigratable'>");
	line(o, "  <value>on</value>");
	line(o, "  <value>off</value>");
	line(o, "</enum>");
	end(o, "mode");
	line(o, "<mode name='maximum' supported='yes'>");
	o->indent += 2;
	line(o, "<enum name='maximumMigratable'>");
	line(o, "  <value>on</value>");
	line(o, "  <value>off</value>");
	line(o, "</enum>");
	end(o, "mode");
	line(o, "<mode name='host-model' supported='yes'>");
	o->indent += 2;
	line(o, "<model fallback='forbid'>%s</model>", cpu->model);
	element(o, "vendor", cpu->vendor);
	for (unsigned n = 0; n < cpu->feature_count; n++)
		line(o, "<feature policy='require' name='%s'/>", cpu->feature[n]);
	end(o, "mode");
	put_cpu_models(o);
	end(o, "cpu");
	free(cpu);
}

static int check_domain(const struct capsxml *c, const char *emulator, const char *arch, const char *machine,
			const char *virttype, struct err *e)
{
	if (strcmp(arch, "x86_64") && strcmp(arch, "i686"))
		return err_set(e, -EINVAL, "architecture '%.40s' is not possible; x86_64 and i686 are", arch);
	if (strcmp(virttype, "kvm") && strcmp(virttype, "qemu"))
		return err_set(e, -EINVAL, "unknown virttype: %.40s", virttype);
	if (!domdef_machine_find(machine))
		return err_set(e, -EINVAL, "the machine '%.60s' is not supported by emulator '%s'", machine,
		               emulator_of(c));
	/* Documents that came from elsewhere name their emulator; ours takes its place. */
	return 0;
}

int capsxml_domain(char **out, const struct capsxml *c, const char *emulator, const char *arch, const char *machine,
		   const char *virttype, struct err *e)
{
	struct out o = { 0 };
	int ret;

	arch = arch ? arch : "x86_64";
	machine = machine ? machine : domdef_machines[0].name;
	virttype = virttype ? virttype : "kvm";
	ret = check_domain(c, emulator, arch, machine, virttype, e);
	if (ret < 0)
		return ret;
	xtext_init(&o.t, XMAP_OUT_MAX);
	begin(&o, "domainCapabilities");
	element(&o, "path", emulator ? emulator : emulator_of(c));
	element(&o, "domain", virttype);
	element(&o, "machine", machine);
	element(&o, "arch", arch);
	line(&o, "<vcpu max='%d'/>", DOMDEF_VCPU_MAX);
	line(&o, "<iothreads supported='no'/>");
	line(&o, "<os supported='yes'>");
	line(&o, "  <enum name='firmware'>");
	line(&o, "    <value>bios</value>");
	if (access(UEFI_IMAGE, R_OK) == 0)
		line(&o, "    <value>efi</value>");
	line(&o, "  </enum>");
	line(&o, "  <loader supported='no'/>");
	line(&o, "</os>");
	put_cpu_modes(&o);
	put_offer(&o, &backing);
	begin(&o, "devices");
	for (size_t n = 0; n < COUNT_OF(devices); n++)
		put_offer(&o, &devices[n]);
	end(&o, "devices");
	begin(&o, "features");
	for (size_t n = 0; n < COUNT_OF(features_not_there); n++)
		line(&o, "<%s supported='no'/>", features_not_there[n]);
	end(&o, "features");
	end(&o, "domainCapabilities");
	*out = xtext_take(&o.t);
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* ---- the host's own description ---- */

char *capsxml_sysinfo(const struct capsxml *c)
{
	static const struct {
		const char *block, *name, *file;
	} rows[] = {
		{ "bios", "vendor", "bios_vendor" }, { "bios", "version", "bios_version" },
		{ "bios", "date", "bios_date" }, { "bios", "release", "bios_release" },
		{ "system", "manufacturer", "sys_vendor" }, { "system", "product", "product_name" },
		{ "system", "version", "product_version" }, { "system", "serial", "product_serial" },
		{ "system", "uuid", "product_uuid" }, { "system", "sku", "product_sku" },
		{ "system", "family", "product_family" },
	};
	struct out o = { 0 };
	char text[256];

	xtext_init(&o.t, XMAP_OUT_MAX);
	line(&o, "<sysinfo type='smbios'>");
	o.indent = 2;
	for (size_t n = 0; n < COUNT_OF(rows); n++) {
		if (!n || strcmp(rows[n].block, rows[n - 1].block))
			begin(&o, rows[n].block);
		if (read_line(c, text, sizeof(text), "/sys/class/dmi/id/%s", rows[n].file) && *text) {
			char name[64];

			snprintf(name, sizeof(name), "entry name='%s'", rows[n].name);
			xtext_put(&o.t, "%*s<%s>", (int)o.indent, "", name);
			xtext_escape(&o.t, text);
			xtext_put(&o.t, "</entry>\n");
		}
		if (n + 1 == COUNT_OF(rows) || strcmp(rows[n].block, rows[n + 1].block))
			end(&o, rows[n].block);
	}
	end(&o, "sysinfo");
	return xtext_take(&o.t);
}
