/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/nodedev.h"

#include "base/fd.h"
#include "daemon/host.h"
#include "daemon/xml/xmap.h"
#include "daemon/xml/xtext.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MAX = 256, NODEDEV_TEXT_MAX = 1 << 20 };

/* ---- reading /sys ---- */

/* The file's text without blanks at its end; empty when there is none. */
static const char *read_text(char out[VALUE_MAX], const char *dir, const char *file)
{
	char path[PATH_MAX + 64];
	int64_t got = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = fd_open(path, O_RDONLY, 0, NULL);
	if (fd >= 0)
		got = fd_read_all(fd, out, VALUE_MAX - 1);
	fd_close(&fd);
	out[got > 0 ? got : 0] = 0;
	while (*out && isspace((unsigned char)out[strlen(out) - 1]))
		out[strlen(out) - 1] = 0;
	for (char *p = out; *p; p++) /* firmware writes what it likes */
		if (*p < ' ' || *p == 127)
			*p = '?';
	return out;
}

/* The last part of what a link points to. */
static bool read_link_name(char out[VALUE_MAX], const char *dir, const char *link)
{
	char path[PATH_MAX + 64], to[PATH_MAX];
	const char *name;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, link);
	len = readlink(path, to, sizeof(to) - 1);
	if (len <= 0)
		return false;
	to[len] = 0;
	name = strrchr(to, '/');
	snprintf(out, VALUE_MAX, "%.255s", name ? name + 1 : to);
	return true;
}

static void name_of(char out[NODEDEV_NAME_MAX], const char *kind, const char *sys, const char *more)
{
	snprintf(out, NODEDEV_NAME_MAX, "%s_%.60s%s%.60s", kind, sys, *more ? "_" : "", more);
	for (char *p = out; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-')
			*p = '_';
}

struct pci_place {
	unsigned domain, bus, slot, function;
};

static bool parse_pci(struct pci_place *p, const char *name)
{
	int end = 0;

	return sscanf(name, "%4x:%2x:%2x.%1x%n", &p->domain, &p->bus, &p->slot, &p->function, &end) == 4 && !name[end];
}

/* The nearest PCI function above it, else the computer. */
static void find_parent(struct nodedev *d)
{
	char path[PATH_MAX], *slash;
	struct pci_place p;

	snprintf(path, sizeof(path), "%s", d->path);
	strcpy(d->parent, "computer");
	while ((slash = strrchr(path, '/'))) {
		*slash = 0;
		slash = strrchr(path, '/');
		if (slash && parse_pci(&p, slash + 1)) {
			name_of(d->parent, "pci", slash + 1, "");
			return;
		}
	}
}

/* ---- listing ---- */

static const struct source {
	unsigned kind;
	const char *dir, *prefix, *name;
} sources[] = {
	{NODEDEV_PCI, "/sys/bus/pci/devices", "pci", "pci"},
	{NODEDEV_NET, "/sys/class/net", "net", "net"},
	{NODEDEV_STORAGE, "/sys/block", "block", "storage"},
};

const char *nodedev_kind_name(unsigned kind)
{
	for (unsigned n = 0; n < COUNT_OF(sources); n++)
		if (sources[n].kind == kind)
			return sources[n].name;
	return "system";
}

/* Disks without a device behind them are files, RAM, or parts of others. */
static bool take(struct nodedev *d, const struct source *s, const char *sys)
{
	char path[PATH_MAX], value[VALUE_MAX] = "";

	if (sys[0] == '.')
		return false;
	*d = (struct nodedev){ .kind = s->kind };
	snprintf(d->sys, sizeof(d->sys), "%.255s", sys);
	snprintf(path, sizeof(path), "%s/%.255s", s->dir, sys);
	if (!realpath(path, d->path))
		return false;
	if (s->kind == NODEDEV_STORAGE && !read_link_name(value, d->path, "device"))
		return false;
	name_of(d->name, s->prefix, sys, s->kind == NODEDEV_NET ? read_text(value, d->path, "address") : "");
	find_parent(d);
	return true;
}

static bool each_of(const struct source *s, bool (*f)(void *opaque, const struct nodedev *d), void *opaque)
{
	struct dirent **list;
	int count = scandir(s->dir, &list, NULL, alphasort);
	struct nodedev *d = malloc(sizeof(*d));
	bool stop = false;

	for (int n = 0; n < count; n++) {
		if (d && !stop && take(d, s, list[n]->d_name))
			stop = f(opaque, d);
		free(list[n]);
	}
	if (count >= 0)
		free(list);
	free(d);
	return stop;
}

void nodedevs_each(bool (*f)(void *opaque, const struct nodedev *d), void *opaque)
{
	static const struct nodedev computer = { .kind = NODEDEV_SYSTEM, .name = "computer" };
	bool stop = f(opaque, &computer);

	for (unsigned n = 0; n < COUNT_OF(sources) && !stop; n++)
		stop = each_of(&sources[n], f, opaque);
}

struct finding {
	struct nodedev *out;
	const char *name;
	bool found;
};

static bool match(void *opaque, const struct nodedev *d)
{
	struct finding *f = opaque;

	if (strcmp(d->name, f->name))
		return false;
	*f->out = *d;
	return f->found = true;
}

bool nodedev_find(struct nodedev *out, const char *name)
{
	struct finding f = { out, name, false };

	nodedevs_each(match, &f);
	return f.found;
}

/* ---- documents ---- */

/* <name>value</name>, or nothing where there is no value. */
static void element(struct xtext *t, unsigned indent, const char *name, const char *value)
{
	if (!*value)
		return;
	xtext_put(t, "%*s<%s>", (int)indent, "", name);
	xtext_escape(t, value);
	xtext_put(t, "</%s>\n", name);
}

static void put_system(struct xtext *t)
{
	static const char dmi[] = "/sys/class/dmi/id";
	char v[VALUE_MAX], uuid[37];
	uint8_t bytes[16];

	host_uuid(bytes);
	xuuid_text(bytes, uuid);
	element(t, 4, "product", read_text(v, dmi, "product_name"));
	xtext_put(t, "    <hardware>\n");
	element(t, 6, "vendor", read_text(v, dmi, "sys_vendor"));
	element(t, 6, "version", read_text(v, dmi, "product_version"));
	element(t, 6, "serial", read_text(v, dmi, "product_serial"));
	element(t, 6, "uuid", uuid);
	xtext_put(t, "    </hardware>\n");
	if (!*read_text(v, dmi, "bios_vendor"))
		return;
	xtext_put(t, "    <firmware>\n");
	element(t, 6, "vendor", v);
	element(t, 6, "version", read_text(v, dmi, "bios_version"));
	element(t, 6, "release_date", read_text(v, dmi, "bios_date"));
	xtext_put(t, "    </firmware>\n");
}

/* Vendor's and product's names from the list that the package pci.ids has; empty where it is not installed. */
static void pci_names(unsigned vendor, unsigned product, char names[2][VALUE_MAX])
{
	FILE *f = fopen("/usr/share/misc/pci.ids", "re");
	char line[VALUE_MAX];
	bool inside = false;
	unsigned id;
	int at;

	names[0][0] = names[1][0] = 0;
	while (f && fgets(line, sizeof(line), f)) {
		bool top = line[0] != '\t';

		line[strcspn(line, "\n")] = 0;
		if (line[0] == '#' || !line[0] || line[1] == '\t')
			continue;
		if (top && inside)
			break;
		if (sscanf(line, top ? "%4x %n" : "\t%4x %n", &id, &at) != 1)
			continue;
		if (top && id == vendor) {
			inside = true;
			strcpy(names[0], line + at);
		} else if (!top && inside && id == product) {
			strcpy(names[1], line + at);
			break;
		}
	}
	if (f)
		fclose(f);
}

static void put_id(struct xtext *t, const char *what, unsigned id, const char *name)
{
	xtext_put(t, "    <%s id='0x%04x'", what, id);
	if (!*name) {
		xtext_put(t, "/>\n");
		return;
	}
	xtext_put(t, ">");
	xtext_escape(t, name);
	xtext_put(t, "</%s>\n", what);
}

static void put_iommu(struct xtext *t, const struct nodedev *d)
{
	char group[VALUE_MAX], path[PATH_MAX + 64];
	struct dirent *entry;
	struct pci_place p;
	DIR *dir;

	if (!read_link_name(group, d->path, "iommu_group"))
		return;
	snprintf(path, sizeof(path), "%s/iommu_group/devices", d->path);
	dir = opendir(path);
	xtext_put(t, "    <iommuGroup number='%lu'>\n", strtoul(group, NULL, 10));
	while (dir && (entry = readdir(dir)))
		if (parse_pci(&p, entry->d_name))
			xtext_put(t, "      <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n",
				  p.domain, p.bus, p.slot, p.function);
	xtext_put(t, "    </iommuGroup>\n");
	if (dir)
		closedir(dir);
}

static unsigned hex_file(const struct nodedev *d, const char *file)
{
	char v[VALUE_MAX];

	return (unsigned)strtoul(read_text(v, d->path, file), NULL, 16);
}

static void put_pci(struct xtext *t, const struct nodedev *d)
{
	unsigned vendor = hex_file(d, "vendor"), product = hex_file(d, "device");
	char names[2][VALUE_MAX], v[VALUE_MAX];
	struct pci_place p = { 0 };

	if (!parse_pci(&p, d->sys))
		return;
	pci_names(vendor, product, names);
	xtext_put(t, "    <class>0x%06x</class>\n", hex_file(d, "class"));
	xtext_put(t, "    <domain>%u</domain>\n    <bus>%u</bus>\n    <slot>%u</slot>\n    <function>%u</function>\n",
		  p.domain, p.bus, p.slot, p.function);
	put_id(t, "product", product, names[1]);
	put_id(t, "vendor", vendor, names[0]);
	put_iommu(t, d);
	if (*read_text(v, d->path, "numa_node") && v[0] != '-')
		xtext_put(t, "    <numa node='%lu'/>\n", strtoul(v, NULL, 10));
}

static void put_net(struct xtext *t, const struct nodedev *d)
{
	char v[VALUE_MAX], speed[VALUE_MAX];
	bool up = !strcmp(read_text(v, d->path, "operstate"), "up");

	element(t, 4, "interface", d->sys);
	element(t, 4, "address", read_text(v, d->path, "address"));
	if (up && strtol(read_text(speed, d->path, "speed"), NULL, 10) > 0)
		xtext_put(t, "    <link speed='%ld' state='up'/>\n", strtol(speed, NULL, 10));
	else
		xtext_put(t, "    <link state='%s'/>\n", up ? "up" : "down");
	if (!strcmp(read_text(v, d->path, "type"), "1"))
		xtext_put(t, "    <capability type='80203'/>\n");
}

static void put_storage(struct xtext *t, const struct nodedev *d)
{
	char v[VALUE_MAX], dev[VALUE_MAX + 8];
	bool removable = !strcmp(read_text(v, d->path, "removable"), "1");
	unsigned long long sectors = strtoull(read_text(v, d->path, "size"), NULL, 10);

	snprintf(dev, sizeof(dev), "/dev/%.255s", d->sys);
	element(t, 4, "block", dev);
	element(t, 4, "drive_type", "disk");
	element(t, 4, "model", read_text(v, d->path, "device/model"));
	if (strncmp(read_text(v, d->path, "device/vendor"), "0x", 2)) /* virtio has a number there */
		element(t, 4, "vendor", v);
	element(t, 4, "serial", read_text(v, d->path, "serial"));
	if (removable)
		xtext_put(t, "    <capability type='removable'>\n      <media_available>%u</media_available>\n"
		       "      <media_size>%llu</media_size>\n    </capability>\n", sectors > 0, sectors * 512);
	else
		xtext_put(t, "    <size>%llu</size>\n", sectors * 512);
}

char *nodedev_text(const struct nodedev *d)
{
	struct xtext t;
	char driver[VALUE_MAX];

	xtext_init(&t, NODEDEV_TEXT_MAX);
	xtext_put(&t, "<device>\n");
	element(&t, 2, "name", d->name);
	element(&t, 2, "path", d->path);
	element(&t, 2, "parent", d->parent);
	if (d->kind == NODEDEV_PCI && read_link_name(driver, d->path, "driver")) {
		xtext_put(&t, "  <driver>\n");
		element(&t, 4, "name", driver);
		xtext_put(&t, "  </driver>\n");
	}
	xtext_put(&t, "  <capability type='%s'>\n", nodedev_kind_name(d->kind));
	switch (d->kind) {
	case NODEDEV_SYSTEM: put_system(&t); break;
	case NODEDEV_PCI: put_pci(&t, d); break;
	case NODEDEV_NET: put_net(&t, d); break;
	case NODEDEV_STORAGE: put_storage(&t, d); break;
	}
	xtext_put(&t, "  </capability>\n</device>\n");
	return xtext_take(&t);
}
