/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal doctor: other hosts as injected facts, and this host for real. */
#include "cli/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A host on which everything is as it should be. */
static struct doctor_facts good_host(void)
{
	struct doctor_facts f = {
		.kvm = {.api_version = 12,
			.group = "kvm",
			.user_in_group = true,
			.module_intel = true,
			.nested_paging = 1},
		.speed = {.native = 9000000000, .kvm = 8000000000, .soft = 500000000},
		.who = {.cpuid_virt = true, .cpuinfo_virt = true, .kernel = 6001, .config_known = true},
		.host = {.iommu = {.groups = 12,
				   .devices = 20,
				   .driver = "dmar0",
				   .table = "DMAR",
				   .tables_known = true},
			 .thp = "always [madvise] never",
			 .landlock_abi = 4,
			 .mem_total_kib = 16 << 20,
			 .mem_available_kib = 8 << 20},
	};
	for (unsigned n = 0; n < DOCTOR_EXT_COUNT; n++)
		f.kvm.ext[n] = true;
	for (unsigned n = 0; n < DOCTOR_PARAM_MAX; n++)
		f.who.param[n].on = DOCTOR_NOT_TRIED;
	return f;
}

static const struct doctor_line *find(const struct doctor_report *r, const char *id)
{
	for (unsigned n = 0; n < r->count; n++)
		if (!strcmp(r->line[n].id, id))
			return &r->line[n];
	return NULL;
}

static void test_good(void **unused)
{
	struct doctor_facts f = good_host();
	struct doctor_report r;
	doctor_judge(&f, &r);
	assert_true(r.can_run);
	for (unsigned n = 0; n < r.count; n++) {
		if (r.line[n].status != DOCTOR_OK)
			fail_msg("%s: %s", r.line[n].id, r.line[n].text);
		assert_string_equal(r.line[n].remedy, "");
	}
	assert_non_null(strstr(find(&r, "verdict")->text, "KVM is the faster"));
}

/* One thing wrong each time: which line says so, and what its remedy names. */
static void break_missing(struct doctor_facts *f)
{
	f->kvm.open_error = ENOENT;
	f->kvm.module_intel = false;
	f->speed.kvm = 0;
}
static void in_machine(struct doctor_facts *f, const char *hypervisor)
{
	f->who.virtual_machine = true;
	f->who.cpuid_virt = f->who.cpuinfo_virt = false;
	strcpy(f->who.hypervisor, hypervisor);
}

static void break_nested(struct doctor_facts *f)
{
	break_missing(f);
	in_machine(f, "KVMKVMKVM");
}
static void break_hyperv(struct doctor_facts *f)
{
	break_missing(f);
	in_machine(f, "Microsoft Hv");
}
static void break_unknown_outer(struct doctor_facts *f)
{
	break_missing(f);
	in_machine(f, "bhyve bhyve ");
}
static void break_processor(struct doctor_facts *f)
{
	break_missing(f);
	f->who.cpuid_virt = f->who.cpuinfo_virt = false;
}
static void break_firmware(struct doctor_facts *f)
{
	break_missing(f);
	f->who.cpuinfo_virt = false;
}
static void break_blacklist(struct doctor_facts *f)
{
	break_missing(f);
	strcpy(f->who.module_off, "/etc/modprobe.d/no.conf: blacklist kvm_intel");
}
static void break_node(struct doctor_facts *f)
{
	f->kvm.open_error = ENOENT;
	f->speed.kvm = 0;
}
static void break_group(struct doctor_facts *f)
{
	f->kvm.open_error = EACCES;
	f->kvm.user_in_group = false;
	f->speed.kvm = 0;
}
static void break_lsm(struct doctor_facts *f)
{
	f->kvm.open_error = EACCES;
	f->speed.kvm = 0;
}
static void break_busy(struct doctor_facts *f)
{
	f->kvm.create_vm_error = EBUSY;
	f->speed.kvm = 0;
}
static void break_rival(struct doctor_facts *f)
{
	break_busy(f);
	f->kvm.module_vbox = true;
}
static void break_vmware(struct doctor_facts *f)
{
	f->kvm.module_vmware = true;
}
static void break_api(struct doctor_facts *f)
{
	f->kvm.api_version = 11;
	f->speed.kvm = 0;
}
static void break_slow(struct doctor_facts *f)
{
	f->speed.kvm = 3000000;
}
static void break_syscall(struct doctor_facts *f)
{
	f->speed.kvm_user_alone = true;
}
static void break_run(struct doctor_facts *f)
{
	f->speed.kvm = 0;
	strcpy(f->speed.kvm_error, "it fell over");
}
static void break_ext(struct doctor_facts *f)
{
	f->kvm.ext[3] = false;
}
static void break_iommu(struct doctor_facts *f)
{
	f->host.iommu.groups = 0;
}
static void break_iommu_line(struct doctor_facts *f)
{
	break_iommu(f);
	strcpy(f->host.iommu.off_by, "intel_iommu=off");
}
static void break_iommu_firmware(struct doctor_facts *f)
{
	break_iommu(f);
	f->host.iommu.table[0] = 0;
}
static void break_iommu_outer(struct doctor_facts *f)
{
	break_iommu_firmware(f);
	in_machine(f, "KVMKVMKVM");
}
static void break_iommu_amd(struct doctor_facts *f)
{
	break_iommu(f);
	strcpy(f->host.iommu.table, "IVRS");
}
static void break_vfio(struct doctor_facts *f)
{
	f->host.iommu.vfio_error = ENOENT;
}
static void break_vfio_rights(struct doctor_facts *f)
{
	f->host.iommu.vfio_error = EACCES;
}
static void break_old(struct doctor_facts *f)
{
	f->kvm.ext[7] = false;
	f->who.kernel = 5010;
}
static void break_config(struct doctor_facts *f)
{
	f->kvm.ext[13] = false;
	strcpy(f->who.config_lacks, " CONFIG_KVM_IOAPIC2 CONFIG_KVM_SMM");
}
static void break_scaling(struct doctor_facts *f)
{
	f->kvm.ext[12] = false;
}
static void break_scaling_outer(struct doctor_facts *f)
{
	f->kvm.ext[12] = false;
	in_machine(f, "XenVMMXenVMM");
}
static void break_module(struct doctor_facts *f)
{
	f->kvm.ext[3] = false;
	f->kvm.module_other = true;
	strcpy(f->kvm.module, "kvm_odd");
}

/* The parameter of that name, off. */
static struct doctor_param *off(struct doctor_facts *f, const char *name)
{
	unsigned n = 0;
	while (strcmp(doctor_params[n].name, name))
		n++;
	f->who.param[n].on = 0;
	f->who.param[n].hardware = 1;
	return &f->who.param[n];
}
static void break_ept(struct doctor_facts *f)
{
	f->kvm.nested_paging = 0;
	off(f, "ept");
}
static void break_ept_by(struct doctor_facts *f)
{
	break_ept(f);
	strcpy(off(f, "ept")->by, "the kernel's command line: kvm_intel.ept=0");
}
static void break_apicv(struct doctor_facts *f)
{
	off(f, "enable_apicv")->hardware = 0;
}
static void break_apicv_outer(struct doctor_facts *f)
{
	break_apicv(f);
	in_machine(f, "Microsoft Hv");
}
static void break_pml(struct doctor_facts *f)
{
	off(f, "pml");
}

static void break_thp(struct doctor_facts *f)
{
	strcpy(f->host.thp, "always madvise [never]");
}
static void break_tun(struct doctor_facts *f)
{
	f->host.tun_open_error = ENOENT;
}
static void break_tap(struct doctor_facts *f)
{
	f->host.tun_create_error = EPERM;
}
static void break_uring(struct doctor_facts *f)
{
	f->host.io_uring_error = EPERM;
}
static void break_userns(struct doctor_facts *f)
{
	f->host.userns_error = EPERM;
}
static void break_landlock(struct doctor_facts *f)
{
	f->host.landlock_abi = 0;
}
static void break_seccomp(struct doctor_facts *f)
{
	f->host.seccomp_error = ENOSYS;
}
static void break_commit(struct doctor_facts *f)
{
	f->host.overcommit = 2;
}
static void break_full(struct doctor_facts *f)
{
	f->host.mem_available_kib = 100 << 10;
}
static void break_soft(struct doctor_facts *f)
{
	f->speed.soft = 0;
	strcpy(f->speed.soft_error, "no executable memory");
}

static void test_broken(void **unused)
{
	static const struct {
		void (*apply)(struct doctor_facts *f);
		const char *id, *remedy;
		enum doctor_status status;
	} table[] = {
		{break_missing, "kvm-device", "modprobe", DOCTOR_WARN},
		{break_nested, "kvm-device", "nested virtualization", DOCTOR_WARN},
		{break_node, "kvm-device", "container", DOCTOR_WARN},
		{break_group, "kvm-device", "usermod -aG kvm", DOCTOR_WARN},
		{break_lsm, "kvm-device", "AppArmor", DOCTOR_WARN},
		{break_busy, "kvm-machine", "another hypervisor", DOCTOR_FAIL},
		{break_rival, "kvm-rivals", "vboxdrv", DOCTOR_FAIL},
		{break_vmware, "kvm-rivals", "vmmon", DOCTOR_WARN},
		{break_api, "kvm-api", "kernel", DOCTOR_FAIL},
		{break_slow, "kvm-speed", "--accel at auto", DOCTOR_WARN},
		{break_syscall, "kvm-syscall", "the soft CPU the rest", DOCTOR_WARN},
		{break_run, "kvm-speed", "--accel soft", DOCTOR_WARN},
		{break_hyperv, "kvm-device", "ExposeVirtualizationExtensions", DOCTOR_WARN},
		{break_unknown_outer, "kvm-device", "bhyve", DOCTOR_WARN},
		{break_processor, "kvm-device", "neither VT-x nor SVM", DOCTOR_WARN},
		{break_firmware, "kvm-device", "firmware has switched it off", DOCTOR_WARN},
		{break_blacklist, "kvm-device", "/etc/modprobe.d/no.conf: blacklist kvm_intel", DOCTOR_WARN},
		{break_ext, "kvm-missing", "newer host kernel", DOCTOR_WARN},
		{break_module, "kvm-missing", "only kvm_intel and kvm_amd", DOCTOR_WARN},
		{break_old, "kvm-missing", "newer host kernel", DOCTOR_OK},
		{break_config, "kvm-missing", "host kernel with it", DOCTOR_OK},
		{break_scaling, "kvm-missing", "moved to another processor", DOCTOR_OK},
		{break_scaling_outer, "kvm-missing", "administrator above", DOCTOR_OK},
		{break_ept_by, "nested-paging", "kernel's command line: kvm_intel.ept=0", DOCTOR_WARN},
		{break_apicv, "kvm-off", "processor has none", DOCTOR_OK},
		{break_apicv_outer, "kvm-off", "Microsoft Hv", DOCTOR_OK},
		{break_pml, "kvm-off", "pml=1", DOCTOR_OK},
		{break_iommu_line, "iommu", "intel_iommu=off: boot without", DOCTOR_WARN},
		{break_iommu_amd, "iommu", "amd_iommu=on", DOCTOR_WARN},
		{break_iommu_firmware, "iommu", "firmware describes none", DOCTOR_WARN},
		{break_iommu_outer, "iommu", "hypervisor above", DOCTOR_WARN},
		{break_vfio, "vfio", "vfio-pci", DOCTOR_WARN},
		{break_vfio_rights, "vfio", "administrator", DOCTOR_WARN},
		{break_ept, "nested-paging", "ept=1", DOCTOR_WARN},
		{break_iommu, "iommu", "boot with intel_iommu=on", DOCTOR_WARN},
		{break_thp, "huge-pages", "transparent_hugepage/enabled", DOCTOR_WARN},
		{break_tun, "tun", "modprobe tun", DOCTOR_WARN},
		{break_tap, "tun", "ip tuntap", DOCTOR_WARN},
		{break_uring, "io-uring", "io_uring_disabled", DOCTOR_WARN},
		{break_userns, "user-namespaces", "userns", DOCTOR_WARN},
		{break_landlock, "landlock", "lsm=landlock", DOCTOR_WARN},
		{break_seccomp, "seccomp", "CONFIG_SECCOMP", DOCTOR_WARN},
		{break_commit, "memory", "overcommit_memory", DOCTOR_WARN},
		{break_full, "memory", "less memory", DOCTOR_WARN},
		{break_soft, "soft-cpu", "execmem", DOCTOR_FAIL},
	};
	for (unsigned n = 0; n < COUNT_OF(table); n++) {
		struct doctor_facts f = good_host();
		struct doctor_report r;
		table[n].apply(&f);
		doctor_judge(&f, &r);
		const struct doctor_line *l = find(&r, table[n].id);
		if (!l || l->status != table[n].status || !strstr(l->remedy, table[n].remedy))
			fail_msg("row %u: %s: status %d, text '%s', remedy '%s'", n, table[n].id,
				 l ? (int)l->status : -1, l ? l->text : "", l ? l->remedy : "");
		assert_true(r.can_run);
	}
}

static void test_nothing_runs(void **unused)
{
	struct doctor_facts f = good_host();
	struct doctor_report r;
	break_missing(&f);
	break_soft(&f);
	doctor_judge(&f, &r);
	assert_false(r.can_run);
	assert_int_equal(find(&r, "verdict")->status, DOCTOR_FAIL);
}

/* ---- this host ---- */

static char *report_of_this_host(bool json, int *status)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	*status = doctor_run(&doctor_this_host, out, json);
	fclose(out);
	return text;
}

static void test_this_host(void **unused)
{
	int status;
	char *text = report_of_this_host(false, &status);
	unsigned lines = 0;
	for (char *save = NULL, *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), lines++)
		if (strncmp(l, "OK ", 3) && strncmp(l, "WARN ", 5) && strncmp(l, "FAIL ", 5) && !strstr(l, "-> "))
			fail_msg("a line without a status: %s", l);
	assert_true(lines > 10);
	assert_int_equal(status, 0);
	free(text);
}

static void test_json(void **unused)
{
	int status;
	char *text = report_of_this_host(true, &status);
	json_t *all = json_loads(text, 0, NULL);
	assert_non_null(all);
	assert_int_equal(json_is_true(json_object_get(all, "can-run")), status == 0);
	size_t n;
	json_t *check;
	json_array_foreach(json_object_get(all, "checks"), n, check)
	{
		const char *s = json_string_value(json_object_get(check, "status"));
		assert_true(s && (!strcmp(s, "OK") || !strcmp(s, "WARN") || !strcmp(s, "FAIL")));
		if (strcmp(s, "OK"))
			assert_true(json_string_length(json_object_get(check, "remedy")) > 0);
	}
	assert_true(n > 10);
	json_decref(all);
	free(text);
}

static void test_arguments(void **unused)
{
	char name[] = "doctor", wrong[] = "--jsn";
	char *argv[] = {name, wrong, NULL};
	assert_int_equal(doctor_main(2, argv), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_broken), cmocka_unit_test(test_nothing_runs),
		cmocka_unit_test(test_this_host), cmocka_unit_test(test_json),   cmocka_unit_test(test_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
