/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host: processors, memory, load. */
#include "daemon/remote/remote.h"

#include "daemon/host.h"

#include <string.h>

static int get_info(struct call *c)
{
	struct host_info h;

	host_info(&h);
	xdr_model(&c->out, "x86_64");
	xdr_u64(&c->out, h.memory_kib);
	xdr_i32(&c->out, (int)h.cpus);
	xdr_i32(&c->out, (int)h.mhz);
	xdr_i32(&c->out, (int)h.nodes);
	xdr_i32(&c->out, (int)h.sockets);
	xdr_i32(&c->out, (int)h.cores);
	xdr_i32(&c->out, (int)h.threads);
	return CALL_DONE;
}

struct stat_row {
	const char *field;
	uint64_t value;
};

/* Asked with room for none, the answer is how many there are. */
static int put_stats(struct call *c, const struct stat_row *row, int count, int room)
{
	if (room < 0 || (room && room < count))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_NONE, "room for %d values; there are %d", room,
				 count);
	xdr_u32(&c->out, room ? (uint32_t)count : 0);
	for (int n = 0; room && n < count; n++) {
		xdr_string(&c->out, row[n].field);
		xdr_u64(&c->out, row[n].value);
	}
	xdr_i32(&c->out, count);
	return CALL_DONE;
}

static int get_cpu_stats(struct call *c)
{
	struct host_cpu_stats s;

	if (host_cpu_stats(call_i(c, 0), &s) < 0)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_NONE, "Invalid cpuNum %d: the host has no such CPU",
				 call_i(c, 0));
	const struct stat_row rows[] = {{"kernel", s.kernel}, {"user", s.user}, {"idle", s.idle}, {"iowait", s.iowait}};
	return put_stats(c, rows, COUNT_OF(rows), call_i(c, 1));
}

static int get_memory_stats(struct call *c)
{
	struct host_memory m;

	if (call_i(c, 1) > 0)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_NONE, "there is no memory cell %d", call_i(c, 1));
	host_memory(&m);
	const struct stat_row rows[] = {{"total", m.total_kib}, {"free", m.free_kib}, {"buffers", m.buffers_kib},
		{"cached", m.cached_kib}};
	return put_stats(c, rows, COUNT_OF(rows), call_i(c, 0));
}

static int get_free_memory(struct call *c)
{
	struct host_memory m;

	host_memory(&m);
	xdr_u64(&c->out, m.free_kib * 1024);
	return CALL_DONE;
}

static int get_cells_free_memory(struct call *c)
{
	struct host_memory m;

	if (call_i(c, 0) != 0 || call_i(c, 1) < 1)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_NONE, "the memory cells from %d on are not there",
				 call_i(c, 0));
	host_memory(&m);
	xdr_u32(&c->out, 1);
	xdr_u64(&c->out, m.free_kib * 1024);
	return CALL_DONE;
}

static int get_cpu_map(struct call *c)
{
	uint8_t map[HOST_CPUS_MAX / 8];
	unsigned count, online = host_cpu_map(map, &count);

	xdr_opaque(&c->out, map, call_i(c, 0) ? (count + 7) / 8 : 0);
	xdr_u32(&c->out, call_i(c, 1) ? online : 0);
	xdr_i32(&c->out, (int)count);
	return CALL_DONE;
}

enum { PAGE_SIZES_MAX = 16 };

/* Free pages of a size in KiB; false: the host has none of that size. */
static bool free_pages(unsigned kib, uint64_t *count)
{
	struct host_memory m;

	if (kib == 4) {
		host_memory(&m);
		*count = m.free_kib / 4;
		return true;
	}
	return host_free_hugepages(kib, count);
}

/* One cell: the host's memory is shown as a whole. */
static int get_free_pages(struct call *c)
{
	const struct value *sizes = call_arg(c, 0);
	uint64_t count;

	if (call_i(c, 1) > 0 || call_u(c, 2) < 1 || sizes->count > PAGE_SIZES_MAX)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_NONE, "there is no memory cell %d", call_i(c, 1));
	xdr_u32(&c->out, sizes->count);
	for (unsigned n = 0; n < sizes->count; n++) {
		if (!free_pages(sizes->items[n].u, &count))
			return fault_set(&c->fault, FAULT_OPERATION_FAILED, FROM_NONE,
					 "page size %u KiB is not available", sizes->items[n].u);
		xdr_u64(&c->out, count);
	}
	return CALL_DONE;
}

/* No security driver labels machines: "none", and no domain of interpretation. */
static int get_security_model(struct call *c)
{
	xdr_chars(&c->out, "none", 5);
	xdr_chars(&c->out, "0", 2);
	return CALL_DONE;
}

const struct handler remote_node[] = {
	{"NODE_GET_INFO", get_info},
	{"NODE_GET_CPU_STATS", get_cpu_stats},
	{"NODE_GET_MEMORY_STATS", get_memory_stats},
	{"NODE_GET_FREE_MEMORY", get_free_memory},
	{"NODE_GET_CELLS_FREE_MEMORY", get_cells_free_memory},
	{"NODE_GET_CPU_MAP", get_cpu_map},
	{"NODE_GET_FREE_PAGES", get_free_pages},
	{"NODE_GET_SECURITY_MODEL", get_security_model},
};
const unsigned remote_node_count = COUNT_OF(remote_node);
