/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/firmware.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VARS_MAX = 16 << 20, ROM_MAX = 256 << 10, ROM_FILE_MAX = 16 << 20 };

/* Where distributions install them; the first pair that is there is taken. */
static const struct known {
	const char *name, *package;
	struct firmware file[4];
} known[] = {
	{ "bios", "seabios",
	  { { "/usr/share/seabios/bios-256k.bin", NULL }, { "/usr/share/qemu/bios-256k.bin", NULL } } },
	{ "uefi", "ovmf",
	  { { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
	    { "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
	    { "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" } } },
};

static bool readable(const char *path)
{
	return !path || access(path, R_OK) == 0;
}

/* Secure Boot keeps its variables by system management mode, which no processor here has: such a firmware would
 * stop before it
 * says anything. Distributions name these images so, whatever link leads to them. */
static int refuse_smm(const char *path, struct err *e)
{
	static const char *const marks[] = { "secboot", ".ms.fd", "snakeoil" };
	char *real = realpath(path, NULL);
	int ret = 0;

	for (size_t n = 0; ret == 0 && n < COUNT_OF(marks); n++)
		if (strstr(real ? real : path, marks[n]))
			ret = err_set(e, -ENOTSUP,
				      "%s is made for Secure Boot and needs system management mode (SMM), which is not "
				      "there; take --firmware uefi, which has no Secure Boot",
				      path);
	free(real);
	return ret;
}

int firmware_find(struct firmware *fw, const char *name, struct err *e)
{
	if (!name)
		name = known[0].name;
	for (size_t n = 0; n < COUNT_OF(known); n++) {
		const struct known *k = &known[n];

		if (strcmp(k->name, name))
			continue;
		for (size_t i = 0; i < COUNT_OF(k->file) && k->file[i].code; i++)
			if (readable(k->file[i].code) && readable(k->file[i].vars)) {
				*fw = k->file[i];
				return 0;
			}
		return err_set(e, -ENOENT, "%s is not installed; install the package %s, or give the path of an image",
			       k->name, k->package);
	}
	*fw = (struct firmware){ .code = name };
	return refuse_smm(name, e);
}

int firmware_video_rom(const char *card, uint8_t **rom, size_t *size, struct err *e)
{
	static const char *const folders[] = { "/usr/share/seabios", "/usr/share/qemu", "/usr/share/seavgabios" };
	char path[128];

	for (size_t n = 0; n < COUNT_OF(folders); n++) {
		snprintf(path, sizeof(path), "%s/vgabios-%s.bin", folders[n], card);
		if (readable(path))
			return fd_read_file(path, ROM_MAX, rom, size, e);
	}
	return err_set(e, -ENOENT, "the VGA BIOS for %s is not installed; install the package seabios", card);
}

int firmware_net_rom(const char *card, uint8_t **rom, size_t *size, struct err *e)
{
	static const char *const folders[] = { "/usr/lib/ipxe/qemu", "/usr/share/ipxe/qemu", "/usr/share/qemu" };
	char path[128];

	for (size_t n = 0; n < COUNT_OF(folders); n++) {
		snprintf(path, sizeof(path), "%s/efi-%s.rom", folders[n], card);
		if (readable(path))
			return fd_read_file(path, ROM_MAX, rom, size, e);
	}
	return err_set(e, -ENOENT, "there is no option ROM for %s; install the package ipxe-qemu", card);
}

int firmware_file_rom(const char *path, uint8_t **rom, size_t *size, struct err *e)
{
	return fd_read_file(path, ROM_FILE_MAX, rom, size, e);
}

static int fill(int to, const char *path, struct err *e)
{
	uint8_t *bytes;
	size_t len;
	int ret = fd_read_file(path, VARS_MAX, &bytes, &len, e);

	if (ret < 0)
		return ret;
	ret = fd_write_all(to, bytes, len);
	free(bytes);
	return ret < 0 ? err_errno(e, -ret, "cannot write the firmware's variables") : 0;
}

static int private_copy(const struct firmware *fw, int *fd, struct err *e)
{
	*fd = fd_memfd("firmware-vars", 0, e);
	return *fd < 0 ? *fd : fill(*fd, fw->vars, e);
}

static int open_file(const struct firmware *fw, const char *path, int *fd, struct err *e)
{
	struct stat st;

	*fd = fd_open(path, O_RDWR | O_CREAT, 0600, e);
	if (*fd < 0)
		return *fd;
	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is not a regular file", path);
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, -EBUSY, "%s is in use by another machine", path);
	if (st.st_size == 0 && !fw->vars)
		return err_set(e, -EINVAL, "%s is empty, and %s has no variable store to fill it from", path, fw->code);
	return st.st_size == 0 ? fill(*fd, fw->vars, e) : 0;
}

int firmware_open_vars(const struct firmware *fw, const char *path, int *fd, struct err *e)
{
	int ret = 0;

	*fd = -1;
	if (path)
		ret = open_file(fw, path, fd, e);
	else if (fw->vars)
		ret = private_copy(fw, fd, e);
	if (ret < 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return ret;
}
