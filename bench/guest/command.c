/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command NAME PROGRAM ARGUMENT...: a program as a piece of work; the check is over what it prints. */
#include "piece.h"

#include <fcntl.h>
#include <sys/wait.h>

static pid_t start(char **argv, int *from)
{
	int fd[2];
	if (pipe(fd) < 0)
		exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	*from = fd[0];
	return pid;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[65536];
	uint64_t check = PIECE_SEED;
	ssize_t got;
	int fd, status;
	if (argc < 3)
		return 2;
	struct piece p = piece_begin(argv[1]);
	pid_t pid = start(argv + 2, &fd);
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		check = piece_hash(check, bytes, (size_t)got);
	waitpid(pid, &status, 0);
	if (status)
		printf("bench %s failed with %x\n", argv[1], status);
	piece_end(p, check);
	return status != 0;
}
