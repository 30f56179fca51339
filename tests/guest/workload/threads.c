/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads on several CPUs: contended mutexes, condition variables, atomics of all sizes, message passing order. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 20000, PASSES = 3000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned long guarded;
static _Atomic uint8_t a8;
static _Atomic uint16_t a16;
static _Atomic uint32_t a32;
static _Atomic uint64_t a64;
static int turn;

static void *count(void *arg)
{
	for (int n = 0; n < ROUNDS; n++) {
		pthread_mutex_lock(&lock);
		guarded++;
		pthread_mutex_unlock(&lock);
		a8++;
		a16++;
		a32++;
		a64 += 0x100000001;
	}
	return NULL;
}

static void *ping(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int n = 0; n < PASSES; n++) {
		pthread_mutex_lock(&lock);
		while (turn != me)
			pthread_cond_wait(&cond, &lock);
		turn = !me;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* Data, then flag, with plain x86 order: a reader that sees the flag sees the data. */
static volatile uint64_t mail[1024];
static _Atomic uint64_t posted;
static int torn;

static void *writer(void *arg)
{
	for (uint64_t n = 1; n <= 200000; n++) {
		mail[n & 1023] = n;
		atomic_store_explicit(&posted, n, memory_order_release);
	}
	return NULL;
}

static void *reader(void *arg)
{
	uint64_t seen = 0;

	while (seen < 200000) {
		seen = atomic_load_explicit(&posted, memory_order_acquire);
		if (seen && mail[seen & 1023] < seen)
			torn++;
	}
	return NULL;
}

static void run(void *(*fn)(void *), int n)
{
	pthread_t t[THREADS];

	for (int k = 0; k < n; k++)
		pthread_create(&t[k], NULL, fn, (void *)(intptr_t)k);
	for (int k = 0; k < n; k++)
		pthread_join(t[k], NULL);
}

int main(void)
{
	pthread_t w, r;
	unsigned total = THREADS * ROUNDS;
	int bad = 0;

	run(count, THREADS);
	bad |= guarded != total || a8 != (uint8_t)total || a16 != (uint16_t)total || a32 != total;
	bad |= a64 != total * UINT64_C(0x100000001);
	run(ping, 2);
	pthread_create(&r, NULL, reader, NULL);
	pthread_create(&w, NULL, writer, NULL);
	pthread_join(w, NULL);
	pthread_join(r, NULL);
	bad |= torn;
	printf("threads: counted %lu of %u, torn %d\n", guarded, total, torn);
	return bad;
}
