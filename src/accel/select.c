/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/select.h"

#include "accel/bench.h"
#include "accel/kvm/kvm_user.h"
#include "core/accel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static double millions(const struct accel_speed *s)
{
	return (double)s->per_second / 1e6;
}

/* Measures both. An accelerator that cannot be measured loses; the soft CPU is what is left when both do. */
static const struct accel_ops *fastest(char why[ACCEL_WHY_MAX])
{
	struct accel_speed kvm = { 0 }, soft = { 0 };
	const struct accel_ops *by_kvm;
	struct err e = { 0 };
	if (accel_kvm.usable(&e) < 0) {
		snprintf(why, ACCEL_WHY_MAX, "soft, because KVM cannot be used (%s)", e.text);
		return &accel_soft;
	}
	/* A KVM that runs user code alone leaves the kernel to the soft CPU, and each way from one to the other takes
	 * longer than tens of thousands of instructions here: systems do not go that long without a system call. */
	if (kvm_choose(NULL, &by_kvm, &e) < 0 || by_kvm != &accel_kvm) {
		snprintf(why, ACCEL_WHY_MAX, "soft, because %s",
			 e.text[0] ? e.text :
				     "a guest's system calls do not reach its kernel in this host's KVM, and user code "
				     "alone is no gain");
		return &accel_soft;
	}
	if (accel_bench(&accel_kvm, NULL, &kvm, &e) < 0) {
		snprintf(why, ACCEL_WHY_MAX, "soft, because KVM failed the measurement (%s)", e.text);
		return &accel_soft;
	}
	if (accel_bench(&accel_soft, NULL, &soft, &e) < 0) {
		snprintf(why, ACCEL_WHY_MAX, "kvm, because the soft CPU could not be measured (%s)", e.text);
		return &accel_kvm;
	}
	bool take_kvm = kvm.per_second > soft.per_second;
	snprintf(why, ACCEL_WHY_MAX,
		 "%s, the faster here at kernel-mode code: kvm %.1f, soft %.1f million instructions per second",
		 take_kvm ? "kvm" : "soft", millions(&kvm), millions(&soft));
	return take_kvm ? &accel_kvm : &accel_soft;
}

static bool named(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(text, name, len);
}

int accel_select(const char *text, const struct accel_ops **out, const char **options,
		 char why[ACCEL_WHY_MAX], struct err *e)
{
	static const struct accel_ops *const all[] = { &accel_kvm, &accel_soft };
	if (!text)
		text = "auto";
	const char *comma = strchr(text, ',');
	size_t len = comma ? (size_t)(comma - text) : strlen(text);
	why[0] = 0;
	*options = comma ? comma + 1 : NULL;
	if (named(text, len, "auto")) {
		if (comma)
			return err_set(e, -EINVAL,
				       "--accel auto takes no options; name the accelerator: kvm,%s or soft,%s",
				       comma + 1, comma + 1);
		*out = fastest(why);
		return 0;
	}
	for (unsigned n = 0; n < COUNT_OF(all); n++) {
		if (!named(text, len, all[n]->name))
			continue;
		*out = all[n];
		int r = all[n]->usable(e);
		if (r == 0 && all[n] == &accel_kvm)
			r = kvm_choose(*options, out, e);
		if (r == 0 && *out != all[n])
			snprintf(why, ACCEL_WHY_MAX, "kvm for user code, soft for the rest");
		return r;
	}
	return err_set(e, -EINVAL, "--accel %s: unknown; give kvm, soft or auto", text);
}
