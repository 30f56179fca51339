/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pty(7), devpts; that the master's poll says POLLHUP while the terminal is closed is Linux's own (tty_io.c, n_tty.c:
 * TTY_OTHER_CLOSED, set by the first close). */
#include "core/pty.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

enum { NAME_BYTES = 64, DISCARD_ROUNDS = 16, CHUNK = 4096 };

/* Raw: bytes pass as they are. Opened and closed once, so that from now on the master knows whether it is open. */
static int make_raw(const char *name)
{
	struct termios t;
	int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &t) < 0) {
		ret = -errno;
	} else {
		cfmakeraw(&t);
		ret = tcsetattr(fd, TCSANOW, &t) < 0 ? -errno : 0;
	}
	close(fd);
	return ret;
}

static int watch(struct pty *p, const char *name)
{
	p->opened_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return p->opened_fd < 0 || inotify_add_watch(p->opened_fd, name, IN_OPEN) < 0 ? -errno : 0;
}

static int name_it(struct pty *p, const char *name, const char *link)
{
	if (unlink(link) < 0 && errno != ENOENT)
		return -errno;
	p->link = symlink(name, link) == 0 ? strdup(link) : NULL;
	return p->link ? 0 : -errno;
}

static int make(struct pty *p, const char *link)
{
	char name[NAME_BYTES];
	int ret;

	p->master_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->master_fd < 0 || grantpt(p->master_fd) < 0 || unlockpt(p->master_fd) < 0)
		return -errno;
	ret = -ptsname_r(p->master_fd, name, sizeof(name));
	if (ret == 0)
		ret = make_raw(name);
	if (ret == 0)
		ret = watch(p, name);
	return ret < 0 ? ret : name_it(p, name, link);
}

int pty_open(struct pty *p, const char *link, struct err *e)
{
	int ret;

	*p = PTY_NONE;
	ret = make(p, link);
	if (ret < 0) {
		pty_close(p);
		return err_errno(e, -ret, "cannot make a pseudo-terminal for %s", link);
	}
	return 0;
}

bool pty_in_use(const struct pty *p)
{
	struct pollfd f = { .fd = p->master_fd };

	return p->master_fd >= 0 && poll(&f, 1, 0) >= 0 && !(f.revents & POLLHUP);
}

void pty_opened(const struct pty *p)
{
	_Alignas(struct inotify_event) char events[sizeof(struct inotify_event) + NAME_MAX + 1];

	while (read(p->opened_fd, events, sizeof(events)) > 0)
		continue;
}

void pty_discard(const struct pty *p)
{
	uint8_t chunk[CHUNK];

	for (unsigned n = 0; n < DISCARD_ROUNDS && read(p->master_fd, chunk, sizeof(chunk)) > 0; n++)
		continue;
}

void pty_close(struct pty *p)
{
	if (p->link)
		unlink(p->link);
	free(p->link);
	fd_close(&p->master_fd);
	fd_close(&p->opened_fd);
	*p = PTY_NONE;
}
