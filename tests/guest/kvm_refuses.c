/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded by kvm_refuses.py: a kernel whose KVM refuses one call, or offers less.
 *   KVM_REFUSES_CALL=N       the Nth ioctl to KVM fails with EINVAL (an extension asked for by it: is not there)
 *   KVM_REFUSES_EXTENSION=N  extension N is not there; -1: none is
 * A line on standard error tells that it happened.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int calls, told;

static int wanted(const char *name, int otherwise)
{
	const char *text = getenv(name);
	return text ? atoi(text) : otherwise;
}

static bool refused(unsigned long request, long arg)
{
	int number = atomic_fetch_add(&calls, 1);
	int extension = wanted("KVM_REFUSES_EXTENSION", -2);
	if (request == KVM_CHECK_EXTENSION && (extension == -1 || extension == arg))
		return true;
	return number == wanted("KVM_REFUSES_CALL", -1);
}

static void tell(void)
{
	static const char line[] = "kvm-refuses\n";
	if (!atomic_exchange(&told, 1) && write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		abort();
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	long arg = va_arg(ap, long);
	va_end(ap);
	if (_IOC_TYPE(request) != KVMIO || !refused(request, arg))
		return (int)syscall(SYS_ioctl, fd, request, arg);
	tell();
	if (request == KVM_CHECK_EXTENSION)
		return 0;
	errno = EINVAL;
	return -1;
}
