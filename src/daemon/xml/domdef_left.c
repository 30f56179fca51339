/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a document has no effect on its machine, although it was taken: for who asks why. Nothing here would make a
 * guest fail; what would is refused in domdef_vmm.c.
 */
#include "daemon/xml/domdef_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct saying {
	domdef_note_fn note;
	void *opaque;
};

static void ATTR_PRINTF(2, 3) say(const struct saying *s, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->note(s->opaque, text);
}

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* A list of the words whose condition holds, as "io, discard". */
struct word {
	bool there;
	const char *name;
};

static void say_words(const struct saying *s, const struct word *w, size_t count, const char *what, const char *which)
{
	char text[256] = "";

	for (size_t n = 0; n < count; n++)
		if (w[n].there)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", *text ? ", " : "",
				 w[n].name);
	if (*text)
		say(s, "%s%s%s: no effect: %s", what, which ? " " : "", which ? which : "", text);
}
#define SAY_WORDS(s, what, which, ...)                                                                                \
	say_words(s, (const struct word[]){ __VA_ARGS__ },                                                            \
		  sizeof((const struct word[]){ __VA_ARGS__ }) / sizeof(struct word), what, which)

/* ---- devices ---- */

static void disks(const struct saying *s, const struct domdef *d)
{
	for (unsigned n = 0; n < d->disks.n; n++) {
		const struct domdef_disk *k = d->disks.v[n];

		SAY_WORDS(
			s, "disk", k->target, {k->wwn, "<wwn>"}, {k->vendor, "<vendor>"}, {k->product, "<product>"},
			{k->serial && (k->device == DOM_DISK_CDROM || k->bus == DOM_BUS_USB), "<serial>"},
			{same(k->copy_on_read, "on"), "copy_on_read"},
			{same(k->discard, "ignore"), "discard='ignore' (what the guest frees is freed)"},
			{k->detect_zeroes && !same(k->detect_zeroes, "off"), "detect_zeroes"},
			{k->io, "io (the engine is chosen)"}, {k->iothread.set, "iothread"}, {k->queues.set, "queues"},
			{k->queue_size.set, "queue_size"}, {k->removable, "removable"},
			{k->rotation_rate, "rotation_rate"}, {k->sgio, "sgio"}, {same(k->rawio, "yes"), "rawio"});
	}
}

static void cards(const struct saying *s, const struct domdef *d)
{
	for (unsigned n = 0; n < d->interfaces.n; n++) {
		const struct domdef_interface *i = d->interfaces.v[n];

		SAY_WORDS(s, "interface", i->mac, { i->bandwidth.n, "<bandwidth> (the card is not slowed down)" },
			  { i->tune.n, "<tune>" }, { i->coalesce.n, "<coalesce>" }, { i->teaming.n, "<teaming>" },
			  { i->port.n, "<port isolated>" }, { i->script.n, "<script>" },
			  { i->driver && !same(i->driver, "vhost"), "driver name" }, { i->queues.set, "queues" },
			  { i->rx_queue_size.set || i->tx_queue_size.set, "queue sizes" },
			  { i->driver_parts.n, "<host> and <guest> in <driver>" });
	}
}

static void small_devices(const struct saying *s, const struct domdef *d)
{
	for (unsigned n = 0; n < d->videos.n; n++)
		SAY_WORDS(s, "video", d->videos.v[n]->model, {d->videos.v[n]->parts.n, "<acceleration>, <resolution>"},
			  {d->videos.v[n]->heads.set && d->videos.v[n]->heads.v > 1, "heads"});
	for (unsigned n = 0; n < d->memballoons.n; n++)
		SAY_WORDS(s, "memballoon", NULL, {same(d->memballoons.v[n]->autodeflate, "on"), "autodeflate"},
			  {same(d->memballoons.v[n]->free_page_reporting, "on"), "freePageReporting"});
	for (unsigned n = 0; n < d->serials.n; n++)
		if (d->serials.v[n]->target_type && strcmp(d->serials.v[n]->target_type, "isa-serial"))
			say(s, "serial: a port of type '%s' is an ISA port here", d->serials.v[n]->target_type);
}

/* ---- the machine ---- */

static void timers(const struct saying *s, const struct domdef *d)
{
	for (unsigned n = 0; n < d->clock.timer.n; n++) {
		const struct domdef_timer *t = d->clock.timer.v[n];
		bool windows = same(t->name, "hypervclock");

		if (same(t->present, "no") && !windows && t->name && strcmp(t->name, "hpet"))
			say(s, "clock: timer '%s' is there all the same", t->name);
		if (same(t->present, "yes") && windows)
			say(s, "clock: timer 'hypervclock' is not there");
		if (t->frequency.set)
			say(s, "clock: the frequency of timer '%s' is the host's", t->name ? t->name : "");
	}
}

static void processor(const struct saying *s, const struct domdef *d)
{
	const struct domdef_cpu *c = d->cpu;

	if (c)
		SAY_WORDS(s, "cpu", NULL, { c->cache_mode, "<cache>" }, { c->maxphysaddr.n, "<maxphysaddr>" },
			  { c->vendor_id, "vendor_id" }, { c->microcode.n, "<microcode>" });
	SAY_WORDS(s, "cputune", NULL, { d->cputune.vcpusched.n || d->cputune.iothreadsched.n, "schedulers" },
		  { d->cputune.others.n, "<cachetune>, <memorytune>" });
}

static void memory(const struct saying *s, const struct domdef *d)
{
	SAY_WORDS(s, "memoryBacking", NULL, { d->backing.nosharepages, "<nosharepages>" },
		  { same(d->backing.source, "file"), "<source type='file'>" },
		  { same(d->backing.access, "shared"), "<access mode='shared'>" },
		  { same(d->backing.allocation, "immediate"), "<allocation mode='immediate'>" },
		  { d->backing.discard, "<discard>" });
	SAY_WORDS(s, "numatune", NULL,
		  { d->numatune.node.n, "<memnode> (where on the host a cell's memory lies is the host's choice)" });
}

static void features(const struct saying *s, const struct domdef *d)
{
	if (d->features.present)
		SAY_WORDS(s, "features", NULL, { !d->features.acpi, "without <acpi/> (the machine has ACPI)" },
			  { same(d->features.vmport, "on"), "<vmport>" }, { same(d->features.pmu, "on"), "<pmu>" },
			  { d->features.viridian, "<viridian>" }, { d->features.xen.n, "<xen>" });
	SAY_WORDS(s, "os", NULL, { same(d->os.bios_useserial, "yes"), "useserial of <bios>" },
		  { d->os.bios_reboot_timeout && !same(d->os.bios_reboot_timeout, "-1"), "rebootTimeout of <bios>" });
	for (unsigned n = 0; n < d->seclabels.n; n++)
		if (!same(d->seclabels.v[n]->type, "none"))
			say(s, "seclabel: machines are confined by seccomp and Landlock, not by labels");
	if (d->on_crash == DOM_ACTION_COREDUMP_DESTROY || d->on_crash == DOM_ACTION_COREDUMP_RESTART)
		say(s, "on_crash: no dump is written");
}

void domdef_left(const struct domdef *d, domdef_note_fn note, void *opaque)
{
	const struct saying s = { note, opaque };

	disks(&s, d);
	cards(&s, d);
	small_devices(&s, d);
	timers(&s, d);
	processor(&s, d);
	memory(&s, d);
	features(&s, d);
}
