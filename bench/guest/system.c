/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes through the kernel: system calls, processes, page faults, pipes. */
#define _GNU_SOURCE
#include "piece.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void calls(const char *name)
{
	struct piece p = piece_begin(name);
	for (int n = 0; n < 1000000; n++)
		syscall(SYS_getppid);
	piece_end(p, 0);
}

static void child(const char *name, int exec, int count)
{
	struct piece p = piece_begin(name);
	uint64_t sum = 0;
	for (int n = 0; n < count; n++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			if (exec)
				execl("/proc/self/exe", "system", "nothing", NULL);
			_exit(exec ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		sum += (uint64_t)status;
	}
	piece_end(p, sum);
}

static void forks(const char *name) { child(name, 0, 1000); }
static void execs(const char *name) { child(name, 1, 400); }

static void faults(const char *name)
{
	enum { SIZE = 32 << 20 };
	struct piece p = piece_begin(name);
	for (int round = 0; round < 3; round++) {
		uint8_t *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(at, SIZE, MADV_NOHUGEPAGE);
		for (size_t k = 0; k < SIZE; k += 4096)
			at[k] = 1;
		munmap(at, SIZE);
	}
	piece_end(p, 0);
}

static void ping_pong(const char *name)
{
	enum { TURNS = 20000 };
	int there[2], back[2];
	char byte = 1;
	if (pipe(there) < 0 || pipe(back) < 0)
		exit(1);
	struct piece p = piece_begin(name);
	if (fork() == 0) {
		for (int n = 0; n < TURNS && read(there[0], &byte, 1) == 1; n++)
			if (write(back[1], &byte, 1) != 1)
				break;
		_exit(0);
	}
	uint64_t good = 0;
	for (int n = 0; n < TURNS; n++)
		good += write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1;
	wait(NULL);
	piece_end(p, good);
}

static void pipe_bulk(const char *name)
{
	enum { CHUNK = 64 << 10, CHUNKS = 4096 };
	static uint8_t bytes[CHUNK];
	int fd[2];
	uint64_t sum = 0;
	if (pipe(fd) < 0)
		exit(1);
	struct piece p = piece_begin(name);
	if (fork() == 0) {
		close(fd[0]);
		for (int n = 0; n < CHUNKS; n++)
			if (write(fd[1], bytes, CHUNK) != CHUNK)
				break;
		_exit(0);
	}
	close(fd[1]);
	for (ssize_t got; (got = read(fd[0], bytes, CHUNK)) > 0;)
		sum += (uint64_t)got;
	wait(NULL);
	piece_end(p, sum);
}

int main(int argc, char **argv)
{
	static const struct piece_row table[] = {
		{ "syscall", calls }, { "fork", forks }, { "fork-exec", execs }, { "page-fault", faults },
		{ "pipe-turns", ping_pong }, { "pipe-bulk", pipe_bulk }, { 0 },
	};
	return piece_main(argc, argv, table);
}
