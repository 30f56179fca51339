/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mmap, mprotect with faults caught, copy on write over fork, code that is written and run, random access. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf back;
static void *volatile fault_at;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	fault_at = si->si_addr;
	siglongjmp(back, sig);
}

static int faults(volatile uint8_t *p, int write)
{
	int sig = sigsetjmp(back, 1);

	if (sig)
		return fault_at == p ? sig : -1;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

static int protections(void)
{
	uint8_t *p = mmap(NULL, 8 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int bad = 0;

	memset(p, 7, 8 << 12);
	for (int n = 0; n < 200; n++) {
		mprotect(p + (3 << 12), 4096, PROT_READ);
		bad |= faults(p + (3 << 12) + n, 1) != SIGSEGV || faults(p + (3 << 12) + n, 0) != 0;
		mprotect(p + (3 << 12), 4096, PROT_NONE);
		bad |= faults(p + (3 << 12) + n, 0) != SIGSEGV;
		mprotect(p + (3 << 12), 4096, PROT_READ | PROT_WRITE);
		bad |= faults(p + (3 << 12) + n, 1) != 0;
	}
	munmap(p, 8 << 12);
	bad |= faults(p, 0) != SIGSEGV;
	return bad;
}

static int copy_on_write(void)
{
	size_t size = 4 << 20;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status, bad = 0;

	for (size_t k = 0; k < size; k++)
		p[k] = (uint8_t)(k * 31);
	for (int n = 0; n < 4; n++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (size_t k = 0; k < size; k += 4096)
				p[k] ^= 0xff;
			for (size_t k = 1; k < size; k += 997)
				if (k % 4096 && p[k] != (uint8_t)(k * 31))
					_exit(1);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		bad |= status != 0;
	}
	for (size_t k = 0; k < size; k++)
		bad |= p[k] != (uint8_t)(k * 31);
	munmap(p, size);
	return bad;
}

/* mov $n, %eax; ret - written over and over, as a JIT does. */
static int written_code(void)
{
	uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int bad = 0;

	for (int n = 0; n < 3000; n++) {
		uint8_t *at = p + (n % 7) * 16;

		at[0] = 0xb8;
		memcpy(at + 1, &n, 4);
		at[5] = 0xc3;
		bad |= ((int (*)(void))(void *)at)() != n;
	}
	munmap(p, 4096);
	return bad;
}

static int random_access(void)
{
	size_t count = 4 << 20;
	uint32_t *p = malloc(count * sizeof(*p)), at = 0, sum = 0;

	for (size_t k = 0; k < count; k++)
		p[k] = (uint32_t)((k * 2654435761u) & (count - 1));
	for (int n = 0; n < 1000000; n++) {
		at = (p[at] + (uint32_t)n) & (uint32_t)(count - 1);
		sum += at;
	}
	free(p);
	printf("memory: chase %08x\n", sum);
	return 0;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int a, b, c;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	a = protections();
	b = copy_on_write();
	c = written_code();
	random_access();
	printf("memory: protections %d, copy on write %d, written code %d\n", a, b, c);
	return a | b | c;
}
