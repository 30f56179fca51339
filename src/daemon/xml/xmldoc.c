/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/xmldoc.h"

#include "daemon/xml/xmap.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char xml_space[] = " \t\r\n";

bool xmldoc_blank(const char *text)
{
	return !text || !text[strspn(text, xml_space)];
}

static int parse_trouble(xmlParserCtxt *ctxt, const char *what, struct err *e)
{
	const xmlError *last = ctxt ? xmlCtxtGetLastError(ctxt) : NULL;
	const char *text = last && last->message ? last->message : "the document is empty or not XML";

	if (last && last->code == XML_ERR_NO_MEMORY)
		return err_set(e, -ENOMEM, "out of memory");
	return err_set(e, -EILSEQ, "(%s):%d: %.*s", what, last ? last->line : 1, (int)strcspn(text, "\n"), text);
}

/* Depth without recursion; text nodes and elements only. */
static int check_tree(xmlNode *root, const char *what, struct err *e)
{
	xmlNode *n = root;
	unsigned depth = 1;

	while (n) {
		if (n->type == XML_ENTITY_REF_NODE)
			return err_set(e, -EILSEQ, "(%s):%ld: entities are not allowed", what, xmlGetLineNo(n));
		if (n->type == XML_ELEMENT_NODE && n->children) {
			n = n->children;
			if (++depth > XMAP_DEPTH_MAX)
				return err_set(e, -EILSEQ, "(%s):%ld: more than %d elements inside each other", what,
				               xmlGetLineNo(n), XMAP_DEPTH_MAX);
			continue;
		}
		while (n && n != root && !n->next) {
			n = n->parent;
			depth--;
		}
		n = !n || n == root ? NULL : n->next;
	}
	return 0;
}

int xmldoc_parse(xmlDoc **out, const char *xml, size_t len, const char *what, struct err *e)
{
	xmlParserCtxt *ctxt;
	xmlDoc *doc;
	int ret = 0;

	*out = NULL;
	if (len > XMAP_TEXT_MAX)
		return err_set(e, -EILSEQ, "(%s):1: the document is longer than %d bytes", what, XMAP_TEXT_MAX);
	if (memchr(xml, 0, len))
		return err_set(e, -EILSEQ, "(%s):1: the document holds a zero byte", what);
	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		return err_set(e, -ENOMEM, "out of memory");
	/* No XML_PARSE_NOENT: references stay nodes and are refused; no XML_PARSE_HUGE: libxml2's own limits hold. */
	doc = xmlCtxtReadMemory(ctxt, xml, (int)len, NULL, NULL,
	                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
	if (!doc || !ctxt->wellFormed || !xmlDocGetRootElement(doc))
		ret = parse_trouble(ctxt, what, e);
	else if (xmlGetIntSubset(doc))
		ret = err_set(e, -EILSEQ, "(%s):1: a document type (DOCTYPE) is not allowed", what);
	else
		ret = check_tree(xmlDocGetRootElement(doc), what, e);
	xmlFreeParserCtxt(ctxt);
	if (ret < 0)
		xmlFreeDoc(doc);
	else
		*out = doc;
	return ret;
}

/* ---- writing trees ---- */

/* As xml_escape, and line feeds are written as references. */
static int put_text(struct buf *b, const char *text)
{
	int ret = 0;

	while (*text && ret == 0) {
		size_t plain = strcspn(text, "\n");
		char *part = strndup(text, plain);

		ret = part ? xml_escape(b, part) : -ENOMEM;
		free(part);
		text += plain;
		if (*text == '\n' && ret == 0) {
			ret = buf_append(b, "&#10;", 5);
			text++;
		}
	}
	return ret;
}

static int put_qname(struct buf *b, const xmlNs *ns, const xmlChar *name)
{
	return ns && ns->prefix ? buf_printf(b, "%s:%s", ns->prefix, name) : buf_printf(b, "%s", name);
}

static int put_attribute(struct buf *b, const xmlAttr *a)
{
	xmlChar *value = xmlNodeListGetString(a->doc, a->children, 1);
	int ret = buf_append_byte(b, ' ');

	if (ret == 0)
		ret = put_qname(b, a->ns, a->name);
	if (ret == 0)
		ret = buf_append(b, "='", 2);
	if (ret == 0 && value)
		ret = put_text(b, (const char *)value);
	xmlFree(value);
	return ret == 0 ? buf_append_byte(b, '\'') : ret;
}

static int put_start(struct buf *b, const xmlNode *n)
{
	int ret = buf_append_byte(b, '<');

	if (ret == 0)
		ret = put_qname(b, n->ns, n->name);
	for (const xmlNs *ns = n->nsDef; ns && ret == 0; ns = ns->next) {
		ret = ns->prefix ? buf_printf(b, " xmlns:%s='", ns->prefix) : buf_printf(b, " xmlns='");
		if (ret == 0 && ns->href)
			ret = put_text(b, (const char *)ns->href);
		if (ret == 0)
			ret = buf_append_byte(b, '\'');
	}
	for (const xmlAttr *a = n->properties; a && ret == 0; a = a->next)
		ret = put_attribute(b, a);
	return ret;
}

static bool has_text(const xmlNode *n)
{
	for (const xmlNode *c = n->children; c; c = c->next)
		if ((c->type == XML_TEXT_NODE || c->type == XML_CDATA_SECTION_NODE) &&
		    !xmldoc_blank((const char *)c->content))
			return true;
	return false;
}

static bool has_elements(const xmlNode *n)
{
	for (const xmlNode *c = n->children; c; c = c->next)
		if (c->type == XML_ELEMENT_NODE)
			return true;
	return false;
}

static int put_break(struct buf *b, unsigned depth)
{
	return buf_printf(b, "\n%*s", (int)(2 * depth), "");
}

/* The recursion is bounded by XMAP_DEPTH_MAX, which every document was checked for. */
static int put_tree(const xmlNode *n, struct buf *b, unsigned depth)
{
	bool mixed = has_text(n);
	int ret = put_start(b, n);

	if (ret == 0 && !mixed && !has_elements(n))
		return buf_append(b, "/>", 2);
	if (ret == 0)
		ret = buf_append_byte(b, '>');
	for (const xmlNode *c = n->children; c && ret == 0; c = c->next) {
		if (c->type == XML_ELEMENT_NODE) {
			ret = mixed ? 0 : put_break(b, depth + 1);
			if (ret == 0)
				ret = put_tree(c, b, depth + 1);
		} else if (mixed && c->content && (c->type == XML_TEXT_NODE || c->type == XML_CDATA_SECTION_NODE)) {
			ret = put_text(b, (const char *)c->content);
		}
	}
	if (ret == 0 && !mixed)
		ret = put_break(b, depth);
	if (ret == 0)
		ret = buf_append(b, "</", 2);
	if (ret == 0)
		ret = put_qname(b, n->ns, n->name);
	return ret == 0 ? buf_append_byte(b, '>') : ret;
}

/* A copy of the element in a document of its own: namespaces declared further up come along. */
static xmlDoc *detach(xmlNode *node)
{
	xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *copy = doc ? xmlDocCopyNode(node, doc, 1) : NULL;

	if (!copy) {
		xmlFreeDoc(doc);
		return NULL;
	}
	xmlDocSetRootElement(doc, copy);
	return doc;
}

int xmldoc_tidy(const xmlNode *node, struct buf *b)
{
	xmlDoc *doc = detach((xmlNode *)node);
	int ret = doc ? put_tree(xmlDocGetRootElement(doc), b, 0) : -ENOMEM;

	xmlFreeDoc(doc);
	return ret;
}

char *xmldoc_verbatim(xmlNode *node)
{
	xmlDoc *doc = detach(node);
	xmlBuffer *out = doc ? xmlBufferCreate() : NULL;
	char *text = NULL;

	if (out && xmlNodeDump(out, doc, xmlDocGetRootElement(doc), 0, 0) >= 0)
		text = strdup((const char *)xmlBufferContent(out));
	xmlBufferFree(out);
	xmlFreeDoc(doc);
	return text;
}
