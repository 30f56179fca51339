/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Source: the kernel's Documentation/userspace-api/landlock.rst. Numbers here where Debian 12's header ends early. */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Every right of a file system that an ABI knows: bits 0 to n-1. */
static const uint8_t fs_rights[] = { [0] = 0, [1] = 13, [2] = 14, [3] = 15, [4] = 15, [5] = 16 };

enum {
	NET_BIND_TCP = 1 << 0, /* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
	FS_IOCTL_DEV = 1 << 15,              /* ABI 5 */
	FS_TRUNCATE = 1 << 14,               /* ABI 3 */
};

/* The kernel's struct as of ABI 6; older kernels are given its beginning. */
struct ruleset {
	uint64_t fs, net, scoped;
};

int sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi > 0 ? (int)abi : 0;
}

static uint64_t all_rights(int abi)
{
	unsigned known = (unsigned)abi < COUNT_OF(fs_rights) ? (unsigned)abi : COUNT_OF(fs_rights) - 1;
	return (UINT64_C(1) << fs_rights[known]) - 1;
}

static size_t ruleset_size(int abi)
{
	return abi >= 6   ? sizeof(struct ruleset)
	       : abi >= 4 ? offsetof(struct ruleset, scoped)
			  : offsetof(struct ruleset, net);
}

static int allow(int ruleset, const char *path, uint64_t rights, struct err *e)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "sandbox: %s", path);
	struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
	int r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	/* what only directories have is refused for a file */
	if (r < 0 && errno == EINVAL) {
		rule.allowed_access &=
			LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
		r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	if (r < 0)
		r = err_errno(e, errno, "sandbox: Landlock refuses %s", path);
	close(fd);
	return r;
}

static int allow_all(int ruleset, const char *const *paths, uint64_t rights, struct err *e)
{
	int r = 0;
	for (; r == 0 && paths && *paths; paths++)
		r = allow(ruleset, *paths, rights, e);
	return r;
}

/* The directory that holds each path. */
static int allow_removal(int ruleset, const char *const *paths, struct err *e)
{
	int r = 0;
	for (; r == 0 && paths && *paths; paths++) {
		char copy[PATH_MAX];
		if (snprintf(copy, sizeof(copy), "%s", *paths) >= (int)sizeof(copy))
			return err_set(e, -ENAMETOOLONG, "sandbox: %s is too long", *paths);
		r = allow(ruleset, dirname(copy), LANDLOCK_ACCESS_FS_REMOVE_FILE, e);
	}
	return r;
}

static int rules(int ruleset, const struct sandbox_config *cfg, int abi, struct err *e)
{
	uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	/* no executing, and no device nodes, wherever it is */
	uint64_t write = all_rights(abi) & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
						       LANDLOCK_ACCESS_FS_MAKE_BLOCK);
	int r = allow_all(ruleset, cfg->read_paths, read, e);
	if (r == 0)
		r = allow_all(ruleset, cfg->write_paths, write, e);
	if (r == 0)
		r = allow_removal(ruleset, cfg->remove_paths, e);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = err_errno(e, errno, "sandbox: Landlock refuses to begin");
	return r;
}

int landlock_enter(const struct sandbox_config *cfg, struct err *e)
{
	int abi = sandbox_landlock_abi();
	if (abi == 0) {
		if (cfg->read_paths || cfg->write_paths)
			return err_set(e, -ENOTSUP,
				       "sandbox: files are to stay reachable by name, but this kernel has no Landlock "
				       "to keep the "
				       "others away: boot it with lsm=landlock,..., or switch the sandbox off");
		return 0;
	}
	struct ruleset set = {
		.fs = all_rights(abi),
		/* user networking connects wherever the guest wants to; it opens no port any more */
		.net = cfg->kind == SANDBOX_NET ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP,
		.scoped = SCOPE_ABSTRACT_UNIX_SOCKET,
	};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &set, ruleset_size(abi), 0);
	if (fd < 0)
		return err_errno(e, errno, "sandbox: Landlock refuses a rule set");
	int r = rules(fd, cfg, abi, e);
	close(fd);
	return r;
}
