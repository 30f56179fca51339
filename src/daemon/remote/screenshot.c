/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A picture of the screen as a stream. */
#include "daemon/remote/remote_priv.h"

#include "base/fd.h"
#include "core/loop.h"

#include <stdlib.h>
#include <unistd.h>

enum { PICTURE_CHUNK = 64 << 10 };

struct picture {
	struct stream *stream;
	struct timer timer; /* the picture follows the answer */
	int fd;
	off_t at;
	bool ended;
};

static void picture_free(struct picture *p)
{
	timer_cancel(&p->timer);
	fd_close(&p->fd);
	free(p);
}

static void send_on(void *opaque)
{
	static const size_t size = PICTURE_CHUNK;
	struct picture *p = opaque;
	uint8_t *chunk = malloc(size);
	ssize_t got = 0;

	while (chunk && !p->ended && (got = pread(p->fd, chunk, size, p->at)) > 0) {
		if (!stream_send(p->stream, chunk, (size_t)got))
			break;
		p->at += got;
	}
	free(chunk);
	if (p->ended || got > 0)
		return;
	p->ended = true;
	stream_send_end(p->stream);
}

static bool on_data(void *opaque, const uint8_t *data, size_t len, struct fault *f)
{
	picture_free(opaque);
	fault_set(f, FAULT_OPERATION_INVALID, FROM_STREAMS, "a picture takes no bytes");
	return false;
}

static bool on_finish(void *opaque, struct fault *f)
{
	picture_free(opaque);
	return true;
}

static void on_gone(void *opaque)
{
	picture_free(opaque);
}

static int begin(struct call *c, int fd)
{
	static const struct stream_ops ops = {on_data, on_finish, on_gone, send_on};
	struct daemon *d = c->opaque;
	struct picture *p = calloc(1, sizeof(*p));

	if (!p) {
		fd_close(&fd);
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the picture");
	}
	p->fd = fd;
	timer_init(&p->timer, loop_timers(d->loop), send_on, p);
	p->stream = stream_open(c, &ops, p);
	if (!p->stream) {
		picture_free(p);
		return CALL_FAILED;
	}
	timer_arm(&p->timer, clock_now(timerq_clock(loop_timers(d->loop))));
	xdr_optional_string(&c->out, "image/png");
	return CALL_DONE;
}

static void taken(void *opaque, int fd, const struct fault *f)
{
	struct call *c = opaque;

	if (f)
		c->fault = *f;
	call_end(c, f ? CALL_FAILED : begin(c, fd));
}

static int screenshot(struct call *c)
{
	return remote_started(domain_screenshot(c->object, call_u(c, 1), taken, c, &c->fault));
}

const struct handler remote_screenshot[] = {
	{"DOMAIN_SCREENSHOT", screenshot, remote_find_idle},
};
const unsigned remote_screenshot_count = COUNT_OF(remote_screenshot);
