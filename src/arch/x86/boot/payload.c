/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot/image.h"

#include "base/bytes.h"

#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* An unpacked kernel is never larger than this. */
enum { PAYLOAD_MAX = 512 << 20 };

/* The kernel build puts the unpacked size after every payload; gzip's own trailer is the same number. */
static size_t unpacked_size(const uint8_t *data, size_t size)
{
	return size >= 8 ? load_le32(data + size - 4) : 0;
}

static int unpack_gzip(const uint8_t *data, size_t size, uint8_t *out, size_t *out_size)
{
	z_stream z = {
		.next_in = (uint8_t *)data,
		.avail_in = (unsigned)size,
		.next_out = out,
		.avail_out = (unsigned)*out_size,
	};
	int ret;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	*out_size = z.total_out;
	inflateEnd(&z);
	return ret == Z_STREAM_END ? 0 : -EINVAL;
}

static int unpack_lzma(const uint8_t *data, size_t size, uint8_t *out, size_t *out_size)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret ret;

	if (lzma_auto_decoder(&s, UINT64_C(256) << 20, 0) != LZMA_OK)
		return -ENOMEM;
	s.next_in = data;
	s.avail_in = size;
	s.next_out = out;
	s.avail_out = *out_size;
	ret = lzma_code(&s, LZMA_RUN);
	*out_size = s.total_out;
	lzma_end(&s);
	return ret == LZMA_STREAM_END ? 0 : -EINVAL;
}

/* The "legacy" LZ4 container of lz4 -l: a magic, then blocks of at most 8 MiB unpacked, each after its size. */
static int unpack_lz4(const uint8_t *data, size_t size, uint8_t *out, size_t *out_size)
{
	size_t at = 4, done = 0;

	while (done < *out_size && range_inside(at, 4, size)) {
		uint32_t block = load_le32(data + at);
		int got;

		at += 4;
		if (block > INT32_MAX || !range_inside(at, block, size))
			return -EINVAL;
		got = LZ4_decompress_safe((const char *)data + at, (char *)out + done, (int)block,
		                          (int)(*out_size - done));
		if (got <= 0)
			return -EINVAL;
		done += (size_t)got;
		at += block;
	}
	*out_size = done;
	return done ? 0 : -EINVAL;
}

static int unpack_zstd(const uint8_t *data, size_t size, uint8_t *out, size_t *out_size)
{
	size_t frame = ZSTD_findFrameCompressedSize(data, size), got;

	if (ZSTD_isError(frame))
		return -EINVAL;
	got = ZSTD_decompress(out, *out_size, data, frame);
	if (ZSTD_isError(got))
		return -EINVAL;
	*out_size = got;
	return 0;
}

static const struct format {
	const char *name;
	uint8_t magic[6];
	unsigned magic_len;
	int (*unpack)(const uint8_t *data, size_t size, uint8_t *out, size_t *out_size);
} formats[] = {
	{ "gzip", { 0x1f, 0x8b }, 2, unpack_gzip },
	{ "xz", { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, unpack_lzma },
	{ "lzma", { 0x5d, 0, 0 }, 3, unpack_lzma },
	{ "lz4", { 0x02, 0x21, 0x4c, 0x18 }, 4, unpack_lz4 },
	{ "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4, unpack_zstd },
};

static const struct format *find_format(const uint8_t *data, size_t size)
{
	for (size_t n = 0; n < COUNT_OF(formats); n++)
		if (size > formats[n].magic_len && !memcmp(data, formats[n].magic, formats[n].magic_len))
			return &formats[n];
	return NULL;
}

int payload_unpack(const uint8_t *data, size_t size, uint8_t **out, size_t *out_size, struct err *e)
{
	const struct format *f = find_format(data, size);
	size_t room = unpacked_size(data, size);
	uint8_t *buf;
	int ret;

	if (!f)
		return err_set(e, -ENOTSUP, "the kernel's compression is not one that is unpacked here");
	if (room == 0 || room > PAYLOAD_MAX)
		return err_set(e, -EINVAL, "the kernel's %s payload gives an impossible size", f->name);
	buf = malloc(room);
	if (!buf)
		return err_set(e, -ENOMEM, "no memory to unpack a kernel of %zu bytes", room);
	*out_size = room;
	ret = f->unpack(data, size, buf, out_size);
	if (ret == 0 && *out_size != room)
		ret = -EINVAL;
	if (ret < 0) {
		free(buf);
		return err_set(e, ret, "the kernel's %s payload is damaged", f->name);
	}
	*out = buf;
	return 0;
}
