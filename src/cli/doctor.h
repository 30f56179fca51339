/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal doctor: what of this host a machine can use, line by line, with a remedy where something is missing.
 *
 * Two halves: probes find facts by doing (doctor_probe.c), judges turn facts into lines (doctor_judge.c) and touch
 * nothing. Tests hand in facts of other hosts.
 */
#ifndef PANAL_CLI_DOCTOR_H
#define PANAL_CLI_DOCTOR_H

#include "base/compiler.h"
#include "base/err.h"
#include <stdio.h>

/* What a try gave: 0, a positive errno, or NOT_TRIED. */
enum { DOCTOR_NOT_TRIED = -1 };

enum { DOCTOR_EXT_COUNT = 14 };

struct doctor_facts {
	struct doctor_kvm {
		int open_error, create_vm_error, create_vcpu_error;
		int api_version;
		char group[32]; /* of /dev/kvm; empty when it has no name */
		bool user_in_group;
		bool ext[DOCTOR_EXT_COUNT]; /* by doctor_ext_name */
		bool module_intel, module_amd, module_other, module_vbox, module_vmware;
		int nested_paging; /* 1, 0, or -1: the module does not tell */
		bool virtual_machine; /* this host is a guest itself */
	} kvm;
	struct doctor_speed {
		uint64_t native, kvm, soft; /* instructions per second; 0: not measured */
		char kvm_error[ERR_TEXT_MAX], soft_error[ERR_TEXT_MAX];
	} speed;
	struct doctor_host_facts {
		unsigned iommu_groups;
		char thp[64], thp_shmem[128]; /* the kernel's lines; empty: none */
		uint64_t hugetlb_total, hugetlb_free, hugetlb_kib;
		int tun_open_error, tun_create_error;
		int io_uring_error, userns_error;
		int landlock_abi; /* 0: none */
		int seccomp_error;
		int overcommit; /* /proc/sys/vm/overcommit_memory; -1 unknown */
		uint64_t mem_total_kib, mem_available_kib;
	} host;
};

extern const char *const doctor_ext_name[DOCTOR_EXT_COUNT];

/* Where the facts come from. */
struct doctor_source {
	void (*kvm)(struct doctor_kvm *k);
	void (*speed)(struct doctor_speed *s, const struct doctor_kvm *k);
	void (*host)(struct doctor_host_facts *h);
};
extern const struct doctor_source doctor_this_host;

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_line {
	enum doctor_status status;
	const char *id;   /* "kvm-device" */
	char text[320];   /* what was found */
	char remedy[320]; /* what to do; empty when nothing is missing */
};

enum { DOCTOR_LINE_MAX = 32 };
struct doctor_report {
	struct doctor_line line[DOCTOR_LINE_MAX];
	unsigned count;
	bool can_run; /* some accelerator works */
};

void doctor_judge(const struct doctor_facts *f, struct doctor_report *r);

/* Prints the report of that source; the exit status: 0 when a machine can run on this host, else 1. */
int doctor_run(const struct doctor_source *source, FILE *out, bool json);

/* The sub-command: panal doctor [--json]. */
int doctor_main(int argc, char **argv);

#endif
