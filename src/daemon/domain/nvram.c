/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The variables of a machine's UEFI firmware, in a file of ours where the document names none. The machine's process
 * fills an empty or missing file from the firmware's own. */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- with the definition ---- */

static const char going[] = ".going";

/*
 * A file of ours gets another name while its definition is removed: the next daemon, should this one be killed, sees by
 * the definition which of the two names is right. A file that the document names goes after the definition.
 */
int domain_undefine_all(struct domain *d, struct fault *f)
{
	char path[PATH_MAX], aside[PATH_MAX + 8], named[PATH_MAX];
	bool ours = !(d->next ? d->next : d->def)->os.nvram, has = file_of(d, named);

	own_path(d, path);
	snprintf(aside, sizeof(aside), "%s%s", path, going);
	if (ours && rename(path, aside) < 0 && errno != ENOENT)
		return fault_set(f, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot rename %s: %s", path, strerror(errno));
	if (domain_undefine(d, f) < 0) {
		if (ours && rename(aside, path) < 0 && errno != ENOENT)
			log_line(LOG_ERROR, "cannot rename %s: %s", aside, strerror(errno));
		return -1;
	}
	if (has && unlink(ours ? aside : named) < 0 && errno != ENOENT)
		log_line(LOG_WARNING, "cannot remove %s: %s", ours ? aside : named, strerror(errno));
	return 0;
}

static void settle_one(struct domains *ds, const char *dir, const char *name)
{
	char from[PATH_MAX + 300], to[PATH_MAX + 300], text[37];
	const struct domain *d;
	uint8_t uuid[16];

	if (strlen(name) < sizeof(text) - 1)
		return;
	snprintf(text, sizeof(text), "%.36s", name);
	if (xuuid_parse(uuid, text) < 0 || strcmp(name + 36, ".fd.going"))
		return;
	d = domain_by_uuid(ds, uuid);
	snprintf(from, sizeof(from), "%s/%s", dir, name);
	snprintf(to, sizeof(to), "%s/%s.fd", dir, text);
	if (d && d->persistent ? rename(from, to) < 0 : unlink(from) < 0)
		log_line(LOG_WARNING, "cannot settle %s: %s", from, strerror(errno));
}

void domain_nvrams_settle(struct domains *ds)
{
	char path[PATH_MAX];
	struct dirent **list;
	int count;

	snprintf(path, sizeof(path), "%s/nvram", ds->daemon->config_dir);
	count = scandir(path, &list, NULL, alphasort);
	for (int n = 0; n < count; n++) {
		settle_one(ds, path, list[n]->d_name);
		free(list[n]);
	}
	if (count >= 0)
		free(list);
}
