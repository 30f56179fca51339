/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which system calls remain. A call that is not in the tables is forbidden. Missing on purpose: execve and
 * every way to a new process, socket and connect, ptrace and reading other processes, mount and namespaces, modules,
 * bpf, perf, keys, new io_uring rings (operations of a ring that exists pass seccomp by; Landlock sees them), and
 * io_uring_register.
 */
#include "sandbox/filter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { P = 1 << SANDBOX_PROCESS, V = 1 << SANDBOX_VCPU, I = 1 << SANDBOX_IO, N = 1 << SANDBOX_NET };
enum { R = 1 << SANDBOX_READER };
enum { ALL = P | V | I, SOCK_TYPE = 0xf };

/* On an argument: (argument & mask) == value. Mask 0: none. */
struct condition {
	uint8_t arg;
	uint32_t mask, value;
};
enum { NO_ARG = 0xff };
#define ANY { NO_ARG, 0, 0 }
#define IOCTL(cmd) { 1, UINT32_MAX, (uint32_t)(cmd) }

struct permission {
	int call;
	uint8_t kinds;
	struct condition when, also; /* on different arguments */
};

static const struct permission table[] = {
	/* memory */
	{ SCMP_SYS(brk), ALL, ANY },                      /* malloc */
	{ SCMP_SYS(munmap), ALL, ANY },                   /* free of large blocks, ends of threads */
	{ SCMP_SYS(mremap), ALL, ANY },                   /* realloc of large blocks */
	{ SCMP_SYS(mincore), P, ANY },                    /* how much of the guest's memory there is: query-stats */
	{ SCMP_SYS(madvise), ALL, ANY },                  /* balloon, free page reporting, stacks of ended threads */
	{ SCMP_SYS(mmap), ALL, { 2, PROT_EXEC, 0 } },     /* malloc, stacks; executable: below, where asked for */
	{ SCMP_SYS(mprotect), ALL, { 2, PROT_EXEC, 0 } }, /* malloc's arenas, guard pages of stacks */
	{ SCMP_SYS(memfd_create), P | V, ANY },           /* code memory of the soft CPU, made when first needed */
	{ SCMP_SYS(ftruncate), ALL, ANY },                /* its size; raw images grow */
	{ SCMP_SYS(msync), P | I, ANY },                  /* mapped images */

	/* threads and their time */
	{ SCMP_SYS(futex), ALL, ANY }, /* mutexes, conditions */
	{ SCMP_SYS(clone),
	  ALL,
	  { 0, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD } }, /* new threads, never processes */
	{ SCMP_SYS(set_robust_list), ALL, ANY },                     /* a thread's beginning */
	{ SCMP_SYS(rseq), ALL, ANY },                                /* a thread's beginning */
	{ SCMP_SYS(set_tid_address), ALL, ANY },                     /* a thread's beginning */
	{ SCMP_SYS(exit), ALL, ANY },                                /* a thread's end */
	{ SCMP_SYS(exit_group), ALL, ANY },                          /* the process's end */
	{ SCMP_SYS(gettid), ALL, ANY },                              /* whom to kick */
	{ SCMP_SYS(getpid), ALL, ANY },                              /* whom to kick */
	{ SCMP_SYS(sched_yield), ALL, ANY },                         /* short waits */
	{ SCMP_SYS(sched_getaffinity), ALL, ANY },                   /* glibc: how many arenas */
	{ SCMP_SYS(clock_gettime), ALL, ANY },                       /* where the vDSO cannot */
	{ SCMP_SYS(clock_nanosleep), ALL, ANY },                     /* sleeping */
	{ SCMP_SYS(nanosleep), ALL, ANY },                           /* sleeping */
	{ SCMP_SYS(restart_syscall), ALL, ANY },                     /* sleeping on after a stop */
	{ SCMP_SYS(membarrier), ALL, ANY },                          /* the translator's code patching */
	{ SCMP_SYS(getcpu), ALL, ANY },                              /* glibc: sched_getcpu */

	/* signals */
	{ SCMP_SYS(rt_sigprocmask), ALL, ANY }, /* a thread's beginning; the kick signal */
	{ SCMP_SYS(rt_sigaction), ALL, ANY },   /* the soft CPU's faults; abort */
	{ SCMP_SYS(rt_sigreturn), ALL, ANY },   /* the end of every handler */
	{ SCMP_SYS(sigaltstack), ALL, ANY },    /* the soft CPU's faults */

	/* descriptors that are open already */
	{ SCMP_SYS(read), ALL, ANY },           /* eventfds, timers, chardevs, tap */
	{ SCMP_SYS(write), ALL, ANY },          /* eventfds, chardevs, tap, log lines */
	{ SCMP_SYS(readv), ALL, ANY },          /* tap */
	{ SCMP_SYS(writev), ALL, ANY },         /* tap */
	{ SCMP_SYS(pread64), ALL, ANY },        /* images without io_uring */
	{ SCMP_SYS(pwrite64), ALL, ANY },       /* images without io_uring */
	{ SCMP_SYS(preadv), ALL, ANY },         /* images without io_uring */
	{ SCMP_SYS(pwritev), ALL, ANY },        /* images without io_uring */
	{ SCMP_SYS(preadv2), ALL, ANY },        /* images without io_uring */
	{ SCMP_SYS(pwritev2), ALL, ANY },       /* images without io_uring */
	{ SCMP_SYS(fsync), ALL, ANY },          /* a guest's flush */
	{ SCMP_SYS(fdatasync), ALL, ANY },      /* a guest's flush */
	{ SCMP_SYS(fallocate), ALL, ANY },      /* discard and write-zeroes on images; discarded guest memory */
	{ SCMP_SYS(lseek), ALL, ANY },          /* sizes, holes */
	{ SCMP_SYS(fstat), ALL, ANY },          /* sizes; stdio */
	{ SCMP_SYS(newfstatat), P, ANY },       /* glibc's fstat is fstatat(fd, "") */
	{ SCMP_SYS(fcntl), ALL, ANY },          /* non-blocking, locks of images */
	{ SCMP_SYS(close), ALL, ANY },          /* the end of anything */
	{ SCMP_SYS(io_uring_enter), ALL, ANY }, /* images with io_uring; the ring exists already */

	/* waiting */
	{ SCMP_SYS(epoll_create1), P, ANY },     /* loops of devices that come later */
	{ SCMP_SYS(epoll_ctl), ALL, ANY },       /* loops */
	{ SCMP_SYS(epoll_wait), ALL, ANY },      /* loops */
	{ SCMP_SYS(epoll_pwait), ALL, ANY },     /* loops */
	{ SCMP_SYS(eventfd2), P | V, ANY },      /* queues that a guest activates */
	{ SCMP_SYS(timerfd_create), P, ANY },    /* loops of devices that come later */
	{ SCMP_SYS(timerfd_settime), ALL, ANY }, /* timers; a vCPU arms them too */
	{ SCMP_SYS(poll), ALL, ANY },            /* short waits for one descriptor */
	{ SCMP_SYS(ppoll), ALL, ANY },           /* short waits for one descriptor */

	/* sockets that are open already */
	{ SCMP_SYS(accept4), P, ANY },      /* control clients */
	{ SCMP_SYS(sendmsg), ALL, ANY },    /* network frames to the helper, control replies */
	{ SCMP_SYS(recvmsg), ALL, ANY },    /* network frames, control commands with descriptors */
	{ SCMP_SYS(sendto), ALL, ANY },     /* network frames to the helper */
	{ SCMP_SYS(recvfrom), ALL, ANY },   /* network frames from the helper */
	{ SCMP_SYS(sendmmsg), ALL, ANY },   /* several frames at once */
	{ SCMP_SYS(recvmmsg), ALL, ANY },   /* several frames at once */
	{ SCMP_SYS(shutdown), P | I, ANY }, /* the end of a client or of the helper */
	{ SCMP_SYS(getsockopt), P, ANY },   /* who the control client is */

	/* devices, by command */
	{ SCMP_SYS(ioctl), ALL, { 1, 0xff00, KVMIO << 8 } }, /* KVM */
	{ SCMP_SYS(ioctl), P, IOCTL(TCGETS) },               /* the terminal: its mode */
	{ SCMP_SYS(ioctl), P, IOCTL(TCSETS) },               /* the terminal: raw, and back at the end */
	{ SCMP_SYS(ioctl), P, IOCTL(TCSETSW) },              /* the terminal: raw, and back at the end */
	{ SCMP_SYS(ioctl), P, IOCTL(TCSETSF) },              /* the terminal: raw, and back at the end */
	{ SCMP_SYS(ioctl), P, IOCTL(TIOCGWINSZ) },           /* the terminal's size */
	{ SCMP_SYS(ioctl), ALL, IOCTL(FIONBIO) },            /* non-blocking */
	{ SCMP_SYS(ioctl), ALL, IOCTL(TUNSETOFFLOAD) },      /* tap: offloads that the guest negotiated */
	{ SCMP_SYS(ioctl), ALL, IOCTL(TUNSETVNETHDRSZ) },    /* tap: header size that the guest negotiated */
	{ SCMP_SYS(ioctl), P, IOCTL(TUNGETIFF) },            /* tap: what a descriptor is that is handed over */
	{ SCMP_SYS(ioctl), ALL, IOCTL(BLKDISCARD) },         /* block devices: a guest's discard */
	{ SCMP_SYS(ioctl), ALL, IOCTL(BLKZEROOUT) },         /* block devices: a guest's write-zeroes */

	/* the rest */
	{ SCMP_SYS(getrandom), ALL, ANY },                              /* virtio-rng; glibc's malloc */
	{ SCMP_SYS(prctl), P, { 0, UINT32_MAX, PR_SET_NAME } },         /* names of threads */
	{ SCMP_SYS(prctl), P, { 0, UINT32_MAX, PR_SET_NO_NEW_PRIVS } }, /* a thread narrows itself */
	{ SCMP_SYS(prctl), P, { 0, UINT32_MAX, PR_GET_NO_NEW_PRIVS } }, /* libseccomp asks before it loads */
	{ SCMP_SYS(seccomp), P, ANY },                                  /* a thread narrows itself */
	{ SCMP_SYS(wait4), P, ANY },                                    /* the network helper's end */
	{ SCMP_SYS(uname), P, ANY },                                    /* libseccomp */
};

/* With exec_memory. */
static const struct permission exec_table[] = {
	{ SCMP_SYS(mmap),
	  ALL,
	  { 2, PROT_EXEC | PROT_WRITE, PROT_EXEC } }, /* translated code, mapped once more writable */
	{ SCMP_SYS(mprotect), ALL, { 2, PROT_EXEC | PROT_WRITE, PROT_EXEC } }, /* translated code after it is written */
};

/* With paths: Landlock says which. */
static const struct permission path_table[] = {
	{ SCMP_SYS(openat), P, ANY },   /* images and files of control commands */
	{ SCMP_SYS(open), P, ANY },     /* the same */
	{ SCMP_SYS(unlink), P, ANY },   /* files of control commands */
	{ SCMP_SYS(stat), P, ANY },     /* what a file is before it is opened */
};

/* With remove_paths. */
static const struct permission remove_table[] = {
	{ SCMP_SYS(unlink), P, ANY },   /* the control socket, at the end */
};

/* With unix_sockets. */
static const struct permission socket_table[] = {
	{ SCMP_SYS(socket), P, { 0, UINT32_MAX, AF_UNIX } }, /* a guest's vsock connection */
	{ SCMP_SYS(connect), P, ANY },                       /* to the host's side of it */
};

/* User networking, which is a process of its own with one thread. Everything that libslirp does after its start. No
 * bind and no listen: forwarded ports are open by then. */
static const struct permission net_table[] = {
	/* memory */
	{ SCMP_SYS(brk), N, ANY },                      /* malloc: buffers of connections */
	{ SCMP_SYS(munmap), N, ANY },                   /* free of large blocks */
	{ SCMP_SYS(mremap), N, ANY },                   /* realloc of large blocks */
	{ SCMP_SYS(mmap), N, { 2, PROT_EXEC, 0 } },     /* malloc of large blocks; never executable */
	{ SCMP_SYS(mprotect), N, { 2, PROT_EXEC, 0 } }, /* malloc's arenas; never executable */

	/* the loop */
	{ SCMP_SYS(poll), N, ANY },            /* waits for the guest's frames and all connections */
	{ SCMP_SYS(restart_syscall), N, ANY }, /* waiting on after a stop */
	{ SCMP_SYS(clock_gettime), N, ANY },   /* where the vDSO cannot */
	{ SCMP_SYS(gettimeofday), N, ANY },    /* where the vDSO cannot */
	{ SCMP_SYS(time), N, ANY },            /* where the vDSO cannot */
	{ SCMP_SYS(getrandom), N, ANY },       /* glibc's malloc */
	{ SCMP_SYS(sigaltstack), N, ANY },     /* the end, under AddressSanitizer */
	{ SCMP_SYS(write), N, ANY },           /* warnings on standard error */
	{ SCMP_SYS(writev), N, ANY },          /* warnings on standard error: a failed assertion */
	{ SCMP_SYS(close), N, ANY },           /* the end of a connection */
	{ SCMP_SYS(exit_group), N, ANY },      /* the end, when the machine closed its side */

	/* the guest's connections: TCP, UDP and echo requests, to IPv4 and IPv6, and no raw sockets */
	{ SCMP_SYS(socket), N, { 0, UINT32_MAX, AF_INET }, { 1, SOCK_TYPE, SOCK_STREAM } },  /* TCP */
	{ SCMP_SYS(socket), N, { 0, UINT32_MAX, AF_INET }, { 1, SOCK_TYPE, SOCK_DGRAM } },   /* UDP; echo requests */
	{ SCMP_SYS(socket), N, { 0, UINT32_MAX, AF_INET6 }, { 1, SOCK_TYPE, SOCK_STREAM } }, /* TCP */
	{ SCMP_SYS(socket), N, { 0, UINT32_MAX, AF_INET6 }, { 1, SOCK_TYPE, SOCK_DGRAM } },  /* UDP; echo requests */
	{ SCMP_SYS(connect), N, ANY },        /* the guest connects outwards */
	{ SCMP_SYS(accept), N, ANY },         /* somebody connects to a forwarded port */
	{ SCMP_SYS(accept4), N, ANY },        /* the same in newer versions */
	{ SCMP_SYS(sendto), N, ANY },         /* frames to the guest; data to the peers */
	{ SCMP_SYS(recvfrom), N, ANY },       /* frames from the guest; data from the peers */
	{ SCMP_SYS(sendmsg), N, ANY },        /* data of several pieces */
	{ SCMP_SYS(recvmsg), N, ANY },        /* data of several pieces; errors of datagram sockets */
	{ SCMP_SYS(shutdown), N, ANY },       /* one direction of a connection ends */
	{ SCMP_SYS(getsockopt), N, ANY },     /* did a connection come about */
	{ SCMP_SYS(setsockopt), N, ANY },     /* no delay, out-of-band data in line, time to live */
	{ SCMP_SYS(getsockname), N, ANY },    /* the own end of a connection */
	{ SCMP_SYS(getpeername), N, ANY },    /* the other end */
	{ SCMP_SYS(fcntl), N, ANY },          /* non-blocking, close-on-exec */
	{ SCMP_SYS(ioctl), N, IOCTL(FIONREAD) }, /* how long the next datagram is */
	{ SCMP_SYS(ioctl), N, IOCTL(FIONBIO) },  /* non-blocking */

	/* the host's name servers: Landlock says which files */
	{ SCMP_SYS(openat), N, ANY },     /* /etc/resolv.conf, read again when it changed */
	{ SCMP_SYS(stat), N, ANY },       /* whether it changed */
	{ SCMP_SYS(newfstatat), N, ANY }, /* whether it changed; stdio */
	{ SCMP_SYS(fstat), N, ANY },      /* stdio */
	{ SCMP_SYS(read), N, ANY },       /* its text */
	{ SCMP_SYS(lseek), N, ANY },      /* stdio closes what it has not read to its end */
};

/* A parser of what one open descriptor gives: memory, that descriptor, the end. */
static const struct permission reader_table[] = {
	{ SCMP_SYS(brk), R, ANY },                      /* malloc */
	{ SCMP_SYS(munmap), R, ANY },                   /* free of large blocks */
	{ SCMP_SYS(mremap), R, ANY },                   /* realloc of large blocks */
	{ SCMP_SYS(mmap), R, { 2, PROT_EXEC, 0 } },     /* malloc of large blocks; never executable */
	{ SCMP_SYS(mprotect), R, { 2, PROT_EXEC, 0 } }, /* malloc's arenas; never executable */
	{ SCMP_SYS(read), R, ANY },                     /* what it is given */
	{ SCMP_SYS(write), R, ANY },                    /* what it found; a failed assertion */
	{ SCMP_SYS(writev), R, ANY },                   /* a failed assertion */
	{ SCMP_SYS(getrandom), R, ANY },                /* glibc's malloc */
	{ SCMP_SYS(clock_gettime), R, ANY },            /* where the vDSO cannot: libext2fs asks for the time */
	{ SCMP_SYS(time), R, ANY },                     /* the same */
	{ SCMP_SYS(gettimeofday), R, ANY },             /* the same */
	{ SCMP_SYS(restart_syscall), R, ANY },          /* reading on after a stop */
	{ SCMP_SYS(rt_sigreturn), R, ANY },             /* the end of every handler */
	{ SCMP_SYS(exit_group), R, ANY },               /* the end, when the machine closed its side */
};

static int add_rule(scmp_filter_ctx ctx, const struct permission *p)
{
	struct scmp_arg_cmp args[2];
	unsigned count = 0;

	if (p->when.arg != NO_ARG)
		args[count++] = SCMP_CMP(p->when.arg, SCMP_CMP_MASKED_EQ, p->when.mask, p->when.value);
	if (p->also.mask)
		args[count++] = SCMP_CMP(p->also.arg, SCMP_CMP_MASKED_EQ, p->also.mask, p->also.value);
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, p->call, count, args);
}

static int add(scmp_filter_ctx ctx, const struct permission *p, unsigned count, enum sandbox_kind kind)
{
	for (unsigned n = 0; n < count; n++) {
		int r = p[n].kinds >> kind & 1 ? add_rule(ctx, &p[n]) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* A signal may go to this process only; its number is known only now. */
static int add_kick(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

/* A machine's process and its threads. */
static int fill_machine(scmp_filter_ctx ctx, const struct sandbox_config *cfg)
{
	int r = add(ctx, table, COUNT_OF(table), cfg->kind);
	if (r == 0 && cfg->exec_memory)
		r = add(ctx, exec_table, COUNT_OF(exec_table), cfg->kind);
	if (r == 0 && (cfg->read_paths || cfg->write_paths))
		r = add(ctx, path_table, COUNT_OF(path_table), cfg->kind);
	if (r == 0 && cfg->remove_paths && !cfg->read_paths && !cfg->write_paths)
		r = add(ctx, remove_table, COUNT_OF(remove_table), cfg->kind);
	if (r == 0 && cfg->unix_sockets)
		r = add(ctx, socket_table, COUNT_OF(socket_table), cfg->kind);
	if (r == 0)
		r = add_kick(ctx);
	/* glibc's malloc asks /sys for the number of processors and takes no for an answer: no reason to die */
	if (r == 0 && cfg->violation == SANDBOX_KILL && !cfg->read_paths && !cfg->write_paths)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 0);
	return r;
}

static int fill(scmp_filter_ctx ctx, const struct sandbox_config *cfg)
{
	int r = cfg->kind == SANDBOX_NET    ? add(ctx, net_table, COUNT_OF(net_table), SANDBOX_NET) :
		cfg->kind == SANDBOX_READER ? add(ctx, reader_table, COUNT_OF(reader_table), SANDBOX_READER) :
					      fill_machine(ctx, cfg);
	/* its arguments lie in memory, where a filter cannot look: glibc then takes clone */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0 && cfg->kind == SANDBOX_PROCESS)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	return r;
}

int filter_enter(const struct sandbox_config *cfg, struct err *e)
{
	static const uint32_t action[] = {
		[SANDBOX_DENY] = SCMP_ACT_ERRNO(EPERM),
		[SANDBOX_KILL] = SCMP_ACT_KILL_PROCESS,
		[SANDBOX_LOG] = SCMP_ACT_LOG,
	};
	scmp_filter_ctx ctx = seccomp_init(action[cfg->violation]);
	if (!ctx)
		return err_set(e, -ENOMEM, "sandbox: no memory for the list of system calls");
	int r = fill(ctx, cfg);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return err_set(e, -ENOTSUP,
			       "sandbox: this kernel takes no seccomp filter (%s): run one with CONFIG_SECCOMP_FILTER, "
			       "or switch "
			       "the sandbox off",
			       strerror(-r));
	return r < 0 ? err_errno(e, -r, "sandbox: cannot load the list of system calls") : 0;
}
