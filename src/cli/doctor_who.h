/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has something switched off: what the host's files say. Used by doctor_probe.c only. */
#ifndef PANAL_CLI_DOCTOR_WHO_H
#define PANAL_CLI_DOCTOR_WHO_H

#include "cli/doctor.h"

void doctor_probe_who(struct doctor_who *w, const struct doctor_kvm *k);
void doctor_probe_iommu(struct doctor_iommu *i);

/* The file's first line without its end; empty when it cannot be read. */
void doctor_read_line(const char *path, char *buf, size_t size);

#endif
