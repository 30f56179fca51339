/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/reach.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000 };

static bool greets(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char line[4];

	return poll(&p, 1, PATIENCE_MS) > 0 && recv(fd, line, sizeof(line), MSG_WAITALL) == sizeof(line) &&
	       !memcmp(line, "SSH-", sizeof(line));
}

static bool connects(int fd, const struct addrinfo *a)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t len = sizeof(error);

	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return true;
	return poll(&p, 1, PATIENCE_MS) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

bool reach_ssh(const char *host, unsigned port)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *a = NULL;
	char service[8];
	bool answers = false;
	int fd;

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &a) != 0)
		return false;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		answers = connects(fd, a) && greets(fd);
		close(fd);
	}
	freeaddrinfo(a);
	return answers;
}
