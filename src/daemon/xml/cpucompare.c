/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/cpucompare.h"

#include "daemon/xml/hostcpu.h"
#include "daemon/xml/xmldoc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 4 };

static bool is(const xmlNode *n, const char *name)
{
	return n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name);
}

static xmlNode *child(const xmlNode *of, const char *name)
{
	for (xmlNode *n = of->children; n; n = n->next)
		if (is(n, name))
			return n;
	return NULL;
}

static xmlNode *find_cpu(xmlNode *at, unsigned depth)
{
	xmlNode *found = NULL;

	if (is(at, "cpu"))
		return at;
	for (xmlNode *n = at->children; n && !found && depth < DEPTH_MAX; n = n->next)
		if (n->type == XML_ELEMENT_NODE)
			found = find_cpu(n, depth + 1);
	return found;
}

static int open_cpu(const char *xml, xmlDoc **doc, xmlNode **cpu, struct err *e)
{
	int ret = xmldoc_parse(doc, xml, strlen(xml), "the CPU's description", e);

	if (ret < 0)
		return ret;
	*cpu = find_cpu(xmlDocGetRootElement(*doc), 0);
	if (*cpu && child(*cpu, "model"))
		return 0;
	xmlFreeDoc(*doc);
	*doc = NULL;
	return err_set(e, -EINVAL, *cpu ? "no CPU model specified" : "there is no <cpu>");
}

/* The text of a child element is `text`, or there is no such child. */
static bool says(const xmlNode *cpu, const char *name, const char *text)
{
	xmlNode *n = child(cpu, name);
	xmlChar *said = n ? xmlNodeGetContent(n) : NULL;
	bool same = !n || (said && !strcmp((const char *)said, text));

	xmlFree(said);
	return same;
}

static bool attribute_is(const xmlNode *n, const char *name, const char *text)
{
	xmlChar *value = xmlGetProp(n, (const xmlChar *)name);
	bool same = value && !strcmp((const char *)value, text);

	xmlFree(value);
	return same;
}

static bool host_has(const struct hostcpu *host, const xmlNode *feature)
{
	xmlChar *name = xmlGetProp(feature, (const xmlChar *)"name");
	bool has = name && hostcpu_has(host, (const char *)name);

	xmlFree(name);
	return has;
}

static enum cpu_compare beside_host(const xmlNode *cpu, const struct hostcpu *host)
{
	unsigned named = 0;

	if (!says(cpu, "arch", "x86_64") || !says(cpu, "vendor", host->vendor) || !says(cpu, "model", host->model))
		return CPU_INCOMPATIBLE;
	for (const xmlNode *n = cpu->children; n; n = n->next) {
		bool has;

		if (!is(n, "feature") || attribute_is(n, "policy", "optional") || attribute_is(n, "policy", "disable"))
			continue;
		has = host_has(host, n);
		if (has == attribute_is(n, "policy", "forbid"))
			return CPU_INCOMPATIBLE;
		named += has;
	}
	return named < host->feature_count ? CPU_SUPERSET : CPU_IDENTICAL;
}

int cpu_compare(const char *xml, enum cpu_compare *out, struct err *e)
{
	struct hostcpu *host = calloc(1, sizeof(*host));
	xmlDoc *doc = NULL;
	xmlNode *cpu;
	int ret;

	if (!host)
		return err_set(e, -ENOMEM, "out of memory");
	hostcpu_read(host);
	ret = open_cpu(xml, &doc, &cpu, e);
	if (ret == 0)
		*out = beside_host(cpu, host);
	xmlFreeDoc(doc);
	free(host);
	return ret;
}

/* ---- what is common ---- */

static bool has_feature(const xmlNode *cpu, const xmlChar *name)
{
	for (const xmlNode *n = cpu->children; n; n = n->next)
		if (is(n, "feature") && attribute_is(n, "name", (const char *)name) &&
		    !attribute_is(n, "policy", "disable") && !attribute_is(n, "policy", "forbid"))
			return true;
	return false;
}

/* Takes out of the first what the other has not. */
static int intersect(xmlNode *first, const char *xml, struct err *e)
{
	xmlChar *model = xmlNodeGetContent(child(first, "model"));
	xmlDoc *doc = NULL;
	xmlNode *cpu, *next;
	int ret = open_cpu(xml, &doc, &cpu, e);

	if (ret == 0 && (!model || !says(cpu, "model", (const char *)model)))
		ret = err_set(e, -ENOTSUP, "CPUs are incompatible: they are of different models");
	for (xmlNode *n = ret == 0 ? first->children : NULL; n; n = next) {
		xmlChar *name = is(n, "feature") ? xmlGetProp(n, (const xmlChar *)"name") : NULL;

		next = n->next;
		if (name && !has_feature(cpu, name)) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		}
		xmlFree(name);
	}
	xmlFree(model);
	xmlFreeDoc(doc);
	return ret;
}

/* As a domain's <cpu>: only what such a one has. */
static void trim(xmlNode *cpu)
{
	static const char *const keep[] = {"model", "vendor", "feature"};
	xmlNode *next;

	for (xmlNode *n = cpu->children; n; n = next) {
		bool kept = false;

		next = n->next;
		for (unsigned k = 0; k < COUNT_OF(keep); k++)
			kept |= is(n, keep[k]);
		if (kept) {
			if (is(n, "feature") && !xmlHasProp(n, (const xmlChar *)"policy"))
				xmlSetProp(n, (const xmlChar *)"policy", (const xmlChar *)"require");
			continue;
		}
		xmlUnlinkNode(n);
		xmlFreeNode(n);
	}
	while (cpu->properties)
		xmlRemoveProp(cpu->properties);
	xmlSetProp(cpu, (const xmlChar *)"mode", (const xmlChar *)"custom");
	xmlSetProp(cpu, (const xmlChar *)"match", (const xmlChar *)"exact");
}

int cpu_baseline(const char *const *xml, unsigned count, char **out, struct err *e)
{
	xmlDoc *doc = NULL;
	struct buf b;
	xmlNode *cpu;
	int ret = count ? open_cpu(xml[0], &doc, &cpu, e) : err_set(e, -EINVAL, "no CPUs given");

	for (unsigned n = 1; ret == 0 && n < count; n++)
		ret = intersect(cpu, xml[n], e);
	if (ret < 0) {
		xmlFreeDoc(doc);
		return ret;
	}
	trim(cpu);
	buf_init(&b, 1 << 20);
	ret = xmldoc_tidy(cpu, &b);
	*out = ret == 0 ? strndup((const char *)b.data, b.len) : NULL;
	buf_free(&b);
	xmlFreeDoc(doc);
	return *out ? 0 : err_set(e, -ENOMEM, "no memory for the CPU");
}
