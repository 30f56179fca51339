/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --numa: a part of the machine's nodes, in terms near QEMU's. */
#ifndef PANAL_VMM_NUMA_OPTION_H
#define PANAL_VMM_NUMA_OPTION_H

#include "arch/x86/numa.h"

/* node|dist|hmat-lb|hmat-cache,... Adds to n, which is zero at first; numa_check says whether it became whole. */
int numa_add(struct numa *n, const char *text, struct err *e) ATTR_MUST_USE;

#endif
