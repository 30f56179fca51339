/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_file.h"

#include "base/bytes.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void need(struct fake_file *f, uint64_t size)
{
	if (size > f->room) {
		uint64_t room = round_up(size, 1 << 20);
		f->now = realloc(f->now, room);
		f->safe = realloc(f->safe, room);
		assert(f->now && f->safe);
		memset(f->now + f->room, 0, room - f->room);
		memset(f->safe + f->room, 0, room - f->room);
		f->room = room;
	}
	f->size = size > f->size ? size : f->size;
}

static bool alive(struct fake_file *f)
{
	if (f->left >= 0 && f->left-- == 0)
		f->dead = true;
	return !f->dead;
}

static int fake_readv(void *opaque, const struct iovec *iov, unsigned count, uint64_t at)
{
	struct fake_file *f = opaque;
	for (unsigned i = 0; i < count; at += iov[i++].iov_len) {
		uint64_t there = at < f->size ? f->size - at : 0;
		there = there < iov[i].iov_len ? there : iov[i].iov_len;
		if (there)
			memcpy(iov[i].iov_base, f->now + at, there);
		memset((uint8_t *)iov[i].iov_base + there, 0, iov[i].iov_len - there);
	}
	return 0;
}

static void remember(struct fake_file *f, uint64_t sector)
{
	if (f->count == f->pending_room) {
		f->pending_room = f->pending_room ? 2 * f->pending_room : 256;
		f->pending = realloc(f->pending, f->pending_room * sizeof(*f->pending));
		assert(f->pending);
	}
	f->pending[f->count].sector = sector;
	memcpy(f->pending[f->count++].data, f->now + sector * FAKE_SECTOR, FAKE_SECTOR);
}

static void changed(struct fake_file *f, uint64_t at, uint64_t len)
{
	for (uint64_t s = at / FAKE_SECTOR; len && s <= (at + len - 1) / FAKE_SECTOR; s++)
		remember(f, s);
}

static int fake_writev(void *opaque, const struct iovec *iov, unsigned count, uint64_t at)
{
	struct fake_file *f = opaque;
	uint64_t start = at;
	if (!alive(f))
		return -EIO;
	for (unsigned i = 0; i < count; at += iov[i++].iov_len) {
		need(f, at + iov[i].iov_len);
		memcpy(f->now + at, iov[i].iov_base, iov[i].iov_len);
	}
	changed(f, start, at - start);
	return 0;
}

static int fake_sync(void *opaque)
{
	struct fake_file *f = opaque;
	if (!alive(f))
		return -EIO;
	for (size_t i = 0; i < f->count; i++) {
		uint64_t at = f->pending[i].sector * FAKE_SECTOR;
		memcpy(f->safe + at, f->now + at, FAKE_SECTOR);
	}
	f->count = 0;
	return 0;
}

static int fake_punch(void *opaque, uint64_t at, uint64_t len)
{
	struct fake_file *f = opaque;
	if (!alive(f))
		return -EIO;
	if (at >= f->size)
		return 0;
	len = len < f->size - at ? len : f->size - at;
	memset(f->now + at, 0, len);
	changed(f, at, len);
	return 0;
}

static int64_t fake_size(void *opaque)
{
	return ((struct fake_file *)opaque)->size;
}

static int fake_truncate(void *opaque, uint64_t size)
{
	need(opaque, size);
	return 0;
}

static const struct q_file_ops ops = {
	.readv = fake_readv, .writev = fake_writev, .sync = fake_sync, .punch = fake_punch, .size = fake_size,
	.truncate = fake_truncate,
};

void fake_init(struct fake_file *f)
{
	*f = (struct fake_file){.left = -1};
}

void fake_free(struct fake_file *f)
{
	free(f->now);
	free(f->safe);
	free(f->pending);
	fake_init(f);
}

struct q_file fake_open(struct fake_file *f)
{
	return (struct q_file){.ops = &ops, .opaque = f};
}

void fake_cut(struct fake_file *f, unsigned keep, uint64_t (*random)(void *opaque), void *opaque)
{
	for (size_t i = f->count; i > 1; i--) {
		size_t other = random(opaque) % i;
		struct fake_write swap = f->pending[i - 1];
		f->pending[i - 1] = f->pending[other];
		f->pending[other] = swap;
	}
	for (size_t i = 0; i < f->count; i++)
		if (random(opaque) % 100 < keep)
			memcpy(f->safe + f->pending[i].sector * FAKE_SECTOR, f->pending[i].data, FAKE_SECTOR);
	memcpy(f->now, f->safe, f->room);
	f->count = 0;
	f->left = -1;
	f->dead = false;
}
