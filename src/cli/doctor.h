/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal doctor: what of this host a machine can use, line by line, with a remedy where something is missing.
 *
 * Two halves: probes find facts by doing (doctor_probe.c) and, for who has something switched off, by reading
 * (doctor_who.c); judges turn facts into lines (doctor_judge.c, doctor_judge_off.c) and touch nothing. Tests hand in
 * facts of other hosts.
 */
#ifndef PANAL_CLI_DOCTOR_H
#define PANAL_CLI_DOCTOR_H

#include "base/compiler.h"
#include "base/err.h"
#include <stdio.h>

/* What a try gave: 0, a positive errno, or NOT_TRIED. */
enum { DOCTOR_NOT_TRIED = -1 };

enum { DOCTOR_EXT_COUNT = 14, DOCTOR_PARAM_MAX = 20 };

struct doctor_facts {
	struct doctor_kvm {
		int open_error, create_vm_error, create_vcpu_error;
		int api_version;
		char group[32]; /* of /dev/kvm; empty when it has no name */
		bool user_in_group;
		bool ext[DOCTOR_EXT_COUNT]; /* by doctor_ext_name */
		char module[32];          /* that uses kvm: "kvm_intel"; empty: none, or it does not tell */
		bool module_intel, module_amd, module_other, module_vbox, module_vmware;
		int nested_paging; /* 1, 0, or -1: the module does not tell */
	} kvm;
	/* What shows who has something switched off. */
	struct doctor_who {
		bool virtual_machine;      /* this host is a guest itself */
		char hypervisor[16];       /* of this host, as CPUID names it: "KVMKVMKVM" */
		bool cpuid_virt;           /* the processor says that it has VT-x or SVM */
		bool cpuinfo_virt;         /* the kernel has left it so: firmware may have locked it */
		char module_off[160];      /* what keeps KVM's module from being loaded; empty: nothing found */
		unsigned kernel;           /* version * 1000 + patch level: 6001 is 6.1; 0: unknown */
		bool config_known;         /* the kernel's configuration could be read */
		char config_lacks[256];    /* " CONFIG_KVM_SMM ..." of those asked for that are not in it */
		struct doctor_param {
			int on;            /* 1, 0, or DOCTOR_NOT_TRIED: there is no such parameter */
			int hardware;      /* the processor has it: 1, 0, or DOCTOR_NOT_TRIED: not known */
			char by[160];      /* who says so: a line of a file, the command line; empty: nobody found */
		} param[DOCTOR_PARAM_MAX]; /* by doctor_params */
		char mitigation[2][128];   /* what sysfs says of holes that cost a guest time; empty: nothing */
	} who;
	struct doctor_speed {
		uint64_t native, kvm, soft; /* instructions per second; 0: not measured */
		bool kvm_user_alone;        /* a system call does not reach a guest's kernel */
		char kvm_error[ERR_TEXT_MAX], soft_error[ERR_TEXT_MAX];
	} speed;
	struct doctor_host_facts {
		struct doctor_iommu {
			unsigned groups, devices; /* devices: in them */
			unsigned identity;        /* groups whose device's own transfers are not translated */
			char driver[32];          /* "dmar0"; empty: none is at work */
			char table[8];            /* the firmware's description: "DMAR", "IVRS"; empty: none */
			bool tables_known;        /* the firmware's tables could be listed */
			char off_by[64];          /* of the kernel's command line: "intel_iommu=off"; empty: nothing */
			int vfio_error;           /* of opening /dev/vfio/vfio and asking for its IOMMU */
		} iommu;
		char thp[64]; /* the kernel's line; empty: none */
		uint64_t hugetlb_total, hugetlb_free, hugetlb_kib;
		int tun_open_error, tun_create_error;
		int io_uring_error, userns_error;
		int landlock_abi; /* 0: none */
		int seccomp_error;
		int overcommit; /* /proc/sys/vm/overcommit_memory; -1 unknown */
		uint64_t mem_total_kib, mem_available_kib;
	} host;
};

/* A capability of KVM: where it comes from tells who has it off. */
struct doctor_ext {
	const char *name;
	unsigned since;     /* the kernel that brought it, as in doctor_who */
	const char *config; /* the kernel's build option; NULL: none */
	bool hardware;      /* the processor must have it */
	const char *loss;   /* what is missing without it */
};
extern const struct doctor_ext doctor_exts[DOCTOR_EXT_COUNT];

/* A parameter of a KVM module that switches a part of the processor's virtualization. */
struct doctor_param_desc {
	const char *module, *name;
	const char *flag; /* in /proc/cpuinfo; NULL: not told there */
	const char *loss;
};
extern const struct doctor_param_desc doctor_params[DOCTOR_PARAM_MAX]; /* ends with module NULL */

/* Where the facts come from. */
struct doctor_source {
	void (*kvm)(struct doctor_kvm *k);
	void (*who)(struct doctor_who *w, const struct doctor_kvm *k);
	void (*speed)(struct doctor_speed *s, const struct doctor_kvm *k);
	void (*host)(struct doctor_host_facts *h);
};
extern const struct doctor_source doctor_this_host;

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_line {
	enum doctor_status status;
	const char *id;   /* "kvm-device"; for scripts: the same in every language */
	char text[480];   /* what was found */
	char remedy[480]; /* what to do; empty when nothing is missing */
};

enum { DOCTOR_LINE_MAX = 64 };
struct doctor_report {
	struct doctor_line line[DOCTOR_LINE_MAX];
	unsigned count;
	bool can_run; /* some accelerator works */
};

void doctor_judge(const struct doctor_facts *f, struct doctor_report *r);

/* The parts of it in doctor_judge_off.c: who has switched off what of KVM, and the IOMMU. */
void doctor_judge_device_missing(const struct doctor_facts *f, struct doctor_line *l);
void doctor_judge_extensions(const struct doctor_facts *f, struct doctor_report *r);
void doctor_judge_params(const struct doctor_facts *f, struct doctor_report *r);
void doctor_judge_iommu(const struct doctor_facts *f, struct doctor_report *r);

/* A line of the report, and what to do about it. */
struct doctor_line *doctor_line(struct doctor_report *r, enum doctor_status status, const char *id, const char *fmt,
				...) ATTR_PRINTF(4, 5);
void doctor_remedy(struct doctor_line *l, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Prints the report of that source; the exit status: 0 when a machine can run on this host, else 1. */
int doctor_run(const struct doctor_source *source, FILE *out, bool json);

/* The sub-command: panal doctor [--json]. */
int doctor_main(int argc, char **argv);

#endif
