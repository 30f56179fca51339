/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What engine and daemon say, told in Spanish: by form, with what stands in it, part by part. */
#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *said, *told;
} cases[] = {
	{"Requested operation is not valid: domain is not running",
	 "la operación no es válida ahora: la máquina no está en marcha"},
	{"operation failed: domain 'a: b' already exists with uuid 1-2",
	 "la operación ha fallado: la máquina «a: b» ya existe, con el UUID 1-2"},
	{"--disk: image /x may not be opened for writing by this user; change its owner or mode, or open it read-only",
	 "--disk: este usuario no puede abrir la imagen /x para escribir; cambie su dueño o sus permisos, "
	 "o ábrala como solo lectura"},
	/* One error within another. */
	{"internal error: process exited while starting the machine: --disk: image /d is in use by another machine; "
	 "stop that one",
	 "error interno: el proceso terminó al arrancar la máquina: --disk: la imagen /d la usa otra máquina; "
	 "pare esa"},
	/* What is not known stays. */
	{"the moon is full", "the moon is full"},
	{"operation failed: the moon is full", "la operación ha fallado: the moon is full"},
	{"", ""},
	{"100% of %s %n %1$s", "100% of %s %n %1$s"},
	{"--memory: \"%n%s\" is not a size; write it like 512M or 2G",
	 "--memory: «%n%s» no es un tamaño; escríbalo como 512M o 2G"},
};

static void errors_are_told(void **state)
{
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		char text[ERR_TEXT_MAX];

		text_told(cases[n].said, text, sizeof(text));
		assert_string_equal(text, cases[n].told);
		memset(text, 0, sizeof(text));
		strcpy(text, cases[n].said);
		text_told(text, text, sizeof(text)); /* in its own place */
		assert_string_equal(text, cases[n].told);
	}
}

/* Long, full of what forms are made of: it ends, in bounds. */
static void strange_texts_end(void **state)
{
	static const char *const bits[] = {": ",	    "image ", "'", " already exists with uuid ", "%s",
					   "no se ", "cannot open "};
	char text[ERR_TEXT_MAX], out[ERR_TEXT_MAX];
	unsigned seed = 1;

	for (unsigned round = 0; round < 30; round++) {
		text[0] = 0;
		while (strlen(text) + 40 < sizeof(text)) {
			seed = seed * 1103515245 + 12345;
			strcat(text, bits[(seed >> 16) % (sizeof(bits) / sizeof(bits[0]))]);
		}
		text_told(text, out, sizeof(out));
		assert_true(strlen(out) < sizeof(out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_told),
		cmocka_unit_test(strange_texts_end),
	};

	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("LANGUAGE", "es", 1);
	setlocale(LC_ALL, "");
	bindtextdomain("panal", PO);
	textdomain("panal");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
