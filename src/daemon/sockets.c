/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sockets.h"

#include "daemon/rpc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_PASSED_FD = 3, PASSED_MAX = 16, BACKLOG = 128, SERVED_TRIES = 25, SERVED_PAUSE_MS = 20 };

static const char *const names[] = {"libvirt-sock", "virtqemud-sock", "virtpanald-sock"};

/* A child of a daemon that was killed holds its sockets until its exec; who began to listen is gone. */
static bool is_orphan(int fd)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid > 0 && kill(who.pid, 0) < 0 &&
	       errno == ESRCH;
}

/* Whether somebody listens; what a dead one left is removed. */
static bool is_served(const struct sockaddr_un *sa)
{
	int ret = 0;

	for (unsigned n = 0; n < SERVED_TRIES && ret == 0; n++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0)
			return false;
		ret = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno != EAGAIN ? -errno : 0;
		if (ret == 0 && is_orphan(fd))
			ret = -ECONNREFUSED;
		close(fd);
		if (ret == 0)
			poll(NULL, 0, SERVED_PAUSE_MS);
	}
	if (ret == -ECONNREFUSED)
		unlink(sa->sun_path);
	return ret == 0;
}

static int bind_path(int fd, const char *path, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket path %s is longer than %zu bytes", path,
			       sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	if (is_served(&sa))
		return err_set(e, -EADDRINUSE, "another daemon serves %s; stop it first (systemctl stop libvirtd "
				"libvirtd.socket virtqemud virtqemud.socket)", path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_errno(e, errno, "cannot make the socket %s", path);
	return 0;
}

/* Root's group libvirt may command machines, as administrators know it; everybody may look. */
static void set_access(const char *path, bool read_only, enum sockets_kind kind)
{
	const struct group *g = kind == SOCKETS_GROUP ? getgrnam("libvirt") : NULL;

	if (kind == SOCKETS_ALL)
		read_only = true; /* everybody may come and is asked who it is */
	if (!read_only && g && geteuid() == 0 && chown(path, 0, g->gr_gid) < 0)
		return;
	if (chmod(path, read_only ? 0777 : g && geteuid() == 0 ? 0770 : 0700) < 0)
		return; /* it stays as narrow as the umask made it */
}

static int listen_at(struct server *s, const char *dir, const char *name, bool read_only,
		     enum sockets_kind kind, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;
	char path[PATH_MAX];
	mode_t old;

	if (fd < 0)
		return err_errno(e, errno, "cannot create a socket");
	snprintf(path, sizeof(path), "%s/%s%s", dir, name, read_only ? "-ro" : "");
	old = umask(0177);
	ret = bind_path(fd, path, e);
	umask(old);
	if (ret == 0) {
		set_access(path, read_only, kind);
		if (listen(fd, BACKLOG) < 0)
			ret = err_errno(e, errno, "cannot listen on %s", path);
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return server_listen(s, fd, read_only, e);
}

/* A socket's own name says whether it is a read-only one. */
static bool is_read_only(int fd)
{
	struct sockaddr_un sa = { 0 };
	socklen_t len = sizeof(sa) - 1;
	size_t end;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 || sa.sun_family != AF_UNIX)
		return false;
	end = strlen(sa.sun_path);
	return end > 3 && !strcmp(sa.sun_path + end - 3, "-ro");
}

/* sd_listen_fds(3): the number of descriptors from 3 on, meant for this process. */
static int passed_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int count = pid && fds && atoi(pid) == getpid() ? atoi(fds) : 0;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return count < 0 || count > PASSED_MAX ? 0 : count;
}

static int take_passed(struct server *s, int fd, struct err *e)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_PASSED_FD + PASSED_MAX);

	if (own < 0)
		return err_errno(e, errno, "cannot use the socket %d of the service manager", fd);
	close(fd);
	return server_listen(s, own, is_read_only(own), e);
}

int sockets_open(struct server *s, const char *dir, enum sockets_kind kind, bool *made, struct err *e)
{
	int passed = passed_count(), ret = 0;

	*made = false;
	for (int n = 0; ret == 0 && n < passed; n++)
		ret = take_passed(s, FIRST_PASSED_FD + n, e);
	if (passed || ret < 0)
		return ret;
	for (unsigned n = 0; ret == 0 && n < COUNT_OF(names); n++) {
		ret = listen_at(s, dir, names[n], false, kind, e);
		if (ret == 0 && kind != SOCKETS_OWN)
			ret = listen_at(s, dir, names[n], true, kind, e);
	}
	*made = ret == 0;
	return ret;
}

void sockets_remove(const char *dir)
{
	char path[PATH_MAX];

	for (unsigned n = 0; n < COUNT_OF(names); n++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[n]);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s-ro", dir, names[n]);
		unlink(path);
	}
}
