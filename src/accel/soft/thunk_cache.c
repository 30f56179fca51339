/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/soft/thunk_cache.h"
#include "accel/soft/codemem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_BYTES = 16 << 20, ENTRIES = 1 << 17, BUCKETS = 1 << 15 };

struct entry {
	uint32_t offset; /* in the code memory */
	uint32_t hash;
	uint32_t next; /* entry number + 1, 0 ends the chain */
	uint32_t len;
};

struct thunk_cache {
	pthread_mutex_t lock; /* all below, except what is constant after creation: host, code.rx */
	struct codemem code;
	size_t used;
	unsigned count;
	struct entry *entry;
	uint32_t *bucket;
	struct thunk_host host;
};

int thunk_cache_create(struct thunk_cache **out, struct err *e)
{
	struct thunk_cache *tc = calloc(1, sizeof(*tc));
	int r;

	if (!tc)
		return err_set(e, -ENOMEM, "no memory for the thunk cache");
	tc->entry = calloc(ENTRIES, sizeof(*tc->entry));
	tc->bucket = calloc(BUCKETS, sizeof(*tc->bucket));
	pthread_mutex_init(&tc->lock, NULL);
	r = tc->entry && tc->bucket ? codemem_create(&tc->code, CODE_BYTES, e) :
				      err_set(e, -ENOMEM, "no memory for the thunk cache");
	if (r) {
		thunk_cache_destroy(tc);
		return r;
	}
	thunk_host_probe(&tc->host);
	*out = tc;
	return 0;
}

void thunk_cache_destroy(struct thunk_cache *tc)
{
	if (!tc)
		return;
	codemem_destroy(&tc->code);
	pthread_mutex_destroy(&tc->lock);
	free(tc->entry);
	free(tc->bucket);
	free(tc);
}

const struct thunk_host *thunk_cache_host(const struct thunk_cache *tc)
{
	return &tc->host;
}

size_t thunk_cache_bytes(struct thunk_cache *tc)
{
	pthread_mutex_lock(&tc->lock);
	size_t used = tc->used;
	pthread_mutex_unlock(&tc->lock);
	return used;
}

static uint32_t hash_bytes(const uint8_t *p, unsigned len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (unsigned n = 0; n < len; n++)
		h = (h ^ p[n]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static const void *find(struct thunk_cache *tc, uint32_t hash, const uint8_t *code, unsigned len)
{
	for (uint32_t n = tc->bucket[hash % BUCKETS]; n; n = tc->entry[n - 1].next) {
		const struct entry *t = &tc->entry[n - 1];

		if (t->hash == hash && t->len == len && !memcmp(tc->code.rw + t->offset, code, len))
			return tc->code.rx + t->offset;
	}
	return NULL;
}

static const void *add(struct thunk_cache *tc, uint32_t hash, const uint8_t *code, unsigned len)
{
	size_t at = (tc->used + 15) & ~(size_t)15;

	if (tc->count == ENTRIES || at + len > tc->code.size)
		return NULL;
	memcpy(tc->code.rw + at, code, len);
	tc->entry[tc->count++] =
		(struct entry){ .offset = at, .hash = hash, .len = len, .next = tc->bucket[hash % BUCKETS] };
	tc->bucket[hash % BUCKETS] = tc->count;
	tc->used = at + len;
	return tc->code.rx + at;
}

const void *thunk_cache_get(struct thunk_cache *tc, const uint8_t *code, unsigned len)
{
	uint32_t hash = hash_bytes(code, len);
	const void *p;

	pthread_mutex_lock(&tc->lock);
	p = find(tc, hash, code, len);
	if (!p)
		p = add(tc, hash, code, len);
	pthread_mutex_unlock(&tc->lock);
	return p;
}
