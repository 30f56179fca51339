/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every allocation fails once: the call says so, and nothing is lost (which a build with AddressSanitizer sees). The
 * linker puts the functions below before the library's. */
#include "daemon/xml/domdef.h"
#include "daemon/xml/netdef.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static unsigned until_failure; /* 0: none fails */

static bool fails(void)
{
	return until_failure && --until_failure == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

static char *sample(const char *name)
{
	FILE *f = fopen(name, "rb");
	char *text = __real_calloc(1, 1 << 16);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return text;
}

/* Each step may be the one that fails; returns true when all of them went well. */
static bool live(const char *text)
{
	static const char cdrom[] = "<disk device='cdrom'><target dev='sdq' bus='sata'/></disk>";
	struct domdef_place place = { 0 };
	struct domdef_device dev = { 0 };
	struct domdef_args args;
	struct domdef *d;
	struct err e = { 0 };
	char *xml = NULL;
	int ret = domdef_parse(&d, text, strlen(text), 0, &e);

	if (ret == 0)
		ret = domdef_assign_aliases(d);
	if (ret == 0)
		ret = (xml = domdef_format(d, 0)) ? 0 : -ENOMEM;
	if (ret == 0)
		ret = domdef_device_parse(&dev, cdrom, strlen(cdrom), 0, &e);
	if (ret == 0 && (ret = domdef_device_attach(d, &dev, &e)) < 0)
		domdef_device_free(&dev);
	if (ret == 0 && (ret = domdef_vmm_args(&args, d, &place, &e)) == 0)
		domdef_args_free(&args);
	free(xml);
	domdef_free(d);
	assert_true(ret == 0 || ret == -ENOMEM || ret == -ENOTSUP);
	return ret != -ENOMEM;
}

static void every_allocation_fails_once(void **state)
{
	static const char *const names[] = {SAMPLES "/virtinstall.xml", SAMPLES "/directboot.xml",
					    SAMPLES "/oldpc.xml"};

	for (size_t n = 0; n < COUNT_OF(names); n++) {
		char *text = sample(names[n]);

		for (unsigned at = 1;; at++) {
			bool well, failed;

			until_failure = at;
			well = live(text);
			failed = until_failure == 0;
			until_failure = 0;
			if (!failed) {
				assert_true(well);
				break;
			}
		}
		free(text);
	}
}

static void networks_too(void **state)
{
	char *text = sample(SAMPLES "/network-default.xml");

	for (unsigned at = 1, failed = 1; failed; at++) {
		struct netdef *d;
		struct err e = { 0 };
		int ret;

		until_failure = at;
		ret = netdef_parse(&d, text, strlen(text), 0, &e);
		if (ret == 0)
			ret = netdef_update(d, NETDEF_DELETE, NETDEF_DHCP_HOST, 0, "<host mac='00:16:3e:77:e2:ed'/>",
					    &e);
		failed = until_failure == 0;
		until_failure = 0;
		assert_true(failed ? ret == 0 || ret == -ENOMEM : ret == 0);
		netdef_free(d);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_fails_once),
		cmocka_unit_test(networks_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
