/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has switched off what of the processor's virtualization and of the IOMMU, from facts to lines. */
#include "cli/doctor.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

/* ---- the device is missing ---- */

/* How a host's own hypervisor lets its guests have virtualization. */
static const struct {
	const char *signature, *name, *how;
} outer[] = {
	{"KVMKVMKVM", "KVM",
	 N_("on the outer host: kvm_intel.nested=1 or kvm_amd.nested=1, and the processor passed through "
	    "(-cpu host, or mode host-passthrough)")},
	{"TCGTCGTCGTCG", N_("QEMU without KVM"), N_("run the outer machine under KVM, or live with --accel soft")},
	{"Microsoft Hv", "Hyper-V",
	 N_("on the outer host: Set-VMProcessor -VMName NAME -ExposeVirtualizationExtensions $true")},
	{"VMwareVMware", "VMware",
	 N_("in the outer machine's settings: \"Expose hardware assisted virtualization\" (vhv.enable)")},
	{"XenVMMXenVMM", "Xen", N_("in the outer machine's configuration: nestedhvm=1")},
	{"VBoxVBoxVBox", "VirtualBox", N_("on the outer host: VBoxManage modifyvm NAME --nested-hw-virt on")},
};

static void outer_hypervisor(const struct doctor_who *w, struct doctor_line *l)
{
	for (unsigned n = 0; n < COUNT_OF(outer); n++)
		if (!strcmp(outer[n].signature, w->hypervisor)) {
			doctor_remedy(l,
				      _("this host is itself a virtual machine of %s, which withholds nested "
					"virtualization; %s; until then --accel soft is what runs"),
				      _(outer[n].name), _(outer[n].how));
			return;
		}
	doctor_remedy(l,
		      _("this host is itself a virtual machine (of \"%s\"), which withholds nested virtualization: ask "
			"its administrator; until then --accel soft is what runs"),
		      w->hypervisor);
}

void doctor_judge_device_missing(const struct doctor_facts *f, struct doctor_line *l)
{
	const struct doctor_kvm *k = &f->kvm;
	const struct doctor_who *w = &f->who;
	if (k->module_intel || k->module_amd || k->module_other)
		doctor_remedy(l, _("the KVM module is loaded, so the device node is missing: ask for it in this "
				   "container (--device /dev/kvm), or have udev or mknod make it"));
	else if (!w->cpuid_virt && w->virtual_machine)
		outer_hypervisor(w, l);
	else if (!w->cpuid_virt)
		doctor_remedy(l, _("this processor has neither VT-x nor SVM; --accel soft is what runs"));
	else if (!w->cpuinfo_virt)
		doctor_remedy(l, _("the processor has it and the kernel found it locked: the firmware has switched it "
				   "off; switch VT-x or SVM on in its setup; until then --accel soft is what runs"));
	else if (w->module_off[0])
		doctor_remedy(l,
			      _("the module is kept out by %s: remove that, then modprobe kvm_intel or kvm_amd; until "
				"then --accel soft is what runs"),
			      w->module_off);
	else
		doctor_remedy(l,
			      _("load the module: modprobe kvm_intel or kvm_amd; when dmesg says \"disabled by bios\", "
				"switch VT-x or SVM on in the firmware setup; until then --accel soft is what runs"));
}

/* ---- what KVM does not offer ---- */

static bool listed(const char *list, const char *word)
{
	const char *at = word ? strstr(list, word) : NULL;
	return at && (at[strlen(word)] == ' ' || !at[strlen(word)]);
}

static void ext_missing(const struct doctor_facts *f, const struct doctor_ext *x, enum doctor_status status,
			struct doctor_report *r)
{
	const struct doctor_who *w = &f->who;
	struct doctor_line *l;
	const char *module = f->kvm.module[0] ? f->kvm.module : "kvm";
	if (w->kernel && w->kernel < x->since) {
		l = doctor_line(r, status, "kvm-missing", _("no %s: this kernel is older than %u.%u, which brought it"),
				x->name, x->since / 1000, x->since % 1000);
		doctor_remedy(l, _("%s; run a newer host kernel"), _(x->loss));
	} else if (listed(w->config_lacks, x->config)) {
		l = doctor_line(r, status, "kvm-missing", _("no %s: this kernel was built without %s"), x->name,
				x->config);
		doctor_remedy(l, _("%s; run a host kernel with it"), _(x->loss));
	} else if (x->hardware && w->virtual_machine) {
		l = doctor_line(r, status, "kvm-missing",
				_("no %s: the hypervisor above this host (%s) does not pass it on"), x->name,
				w->hypervisor);
		doctor_remedy(l, _("%s; the administrator above may offer it"), _(x->loss));
	} else if (x->hardware) {
		l = doctor_line(r, status, "kvm-missing", _("no %s: this processor has none"), x->name);
		doctor_remedy(l, "%s", _(x->loss));
	} else {
		l = doctor_line(r, status, "kvm-missing", _("no %s: the module %s does not offer it"), x->name, module);
		doctor_remedy(l, _("%s; %s"), _(x->loss),
			      f->kvm.module_other ? _("only kvm_intel and kvm_amd have all of it")
						  : _("a newer host kernel may have it"));
	}
}

void doctor_judge_extensions(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_kvm *k = &f->kvm;
	char have[300] = "";
	for (unsigned n = 0; n < DOCTOR_EXT_COUNT; n++)
		if (k->ext[n])
			snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", have[0] ? " " : "",
				 doctor_exts[n].name);
	doctor_line(r, DOCTOR_OK, "kvm-extensions", _("offered: %s"), have[0] ? have : _("none"));
	for (unsigned n = 0; n < DOCTOR_EXT_COUNT; n++)
		/* irqchip, ioeventfd, irqfd, msi: without them each interrupt and each doorbell costs an exit */
		if (!k->ext[n])
			ext_missing(f, &doctor_exts[n], n == 0 || (n >= 2 && n <= 4) ? DOCTOR_WARN : DOCTOR_OK, r);
}

/* ---- what the module has switched off ---- */

static void param_off(const struct doctor_facts *f, unsigned n, struct doctor_report *r)
{
	const struct doctor_param_desc *p = &doctor_params[n];
	const struct doctor_param *is = &f->who.param[n];
	/* nested paging alone makes machines slow; the rest is for those who look for it */
	bool paging = !strcmp(p->name, "ept") || !strcmp(p->name, "npt");
	struct doctor_line *l = doctor_line(r, paging ? DOCTOR_WARN : DOCTOR_OK, paging ? "nested-paging" : "kvm-off",
					    _("%s is off in %s: %s"), p->name, p->module, _(p->loss));
	if (is->hardware == 0 && f->who.virtual_machine)
		doctor_remedy(l, _("the hypervisor above this host (%s) does not pass it on: its administrator may"),
			      f->who.hypervisor);
	else if (is->hardware == 0)
		doctor_remedy(l, _("this processor has none, or its firmware has switched it off"));
	else if (is->by[0])
		doctor_remedy(l, _("switched off by %s; without that: modprobe -r %s && modprobe %s %s=1"), is->by,
			      p->module, p->module, p->name);
	else
		doctor_remedy(l,
			      _("off by the module's default, or by who loaded it: modprobe -r %s && modprobe %s %s=1"),
			      p->module, p->module, p->name);
}

static void judge_nested_paging(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_kvm *k = &f->kvm;
	if (k->nested_paging == 1)
		doctor_line(r, DOCTOR_OK, "nested-paging", _("%s is on"), k->module_amd ? "NPT" : "EPT");
	else if (k->nested_paging < 0)
		doctor_remedy(doctor_line(r, DOCTOR_WARN, "nested-paging",
					  _("this host's KVM module%s%s does not tell%s"), k->module[0] ? " " : "",
					  k->module,
					  k->module_other ? _(" (it is neither kvm_intel nor kvm_amd)") : ""),
			      _("judge by kvm-speed"));
}

void doctor_judge_params(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_who *w = &f->who;
	char on[300] = "";
	judge_nested_paging(f, r);
	for (unsigned n = 0; n < DOCTOR_PARAM_MAX && doctor_params[n].module; n++)
		if (w->param[n].on == 1)
			snprintf(on + strlen(on), sizeof(on) - strlen(on), "%s%s", on[0] ? " " : "",
				 doctor_params[n].name);
	if (on[0])
		doctor_line(r, DOCTOR_OK, "kvm-parameters", _("on: %s"), on);
	for (unsigned n = 0; n < DOCTOR_PARAM_MAX && doctor_params[n].module; n++)
		if (w->param[n].on == 0)
			param_off(f, n, r);
	for (unsigned n = 0; n < COUNT_OF(w->mitigation); n++)
		if (w->mitigation[n][0])
			doctor_line(r, DOCTOR_OK, "kvm-mitigations", _("guests pay for a hole of this processor, %s"),
				    w->mitigation[n]);
}

/* ---- IOMMU ---- */

static void iommu_missing(const struct doctor_facts *f, struct doctor_line *l)
{
	const struct doctor_iommu *i = &f->host.iommu;
	const char *amd = !strcmp(i->table, "IVRS") ? "amd_iommu=on" : "intel_iommu=on";
	if (i->off_by[0])
		doctor_remedy(l, _("the kernel's command line has %s: boot without it"), i->off_by);
	else if (i->table[0])
		doctor_remedy(l,
			      _("the firmware describes one (table %s) and the kernel does not use it: boot with %s"),
			      i->table, amd);
	else if (f->who.virtual_machine)
		doctor_remedy(l,
			      _("only if you want that: the hypervisor above this host (%s) gives it no IOMMU; its "
				"administrator can (QEMU: -device intel-iommu)"),
			      f->who.hypervisor);
	else if (i->tables_known)
		doctor_remedy(l, _("only if you want that: the firmware describes none; switch VT-d or AMD-Vi on in "
				   "its setup, and boot with intel_iommu=on on Intel"));
	else
		doctor_remedy(l, _("only if you want that: switch VT-d or AMD-Vi on in the firmware setup, and boot "
				   "with intel_iommu=on on Intel"));
}

void doctor_judge_iommu(const struct doctor_facts *f, struct doctor_report *r)
{
	const struct doctor_iommu *i = &f->host.iommu;
	struct doctor_line *l;
	if (!i->groups) {
		l = doctor_line(r, DOCTOR_WARN, "iommu",
				_("no IOMMU is at work (no groups%s%s): no device can be passed through"),
				i->driver[0] ? _(", though there is ") : "", i->driver);
		iommu_missing(f, l);
		return;
	}
	doctor_line(
		r, DOCTOR_OK, "iommu",
		_("%u groups with %u devices%s%s; the host's own transfers are translated in %u, not in %u (identity)"),
		i->groups, i->devices, i->driver[0] ? _(" behind ") : "", i->driver, i->groups - i->identity,
		i->identity);
	if (!i->vfio_error) {
		doctor_line(r, DOCTOR_OK, "vfio", _("VFIO translates: devices can be passed through"));
		return;
	}
	l = doctor_line(r, DOCTOR_WARN, "vfio", _("VFIO cannot be used (%s): no device can be passed through"),
			strerror(i->vfio_error));
	doctor_remedy(l, i->vfio_error == EACCES || i->vfio_error == EPERM
				 ? _("only if you want that: ask the administrator for access to /dev/vfio")
				 : _("only if you want that: modprobe vfio-pci, and give it the device"));
}
