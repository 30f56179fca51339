/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Confinement of panal-vmm and of its helpers: what a guest that breaks out of its devices still cannot do.
 *
 * Three layers: no_new_privs, Landlock (which files may still be opened by name; none unless named), and a seccomp
 * allow-list of system calls. The list is in filter.c, each permission with its reason on its own line.
 *
 * Enter before threads are made where possible: seccomp is put on all threads of the process, Landlock (before a
 * kernel that can do otherwise) on the calling thread and on those that it makes afterwards.
 */
#ifndef PANAL_SANDBOX_SANDBOX_H
#define PANAL_SANDBOX_SANDBOX_H

#include "base/err.h"

/* Whose system calls. PROCESS is what all threads together need; the others narrow the calling thread further. */
enum sandbox_kind {
	SANDBOX_PROCESS,
	SANDBOX_VCPU, /* runs guest code and the devices that it touches */
	SANDBOX_IO,   /* an I/O loop */
	SANDBOX_NET,  /* the process of user networking, whose forwarded ports are open already */
	SANDBOX_READER, /* a process that parses what its descriptors give it, and nothing else */
};

/* What a forbidden call does. */
enum sandbox_violation {
	SANDBOX_DENY, /* fails with EPERM */
	SANDBOX_KILL, /* ends the process with SIGSYS; opening a file still only fails */
	SANDBOX_LOG,  /* goes through and is written to the kernel's audit log: for finding what is missing */
};

struct sandbox_config {
	enum sandbox_kind kind;
	enum sandbox_violation violation;
	/* Files and directories that may still be opened by name, NULL-terminated; NULL: none. For whole processes:
	 * PROCESS, and NET, which only reads. */
	const char *const *read_paths;
	const char *const *write_paths;
	/* Files that may be removed by name at the end: sockets that this process made. NULL-terminated, or NULL.
	 * Landlock knows directories only: it is removal in their directories that stays allowed. */
	const char *const *remove_paths;
	/* Unix sockets may be made and connected: virtio-vsock, whose guest chooses when. */
	bool unix_sockets;
	/* Executable memory may be made: the soft CPU's translations. Off is for KVM with assist=off. */
	bool exec_memory;
};

/*
 * Irreversible. Errors: -ENOTSUP (no seccomp in this kernel; the message has the remedy), or what the kernel says.
 * A kernel without Landlock is no error: the seccomp list then forbids opening files unless paths are named, and with
 * paths named -ENOTSUP is returned, because the list alone cannot tell them apart.
 */
int sandbox_enter(const struct sandbox_config *cfg, struct err *e) ATTR_MUST_USE;

/* Root becomes nobody, with nobody's groups: for helpers that need no right of root's from here on. Where there is no
 * such user (some containers) nothing changes, and the sandbox has to do. */
void sandbox_leave_root(void);

/* The kernel's Landlock ABI, 0 when it has none. */
int sandbox_landlock_abi(void);

#endif
