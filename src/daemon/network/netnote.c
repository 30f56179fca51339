/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/network/network_priv.h"

#include "base/log.h"
#include "daemon/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The phase is the note's first word, the document the rest. */
static const char *const phases[] = {
	[NETNOTE_STARTING] = "starting\n", [NETNOTE_RUNNING] = "running\n", [NETNOTE_STOPPING] = "stopping\n"};

void netnote_dir(const struct networks *ns, const uint8_t uuid[16], char out[PATH_MAX])
{
	char text[37];

	xuuid_text(uuid, text);
	snprintf(out, PATH_MAX, "%s/%s", ns->run_dir, text);
}

int netnote_write(const struct network *n, enum netnote_phase phase, struct err *e)
{
	char dir[PATH_MAX], *xml = netdef_format(n->def, 0);
	struct buf b;
	int ret;

	netnote_dir(n->all, network_uuid(n), dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		free(xml);
		return err_errno(e, errno, "cannot make the directory %s", dir);
	}
	buf_init(&b, STORE_FILE_MAX);
	ret = xml ? buf_printf(&b, "%s", phases[phase]) : -ENOMEM;
	if (ret == 0)
		ret = buf_append(&b, xml, strlen(xml));
	if (ret == 0)
		ret = store_write(dir, "note", b.data, b.len, false, e);
	else
		err_set(e, ret, "out of memory");
	buf_free(&b);
	free(xml);
	return ret;
}

static void remove_dir(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		return;
	while ((entry = readdir(dir))) /* the note last: it says that there is something to clear away */
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strcmp(entry->d_name, "note"))
			unlinkat(dirfd(dir), entry->d_name, 0);
	unlinkat(dirfd(dir), "note", 0);
	closedir(dir);
	rmdir(path);
}

void netnote_remove(const struct network *n)
{
	char dir[PATH_MAX];

	netnote_dir(n->all, network_uuid(n), dir);
	remove_dir(dir);
}

/* ---- at the daemon's start ---- */

/* The network of the note: defined and running now, or transient. */
static struct network *network_of(struct networks *ns, struct netdef *def)
{
	struct network *n = network_by_uuid(ns, def->uuid.b);

	if (!n && !network_by_name(ns, def->name))
		return network_new(ns, def);
	if (!n || n->active)
		return NULL;
	n->next = n->def;
	n->def = def;
	return n;
}

static int parse(const char *text, size_t len, enum netnote_phase *phase, struct netdef **def, struct err *e)
{
	for (unsigned n = 0; n < COUNT_OF(phases); n++) {
		size_t skip = strlen(phases[n]);

		if (len < skip || memcmp(text, phases[n], skip))
			continue;
		*phase = (enum netnote_phase)n;
		return netdef_parse(def, text + skip, len - skip, NETDEF_LIVE, e);
	}
	return err_set(e, -EINVAL, "the note is broken");
}

/* It does not run after all, or must not. */
static void clear(struct network *n)
{
	network_clear(n);
	if (!n->persistent) {
		network_free(n);
	} else if (n->next) {
		netdef_free(n->def);
		n->def = n->next;
		n->next = NULL;
	}
}

static int restore(struct networks *ns, const char *dir, struct err *e)
{
	enum netnote_phase phase = NETNOTE_STOPPING;
	struct netdef *def = NULL;
	struct network *n;
	char *text = NULL;
	size_t len;
	int ret = store_read(dir, "note", &text, &len, e);

	if (ret == 0)
		ret = parse(text, len, &phase, &def, e);
	free(text);
	if (ret < 0)
		return ret;
	n = network_of(ns, def);
	if (!n) {
		netdef_free(def);
		return err_set(e, -EEXIST, "its name or UUID is another network's");
	}
	n->active = phase == NETNOTE_RUNNING;
	ret = n->active ? network_adopt(n, e) : 0;
	if (ret < 0)
		n->active = false;
	if (!n->active)
		clear(n);
	return ret;
}

void netnotes_load(struct networks *ns)
{
	struct dirent **list;
	int count = scandir(ns->run_dir, &list, NULL, alphasort);
	struct err e = { 0 };
	uint8_t uuid[16];
	char dir[PATH_MAX];

	for (int n = 0; n < count; n++) {
		if (xuuid_parse(uuid, list[n]->d_name) == 0) {
			netnote_dir(ns, uuid, dir);
			store_clean(dir);
			if (restore(ns, dir, &e) < 0) {
				log_line(LOG_WARNING, "the network %s runs no more: %s", list[n]->d_name, e.text);
				remove_dir(dir);
			}
		}
		free(list[n]);
	}
	if (count >= 0)
		free(list);
}
