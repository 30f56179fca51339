/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the text of --accel to an accelerator. */
#ifndef PANAL_ACCEL_SELECT_H
#define PANAL_ACCEL_SELECT_H

#include "base/err.h"

struct accel_ops;

enum { ACCEL_WHY_MAX = ERR_TEXT_MAX + 64 };

/*
 * text: "kvm", "soft", "auto" (also NULL), or one of the first two with options: "kvm,irqchip=off". *options points
 * into text, behind the comma, or is NULL. auto measures (accel/bench.h, some 20 ms) and takes KVM only where it is the
 * faster; what was chosen and why is then told in `why`, and so it is when kvm runs user code
 * alone (kvm_user.h); else that is empty. Nothing is remembered.
 * Errors: -EINVAL (unknown name, options after auto), or why the accelerator that was named cannot be used.
 */
int accel_select(const char *text, const struct accel_ops **out, const char **options, char why[ACCEL_WHY_MAX],
		 struct err *e) ATTR_MUST_USE;

#endif
