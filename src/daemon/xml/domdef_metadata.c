/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The elements of <metadata>: one for each namespace, none of our business. */
#include "daemon/xml/domdef.h"
#include "daemon/xml/xmldoc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef XLIST(struct xraw) metadata_list;

static int find(const metadata_list *l, const char *uri)
{
	for (unsigned n = 0; n < l->n; n++)
		if (l->v[n]->uri && !strcmp(l->v[n]->uri, uri))
			return (int)n;
	return -1;
}

const char *metadata_get(const void *list, const char *uri)
{
	const metadata_list *l = list;
	int at = find(l, uri);

	return at < 0 ? NULL : l->v[at]->text;
}

const char *domdef_metadata(const struct domdef *d, const char *uri)
{
	return metadata_get(&d->metadata, uri);
}

/* The element's text with its namespace declared under the key. */
static char *with_namespace(const char *xml, const char *key, const char *uri, char **name, struct err *e)
{
	xmlDoc *doc;
	xmlNode *root;
	xmlNs *ns;
	char *text = NULL;

	if (xmldoc_parse(&doc, xml, strlen(xml), "metadata_xml", e) < 0)
		return NULL;
	root = xmlDocGetRootElement(doc);
	ns = xmlSearchNs(doc, root, (const xmlChar *)key);
	if (!ns || strcmp((const char *)ns->href, uri))
		ns = ns ? NULL : xmlNewNs(root, (const xmlChar *)uri, (const xmlChar *)key);
	if (ns) {
		xmlSetNs(root, ns);
		*name = strdup((const char *)root->name);
		text = xmldoc_verbatim(root);
	} else {
		err_set(e, -EINVAL, "the prefix '%s' stands for another namespace in the element", key);
	}
	xmlFreeDoc(doc);
	return text;
}

int metadata_set(void *list, const char *key, const char *uri, const char *xml, struct err *e)
{
	metadata_list *l = list;
	struct xraw *x;
	int at = find(l, uri), ret;

	if (!xml) {
		if (at >= 0)
			xraw_free(xlist_take(l, (unsigned)at));
		return 0;
	}
	if (!key || !*key)
		return err_set(e, -EINVAL, "key must be set when modifying metadata of type element");
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, -ENOMEM, "out of memory");
	x->verbatim = true;
	x->text = with_namespace(xml, key, uri, &x->name, e);
	ret = x->text ? xstr_set(&x->uri, uri) : (e && e->code < 0 ? e->code : -EILSEQ);
	if (ret == 0 && at >= 0) {
		xraw_free(l->v[at]);
		l->v[at] = x;
		return 0;
	}
	if (ret == 0)
		ret = xlist_add(l, x);
	if (ret < 0)
		xraw_free(x);
	return ret;
}

int domdef_metadata_set(struct domdef *d, const char *key, const char *uri, const char *xml, struct err *e)
{
	return metadata_set(&d->metadata, key, uri, xml, e);
}
