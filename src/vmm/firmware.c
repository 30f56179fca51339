/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/firmware.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Where distributions install them. */
static const struct known {
	const char *name, *package;
	const char *path[3];
} known[] = {
	{ "bios", "seabios",
	  { "/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin", "/usr/share/seabios/bios.bin" } },
};

int firmware_find(const char **path, const char *name, struct err *e)
{
	if (!name)
		name = known[0].name;
	for (size_t n = 0; n < COUNT_OF(known); n++) {
		const struct known *k = &known[n];

		if (strcmp(k->name, name))
			continue;
		for (size_t i = 0; i < COUNT_OF(k->path); i++)
			if (k->path[i] && access(k->path[i], R_OK) == 0) {
				*path = k->path[i];
				return 0;
			}
		return err_set(e, -ENOENT, "%s is not installed; install the package %s, or give the path of an image",
			       k->name, k->package);
	}
	*path = name;
	return 0;
}
