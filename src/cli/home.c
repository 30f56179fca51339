/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/home.h"

#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LENGTH_MAX = 63, FILE_MAX = 1 << 20, OPEN_DIRS = 16 };

static void data_dir(char *out, size_t size)
{
	const char *named = getenv("PANAL_DATA"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (named && named[0] == '/')
		snprintf(out, size, "%s", named);
	else if (geteuid() == 0)
		snprintf(out, size, "/var/lib/panal");
	else if (data && data[0] == '/')
		snprintf(out, size, "%s/panal", data);
	else
		snprintf(out, size, "%s/.local/share/panal", home ? home : "/nonexistent");
}

struct path home_path(const char *fmt, ...)
{
	struct path p;
	size_t len;
	va_list ap;

	data_dir(p.s, sizeof(p.s));
	len = strlen(p.s);
	va_start(ap, fmt);
	if (len + 1 < sizeof(p.s)) {
		p.s[len++] = '/';
		vsnprintf(p.s + len, sizeof(p.s) - len, fmt, ap);
	}
	va_end(ap);
	return p;
}

int home_make_dir(const char *path, struct err *e)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path + 1, '/');; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", p ? (int)(p - path) : (int)strlen(path), path);
		if (mkdir(part, p ? 0755 : 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, _("cannot make the directory %s"), part);
		if (!p)
			return 0;
	}
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int home_remove(const char *path, struct err *e)
{
	if (nftw(path, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		return err_errno(e, errno, _("cannot remove %s"), path);
	return 0;
}

int home_write(const char *path, const char *text, struct err *e)
{
	char temporary[PATH_MAX];
	size_t len = strlen(text);
	bool whole;
	int fd;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return err_set(e, -ENAMETOOLONG, _("the path %s is too long"), path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, errno, _("cannot write %s"), path);
	whole = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
	close(fd);
	if (whole && rename(temporary, path) == 0)
		return 0;
	err_errno(e, errno, _("cannot write %s"), path);
	unlink(temporary);
	return e ? e->code : -EIO;
}

char *home_read(const char *path, struct err *e)
{
	char *text = calloc(1, FILE_MAX + 1);
	FILE *f = text ? fopen(path, "re") : NULL;
	size_t len = f ? fread(text, 1, FILE_MAX + 1, f) : 0;

	if (f && !ferror(f) && len <= FILE_MAX) {
		text[len] = 0;
		fclose(f);
		return text;
	}
	err_errno(e, f ? EFBIG : errno, _("cannot read %s"), path);
	if (f)
		fclose(f);
	free(text);
	return NULL;
}

int home_check_name(const char *name, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (!*name || strlen(name) > NAME_LENGTH_MAX || name[strspn(name, allowed)] || name[0] == '.' || name[0] == '-')
		return err_set(e, -EINVAL, _("\"%s\" is no name for a machine: letters, digits, '.', '_' and '-' are, "
			       "at most %d"), name, NAME_LENGTH_MAX);
	return 0;
}
