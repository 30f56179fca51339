/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a new machine is told at its first boot: its name, its user, who may log in. A disk whose contents are a tar
 * archive (ustar, POSIX.1-1988) with the folder panal-seed; recipes/first-boot reads it in the guest.
 */
#ifndef PANAL_CLI_SEED_H
#define PANAL_CLI_SEED_H

#include "base/err.h"

struct seed {
	const char *hostname, *user;
	const char *authorized_keys; /* as ssh's file of that name */
	const char *instance_id;     /* another one: another machine */
};

int seed_write(const char *path, const struct seed *s, struct err *e) ATTR_MUST_USE;

/*
 * The keys that may log in: panal's own, made when there is none yet (DATA/ssh/id_ed25519), and the user's public keys
 * (~/.ssh/id_*.pub). To be freed; NULL with e set.
 */
char *seed_keys(struct err *e);

#endif
