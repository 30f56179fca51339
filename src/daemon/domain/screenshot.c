/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of a machine's screen: its process writes them into a memory file that it is handed. */
#include "daemon/domain/domain_priv.h"

#include "base/fd.h"

#include <stdlib.h>

enum { SHOT_FDSET = 1 }; /* one picture at a time, for each is a job */

struct shot {
	struct domain *domain;
	unsigned head;
	int fd;
	domain_picture_fn done;
	void *opaque;
};

/* The machine's functions are called before the domain goes, so the domain is there. */
static void ended(struct shot *s, const struct err *e)
{
	struct shot gone = *s;
	struct fault f;

	free(s);
	if (e) {
		fault_from_err(&f, FAULT_OPERATION_FAILED, FROM_HYPERVISOR, e);
		fd_close(&gone.fd);
	}
	gone.done(gone.opaque, gone.fd, e ? &f : NULL);
	if (gone.domain->job == JOB_MODIFY)
		domain_job_end(gone.domain);
}

static void give_back(struct domain *d)
{
	if (machine_execute(d->machine, "remove-fd", json_pack("{s:i}", "fdset-id", SHOT_FDSET), NULL, NULL, NULL) < 0)
		return; /* it goes with the connection */
}

static void drawn(void *opaque, const json_t *result, const struct err *e)
{
	struct shot *s = opaque;

	if (s->domain->machine)
		give_back(s->domain);
	ended(s, result ? NULL : e);
}

static void handed(void *opaque, const json_t *result, const struct err *e)
{
	struct shot *s = opaque;
	struct err own = { 0 };
	char name[32];

	if (!result) {
		ended(s, e);
		return;
	}
	snprintf(name, sizeof(name), "/dev/fdset/%d", SHOT_FDSET);
	if (machine_execute(s->domain->machine, "screendump", json_pack("{s:s, s:s, s:i}", "filename", name, "format",
			    "png", "head", (int)s->head), drawn, s, &own) < 0)
		ended(s, &own);
}

int domain_screenshot(struct domain *d, unsigned head, domain_picture_fn done, void *opaque, struct fault *f)
{
	struct err e = { 0 };
	struct shot *s;

	if (!d->machine || d->state == DOMAIN_SHUTDOWN)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	if (domain_busy(d, f) < 0)
		return -1;
	s = malloc(sizeof(*s));
	if (!s)
		return fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the picture");
	*s = (struct shot){ .domain = d, .head = head, .done = done, .opaque = opaque };
	s->fd = fd_memfd("screenshot", 0, &e);
	if (s->fd >= 0) {
		domain_job_begin(d, JOB_MODIFY);
		if (machine_execute_fd(d->machine, "add-fd", json_pack("{s:i}", "fdset-id", SHOT_FDSET), s->fd, handed,
				       s, &e) == 0)
			return 0;
		d->job = JOB_NONE;
	}
	fd_close(&s->fd);
	free(s);
	return fault_from_err(f, FAULT_OPERATION_FAILED, FROM_HYPERVISOR, &e);
}
