/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/media.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool taken(const struct media *m, const char *id)
{
	for (unsigned n = 0; n < BOARD_DISK_MAX; n++)
		if (!strcmp(m->disk[n].id, id))
			return true;
	for (unsigned n = 0; n < BOARD_NET_MAX; n++)
		if (!strcmp(m->nic[n].id, id))
			return true;
	return false;
}

static int set_name(const struct media *m, char out[CONTROL_ID_MAX], const char *id, const char *kind, unsigned n,
		    struct err *e)
{
	char name[CONTROL_ID_MAX];

	if (!id[0])
		snprintf(name, sizeof(name), "%s%u", kind, n);
	else if (strlen(id) >= sizeof(name))
		return err_set(e, -EINVAL, "id=%s is longer than %d characters", id, CONTROL_ID_MAX - 1);
	else
		strcpy(name, id);
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			return err_set(e, -EINVAL, "id=%s has other characters than letters, digits, '-', '_' and '.'",
				       name);
	if (taken(m, name))
		return err_set(e, -EEXIST, "id=%s is there twice; give each device a name of its own", name);
	strcpy(out, name);
	return 0;
}

int media_add_disk(struct media *m, unsigned n, const char *id, struct blk *blk, bool cdrom, struct err *e)
{
	int ret = set_name(m, m->disk[n].id, id, "disk", n, e);

	if (ret == 0) {
		m->disk[n].blk = blk;
		m->disk[n].cdrom = cdrom;
	}
	return ret;
}

int media_add_nic(struct media *m, unsigned n, const char *id, struct net *net, const uint8_t mac[6], struct err *e)
{
	int ret = set_name(m, m->nic[n].id, id, "nic", n, e);

	if (ret == 0) {
		m->nic[n].net = net;
		memcpy(m->nic[n].mac, mac, sizeof(m->nic[n].mac));
	}
	return ret;
}

bool media_disk_at(const struct media *m, unsigned n, struct control_disk *out)
{
	for (unsigned k = 0; k < BOARD_DISK_MAX; k++)
		if (m->disk[k].id[0] && n-- == 0) {
			*out = (struct control_disk){ m->disk[k].id, m->disk[k].blk, m->disk[k].cdrom };
			return true;
		}
	return false;
}

bool media_nic_at(const struct media *m, unsigned n, struct control_nic *out)
{
	for (unsigned k = 0; k < BOARD_NET_MAX; k++)
		if (m->nic[k].id[0] && n-- == 0) {
			*out = (struct control_nic){ m->nic[k].id, m->nic[k].net, m->nic[k].mac };
			return true;
		}
	return false;
}
