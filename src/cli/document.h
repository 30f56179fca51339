/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What our sub-commands read from a machine's document, and change in it. libxml2, without network and entities. */
#ifndef PANAL_CLI_DOCUMENT_H
#define PANAL_CLI_DOCUMENT_H

#include "base/err.h"

struct document; /* a parsed document */

int document_parse(struct document **out, const char *xml, struct err *e) ATTR_MUST_USE;
void document_free(struct document *d);

/* The n-th node that the XPath finds, as text; to be freed. NULL: there is none. */
char *document_text(const struct document *d, const char *xpath, unsigned n);
/* Changes the first node's text, or removes all that the XPath finds (text NULL). How many there were. */
unsigned document_set(struct document *d, const char *xpath, unsigned n, const char *text);
/* Adds an empty element to the first node that the XPath finds: 0, -ENOENT (there is none) or -ENOMEM. */
int document_add(struct document *d, const char *xpath, const char *name) ATTR_MUST_USE;
/* The document as text, to be freed. NULL: no memory. */
char *document_print(const struct document *d);

/* The host's TCP port that leads to a guest's: 0 when none does. */
unsigned document_forward(const struct document *d, unsigned guest_port);

#endif
