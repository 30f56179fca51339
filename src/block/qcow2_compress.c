/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed clusters: raw deflate with a window of 4 KiB, or one zstd frame; what follows it is not looked at. */
#include "block/qcow2_priv.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>

enum { WINDOW_BITS = -12 };

static int unpack_zlib(const uint8_t *from, size_t len, uint8_t *to, size_t size)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)from, .avail_in = len, .next_out = to, .avail_out = size};
	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	int rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

static int unpack_zstd(const uint8_t *from, size_t len, uint8_t *to, size_t size)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer in = {from, len, 0};
	ZSTD_outBuffer out = {to, size, 0};
	size_t before = 0;
	if (!z)
		return -ENOMEM;
	while (out.pos < out.size) {
		size_t rc = ZSTD_decompressStream(z, &out, &in);
		if (ZSTD_isError(rc) || out.pos + in.pos == before)
			break;
		before = out.pos + in.pos;
	}
	ZSTD_freeDStream(z);
	return out.pos == out.size ? 0 : -EIO;
}

int q_unpack(enum qcow2_compression how, const uint8_t *from, size_t len, uint8_t *to, size_t size)
{
	return (how == QCOW2_ZSTD ? unpack_zstd : unpack_zlib)(from, len, to, size);
}

static int64_t pack_zlib(const uint8_t *from, size_t len, uint8_t *to)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)from, .avail_in = len, .next_out = to, .avail_out = len - 1};
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	int rc = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return rc == Z_STREAM_END ? (int64_t)(len - 1 - z.avail_out) : -E2BIG;
}

int64_t q_pack(enum qcow2_compression how, const uint8_t *from, size_t len, uint8_t *to)
{
	if (how == QCOW2_ZLIB)
		return pack_zlib(from, len, to);
	size_t n = ZSTD_compress(to, len - 1, from, len, ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(n) ? -E2BIG : (int64_t)n;
}
