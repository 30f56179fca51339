/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Microseconds from exec of a program to the first byte on its standard output:   bench-first RUNS PROGRAM ARGUMENT...
 * With exit.elf as the guest that byte is its first instructions', so the figure is the way to the first instruction,
 * and the way of a byte through a pipe (two wake-ups) on top. One line a run; behind it the microseconds of processor
 * time that the process took in all, its end included, which another load on the host does not stretch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNS_MAX = 1000 };

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Returns nanoseconds, or -1 when there was no byte. The child tells its last moment before exec through *begin. */
static int64_t run(char **argv, volatile int64_t *begin, struct rusage *used)
{
	int fd[2], status;
	int64_t end = -1;
	char byte;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		*begin = now_ns();
		execv(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	if (read(fd[0], &byte, 1) == 1)
		end = now_ns();
	close(fd[0]);
	wait4(pid, &status, 0, used);
	return end < 0 ? -1 : end - *begin;
}

int main(int argc, char **argv)
{
	int64_t *begin = mmap(NULL, sizeof(*begin), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int runs = argc > 2 ? atoi(argv[1]) : 0;

	if (runs < 1 || runs > RUNS_MAX || begin == MAP_FAILED) {
		fprintf(stderr, "usage: bench-first RUNS PROGRAM ARGUMENT...\n");
		return 2;
	}
	for (int n = 0; n < runs; n++) {
		struct rusage used;
		int64_t ns = run(argv + 2, begin, &used);

		if (ns < 0) {
			fprintf(stderr, "bench-first: %s gave no byte\n", argv[2]);
			return 1;
		}
		printf("%.1f %ld\n", (double)ns / 1000, (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
							 used.ru_utime.tv_usec + used.ru_stime.tv_usec);
	}
	return 0;
}
