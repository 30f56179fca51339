/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files a firmware's name stands for, and where its variables are kept. */
#ifndef PANAL_VMM_FIRMWARE_H
#define PANAL_VMM_FIRMWARE_H

#include "base/err.h"

struct firmware {
	const char *code; /* path of the image; constant, or the name given */
	const char *vars; /* path of the empty variable store that belongs to it; NULL: none */
};

/* name: "bios", "uefi", a path, or NULL for bios. -ENOENT: not installed; the message names the package. */
int firmware_find(struct firmware *fw, const char *name, struct err *e) ATTR_MUST_USE;

/* The option ROM that SeaBIOS runs for a graphics card: "stdvga", "bochs-display"; malloc'ed. -ENOENT: not
 * installed. */
int firmware_video_rom(const char *card, uint8_t **rom, size_t *size, struct err *e) ATTR_MUST_USE;

/* The option ROM of a network card, iPXE: "virtio", "e1000" and so on; for SeaBIOS and for UEFI in one file. malloc'ed.
 * -ENOENT: not installed. */
int firmware_net_rom(const char *card, uint8_t **rom, size_t *size, struct err *e) ATTR_MUST_USE;
/* An option ROM that somebody names. */
int firmware_file_rom(const char *path, uint8_t **rom, size_t *size, struct err *e) ATTR_MUST_USE;

/* The machine's variable store. path is made from the empty store when it does not exist, locked while it is in use,
 * and written to by the guest; NULL: a copy that goes with the process. *fd is the caller's, -1 without a store. */
int firmware_open_vars(const struct firmware *fw, const char *path, int *fd, struct err *e) ATTR_MUST_USE;

#endif
