/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/block_priv.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"
#include "core/loop.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct blk_format *const formats[] = {&blk_format_raw, &blk_format_qcow2};

/* --- requests --- */

struct finished {
	struct list node;
	struct blk_req *req;
};

struct drain {
	struct list node;
	void (*fn)(void *opaque);
	void *opaque;
};

void blk_signal(int event_fd)
{
	const uint64_t one = 1;
	if (write(event_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

bool blk_threads(pthread_t thread[BLK_THREADS], unsigned *started, void *(*fn)(void *), void *opaque)
{
	for (; *started < BLK_THREADS; ++*started)
		if (pthread_create(&thread[*started], NULL, fn, opaque))
			break;
	return *started;
}

/* The node for the finished list takes the place of what the format kept: it is done with the request. */
void blk_finish(struct blk *b, struct blk_req *req, int result)
{
	static_assert(sizeof(struct finished) <= BLK_REQ_PRIV, "room in a request");
	struct finished *f = (void *)req->priv.bytes;
	req->result = result;
	f->req = req;
	if (list_empty(&b->finished) && !b->in_event)
		blk_signal(b->event_fd);
	list_add_tail(&b->finished, &f->node);
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static struct blk_count *count_of(struct blk_stats *s, enum blk_op op)
{
	switch (op) {
	case BLK_READ: return &s->read;
	case BLK_FLUSH: return &s->flush;
	case BLK_DISCARD: return &s->discard;
	default: return &s->write;
	}
}

static void count(struct blk *b, const struct blk_req *req)
{
	struct blk_count *c = count_of(&b->stats, req->op);
	if (req->result < 0) {
		c->errors++;
		return;
	}
	c->requests++;
	c->bytes += req->op == BLK_FLUSH ? 0 : req->len;
	c->ns += now_ns() - req->begun_ns;
}

const struct blk_stats *blk_stats(const struct blk *b)
{
	return &b->stats;
}

void blk_stats_carry(struct blk *b, const struct blk_stats *from)
{
	b->stats = *from;
}

/* A file grows where it is written last; one that has its size already tells by where it was written. */
static void look_at_threshold(struct blk *b, const struct blk_req *req)
{
	uint64_t end = req->offset + req->len, threshold = b->threshold;
	struct stat st;

	if (req->op == BLK_READ || req->op == BLK_FLUSH)
		return;
	if (b->format != &blk_format_raw)
		end = fstat(b->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	if (end <= threshold)
		return;
	b->threshold = 0;
	if (b->watch_errors.exceeded)
		b->watch_errors.exceeded(b->watch_errors.opaque, threshold, end - threshold);
}

static enum blk_policy policy_of(const struct blk *b, const struct blk_req *req)
{
	enum blk_policy p = req->op == BLK_READ ? b->watch_errors.read : b->watch_errors.write;

	/* What is wrong with the request itself will not change. */
	if (req->result == -EINVAL || req->result == -EROFS)
		return BLK_REPORT;
	if (p == BLK_ENOSPC)
		p = req->result == -ENOSPC || req->result == -EDQUOT ? BLK_STOP : BLK_REPORT;
	return p;
}

static void forgive(struct blk_req *req)
{
	for (unsigned n = 0; req->op == BLK_READ && n < req->iov_count; n++)
		memset(req->iov[n].iov_base, 0, req->iov[n].iov_len);
	req->result = 0;
}

/* False: it waits. */
static bool ends(struct blk *b, struct finished *f)
{
	struct blk_req *req = f->req;
	const struct blk_watch *w = &b->watch_errors;
	enum blk_policy p = policy_of(b, req);

	if (w->failed)
		w->failed(w->opaque, req->op, req->result, p);
	if (p == BLK_STOP)
		list_add_tail(&b->parked, &f->node);
	if (p == BLK_IGNORE)
		forgive(req);
	return p != BLK_STOP;
}

static void run_finished(struct blk *b)
{
	while (!list_empty(&b->finished)) {
		struct finished *f = list_entry(b->finished.next, struct finished, node);
		struct blk_req *req = f->req;
		list_remove(&f->node);
		b->under_way--;
		count(b, req);
		if (b->threshold && req->result == 0)
			look_at_threshold(b, req);
		if (req->result == 0 || ends(b, f))
			req->done(req);
	}
	while (b->under_way == 0 && !list_empty(&b->drains)) {
		struct drain *d = list_entry(b->drains.next, struct drain, node);
		list_remove(&d->node);
		d->fn(d->opaque);
		free(d);
	}
}

static void reap(struct blk *b, bool wait)
{
	b->in_event = true;
	b->plugged++;
	b->engine->reap(b->engine_data, wait);
	if (b->format && b->format->reap)
		b->format->reap(b, wait);
	run_finished(b);
	blk_unplug(b);
	b->in_event = false;
}

static void on_event(void *opaque, int fd, unsigned events)
{
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	reap(opaque, false);
}

/* 0, or what is wrong with the request. A guest's errors were answered by the device; these are the last line. */
static int request_check(const struct blk *b, const struct blk_req *req)
{
	if (req->op == BLK_FLUSH)
		return 0;
	if (req->offset % BLK_SECTOR || req->len % BLK_SECTOR || req->iov_count > BLK_IOV_MAX ||
	    !range_inside(req->offset, req->len, b->info.size))
		return -EINVAL;
	if (b->info.read_only && req->op != BLK_READ)
		return -EROFS;
	return 0;
}

void blk_watch(struct blk *b, const struct blk_watch *w)
{
	b->watch_errors = *w;
}

void blk_set_threshold(struct blk *b, uint64_t offset)
{
	b->threshold = offset;
}

static struct blk_req *unpark(struct blk *b)
{
	struct finished *f = list_empty(&b->parked) ? NULL : list_entry(b->parked.next, struct finished, node);

	if (f)
		list_remove(&f->node);
	return f ? f->req : NULL;
}

void blk_retry(struct blk *b)
{
	blk_plug(b);
	for (struct blk_req *req; (req = unpark(b));)
		blk_submit(b, req);
	blk_unplug(b);
}

void blk_fail(struct blk *b)
{
	for (struct blk_req *req; (req = unpark(b));)
		req->done(req);
}

void blk_submit(struct blk *b, struct blk_req *req)
{
	b->under_way++;
	req->begun_ns = now_ns();
	int rc = request_check(b, req);
	bool nothing = req->op == BLK_FLUSH ? b->ignore_flush || b->info.read_only : req->len == 0;
	if (rc || nothing) {
		blk_finish(b, req, rc);
		return;
	}
	b->format->submit(b, req);
}

void blk_file_io(struct blk *b, struct file_io *io)
{
	b->engine->submit(b->engine_data, io);
	if (!b->plugged && b->engine->flush)
		b->engine->flush(b->engine_data);
}

void blk_plug(struct blk *b)
{
	b->plugged++;
}

void blk_unplug(struct blk *b)
{
	assert(b->plugged);
	if (--b->plugged == 0 && b->engine->flush)
		b->engine->flush(b->engine_data);
}

int blk_drain(struct blk *b, void (*fn)(void *opaque), void *opaque)
{
	struct drain *d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	*d = (struct drain){.fn = fn, .opaque = opaque};
	list_add_tail(&b->drains, &d->node);
	/* With nothing under way it is the event that calls it. */
	if (b->under_way == 0)
		blk_signal(b->event_fd);
	return 0;
}

static void wait_here(void *opaque)
{
	struct blk *b = opaque;
	if (b->engine->flush)
		b->engine->flush(b->engine_data);
	while (b->under_way)
		reap(b, list_empty(&b->finished));
}

void blk_wait(struct blk *b)
{
	/* Only a lack of memory for the message can fail; then it is asked again. */
	while (loop_call(b->loop, wait_here, b) < 0)
		usleep(1000);
}

const struct blk_info *blk_info(const struct blk *b)
{
	return &b->info;
}

struct loop *blk_loop(const struct blk *b)
{
	return b->loop;
}

/* --- another size --- */

int blk_resize(struct blk *b, uint64_t size, struct err *e)
{
	if (b->info.read_only)
		return err_set(e, -EROFS, "image %s is open read-only", b->path);
	if (!size || size % BLK_SECTOR || size > INT64_MAX)
		return err_set(e, -EINVAL, "image %s: the size must be a multiple of %d bytes above 0", b->path,
			       BLK_SECTOR);
	blk_wait(b);
	int rc = b->format->resize(b, size, e);
	if (!rc && b->resized)
		b->resized(b->resized_opaque);
	return rc;
}

void blk_on_resize(struct blk *b, void (*fn)(void *opaque), void *opaque)
{
	b->resized = fn;
	b->resized_opaque = opaque;
}

/* --- opening --- */

static const struct blk_format *find_format(const char *name)
{
	for (unsigned i = 0; i < COUNT_OF(formats); i++)
		if (!strcmp(formats[i]->name, name ? name : "raw"))
			return formats[i];
	return NULL;
}

static int open_errno(const struct blk_open *o, int error, struct err *e)
{
	switch (error) {
	case ENOENT:
		return err_set(e, -error, "image %s does not exist; create it (truncate -s 10G %s) or correct the path",
			       o->path, o->path);
	case EACCES:
	case EPERM:
		return err_set(e, -error, "image %s may not be opened for %s by this user; change its owner or mode%s",
			       o->path, o->read_only ? "reading" : "writing",
			       o->read_only ? "" : ", or open it read-only");
	case EROFS:
		return err_set(e, -error, "image %s is on a read-only file system; open it read-only", o->path);
	case EISDIR:
		return err_set(e, -error, "image %s is a directory; name a file or a block device", o->path);
	case EINVAL:
		if (o->direct)
			return err_set(e, -error,
				       "image %s is on a file system without O_DIRECT; use another cache mode",
				       o->path);
		ATTR_FALLTHROUGH;
	default:
		return err_errno(e, error, "image %s cannot be opened", o->path);
	}
}

static int check_kind(struct blk *b, struct err *e)
{
	struct stat st;
	if (fstat(b->fd, &st) < 0)
		return err_errno(e, errno, "image %s cannot be examined", b->path);
	b->is_device = S_ISBLK(st.st_mode);
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "image %s is a directory; name a file or a block device", b->path);
	if (!b->is_device && !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "image %s is neither a file nor a block device", b->path);
	return 0;
}

/* Held through the open file, so that it goes with the process however that ends. */
static int lock_image(const struct blk *b, struct err *e)
{
	struct flock lock = {.l_type = b->info.read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(b->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(e, -EBUSY, "image %s is in use by another machine; stop that one%s", b->path,
		               b->info.read_only ? "" : ", or open the image read-only in both");
	return err_errno(e, errno, "image %s cannot be locked", b->path);
}

/* A device that this host uses itself (mounted, swap, part of a RAID or an LVM group) lets nobody have it alone. */
static void tell_of_use(const struct blk *b, const struct blk_open *o)
{
	int probe;

	if (!b->is_device || o->file || o->read_only)
		return;
	probe = open(o->path, O_RDONLY | O_CLOEXEC | O_EXCL | O_NONBLOCK);
	if (probe >= 0)
		close(probe);
	else if (errno == EBUSY)
		log_line(LOG_WARNING,
			 _("%s is in use by this host (mounted?): two systems that write to it destroy what is on it"),
			 b->path);
}

static int open_file(struct blk *b, const struct blk_open *o, struct err *e)
{
	int flags = (o->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (o->direct ? O_DIRECT : 0);
	b->fd = o->file ? fcntl(*o->file, F_DUPFD_CLOEXEC, 0) : open(o->path, flags | O_NONBLOCK);
	if (b->fd < 0)
		return open_errno(o, errno, e);
	if (o->file && (fcntl(b->fd, F_GETFL) & O_ACCMODE) != (o->read_only ? O_RDONLY : O_RDWR))
		return err_set(e, -EACCES, "image %s: its descriptor is open for %s", b->path,
			       o->read_only ? "writing" : "reading only");
	if (o->file && o->direct && fcntl(b->fd, F_SETFL, O_DIRECT | O_NONBLOCK) < 0)
		return open_errno(o, errno, e);
	int rc = check_kind(b, e);
	if (rc == 0)
		rc = lock_image(b, e);
	if (rc == 0)
		tell_of_use(b, o);
	return rc;
}

static int engine_open(struct blk *b, const char *name, struct err *e)
{
	const struct blk_engine *const engines[] = {&blk_engine_uring, &blk_engine_threads};
	int rc = -EINVAL;
	for (unsigned i = 0; i < COUNT_OF(engines); i++) {
		if (name && strcmp(engines[i]->name, name))
			continue;
		rc = engines[i]->open(&b->engine_data, b->event_fd, e);
		if (rc == 0)
			b->engine = engines[i];
		if (rc == 0 || name)
			return rc;
	}
	return name ? err_set(e, -EINVAL, "there is no block engine %s; choose io_uring or threads", name) : rc;
}

struct watch_call {
	struct blk *b;
	struct err *e;
	int rc;
};

static void watch(void *opaque)
{
	struct watch_call *c = opaque;
	c->rc = loop_fd_add(c->b->loop, c->b->event_fd, LOOP_READ, on_event, c->b, &c->b->watch, c->e);
}

static int events_open(struct blk *b, const char *engine, struct err *e)
{
	b->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->event_fd < 0)
		return err_errno(e, errno, "image %s: cannot make an eventfd", b->path);
	int rc = engine_open(b, engine, e);
	if (rc)
		return rc;
	struct watch_call c = {.b = b, .e = e};
	rc = loop_call(b->loop, watch, &c);
	return rc ? err_set(e, rc, "image %s: no memory", b->path) : c.rc;
}

static struct blk *blk_new(const struct blk_open *o)
{
	struct blk *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->fd = b->event_fd = -1;
	b->loop = o->loop;
	b->direct = o->direct;
	b->ignore_flush = o->ignore_flush;
	b->info.read_only = o->read_only;
	list_init(&b->finished);
	list_init(&b->drains);
	list_init(&b->parked);
	b->path = strdup(o->path);
	if (b->path)
		return b;
	free(b);
	return NULL;
}

int blk_open(struct blk **out, const struct blk_open *o, struct err *e)
{
	const struct blk_format *format = find_format(o->format);
	if (!format)
		return err_set(e, -EINVAL, "image %s: there is no format %s; choose raw or qcow2", o->path, o->format);
	struct blk *b = blk_new(o);
	if (!b)
		return err_set(e, -ENOMEM, "image %s: no memory", o->path);
	int rc = open_file(b, o, e);
	if (!rc)
		rc = events_open(b, o->engine, e);
	if (!rc)
		rc = format->open(b, o, e);
	if (!rc)
		b->format = format;
	if (rc)
		blk_close(b);
	else
		*out = b;
	return rc;
}

static void unwatch(void *opaque)
{
	struct blk *b = opaque;
	loop_fd_remove(b->watch);
	b->watch = NULL;
}

void blk_close(struct blk *b)
{
	if (!b)
		return;
	assert(b->under_way == 0 && list_empty(&b->parked));
	while (b->watch && loop_call(b->loop, unwatch, b) < 0)
		usleep(1000);
	if (b->format && b->format->close)
		b->format->close(b);
	if (b->engine)
		b->engine->close(b->engine_data);
	if (b->fd >= 0)
		close(b->fd);
	if (b->event_fd >= 0)
		close(b->event_fd);
	free(b->path);
	free(b);
}
