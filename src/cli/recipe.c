/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/recipe.h"

#include "cli/say.h"
#include "cli/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MS = 200 };

/* Beside a program that was not installed, or where the installation has them. */
static void recipe_path(char *out, size_t size, const char *recipe)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = 0;
		snprintf(out, size, "%s/src/cli/recipes/%s", dirname(self), recipe);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, size, "%s/recipes/%s", PANAL_DATADIR, recipe);
}

static pid_t start(const char *program, const char *dir, const char *log)
{
	pid_t parent = getpid(), pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, STDIN_FILENO);
	execl(program, program, dir, (char *)NULL);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

/* The last line that it wrote: most often why it failed. */
static void last_line(const char *log, char *out, size_t size)
{
	char *text = home_read(log, NULL), *end;

	out[0] = 0;
	if (!text)
		return;
	end = text + strlen(text);
	while (end > text && end[-1] == '\n')
		*--end = 0;
	end = strrchr(text, '\n');
	snprintf(out, size, "%s", end ? end + 1 : text);
	free(text);
}

/* The recipe's log has a line for each of its steps as that begins. */
static void tell_step(const char *log, struct stage *s)
{
	static const struct step {
		const char *line, *text;
	} steps[] = {
		{ "step: fetch\n", N_("fetches packages") },
		{ "step: install\n", N_("installs the base system") },
		{ "step: configure\n", N_("installs and sets up the rest") },
		{ "step: pack\n", N_("writes the file system") },
	};
	char *text = home_read(log, NULL);

	for (size_t n = COUNT_OF(steps); text && n-- > 0;)
		if (strstr(text, steps[n].line)) {
			stage_part(s, _(steps[n].text));
			break;
		}
	free(text);
	stage_tick(s);
}

static int run(const char *recipe, const struct path *dir, struct stage *s, struct err *e)
{
	char program[PATH_MAX + 32], log[PATH_MAX + 16], why[256];
	int status = 0;
	pid_t pid;

	recipe_path(program, sizeof(program), recipe);
	snprintf(log, sizeof(log), "%s/log", dir->s);
	pid = start(program, dir->s, log);
	if (pid < 0)
		return err_errno(e, errno, _("cannot start %s"), program);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		tell_step(log, s);
		poll(NULL, 0, POLL_MS);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_line(log, why, sizeof(why));
	return err_set(e, -EIO, _("the image could not be made: %s (all of it in %s)"), why, log);
}

static bool is_there(const struct path *dir)
{
	char image[PATH_MAX + 16];

	snprintf(image, sizeof(image), "%s/root.img", dir->s);
	return access(image, R_OK) == 0;
}

int recipe_make(const char *recipe, const struct path *dir, struct err *e)
{
	char path[PATH_MAX + 16];
	struct stage s;
	int ret, lock;

	stage_begin(&s, _("image"));
	if (is_there(dir)) {
		stage_done(&s, _("kept from before"));
		return 0;
	}
	ret = home_make_dir(dir->s, e);
	snprintf(path, sizeof(path), "%s/lock", dir->s);
	lock = ret == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (lock >= 0)
		flock(lock, LOCK_EX); /* whoever came first makes it for both */
	if (ret == 0 && !is_there(dir))
		ret = run(recipe, dir, &s, e);
	if (lock >= 0)
		close(lock);
	if (ret == 0)
		stage_done(&s, _("made from packages; kept for the next"));
	else
		stage_failed(&s, "");
	return ret;
}
