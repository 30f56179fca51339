/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal cp: files between this host and a launched machine, as NAME:PATH; scp's own program does it, with our key. */
#include "cli/command.h"
#include "cli/say.h"
#include "cli/way.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 256, EXIT_NO_SCP = 127 };

/* How long the machine's name is in NAME:PATH; 0: it is a path here, as all that has a / before its colon. */
static size_t name_length(const char *file)
{
	size_t len = strcspn(file, ":/");

	return file[len] == ':' ? len : 0;
}

/* The one machine that the files name, to be freed; NULL with e set: none, or two. */
static char *machine_of(char **files, unsigned count, struct err *e)
{
	const char *found = NULL;
	size_t len = 0;

	for (unsigned n = 0; n < count; n++) {
		size_t more = name_length(files[n]);

		if (!more)
			continue;
		if (found && (more != len || memcmp(files[n], found, len))) {
			err_set(e, -EINVAL, _("%s is in another machine than the rest; copy by way of this host"),
				files[n]);
			return NULL;
		}
		found = files[n];
		len = more;
	}
	if (!found)
		err_set(e, -EINVAL, _("none of the files is in a machine; those are NAME:PATH"));
	return found ? strndup(found, len) : NULL;
}

/* scp's form of the path, which lives as long as this process. */
static const char *scp_path(const struct way *w, const char *file)
{
	size_t len = name_length(file);
	char *path = NULL;

	if (len)
		return asprintf(&path, "%s@%s%s", w->user, w->address.host, file + len) < 0 ? NULL : path;
	/* Before a colon of a path here scp would look for a host. */
	return strchr(file, ':') && *file != '/' && asprintf(&path, "./%s", file) > 0 ? path : file;
}

static int run_scp(const struct way *w, char **files, unsigned count)
{
	const char *args[FILES_MAX + WAY_ARGS + 4] = {"scp", "-r", "-p"};
	unsigned n = 3 + WAY_ARGS;

	way_args(w, "-P", args + 3);
	args[n++] = "--";
	for (unsigned f = 0; f < count; f++)
		if (!(args[n++] = scp_path(w, files[f])))
			return say_error("cp", _("no memory")), 1;
	execvp("scp", (char **)args);
	say_error("cp", _("cannot start scp: %s; apt install openssh-client"), strerror(errno));
	return EXIT_NO_SCP;
}

int cp_main(int argc, char **argv)
{
	const char *uri = way_uri(argc, argv, "c:h");
	struct err e = { 0 };
	unsigned count;
	struct way w;
	char *name;
	int ret;

	count = (unsigned)(argc - optind);
	if (count < 2 || count > FILES_MAX) {
		fputs(_("usage: panal cp [-c URI] FILE... NAME:PATH, or NAME:PATH... FILE\n"), stdout);
		return argc > 1 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	name = machine_of(argv + optind, count, &e);
	if (!name)
		return say_err("cp", &e);
	ret = way_find(&w, uri, name, &e);
	ret = ret < 0 ? say_err("cp", &e) : run_scp(&w, argv + optind, count);
	way_free(&w);
	free(name);
	return ret;
}
