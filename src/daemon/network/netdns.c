/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dnsmasq of a running network. It outlives the daemon, and the next one finds it by its argument, the path of its
 * configuration; so nothing needs to be noted of it. A change of the network starts it anew: what it has lent is in
 * its lease file, and a reload would read less than all, with fewer rights.
 */
#include "daemon/network/network_priv.h"

#include "base/fd.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/loop.h"
#include "daemon/network/child.h"
#include "daemon/network/dnsmasq.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONFIG_MAX = 8 << 20, READY_MS = 5000, STEP_MS = 5, RESTART_SECONDS = 2 };
static const int64_t SECOND_NS = INT64_C(1000000000);

static void config_argument(const struct network *n, char out[PATH_MAX + 32])
{
	char dir[PATH_MAX];

	netnote_dir(n->all, network_uuid(n), dir);
	snprintf(out, PATH_MAX + 32, "--conf-file=%s/dnsmasq.conf", dir);
}

static void forget(struct network *n)
{
	loop_fd_remove(n->watch);
	n->watch = NULL;
	fd_close(&n->pidfd);
	n->dnsmasq = 0;
}

/* It died by itself, or somebody ended it. One that dies at once each time is started every few seconds. */
static void on_pidfd(void *opaque, int fd, unsigned events)
{
	struct network *n = opaque;

	log_line(LOG_WARNING, "dnsmasq of network %s ended; it is started again", network_name(n));
	loop_fd_remove(n->watch);
	n->watch = NULL;
	child_end(&n->pidfd);
	n->dnsmasq = 0;
	timer_arm(&n->restart, clock_now(timerq_clock(loop_timers(n->all->daemon->loop))) +
				       RESTART_SECONDS * SECOND_NS);
}

static int watch(struct network *n, struct err *e)
{
	return loop_fd_add(n->all->daemon->loop, n->pidfd, LOOP_READ, on_pidfd, n, &n->watch, e);
}

/* ---- starting ---- */

static bool same_config(const char *dir, const struct buf *b)
{
	char *text;
	size_t len;
	bool same;

	if (store_read(dir, "dnsmasq.conf", &text, &len, NULL) < 0)
		return false;
	same = len == b->len && !memcmp(text, b->data, len);
	free(text);
	return same;
}

/* 1: it is what the dnsmasq that runs was started with. */
static int write_config(const struct network *n, const char *dir, struct err *e)
{
	struct buf b;
	int ret;

	buf_init(&b, CONFIG_MAX);
	ret = dnsmasq_text(&b, n->def, dir, e);
	if (ret == 0 && n->pidfd >= 0 && same_config(dir, &b))
		ret = 1;
	else if (ret == 0)
		ret = store_write(dir, "dnsmasq.conf", b.data, b.len, false, e);
	buf_free(&b);
	return ret;
}

static int open_log(const struct network *n, struct err *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/network-%.200s.log", n->all->daemon->log_dir, network_name(n));
	return fd_open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, e);
}

/* What it wrote last, after `from`. */
static void last_words(int log_fd, off_t from, char *out, size_t size)
{
	ssize_t got = pread(log_fd, out, size - 1, from);
	char *at;

	out[got > 0 ? got : 0] = 0;
	while ((at = strrchr(out, '\n')) && !at[1])
		*at = 0;
	if (at)
		memmove(out, at + 1, strlen(at + 1) + 1);
}

/* It has bound its sockets when its pid file is there; nothing else tells. */
static int wait_ready(const struct network *n, const char *dir, int log_fd, off_t from, struct err *e)
{
	struct pollfd p = { .fd = n->pidfd, .events = POLLIN };
	char words[300];

	for (unsigned ms = 0; ms < READY_MS; ms += STEP_MS) {
		if (store_has(dir, "dnsmasq.pid"))
			return 0;
		if (poll(&p, 1, STEP_MS) != 1)
			continue;
		last_words(log_fd, from, words, sizeof(words));
		return err_set(e, -EIO, "dnsmasq does not start: %s", words);
	}
	return err_set(e, -ETIMEDOUT, "dnsmasq is not ready after %d seconds", READY_MS / 1000);
}

static int spawn(struct network *n, const char *dir, struct err *e)
{
	char argument[PATH_MAX + 32];
	const char *const argv[] = {"dnsmasq", argument, NULL};
	int null_fd, log_fd = open_log(n, e), ret;
	off_t from;

	if (log_fd < 0)
		return log_fd;
	config_argument(n, argument);
	from = lseek(log_fd, 0, SEEK_END);
	ret = null_fd = fd_open("/dev/null", O_RDONLY, 0, e);
	if (ret >= 0)
		ret = child_spawn(&n->dnsmasq, argv, null_fd, log_fd, log_fd, e);
	if (ret == 0) {
		n->pidfd = (int)syscall(SYS_pidfd_open, n->dnsmasq, 0);
		ret = n->pidfd < 0 ? err_errno(e, errno, "cannot watch dnsmasq") :
				     wait_ready(n, dir, log_fd, from, e);
	}
	fd_close(&null_fd);
	fd_close(&log_fd);
	return ret;
}

int netdns_start(struct network *n, struct err *e)
{
	char dir[PATH_MAX];
	int ret;

	if (!dnsmasq_wanted(n->def)) {
		netdns_stop(n);
		return 0;
	}
	netnote_dir(n->all, network_uuid(n), dir);
	ret = write_config(n, dir, e);
	if (ret > 0)
		return 0;
	if (ret < 0)
		return ret;
	netdns_stop(n);
	ret = spawn(n, dir, e);
	if (ret == 0)
		ret = watch(n, e);
	if (ret < 0)
		netdns_stop(n);
	return ret;
}

/* ---- finding and stopping ---- */

bool netdns_find(struct network *n)
{
	char argument[PATH_MAX + 32];

	config_argument(n, argument);
	forget(n);
	n->pidfd = child_find("dnsmasq", argument, &n->dnsmasq);
	if (n->pidfd >= 0 && watch(n, NULL) == 0)
		return true;
	return false;
}

/* Also one that a daemon before started and did not live to note. */
void netdns_stop(struct network *n)
{
	char argument[PATH_MAX + 32], dir[PATH_MAX];
	pid_t pid;
	int fd;

	timer_cancel(&n->restart);
	loop_fd_remove(n->watch);
	n->watch = NULL;
	child_end(&n->pidfd);
	n->dnsmasq = 0;
	config_argument(n, argument);
	while ((fd = child_find("dnsmasq", argument, &pid)) >= 0)
		child_end(&fd);
	netnote_dir(n->all, network_uuid(n), dir);
	if (store_remove(dir, "dnsmasq.pid", false, NULL) < 0)
		log_line(LOG_WARNING, "cannot remove %s/dnsmasq.pid", dir);
}
