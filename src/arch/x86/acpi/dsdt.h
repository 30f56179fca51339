/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DSDT's definition block: the machine's devices as AML. */
#ifndef PANAL_ARCH_X86_ACPI_DSDT_H
#define PANAL_ARCH_X86_ACPI_DSDT_H

#include "arch/x86/acpi/acpi.h"
#include "arch/x86/acpi/aml.h"

/* Appends the terms (without the table header). Failures are in a->failed. Gives the place of the doubleword with the
 * generation ID's address, which firmware fills in; 0: there is none. */
size_t dsdt_write(struct aml *a, const struct acpi_config *cfg);

#endif
