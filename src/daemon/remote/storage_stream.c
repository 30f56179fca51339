/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Volumes' bytes to and from clients: the bytes of the file, whatever image it holds. The file is read and written on
 * threads, a batch at a time; while one is under way the next gathers, and beyond UPLOAD_MAX the client is not read
 * from.
 */
#include "daemon/remote/storage_calls.h"

#include "base/buf.h"
#include "base/fd.h"
#include "daemon/storage/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UPLOAD_MAX = 4 << 20, DOWNLOAD_BATCH = 1 << 20 };

struct transfer {
	struct work work;
	struct stream *stream; /* NULL: the client does not want it any more */
	struct volume *volume;
	struct works *works;
	int fd;
	uint64_t at, left; /* in the file; bytes that may still come (UINT64_MAX: any number) */
	struct buf queue;  /* upload: what came and is not being written */
	struct buf batch;  /* what the thread writes, or what it has read */
	bool upload, busy, finishing, last, full, eof;
	int ret;
};

static void transfer_free(struct transfer *t)
{
	struct fault f;

	fd_close(&t->fd);
	t->volume->users--;
	t->volume->pool->works--;
	if (t->upload && volume_update(t->volume, &f) < 0)
		t->volume = NULL; /* somebody removed the file meanwhile */
	buf_free(&t->queue);
	buf_free(&t->batch);
	free(t);
}

/* Ends the stream and the transfer. */
static void broken(struct transfer *t, const char *what, int error)
{
	struct stream *s = t->stream;
	struct fault f;

	fault_set(&f, FAULT_SYSTEM, FROM_STREAMS, "cannot %s the volume: %s", what, strerror(error));
	t->stream = NULL;
	transfer_free(t);
	if (s)
		stream_abort(s, &f);
}

static int begin_batch(struct transfer *t)
{
	if (works_start(t->works, &t->work) < 0)
		return -1;
	t->busy = true;
	return 0;
}

/* ---- upload ---- */

static void run_write(struct work *w)
{
	struct transfer *t = container_of(w, struct transfer, work);
	size_t done = 0;

	t->ret = 0;
	while (done < t->batch.len && t->ret == 0) {
		ssize_t n = pwrite(t->fd, t->batch.data + done, t->batch.len - done, (off_t)(t->at + done));

		if (n < 0 && errno != EINTR)
			t->ret = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	if (t->ret == 0 && t->last && fdatasync(t->fd) < 0)
		t->ret = -errno;
}

/* What has gathered becomes the batch. */
static int write_next(struct transfer *t)
{
	struct buf free_one = t->batch;

	if (t->busy || (!t->queue.len && !t->finishing))
		return 0;
	t->at += t->batch.len;
	free_one.len = 0;
	t->batch = t->queue;
	t->queue = free_one;
	t->last = t->finishing;
	return begin_batch(t);
}

static void written(struct work *w)
{
	struct transfer *t = container_of(w, struct transfer, work);
	struct stream *s = t->stream;

	t->busy = false;
	if (!s) {
		transfer_free(t);
	} else if (t->ret < 0) {
		broken(t, "write", -t->ret);
	} else if (t->last) {
		transfer_free(t);
		stream_end(s, NULL);
	} else if (write_next(t) < 0) {
		broken(t, "write", ENOMEM);
	} else {
		stream_hold(s, t->queue.len > UPLOAD_MAX);
	}
}

static bool on_upload(void *opaque, const uint8_t *data, size_t len, struct fault *f)
{
	struct transfer *t = opaque;
	int ret = len > t->left ? -ENOSPC : buf_append(&t->queue, data, len);

	if (ret < 0) {
		fault_set(f, FAULT_SYSTEM, FROM_STREAMS, "cannot write to stream: %s", strerror(-ret));
		t->stream = NULL;
		if (!t->busy)
			transfer_free(t);
		return false;
	}
	if (t->left != UINT64_MAX)
		t->left -= len;
	if (write_next(t) < 0) {
		fault_set(f, FAULT_NO_MEMORY, FROM_STREAMS, "no thread to write with");
		transfer_free(t);
		return false;
	}
	stream_hold(t->stream, t->queue.len > UPLOAD_MAX);
	return true;
}

static bool on_upload_finish(void *opaque, struct fault *f)
{
	struct transfer *t = opaque;

	t->finishing = true;
	if (write_next(t) < 0) {
		fault_set(f, FAULT_NO_MEMORY, FROM_STREAMS, "no thread to write with");
		transfer_free(t);
		return false;
	}
	stream_hold(t->stream, false);
	stream_defer(t->stream);
	return true;
}

static void on_gone(void *opaque)
{
	struct transfer *t = opaque;

	t->stream = NULL;
	if (!t->busy)
		transfer_free(t);
}

static void on_upload_room(void *opaque) {}

/* ---- download ---- */

static void run_read(struct work *w)
{
	struct transfer *t = container_of(w, struct transfer, work);
	size_t want = t->left < DOWNLOAD_BATCH ? (size_t)t->left : DOWNLOAD_BATCH;
	ssize_t got;

	do
		got = want ? pread(t->fd, t->batch.data, want, (off_t)t->at) : 0;
	while (got < 0 && errno == EINTR);
	t->ret = got < 0 ? -errno : 0;
	t->batch.len = got > 0 ? (size_t)got : 0;
}

/* Sends what there is, and has more read when all of it is out. False: the transfer is gone. */
static bool send_batch(struct transfer *t)
{
	while (t->batch.len && !t->full) {
		size_t len = t->batch.len < STREAM_CHUNK_MAX ? t->batch.len : STREAM_CHUNK_MAX;

		t->full = !stream_send(t->stream, t->batch.data, len);
		if (!t->full)
			buf_consume(&t->batch, len);
	}
	if (t->batch.len || t->busy || t->eof)
		return true;
	if (begin_batch(t) == 0)
		return true;
	broken(t, "read", ENOMEM);
	return false;
}

static void was_read(struct work *w)
{
	struct transfer *t = container_of(w, struct transfer, work);

	t->busy = false;
	if (!t->stream) {
		transfer_free(t);
		return;
	}
	if (t->ret < 0) {
		broken(t, "read", -t->ret);
		return;
	}
	t->at += t->batch.len;
	if (t->left != UINT64_MAX)
		t->left -= t->batch.len;
	if (!t->batch.len) {
		t->eof = true;
		stream_send_end(t->stream);
	}
	send_batch(t);
}

static bool on_download_data(void *opaque, const uint8_t *data, size_t len, struct fault *f)
{
	on_gone(opaque);
	fault_set(f, FAULT_RPC, FROM_STREAMS, "a download takes no data");
	return false;
}

static bool on_download_finish(void *opaque, struct fault *f)
{
	on_gone(opaque);
	return true;
}

static void on_download_room(void *opaque)
{
	struct transfer *t = opaque;

	t->full = false;
	send_batch(t);
}

/* ---- opening ---- */

/* A machine that uses the volume has it locked, and nobody may write below it. */
static int open_volume(const struct volume *v, bool upload, struct fault *f)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct err e = {0};
	int fd;

	if (v->def->type == VOLDEF_DIR)
		return fault_set(f, FAULT_OPERATION_UNSUPPORTED, FROM_STORAGE, "'%s' is a directory", v->def->name);
	fd = fd_open(v->def->path, (upload ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY, 0, &e);
	if (fd < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_STORAGE, &e);
	if (!upload || fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd;
	close(fd);
	return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "volume '%s' is still in use.", v->def->name);
}

static struct transfer *transfer_new(struct call *c, struct volume *v, bool upload)
{
	const struct daemon *daemon = c->opaque;
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t) {
		fault_set(&c->fault, FAULT_NO_MEMORY, FROM_STREAMS, "no memory for the stream");
		return NULL;
	}
	t->works = storage_works(daemon->storage);
	t->upload = upload;
	t->volume = v;
	t->at = call_H(c, 1);
	t->left = call_H(c, 2) ? call_H(c, 2) : UINT64_MAX;
	buf_init(&t->queue, UPLOAD_MAX + XDR_PAYLOAD_MAX);
	buf_init(&t->batch, UPLOAD_MAX + XDR_PAYLOAD_MAX);
	t->work = upload ? (struct work){.run = run_write, .done = written}
			 : (struct work){.run = run_read, .done = was_read};
	v->users++;
	v->pool->works++;
	t->fd = open_volume(v, upload, &c->fault);
	if (t->fd >= 0 && (upload || buf_reserve(&t->batch, DOWNLOAD_BATCH)))
		return t;
	if (t->fd >= 0)
		fault_set(&c->fault, FAULT_NO_MEMORY, FROM_STREAMS, "no memory for the stream");
	t->upload = false;
	transfer_free(t);
	return NULL;
}

static int begin(struct call *c, bool upload)
{
	static const struct stream_ops upload_ops = {on_upload, on_upload_finish, on_gone, on_upload_room};
	static const struct stream_ops download_ops = {on_download_data, on_download_finish, on_gone, on_download_room};
	struct volume *v = c->object;
	struct transfer *t;

	if (call_H(c, 1) > INT64_MAX || call_H(c, 2) > INT64_MAX - call_H(c, 1))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_STORAGE,
				 "offset or length is beyond what a file can have");
	if (upload && v->users)
		return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_STORAGE, "volume '%s' is still in use.",
				 v->def->name);
	t = transfer_new(c, v, upload);
	if (!t)
		return CALL_FAILED;
	t->stream = stream_open(c, upload ? &upload_ops : &download_ops, t);
	if (t->stream && !upload && begin_batch(t) < 0) {
		fault_set(&c->fault, FAULT_NO_MEMORY, FROM_STREAMS, "no thread to read with");
		stream_abort(t->stream, &c->fault);
		t->stream = NULL;
	}
	if (t->stream)
		return CALL_DONE;
	transfer_free(t);
	return CALL_FAILED;
}

static int upload(struct call *c)
{
	return begin(c, true);
}

static int download(struct call *c)
{
	return begin(c, false);
}

const struct handler remote_storage_stream[] = {
	{"STORAGE_VOL_UPLOAD", upload, remote_find_volume},
	{"STORAGE_VOL_DOWNLOAD", download, remote_find_volume},
};
const unsigned remote_storage_stream_count = COUNT_OF(remote_storage_stream);
