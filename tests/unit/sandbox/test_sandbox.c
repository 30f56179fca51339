/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sandbox: each case in a child process, because there is no way back out. */
#include "sandbox/sandbox.h"

#include "kvm_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The child's exit status, or 256 + signal. */
static int in_child(void (*fn)(void))
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* In the child: the line that failed is the exit status (modulo 255, never 0). */
#define MUST(condition)                                \
	do {                                           \
		if (!(condition))                      \
			_exit(__LINE__ % 255 + 1);     \
	} while (0)

static void enter(struct sandbox_config cfg)
{
	struct err e = { 0 };
	if (sandbox_enter(&cfg, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		_exit(255);
	}
}

static void *thread_fn(void *arg)
{
	void *p = malloc(1 << 20);
	memset(p, 1, 1 << 20);
	free(p);
	return arg;
}

static void child_denied(void)
{
	char path[] = "/bin/true", *argv[] = { path, NULL };
	enter((struct sandbox_config){ .exec_memory = true });
	MUST(open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM);
	MUST(open("/tmp/panal-sandbox-test", O_CREAT | O_RDWR, 0600) < 0 && errno == EPERM);
	MUST(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
	MUST(execv(path, argv) < 0 && errno == EPERM);
	MUST(fork() < 0);
	MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 && errno == EPERM);
	MUST(kill(getppid(), 0) < 0 && errno == EPERM);
	MUST(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == EPERM);
	MUST(syscall(SYS_io_uring_setup, 2, NULL) < 0 && errno == EPERM);
	char c = 'x';
	MUST(ioctl(0, 0x5412 /* TIOCSTI */, &c) < 0 && errno == EPERM);
	MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	     errno == EPERM);
}

static void child_allowed(void)
{
	pthread_t t;
	enter((struct sandbox_config){ .exec_memory = true, .violation = SANDBOX_KILL });
	MUST(pthread_create(&t, NULL, thread_fn, NULL) == 0);
	MUST(pthread_join(t, NULL) == 0);
	thread_fn(NULL);
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	struct timespec ts = { .tv_nsec = 1000 };
	nanosleep(&ts, NULL);
	MUST(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0) == 0);
}

static void child_killed(void)
{
	enter((struct sandbox_config){ .violation = SANDBOX_KILL });
	MUST(open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM);
	(void)socket(AF_INET, SOCK_STREAM, 0);
}

static void child_no_exec(void)
{
	enter((struct sandbox_config){ .exec_memory = false });
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	     errno == EPERM);
	MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void child_paths(void)
{
	static const char *const readable[] = { "/usr/lib", NULL };
	enter((struct sandbox_config){ .read_paths = readable });
	MUST(open("/usr/lib", O_RDONLY | O_DIRECTORY) >= 0);
	MUST(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	MUST(open("/usr/lib/panal-sandbox-test", O_CREAT | O_RDWR, 0600) < 0 && errno == EACCES);
}

static void *other_thread(void *arg)
{
	_Atomic int *go = arg;
	while (!atomic_load(go))
		sched_yield();
	return (void *)(intptr_t)(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
}

/* Threads that were there before are confined too. */
static void child_all_threads(void)
{
	_Atomic int go = 0;
	pthread_t t;
	void *denied = NULL;
	MUST(pthread_create(&t, NULL, other_thread, &go) == 0);
	enter((struct sandbox_config){ .exec_memory = true });
	atomic_store(&go, 1);
	MUST(pthread_join(t, &denied) == 0);
	MUST(denied);
}

static void *narrow_thread(void *arg)
{
	enter((struct sandbox_config){ .kind = SANDBOX_VCPU });
	return (void *)(intptr_t)(accept4(0, NULL, NULL, 0) < 0 && errno == EPERM &&
				  mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

static void child_narrow(void)
{
	pthread_t t;
	void *denied = NULL;
	enter((struct sandbox_config){ .exec_memory = true });
	MUST(pthread_create(&t, NULL, narrow_thread, NULL) == 0);
	MUST(pthread_join(t, &denied) == 0);
	MUST(denied);
	MUST(accept4(0, NULL, NULL, 0) < 0 && errno != EPERM);
}

/* User networking: outwards to anybody, and nothing else. */
static void child_net(void)
{
	static const char *const readable[] = { "/usr/lib", NULL };
	char path[] = "/bin/true", *argv[] = { path, NULL };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *addr = (struct sockaddr *)&a;
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), out;

	MUST(bind(listener, addr, len) == 0 && listen(listener, 1) == 0 && getsockname(listener, addr, &len) == 0);
	enter((struct sandbox_config){ .kind = SANDBOX_NET, .read_paths = sandbox_landlock_abi() ? readable : NULL });
	out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(out >= 0 && (connect(out, addr, len) == 0 || errno == EINPROGRESS) && accept(listener, NULL, NULL) >= 0);
	MUST(socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
	MUST(bind(socket(AF_INET, SOCK_STREAM, 0), addr, len) < 0 && errno == EPERM);
	MUST(listen(out, 1) < 0 && errno == EPERM);
	MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM);
	MUST(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
	MUST(socket(AF_NETLINK, SOCK_DGRAM, 0) < 0 && errno == EPERM);
	MUST(!sandbox_landlock_abi() || (open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES));
	MUST(execv(path, argv) < 0 && errno == EPERM);
	MUST(fork() < 0);
	MUST(kill(getppid(), 0) < 0 && errno == EPERM);
	MUST(unlink("/tmp/panal-sandbox-test") < 0 && errno == EPERM);
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	     errno == EPERM);
}

/* A whole machine: made before, entered, started, run, paused, destroyed; a forbidden call would kill. */
static void run_guest(const struct accel_ops *accel)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	guest_create(&g, accel, NULL);
	enter((struct sandbox_config){ .exec_memory = true, .violation = SANDBOX_KILL });
	guest_load(&g, GUEST_CODE_OF(guest_count), true, &s);
	MUST(vm_start(g.vm, false, &e) == 0);
	for (unsigned n = 0; n < 200 && guest_read64(&g, GUEST_DATA) < 100; n++) {
		struct timespec ts = { .tv_nsec = 5000000 };
		nanosleep(&ts, NULL);
	}
	vm_pause(g.vm);
	MUST(guest_read64(&g, GUEST_DATA) >= 100);
	MUST(vcpu_get_state(g.v, &s, &e) == 0);
	vm_resume(g.vm);
	vm_pause(g.vm);
	guest_destroy(&g);
}

static void child_guest_soft(void)
{
	run_guest(&accel_soft);
}

static void child_guest_kvm(void)
{
	run_guest(&accel_kvm);
}

/* ThreadSanitizer's runtime makes calls of its own, which would be the end of a process that a forbidden call ends. */
#ifdef __SANITIZE_THREAD__
enum { RUNTIME_CALLS = true };
#else
enum { RUNTIME_CALLS = false };
#endif

static void test_denied(void **unused) { assert_int_equal(in_child(child_denied), 0); }
static void test_allowed(void **unused)
{
	if (RUNTIME_CALLS)
		skip();
	assert_int_equal(in_child(child_allowed), 0);
}

static void test_killed(void **unused) { assert_int_equal(in_child(child_killed), 256 + SIGSYS); }
static void test_no_exec(void **unused) { assert_int_equal(in_child(child_no_exec), 0); }
static void test_all_threads(void **unused) { assert_int_equal(in_child(child_all_threads), 0); }
static void test_narrow(void **unused) { assert_int_equal(in_child(child_narrow), 0); }
static void test_net(void **unused) { assert_int_equal(in_child(child_net), 0); }
static void test_guest_soft(void **unused)
{
	if (RUNTIME_CALLS)
		skip();
	assert_int_equal(in_child(child_guest_soft), 0);
}


static void test_paths(void **unused)
{
	if (sandbox_landlock_abi() == 0)
		skip();
	assert_int_equal(in_child(child_paths), 0);
}

static void test_guest_kvm(void **unused)
{
	struct err e = { 0 };
	if (RUNTIME_CALLS || accel_kvm.usable(&e) < 0)
		skip();
	assert_int_equal(in_child(child_guest_kvm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_denied),      cmocka_unit_test(test_allowed), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_no_exec),     cmocka_unit_test(test_paths),   cmocka_unit_test(test_all_threads),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_narrow),      cmocka_unit_test(test_guest_soft), cmocka_unit_test(test_guest_kvm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
