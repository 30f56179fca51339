/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/storage/probe.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* The header's places: docs/interop/qcow2 of the format's specification. */
enum {
	QCOW2_VERSION = 4,
	QCOW2_BACKING_OFFSET = 8,
	QCOW2_BACKING_SIZE = 16,
	QCOW2_CLUSTER_BITS_AT = 20,
	QCOW2_SIZE = 24,
	QCOW2_CRYPT = 32,
	QCOW2_V2_HEADER = 72,
	QCOW2_INCOMPATIBLE = 72,
	QCOW2_COMPATIBLE = 80,
	QCOW2_HEADER_LENGTH = 100,
	QCOW2_V3_HEADER = 104,
};

static const uint32_t extension_end = 0, extension_backing_format = 0xe2792aca;

static const struct magic {
	const char *format;
	uint32_t at;
	uint8_t len;
	char bytes[8];
} magics[] = {
	{"iso", 0x8001, 5, "CD001"},
	{"vmdk", 0, 4, "KDMV"},
	{"vdi", 64, 4, "\x7f\x10\xda\xbe"},
	{"vhdx", 0, 8, {'v', 'h', 'd', 'x', 'f', 'i', 'l', 'e'}},
	{"vpc", 0, 8, {'c', 'o', 'n', 'e', 'c', 't', 'i', 'x'}},
	{"qed", 0, 4, "QED"},
	{"luks", 0, 6, "LUKS\xba\xbe"},
};

/* How many bytes the UTF-8 character has that begins here; 0: it is none. Longer forms than needed, halves of pairs and
 * what is beyond Unicode are none (RFC 3629). */
static unsigned utf8(const uint8_t *p)
{
	unsigned len = p[0] < 0x80                   ? 1
		       : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		       : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		       : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						     : 0;

	for (unsigned n = 1; n < len; n++)
		if ((p[n] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f) || (p[0] == 0xef && p[1] == 0xbf && p[2] > 0xbd))
		return 0;
	return len;
}

bool probe_is_text(const char *text)
{
	for (const char *p = text; *p;) {
		unsigned len = utf8((const uint8_t *)p);

		if (!len || (uint8_t)*p < ' ' || *p == 0x7f)
			return false;
		p += len;
	}
	return true;
}

/* A name out of the header. False: it is not inside, or not one. */
static bool take_name(char *out, size_t room, const uint8_t *data, size_t len, uint64_t at, uint32_t size)
{
	if (!size || size >= room || !range_inside(at, size, len))
		return false;
	memcpy(out, data + at, size);
	out[size] = 0;
	if (strlen(out) == size && probe_is_text(out))
		return true;
	out[0] = 0;
	return false;
}

static void extensions(struct probe *p, const uint8_t *data, size_t len, uint64_t at)
{
	while (range_inside(at, 8, len)) {
		uint32_t type = load_be32(data + at), size = load_be32(data + at + 4);

		if (type == extension_end)
			return;
		if (type == extension_backing_format &&
		    !take_name(p->backing_format, sizeof(p->backing_format), data, len, at + 8, size))
			p->damaged = true;
		at += 8 + round_up((uint64_t)size, 8);
	}
}

static void qcow2(struct probe *p, const uint8_t *data, size_t len)
{
	uint32_t version = load_be32(data + QCOW2_VERSION), bits = load_be32(data + QCOW2_CLUSTER_BITS_AT);
	uint64_t backing = load_be64(data + QCOW2_BACKING_OFFSET), header = QCOW2_V2_HEADER;

	p->format = "qcow2";
	p->capacity = load_be64(data + QCOW2_SIZE);
	p->compat = version >= 3 ? "1.1" : "0.10";
	p->cluster = bits >= 9 && bits <= 21 ? UINT64_C(1) << bits : 0;
	p->encrypted = load_be32(data + QCOW2_CRYPT) != 0;
	if (version >= 3 && len >= QCOW2_V3_HEADER) {
		p->damaged = load_be64(data + QCOW2_INCOMPATIBLE) & 2;
		p->lazy_refcounts = load_be64(data + QCOW2_COMPATIBLE) & 1;
		header = load_be32(data + QCOW2_HEADER_LENGTH);
	}
	if (p->capacity > INT64_MAX || !p->cluster) {
		p->capacity = 0;
		p->damaged = true;
	}
	if (backing &&
	    !take_name(p->backing, sizeof(p->backing), data, len, backing, load_be32(data + QCOW2_BACKING_SIZE)))
		p->damaged = true;
	extensions(p, data, len, header);
}

void probe_bytes(struct probe *p, const uint8_t *data, size_t len)
{
	*p = (struct probe){.format = "raw"};
	if (len >= QCOW2_V2_HEADER && !memcmp(data, "QFI\xfb", 4) && load_be32(data + QCOW2_VERSION) >= 2 &&
	    load_be32(data + QCOW2_VERSION) <= 3) {
		qcow2(p, data, len);
		return;
	}
	for (unsigned n = 0; n < COUNT_OF(magics); n++)
		if (range_inside(magics[n].at, magics[n].len, len) &&
		    !memcmp(data + magics[n].at, magics[n].bytes, magics[n].len))
			p->format = magics[n].format;
}

int probe_fd(struct probe *p, int fd)
{
	uint8_t *data = malloc(PROBE_BYTES);
	ssize_t got = data ? pread(fd, data, PROBE_BYTES, 0) : -1;
	int ret = !data ? -ENOMEM : got < 0 ? -errno : 0;

	if (ret == 0)
		probe_bytes(p, data, (size_t)got);
	free(data);
	return ret;
}
