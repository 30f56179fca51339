/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts to lines. Each judge says what was found and, where something is missing, who can change it and how. */
#include "cli/doctor.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct doctor_line *doctor_line(struct doctor_report *r, enum doctor_status status, const char *id, const char *fmt,
				...)
{
	struct doctor_line *l = &r->line[r->count < DOCTOR_LINE_MAX - 1 ? r->count++ : DOCTOR_LINE_MAX - 1];
	va_list ap;
	*l = (struct doctor_line){.status = status, .id = id};
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	return l;
}

void doctor_remedy(struct doctor_line *l, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(l->remedy, sizeof(l->remedy), fmt, ap);
	va_end(ap);
}

/* ---- KVM ---- */

static void no_permission(const struct doctor_kvm *k, struct doctor_line *l)
{
	if (k->user_in_group)
		doctor_remedy(l,
			      _("you are in its group '%s', yet it is refused: a container, SELinux or AppArmor rule "
				"withholds it (see the audit log)"),
			      k->group);
	else if (k->group[0] && strcmp(k->group, "root"))
		doctor_remedy(l,
			      _("ask the administrator for group '%s' (usermod -aG %s USER, then log in again); at the "
				"console, systemd-logind gives it by uaccess"),
			      k->group, k->group);
	else
		doctor_remedy(l, _("ask the administrator: groupadd -f kvm; chgrp kvm /dev/kvm; chmod 660 /dev/kvm; "
				   "usermod -aG kvm USER"));
}

static bool judge_device(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_kvm *k = &f->kvm;
	struct doctor_line *l;
	switch (k->open_error) {
	case 0: doctor_line(r, DOCTOR_OK, "kvm-device", _("/dev/kvm opens")); return true;
	case ENOENT:
		doctor_judge_device_missing(f, doctor_line(r, DOCTOR_WARN, "kvm-device", _("/dev/kvm does not exist")));
		return false;
	case EACCES:
	case EPERM:
		no_permission(k, doctor_line(r, DOCTOR_WARN, "kvm-device", _("no permission to open /dev/kvm")));
		return false;
	default:
		l = doctor_line(r, DOCTOR_WARN, "kvm-device", _("/dev/kvm cannot be opened (%s)"),
				strerror(k->open_error));
		doctor_remedy(l,
			      _("load the module (modprobe kvm_intel or kvm_amd) and read dmesg for why it refuses"));
		return false;
	}
}

static void judge_rivals(const struct doctor_kvm *k, struct doctor_report *r)
{
	const char *rival = k->module_vbox ? "VirtualBox (vboxdrv)" : k->module_vmware ? "VMware (vmmon)" : NULL;
	if (!rival) {
		doctor_line(r, DOCTOR_OK, "kvm-rivals", _("no other hypervisor's module is loaded"));
		return;
	}
	bool hurts = k->create_vm_error > 0 || k->create_vcpu_error > 0;
	struct doctor_line *l =
		doctor_line(r, hurts ? DOCTOR_FAIL : DOCTOR_WARN, "kvm-rivals", _("%s is loaded%s"), rival,
			    hurts ? _(" and seems to hold the processor's virtualization")
				  : _("; its machines and KVM's may exclude each other"));
	doctor_remedy(l, _("stop its machines; if that does not help: modprobe -r %s"),
		      k->module_vbox ? "vboxnetflt vboxnetadp vboxdrv" : "vmmon");
}

static bool judge_create(const struct doctor_kvm *k, struct doctor_report *r)
{
	struct doctor_line *l;
	if (k->api_version != 12) {
		l = doctor_line(r, DOCTOR_FAIL, "kvm-api", _("KVM answers API version %d, 12 is needed"),
				k->api_version);
		doctor_remedy(l, _("run a kernel of this century, or check what /dev/kvm really is"));
		return false;
	}
	doctor_line(r, DOCTOR_OK, "kvm-api", _("API version %d"), k->api_version);
	int error = k->create_vm_error ? k->create_vm_error : k->create_vcpu_error;
	if (error == 0) {
		doctor_line(r, DOCTOR_OK, "kvm-machine", _("a machine and a virtual processor were made"));
		return true;
	}
	l = doctor_line(r, DOCTOR_FAIL, "kvm-machine", _("KVM refuses %s (%s)"),
			k->create_vm_error ? _("a machine") : _("a virtual processor"), strerror(error));
	if (error == EBUSY)
		doctor_remedy(l,
			      _("another hypervisor holds the processor's virtualization: stop it (see kvm-rivals)"));
	else if (error == ENOMEM)
		doctor_remedy(l, _("the host or its cgroup has no memory left for it"));
	else
		doctor_remedy(l, _("read dmesg; virtualization may be switched off in the firmware setup"));
	return false;
}

static void judge_syscall(const struct doctor_facts *f, struct doctor_report *r)
{
	if (!f->speed.kvm)
		return;
	if (!f->speed.kvm_user_alone) {
		doctor_line(r, DOCTOR_OK, "kvm-syscall", _("a system call in a guest reaches its kernel"));
		return;
	}
	struct doctor_line *l =
		doctor_line(r, DOCTOR_WARN, "kvm-syscall",
			    _("a system call in a guest does not reach its kernel: no system runs in KVM alone"));
	doctor_remedy(l, _("nothing has to be done: --accel kvm has KVM run user code and the soft CPU the rest; for "
			   "full speed use a host with VT-x or SVM (nested virtualization) exposed"));
}

static void judge_speed(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_speed *s = &f->speed;
	double percent = s->native ? 100.0 * (double)s->kvm / (double)s->native : 0;
	struct doctor_line *l;
	if (!s->kvm) {
		l = doctor_line(r, DOCTOR_WARN, "kvm-speed", _("KVM did not run the kernel-mode test program: %s"),
				s->kvm_error);
		doctor_remedy(l, _("use --accel soft; --accel auto does so by itself"));
		return;
	}
	bool slow = s->kvm < s->soft;
	l = doctor_line(r, slow ? DOCTOR_WARN : DOCTOR_OK, "kvm-speed",
			_("%.1f million kernel-mode instructions per second, %.2f %% of native (%.0f)"),
			(double)s->kvm / 1e6, percent, (double)s->native / 1e6);
	if (slow)
		doctor_remedy(l,
			      _("this KVM emulates kernel-mode code and is slower than the soft CPU: leave --accel at "
				"auto; for full speed use a host with VT-x or SVM (nested virtualization) exposed"));
}

static bool judge_kvm(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_kvm *k = &f->kvm;
	bool open = judge_device(f, r);
	judge_rivals(k, r);
	if (!open || !judge_create(k, r))
		return false;
	doctor_judge_extensions(f, r);
	doctor_judge_params(f, r);
	judge_syscall(f, r);
	judge_speed(f, r);
	return f->speed.kvm != 0;
}

static bool judge_soft(const struct doctor_speed *s, struct doctor_report *r)
{
	if (s->soft) {
		doctor_line(r, DOCTOR_OK, "soft-cpu",
			    _("the soft CPU runs: %.1f million kernel-mode instructions per second"),
			    (double)s->soft / 1e6);
		return true;
	}
	struct doctor_line *l =
		doctor_line(r, DOCTOR_FAIL, "soft-cpu", _("the soft CPU does not run: %s"), s->soft_error);
	doctor_remedy(l, _("a policy that forbids memory which is first written and then executed (SELinux execmem, "
			   "systemd MemoryDenyWriteExecute) stops it"));
	return false;
}

/* ---- the rest of the host ---- */

static void judge_huge_pages(const struct doctor_host_facts *h, struct doctor_report *r)
{
	struct doctor_line *l;
	if (!h->thp[0] || strstr(h->thp, "[never]")) {
		l = doctor_line(r, DOCTOR_WARN, "huge-pages", "%s",
				h->thp[0] ? _("transparent huge pages are off")
					  : _("transparent huge pages are not in this kernel"));
		doctor_remedy(l, _("echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"));
	} else
		doctor_line(r, DOCTOR_OK, "huge-pages", _("transparent huge pages: %s"), h->thp);
	doctor_line(r, DOCTOR_OK, "hugetlb", _("%llu reserved pages of %llu KiB, %llu free%s"),
		    (unsigned long long)h->hugetlb_total, (unsigned long long)h->hugetlb_kib,
		    (unsigned long long)h->hugetlb_free,
		    h->hugetlb_total ? "" : _(" (not needed; sysctl vm.nr_hugepages=N reserves some)"));
}

static void judge_tun(const struct doctor_host_facts *h, struct doctor_report *r)
{
	struct doctor_line *l;
	if (h->tun_open_error) {
		l = doctor_line(r, DOCTOR_WARN, "tun", _("/dev/net/tun cannot be opened (%s)"),
				strerror(h->tun_open_error));
		doctor_remedy(l, _("%s; user networking (--net user) needs none of it"),
			      h->tun_open_error == ENOENT ? "modprobe tun"
							  : _("ask the administrator for access to /dev/net/tun"));
	} else if (h->tun_create_error) {
		l = doctor_line(r, DOCTOR_WARN, "tun", _("a tap interface cannot be made (%s)"),
				strerror(h->tun_create_error));
		doctor_remedy(l, _("have the administrator make one for you (ip tuntap add dev tap0 mode tap user "
				   "USER) and use --net tap=tap0; user networking (--net user) needs none of it"));
	} else
		doctor_line(r, DOCTOR_OK, "tun", _("tap interfaces can be made"));
}

static void judge_io_uring(const struct doctor_host_facts *h, struct doctor_report *r)
{
	if (!h->io_uring_error) {
		doctor_line(r, DOCTOR_OK, "io-uring", _("io_uring works"));
		return;
	}
	struct doctor_line *l =
		doctor_line(r, DOCTOR_WARN, "io-uring", _("io_uring is refused (%s); disks use threads, more slowly"),
			    strerror(h->io_uring_error));
	doctor_remedy(
		l, _("sysctl kernel.io_uring_disabled=0; in a container, allow io_uring_setup in its seccomp profile"));
}

static void judge_confinement(const struct doctor_host_facts *h, struct doctor_report *r)
{
	struct doctor_line *l;
	if (h->userns_error) {
		l = doctor_line(r, DOCTOR_WARN, "user-namespaces", _("a user namespace cannot be made (%s)"),
				strerror(h->userns_error));
		doctor_remedy(l, _("sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces=N; on Ubuntu "
				   "also kernel.apparmor_restrict_unprivileged_userns=0"));
	} else
		doctor_line(r, DOCTOR_OK, "user-namespaces", _("user namespaces can be made"));
	if (h->landlock_abi)
		doctor_line(r, DOCTOR_OK, "landlock", _("Landlock ABI %d"), h->landlock_abi);
	else {
		l = doctor_line(r, DOCTOR_WARN, "landlock",
				_("no Landlock: a machine's process is not kept from files that it does not need"));
		doctor_remedy(l, _("boot with lsm=landlock,... or a kernel with CONFIG_SECURITY_LANDLOCK"));
	}
	if (h->seccomp_error) {
		l = doctor_line(r, DOCTOR_WARN, "seccomp",
				_("no seccomp filters (%s): a machine's process may make any system call"),
				strerror(h->seccomp_error));
		doctor_remedy(l, _("run a kernel with CONFIG_SECCOMP_FILTER"));
	} else
		doctor_line(r, DOCTOR_OK, "seccomp", _("seccomp filters work"));
}

static void judge_memory(const struct doctor_host_facts *h, struct doctor_report *r)
{
	struct doctor_line *l;
	unsigned long long free_mib = h->mem_available_kib >> 10, all_mib = h->mem_total_kib >> 10;
	if (h->overcommit == 2) {
		l = doctor_line(r, DOCTOR_WARN, "memory",
				_("%llu of %llu MiB available; overcommit is forbidden: a machine's whole memory is "
				  "charged at start"),
				free_mib, all_mib);
		doctor_remedy(
			l, _("sysctl vm.overcommit_memory=0, or keep the sum of all machines below the commit limit"));
	} else if (free_mib < 256) {
		l = doctor_line(r, DOCTOR_WARN, "memory", _("only %llu of %llu MiB available"), free_mib, all_mib);
		doctor_remedy(l, _("give machines less memory, or end something"));
	} else
		doctor_line(r, DOCTOR_OK, "memory", _("%llu of %llu MiB available"), free_mib, all_mib);
}

void doctor_judge(const struct doctor_facts *f, struct doctor_report *r)
{
	r->count = 0;
	bool kvm = judge_kvm(f, r), soft = judge_soft(&f->speed, r);
	r->can_run = kvm || soft;
	doctor_judge_iommu(f, r);
	judge_huge_pages(&f->host, r);
	judge_tun(&f->host, r);
	judge_io_uring(&f->host, r);
	judge_confinement(&f->host, r);
	judge_memory(&f->host, r);
	const char *which = kvm && soft
				    ? (f->speed.kvm > f->speed.soft ? _("KVM is the faster accelerator here")
								    : _("the soft CPU is the faster accelerator here"))
			    : kvm ? _("with KVM")
				  : _("with the soft CPU");
	if (r->can_run)
		doctor_line(r, DOCTOR_OK, "verdict", _("machines can run on this host: %s"), which);
	else
		doctor_remedy(doctor_line(r, DOCTOR_FAIL, "verdict", _("no machine can run on this host")),
			      _("see the lines marked FAIL"));
}
