/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/document.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libxml2's document is all there is; the type keeps its header out of ours. */
static xmlDoc *doc_of(const struct document *d) { return (xmlDoc *)d; }

static void quiet(void *opaque, const char *fmt, ...) {}

int document_parse(struct document **out, const char *xml, struct err *e)
{
	xmlDoc *doc;

	xmlSetGenericErrorFunc(NULL, quiet);
	doc = xmlReadMemory(xml, strlen(xml), "machine.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOBLANKS);
	if (!doc)
		return err_set(e, -EINVAL, "the machine's document is not well-formed XML");
	*out = (struct document *)doc;
	return 0;
}

void document_free(struct document *d)
{
	if (d)
		xmlFreeDoc(doc_of(d));
}

static xmlXPathObject *find(const struct document *d, const char *xpath)
{
	xmlXPathContext *ctx = xmlXPathNewContext(doc_of(d));
	xmlXPathObject *found = ctx ? xmlXPathEvalExpression((const xmlChar *)xpath, ctx) : NULL;

	xmlXPathFreeContext(ctx);
	if (found && found->type == XPATH_NODESET && found->nodesetval)
		return found;
	xmlXPathFreeObject(found);
	return NULL;
}

char *document_text(const struct document *d, const char *xpath, unsigned n)
{
	xmlXPathObject *found = find(d, xpath);
	char *text = NULL;

	if (found && n < (unsigned)found->nodesetval->nodeNr) {
		xmlChar *content = xmlNodeGetContent(found->nodesetval->nodeTab[n]);

		text = content ? strdup((const char *)content) : NULL;
		xmlFree(content);
	}
	xmlXPathFreeObject(found);
	return text;
}

static void set_node(xmlNode *node, const char *text)
{
	if (node->type == XML_ATTRIBUTE_NODE)
		xmlSetProp(node->parent, node->name, (const xmlChar *)text);
	else {
		xmlNodeSetContent(node, NULL);
		xmlNodeAddContent(node, (const xmlChar *)text); /* as it is, where SetContent would read entities */
	}
}

unsigned document_set(struct document *d, const char *xpath, unsigned n, const char *text)
{
	xmlXPathObject *found = find(d, xpath);
	unsigned count = found ? found->nodesetval->nodeNr : 0;

	for (unsigned at = 0; at < count; at++) {
		xmlNode *node = found->nodesetval->nodeTab[at];

		if (text && at == n)
			set_node(node, text);
		if (!text) {
			xmlUnlinkNode(node);
			xmlFreeNode(node);
			found->nodesetval->nodeTab[at] = NULL;
		}
	}
	xmlXPathFreeObject(found);
	return count;
}

int document_add(struct document *d, const char *xpath, const char *name)
{
	xmlXPathObject *found = find(d, xpath);
	int ret = -ENOENT;

	if (found && found->nodesetval->nodeNr)
		ret = xmlNewChild(found->nodesetval->nodeTab[0], NULL, (const xmlChar *)name, NULL) ? 0 : -ENOMEM;
	xmlXPathFreeObject(found);
	return ret;
}

char *document_print(const struct document *d)
{
	xmlChar *text = NULL;
	char *copy = NULL;
	int len = 0;

	xmlDocDumpFormatMemory(doc_of(d), &text, &len, 1);
	if (text)
		copy = strdup((const char *)text);
	xmlFree(text);
	return copy;
}

unsigned document_forward(const struct document *d, unsigned guest_port)
{
	char xpath[256], *start;
	unsigned port;

	snprintf(xpath, sizeof(xpath), "/domain/devices/interface[@type='user']/portForward[@proto='tcp']"
		 "/range[@to='%u' or (not(@to) and @start='%u')]/@start", guest_port, guest_port);
	start = document_text(d, xpath, 0);
	port = start ? strtoul(start, NULL, 10) : 0;
	free(start);
	return port;
}
