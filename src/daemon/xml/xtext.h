/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A document that is written piece by piece. The first failure stays, and what comes after it is not written; so only
 * the end is checked. */
#ifndef PANAL_DAEMON_XML_XTEXT_H
#define PANAL_DAEMON_XML_XTEXT_H

#include "base/buf.h"

struct xtext {
	struct buf b;
	int ret; /* 0, or why nothing more is written */
};

void xtext_init(struct xtext *t, size_t max);
void xtext_put(struct xtext *t, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* As the text of an element or an attribute's value. */
void xtext_escape(struct xtext *t, const char *text);
/* All that was written, to be freed; NULL: something failed. The document is gone either way. */
char *xtext_take(struct xtext *t);

#endif
