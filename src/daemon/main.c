/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panald: options, places, sockets, run; what it all means is in the rooms. It stays in the foreground. */
#include "base/fd.h"
#include "base/log.h"
#include "core/loop.h"
#include "daemon/access/access.h"
#include "daemon/daemon.h"
#include "daemon/domain/domain.h"
#include "daemon/network/network.h"
#include "daemon/remote/events.h"
#include "daemon/remote/remote.h"
#include "daemon/rpc/server.h"
#include "daemon/sockets.h"
#include "daemon/storage/secret.h"
#include "daemon/storage/storage.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_TROUBLE = 1, EXIT_USAGE = 2 };

struct program {
	struct daemon d;
	struct loop_fd *signals;
	int signal_fd, lock_fd;
	bool help, version, procedures, made_sockets;
};

/* ---- options ---- */

static const struct option_row {
	const char *name, *value;
	size_t offset; /* of the directory in struct daemon */
	const char *help;
} options[] = {
	{"--session", NULL, 0, "the user's own instance (the default for all but root)"},
	{"--config", "DIR", offsetof(struct daemon, config_dir), "where definitions are kept"},
	{"--run", "DIR", offsetof(struct daemon, run_dir), "where running machines are noted"},
	{"--log", "DIR", offsetof(struct daemon, log_dir), "where machines write their messages"},
	{"--sockets", "DIR", offsetof(struct daemon, socket_dir), "where clients find the sockets"},
	{"--images", "DIR", offsetof(struct daemon, images_dir),
	 "directory of the storage pool \"default\", when it is made at the first start"},
	{"--cgroup", "DIR", offsetof(struct daemon, cgroup_dir),
	 "a cgroup of version 2 that is ours: machines get theirs below it (the system instance looks for the mount)"},
	{"--auth", "HOW", 0, "who may command machines: group (root and the group libvirt) or polkit (whom it allows)"},
	{"--tls", "ADDRESS:PORT", 0, "listen for clients with certificates; libvirt's port is 16514"},
	{"--tls-name", "PATTERN", 0, "let in those whose certificate's name matches; may be repeated"},
	{"--tls-sasl", NULL, 0, "have clients of TLS give a name and password, too"},
	{"--pki", "DIR", 0, "where the certificates are (/etc/pki)"},
	{"--tcp", "ADDRESS:PORT", 0, "listen for clients with SASL that encrypts; libvirt's port is 16509"},
	{"--procedures", NULL, 0, "print the procedures of libvirt's protocol as a table, and which are there"},
	{"--version", NULL, 0, "print the version"},
	{"--help", NULL, 0, "print this"},
};

static const struct option_row *find_option(const char *name)
{
	for (unsigned n = 0; n < COUNT_OF(options); n++)
		if (!strcmp(options[n].name, name))
			return &options[n];
	return NULL;
}

static int set_dir(struct daemon *d, const struct option_row *o, const char *value, struct err *e)
{
	if (value[0] != '/' || strlen(value) >= sizeof(d->run_dir))
		return err_set(e, -EINVAL, "%s needs a directory's path from the root, not %s", o->name, value);
	strcpy((char *)d + o->offset, value);
	return 0;
}

static int set_access(struct access_config *a, const char *option, const char *value, struct err *e)
{
	if (!strcmp(option, "--tls")) {
		a->tls = value;
	} else if (!strcmp(option, "--tcp")) {
		a->tcp = value;
	} else if (!strcmp(option, "--pki")) {
		a->pki = value;
	} else if (!strcmp(option, "--tls-name")) {
		if (a->name_count == COUNT_OF(a->name))
			return err_set(e, -E2BIG, "more than %u patterns of names", a->name_count);
		a->name[a->name_count++] = value;
	} else {
		if (strcmp(value, "polkit") && strcmp(value, "group"))
			return err_set(e, -EINVAL, "--auth is group or polkit, not %s", value);
		a->polkit = !strcmp(value, "polkit");
	}
	return 0;
}

static int parse(struct program *p, int argc, char **argv, struct err *e)
{
	p->d.session = geteuid() != 0;
	for (int n = 1; n < argc; n++) {
		const struct option_row *o = find_option(argv[n]);
		int ret = 0;

		if (!o)
			return err_set(e, -EINVAL, "unknown option %s; --help lists them", argv[n]);
		if (o->value)
			ret = ++n >= argc ? err_set(e, -EINVAL, "%s needs a value: %s", o->name, o->value) :
			      o->offset   ? set_dir(&p->d, o, argv[n], e) :
					    set_access(&p->d.access, o->name, argv[n], e);
		if (ret < 0)
			return ret;
		p->d.access.tls_sasl |= !strcmp(o->name, "--tls-sasl");
		p->d.session |= !strcmp(o->name, "--session");
		p->version |= !strcmp(o->name, "--version");
		p->procedures |= !strcmp(o->name, "--procedures");
		p->help |= !strcmp(o->name, "--help");
	}
	return 0;
}

static void help(void)
{
	puts("usage: panald [options]\n");
	for (unsigned n = 0; n < COUNT_OF(options); n++)
		printf("  %s %s\n        %s\n", options[n].name, options[n].value ? options[n].value : "",
		       options[n].help);
}

static const char *access_name(const struct proc *p)
{
	static const char *const names[] = {[PROC_ANY] = "anybody", [PROC_READ] = "readers", [PROC_WRITE] = "writers",
		[PROC_EVENT] = "event"};

	return names[p->access];
}

/* Of events the server sends what happens; which do, the table does not know. */
static int print_procedures(struct program *p, struct err *e)
{
	struct server_config cfg = { .opaque = &p->d };
	unsigned there = 0;
	int ret = loop_create(&p->d.loop, NULL, e);

	cfg.loop = p->d.loop;
	if (ret == 0)
		ret = server_create(&p->d.server, &cfg, e);
	if (ret < 0)
		return ret;
	remote_register(p->d.server);
	puts("| number | procedure | tier | who | there | arguments | answer |\n|---|---|---|---|---|---|---|");
	for (uint32_t n = 1; n <= PROC_COUNT; n++) {
		const struct proc *proc = proc_by_number(n);
		bool has = server_has(p->d.server, proc);

		there += has;
		printf("| %u | %s | %d | %s | %s | %s%s%s | %s%s%s |\n", n, proc->name, proc->tier, access_name(proc),
		       has ? "yes" : "", *proc->args ? "`" : "", proc->args, *proc->args ? "`" : "",
		       *proc->ret ? "`" : "", proc->ret, *proc->ret ? "`" : "");
	}
	printf("\n%u of the procedures are there.\n", there);
	printf("\nOf the program beside it that is about the hypervisor, one: virDomainQemuAgentCommand (3).\n");
	return 0;
}

/* ---- places ---- */

/* `variable`, or below the home directory when it is not set. */
static void user_dir(char *out, size_t size, const char *variable, const char *below_home, const char *name)
{
	const char *base = getenv(variable), *home = getenv("HOME");

	if (out[0])
		return;
	if (base && base[0] == '/')
		snprintf(out, size, "%s/%s", base, name);
	else
		snprintf(out, size, "%s/%s/%s", home ? home : "/nonexistent", below_home, name);
}

static void default_dir(char *out, size_t size, const char *path)
{
	if (!out[0])
		snprintf(out, size, "%s", path);
}

static void set_places(struct daemon *d)
{
	const size_t size = sizeof(d->run_dir);

	if (d->session) {
		user_dir(d->config_dir, size, "XDG_CONFIG_HOME", ".config", "panal");
		user_dir(d->run_dir, size, "XDG_RUNTIME_DIR", ".cache", "panal");
		user_dir(d->socket_dir, size, "XDG_RUNTIME_DIR", ".cache", "libvirt");
		user_dir(d->log_dir, size, "XDG_STATE_HOME", ".local/state", "panal");
		user_dir(d->images_dir, size, "XDG_DATA_HOME", ".local/share", "libvirt/images");
		return;
	}
	/* Another instance would take this one's machines for leftovers. */
	default_dir(d->cgroup_dir, size, d->run_dir[0] ? "none" : "auto");
	default_dir(d->config_dir, size, "/etc/panal");
	default_dir(d->run_dir, size, "/run/panal");
	default_dir(d->socket_dir, size, "/run/libvirt");
	default_dir(d->log_dir, size, "/var/log/panal");
	default_dir(d->images_dir, size, "/var/lib/libvirt/images");
}

/* The directory and those above it. */
static int make_dir(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path + 1, '/');; p = strchr(p + 1, '/')) {
		size_t len = p ? (size_t)(p - path) : strlen(path);

		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		if (mkdir(part, p ? 0755 : mode) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make the directory %s", part);
		if (!p)
			return 0;
	}
}

static int make_places(struct program *p, struct err *e)
{
	struct daemon *d = &p->d;
	char path[PATH_MAX];
	int ret = make_dir(d->config_dir, 0700, e);

	if (ret == 0)
		ret = make_dir(d->run_dir, 0700, e);
	if (ret == 0)
		ret = make_dir(d->log_dir, 0700, e);
	if (ret == 0)
		ret = make_dir(d->socket_dir, 0755, e);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "%s/panald.lock", d->run_dir);
	p->lock_fd = fd_open(path, O_RDWR | O_CREAT, 0600, e);
	if (p->lock_fd < 0)
		return p->lock_fd;
	/* A record lock is this process's alone: a child that has not come to its exec yet does not keep it. */
	if (fcntl(p->lock_fd, F_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET }) < 0)
		return err_set(e, -EBUSY, "another panald runs on %s", d->run_dir);
	store_clean(d->run_dir);
	return 0;
}

/* panal-vmm lies beside this program, or where it was installed. */
static void find_programs(struct daemon *d)
{
	char self[PATH_MAX], probe[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(d->program_dir, sizeof(d->program_dir), "%s", PANAL_BINDIR);
	if (len <= 0)
		return;
	self[len] = 0;
	snprintf(probe, sizeof(probe), "%s/panal-vmm", dirname(self));
	if (access(probe, X_OK) == 0 && strlen(self) < sizeof(d->program_dir))
		strcpy(d->program_dir, self);
}

/* ---- run ---- */

static void on_signal(void *opaque, int fd, unsigned events)
{
	struct program *p = opaque;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		loop_stop(p->d.loop);
}

static int watch_signals(struct program *p, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(e, errno, "cannot block signals");
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return err_errno(e, errno, "cannot make a signal descriptor");
	return loop_fd_add(p->d.loop, p->signal_fd, LOOP_READ, on_signal, p, &p->signals, e);
}

static enum sockets_kind sockets_kind(const struct daemon *d)
{
	return d->session ? SOCKETS_OWN : d->polkit ? SOCKETS_ALL : SOCKETS_GROUP;
}

static int start(struct program *p, struct err *e)
{
	struct daemon *d = &p->d;
	const struct domain_watcher watcher = remote_watcher(d);
	const struct network_watcher network_watcher = remote_network_watcher(d);
	const struct storage_watcher storage_watcher = remote_storage_watcher(d);
	const struct secret_watcher secret_watcher = remote_secret_watcher(d);
	int ret = loop_create(&d->loop, NULL, e);

	if (ret == 0)
		ret = watch_signals(p, e);
	if (ret == 0)
		ret = make_places(p, e);
	if (ret < 0)
		return ret;
	ret = server_create(&d->server, &(struct server_config){ d->loop, access_admit, access_authorize, d }, e);
	if (ret < 0)
		return ret;
	remote_register(d->server);
	ret = networks_create(&d->networks, d, &network_watcher, e);
	if (ret < 0)
		return ret;
	networks_load(d->networks); /* before the machines, which are plugged into them */
	ret = storage_create(&d->storage, d, &storage_watcher, e);
	if (ret == 0)
		ret = storage_load(d->storage, e);
	if (ret == 0)
		ret = secrets_create(&d->secrets, d, &secret_watcher, e);
	if (ret == 0)
		ret = domains_create(&d->domains, d, &watcher, e);
	if (ret == 0)
		ret = domains_load(d->domains, e);
	if (ret < 0)
		return ret;
	ret = access_open(d, e);
	if (ret < 0)
		return ret;
	return sockets_open(d->server, d->socket_dir, sockets_kind(d), &p->made_sockets, e);
}

static void stop(struct program *p)
{
	if (p->made_sockets)
		sockets_remove(p->d.socket_dir);
	domains_destroy(p->d.domains);
	usernets_free(&p->d.usernets);
	networks_destroy(p->d.networks);
	storage_stop(p->d.storage);
	server_destroy(p->d.server);
	storage_destroy(p->d.storage);
	secrets_destroy(p->d.secrets);
	access_close(&p->d);
	loop_fd_remove(p->signals);
	fd_close(&p->signal_fd);
	fd_close(&p->lock_fd);
	if (p->d.loop)
		loop_destroy(p->d.loop);
}

int main(int argc, char **argv)
{
	struct program p = { .signal_fd = -1, .lock_fd = -1 };
	struct err e = { 0 };
	int status = 0;

	list_init(&p.d.consoles.open);
	usernets_init(&p.d.usernets);
	if (parse(&p, argc, argv, &e) < 0) {
		log_line(LOG_ERROR, "%s", e.text);
		return EXIT_USAGE;
	}
	if (p.help || p.version) {
		if (p.help)
			help();
		else
			puts("panald " PANAL_VERSION);
		return 0;
	}
	if (p.procedures) {
		status = print_procedures(&p, &e) < 0 ? EXIT_TROUBLE : 0;
		stop(&p);
		return status;
	}
	umask(0022);
	set_places(&p.d);
	find_programs(&p.d);
	if (start(&p, &e) < 0) {
		log_line(LOG_ERROR, "%s", e.text);
		status = EXIT_TROUBLE;
	} else {
		loop_run(p.d.loop);
	}
	stop(&p);
	return status;
}
