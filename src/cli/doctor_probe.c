/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The facts of this host, found by doing: opening, creating, running. CPU flags are asked only for hints. */
#include "cli/doctor.h"

#include "cli/doctor_who.h"

#include "accel/bench.h"
#include "accel/select.h"
#include "base/text.h"
#include "core/accel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files ---- */

static uint64_t read_number(const char *path, uint64_t dflt)
{
	char text[64];
	doctor_read_line(path, text, sizeof(text));
	return text[0] ? strtoull(text, NULL, 10) : dflt;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* The name of a folder's first entry that begins so; empty when it has none. */
static void first_entry(const char *dir, const char *begin, char *name, size_t size)
{
	name[0] = 0;
	DIR *d = opendir(dir);
	if (!d)
		return;
	for (struct dirent *ent; !name[0] && (ent = readdir(d));)
		if (!strncmp(ent->d_name, begin, strlen(begin)))
			snprintf(name, size, "%.*s", (int)size - 1, ent->d_name);
	closedir(d);
}

/* "MemTotal:  123 kB" */
static uint64_t meminfo(const char *key)
{
	char line[128];
	uint64_t value = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			value = strtoull(line + strlen(key) + 1, NULL, 10);
	fclose(f);
	return value;
}

/* ---- KVM ---- */

const struct doctor_ext doctor_exts[DOCTOR_EXT_COUNT] = {
	{"irqchip", 2006, "CONFIG_KVM_IOAPIC", false, N_("each interrupt costs an exit to this program")},
	{"pit", 2006, "CONFIG_KVM_IOAPIC", false, N_("the timer of old guests costs exits")},
	{"ioeventfd", 2006, NULL, false, N_("each request to a virtio device costs an exit to this program")},
	{"irqfd", 2006, NULL, false, N_("interrupts of devices take a detour")},
	{"msi", 3005, NULL, false, N_("message interrupts take a detour")},
	{"dirty-ring", 5011, NULL, false, N_("written pages are found by bitmaps")},
	{"manual-dirty-log", 5002, NULL, false, N_("taking the bitmap of written pages stops a machine for longer")},
	{"xsave2", 5017, NULL, false, N_("no AMX in guests")},
	{"sync-regs", 4017, NULL, false, N_("registers are read by calls of their own")},
	{"user-msr", 5010, NULL, false, N_("unknown MSRs are KVM's to answer")},
	{"emulation-exit", 5014, NULL, false, N_("what KVM cannot emulate is told less exactly")},
	{"tsc-deadline", 3000, NULL, false, N_("guests use the slower timer of the local APIC")},
	{"tsc-scaling", 2006, NULL, true, N_("a machine moved to another processor sees another TSC frequency")},
	{"smm", 4002, "CONFIG_KVM_SMM", false, N_("no system management mode: firmware with secure boot needs it")},
};
static const int ext_cap[DOCTOR_EXT_COUNT] = {
	KVM_CAP_IRQCHIP,
	KVM_CAP_PIT2,
	KVM_CAP_IOEVENTFD,
	KVM_CAP_IRQFD,
	KVM_CAP_SIGNAL_MSI,
	KVM_CAP_DIRTY_LOG_RING,
	KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	KVM_CAP_XSAVE2,
	KVM_CAP_SYNC_REGS,
	KVM_CAP_X86_USER_SPACE_MSR,
	KVM_CAP_EXIT_ON_EMULATION_FAILURE,
	KVM_CAP_TSC_DEADLINE_TIMER,
	KVM_CAP_TSC_CONTROL,
	KVM_CAP_X86_SMM,
};

static bool in_group(gid_t gid)
{
	gid_t list[256];
	int count = getgroups(COUNT_OF(list), list);
	bool found = getegid() == gid;
	for (int n = 0; n < count; n++)
		found |= list[n] == gid;
	return found;
}

static void kvm_group(struct doctor_kvm *k)
{
	struct stat st;
	if (stat("/dev/kvm", &st) < 0)
		return;
	struct group *g = getgrgid(st.st_gid);
	snprintf(k->group, sizeof(k->group), "%s", g ? g->gr_name : "");
	k->user_in_group = in_group(st.st_gid);
}

static void kvm_modules(struct doctor_kvm *k)
{
	char answer[16];
	k->module_intel = exists("/sys/module/kvm_intel");
	k->module_amd = exists("/sys/module/kvm_amd");
	k->module_other = exists("/sys/module/kvm") && !k->module_intel && !k->module_amd;
	first_entry("/sys/module", "kvm_", k->module, sizeof(k->module));
	k->module_vbox = exists("/sys/module/vboxdrv");
	k->module_vmware = exists("/sys/module/vmmon");
	doctor_read_line(k->module_amd ? "/sys/module/kvm_amd/parameters/npt" : "/sys/module/kvm_intel/parameters/ept",
			 answer, sizeof(answer));
	k->nested_paging = !answer[0] ? -1 : answer[0] == 'Y' || answer[0] == '1';
}

static void kvm_try(struct doctor_kvm *k, int dev)
{
	k->api_version = ioctl(dev, KVM_GET_API_VERSION, 0);
	for (unsigned n = 0; n < DOCTOR_EXT_COUNT; n++)
		k->ext[n] = ioctl(dev, KVM_CHECK_EXTENSION, ext_cap[n]) > 0;
	int vm = ioctl(dev, KVM_CREATE_VM, 0);
	k->create_vm_error = vm < 0 ? errno : 0;
	if (vm < 0)
		return;
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	k->create_vcpu_error = vcpu < 0 ? errno : 0;
	if (vcpu >= 0)
		close(vcpu);
	close(vm);
}

static void probe_kvm(struct doctor_kvm *k)
{
	k->create_vm_error = k->create_vcpu_error = DOCTOR_NOT_TRIED;
	kvm_group(k);
	kvm_modules(k);
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	k->open_error = dev < 0 ? errno : 0;
	if (dev < 0)
		return;
	kvm_try(k, dev);
	close(dev);
}

/* ---- speed ---- */

static uint64_t measure(const struct accel_ops *accel, char *error, size_t size)
{
	struct accel_speed s = {0};
	struct err e = {0};
	if (accel->usable(&e) == 0 && accel_bench(accel, NULL, &s, &e) == 0)
		return s.per_second;
	snprintf(error, size, "%s", e.text);
	return 0;
}

static void probe_speed(struct doctor_speed *s, const struct doctor_kvm *k)
{
	struct accel_speed native;
	accel_bench_native(&native);
	s->native = native.per_second;
	s->soft = measure(&accel_soft, s->soft_error, sizeof(s->soft_error));
	if (k->create_vcpu_error == 0)
		s->kvm = measure(&accel_kvm, s->kvm_error, sizeof(s->kvm_error));
	const struct accel_ops *chosen = NULL;
	const char *options;
	char why[ACCEL_WHY_MAX];
	struct err e;
	s->kvm_user_alone = s->kvm && accel_select("kvm", &chosen, &options, why, &e) == 0 && chosen != &accel_kvm;
}

/* ---- the rest ---- */

static void probe_tun(struct doctor_host_facts *h)
{
	h->tun_create_error = DOCTOR_NOT_TRIED;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	h->tun_open_error = fd < 0 ? errno : 0;
	if (fd < 0)
		return;
	/* not persistent: it goes away with the descriptor */
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	snprintf(req.ifr_name, sizeof(req.ifr_name), "panaldoc%%d");
	h->tun_create_error = ioctl(fd, TUNSETIFF, &req) < 0 ? errno : 0;
	close(fd);
}

static int try_io_uring(void)
{
	struct io_uring_params p = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 2, &p);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* In a child: this process is to stay where it is. */
static int try_userns(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return EIO;
	return WEXITSTATUS(status);
}

static int try_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi > 0 ? (int)abi : 0;
}

static int try_seccomp(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? errno : 0;
}

static void probe_host(struct doctor_host_facts *h)
{
	doctor_probe_iommu(&h->iommu);
	doctor_read_line("/sys/kernel/mm/transparent_hugepage/enabled", h->thp, sizeof(h->thp));
	h->hugetlb_total = meminfo("HugePages_Total");
	h->hugetlb_free = meminfo("HugePages_Free");
	h->hugetlb_kib = meminfo("Hugepagesize");
	probe_tun(h);
	h->io_uring_error = try_io_uring();
	h->userns_error = try_userns();
	h->landlock_abi = try_landlock();
	h->seccomp_error = try_seccomp();
	h->overcommit = (int)read_number("/proc/sys/vm/overcommit_memory", UINT64_MAX);
	h->mem_total_kib = meminfo("MemTotal");
	h->mem_available_kib = meminfo("MemAvailable");
}

const struct doctor_source doctor_this_host = {
	.kvm = probe_kvm, .who = doctor_probe_who, .speed = probe_speed, .host = probe_host};
