/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's half of the vsock test. "listen PORT" takes one connection and gives back what comes; "connect PORT"
 * goes to the host, sends a megabyte with a pattern, and wants it back.
 */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TOTAL = 1 << 20, CHUNK = 4096, FACTOR = 151 };

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int echo(int fd)
{
	char buf[CHUNK];
	ssize_t got;

	while ((got = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, put; at < got; at += put) {
			put = write(fd, buf + at, (size_t)(got - at));
			if (put <= 0)
				return fail("write");
		}
	return got < 0 ? fail("read") : 0;
}

static int listen_once(struct sockaddr_vm *a)
{
	int s = socket(AF_VSOCK, SOCK_STREAM, 0), fd;

	a->svm_cid = VMADDR_CID_ANY;
	if (s < 0 || bind(s, (struct sockaddr *)a, sizeof(*a)) < 0 || listen(s, 1) < 0)
		return fail("listen");
	puts("vsock: listening");
	fflush(stdout);
	fd = accept(s, NULL, NULL);
	return fd < 0 ? fail("accept") : echo(fd);
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * FACTOR >> 7);
}

/* Both directions at once, so that neither end waits for the other for ever. */
static int there_and_back(int fd)
{
	unsigned char buf[CHUNK];
	size_t sent = 0, back = 0;

	while (back < TOTAL) {
		struct pollfd p = { .fd = fd, .events = sent < TOTAL ? POLLIN | POLLOUT : POLLIN };

		if (poll(&p, 1, 30000) <= 0)
			return fail("poll");
		if (p.revents & POLLOUT) {
			for (size_t n = 0; n < CHUNK; n++)
				buf[n] = pattern(sent + n);
			ssize_t put = send(fd, buf, sent + CHUNK > TOTAL ? TOTAL - sent : CHUNK, MSG_DONTWAIT);
			sent += put > 0 ? (size_t)put : 0;
		}
		if (!(p.revents & (POLLIN | POLLHUP)))
			continue;
		ssize_t got = read(fd, buf, sizeof(buf));
		if (got <= 0)
			return fail("the connection ended early");
		for (ssize_t n = 0; n < got; n++)
			if (buf[n] != pattern(back++))
				return fail("other bytes came back");
	}
	puts("vsock: all came back");
	return 0;
}

static int connect_host(struct sockaddr_vm *a)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	a->svm_cid = VMADDR_CID_HOST;
	if (fd < 0 || connect(fd, (struct sockaddr *)a, sizeof(*a)) < 0)
		return fail("connect");
	return there_and_back(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK };

	if (argc != 3)
		return 2;
	a.svm_port = (unsigned)strtoul(argv[2], NULL, 10);
	return strcmp(argv[1], "listen") ? connect_host(&a) : listen_once(&a);
}
