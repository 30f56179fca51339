/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every procedure that changes something has an action in polkit's policy, and the ones that rules are written for have
 * libvirt's names. */
#include "base/fd.h"
#include "daemon/access/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void all_in_policy(void **state)
{
	struct err e = { 0 };
	uint8_t *text;
	size_t len;

	assert_int_equal(fd_read_file(POLICY, 1 << 20, &text, &len, &e), 0);
	for (uint32_t n = 1; n <= PROC_COUNT; n++) {
		char action[96], wanted[128];

		if (proc_by_number(n)->access != PROC_WRITE)
			continue;
		access_action(proc_by_number(n), action, sizeof(action));
		snprintf(wanted, sizeof(wanted), "<action id=\"%s\">", action);
		if (!strstr((char *)text, wanted))
			fail_msg("%s: %s is not in the policy", proc_by_number(n)->name, action);
	}
	free(text);
}

static void names(void **state)
{
	static const struct {
		const char *proc, *action;
	} rows[] = {
		{"DOMAIN_CREATE", "org.libvirt.api.domain.start"},
		{"DOMAIN_CREATE_WITH_FLAGS", "org.libvirt.api.domain.start"},
		{"DOMAIN_CREATE_XML", "org.libvirt.api.connect.write"},
		{"DOMAIN_DESTROY_FLAGS", "org.libvirt.api.domain.stop"},
		{"DOMAIN_SET_MEMORY", "org.libvirt.api.domain.write"},
		{"NETWORK_UNDEFINE", "org.libvirt.api.network.delete"},
		{"STORAGE_VOL_RESIZE", "org.libvirt.api.storage-vol.resize"},
		{"DOMAIN_DEFINE_XML", "org.libvirt.api.connect.write"},
	};

	for (unsigned n = 0; n < COUNT_OF(rows); n++) {
		char action[96];

		access_action(proc_by_name(rows[n].proc), action, sizeof(action));
		assert_string_equal(action, rows[n].action);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_in_policy), cmocka_unit_test(names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
