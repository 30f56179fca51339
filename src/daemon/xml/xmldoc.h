/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads XML texts safely: no network, no external or declared entities, bounded size and depth. */
#ifndef PANAL_DAEMON_XML_XMLDOC_H
#define PANAL_DAEMON_XML_XMLDOC_H

#include "base/buf.h"
#include "base/err.h"

#include <libxml/tree.h>

/* what: the document's name in messages. Errors: -EILSEQ (not well formed, too long or too deep), -ENOMEM. */
int xmldoc_parse(xmlDoc **out, const char *xml, size_t len, const char *what, struct err *e) ATTR_MUST_USE;
/* Appends the element in the writer's style: a line each, two blanks of indentation, no blanks kept between elements.
 * Line feeds inside text become character references, so that each line is one of the tree's. */
int xmldoc_tidy(const xmlNode *node, struct buf *b) ATTR_MUST_USE;
/* The element with all its namespaces declared, byte for byte as far as XML's model goes. Free it; NULL: no memory. */
char *xmldoc_verbatim(xmlNode *node);
/* Whether the text is white space only. */
bool xmldoc_blank(const char *text);

#endif
