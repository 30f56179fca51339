/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client/place.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { START_TRIES = 250, START_PAUSE_MS = 20 };

static const char socket_name[] = "virtpanald-sock";

static const char *default_uri(void)
{
	const char *own = getenv("PANAL_URI"), *libvirt = getenv("LIBVIRT_DEFAULT_URI");

	if (own && *own)
		return own;
	if (libvirt && *libvirt)
		return libvirt;
	return geteuid() == 0 ? "qemu:///system" : "qemu:///session";
}

static int set_path(struct place *p, struct err *e)
{
	const char *base = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	int len;

	if (p->system)
		len = snprintf(p->path, sizeof(p->path), "/run/libvirt/%s", socket_name);
	else if (base && base[0] == '/')
		len = snprintf(p->path, sizeof(p->path), "%s/libvirt/%s", base, socket_name);
	else
		len = snprintf(p->path, sizeof(p->path), "%s/.cache/libvirt/%s", home ? home : "/nonexistent",
			       socket_name);
	return len < (int)sizeof(p->path) ? 0 : err_set(e, -ENAMETOOLONG, _("the path of the socket is too long"));
}

int place_find(struct place *p, const char *uri, struct err *e)
{
	const char *query, *name;
	size_t len;

	*p = (struct place){ 0 };
	uri = uri ? uri : default_uri();
	name = strstr(uri, ":///");
	if (!name || (strncmp(uri, "qemu:", 5) && strncmp(uri, "qemu+unix:", 10)))
		return err_set(e, -EINVAL, _("%s is not an address of panald; qemu:///system and qemu:///session are"),
			       uri);
	name += 4;
	query = strchr(name, '?');
	len = query ? (size_t)(query - name) : strlen(name);
	p->system = len == 6 && !strncmp(name, "system", len);
	if (!p->system && (len != 7 || strncmp(name, "session", len)))
		return err_set(e, -EINVAL, _("%s names neither qemu:///system nor qemu:///session"), uri);
	if (!query)
		return set_path(p, e);
	if (strncmp(query, "?socket=", 8) || strlen(query + 8) >= sizeof(p->path))
		return err_set(e, -EINVAL, _("of %s only ?socket=PATH is understood"), uri);
	strcpy(p->path, query + 8);
	p->named = true;
	return 0;
}

static int try_connect(const struct place *p)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	memcpy(sa.sun_path, p->path, sizeof(sa.sun_path));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* panald lies beside this program, or where it was installed. */
static void daemon_path(char *out, size_t size)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = 0;
		snprintf(out, size, "%s/panald", dirname(self));
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, size, "%s/panald", PANAL_SBINDIR);
}

/* Twice forked: the daemon is nobody's child and has no terminal. What it says of itself goes to its own log only when
 * it has one; a failure shows as a socket that does not come. */
static void start_daemon(void)
{
	char path[PATH_MAX];
	pid_t pid;
	int null;

	daemon_path(path, sizeof(path));
	pid = fork();
	if (pid != 0)
		return;
	null = open("/dev/null", O_RDWR);
	setsid();
	if (fork() != 0)
		_exit(0);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	execl(path, "panald", "--session", (char *)NULL);
	_exit(127);
}

static int explain(const struct place *p, int ret, struct err *e)
{
	if (ret == -EACCES || ret == -EPERM)
		return err_set(e, ret, _("you may not use %s; join the group libvirt, or use your own instance "
			       "(--connect qemu:///session)"), p->path);
	if (p->system && !p->named)
		return err_set(e, ret, _("panald does not run (%s: %s); start it: systemctl start panald.socket"),
			       p->path, strerror(-ret));
	if (!p->named)
		return err_set(e, ret, _("your own panald could not be started (%s: %s); run panald --session to see "
			       "why"),
			       p->path, strerror(-ret));
	return err_set(e, ret, _("no panald answers at %s: %s"), p->path, strerror(-ret));
}

int place_connect(const struct place *p, struct err *e)
{
	int fd = try_connect(p);

	if ((fd == -ENOENT || fd == -ECONNREFUSED) && !p->system && !p->named) {
		start_daemon();
		for (unsigned n = 0; n < START_TRIES && fd < 0; n++) {
			poll(NULL, 0, START_PAUSE_MS);
			fd = try_connect(p);
		}
	}
	return fd < 0 ? explain(p, fd, e) : fd;
}
