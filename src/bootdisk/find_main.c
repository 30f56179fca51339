/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal-boot-find: reads a guest's disk for what it boots. Descriptor 3 is the machine, which gives the disk's bytes on
 * request; nothing else is open, and no file, no socket and no other process can be reached from here. It stays, and is
 * asked again at each reset of the guest.
 */
#include "base/bytes.h"
#include "base/fd.h"
#include "bootdisk/find.h"
#include "bootdisk/wire.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SECTOR = 512, CACHE_LINES = 64, CACHE_LINE = 64 << 10 };
#define MEMORY_MAX (UINT64_C(5) << 30)

/* Small reads, of which a file system makes many, go to the machine in lines. */
struct line {
	uint64_t at; /* UINT64_MAX: empty */
	uint8_t data[CACHE_LINE];
};

struct far_disk {
	struct line *line;
	uint64_t size;
};

static void send_all(uint32_t kind, uint32_t count, uint64_t value, const void *name, const void *data, size_t len)
{
	const struct wire_head h = {.kind = kind, .count = count, .len = count + len, .value = value};

	if (fd_write_all(WIRE_FD, &h, sizeof(h)) < 0 || (count && fd_write_all(WIRE_FD, name, count) < 0) ||
	    (len && fd_write_all(WIRE_FD, data, len) < 0))
		_exit(1);
}

static void send_text(uint32_t kind, uint64_t value, const char *text)
{
	send_all(kind, 0, value, NULL, text, strlen(text));
}

static bool receive(void *buf, size_t len)
{
	return fd_read_all(WIRE_FD, buf, len) == (int64_t)len;
}

static int ask(uint64_t at, void *buf, size_t len)
{
	const struct wire_head want = {.kind = WIRE_READ, .count = (uint32_t)len, .value = at};
	struct wire_head h;

	if (fd_write_all(WIRE_FD, &want, sizeof(want)) < 0 || !receive(&h, sizeof(h)) || h.kind != WIRE_DATA)
		_exit(1);
	if (h.value)
		return -(int)h.value;
	if (h.len != len || !receive(buf, len))
		_exit(1);
	return 0;
}

static int read_line(struct far_disk *f, uint64_t at, void *buf, size_t len)
{
	uint64_t base = round_down(at, CACHE_LINE);
	struct line *l = &f->line[base / CACHE_LINE % CACHE_LINES];
	size_t have = f->size - base < CACHE_LINE ? (size_t)(f->size - base) : CACHE_LINE;
	int ret = 0;

	if (l->at != base) {
		l->at = UINT64_MAX;
		ret = ask(base, l->data, have);
		if (ret < 0)
			return ret;
		l->at = base;
	}
	memcpy(buf, l->data + (at - base), len);
	return 0;
}

static int far_read(void *opaque, uint64_t at, void *buf, size_t len)
{
	struct far_disk *f = opaque;
	uint8_t *to = buf;
	int ret = 0;

	while (ret == 0 && len) {
		size_t part = CACHE_LINE - at % CACHE_LINE;

		if (at % SECTOR == 0 && len >= CACHE_LINE) {
			part = len < WIRE_READ_MAX ? round_down(len, SECTOR) : WIRE_READ_MAX;
			ret = ask(at, to, part);
		} else {
			part = part < len ? part : len;
			ret = read_line(f, at, to, part);
		}
		at += part;
		to += part;
		len -= part;
	}
	return ret;
}

static void send_file(uint32_t kind, const struct find_file *f)
{
	send_all(kind, (uint32_t)strlen(f->path), 0, f->path, f->data, f->size);
}

static void answer(struct find_result *r, struct far_disk *f)
{
	const struct disk_reader d = {.size = f->size, .read = far_read, .opaque = f};
	struct err e = {0};

	if (find_boot(r, &d, &e) < 0) {
		send_text(WIRE_FAILED, (uint64_t)-e.code, e.text);
		return;
	}
	send_text(WIRE_TITLE, 0, r->title);
	send_text(WIRE_CMDLINE, 0, r->cmdline);
	if (r->warning[0])
		send_text(WIRE_WARNING, 0, r->warning);
	send_file(WIRE_KERNEL, &r->kernel);
	for (unsigned n = 0; n < r->initrd_count; n++)
		send_file(WIRE_INITRD, &r->initrd[n]);
	send_all(WIRE_DONE, 0, 0, NULL, NULL, 0);
	find_free(r);
}

static void confine(void)
{
	const struct sandbox_config cfg = {.kind = SANDBOX_READER, .violation = SANDBOX_KILL};
	const struct rlimit memory = {.rlim_cur = MEMORY_MAX, .rlim_max = MEMORY_MAX}, none = {0};
	struct err e;

	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &none);
	sandbox_leave_root();
	/* after the change of user, which clears it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sandbox_enter(&cfg, &e) < 0) {
		send_text(WIRE_FAILED, (uint64_t)-e.code, e.text);
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	struct find_result *r = calloc(1, sizeof(*r));
	struct far_disk f = {.line = calloc(CACHE_LINES, sizeof(*f.line))};
	struct wire_head h;

	if (!r || !f.line)
		return 1;
	if (argc < 2 || strcmp(argv[1], "--no-sandbox"))
		confine();
	while (receive(&h, sizeof(h)) && h.kind == WIRE_START) {
		f.size = round_down(h.value, SECTOR);
		for (unsigned n = 0; n < CACHE_LINES; n++)
			f.line[n].at = UINT64_MAX;
		answer(r, &f);
	}
	_exit(0); /* what a sanitizer's runtime does at a usual end is forbidden by now */
}
