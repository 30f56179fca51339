/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processors compared: what a machine would find on this host, what several hosts have in common. */
#include "daemon/remote/remote.h"

#include "cpu/model.h"
#include "daemon/xml/cpucompare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COMPARE_FAIL = 1, COMPARE_VALIDATE = 2, BASELINE_FLAGS = 1 | 2 /* expand, migratable */, BASELINE_MAX = 256 };
enum { FAULT_CPU_INCOMPATIBLE = 91 };

static int bad(struct call *c, int ret, const struct err *e)
{
	if (ret == -ENOTSUP)
		return fault_set(&c->fault, FAULT_CONFIG_UNSUPPORTED, FROM_CPU, "%s", e->text);
	return ret == -ENOMEM ? fault_from_err(&c->fault, FAULT_NO_MEMORY, FROM_CPU, e) :
				fault_set(&c->fault, FAULT_XML, FROM_CPU, "%s", e->text);
}

static int compare(struct call *c, const char *xml, unsigned flags)
{
	enum cpu_compare result;
	struct err e = { 0 };
	int ret = cpu_compare(xml, &result, &e);

	if (ret < 0)
		return bad(c, ret, &e);
	if (result == CPU_INCOMPATIBLE && (flags & COMPARE_FAIL))
		return fault_set(&c->fault, FAULT_CPU_INCOMPATIBLE, FROM_CPU,
				 "the CPU is incompatible with host CPU: another model, or a feature is missing");
	xdr_i32(&c->out, (int)result);
	return CALL_DONE;
}

static int baseline(struct call *c, const struct value *list)
{
	const char *xml[BASELINE_MAX];
	struct err e = { 0 };
	char *text = NULL;
	int ret;

	if (list->count > BASELINE_MAX)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_CPU, "%u CPUs are too many", list->count);
	for (uint32_t n = 0; n < list->count; n++)
		xml[n] = list->items[n].s;
	ret = cpu_baseline(xml, list->count, &text, &e);
	if (ret < 0)
		return bad(c, ret, &e);
	xdr_string(&c->out, text);
	free(text);
	return CALL_DONE;
}

/* The names that <cpu mode='custom'> takes. */
static int model_names(struct call *c)
{
	const char *arch = call_s(c, 0);
	unsigned count = 0;

	if (strcmp(arch, "x86_64") && strcmp(arch, "i686"))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_CPU, "cannot find architecture %s", arch);
	while (cpu_model_at(count))
		count++;
	xdr_u32(&c->out, call_i(c, 1) ? count : 0);
	for (unsigned n = 0; call_i(c, 1) && n < count; n++)
		xdr_string(&c->out, cpu_model_at(n)->name);
	xdr_i32(&c->out, (int)count);
	return CALL_DONE;
}

static int compare_host(struct call *c)
{
	return compare(c, call_s(c, 0), call_u(c, 1));
}

static int compare_hypervisor(struct call *c)
{
	return compare(c, call_s(c, 4), call_u(c, 5));
}

static int baseline_host(struct call *c)
{
	return baseline(c, call_arg(c, 0));
}

static int baseline_hypervisor(struct call *c)
{
	return baseline(c, call_arg(c, 4));
}

const struct handler remote_cpu[] = {
	{"CONNECT_GET_CPU_MODEL_NAMES", model_names},
	{"CONNECT_COMPARE_CPU", compare_host, NULL, COMPARE_FAIL | COMPARE_VALIDATE},
	{"CONNECT_COMPARE_HYPERVISOR_CPU", compare_hypervisor, NULL, COMPARE_FAIL | COMPARE_VALIDATE},
	{"CONNECT_BASELINE_CPU", baseline_host, NULL, BASELINE_FLAGS},
	{"CONNECT_BASELINE_HYPERVISOR_CPU", baseline_hypervisor, NULL, BASELINE_FLAGS},
};
const unsigned remote_cpu_count = COUNT_OF(remote_cpu);
