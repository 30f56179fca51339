/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/numa_option.h"

#include "base/compiler.h"
#include "base/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS_MAX = 64 };
#define NONE UINT64_MAX

static const struct opt_desc node_keys[] = {
	{ .key = "what", .kind = OPT_STRING, .positional = true },
	{ .key = "nodeid", .kind = OPT_NUMBER },
	{ .key = "cpus", .kind = OPT_STRING, .repeat = true },
	{ .key = "mem", .kind = OPT_SIZE },
	{ .key = "initiator", .kind = OPT_NUMBER },
	{ 0 },
};
static const struct opt_desc dist_keys[] = {
	{ .key = "what", .kind = OPT_STRING, .positional = true },
	{ .key = "src", .kind = OPT_NUMBER },
	{ .key = "dst", .kind = OPT_NUMBER },
	{ .key = "val", .kind = OPT_NUMBER },
	{ 0 },
};
static const struct opt_desc lb_keys[] = {
	{ .key = "what", .kind = OPT_STRING, .positional = true },
	{ .key = "initiator", .kind = OPT_NUMBER },
	{ .key = "target", .kind = OPT_NUMBER },
	{ .key = "hierarchy", .kind = OPT_STRING },
	{ .key = "data-type", .kind = OPT_STRING },
	{ .key = "latency", .kind = OPT_NUMBER },
	{ .key = "bandwidth", .kind = OPT_SIZE },
	{ 0 },
};
static const struct opt_desc cache_keys[] = {
	{ .key = "what", .kind = OPT_STRING, .positional = true },
	{ .key = "node-id", .kind = OPT_NUMBER },
	{ .key = "size", .kind = OPT_SIZE },
	{ .key = "level", .kind = OPT_NUMBER },
	{ .key = "associativity", .kind = OPT_STRING },
	{ .key = "policy", .kind = OPT_STRING },
	{ .key = "line", .kind = OPT_NUMBER },
	{ 0 },
};

static const char *const hierarchies[NUMA_HIERARCHIES] = { "memory", "first-level", "second-level", "third-level" };
static const char *const kinds[NUMA_DATA_KINDS] = { "access-latency", "read-latency", "write-latency",
	"access-bandwidth",
						    "read-bandwidth", "write-bandwidth" };
static const char *const associativities[] = { "none", "direct", "complex" };
static const char *const policies[] = { "none", "write-back", "write-through" };

static int pick(const char *const *names, unsigned count, const char *key, const char *value, struct err *e)
{
	for (unsigned n = 0; value && n < count; n++)
		if (!strcmp(names[n], value))
			return (int)n;
	return err_set(e, -EINVAL, "%s is not one of %s, %s and so on", key, names[0], names[1]);
}

static int node_number(const struct opts *k, const char *key, uint64_t dflt, uint64_t *out, struct err *e)
{
	*out = opts_number(k, key, dflt);
	if (*out >= NUMA_NODES_MAX)
		return err_set(e, -EINVAL, "%s must be a node's number, 0 to %d", key, NUMA_NODES_MAX - 1);
	return 0;
}

/* "3" or "0-3" */
static int add_cpus(uint64_t *set, const char *text, struct err *e)
{
	char *end;
	unsigned long first = strtoul(text, &end, 10), last = first;

	if (end != text && *end == '-')
		last = strtoul(end + 1, &end, 10);
	if (end == text || *end || first > last || last >= CPUS_MAX)
		return err_set(e, -EINVAL, "cpus=%s is neither a processor's number nor two with a dash between", text);
	for (unsigned long n = first; n <= last; n++)
		*set |= UINT64_C(1) << n;
	return 0;
}

static int add_node(struct numa *n, const struct opts *k, struct err *e)
{
	struct numa_node *node;
	uint64_t id, initiator = opts_number(k, "initiator", NONE);
	int ret = node_number(k, "nodeid", n->count, &id, e);

	if (ret < 0)
		return ret;
	if (id != n->count)
		return err_set(e, -EINVAL, "nodes are numbered from 0 in their order: this is node %u, not %u",
			n->count,
			       (unsigned)id);
	if (initiator != NONE && initiator >= NUMA_NODES_MAX)
		return err_set(e, -EINVAL, "initiator must be a node's number");
	node = &n->node[n->count++];
	*node = (struct numa_node){ .memory = opts_number(k, "mem", 0),
				    .initiator = initiator == NONE ? NUMA_NOBODY : (int)initiator };
	for (unsigned i = 0; ret == 0 && i < k->count; i++)
		if (!strcmp(k->item[i].desc->key, "cpus"))
			ret = add_cpus(&node->cpus, k->item[i].text, e);
	return ret;
}

static int add_dist(struct numa *n, const struct opts *k, struct err *e)
{
	uint64_t src = 0, dst = 0, val = opts_number(k, "val", 0);
	int ret = node_number(k, "src", NONE, &src, e);

	if (ret == 0)
		ret = node_number(k, "dst", NONE, &dst, e);
	if (ret < 0)
		return ret;
	if (val < NUMA_LOCAL || val > NUMA_UNREACHABLE)
		return err_set(e, -EINVAL, "val is a distance from %d (the node itself) to %d (not to be reached)",
			       NUMA_LOCAL, NUMA_UNREACHABLE);
	n->distance[src][dst] = (uint8_t)val;
	return 0;
}

static int add_lb(struct numa *n, const struct opts *k, struct err *e)
{
	uint64_t from = 0, to = 0, v, latency = opts_number(k, "latency", 0), bandwidth = opts_number(k,
		"bandwidth", 0) >> 20;
	int hierarchy = pick(hierarchies, NUMA_HIERARCHIES, "hierarchy", opts_string(k, "hierarchy", "memory"), e);
	int kind = hierarchy < 0 ? hierarchy :
				   pick(kinds, NUMA_DATA_KINDS, "data-type", opts_string(k, "data-type", NULL), e);
	int ret = kind < 0 ? kind : node_number(k, "initiator", NONE, &from, e);

	if (ret == 0)
		ret = node_number(k, "target", NONE, &to, e);
	if (ret < 0)
		return ret;
	v = kind < NUMA_BANDWIDTH ? latency : bandwidth;
	if (!v || v > UINT32_MAX || (kind < NUMA_BANDWIDTH ? bandwidth : latency))
		return err_set(e, -EINVAL, "%s needs %s", kinds[kind],
			       kind < NUMA_BANDWIDTH ? "latency= in nanoseconds" : "bandwidth= a second, from 1M on");
	n->value[hierarchy][kind][from][to] = (uint32_t)v;
	return 0;
}

static int add_cache(struct numa *n, const struct opts *k, struct err *e)
{
	struct numa_cache c = { .size = opts_number(k, "size", 0) };
	uint64_t node = 0, level = opts_number(k, "level", 1), line = opts_number(k, "line", 0);
	int way = pick(associativities, COUNT_OF(associativities), "associativity",
		       opts_string(k, "associativity", "none"), e);
	int policy = way < 0 ? way :
			       pick(policies, COUNT_OF(policies), "policy", opts_string(k, "policy", "none"), e);
	int ret = policy < 0 ? policy : node_number(k, "node-id", NONE, &node, e);

	if (ret < 0)
		return ret;
	if (n->caches == NUMA_CACHES_MAX || level < 1 || level > 3 || line > UINT16_MAX || !c.size)
		return err_set(e, -EINVAL, "a cache has a size, level= 1 to 3, and line= up to %d bytes", UINT16_MAX);
	c.node = (unsigned)node;
	c.level = (unsigned)level;
	c.line = (uint16_t)line;
	c.associativity = (enum numa_associativity)way;
	c.policy = (enum numa_policy)policy;
	n->cache[n->caches++] = c;
	return 0;
}

int numa_add(struct numa *n, const char *text, struct err *e)
{
	static const struct {
		const char *what;
		const struct opt_desc *keys;
		int (*add)(struct numa *n, const struct opts *k, struct err *e);
	} parts[] = {
		{ "node", node_keys, add_node },
		{ "dist", dist_keys, add_dist },
		{ "hmat-lb", lb_keys, add_lb },
		{ "hmat-cache", cache_keys, add_cache },
	};
	size_t len = strcspn(text, ",");
	struct opts k;

	for (unsigned p = 0; p < COUNT_OF(parts); p++) {
		if (strlen(parts[p].what) != len || memcmp(parts[p].what, text, len))
			continue;
		int ret = opts_parse(&k, parts[p].keys, text, e);

		if (ret < 0)
			return ret;
		ret = parts[p].add == add_node && n->count == NUMA_NODES_MAX ?
			      err_set(e, -E2BIG, "at most %d nodes are possible", NUMA_NODES_MAX) :
			      parts[p].add(n, &k, e);
		opts_free(&k);
		return ret;
	}
	return err_set(e, -EINVAL, "\"%s\" begins with none of node, dist, hmat-lb and hmat-cache", text);
}
