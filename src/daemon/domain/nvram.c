/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The variables of a machine's UEFI firmware, in a file of ours where the document names none. The machine's process
 * fills an empty or missing file from the firmware's own. */
#include "daemon/domain/domain_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool domain_nvram_wanted(const struct domdef *def)
{
	const char *firmware = def->os.firmware, *type = def->os.loader_type;

	if (def->os.kernel || def->os.nvram)
		return false;
	return (firmware && !strcmp(firmware, "efi")) || (type && !strcmp(type, "pflash"));
}

static void own_path(const struct domain *d, char path[PATH_MAX])
{
	char uuid[37];

	xuuid_text(domain_uuid(d), uuid);
	snprintf(path, PATH_MAX, "%s/nvram/%s.fd", d->all->daemon->config_dir, uuid);
}

int domain_nvram_place(const struct domain *d, char path[PATH_MAX], struct err *e)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/nvram", d->all->daemon->config_dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make the directory %s", dir);
	own_path(d, path);
	return 0;
}

/* The document's file, or ours; false: the machine has none. */
static bool file_of(const struct domain *d, char path[PATH_MAX])
{
	const struct domdef *def = d->next ? d->next : d->def;

	if (def->os.nvram)
		snprintf(path, PATH_MAX, "%s", def->os.nvram);
	else
		own_path(d, path);
	return def->os.nvram || domain_nvram_wanted(def);
}

bool domain_nvram_exists(const struct domain *d)
{
	char path[PATH_MAX];

	return file_of(d, path) && access(path, F_OK) == 0;
}

int domain_nvram_remove(const struct domain *d, struct fault *f)
{
	char path[PATH_MAX];

	if (file_of(d, path) && unlink(path) < 0 && errno != ENOENT)
		return fault_set(f, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot remove the firmware's variables %s: %s",
				 path, strerror(errno));
	return 0;
}
