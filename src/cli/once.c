/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/once.h"

#include "cli/document.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char cmdline[] = "/domain/os/cmdline";

/* A kernel that is given, or found on the disk without its loader: those take a command line from us. */
static bool takes_words(const struct document *d)
{
	char *kernel = document_text(d, "/domain/os/kernel", 0), *disk = document_text(d, "/domain/bootloader", 0);
	bool takes = kernel || disk;

	free(kernel);
	free(disk);
	return takes;
}

static int add_words(struct document *d, const char *append, struct err *e)
{
	char *old = document_text(d, cmdline, 0), *text = NULL;
	int ret = asprintf(&text, "%s%s%s", old ? old : "", old && *old ? " " : "", append) < 0 ? -ENOMEM : 0;

	if (ret == 0 && !old)
		ret = document_add(d, "/domain/os", "cmdline");
	if (ret == 0)
		document_set(d, cmdline, 0, text);
	else
		err_set(e, ret, _("no memory"));
	free(text);
	free(old);
	return ret;
}

/* The machine's document with the words in it, to be freed. */
static char *document_once(const char *xml, const struct machine *m, const char *append, struct err *e)
{
	struct document *d;
	char *text = NULL;

	if (document_parse(&d, xml, e) < 0)
		return NULL;
	if (!takes_words(d)) {
		err_set(e, -ENOTSUP,
			_("%s boots a loader of its own, which takes no words from outside; with <bootloader/> in its "
			  "document the kernel on its disk does"), m->name);
	} else if (add_words(d, append, e) == 0) {
		text = document_print(d);
		if (!text)
			err_set(e, -ENOMEM, _("no memory"));
	}
	document_free(d);
	return text;
}

int once_start(struct conn *c, const struct machine *m, const char *append, struct err *e)
{
	char *xml, *text;
	int ret;

	/* A document with the same name and UUID would be that of the machine which runs. */
	if (m->id >= 0)
		return err_set(e, -EINVAL, _("%s runs already; stop it first"), m->name);
	xml = machine_xml(c, m, XML_INACTIVE | XML_SECURE, e);
	if (!xml)
		return e->code;
	text = document_once(xml, m, append, e);
	ret = text ? document_call(c, "DOMAIN_CREATE_XML", text, e) : e->code;
	free(text);
	free(xml);
	return ret;
}
