/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who has something switched off, as far as an ordinary user can read it: the processor against what the kernel made of
 * it (firmware locks VT-x and SVM), the parameters of KVM's modules, the kernel's command line and configuration,
 * modprobe's files, the firmware's tables.
 */
#include "cli/doctor_who.h"

#include "base/text.h"

#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { TEXT_MAX = 16384, LINES_MAX = 20000 };

const struct doctor_param_desc doctor_params[DOCTOR_PARAM_MAX] = {
	{"kvm_intel", "ept", "ept", N_("each change of a guest's page tables costs an exit")},
	{"kvm_intel", "vpid", "vpid", N_("each entry into a guest empties the TLB")},
	{"kvm_intel", "unrestricted_guest", "unrestricted_guest", N_("real mode of guests is emulated")},
	{"kvm_intel", "flexpriority", "flexpriority", N_("accesses of 32-bit guests to the task priority cost exits")},
	{"kvm_intel", "enable_apicv", "apicv", N_("interrupts of guests cost exits")},
	{"kvm_intel", "preemption_timer", "preemption_timer", N_("timers of guests are slower")},
	{"kvm_intel", "pml", "pml", N_("logging written pages, as a migration does, is slower")},
	{"kvm_intel", "eptad", "ept_ad", N_("finding which pages a guest uses is slower")},
	{"kvm_intel", "nested", NULL, N_("guests cannot use KVM themselves")},
	{"kvm_amd", "npt", "npt", N_("each change of a guest's page tables costs an exit")},
	{"kvm_amd", "avic", "avic", N_("interrupts of guests cost exits")},
	{"kvm_amd", "vgif", "vgif", N_("guests that use KVM themselves are slower")},
	{"kvm_amd", "vls", "v_vmsave_vmload", N_("guests that use KVM themselves are slower")},
	{"kvm_amd", "nested", NULL, N_("guests cannot use KVM themselves")},
	{NULL},
};

void doctor_read_line(const char *path, char *buf, size_t size)
{
	buf[0] = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(buf, (int)size, f))
		buf[0] = 0;
	buf[strcspn(buf, "\n")] = 0;
	fclose(f);
}

/* ---- words in lines ---- */

/* "ept" in "flags : vmx ept vpid", never in "ept_ad". */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if ((at == text || strchr(" \t,=", at[-1])) && strchr(" \t\n,", at[len]))
			return true;
	return false;
}

/* The first line of /proc/cpuinfo with this key. */
static void cpuinfo(const char *key, char *line, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool found = false;
	while (f && !found && fgets(line, (int)size, f))
		found = !strncmp(line, key, strlen(key)) && strchr(" \t:", line[strlen(key)]);
	if (!found)
		line[0] = 0;
	if (f)
		fclose(f);
}

/* The word of the kernel's command line that begins so. */
static bool command_line(const char *begin, char *word, size_t size)
{
	char text[TEXT_MAX], *save = NULL;
	doctor_read_line("/proc/cmdline", text, sizeof(text));
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (!strncmp(w, begin, strlen(begin))) {
			snprintf(word, size, "%s", w);
			return true;
		}
	return false;
}

/* A line of modprobe's files that begins with `verb` and `module` and has `part`; "FILE: LINE". */
static bool modprobe_file(const char *path, const char *verb, const char *module, const char *part, char *by,
			  size_t size)
{
	char line[512], first[64], second[64];
	bool found = false;
	FILE *f = fopen(path, "re");
	for (unsigned n = 0; f && !found && n < LINES_MAX && fgets(line, sizeof(line), f); n++)
		found = sscanf(line, "%63s %63s", first, second) == 2 && !strcmp(first, verb) &&
			!strcmp(second, module) && strstr(line, part);
	if (f)
		fclose(f);
	if (found) {
		line[strcspn(line, "\n")] = 0;
		snprintf(by, size, "%.60s: %.90s", path, line);
	}
	return found;
}

static bool modprobe(const char *verb, const char *module, const char *part, char *by, size_t size)
{
	static const char *const folders[] = {"/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d",
					      "/lib/modprobe.d"};
	char path[PATH_MAX];
	bool found = false;
	for (unsigned n = 0; n < COUNT_OF(folders) && !found; n++) {
		DIR *d = opendir(folders[n]);
		for (struct dirent *ent; d && !found && (ent = readdir(d));) {
			snprintf(path, sizeof(path), "%s/%s", folders[n], ent->d_name);
			found = modprobe_file(path, verb, module, part, by, size);
		}
		if (d)
			closedir(d);
	}
	return found;
}

/* ---- the processor, and what is above it ---- */

static void probe_processor(struct doctor_who *w)
{
	char flags[TEXT_MAX];
	unsigned a, b = 0, c = 0, d = 0;
	bool intel, amd;
	intel = __get_cpuid(1, &a, &b, &c, &d) && (c >> 5 & 1);
	w->virtual_machine = c >> 31 & 1;
	amd = __get_cpuid(0x80000001, &a, &b, &c, &d) && (c >> 2 & 1);
	w->cpuid_virt = intel || amd;
	cpuinfo("flags", flags, sizeof(flags));
	w->cpuinfo_virt = has_word(flags, "vmx") || has_word(flags, "svm");
	if (w->virtual_machine) {
		unsigned name[3];
		__cpuid(0x40000000, a, name[0], name[1], name[2]);
		memcpy(w->hypervisor, name, sizeof(name));
		for (unsigned n = 0; n < sizeof(name); n++)
			if (w->hypervisor[n] && (w->hypervisor[n] < ' ' || w->hypervisor[n] > '~'))
				w->hypervisor[n] = '?';
	}
}

static void probe_module(struct doctor_who *w)
{
	static const char *const modules[] = {"kvm", "kvm_intel", "kvm_amd"};
	char word[128];
	if (command_line("nomodule", word, sizeof(word)) || command_line("modules_disabled", word, sizeof(word)))
		snprintf(w->module_off, sizeof(w->module_off), _("the kernel's command line: %s"), word);
	for (unsigned n = 0; n < COUNT_OF(modules) && !w->module_off[0]; n++) {
		if (command_line("module_blacklist=", word, sizeof(word)) && has_word(word, modules[n]))
			snprintf(w->module_off, sizeof(w->module_off), _("the kernel's command line: %s"), word);
		else if (!modprobe("blacklist", modules[n], "", w->module_off, sizeof(w->module_off)))
			modprobe("install", modules[n], "/bin/", w->module_off, sizeof(w->module_off));
	}
}

/* Y and N, or numbers. */
static int read_switch(const struct doctor_param_desc *p)
{
	char path[PATH_MAX], answer[32];
	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", p->module, p->name);
	doctor_read_line(path, answer, sizeof(answer));
	return !answer[0] ? DOCTOR_NOT_TRIED : answer[0] != 'N' && strcmp(answer, "0");
}

static void probe_params(struct doctor_who *w)
{
	char flags[TEXT_MAX], vmx[TEXT_MAX], word[128], wanted[64];
	cpuinfo("flags", flags, sizeof(flags));
	cpuinfo("vmx flags", vmx, sizeof(vmx));
	for (unsigned n = 0; doctor_params[n].module; n++) {
		const struct doctor_param_desc *p = &doctor_params[n];
		struct doctor_param *to = &w->param[n];
		bool intel = !strcmp(p->module, "kvm_intel");
		to->on = read_switch(p);
		to->hardware =
			!p->flag || (intel && !vmx[0]) ? DOCTOR_NOT_TRIED : has_word(intel ? vmx : flags, p->flag);
		snprintf(wanted, sizeof(wanted), "%s.%s=", p->module, p->name);
		if (command_line(wanted, word, sizeof(word)))
			snprintf(to->by, sizeof(to->by), _("the kernel's command line: %s"), word);
		else if (snprintf(wanted, sizeof(wanted), "%s=", p->name) > 0)
			modprobe("options", p->module, wanted, to->by, sizeof(to->by));
	}
}

/* ---- the kernel ---- */

static void probe_kernel(struct doctor_who *w)
{
	struct utsname u;
	unsigned version, level;
	char path[PATH_MAX], line[256], *all = calloc(1, 1 << 20);
	size_t have;
	FILE *f;
	if (uname(&u) == 0 && sscanf(u.release, "%u.%u", &version, &level) == 2)
		w->kernel = version * 1000 + level;
	snprintf(path, sizeof(path), "/boot/config-%s", u.release);
	f = fopen(path, "re");
	have = f && all ? fread(all, 1, (1 << 20) - 1, f) : 0;
	if (f)
		fclose(f);
	w->config_known = have > 1000;
	for (unsigned n = 0; w->config_known && n < DOCTOR_EXT_COUNT; n++) {
		if (!doctor_exts[n].config)
			continue;
		snprintf(line, sizeof(line), "# %s is not set", doctor_exts[n].config);
		size_t at = strlen(w->config_lacks);
		if (strstr(all, line))
			snprintf(w->config_lacks + at, sizeof(w->config_lacks) - at, " %s", doctor_exts[n].config);
	}
	free(all);
}

static void probe_mitigations(struct doctor_who *w)
{
	static const char *const files[] = {"l1tf", "itlb_multihit"}; /* the two that touch what KVM does */
	char path[PATH_MAX], line[128];
	for (unsigned n = 0; n < COUNT_OF(files); n++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s", files[n]);
		doctor_read_line(path, line, sizeof(line));
		if (strstr(line, "VMX:") || strstr(line, "Split"))
			snprintf(w->mitigation[n], sizeof(w->mitigation[n]), "%s: %.100s", files[n], line);
	}
}

void doctor_probe_who(struct doctor_who *w, const struct doctor_kvm *k)
{
	probe_processor(w);
	probe_module(w);
	probe_params(w);
	probe_kernel(w);
	probe_mitigations(w);
}

/* ---- the IOMMU ---- */

/* The groups, their devices, and which kind of translation each has. */
static void probe_groups(struct doctor_iommu *i)
{
	static const char folder[] = "/sys/kernel/iommu_groups";
	char path[PATH_MAX], type[32];
	DIR *d = opendir(folder);
	for (struct dirent *ent; d && (ent = readdir(d));) {
		if (ent->d_name[0] == '.')
			continue;
		i->groups++;
		snprintf(path, sizeof(path), "%s/%s/type", folder, ent->d_name);
		doctor_read_line(path, type, sizeof(type));
		i->identity += !strcmp(type, "identity");
		snprintf(path, sizeof(path), "%s/%s/devices", folder, ent->d_name);
		DIR *devices = opendir(path);
		for (struct dirent *e; devices && (e = readdir(devices));)
			i->devices += e->d_name[0] != '.';
		if (devices)
			closedir(devices);
	}
	if (d)
		closedir(d);
}

/* By doing: a container of VFIO that says it can translate. */
static int try_vfio(void)
{
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), error;
	if (fd < 0)
		return errno;
	error = ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) > 0 ? 0 : ENODEV;
	close(fd);
	return error;
}

void doctor_probe_iommu(struct doctor_iommu *i)
{
	static const char *const off[] = {"intel_iommu=off", "amd_iommu=off", "iommu=off"};
	static const char *const tables[] = {"DMAR", "IVRS"};
	char path[PATH_MAX];
	DIR *d = opendir("/sys/class/iommu");
	for (struct dirent *ent; d && !i->driver[0] && (ent = readdir(d));)
		if (ent->d_name[0] != '.')
			snprintf(i->driver, sizeof(i->driver), "%.31s", ent->d_name);
	if (d)
		closedir(d);
	probe_groups(i);
	i->tables_known = access("/sys/firmware/acpi/tables/", F_OK) == 0;
	for (unsigned n = 0; n < COUNT_OF(tables); n++) {
		snprintf(path, sizeof(path), "/sys/firmware/acpi/tables/%s", tables[n]);
		if (access(path, F_OK) == 0)
			snprintf(i->table, sizeof(i->table), "%s", tables[n]);
	}
	for (unsigned n = 0; n < COUNT_OF(off) && !i->off_by[0]; n++)
		command_line(off[n], i->off_by, sizeof(i->off_by));
	i->vfio_error = try_vfio();
}
