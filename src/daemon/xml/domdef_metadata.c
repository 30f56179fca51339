/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The elements of <metadata>: one for each namespace, none of our business. */
#include "daemon/xml/domdef.h"
#include "daemon/xml/xmldoc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int find(const struct domdef *d, const char *uri)
{
	for (unsigned n = 0; n < d->metadata.n; n++)
		if (d->metadata.v[n]->uri && !strcmp(d->metadata.v[n]->uri, uri))
			return (int)n;
	return -1;
}

const char *domdef_metadata(const struct domdef *d, const char *uri)
{
	int at = find(d, uri);

	return at < 0 ? NULL : d->metadata.v[at]->text;
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

int domdef_metadata_set(struct domdef *d, const char *key, const char *uri, const char *xml, struct err *e)
{
	struct xraw *x;
	int at = find(d, uri), ret;

	if (!xml) {
		if (at >= 0)
			xraw_free(xlist_take(&d->metadata, (unsigned)at));
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
		xraw_free(d->metadata.v[at]);
		d->metadata.v[at] = x;
		return 0;
	}
	if (ret == 0)
		ret = xlist_add(&d->metadata, x);
	if (ret < 0)
		xraw_free(x);
	return ret;
}
