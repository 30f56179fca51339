/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include "core/accel.h"
#include "core/gmem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What the accelerator says of the machine. */
struct machine_numbers {
	json_t *list;
	uint64_t code; /* bytes of generated code, which is shared memory as the guest's RAM is */
};

static void emit(void *opaque, const char *name, uint64_t value)
{
	struct machine_numbers *m = opaque;

	add_number(m->list, name, value);
	if (!strcmp(name, "soft-code-memory"))
		m->code = value;
}

/* KiB of a line of /proc/self/status, in bytes. */
static uint64_t status_bytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

/* What the process holds beside guest memory: all its resident memory that is not shared, and the generated code. */
static json_t *process_numbers(const struct control *c, const struct gmem *gm, uint64_t code)
{
	char text[4096];
	int fd = control_status_fd(c);
	ssize_t got = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	json_t *list = json_array();

	if (got <= 0)
		return list;
	text[got] = 0;
	uint64_t anonymous = status_bytes(text, "\nRssAnon:"), file = status_bytes(text, "\nRssFile:");
	uint64_t guest = gmem_resident(gm, true);
	anonymous -= guest < anonymous ? guest : anonymous;
	add_number(list, "memory-anonymous", anonymous);
	add_number(list, "memory-file", file);
	add_number(list, "memory-beyond-guest", anonymous + file + code);
	return list;
}

/* As QMP's query-stats: one object a provider and target, with named numbers. */
json_t *cmd_query_stats(struct command_call *call, struct err *e)
{
	struct vm *vm = call->target->vm;
	json_t *list = json_array();
	struct machine_numbers machine = { .list = json_array() };

	add_number(machine.list, "guest-memory", gmem_total(vm->mem));
	add_number(machine.list, "guest-memory-resident", gmem_resident(vm->mem, false));
	if (vm->accel->stats)
		vm->accel->stats(vm, emit, &machine);
	json_array_append_new(
		list, json_pack("{s:s, s:s, s:o}", "provider", vm->accel->name, "target", "vm", "stats", machine.list));
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:o}", "provider", vm->accel->name, "target",
						      "vcpu", "cpu-index", (int)n, "stats", vcpu_numbers(vm->vcpu[n])));
	json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "provider", "host", "target", "process", "stats",
					      process_numbers(call->control, vm->mem, machine.code)));
	return list;
}
