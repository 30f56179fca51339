/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A domain's start, its process, its end. */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"
#include "daemon/domain/agent.h"
#include "daemon/domain/cgroup.h"
#include "daemon/domain/plug.h"
#include "daemon/storage/storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct machine_ops machine_ops;

/* A socket in the machine's run directory; empty when it would be too long. */
static void socket_path(const struct domain *d, const char *name, char out[DOMAIN_PATH_MAX])
{
	char uuid[37];

	xuuid_text(domain_uuid(d), uuid);
	if ((size_t)snprintf(out, DOMAIN_PATH_MAX, "%s/%s/%s", d->all->machines_dir, uuid, name) >= DOMAIN_PATH_MAX)
		out[0] = 0;
}

void domain_serial_path(const struct domain *d, char out[DOMAIN_PATH_MAX])
{
	socket_path(d, "serial", out);
}

void domain_console_path(const struct domain *d, char out[DOMAIN_PATH_MAX])
{
	socket_path(d, "console", out);
}

/* ---- the end ---- */

struct end_waiter {
	struct list node;
	domain_done_fn done;
	void *opaque;
};

/* What the end was, from all that is known: [0] the state's reason, [1] the event's detail. */
static void end_of(const struct domain *d, int out[2])
{
	out[0] = SHUTOFF_CRASHED;
	out[1] = STOPPED_CRASHED;
	if (d->destroying) {
		out[0] = SHUTOFF_DESTROYED;
		out[1] = STOPPED_DESTROYED;
	} else if (d->guest_down) {
		out[0] = SHUTOFF_SHUTDOWN;
		out[1] = STOPPED_SHUTDOWN;
	} else if (d->job == JOB_START) {
		out[0] = SHUTOFF_FAILED;
		out[1] = STOPPED_FAILED;
	}
}

/* What ran gives way to the definition. */
static void forget_run(struct domain *d)
{
	char uuid[37];

	xuuid_text(domain_uuid(d), uuid);
	domain_cgroup_leave(d);
	note_remove(d->all, uuid);
	machine_free(d->machine);
	d->machine = NULL;
	domain_hand_stop(d);
	domain_agent_stop(d);
	intent_forget(d);
	free(d->sample);
	d->sample = NULL;
	json_decref(d->disk_errors);
	d->disk_errors = NULL;
	d->id = -1;
	d->start_paused = d->destroying = d->reboot_wanted = d->guest_down = d->crashed = d->forget = false;
	d->relaunching = false;
	if (d->next) {
		domdef_free(d->def);
		d->def = d->next;
		d->next = NULL;
	}
}

static void tell_ends(struct list *ends)
{
	while (!list_empty(ends)) {
		struct end_waiter *w = list_entry(ends->next, struct end_waiter, node);
		struct end_waiter copy = *w;

		list_remove(&w->node);
		free(w);
		copy.done(copy.opaque, NULL);
	}
}

static void move_list(struct list *to, struct list *from)
{
	list_init(to);
	while (!list_empty(from)) {
		struct list *it = from->next;

		list_remove(it);
		list_add_tail(to, it);
	}
}

/* The start's caller is told last: by then a transient domain is gone. */
static void stopped(struct domain *d, const char *why)
{
	domain_done_fn start_done = d->start_done;
	void *start_opaque = d->start_opaque;
	bool destroyed = d->destroying;
	struct fault f;
	struct list ends;
	int end[2];

	end_of(d, end);
	move_list(&ends, &d->ends);
	d->start_done = NULL;
	forget_run(d);
	domain_set_state(d, DOMAIN_SHUTOFF, end[0]);
	domain_lifecycle(d, EVENT_STOPPED, end[1]);
	if (d->persistent)
		domain_job_end(d);
	else
		domain_free(d);
	tell_ends(&ends);
	if (!start_done)
		return;
	if (destroyed)
		fault_set(&f, FAULT_ABORTED, FROM_HYPERVISOR, "the domain was destroyed while it was being started");
	else
		fault_set(&f, FAULT_INTERNAL, FROM_HYPERVISOR, "process exited while starting the machine: %s", why);
	start_done(start_opaque, &f);
}

/* ---- the start ---- */

/* From here on nobody waits for the start. The domain may be gone after done. */
static void start_ended(struct domain *d)
{
	domain_done_fn done = d->start_done;

	d->start_done = NULL;
	if (done)
		done(d->start_opaque, NULL);
}

static void vcpus_known(void *opaque, const json_t *result, const struct err *e)
{
	struct domain *d = opaque;
	size_t count = json_array_size(result);

	d->vcpu_count = count < DOMAIN_VCPUS_MAX ? (unsigned)count : DOMAIN_VCPUS_MAX;
	for (unsigned n = 0; n < d->vcpu_count; n++)
		d->vcpu_tid[n] = (pid_t)json_integer_value(json_object_get(json_array_get(result, n), "thread-id"));
	domain_pins_apply(d);
	domain_cgroup_threads(d);
}

/* Whoever has no threads to name shows less, and runs all the same. */
static void ask_vcpus(struct domain *d)
{
	d->vcpu_count = 0;
	if (machine_execute(d->machine, "query-cpus-fast", NULL, vcpus_known, d, NULL) < 0)
		log_line(LOG_WARNING, "%s: its vCPUs are not known", domain_name(d));
}

/* As the document wants it; a machine without a balloon's driver only tells less. */
static void ask_for_memory(struct domain *d)
{
	const struct domdef_memballoon *b = d->def->memballoons.n ? d->def->memballoons.v[0] : NULL;

	if (b && b->stats_period.set && b->stats_period.v &&
	    machine_execute(d->machine, "balloon-stats",
			    json_pack("{s:I}", "period", (json_int_t)b->stats_period.v), NULL, NULL, NULL) < 0)
		log_line(LOG_WARNING, "%s: its memory's statistics are not asked for", domain_name(d));
}

static void running(struct domain *d)
{
	bool paused = d->start_paused;

	domain_set_state(d, paused ? DOMAIN_PAUSED : DOMAIN_RUNNING, paused ? (int)PAUSED_USER : (int)RUNNING_BOOTED);
	if (note_write(d, NOTE_RUNNING, NULL) < 0)
		log_line(LOG_WARNING, "%s: its note could not be written again", domain_name(d));
	if (!paused && !d->relaunching)
		domain_lifecycle(d, EVENT_RESUMED, 0);
	if (!d->relaunching)
		domain_lifecycle(d, EVENT_STARTED, 0);
	if (paused)
		domain_lifecycle(d, EVENT_SUSPENDED, 0);
	d->relaunching = false;
	ask_vcpus(d);
	ask_for_memory(d);
	domain_ask_channels(d);
	start_ended(d);
	domain_job_end(d);
}

static void continued(void *opaque, const json_t *result, const struct err *e)
{
	struct domain *d = opaque;

	if (result)
		running(d);
	else if (d->machine) /* it says no to its first command, or is gone: then its end comes anyway */
		machine_end(d->machine);
}

static void on_ready(void *opaque)
{
	struct domain *d = opaque;
	struct err e = { 0 };

	if (d->destroying)
		return;
	if (domain_name_terminals(d) < 0)
		log_line(LOG_WARNING, "%s: its terminals are not named: no memory", domain_name(d));
	/* First the note, then the guest: a guest that has run is never taken for one that was not started. */
	if (note_write(d, NOTE_RUNNING, &e) < 0 ||
	    (!d->start_paused && machine_execute(d->machine, "cont", NULL, continued, d, &e) < 0)) {
		log_line(LOG_ERROR, "%s: %s", domain_name(d), e.text);
		machine_end(d->machine);
	} else if (d->start_paused) {
		running(d);
	}
}

/* Where the arguments find what is not in the document. */
struct sources {
	struct plugs plugs;
	struct storage *storage;
};

static const char *volume_path(void *opaque, const struct domdef_disk *k)
{
	const struct sources *s = opaque;

	return volume_for_machine(s->storage, k->source.pool, k->source.volume);
}

static const char *tap_text(void *opaque, const struct domdef_interface *i)
{
	struct sources *s = opaque;

	return plugs_text(&s->plugs, i);
}

/* What lies in the machine's run directory under fixed names. */
struct place {
	char serial[DOMAIN_PATH_MAX + 8], console[DOMAIN_PATH_MAX + 8], vsock[DOMAIN_PATH_MAX], control[16];
	struct domdef_place place;
};

static int make_place(struct domain *d, struct place *p, char dir[PATH_MAX], struct err *e)
{
	char uuid[37], serial[DOMAIN_PATH_MAX], console[DOMAIN_PATH_MAX];

	xuuid_text(domain_uuid(d), uuid);
	note_remove(d->all, uuid);
	note_dir(d->all, uuid, dir);
	if (mkdir(dir, 0700) < 0)
		return err_errno(e, errno, "cannot make the directory %s", dir);
	domain_serial_path(d, serial);
	domain_console_path(d, console);
	socket_path(d, "vsock", p->vsock);
	if (!serial[0] || !console[0] || !p->vsock[0])
		return err_set(e, -ENAMETOOLONG, "the path of %s is too long for sockets", dir);
	snprintf(p->serial, sizeof(p->serial), "pty:%s", serial);
	snprintf(p->console, sizeof(p->console), "pty:%s", console);
	snprintf(p->control, sizeof(p->control), "fd:%d", MACHINE_CONTROL_FD);
	p->place = (struct domdef_place){ .control = p->control, .serial = p->serial, .console = p->console,
		.vsock = p->vsock, .paused = true };
	return 0;
}

static int spawn(struct domain *d, const char *dir, struct domdef_args *args, const struct plugs *plugs, struct err *e)
{
	const struct daemon *daemon = d->all->daemon;
	char program[PATH_MAX], log[PATH_MAX], **argv = calloc(args->argc + 2, sizeof(*argv));
	const struct machine_config cfg = { .program = program, .argv = argv, .dir = dir, .log_path = log,
		.fds = plugs->fd, .fd_count = plugs->count };
	int ret;

	if (!argv)
		return err_set(e, -ENOMEM, "out of memory");
	snprintf(program, sizeof(program), "%s/panal-vmm", daemon->program_dir);
	snprintf(log, sizeof(log), "%s/%s.log", daemon->log_dir, domain_name(d));
	argv[0] = program;
	memcpy(argv + 1, args->argv, args->argc * sizeof(*argv));
	for (unsigned n = 0; n < args->note_count; n++)
		log_line(LOG_INFO, "%s: %s", domain_name(d), args->note[n]);
	ret = machine_start(&d->machine, daemon->loop, &cfg, &machine_ops, d, e);
	free(argv);
	return ret;
}

static int launch(struct domain *d, struct err *e)
{
	struct domdef_args args = { 0 };
	struct sources sources = { .storage = d->all->daemon->storage };
	struct place p;
	char dir[PATH_MAX];
	int ret = plugs_open(&sources.plugs, d->all->daemon->networks, d->def, MACHINE_FIRST_FD, e);

	if (ret == 0)
		ret = make_place(d, &p, dir, e);
	p.place.tap = tap_text;
	p.place.volume = volume_path;
	p.place.opaque = &sources;
	p.place.limits = domain_cgroup_possible(d);
	if (ret == 0)
		ret = domdef_vmm_args(&args, d->def, &p.place, e);
	if (ret == 0)
		ret = note_write(d, NOTE_STARTING, e);
	if (ret == 0)
		ret = spawn(d, dir, &args, &sources.plugs, e);
	if (ret == 0)
		domain_cgroup_join(d);
	/* Now with its number; without it the next daemon reaches the process through its socket. */
	if (ret == 0 && note_write(d, NOTE_STARTING, NULL) < 0)
		log_line(LOG_WARNING, "%s: its note could not be written again", domain_name(d));
	domdef_args_free(&args);
	plugs_close(&sources.plugs);
	return ret;
}

static int launch_fault(int ret, const struct err *e, struct fault *f)
{
	if (ret == -ESRCH)
		return fault_set(f, FAULT_NO_NETWORK, FROM_NETWORK, "%s", e->text);
	return fault_from_err(f, ret == -ENOTSUP ? FAULT_CONFIG_UNSUPPORTED : FAULT_INTERNAL, FROM_HYPERVISOR, e);
}

/* Channels whose document names no socket have one in the machine's run directory. */
static int place_channels(struct domain *d, struct domdef *live, struct err *e)
{
	char name[32], path[DOMAIN_PATH_MAX];

	for (unsigned n = 0; n < live->channels.n; n++) {
		struct domdef_chr *c = live->channels.v[n];

		free(c->target_state);
		c->target_state = NULL;
		if (c->type != DOM_CHR_UNIX || c->path)
			continue;
		snprintf(name, sizeof(name), "channel%u", n);
		socket_path(d, name, path);
		c->path = path[0] ? strdup(path) : NULL;
		c->mode = c->path && !c->mode ? strdup("bind") : c->mode;
		if (!c->path)
			return err_set(e, -ENAMETOOLONG, "the path of a channel's socket is too long");
	}
	return 0;
}

/* The running machine's document is a copy, with aliases and the number. */
static int make_live(struct domain *d, const struct domdef *from, struct err *e)
{
	struct domdef *live = domdef_copy(from);
	char nvram[PATH_MAX];

	if (!live || domdef_name_ports(live, e) < 0 || domdef_assign_aliases(live) < 0) {
		domdef_free(live);
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (domain_nvram_wanted(live)) {
		int ret = domain_nvram_place(d, nvram, e);

		live->os.nvram = ret == 0 ? strdup(nvram) : NULL;
		if (!live->os.nvram) {
			domdef_free(live);
			return ret < 0 ? ret : err_set(e, -ENOMEM, "out of memory");
		}
	}
	if (place_channels(d, live, e) < 0) {
		domdef_free(live);
		return e->code;
	}
	if (domdef_drop_displays(live))
		log_line(LOG_WARNING, "%s: graphics: left out: nobody could connect, no display is served",
			 domain_name(d));
	live->id = xnum((uint64_t)d->id);
	if (d->persistent)
		d->next = d->def;
	else
		domdef_free(d->def);
	d->def = live;
	return 0;
}

int domain_start(struct domain *d, bool paused, domain_done_fn done, void *opaque, struct fault *f)
{
	return domain_start_as(d, d->def, paused, done, opaque, f);
}

int domain_start_as(struct domain *d, const struct domdef *def, bool paused, domain_done_fn done, void *opaque,
		    struct fault *f)
{
	struct err e = { 0 };
	int ret;

	if (domain_active(d))
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is already running");
	if (domain_busy(d, f) < 0)
		return -1;
	d->id = ++d->all->last_id;
	d->start_paused = paused;
	ret = make_live(d, def, &e);
	if (ret == 0) {
		domain_drop_missing(d);
		domain_set_state(d, DOMAIN_PAUSED, PAUSED_STARTING);
		ret = launch(d, &e);
	}
	if (ret < 0) {
		forget_run(d);
		domain_set_state(d, DOMAIN_SHUTOFF, SHUTOFF_FAILED);
		return launch_fault(ret, &e, f);
	}
	d->start_done = done;
	d->start_opaque = opaque;
	domain_job_begin(d, JOB_START);
	return 0;
}

/* ---- what the process says ---- */

/* The guest switched off although it was to reboot, or its document wants it running: the same domain, another process.
 */
static bool goes_on(const struct domain *d)
{
	if (d->destroying || !d->guest_down || d->job == JOB_START)
		return false;
	return d->reboot_wanted || d->def->on_poweroff == DOM_ACTION_RESTART;
}

static void relaunch(struct domain *d)
{
	struct err e = { 0 };

	machine_free(d->machine);
	d->machine = NULL;
	d->reboot_wanted = d->guest_down = d->start_paused = false;
	d->relaunching = true;
	d->all->watcher.reboot(d->all->watcher.opaque, d);
	domain_set_state(d, DOMAIN_PAUSED, PAUSED_STARTING);
	domain_job_begin(d, JOB_START);
	if (launch(d, &e) < 0) {
		log_line(LOG_ERROR, "%s does not start again: %s", domain_name(d), e.text);
		stopped(d, e.text);
	}
}

static void on_ended(void *opaque, const char *reason)
{
	struct domain *d = opaque;

	if (goes_on(d))
		relaunch(d);
	else
		stopped(d, reason);
}

static void on_shutdown(struct domain *d, const json_t *data)
{
	const char *reason = json_string_value(json_object_get(data, "reason"));
	bool guest = json_is_true(json_object_get(data, "guest"));

	d->guest_down = reason && !strcmp(reason, "guest-shutdown");
	if (!d->destroying && !goes_on(d))
		domain_set_state(d, DOMAIN_SHUTDOWN, d->guest_down ? 1 : 0);
	if (!goes_on(d))
		domain_lifecycle(d, EVENT_SHUTDOWN, guest ? SHUTDOWN_GUEST : SHUTDOWN_FINISHED);
}

static void on_tray(struct domain *d, const json_t *data)
{
	const char *name = json_string_value(json_object_get(data, "device"));
	bool open = json_is_true(json_object_get(data, "tray-open"));
	char id[DOMDEF_ID_MAX];

	for (unsigned n = 0; name && n < d->def->disks.n; n++) {
		struct domdef_disk *k = d->def->disks.v[n];

		if (!domdef_disk_id(k, id) || strcmp(id, name))
			continue;
		free(k->tray);
		k->tray = open ? strdup("open") : NULL;
		domain_note(d);
		d->all->watcher.tray(d->all->watcher.opaque, d, k->dev.alias ? k->dev.alias : "", open);
	}
}

static void on_watchdog(struct domain *d, const json_t *data)
{
	enum { SUSPENDED_WATCHDOG = 3 };
	/* by libvirt's numbers; 4 and 5 are no actions of the engine */
	static const char *const actions[] = { "none", "pause", "reset", "poweroff", "", "", "inject-nmi" };
	const char *action = json_string_value(json_object_get(data, "action"));

	for (int n = 0; action && n < (int)COUNT_OF(actions); n++)
		if (!strcmp(action, actions[n]))
			d->all->watcher.watchdog(d->all->watcher.opaque, d, n);
	if (action && !strcmp(action, "pause") && d->job == JOB_NONE) {
		domain_set_state(d, DOMAIN_PAUSED, PAUSED_WATCHDOG);
		domain_note(d);
		domain_lifecycle(d, EVENT_SUSPENDED, SUSPENDED_WATCHDOG);
	}
}

/* A kernel said that it is at its end. Without <panic> in the document nobody asked to be told. */
static void on_panic(struct domain *d)
{
	const char *command = NULL;
	struct err e = { 0 };

	d->crashed = true;
	domain_lifecycle(d, EVENT_CRASHED, 0);
	if (!d->def->panics.n || d->destroying)
		return;
	switch (d->def->on_crash) {
	case DOM_ACTION_RESTART:
	case DOM_ACTION_COREDUMP_RESTART: command = "system_reset"; break;
	case DOM_ACTION_PRESERVE: command = "stop"; break;
	default: machine_end(d->machine); return;
	}
	if (machine_execute(d->machine, command, NULL, NULL, NULL, &e) < 0)
		log_line(LOG_WARNING, "%s: <on_crash>: %s", domain_name(d), e.text);
	else if (!strcmp(command, "stop")) {
		domain_set_state(d, DOMAIN_CRASHED, 1);
		domain_note(d);
	}
}

/* A start, a pause or an end under way says by itself what the machine is then. */
static void on_sleep(struct domain *d, bool awake)
{
	enum { STARTED_WAKEUP = 4, PMSUSPENDED_MEMORY = 0 };

	d->all->watcher.sleep(d->all->watcher.opaque, d, awake ? SLEEP_ENDED : SLEEP_TO_MEMORY);
	if (!awake)
		domain_agent_slept(d);
	if (d->state != (awake ? DOMAIN_PMSUSPENDED : DOMAIN_RUNNING))
		return;
	domain_set_state(d, awake ? DOMAIN_RUNNING : DOMAIN_PMSUSPENDED, awake ? (int)RUNNING_WAKEUP : 0);
	domain_note(d);
	domain_lifecycle(d, awake ? EVENT_STARTED : EVENT_PMSUSPENDED, awake ? STARTED_WAKEUP : PMSUSPENDED_MEMORY);
}

/* Its memory is on its disk; SHUTDOWN follows at once. */
static void on_hibernation(struct domain *d)
{
	enum { PMSUSPENDED_DISK = 1 };

	d->all->watcher.sleep(d->all->watcher.opaque, d, SLEEP_TO_DISK);
	domain_lifecycle(d, EVENT_PMSUSPENDED, PMSUSPENDED_DISK);
}

static void on_event(void *opaque, const char *name, const json_t *data)
{
	struct domain *d = opaque;

	if (!strcmp(name, "SHUTDOWN")) {
		on_shutdown(d, data);
	} else if (!strcmp(name, "VSERPORT_CHANGE")) {
		domain_channel_moved(d, json_string_value(json_object_get(data, "id")),
				     json_is_true(json_object_get(data, "open")));
	} else if (!strcmp(name, "DEVICE_TRAY_MOVED")) {
		on_tray(d, data);
	} else if (!strcmp(name, "DEVICE_DELETED")) {
		domain_device_gone(d, json_string_value(json_object_get(data, "device")));
	} else if (!strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR")) {
		domain_device_stays(d, json_string_value(json_object_get(data, "device")));
	} else if (!strcmp(name, "RESET")) {
		d->all->watcher.reboot(d->all->watcher.opaque, d);
	} else if (!strcmp(name, "GUEST_PANICKED")) {
		on_panic(d);
	} else if (!strcmp(name, "SUSPEND") || !strcmp(name, "WAKEUP")) {
		on_sleep(d, *name == 'W');
	} else if (!strcmp(name, "SUSPEND_DISK")) {
		on_hibernation(d);
	} else if (!strcmp(name, "WATCHDOG")) {
		on_watchdog(d, data);
	} else {
		domain_happened(d, name, data);
	}
}

static const struct machine_ops machine_ops = {on_ready, on_event, on_ended};

/* ---- taking over ---- */

/* Its state now; the reason only where the state is still the one that was noted. */
static void adopted_status(void *opaque, const json_t *result, const struct err *e)
{
	struct domain *d = opaque;
	const char *status = json_string_value(json_object_get(result, "status"));
	int state;

	if (!status) /* its end follows */
		return;
	if (d->state == DOMAIN_PAUSED && d->reason == PAUSED_STARTING) {
		on_ready(d); /* the daemon before was killed just before it let the guest run */
		return;
	}
	state = !strcmp(status, "running")   ? DOMAIN_RUNNING :
		!strcmp(status, "suspended") ? DOMAIN_PMSUSPENDED :
					       DOMAIN_PAUSED;
	if (d->state != state && !(d->state == DOMAIN_CRASHED && state == DOMAIN_PAUSED))
		domain_set_state(d, state, 0);
	intent_ask(d);
}

void domain_adopted(struct domain *d)
{
	ask_vcpus(d);
	domain_ask_channels(d);
	domain_job_end(d);
}

static void adopted_ready(void *opaque)
{
	struct domain *d = opaque;

	if (d->forget)
		machine_end(d->machine);
	else if (machine_execute(d->machine, "query-status", NULL, adopted_status, d, NULL) < 0)
		machine_end(d->machine);
}

int domain_adopt(struct domain *d, pid_t pid, uint64_t start_time, enum note_phase phase, struct err *e)
{
	static const struct machine_ops adopted_ops = {adopted_ready, on_event, on_ended};
	char uuid[37], dir[PATH_MAX];
	int ret;

	xuuid_text(domain_uuid(d), uuid);
	note_dir(d->all, uuid, dir);
	ret = machine_adopt(&d->machine, d->all->daemon->loop, dir, pid, start_time, &adopted_ops, d, e);
	if (ret < 0)
		return ret;
	/* A start that nobody got an answer for has not happened. */
	d->forget = d->destroying = phase == NOTE_STARTING;
	if (d->forget && pid > 0)
		machine_end(d->machine);
	domain_job_begin(d, JOB_ADOPT);
	return 0;
}

/* ---- destroy ---- */

int domain_destroy(struct domain *d, domain_done_fn done, void *opaque, struct fault *f)
{
	struct end_waiter *w;

	if (!d->machine)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	w = malloc(sizeof(*w));
	if (!w)
		return fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the call");
	*w = (struct end_waiter){ .done = done, .opaque = opaque };
	list_add_tail(&d->ends, &w->node);
	d->destroying = true;
	machine_end(d->machine);
	return 0;
}
