/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processors of vCPUs and of the emulator, for the running machine and for the next start; I/O threads, of which there
 * are none. */
#include "daemon/remote/remote_priv.h"

#include "daemon/remote/events.h"
#include "daemon/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the maps that clients read ---- */

/* From a text of the document; without one, every processor. */
static void map_of(const char *text, uint8_t *map, size_t size)
{
	uint8_t all[DOMAIN_CPUS_MAX / 8];

	memset(map, 0xff, size);
	if (text && domain_cpuset_parse(text, all))
		memcpy(map, all, size < sizeof(all) ? size : sizeof(all));
}

static bool bad_room(struct call *c, int count, int size)
{
	if (count >= 0 && size >= 0 && count <= DOMAIN_VCPUS_MAX * 16 && size <= DOMAIN_CPUS_MAX / 8)
		return false;
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "room for %d maps of %d bytes is not possible", count,
		  size);
	return true;
}

static int get_vcpu_pins(struct call *c)
{
	struct domain *d = c->object;
	int room = call_i(c, 1), size = call_i(c, 2);
	unsigned flags = call_u(c, 3), count;
	const struct domdef *def;
	uint8_t *maps;

	if (bad_room(c, room, size) || remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	def = flags & AFFECT_CONFIG ? domain_config(d) : d->def;
	count = (unsigned)def->vcpu.v < (unsigned)room ? (unsigned)def->vcpu.v : (unsigned)room;
	maps = calloc(count ? count : 1, size ? (size_t)size : 1);
	if (!maps)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the maps");
	for (unsigned n = 0; n < count; n++) {
		uint8_t *map = maps + (size_t)n * (size_t)size;

		if ((flags & AFFECT_CONFIG) || !domain_vcpu_affinity(d, n, map, (size_t)size))
			map_of(domain_vcpu_cpuset(def, n), map, (size_t)size);
	}
	xdr_opaque(&c->out, maps, (size_t)count * (size_t)size);
	free(maps);
	xdr_i32(&c->out, (int)count);
	return CALL_DONE;
}

static int get_emulator_pin(struct call *c)
{
	struct domain *d = c->object;
	uint8_t map[DOMAIN_CPUS_MAX / 8];
	int size = call_i(c, 1);
	unsigned flags = call_u(c, 2);
	const struct domdef *def;

	if (bad_room(c, 1, size) || remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	def = flags & AFFECT_CONFIG ? domain_config(d) : d->def;
	if ((flags & AFFECT_CONFIG) || !domain_emulator_affinity(d, map, (size_t)size))
		map_of(def->cputune.emulatorpin ? def->cputune.emulatorpin : def->cpuset, map, (size_t)size);
	xdr_opaque(&c->out, map, (size_t)size);
	xdr_i32(&c->out, 1);
	return CALL_DONE;
}

/* ---- changes ---- */

static int set_text(char **to, const struct value *map, struct fault *f)
{
	char *text = domain_cpuset_text(map->x, map->count);

	if (!text)
		return fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the pinning");
	free(*to);
	*to = text;
	return 0;
}

static int set_vcpu_text(struct domdef *def, unsigned n, const struct value *map, struct fault *f)
{
	struct domdef_pin *pin;

	for (unsigned k = 0; k < def->cputune.vcpupin.n; k++)
		if (def->cputune.vcpupin.v[k]->vcpu.v == n)
			return set_text(&def->cputune.vcpupin.v[k]->cpuset, map, f);
	pin = xlist_new(&def->cputune.vcpupin, sizeof(*pin));
	if (!pin)
		return fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the pinning");
	pin->vcpu = xnum(n);
	return set_text(&pin->cpuset, map, f);
}

/* At least one processor that the host has. */
static bool bad_map(struct call *c, const struct value *map)
{
	uint8_t online[HOST_CPUS_MAX / 8];
	unsigned count;

	host_cpu_map(online, &count);
	for (uint32_t n = 0; n < map->count && n < sizeof(online); n++)
		if (map->x[n] & online[n])
			return false;
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "none of these processors is there");
	return true;
}

struct pinned {
	int64_t vcpu;
	const char *cpus;
};

static void put_pinned(struct xdr_out *o, const void *opaque)
{
	const struct pinned *p = opaque;
	char name[32];

	snprintf(name, sizeof(name), p->vcpu < 0 ? "cputune.emulatorpin" : "cputune.vcpupin%u", (unsigned)p->vcpu);
	xdr_param_string(o, name, p->cpus);
}

static void tell(struct call *c, const struct domain *d, int64_t vcpu, const struct value *map)
{
	char *text = domain_cpuset_text(map->x, map->count);
	const struct pinned p = { vcpu, text };

	domain_note(d);
	if (text)
		remote_tuned(c->opaque, d, 1, put_pinned, &p);
	free(text);
}

/* vcpu -1: the emulator. */
static int pin(struct call *c, int64_t vcpu, const struct value *map, unsigned flags)
{
	struct domain *d = c->object;
	struct domdef *def;
	int ret = 0;

	if (remote_affect(c, d, &flags) < 0 || bad_map(c, map))
		return CALL_FAILED;
	def = flags & AFFECT_CONFIG ? domain_config(d) : d->def;
	if (vcpu >= 0 && (uint64_t)vcpu >= def->vcpu.v)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "vcpu %lld is out of range of the machine's", (long long)vcpu);
	if (flags & AFFECT_LIVE)
		ret = vcpu < 0 ? domain_emulator_pin(d, map->x, map->count, &c->fault) :
				 domain_vcpu_pin(d, (unsigned)vcpu, map->x, map->count, &c->fault);
	if (ret == 0 && (flags & AFFECT_LIVE))
		ret = vcpu < 0 ? set_text(&d->def->cputune.emulatorpin, map, &c->fault) :
				 set_vcpu_text(d->def, (unsigned)vcpu, map, &c->fault);
	if (ret == 0 && (flags & AFFECT_LIVE))
		tell(c, d, vcpu, map);
	if (ret == 0 && (flags & AFFECT_CONFIG))
		ret = vcpu < 0 ? set_text(&def->cputune.emulatorpin, map, &c->fault) :
				 set_vcpu_text(def, (unsigned)vcpu, map, &c->fault);
	if (ret == 0 && (flags & AFFECT_CONFIG))
		ret = domain_save(d, &c->fault);
	return ret < 0 ? CALL_FAILED : CALL_DONE;
}

static int pin_vcpu(struct call *c)
{
	return pin(c, call_u(c, 1), call_arg(c, 2), AFFECT_LIVE);
}

static int pin_vcpu_flags(struct call *c)
{
	return pin(c, call_u(c, 1), call_arg(c, 2), call_u(c, 3));
}

static int pin_emulator(struct call *c)
{
	return pin(c, -1, call_arg(c, 1), call_u(c, 2));
}

/* ---- I/O threads ---- */

static int get_iothreads(struct call *c)
{
	struct domain *d = c->object;
	unsigned flags = call_u(c, 1);

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	xdr_u32(&c->out, 0);
	xdr_u32(&c->out, 0);
	return CALL_DONE;
}

static int no_iothreads(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			 "machines have no I/O threads: one loop serves all devices");
}

const struct handler remote_domain_pin[] = {
	{"DOMAIN_GET_VCPU_PIN_INFO", get_vcpu_pins, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_PIN_VCPU", pin_vcpu, remote_find_idle},
	{"DOMAIN_PIN_VCPU_FLAGS", pin_vcpu_flags, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_GET_EMULATOR_PIN_INFO", get_emulator_pin, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_PIN_EMULATOR", pin_emulator, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_GET_IOTHREAD_INFO", get_iothreads, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_PIN_IOTHREAD", no_iothreads, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_ADD_IOTHREAD", no_iothreads, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_DEL_IOTHREAD", no_iothreads, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_SET_IOTHREAD_PARAMS", no_iothreads, remote_find_domain, HANDLER_ANY_FLAGS},
};
const unsigned remote_domain_pin_count = COUNT_OF(remote_domain_pin);
