/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes to the debugger, and the small readers that its packets are taken apart with. */
#include "debug/gdb_priv.h"

#include "core/loop.h"

#include <string.h>
#include <sys/socket.h>

void gdb_flush(struct gdb *g)
{
	buf_send(&g->out, g->peer); /* the watch sees a debugger that is gone */
	if (g->peer_watch)
		loop_fd_events(g->peer_watch, g->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

void gdb_send(struct gdb *g, const void *data, size_t len)
{
	if (g->peer < 0)
		return;
	/* A debugger that does not read is cut off; the watch sees that. */
	if (gdb_packet_write(&g->out, data, len) < 0)
		shutdown(g->peer, SHUT_RDWR);
	gdb_flush(g);
}

void gdb_say(struct gdb *g, const char *text)
{
	gdb_send(g, text, strlen(text));
}

/* What is in g->answer. */
void gdb_say_answer(struct gdb *g)
{
	gdb_send(g, g->answer.data, g->answer.len);
}

void gdb_say_hex(struct gdb *g, const char *prefix, const char *text)
{
	g->answer.len = 0;
	if (buf_printf(&g->answer, "%s", prefix) == 0 && gdb_hex_write(&g->answer, text, strlen(text)) == 0)
		gdb_say_answer(g);
}

bool gdb_starts(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len))
		return false;
	*p += len;
	return true;
}

/* "addr,len" and, for writes, ':'. */
bool gdb_range_read(const char **p, uint64_t *addr, uint64_t *len)
{
	return gdb_hex_number(p, addr) && *(*p)++ == ',' && gdb_hex_number(p, len);
}

/* "-1", "0" (any) and thread numbers; false for what is no vCPU. *n is vcpu_count for all. */
bool gdb_thread_read(struct gdb *g, const char **p, unsigned *n)
{
	uint64_t id;

	if (!strncmp(*p, "-1", 2)) {
		*p += 2;
		*n = g->vm->vcpu_count;
		return true;
	}
	if (!gdb_hex_number(p, &id) || id > g->vm->vcpu_count)
		return false;
	*n = id ? (unsigned)id - 1 : g->current;
	return true;
}
