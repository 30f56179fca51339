/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt-ssh-helper [-r] URI: what libvirt's clients run on the far end of ssh. It connects to the daemon's socket for
 * the URI and copies bytes between it and its standard input and output, until either end closes. ssh has asked who the
 * user is; the socket's owner and mode, and polkit, say what the user may do.
 */
#include "base/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { COPY_BYTES = 64 << 10, EXIT_USAGE = 2 };

/* Bytes of one direction that are on their way. */
struct pipe {
	int from, to;
	size_t at, len;
	bool ended;
	char data[COPY_BYTES];
};

static bool names_session(const char *uri)
{
	const char *path = strstr(uri, "://");

	path = path ? strchr(path + 3, '/') : NULL;
	return path && !strncmp(path, "/session", 8);
}

/* The directory of the sockets; PANAL_SOCKETS names another, for a panald with --sockets. */
static void socket_dir(const char *uri, char *out, size_t size)
{
	const char *given = getenv("PANAL_SOCKETS"), *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");

	if (given && *given)
		snprintf(out, size, "%s", given);
	else if (!names_session(uri) || geteuid() == 0)
		snprintf(out, size, "/run/libvirt");
	else if (runtime && *runtime)
		snprintf(out, size, "%s/libvirt", runtime);
	else
		snprintf(out, size, "%s/.cache/libvirt", home ? home : "");
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (strlen(path) >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
	} else {
		strcpy(sa.sun_path, path);
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

static int open_daemon(const char *uri, bool read_only)
{
	static const char *const names[] = {"virtqemud-sock", "libvirt-sock"};
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)], path[sizeof(dir) + 32];
	int fd = -1;

	socket_dir(uri, dir, sizeof(dir));
	for (unsigned n = strncmp(uri, "qemu", 4) ? 1 : 0; fd < 0 && n < COUNT_OF(names); n++) {
		snprintf(path, sizeof(path), "%s/%s%s", dir, names[n], read_only ? "-ro" : "");
		fd = connect_to(path);
	}
	if (fd < 0)
		fprintf(stderr, "virt-ssh-helper: cannot connect to %s: %s\n", path, strerror(errno));
	return fd;
}

/* False: that direction is of no use any more. */
static bool copy(struct pipe *p, short from, short to)
{
	ssize_t n;

	if (p->len && (to & (POLLOUT | POLLERR | POLLHUP))) {
		n = write(p->to, p->data + p->at, p->len);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		p->at += (size_t)n;
		p->len -= (size_t)n;
	} else if (!p->len && (from & (POLLIN | POLLERR | POLLHUP))) {
		n = read(p->from, p->data, sizeof(p->data));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		p->at = 0;
		p->len = (size_t)n;
		p->ended = n == 0;
	}
	return !p->ended;
}

/* Until the daemon closes, or the client: then what it was still to be told is of no use to it. */
static int run(int fd)
{
	static struct pipe up, down; /* large */
	bool ok = true;

	up = (struct pipe){ .from = STDIN_FILENO, .to = fd };
	down = (struct pipe){ .from = fd, .to = STDOUT_FILENO };
	while (ok) {
		struct pollfd p[] = {
			{ up.len ? -1 : STDIN_FILENO, POLLIN, 0 },
			{ fd, (short)((down.len ? 0 : POLLIN) | (up.len ? POLLOUT : 0)), 0 },
			{ STDOUT_FILENO, down.len ? POLLOUT : 0, 0 },
		};

		if (poll(p, COUNT_OF(p), -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		ok = copy(&up, p[0].revents, p[1].revents) && copy(&down, p[1].revents, p[2].revents) &&
		     !(p[2].revents & (POLLERR | POLLNVAL));
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	bool read_only = argc > 1 && (!strcmp(argv[1], "-r") || !strcmp(argv[1], "--readonly"));
	int fd;

	if (argc != (read_only ? 3 : 2) || argv[argc - 1][0] == '-') {
		fputs("usage: virt-ssh-helper [-r] URI\n", stderr);
		return EXIT_USAGE;
	}
	fd = open_daemon(argv[argc - 1], read_only);
	return fd < 0 ? EXIT_FAILURE : run(fd);
}
