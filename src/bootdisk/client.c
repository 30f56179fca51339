/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/client.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "block/block.h"
#include "bootdisk/find.h"
#include "bootdisk/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SILENCE_MS = 60000 };

struct boot_disk {
	struct boot_disk_config cfg;
	int fd;
	pid_t pid;
	bool lost;    /* the helper misbehaved: it is not asked again */
	uint8_t *buf; /* WIRE_READ_MAX */
	char title[WIRE_TEXT_MAX], cmdline[WIRE_TEXT_MAX];
};

/* ---- the helper's life ---- */

static int spawn(struct boot_disk *b, int fd, struct err *e)
{
	posix_spawn_file_actions_t fa;
	char path[PATH_MAX];
	char *argv[] = {path, b->cfg.sandbox ? NULL : (char *)"--no-sandbox", NULL};
	int ret;

	snprintf(path, sizeof(path), "%s/panal-boot-find", b->cfg.helper_dir);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd, WIRE_FD);
	ret = posix_spawn(&b->pid, path, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	return ret ? err_errno(e, ret, "cannot start the helper %s", path) : 0;
}

int boot_disk_open(struct boot_disk **out, const struct boot_disk_config *cfg, struct err *e)
{
	struct boot_disk *b = calloc(1, sizeof(*b));
	int pair[2], far, ret;

	if (!b || !(b->buf = malloc(WIRE_READ_MAX))) {
		free(b);
		return err_set(e, -ENOMEM, "out of memory");
	}
	b->cfg = *cfg;
	b->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		ret = err_errno(e, errno, "cannot make a socket pair");
		boot_disk_close(b);
		return ret;
	}
	b->fd = pair[0];
	far = fcntl(pair[1], F_DUPFD_CLOEXEC, 10); /* dup2 in the child must have another number to copy from */
	close(pair[1]);
	ret = far < 0 ? err_errno(e, errno, "cannot copy a descriptor") : spawn(b, far, e);
	if (far >= 0)
		close(far);
	if (ret < 0) {
		b->pid = 0;
		boot_disk_close(b);
		return ret;
	}
	*out = b;
	return 0;
}

void boot_disk_close(struct boot_disk *b)
{
	if (!b)
		return;
	fd_close(&b->fd); /* the helper reads end-of-file and ends */
	if (b->pid > 0)
		waitpid(b->pid, NULL, 0);
	free(b->buf);
	free(b);
}

/* ---- the disk ---- */

struct wait {
	struct blk_req req;
	struct iovec iov;
	int result;
};

static void read_done(struct blk_req *req)
{
	struct wait *w = req->opaque;

	w->result = req->result;
}

static int read_disk(struct blk *disk, uint64_t at, void *buf, size_t len)
{
	struct wait w = {.iov = {buf, len}};

	if (len > WIRE_READ_MAX || len % BLK_SECTOR || at % BLK_SECTOR || !range_inside(at, len, blk_info(disk)->size))
		return -EINVAL;
	w.req = (struct blk_req){.op = BLK_READ,
				 .offset = at,
				 .len = len,
				 .iov = &w.iov,
				 .iov_count = 1,
				 .done = read_done,
				 .opaque = &w};
	blk_submit(disk, &w.req);
	blk_wait(disk);
	return w.result;
}

/* ---- messages ---- */

static int lost(struct boot_disk *b, int code, const char *what, struct err *e)
{
	b->lost = true;
	return err_set(e, code, "the helper that reads the guest's disk %s", what);
}

static int receive(struct boot_disk *b, void *buf, size_t len, struct err *e)
{
	uint8_t *to = buf;

	while (len) {
		struct pollfd p = {.fd = b->fd, .events = POLLIN};
		ssize_t got = poll(&p, 1, SILENCE_MS) > 0 ? recv(b->fd, to, len, 0) : -2;

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -2)
			return lost(b, -ETIMEDOUT, "does not answer", e);
		if (got <= 0)
			return lost(b, -EPROTO, "ended; its disk may be made to harm", e);
		to += got;
		len -= (size_t)got;
	}
	return 0;
}

static int send_all(struct boot_disk *b, const void *data, size_t len, struct err *e)
{
	const uint8_t *from = data;

	while (len) {
		ssize_t sent = send(b->fd, from, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return lost(b, -EPROTO, "ended; its disk may be made to harm", e);
		from += sent;
		len -= (size_t)sent;
	}
	return 0;
}

static int serve_read(struct boot_disk *b, const struct wire_head *want, struct err *e)
{
	int result = read_disk(b->cfg.disk, want->value, b->buf, want->count);
	struct wire_head h = {.kind = WIRE_DATA, .len = result < 0 ? 0 : want->count, .value = (uint64_t)-result};
	int ret = send_all(b, &h, sizeof(h), e);

	return ret == 0 && h.len ? send_all(b, b->buf, h.len, e) : ret;
}

static int take_text(struct boot_disk *b, const struct wire_head *h, char text[WIRE_TEXT_MAX], struct err *e)
{
	int ret;

	if (h->len >= WIRE_TEXT_MAX)
		return lost(b, -EPROTO, "says too much", e);
	ret = receive(b, text, h->len, e);
	text[ret == 0 ? h->len : 0] = 0;
	for (char *c = text; *c; c++) /* it comes from the guest and goes to a terminal */
		if ((unsigned char)*c < 32 || *c == 127)
			*c = '?';
	return ret;
}

static int take_file(struct boot_disk *b, const struct wire_head *h, struct boot_file *out, struct err *e)
{
	uint64_t size = h->len - h->count;
	char name[WIRE_TEXT_MAX];
	const struct wire_head text = {.len = h->count};
	void *data;
	int ret;

	if (h->count > h->len || !size || size > FIND_FILE_MAX)
		return lost(b, -EPROTO, "gives an empty file, or one larger than 1 GiB", e);
	ret = take_text(b, &text, name, e);
	data = ret == 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
	if (data == MAP_FAILED)
		return ret < 0 ? ret : err_set(e, -ENOMEM, "out of memory for %s", name);
	ret = receive(b, data, size, e);
	if (ret < 0) {
		munmap(data, size);
		return ret;
	}
	*out = (struct boot_file){.data = data, .size = size};
	snprintf(out->name, sizeof(out->name), "%.*s", (int)sizeof(out->name) - 1, name);
	return 0;
}

static int take(struct boot_disk *b, const struct wire_head *h, struct boot_source *out, struct err *e)
{
	char text[WIRE_TEXT_MAX];
	int ret;

	switch (h->kind) {
	case WIRE_READ: return serve_read(b, h, e);
	case WIRE_TITLE: return take_text(b, h, b->title, e);
	case WIRE_CMDLINE: return take_text(b, h, b->cmdline, e);
	case WIRE_WARNING:
		ret = take_text(b, h, text, e);
		if (ret == 0)
			log_line(LOG_WARNING, "%s", text);
		return ret;
	case WIRE_FAILED: ret = take_text(b, h, text, e); return ret < 0 ? ret : err_set(e, -EINVAL, "%s", text);
	case WIRE_KERNEL: return out->kernel_file.data ? -EPROTO : take_file(b, h, &out->kernel_file, e);
	case WIRE_INITRD:
		if (out->initrd_count == BOOT_INITRD_MAX)
			return lost(b, -EPROTO, "gives too many files", e);
		ret = take_file(b, h, &out->initrd_file[out->initrd_count], e);
		out->initrd_count += ret == 0;
		return ret;
	default: return lost(b, -EPROTO, "misbehaves", e);
	}
}

static int refresh(void *opaque, struct boot_source *out, struct err *e)
{
	return boot_disk_find(opaque, out, e);
}

static int talk(struct boot_disk *b, struct boot_source *out, struct err *e)
{
	struct wire_head h = {.kind = WIRE_START, .value = blk_info(b->cfg.disk)->size};
	int ret = send_all(b, &h, sizeof(h), e);

	while (ret == 0) {
		ret = receive(b, &h, sizeof(h), e);
		if (ret == 0 && h.kind == WIRE_DONE)
			break;
		if (ret == 0)
			ret = take(b, &h, out, e);
	}
	if (ret == 0 && !out->kernel_file.data)
		ret = lost(b, -EPROTO, "misbehaves", e);
	return ret;
}

int boot_disk_find(struct boot_disk *b, struct boot_source *out, struct err *e)
{
	size_t len;
	int ret;

	*out = (struct boot_source){.refresh = refresh, .opaque = b};
	b->title[0] = b->cmdline[0] = 0;
	ret = b->lost ? err_set(e, -EPROTO, "the helper that reads the guest's disk is gone") : talk(b, out, e);
	if (ret < 0) {
		boot_source_drop(out);
		return err_wrap(e, "--boot-from-disk");
	}
	len = strlen(b->cmdline);
	if (b->cfg.append)
		snprintf(b->cmdline + len, sizeof(b->cmdline) - len, "%s%s", len ? " " : "", b->cfg.append);
	out->cmdline = b->cmdline;
	log_line(LOG_INFO, "boots \"%s\": %s %s", b->title, out->kernel_file.name, b->cmdline);
	return 0;
}
