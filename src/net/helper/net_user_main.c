/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal-net-user: the far end of user networking. Descriptor 3 carries Ethernet frames, one a message; descriptor 4
 * takes the one word after start ("ok", or what is wrong). libslirp is the NAT: network 10.0.2.0/24, the host is
 * 10.0.2.2, the name server 10.0.2.3, DHCP gives 10.0.2.15. One thread, one poll loop. Before the first frame is read
 * the process gives up what it does not need: root's rights, files, system calls.
 */
#include "base/list.h"
#include "net/net_priv.h"
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <libslirp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES = 3, WORD = 4, POLL_MAX = 4096, FORWARD_MAX = 64, BURST = 64, BOOTFILE_MAX = 127 };

struct helper {
	Slirp *slirp;
	struct pollfd fds[POLL_MAX];
	unsigned fd_count;
	struct list timers;
	bool gone; /* the machine closed its end */
	uint8_t frame[NET_FRAME_MAX];
};

struct slirp_timer {
	struct list node;
	SlirpTimerCb fn;
	void *opaque;
	int64_t deadline_ms; /* INT64_MAX: not armed */
};

static int64_t now_ns(void *opaque)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	struct helper *h = opaque;
	ssize_t ret = send(FRAMES, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (ret < 0 && errno != EAGAIN && errno != EINTR)
		h->gone = true;
	return ret < 0 ? (ssize_t)len : ret; /* a frame without room is lost, as on a wire */
}

static void guest_error(const char *msg, void *opaque)
{
}

static void *timer_new(SlirpTimerCb fn, void *cb_opaque, void *opaque)
{
	struct helper *h = opaque;
	struct slirp_timer *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	*t = (struct slirp_timer){ .fn = fn, .opaque = cb_opaque, .deadline_ms = INT64_MAX };
	list_add_tail(&h->timers, &t->node);
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct slirp_timer *t = timer;

	list_remove(&t->node);
	free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	((struct slirp_timer *)timer)->deadline_ms = expire_ms;
}

static void no_poll_fd(int fd, void *opaque)
{
}

static void no_notify(void *opaque)
{
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = now_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = no_poll_fd,
	.unregister_poll_fd = no_poll_fd,
	.notify = no_notify,
};

static const struct {
	int slirp;
	short poll;
} poll_map[] = {
	{ SLIRP_POLL_IN, POLLIN },   { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int add_poll(int fd, int events, void *opaque)
{
	struct helper *h = opaque;
	struct pollfd *p = &h->fds[h->fd_count];

	if (h->fd_count == POLL_MAX)
		return -1;
	*p = (struct pollfd){ .fd = fd };
	for (size_t n = 0; n < COUNT_OF(poll_map); n++)
		if ((events & poll_map[n].slirp) && !(poll_map[n].poll & (POLLERR | POLLHUP)))
			p->events |= poll_map[n].poll;
	return (int)h->fd_count++;
}

static int get_revents(int idx, void *opaque)
{
	struct helper *h = opaque;
	int events = 0;

	if (idx < 0)
		return 0;
	for (size_t n = 0; n < COUNT_OF(poll_map); n++)
		if (h->fds[idx].revents & poll_map[n].poll)
			events |= poll_map[n].slirp;
	return events;
}

static uint32_t timers_timeout(struct helper *h, uint32_t timeout)
{
	int64_t now = now_ns(NULL) / 1000000;

	list_each(it, &h->timers) {
		struct slirp_timer *t = list_entry(it, struct slirp_timer, node);
		int64_t left = t->deadline_ms == INT64_MAX ? INT64_MAX : t->deadline_ms - now;

		if (left < (int64_t)timeout)
			timeout = left > 0 ? (uint32_t)left : 0;
	}
	return timeout;
}

static void timers_run(struct helper *h)
{
	int64_t now = now_ns(NULL) / 1000000;

	list_each_safe(it, &h->timers) {
		struct slirp_timer *t = list_entry(it, struct slirp_timer, node);

		if (t->deadline_ms > now)
			continue;
		t->deadline_ms = INT64_MAX;
		t->fn(t->opaque);
	}
}

static void take_frames(struct helper *h)
{
	for (unsigned burst = 0; burst < BURST; burst++) {
		ssize_t len = recv(FRAMES, h->frame, sizeof(h->frame), MSG_DONTWAIT);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			h->gone = true;
			return;
		}
		slirp_input(h->slirp, h->frame, (int)len);
	}
}

static void run(struct helper *h)
{
	while (!h->gone) {
		uint32_t timeout = 1000;
		int ready;

		h->fds[0] = (struct pollfd){ .fd = FRAMES, .events = POLLIN };
		h->fd_count = 1;
		slirp_pollfds_fill(h->slirp, &timeout, add_poll, h);
		ready = poll(h->fds, h->fd_count, (int)timers_timeout(h, timeout));
		/* before the frames: it also sets libslirp's clock, by which what they begin will end */
		slirp_pollfds_poll(h->slirp, ready < 0, get_revents, h);
		if (h->fds[0].revents)
			take_frames(h);
		timers_run(h);
	}
}

static void say(const char *text)
{
	if (write(WORD, text, strlen(text)) < 0)
		exit(1);
}

ATTR_NORETURN static void refuse(const char *text)
{
	say(text);
	exit(1);
}

static void add_forward(struct helper *h, const char *text)
{
	struct net_forward f;
	struct err e;
	struct in_addr host, guest = { .s_addr = inet_addr("10.0.2.15") };
	char msg[256];

	if (net_forward_parse(&f, text, &e) < 0)
		refuse(e.text);
	inet_pton(AF_INET, f.host_addr, &host);
	if (slirp_add_hostfwd(h->slirp, f.udp, host, f.host_port, guest, f.guest_port) < 0) {
		snprintf(msg, sizeof(msg), "cannot listen on %s:%u (%s); choose another port", f.host_addr, f.host_port,
		         strerror(errno));
		refuse(msg);
	}
}

/* The folder of the host's list of name servers: the file itself is replaced when the host changes networks. NULL: the
 * host has none. */
static const char *resolver_folder(char path[PATH_MAX])
{
	return realpath("/etc/resolv.conf", path) ? dirname(path) : NULL;
}

/* The folder that the guest reads by TFTP: libslirp opens its files only when they are asked for. */
static void check_tftp(const char *folder)
{
	char msg[PATH_MAX + 128];
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return;
	}
	snprintf(msg, sizeof(msg), "tftp=%s cannot be read with the helper's rights (root's helper has nobody's): %s",
		 folder, strerror(errno));
	refuse(msg);
}

static void confine(const char *tftp, bool stay)
{
	char path[PATH_MAX], *resolver = (char *)(uintptr_t)resolver_folder(path);
	const char *readable[] = { resolver ? resolver : tftp, resolver ? tftp : NULL, NULL };
	struct sandbox_config cfg = { .kind = SANDBOX_NET, .violation = SANDBOX_DENY };
	struct err e;

	sandbox_leave_root();
	if (!stay) /* after the change of user, which clears it */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tftp)
		check_tftp(tftp);
	/* without Landlock it is the user's rights that keep files away */
	if (readable[0] && sandbox_landlock_abi())
		cfg.read_paths = readable;
	if (sandbox_enter(&cfg, &e) < 0)
		refuse(e.text);
}

int main(int argc, char **argv)
{
	static const SlirpConfig defaults = { .version = 1, .in_enabled = true };
	struct helper *h = calloc(1, sizeof(*h));
	SlirpConfig cfg = defaults;
	const char *forward[FORWARD_MAX];
	unsigned forwards = 0;
	bool sandbox = true, stay = false;
	const char *tftp = NULL;
	char tftp_path[PATH_MAX];

	if (!h)
		return 1;
	list_init(&h->timers);
	cfg.vnetwork.s_addr = inet_addr("10.0.2.0");
	cfg.vnetmask.s_addr = inet_addr("255.255.255.0");
	cfg.vhost.s_addr = inet_addr("10.0.2.2");
	cfg.vdhcp_start.s_addr = inet_addr("10.0.2.15");
	cfg.vnameserver.s_addr = inet_addr("10.0.2.3");
	for (int n = 1; n < argc; n++) {
		if (!strcmp(argv[n], "--restrict"))
			cfg.restricted = 1;
		else if (!strcmp(argv[n], "--no-dns"))
			cfg.vnameserver.s_addr = inet_addr("10.0.2.2");
		else if (!strcmp(argv[n], "--stay")) /* longer than who started it, as long as its socket */
			stay = true;
		else if (!strcmp(argv[n], "--no-sandbox"))
			sandbox = false;
		else if (!strcmp(argv[n], "--tftp") && n + 1 < argc)
			tftp = argv[++n];
		else if (!strcmp(argv[n], "--bootfile") && n + 1 < argc)
			cfg.bootfile = argv[++n];
		else if (!strcmp(argv[n], "--forward") && n + 1 < argc && forwards < FORWARD_MAX)
			forward[forwards++] = argv[++n];
		else
			refuse("the helper does not know one of its arguments");
	}
	if (!stay)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (cfg.bootfile && strlen(cfg.bootfile) > BOOTFILE_MAX)
		refuse("bootfile= is longer than DHCP's 127 characters");
	cfg.tftp_path = tftp ? realpath(tftp, tftp_path) : NULL;
	if (tftp && !cfg.tftp_path)
		check_tftp(tftp);
	h->slirp = slirp_new(&cfg, &callbacks, h);
	if (!h->slirp)
		refuse("libslirp refuses the network 10.0.2.0/24");
	for (unsigned n = 0; n < forwards; n++)
		add_forward(h, forward[n]);
	if (sandbox)
		confine(cfg.tftp_path, stay);
	say("ok\n");
	close(WORD);
	run(h);
	slirp_cleanup(h->slirp);
	free(h);
	_exit(0); /* what a sanitizer's runtime does at a usual end is forbidden by now */
}
