/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

/* Texts lie in po/ beside a program that was not installed, else where the installation has them. */
void text_begin(const char *installed)
{
	char self[PATH_MAX], dir[PATH_MAX + 8];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C"); /* numbers are read by scripts too */
	snprintf(dir, sizeof(dir), "%s", installed);
	if (len > 0) {
		self[len] = 0;
		snprintf(dir, sizeof(dir), "%s/po", dirname(self));
		if (access(dir, R_OK) < 0)
			snprintf(dir, sizeof(dir), "%s", installed);
	}
	bindtextdomain("panal", dir);
	bind_textdomain_codeset("panal", "UTF-8");
	textdomain("panal");
}
