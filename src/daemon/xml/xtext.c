/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/xtext.h"

#include "daemon/xml/xmap.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void xtext_init(struct xtext *t, size_t max)
{
	t->ret = 0;
	buf_init(&t->b, max);
}

void xtext_put(struct xtext *t, const char *fmt, ...)
{
	char *one = NULL;
	va_list ap;
	int len;

	if (t->ret < 0)
		return;
	va_start(ap, fmt);
	len = vasprintf(&one, fmt, ap);
	va_end(ap);
	t->ret = len < 0 ? -ENOMEM : buf_append(&t->b, one, (size_t)len);
	if (len >= 0)
		free(one);
}

void xtext_escape(struct xtext *t, const char *text)
{
	if (t->ret == 0)
		t->ret = xml_escape(&t->b, text);
}

char *xtext_take(struct xtext *t)
{
	if (t->ret == 0)
		t->ret = buf_append_byte(&t->b, 0);
	if (t->ret == 0)
		return (char *)t->b.data;
	buf_free(&t->b);
	return NULL;
}
