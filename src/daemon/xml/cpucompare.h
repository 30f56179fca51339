/* SPDX-License-Identifier: GPL-2.0-or-later */
/* <cpu> documents beside each other and beside this host's processor. */
#ifndef PANAL_DAEMON_XML_CPUCOMPARE_H
#define PANAL_DAEMON_XML_CPUCOMPARE_H

#include "base/err.h"

/* The numbers are the protocol's. */
enum cpu_compare { CPU_INCOMPATIBLE, CPU_IDENTICAL, CPU_SUPERSET };

/*
 * The host beside the <cpu> (which may lie in a <domain> or <capabilities>): incompatible when it is of another model
 * or lacks a feature that is asked for; else identical, or a superset when it has more than is named. A model is known
 * by its name alone: another name is another processor. Errors: -EILSEQ (no XML), -EINVAL (no <cpu>, no model),
 * -ENOMEM.
 */
int cpu_compare(const char *xml, enum cpu_compare *out, struct err *e) ATTR_MUST_USE;
/* A <cpu> that all of them have, which must be of one model: its features are those that each has. *out is malloc'ed.
 * -ENOTSUP: they have nothing in common. */
int cpu_baseline(const char *const *xml, unsigned count, char **out, struct err *e) ATTR_MUST_USE;

#endif
