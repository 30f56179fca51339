/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translations that other processors hold must be gone when the system call that changes the mapping returns. Threads
 * store to pages without a pause while the first thread takes the right to write away, puts another page there, and
 * rewrites code that they call; what was stored is looked at through a second mapping of the same memory.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 80, PAGE = 4096, SLOT = 16 /* of uint64_t */ };

static _Thread_local sigjmp_buf stopped;
static _Atomic int end;
static volatile uint64_t *page;   /* what the threads write to */
static volatile uint64_t *behind; /* the same memory elsewhere: two pages */
static uint32_t (*function)(void);

static void on_fault(int sig)
{
	siglongjmp(stopped, 1);
}

static void *store(void *opaque)
{
	volatile uint64_t *slot = page + (uintptr_t)opaque * SLOT;
	volatile uint64_t n = 0; /* survives the jump */
	while (!atomic_load(&end)) {
		if (sigsetjmp(stopped, 1))
			sched_yield();
		for (int k = 0; k < 1000 && !atomic_load_explicit(&end, memory_order_relaxed); k++)
			*slot = n = n + 1;
	}
	return NULL;
}

static void fail(const char *what, int round)
{
	printf("%s, round %d\n", what, round);
	exit(1);
}

static void snapshot(const volatile uint64_t *at, uint64_t *to)
{
	for (int n = 0; n < THREADS; n++)
		to[n] = at[n * SLOT];
}

/* Nothing arrives in the memory at `at` for a while. */
static void quiet(const volatile uint64_t *at, const char *what, int round)
{
	uint64_t a[THREADS], b[THREADS];
	snapshot(at, a);
	for (int n = 0; n < 20; n++) {
		usleep(10);
		snapshot(at, b);
		if (memcmp(a, b, sizeof(a)))
			fail(what, round);
	}
}

static void start(pthread_t *id, void *(*run)(void *))
{
	for (uintptr_t n = 0; n < THREADS; n++)
		pthread_create(&id[n], NULL, run, (void *)n);
}

static void join(pthread_t *id)
{
	atomic_store(&end, 1);
	for (int n = 0; n < THREADS; n++)
		pthread_join(id[n], NULL);
	atomic_store(&end, 0);
}

static void mappings(int fd)
{
	pthread_t id[THREADS];
	void *at = (void *)(uintptr_t)page;
	start(id, store);
	for (int round = 0; round < ROUNDS; round++) {
		mprotect(at, PAGE, PROT_READ);
		quiet(behind, "a store after mprotect", round);
		mprotect(at, PAGE, PROT_READ | PROT_WRITE);
		usleep(50);
		/* The other page takes the place of the first. */
		mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE);
		quiet(behind, "a store to a page that was replaced", round);
		mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
		quiet(behind + PAGE / 8, "a store to the page that was there meanwhile", round);
		munmap(at, PAGE);
		quiet(behind, "a store after munmap", round);
		if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != at)
			fail("the place was taken", round);
	}
	join(id);
}

static _Atomic uint32_t now_valid;

/* The constant only grows, and one that was published has been written before. */
static void *call(void *opaque)
{
	while (!atomic_load(&end)) {
		uint32_t least = atomic_load(&now_valid), got = function();
		if (got < least)
			fail("code older than what was published", (int)least);
	}
	return NULL;
}

/* membarrier(2) makes all threads pass a serializing instruction: from then on nobody may execute what was there. */
static void code(int fd)
{
	pthread_t id[THREADS];
	uint8_t *rw = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint8_t *rx = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	/* mov $0, %eax; ret: the constant at a multiple of four, so that a store to it is seen whole */
	static const uint8_t text[] = { 0xb8, 0, 0, 0, 0, 0xc3 };
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) < 0)
		return; /* this kernel has none */
	memcpy(rw + 63, text, sizeof(text));
	function = (uint32_t (*)(void))(uintptr_t)(rx + 63);
	start(id, call);
	for (uint32_t n = 1; n < 3000; n++) {
		atomic_store((_Atomic uint32_t *)(void *)(rw + 64), n);
		if (n % 8)
			continue;
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
		atomic_store(&now_valid, n);
	}
	join(id);
	if (function() != 2999)
		fail("the last code is not what runs", 0);
}

int main(void)
{
	int fd = memfd_create("shootdown", 0);
	struct sigaction a = { .sa_handler = on_fault };
	if (fd < 0 || ftruncate(fd, 2 * PAGE) < 0)
		return 1;
	sigaction(SIGSEGV, &a, NULL);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	behind = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	mappings(fd);
	code(fd);
	puts("shootdown: all went as it should");
	return 0;
}
