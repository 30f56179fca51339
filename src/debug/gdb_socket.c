/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket and the one debugger at its other end. */
#include "debug/gdb_priv.h"

#include "core/chardev.h"
#include "core/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void take(struct gdb *g, uint8_t byte)
{
	switch (gdb_parser_put(&g->parser, byte)) {
	case GDB_PACKET:
		if (!g->no_ack)
			(void)!buf_append_byte(&g->out, '+');
		gdb_packet(g, g->parser.data, g->parser.len);
		g->no_ack |= g->no_ack_next;
		break;
	case GDB_BROKEN:
		if (!g->no_ack)
			(void)!buf_append_byte(&g->out, '-');
		break;
	case GDB_INTERRUPT: vm_pause(g->vm); break;
	default: break;
	}
}

static void drop(struct gdb *g)
{
	loop_fd_remove(g->peer_watch);
	g->peer_watch = NULL;
	close(g->peer);
	g->peer = -1;
	g->out.len = 0;
	if (atomic_load(&g->vm->run_state) != VM_ENDED)
		gdb_leave(g);
}

static void on_peer(void *opaque, int fd, unsigned events)
{
	struct gdb *g = opaque;
	uint8_t bytes[4096];

	if (events & LOOP_WRITE)
		gdb_flush(g);
	if (!(events & (LOOP_READ | LOOP_HANGUP)))
		return;
	ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		drop(g);
		return;
	}
	for (ssize_t n = 0; n < got; n++)
		take(g, bytes[n]);
	gdb_flush(g);
}

static void on_connect(void *opaque, int fd, unsigned events)
{
	struct gdb *g = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return;
	if (g->peer >= 0 || loop_fd_add(g->vm->loop, peer, LOOP_READ, on_peer, g, &g->peer_watch, NULL) < 0) {
		close(peer);
		return;
	}
	g->peer = peer;
	g->no_ack = g->no_ack_next = g->physical = g->resumed = false;
	g->parser.at = GDB_IDLE;
	g->current = 0;
	vm_pause(g->vm);
}

const char *gdb_socket_path(const char *spec)
{
	return strncmp(spec, "unix:", 5) ? NULL : spec + 5;
}

static int listen_tcp(const char *spec, struct err *e)
{
	const char *host = strncmp(spec, "tcp:", 4) ? "127.0.0.1" : spec + 4, *colon = strrchr(host, ':');
	const char *port = host == spec + 4 ? colon ? colon + 1 : "" : spec;
	struct sockaddr_in at = { .sin_family = AF_INET };
	char name[64], *end;
	unsigned long number = strtoul(port, &end, 10);
	int one = 1;

	snprintf(name, sizeof(name), "%.*s", host == spec + 4 && colon ? (int)(colon - host) : 63, host);
	if (!*port || *end || number < 1 || number > 65535 || inet_pton(AF_INET, name, &at.sin_addr) != 1)
		return err_set(e, -EINVAL, "\"%s\" is none of PORT, tcp:127.0.0.1:PORT, unix:PATH", spec);
	at.sin_port = htons((uint16_t)number);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "cannot make a socket");
	/* Accepted connections inherit it; the sandbox lets nobody set it later. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0) {
		int why = errno;

		close(fd);
		return err_errno(e, why, "cannot listen at %s:%lu; is the port taken?", name, number);
	}
	return fd;
}

int gdb_listen(struct gdb *g, const char *spec, struct err *e)
{
	mode_t old = umask(0177);

	g->path = gdb_socket_path(spec);
	g->listener = g->path ? chardev_listen(g->path, e) : listen_tcp(spec, e);
	umask(old);
	if (g->listener < 0) {
		g->path = NULL;
		return g->listener;
	}
	return loop_fd_add(g->vm->loop, g->listener, LOOP_READ, on_connect, g, &g->listen_watch, e);
}

void gdb_unlisten(struct gdb *g)
{
	if (g->peer >= 0) {
		loop_fd_remove(g->peer_watch);
		close(g->peer);
	}
	loop_fd_remove(g->listen_watch);
	if (g->listener >= 0)
		close(g->listener);
	if (g->path)
		unlink(g->path);
}
