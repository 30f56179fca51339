/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/seed.h"

#include "cli/home.h"
#include "cli/say.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 512, SEED_SIZE = 1 << 20, KEYS_MAX = 256 << 10 };

/* ---- tar ---- */

struct archive {
	uint8_t *data;
	size_t len;
};

/* A header's check sum counts its own field as blanks. */
static void seal(uint8_t head[BLOCK])
{
	unsigned sum = 0;

	memset(head + 148, ' ', 8);
	for (unsigned n = 0; n < BLOCK; n++)
		sum += head[n];
	snprintf((char *)head + 148, 8, "%06o", sum);
}

/* type '5': a folder, '0': a file. Returns false when there is no room. */
static bool add(struct archive *a, char type, const char *name, const char *text)
{
	size_t len = text ? strlen(text) : 0, padded = (len + BLOCK - 1) / BLOCK * BLOCK;
	uint8_t *head = a->data + a->len;

	if (a->len + BLOCK + padded + 2 * BLOCK > SEED_SIZE)
		return false;
	snprintf((char *)head, 100, "panal-seed/%s", name);
	snprintf((char *)head + 100, 8, "%07o", type == '5' ? 0755 : 0644);
	snprintf((char *)head + 108, 8, "%07o", 0);
	snprintf((char *)head + 116, 8, "%07o", 0);
	snprintf((char *)head + 124, 12, "%011o", (unsigned)(len & 0xffffff));
	snprintf((char *)head + 136, 12, "%011o", (unsigned)time(NULL));
	head[156] = type;
	memcpy(head + 257, "ustar\00000", 8);
	seal(head);
	if (len)
		memcpy(head + BLOCK, text, len);
	a->len += BLOCK + padded;
	return true;
}

int seed_write(const char *path, const struct seed *s, struct err *e)
{
	struct archive a = { .data = calloc(1, SEED_SIZE) };
	FILE *f;
	bool fits, written;

	if (!a.data)
		return err_set(e, -ENOMEM, _("no memory"));
	fits = add(&a, '5', "", NULL) && add(&a, '0', "instance-id", s->instance_id) &&
	       add(&a, '0', "hostname", s->hostname) && add(&a, '0', "user", s->user) &&
	       add(&a, '0', "authorized_keys", s->authorized_keys);
	f = fits ? fopen(path, "we") : NULL;
	written = f && fwrite(a.data, SEED_SIZE, 1, f) == 1;
	if (f && fclose(f) != 0)
		written = false;
	free(a.data);
	if (!fits)
		return err_set(e, -E2BIG, _("your ssh keys are more than a seed holds"));
	return written ? 0 : err_errno(e, errno, _("cannot write %s"), path);
}

/* ---- keys ---- */

static int make_key(const char *path, struct err *e)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("ssh-keygen", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "panal", "-f", path,
		       (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		return err_set(e, -EIO, _("ssh-keygen could not make a key; apt install openssh-client"));
	return 0;
}

static void append_key(char *keys, const char *path)
{
	char *text = home_read(path, NULL);
	size_t have = strlen(keys);

	if (text && have + strlen(text) + 2 < KEYS_MAX)
		sprintf(keys + have, "%s%s", text, *text && text[strlen(text) - 1] != '\n' ? "\n" : "");
	free(text);
}

char *seed_keys(struct err *e)
{
	struct path dir = home_path("ssh"), own = home_path("ssh/id_ed25519"), pub = home_path("ssh/id_ed25519.pub");
	char *keys = calloc(1, KEYS_MAX), pattern[PATH_MAX];
	const char *home = getenv("HOME");
	glob_t found;
	int ret = keys ? home_make_dir(dir.s, e) : err_set(e, -ENOMEM, _("no memory"));

	if (ret == 0 && access(pub.s, R_OK) < 0)
		ret = make_key(own.s, e);
	if (ret < 0) {
		free(keys);
		return NULL;
	}
	append_key(keys, pub.s);
	snprintf(pattern, sizeof(pattern), "%s/.ssh/id_*.pub", home ? home : "/nonexistent");
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t n = 0; n < found.gl_pathc; n++)
			append_key(keys, found.gl_pathv[n]);
		globfree(&found);
	}
	return keys;
}
