/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/names.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

int device_name(char out[CONTROL_ID_MAX], const char *text, struct err *e)
{
	for (const char *at = text; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
			return err_set(e, -EINVAL, "'%.40s' is no name for a device", text);
	if (!*text || strlen(text) >= CONTROL_ID_MAX)
		return err_set(e, -EINVAL, "a device's name has 1 to %d characters", CONTROL_ID_MAX - 1);
	strcpy(out, text);
	return 0;
}
