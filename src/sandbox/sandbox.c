/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sandbox/sandbox.h"

#include "sandbox/landlock.h"
#include "sandbox/filter.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOBODY = 65534 };

int sandbox_enter(const struct sandbox_config *cfg, struct err *e)
{
	int r = 0;
	/* what an unprivileged process owes the kernel before it may filter itself; also: no setuid program gains
	 * anything */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "sandbox: cannot set no_new_privs");
	if (cfg->kind == SANDBOX_PROCESS || cfg->kind == SANDBOX_NET || cfg->kind == SANDBOX_READER)
		r = landlock_enter(cfg, e);
	return r < 0 ? r : filter_enter(cfg, e);
}

void sandbox_leave_root(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return;
}
