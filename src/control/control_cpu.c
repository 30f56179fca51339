/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include "core/accel.h"
#include "core/gmem.h"

json_t *cmd_query_cpus_fast(struct command_call *call, struct err *e)
{
	struct vm *vm = call->target->vm;
	json_t *list = json_array();

	for (unsigned n = 0; n < vm->vcpu_count; n++)
		json_array_append_new(list, json_pack("{s:i, s:s, s:i, s:s, s:{s:i}}", "cpu-index", (int)n, "qom-path",
						      "", "thread-id", atomic_load(&vm->vcpu[n]->tid), "target",
						      "x86_64", "props", "apic-id", (int)vm->vcpu[n]->apic_id));
	return list;
}

static void add_number(json_t *list, const char *name, uint64_t value)
{
	json_array_append_new(list, json_pack("{s:s, s:I}", "name", name, "value", (json_int_t)value));
}

static json_t *vcpu_numbers(struct vcpu *v)
{
	json_t *list = json_array();

	add_number(list, "exits", v->stats.exits);
	add_number(list, "halts", v->stats.halts);
	add_number(list, "mmio", v->stats.mmio);
	add_number(list, "port-io", v->stats.port_io);
	add_number(list, "interrupts", v->stats.interrupts);
	add_number(list, "instructions", v->stats.instructions);
	add_number(list, "assisted", v->stats.assisted);
	return list;
}

static void emit(void *opaque, const char *name, uint64_t value)
{
	add_number(opaque, name, value);
}

/* As QMP's query-stats: one object a provider and target, with named numbers. */
json_t *cmd_query_stats(struct command_call *call, struct err *e)
{
	struct vm *vm = call->target->vm;
	json_t *list = json_array(), *machine = json_array();

	add_number(machine, "guest-memory", gmem_total(vm->mem));
	if (vm->accel->stats)
		vm->accel->stats(vm, emit, machine);
	json_array_append_new(
		list, json_pack("{s:s, s:s, s:o}", "provider", vm->accel->name, "target", "vm", "stats", machine));
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:o}", "provider", vm->accel->name, "target",
						      "vcpu", "cpu-index", (int)n, "stats", vcpu_numbers(vm->vcpu[n])));
	return list;
}
