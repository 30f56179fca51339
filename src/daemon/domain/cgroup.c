/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and their values are those of the kernel's Documentation/admin-guide/cgroup-v2.rst. */
#include "daemon/domain/cgroup.h"

#include "base/fd.h"
#include "base/log.h"
#include "daemon/domain/domain_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALUE_MAX = 64, LINE_MAX_BYTES = 4096 };

static const char mounts_file[] = "/proc/self/mountinfo", ours[] = "panal";

/* ---- files ---- */

static int put(const char *dir, const char *file, const char *value)
{
	char path[PATH_MAX];
	int fd, ret;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	ret = fd_write_all(fd, value, strlen(value));
	close(fd);
	return ret;
}

static int put_number(const char *dir, const char *file, long long value)
{
	char text[VALUE_MAX];

	snprintf(text, sizeof(text), "%lld", value);
	return put(dir, file, text);
}

static bool has(const char *dir, const char *file)
{
	char path[PATH_MAX];

	return (size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) < sizeof(path) && access(path, W_OK) == 0;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* ---- the place ---- */

/* Where cgroups of version 2 are mounted: the fields of proc_pid_mountinfo(5). False: they are not. */
static bool find_mount(char out[PATH_MAX])
{
	char line[LINE_MAX_BYTES], *kind;
	FILE *f = fopen(mounts_file, "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		kind = strstr(line, " - ");
		found = kind && !strncmp(kind, " - cgroup2 ", 11) && sscanf(line, "%*s %*s %*s %*s %4000s", out) == 1;
	}
	if (f)
		fclose(f);
	return found;
}

/* The kernel lets each controller be handed down that is there; the others fail, and then their files are not there. */
static void hand_down(const char *dir)
{
	static const char *const controllers[] = {"+cpu", "+memory", "+io", "+cpuset", "+pids"};

	for (unsigned n = 0; n < COUNT_OF(controllers); n++)
		if (put(dir, "cgroup.subtree_control", controllers[n]) < 0)
			continue;
}

void cgroups_open(struct domains *ds)
{
	const char *wanted = ds->daemon->cgroup_dir;
	char root[PATH_MAX];
	int ret;

	if (!wanted[0] || !strcmp(wanted, "none"))
		return;
	if (strcmp(wanted, "auto"))
		snprintf(root, sizeof(root), "%s", wanted);
	else if (!find_mount(root))
		return;
	ret = snprintf(ds->cgroups_dir, sizeof(ds->cgroups_dir), "%s/%s", root, ours);
	ret = (size_t)ret >= sizeof(ds->cgroups_dir) ? -ENAMETOOLONG : make_dir(ds->cgroups_dir);
	if (ret < 0) {
		log_line(LOG_WARNING, "machines have no cgroups, and so no limits: %s: %s", root, strerror(-ret));
		ds->cgroups_dir[0] = 0;
		return;
	}
	hand_down(root);
	hand_down(ds->cgroups_dir);
}

static bool machine_dir(const struct domain *d, char out[PATH_MAX])
{
	char uuid[37];

	xuuid_text(domain_uuid(d), uuid);
	snprintf(out, PATH_MAX, "%s/%s", d->all->cgroups_dir, uuid);
	return d->all->cgroups_dir[0];
}

/* ---- removing ---- */

static void remove_tree(const char *dir)
{
	DIR *all = opendir(dir);
	struct dirent *entry;

	while (all && (entry = readdir(all)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			unlinkat(dirfd(all), entry->d_name, AT_REMOVEDIR);
	if (all)
		closedir(all);
	if (rmdir(dir) < 0 && errno != ENOENT)
		return; /* its last process is not quite gone: it goes with the daemon's next start */
}

/* Helpers of the machine that outlive it have nothing to do any more. */
static void clear_out(const char *dir)
{
	if (put(dir, "cgroup.kill", "1") == 0)
		remove_tree(dir);
	remove_tree(dir);
}

void cgroups_clear(struct domains *ds)
{
	char path[PATH_MAX];
	struct dirent *entry;
	uint8_t uuid[16];
	DIR *all = ds->cgroups_dir[0] ? opendir(ds->cgroups_dir) : NULL;

	while (all && (entry = readdir(all))) {
		const struct domain *d;

		if (xuuid_parse(uuid, entry->d_name) < 0)
			continue;
		d = domain_by_uuid(ds, uuid);
		snprintf(path, sizeof(path), "%s/%.40s", ds->cgroups_dir, entry->d_name);
		if (!d || !d->machine)
			clear_out(path);
	}
	if (all)
		closedir(all);
}

void domain_cgroup_leave(struct domain *d)
{
	char dir[PATH_MAX];

	if (machine_dir(d, dir))
		clear_out(dir);
}

/* ---- values ---- */

/* "QUOTA PERIOD", in microseconds; a quota that is not there or is negative is none. */
static int put_quota(const char *dir, const char *quota, const struct xnum *period)
{
	long long q = quota ? strtoll(quota, NULL, 10) : -1, p = period->set ? (long long)period->v : 100000;
	char text[VALUE_MAX];

	if (q > 0)
		snprintf(text, sizeof(text), "%lld %lld", q, p);
	else
		snprintf(text, sizeof(text), "max %lld", p);
	return put(dir, "cpu.max", text);
}

static int put_kib(const char *dir, const char *file, const struct xnum *kib)
{
	return kib->set ? put_number(dir, file, (long long)kib->v * 1024) : put(dir, file, "max");
}

static int apply_cpu(const char *dir, const struct domdef *def)
{
	int ret = put_number(dir, "cpu.weight", def->cputune.shares.set ? (long long)def->cputune.shares.v : 100);

	return ret < 0 ? ret : put_quota(dir, def->cputune.global_quota, &def->cputune.global_period);
}

/* The limit of memory and swap together is one of swap alone here. */
static int apply_memory(const char *dir, const struct domdef *def)
{
	struct xnum swap = def->swap_hard_limit;
	int ret = put_kib(dir, "memory.max", &def->hard_limit);

	if (ret == 0)
		ret = put_kib(dir, "memory.high", &def->soft_limit);
	if (swap.set && def->hard_limit.set)
		swap.v = swap.v > def->hard_limit.v ? swap.v - def->hard_limit.v : 0;
	if (ret == 0 && (swap.set || has(dir, "memory.swap.max"))) /* a kernel without swap has no such file */
		ret = put_kib(dir, "memory.swap.max", &swap);
	return ret;
}

static int apply_io(const char *dir, const struct domdef *def)
{
	char text[VALUE_MAX];

	snprintf(text, sizeof(text), "default %llu",
		 def->blkio.weight.set ? (unsigned long long)def->blkio.weight.v : 100);
	return put(dir, has(dir, "io.weight") ? "io.weight" : "io.bfq.weight", text);
}

static int apply_nodes(const char *dir, const struct domdef *def)
{
	return put(dir, "cpuset.mems", def->numatune.nodeset ? def->numatune.nodeset : "");
}

static const struct part {
	enum cgroup_part part;
	const char *name, *file; /* a file that is there with its controller */
	int (*apply)(const char *dir, const struct domdef *def);
} parts[] = {
	{CGROUP_CPU, "CPU", "cpu.weight", apply_cpu},
	{CGROUP_MEMORY, "memory", "memory.max", apply_memory},
	{CGROUP_IO, "block I/O", "io.weight", apply_io},
	{CGROUP_NODES, "cpuset", "cpuset.mems", apply_nodes},
};

/* What the document says something of. */
static unsigned parts_of(const struct domdef *def)
{
	bool quota = def->cputune.quota || def->cputune.emulator_quota || def->cputune.global_quota;
	bool cpu = def->cputune.shares.set || quota;
	bool memory = def->hard_limit.set || def->soft_limit.set || def->swap_hard_limit.set;

	return (cpu ? CGROUP_CPU : 0) | (memory ? CGROUP_MEMORY : 0) | (def->blkio.weight.set ? CGROUP_IO : 0) |
	       (def->numatune.nodeset ? CGROUP_NODES : 0);
}

bool domain_cgroup_possible(const struct domain *d)
{
	return d->all->cgroups_dir[0];
}

bool domain_cgroup_has(const struct domain *d, enum cgroup_part part)
{
	char dir[PATH_MAX];

	for (unsigned n = 0; d->machine && machine_dir(d, dir) && n < COUNT_OF(parts); n++)
		if (parts[n].part == part)
			return has(dir, parts[n].file) || (part == CGROUP_IO && has(dir, "io.bfq.weight"));
	return false;
}

/* ---- threads ---- */

/* A threaded cgroup of that name; the machine's own hands the processor down. */
static int make_child(const char *dir, const char *name, char out[PATH_MAX])
{
	int ret;

	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	ret = make_dir(out);
	if (ret == 0)
		ret = put(out, "cgroup.type", "threaded");
	return ret < 0 ? ret : put(dir, "cgroup.subtree_control", "+cpu");
}

static int limit_vcpus(const struct domain *d, const char *dir)
{
	char child[PATH_MAX], name[32];
	int ret = 0;

	for (unsigned n = 0; n < d->vcpu_count && ret == 0; n++) {
		snprintf(name, sizeof(name), "vcpu%u", n);
		ret = make_child(dir, name, child);
		if (ret == 0)
			ret = put_quota(child, d->def->cputune.quota, &d->def->cputune.period);
		if (ret == 0 && d->vcpu_tid[n] > 0)
			ret = put_number(child, "cgroup.threads", d->vcpu_tid[n]);
	}
	return ret;
}

struct moving {
	const char *dir;
	int ret;
};

static int move_thread(void *opaque, pid_t tid)
{
	struct moving *m = opaque;
	int ret = put_number(m->dir, "cgroup.threads", tid);

	m->ret = ret < 0 && ret != -ESRCH ? ret : m->ret;
	return 0;
}

static int limit_rest(const struct domain *d, const char *dir)
{
	char child[PATH_MAX];
	struct moving m = { .dir = child };
	int ret = make_child(dir, "emulator", child);

	if (ret == 0)
		ret = put_quota(child, d->def->cputune.emulator_quota, &d->def->cputune.emulator_period);
	if (ret == 0)
		ret = domain_each_other_thread(d, move_thread, &m);
	return ret < 0 ? ret : m.ret;
}

/* Limits of threads are made when there are some; from then on they are changed. */
static int apply_threads(const struct domain *d, const char *dir)
{
	int ret = 0;

	if (d->def->cputune.quota || has(dir, "vcpu0/cpu.max"))
		ret = limit_vcpus(d, dir);
	if (ret == 0 && (d->def->cputune.emulator_quota || has(dir, "emulator/cpu.max")))
		ret = limit_rest(d, dir);
	return ret;
}

/* ---- the machine ---- */

int domain_cgroup_apply(struct domain *d, unsigned which, struct fault *f)
{
	char dir[PATH_MAX];
	int ret = 0;

	machine_dir(d, dir);
	for (unsigned n = 0; n < COUNT_OF(parts); n++) {
		if (!(which & parts[n].part))
			continue;
		if (!domain_cgroup_has(d, parts[n].part))
			return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR,
					 "cgroup %s controller is not mounted", parts[n].name);
		ret = parts[n].apply(dir, d->def);
		if (ret == 0 && parts[n].part == CGROUP_CPU)
			ret = apply_threads(d, dir);
		if (ret < 0)
			return fault_set(f, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot set the machine's %s limits: %s",
					 parts[n].name, strerror(-ret));
	}
	return 0;
}

void domain_cgroup_join(struct domain *d)
{
	unsigned wanted = parts_of(d->def);
	char dir[PATH_MAX];
	struct fault f;
	int ret;

	if (!machine_dir(d, dir)) {
		if (wanted)
			log_line(LOG_WARNING, "%s: its limits are not held to: there are no cgroups", domain_name(d));
		return;
	}
	ret = make_dir(dir);
	if (ret == 0)
		ret = put_number(dir, "cgroup.procs", machine_pid(d->machine));
	if (ret < 0)
		log_line(LOG_WARNING, "%s: it has no cgroup: %s: %s", domain_name(d), dir, strerror(-ret));
	for (unsigned part = 1; ret == 0 && part <= wanted; part <<= 1)
		if ((wanted & part) && domain_cgroup_apply(d, part, &f) < 0)
			log_line(LOG_WARNING, "%s: %s", domain_name(d), f.text);
}

void domain_cgroup_threads(struct domain *d)
{
	char dir[PATH_MAX];
	int ret = machine_dir(d, dir) && domain_cgroup_has(d, CGROUP_CPU) ? apply_threads(d, dir) : 0;

	if (ret < 0)
		log_line(LOG_WARNING, "%s: the limits of its threads cannot be set: %s", domain_name(d),
			 strerror(-ret));
}
