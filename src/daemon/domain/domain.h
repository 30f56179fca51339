/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains: machines as their users see them, defined or running or both.
 *
 * A persistent domain has a definition on disk; a transient one lives as long as it runs. What runs is described by
 * `def`; a definition that was changed meanwhile waits in `next`. All on the loop's thread.
 *
 * Functions return 0, or -1 with the fault set. Those that take `done` start something: when they return 0, done is
 * called once (perhaps before the return) with NULL or the fault.
 */
#ifndef PANAL_DAEMON_DOMAIN_DOMAIN_H
#define PANAL_DAEMON_DOMAIN_DOMAIN_H

#include "base/list.h"
#include "core/clock.h"
#include "daemon/domain/machine.h"
#include "daemon/rpc/fault.h"
#include "daemon/xml/domdef.h"

#include <limits.h>

struct daemon;
struct domains;

enum { DOMAIN_VCPUS_MAX = 64, DOMAIN_CPUS_MAX = 1024 };

/* The numbers are libvirt's: clients get them as they are. */
enum domain_state {
	DOMAIN_RUNNING = 1,
	DOMAIN_PAUSED = 3,
	DOMAIN_SHUTDOWN = 4,
	DOMAIN_SHUTOFF = 5,
	DOMAIN_CRASHED = 6,
	DOMAIN_PMSUSPENDED = 7
};
enum running_reason { RUNNING_UNKNOWN, RUNNING_BOOTED, RUNNING_UNPAUSED = 5, RUNNING_WAKEUP = 8 };
enum paused_reason { PAUSED_UNKNOWN, PAUSED_USER, PAUSED_IOERROR = 5, PAUSED_WATCHDOG = 6, PAUSED_CRASHED = 10,
		     PAUSED_STARTING = 11 };
enum shutoff_reason {
	SHUTOFF_UNKNOWN,
	SHUTOFF_SHUTDOWN,
	SHUTOFF_DESTROYED,
	SHUTOFF_CRASHED,
	SHUTOFF_FAILED = 6,
	SHUTOFF_DAEMON = 8,
};

enum domain_event { EVENT_DEFINED, EVENT_UNDEFINED, EVENT_STARTED, EVENT_SUSPENDED, EVENT_RESUMED, EVENT_STOPPED,
		    EVENT_SHUTDOWN, EVENT_PMSUSPENDED, EVENT_CRASHED };
enum { DEFINED_ADDED, DEFINED_UPDATED, DEFINED_RENAMED };
enum { UNDEFINED_REMOVED, UNDEFINED_RENAMED };
enum { STOPPED_SHUTDOWN, STOPPED_DESTROYED, STOPPED_CRASHED, STOPPED_FAILED = 5 };
enum { SHUTDOWN_FINISHED, SHUTDOWN_GUEST, SHUTDOWN_HOST };

enum domain_job {
	JOB_NONE,
	JOB_START,  /* until the machine runs */
	JOB_ADOPT,  /* until the machine that was found said how it is */
	JOB_MODIFY, /* a command is under way */
};

enum { DOMAIN_DISKS_MAX = 64, DOMAIN_NICS_MAX = 32, DOMAIN_DEVICE_MAX = 32 };

/* What the driver of a balloon tells, in the order of the device's tags. Bytes, and numbers of faults and pages. */
enum domain_balloon_stat { BALLOON_STAT_SWAP_IN, BALLOON_STAT_SWAP_OUT, BALLOON_STAT_MAJOR_FAULTS,
			   BALLOON_STAT_MINOR_FAULTS, BALLOON_STAT_FREE, BALLOON_STAT_TOTAL, BALLOON_STAT_AVAILABLE,
			   BALLOON_STAT_CACHES, BALLOON_STAT_HUGE_MADE, BALLOON_STAT_HUGE_FAILED, BALLOON_STATS };

/* What disks and network cards have done since the machine's start, as it said when it was last asked. */
struct domain_sample {
	unsigned disk_count, nic_count;
	struct domain_disk_sample {
		char id[DOMAIN_DEVICE_MAX];
		uint64_t size; /* bytes */
		struct domain_count {
			uint64_t requests, bytes, ns;
		} read, write, flush;
		uint64_t errors;
	} disk[DOMAIN_DISKS_MAX];
	struct domain_nic_sample {
		char id[DOMAIN_DEVICE_MAX];
		uint64_t rx_bytes, rx_packets, rx_dropped, tx_bytes, tx_packets; /* rx: into the guest */
	} nic[DOMAIN_NICS_MAX];
	struct domain_balloon_sample {
		bool there;
		uint64_t bytes;  /* that the guest has */
		uint64_t told_s; /* when the guest told the rest; 0: it has not */
		bool has[BALLOON_STATS];
		uint64_t stat[BALLOON_STATS];
	} balloon;
};

typedef void (*domain_done_fn)(void *opaque, const struct fault *f);

struct domain {
	struct list node;
	struct domains *all;
	struct domdef *def, *next;
	int id; /* -1: it does not run */
	bool persistent, autostart;
	int state, reason; /* enum domain_state, and the state's reasons */

	enum domain_job job;
	struct machine *machine; /* NULL: it does not run */
	bool start_paused, destroying, reboot_wanted, guest_down, crashed, forget, relaunching;
	const char *end_reason; /* what the engine said of its end; a constant */
	domain_done_fn start_done;
	void *start_opaque;
	struct list ends;    /* who waits for its end */
	struct list waiters; /* who waits for the job's end */
	struct timer wait_timer;
	pid_t vcpu_tid[DOMAIN_VCPUS_MAX]; /* the engine's threads, 0 where not known; what it says is not to be trusted
					   */
	unsigned vcpu_count;
	struct agent *agent; /* a question to the guest agent under way */
	int agent_timeout;   /* seconds; 0 and below: ours */
	struct hand *hand; /* a command with files under way */
	struct domain_sample *sample; /* NULL: it was not asked yet */
	struct intent *intent; /* what it is about to be told; NULL: nothing. What goes meanwhile goes from its live
				* definition, too */
	json_t *disk_errors;   /* of disks that stopped it, by target: libvirt's number; NULL: none */
	json_t *leaving;       /* names of devices that the guest was asked to give up; NULL: none */
};

/* A change of a running machine that the daemon may not live to see the end of. */
struct intent {
	char tag[40];
	struct domdef *live;         /* what its definition becomes; NULL: it stays */
	struct domdef *config;       /* of the next start, the same */
	char leaving[DOMDEF_ID_MAX]; /* the device that the guest is to give up; empty: none */
	bool noted, found;           /* its own: another daemon had it */
};

/* To disk is a power-off: the machine's end follows. */
enum domain_sleep { SLEEP_TO_MEMORY, SLEEP_TO_DISK, SLEEP_ENDED };

/* What the faces are told. */
struct domain_watcher {
	void (*lifecycle)(void *opaque, const struct domain *d, int event, int detail);
	void (*reboot)(void *opaque, const struct domain *d);
	/* The guest agent came, or went. */
	void (*agent)(void *opaque, const struct domain *d, bool connected);
	/* The tray of a CD-ROM drive moved. */
	void (*tray)(void *opaque, const struct domain *d, const char *alias, bool open);
	/* A drive's medium is another one, or none. The reason is libvirt's number. */
	void (*medium)(void *opaque, const struct domain *d, const char *old, const char *alias, int reason);
	/* The guest went to sleep, or woke. */
	void (*sleep)(void *opaque, const struct domain *d, enum domain_sleep how);
	/* The guest's watchdog timer ran out; what the engine did then is libvirt's number of an action. */
	void (*watchdog)(void *opaque, const struct domain *d, int action);
	/* A device came while the machine ran, is gone, or was asked for and stays. */
	void (*device_added)(void *opaque, const struct domain *d, const char *alias);
	void (*device_removed)(void *opaque, const struct domain *d, const char *alias);
	void (*removal_failed)(void *opaque, const struct domain *d, const char *alias);
	/* A disk's request failed: what was done is libvirt's number, reason "enospc" or "". */
	void (*io_error)(void *opaque, const struct domain *d, const struct domdef_disk *k, int action,
			 const char *reason);
	/* A disk's file has grown so far beyond its threshold. */
	void (*threshold)(void *opaque, const struct domain *d, const struct domdef_disk *k, uint64_t threshold,
			  uint64_t by);
	/* The guest set its clock, so many seconds ahead of UTC. It has so much memory. */
	void (*clock)(void *opaque, const struct domain *d, int64_t offset);
	void (*balloon)(void *opaque, const struct domain *d, uint64_t kib);
	void *opaque;
};

static inline bool domain_active(const struct domain *d) { return d->id >= 0; }
static inline const char *domain_name(const struct domain *d) { return d->def->name; }
static inline const uint8_t *domain_uuid(const struct domain *d) { return d->def->uuid.b; }
/* The definition of the next start. */
static inline struct domdef *domain_config(const struct domain *d) { return d->next ? d->next : d->def; }

/* ---- all of them ---- */

int domains_create(struct domains **out, struct daemon *daemon, const struct domain_watcher *watcher, struct err *e)
	ATTR_MUST_USE;
/* Lets go of what runs. */
void domains_destroy(struct domains *ds);
/* Reads the definitions, takes over the machines that run, and, once for each start of the host, starts those with
 * autostart. What cannot be read is left alone, with a line in the log. */
int domains_load(struct domains *ds, struct err *e) ATTR_MUST_USE;

struct domain *domain_by_uuid(struct domains *ds, const uint8_t uuid[16]);
struct domain *domain_by_name(struct domains *ds, const char *name);
struct domain *domain_by_id(struct domains *ds, int id);
/* In no particular order; f may not add or remove domains. */
void domains_each(struct domains *ds, void (*f)(void *opaque, struct domain *d), void *opaque);

/* ---- definitions ---- */

/* Defines anew, or replaces the definition of the same name and UUID. */
int domain_define(struct domains *ds, const char *xml, bool validate, struct domain **out, struct fault *f);
/* A transient domain, started. The domain goes when it stops. On a failure of the start it is gone when done is called.
 */
int domain_create(struct domains *ds, const char *xml, bool validate, bool paused, domain_done_fn done, void *opaque,
		  struct domain **out, struct fault *f);
/* The domain is gone afterwards, unless it runs: then it becomes transient. */
int domain_undefine(struct domain *d, struct fault *f);
int domain_set_autostart(struct domain *d, bool on, struct fault *f);
int domain_rename(struct domain *d, const char *name, struct fault *f);
/* Writes the definition of the next start to disk again, after the caller has changed it. */
int domain_save(struct domain *d, struct fault *f);

/* ---- power ---- */

int domain_start(struct domain *d, bool paused, domain_done_fn done, void *opaque, struct fault *f);
/* For this once as def says, which stays the caller's; a machine that is defined is afterwards what it was. */
int domain_start_as(struct domain *d, const struct domdef *def, bool paused, domain_done_fn done, void *opaque,
		    struct fault *f);
/* Asks the guest to switch off, by the power button. */
int domain_shutdown(struct domain *d, domain_done_fn done, void *opaque, struct fault *f);
/* The same, and the machine starts again when it is off. */
int domain_reboot(struct domain *d, domain_done_fn done, void *opaque, struct fault *f);
int domain_reset(struct domain *d, domain_done_fn done, void *opaque, struct fault *f);
int domain_suspend(struct domain *d, domain_done_fn done, void *opaque, struct fault *f);
int domain_resume(struct domain *d, domain_done_fn done, void *opaque, struct fault *f);
/* Pulls the plug; done when the process is gone. Also of a machine that is being started. */
int domain_destroy(struct domain *d, domain_done_fn done, void *opaque, struct fault *f);
/* Time that a vCPU's thread has used and the processor that it was last on; false: not known. */
struct domain_vcpu {
	uint64_t time_ns, delay_ns; /* it ran; it could have run and had no processor */
	int cpu;
	bool waiting;
};
bool domain_vcpu(const struct domain *d, unsigned n, struct domain_vcpu *v);
/* The processors that a vCPU's thread may run on: a bit each, `size` bytes. */
bool domain_vcpu_affinity(const struct domain *d, unsigned n, uint8_t *map, size_t size);
int domain_vcpu_pin(struct domain *d, unsigned n, const uint8_t *map, size_t size, struct fault *f);

/* The same for the threads that are no vCPUs. */
bool domain_emulator_affinity(const struct domain *d, uint8_t *map, size_t size);
int domain_emulator_pin(struct domain *d, const uint8_t *map, size_t size, struct fault *f);
/* "0-3,^2": false when it is no such text, or names a processor above DOMAIN_CPUS_MAX. */
bool domain_cpuset_parse(const char *text, uint8_t map[DOMAIN_CPUS_MAX / 8]);
/* malloc'ed; NULL: no memory. */
char *domain_cpuset_text(const uint8_t *map, size_t size);
/* What the document says of a vCPU; NULL: nothing. */
const char *domain_vcpu_cpuset(const struct domdef *def, unsigned n);

/* A PNG file of what a screen shows; done gets its descriptor, or -1 with the fault. */
typedef void (*domain_picture_fn)(void *opaque, int fd, const struct fault *f);
int domain_screenshot(struct domain *d, unsigned head, domain_picture_fn done, void *opaque, struct fault *f);

/* A command of the control protocol to the running machine, under a job. */
int domain_command(struct domain *d, const char *command, json_t *arguments, domain_done_fn done, void *opaque,
		   struct fault *f);

/* The same with files, which are taken over (closed when it fails too). It names them /dev/fdset/N, with N from
 * DOMAIN_HAND_SET on. */
enum { DOMAIN_HAND_FDS = 4, DOMAIN_HAND_SET = 16 };
int domain_command_fds(struct domain *d, const char *command, json_t *arguments, int *fds, unsigned count,
		       domain_done_fn done, void *opaque, struct fault *f);
/* The next command of the two above is the one that makes the change, and is noted as such. in stays the caller's, and
 * where it is until it is settled. */
void domain_intend(struct domain *d, struct intent *in);
/* The change is made (done), or was not: the definitions of in take the place of the domain's, which -1 says of the
 * next start's could not be written. Also for definitions alone, without domain_intend. */
int domain_settle(struct domain *d, struct intent *in, bool done, struct fault *f);
/* The watcher is told of a device that came. */
enum { DOMAIN_ALIAS_MAX = 128 };
void domain_device_added(struct domain *d, const char *alias);
/* Notes the live definition again, after the caller has changed it. */
void domain_note(const struct domain *d);

/* Asks the machine for its sample; done is called when it has come, or the machine is gone. -1: it cannot be asked. */
int domain_sample(struct domain *d, void (*done)(void *opaque), void *opaque);
/* How often the guest is asked for its figures of memory, seconds; of a machine that runs. */
int domain_balloon_period(struct domain *d, unsigned seconds, domain_done_fn done, void *opaque, struct fault *f);
/* Of the sample; NULL: it has none of this device. */
const struct domain_disk_sample *domain_disk_sample(const struct domain *d, const struct domdef_disk *k);
const struct domain_nic_sample *domain_nic_sample(const struct domain *d, const struct domdef_interface *i);

/* The file of the firmware's variables: of the document, or ours. Removed, the next start makes a fresh one. */
bool domain_nvram_exists(const struct domain *d);
int domain_nvram_remove(const struct domain *d, struct fault *f);
/* domain_undefine, and the firmware's variables go with it: both or neither, whenever the daemon is killed. */
int domain_undefine_all(struct domain *d, struct fault *f);

/* ---- waiting ---- */

enum { DOMAIN_WAIT_SECONDS = 30 };

/* Calls f when no job is under way any more (timeout false), or after DOMAIN_WAIT_SECONDS. The domain may be gone by
 * then: f looks it up again. -1: no memory. */
int domain_wait(struct domain *d, void (*f)(void *opaque, bool timeout), void *opaque);

/* Paths of a running machine. */
enum { DOMAIN_PATH_MAX = 108 };
void domain_serial_path(const struct domain *d, char out[DOMAIN_PATH_MAX]);
/* Of the virtio console. */
void domain_console_path(const struct domain *d, char out[DOMAIN_PATH_MAX]);

#endif
