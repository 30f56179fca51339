/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Documents of every kind. What is accepted must come out again as a document that is accepted and comes out the same.
 */
#include "daemon/xml/domdef.h"
#include "daemon/xml/netdef.h"
#include "daemon/xml/pooldef.h"
#include "daemon/xml/smalldef.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void says_why(int ret, const struct err *e)
{
	if (ret < 0 && (!e->text[0] || e->code != ret))
		__builtin_trap();
}

static void domain(const char *text, size_t len, unsigned flags)
{
	struct domdef_place place = { 0 };
	struct domdef_args args;
	struct domdef *d, *again;
	struct err e = { 0 };
	char *once, *twice;
	int ret = domdef_parse(&d, text, len, flags, &e);

	says_why(ret, &e);
	if (ret < 0)
		return;
	once = domdef_format(d, DOMDEF_FORMAT_SECURE);
	ret = once ? domdef_parse(&again, once, strlen(once), flags, &e) : -1;
	if (ret < 0)
		__builtin_trap();
	twice = domdef_format(again, DOMDEF_FORMAT_SECURE);
	if (!twice || strcmp(once, twice))
		__builtin_trap();
	free(twice);
	free(once);
	domdef_free(again);
	if (!(flags & DOMDEF_PARSE_RAW)) {
		ret = domdef_vmm_args(&args, d, &place, &e);
		says_why(ret, &e);
		if (ret == 0)
			domdef_args_free(&args);
	}
	if (domdef_assign_aliases(d) < 0)
		__builtin_trap();
	domdef_free(d);
}

static void device(const char *text, size_t len)
{
	static const char base[] =
		"<domain type='kvm'><name>m</name><memory>65536</memory><os><type>hvm</type></os><devices>"
		"<disk><source file='/a'/><target dev='vda'/></disk><serial type='pty'/>"
		"<interface type='user'/></devices></domain>";
	struct domdef_device dev;
	struct domdef *d;
	struct err e = { 0 };
	int ret = domdef_device_parse(&dev, text, len, 0, &e);

	says_why(ret, &e);
	if (ret < 0 || domdef_parse(&d, base, strlen(base), 0, &e) < 0)
		return;
	(void)domdef_device_find(d, &dev);
	ret = domdef_device_attach(d, &dev, &e);
	says_why(ret, &e);
	if (ret < 0)
		domdef_device_free(&dev);
	ret = domdef_device_parse(&dev, text, len, 0, &e);
	if (ret == 0 && domdef_device_update(d, &dev, true, &e) < 0) {
		(void)!domdef_device_detach(d, &dev, &e);
		domdef_device_free(&dev);
	}
	domdef_free(d);
}

static void others(const char *text, size_t len)
{
	struct netdef *n;
	struct pooldef *p;
	struct voldef *v;
	struct secretdef *s;
	struct snapdef *t;
	struct err e = { 0 };

	says_why(netdef_parse(&n, text, len, 0, &e), &e);
	if (n) {
		char *zero = strndup(text, len);

		free(netdef_format(n, 0));
		for (unsigned section = 0; zero && section < 13; section++)
			says_why(netdef_update(n, NETDEF_ADD_LAST, section, -1, zero, &e), &e);
		free(zero);
	}
	netdef_free(n);
	says_why(pooldef_parse(&p, text, len, true, &e), &e);
	pooldef_free(p);
	says_why(voldef_parse(&v, text, len, false, &e), &e);
	voldef_free(v);
	says_why(secretdef_parse(&s, text, len, false, &e), &e);
	secretdef_free(s);
	says_why(snapdef_parse(&t, text, len, false, &e), &e);
	snapdef_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	domain(text, size, 0);
	domain(text, size, DOMDEF_PARSE_RAW | DOMDEF_PARSE_LIVE);
	device(text, size);
	others(text, size);
	return 0;
}
