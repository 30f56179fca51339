/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the domain room. */
#ifndef PANAL_DAEMON_DOMAIN_DOMAIN_PRIV_H
#define PANAL_DAEMON_DOMAIN_DOMAIN_PRIV_H

#include "daemon/daemon.h"
#include "daemon/domain/domain.h"

struct domains {
	struct daemon *daemon;
	struct domain_watcher watcher;
	struct list list;
	int last_id;
	char config_dir[PATH_MAX / 2]; /* the definitions */
	struct journal *journal;       /* of config_dir; NULL: it could not be read */
	char machines_dir[PATH_MAX / 2];
	char cgroups_dir[PATH_MAX / 2]; /* empty: machines have no cgroups */
};

/* domains.c */
void domain_lifecycle(struct domain *d, int event, int detail);
/* A domain with that definition, which it takes over, in the list. NULL: no memory; the definition is not taken. */
struct domain *domain_new(struct domains *ds, struct domdef *def);
/* Out of the list, and its memory; whoever waits for its job is called. */
void domain_free(struct domain *d);
void domain_set_state(struct domain *d, int state, int reason);
void domain_job_begin(struct domain *d, enum domain_job job);
/* Wakes who waits. The domain may be gone afterwards. */
void domain_job_end(struct domain *d);
int domain_busy(struct domain *d, struct fault *f);

/* define.c */
void definitions_load(struct domains *ds);
void definitions_autostart(struct domains *ds);

/* note.c: what is noted of a running machine, for the next daemon */
enum note_phase { NOTE_STARTING, NOTE_RUNNING };
/* The terminals that the running machine's process has made become part of its document. -ENOMEM. */
int domain_name_terminals(struct domain *d) ATTR_MUST_USE;
/* A machine that starts: drives whose medium may be missing, and is, are empty. */
void domain_drop_missing(struct domain *d);

int note_write(const struct domain *d, enum note_phase phase, struct err *e) ATTR_MUST_USE;
/* Removes the run directory with all that is in it. */
void note_remove(struct domains *ds, const char *uuid);
void notes_load(struct domains *ds);
void note_dir(const struct domains *ds, const char *uuid, char out[PATH_MAX]);

/* nvram.c: whether the machine has variables of a firmware and its document names no file for them */
bool domain_nvram_wanted(const struct domdef *def);
/* At the start: what a daemon left that was killed in domain_undefine_all. The definitions are loaded. */
void domain_nvrams_settle(struct domains *ds);
/* Our file for them; its directory is there afterwards. */
int domain_nvram_place(const struct domain *d, char path[PATH_MAX], struct err *e) ATTR_MUST_USE;

/* hand.c: the machine is gone */
void domain_hand_stop(struct domain *d);

/* intent.c */
/* Before a command: notes the intent, if there is one, and has its tag in the arguments. */
int intent_begin(struct domain *d, json_t *arguments, struct fault *f);
json_t *intent_json(const struct intent *in); /* NULL: no memory */
void intent_restore(struct domain *d, const json_t *note);
/* The machine is gone. */
void intent_forget(struct domain *d);
/* Asks the machine that was found what became of it all; domain_adopted follows, or the machine's end. */
void intent_ask(struct domain *d);
void leaving_add(struct domain *d, const char *id);
bool leaving_remove(struct domain *d, const char *id);

/* happen.c: an event of the machine that changes little here */
void domain_happened(struct domain *d, const char *name, const json_t *data);

/* gone.c: what the machine said of a device, by panal-vmm's name for it */
bool domain_has_device(const struct domain *d, const char *id);
void domain_device_gone(struct domain *d, const char *id);
void domain_device_stays(struct domain *d, const char *id);

/* agent.c: the machine is gone; a channel was opened or closed in the guest; asks which are open */
void domain_agent_stop(struct domain *d);
void domain_channel_moved(struct domain *d, const char *name, bool open);
void domain_ask_channels(struct domain *d);

/* pin.c: the threads go where the document wants them */
void domain_pins_apply(struct domain *d);

/* pin.c: f for each thread of the process that is no vCPU's; the last failure, or 0. One that has ended is none. */
int domain_each_other_thread(const struct domain *d, int (*f)(void *opaque, pid_t tid), void *opaque);

/* run.c */
/* All that was to be asked of a machine that was found is known. */
void domain_adopted(struct domain *d);
/* Takes over the process of a domain that was noted. */
int domain_adopt(struct domain *d, pid_t pid, uint64_t start_time, enum note_phase phase, struct err *e) ATTR_MUST_USE;

#endif
