/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands to a running machine. */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"

#include <stdlib.h>

/* A command under way: what it makes of the domain when the machine has answered. */
struct action {
	struct domain *domain;
	void (*then)(struct domain *d);
	domain_done_fn done;
	void *opaque;
};

/* The machine's functions are called before the domain goes, so the domain is there. */
static void acted(void *opaque, const json_t *result, const struct err *e)
{
	struct action a = *(struct action *)opaque;
	struct fault f;

	free(opaque);
	if (result && a.then)
		a.then(a.domain);
	if (!result)
		fault_from_err(&f, FAULT_OPERATION_FAILED, FROM_HYPERVISOR, e);
	a.done(a.opaque, result ? NULL : &f);
	if (a.domain->job == JOB_MODIFY)
		domain_job_end(a.domain);
}

static int act(struct domain *d, const char *command, json_t *arguments, void (*then)(struct domain *d),
	       domain_done_fn done, void *opaque, struct fault *f)
{
	struct action *a = NULL;
	struct err e = { 0 };

	if (!d->machine || d->state == DOMAIN_SHUTDOWN) {
		json_decref(arguments);
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	}
	if (domain_busy(d, f) < 0) {
		json_decref(arguments);
		return -1;
	}
	a = malloc(sizeof(*a));
	if (!a || intent_begin(d, arguments, f) < 0) {
		json_decref(arguments);
		if (!a)
			fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the command");
		free(a);
		return -1;
	}
	*a = (struct action){ .domain = d, .then = then, .done = done, .opaque = opaque };
	domain_job_begin(d, JOB_MODIFY);
	if (machine_execute(d->machine, command, arguments, acted, a, &e) < 0) {
		free(a);
		d->job = JOB_NONE;
		return fault_from_err(f, FAULT_OPERATION_FAILED, FROM_HYPERVISOR, &e);
	}
	return 0;
}

int domain_command(struct domain *d, const char *command, json_t *arguments, domain_done_fn done, void *opaque,
		   struct fault *f)
{
	return act(d, command, arguments, NULL, done, opaque, f);
}

void domain_note(const struct domain *d)
{
	if (note_write(d, NOTE_RUNNING, NULL) < 0)
		log_line(LOG_WARNING, "%s: its note could not be written again", domain_name(d));
}

static void note_again(struct domain *d)
{
	if (note_write(d, NOTE_RUNNING, NULL) < 0)
		return; /* the machine itself is asked after a restart; only the reason is lost */
}

int domain_shutdown(struct domain *d, domain_done_fn done, void *opaque, struct fault *f)
{
	d->reboot_wanted = false;
	return act(d, "system_powerdown", NULL, note_again, done, opaque, f);
}

static void want_reboot(struct domain *d)
{
	d->reboot_wanted = true;
	note_again(d);
}

int domain_reboot(struct domain *d, domain_done_fn done, void *opaque, struct fault *f)
{
	return act(d, "system_powerdown", NULL, want_reboot, done, opaque, f);
}

int domain_reset(struct domain *d, domain_done_fn done, void *opaque, struct fault *f)
{
	return act(d, "system_reset", NULL, NULL, done, opaque, f);
}

static void suspended(struct domain *d)
{
	domain_set_state(d, DOMAIN_PAUSED, PAUSED_USER);
	note_again(d);
	domain_lifecycle(d, EVENT_SUSPENDED, 0);
}

/* Nothing to do is done. */
static int nothing(domain_done_fn done, void *opaque)
{
	done(opaque, NULL);
	return 0;
}

int domain_suspend(struct domain *d, domain_done_fn done, void *opaque, struct fault *f)
{
	if (d->machine && d->state == DOMAIN_PAUSED && d->job == JOB_NONE)
		return nothing(done, opaque);
	return act(d, "stop", NULL, suspended, done, opaque, f);
}

/* What failed is tried again by the machine. */
static void resumed(struct domain *d)
{
	json_decref(d->disk_errors);
	d->disk_errors = NULL;
	domain_set_state(d, DOMAIN_RUNNING, RUNNING_UNPAUSED);
	note_again(d);
	domain_lifecycle(d, EVENT_RESUMED, 0);
}

int domain_resume(struct domain *d, domain_done_fn done, void *opaque, struct fault *f)
{
	if (d->machine && d->state == DOMAIN_RUNNING && d->job == JOB_NONE)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is already running");
	return act(d, "cont", NULL, resumed, done, opaque, f);
}
