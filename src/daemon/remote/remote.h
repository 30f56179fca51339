/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's protocol as a face of the daemon: the handlers, a table for each kind of object. call->opaque is the
 * struct daemon. */
#ifndef PANAL_DAEMON_REMOTE_REMOTE_H
#define PANAL_DAEMON_REMOTE_REMOTE_H

#include "daemon/daemon.h"
#include "daemon/rpc/server.h"

/* What clients are told: they take it for QEMU, and choose by these numbers what they may use. */
enum {
	REMOTE_HYPERVISOR_VERSION = 10000000, /* major * 1000000 + minor * 1000 + micro */
	REMOTE_LIBRARY_VERSION = 10000000,
	REMOTE_VCPUS_MAX = 64,
};

extern const struct handler remote_connect[];
extern const unsigned remote_connect_count;
extern const struct handler remote_auth[];
extern const unsigned remote_auth_count;
extern const struct handler remote_node[];
extern const unsigned remote_node_count;
extern const struct handler remote_caps[];
extern const unsigned remote_caps_count;
extern const struct handler remote_events[];
extern const unsigned remote_events_count;
extern const struct handler remote_domain_info[];
extern const unsigned remote_domain_info_count;
extern const struct handler remote_domain_life[];
extern const unsigned remote_domain_life_count;
extern const struct handler remote_domain_config[];
extern const unsigned remote_domain_config_count;
extern const struct handler remote_domain_pin[];
extern const unsigned remote_domain_pin_count;
extern const struct handler remote_domain_tune[];
extern const unsigned remote_domain_tune_count;
extern const struct handler remote_domain_input[];
extern const unsigned remote_domain_input_count;
extern const struct handler remote_cpu[];
extern const unsigned remote_cpu_count;
extern const struct handler remote_screenshot[];
extern const unsigned remote_screenshot_count;
extern const struct handler remote_console[];
extern const unsigned remote_console_count;
extern const struct handler remote_stats[];
extern const unsigned remote_stats_count;
extern const struct handler remote_device[];
extern const unsigned remote_device_count;
extern const struct handler remote_guest[];
extern const unsigned remote_guest_count;
extern const struct handler remote_network_life[];
extern const unsigned remote_network_life_count;
extern const struct handler remote_network_info[];
extern const unsigned remote_network_info_count;
extern const struct handler remote_nodedev[];
extern const unsigned remote_nodedev_count;
extern const struct handler remote_hostif[];
extern const unsigned remote_hostif_count;
extern const struct handler remote_interfaces[];
extern const unsigned remote_interfaces_count;
extern const struct handler remote_storage_pool[];
extern const unsigned remote_storage_pool_count;
extern const struct handler remote_storage_volume[];
extern const unsigned remote_storage_volume_count;
extern const struct handler remote_storage_stream[];
extern const unsigned remote_storage_stream_count;
extern const struct handler remote_secret[];
extern const unsigned remote_secret_count;
extern const struct handler remote_domain_block[];
extern const unsigned remote_domain_block_count;

/* What a function that started an operation returned, as the handler's result. The call may be gone. */
static inline int remote_started(int ret) { return ret < 0 ? CALL_FAILED : CALL_LATER; }

/* Answers with a document, and frees it. NULL: no memory, which is said to come from `from` (FROM_...). */
int remote_put_text(struct call *c, int from, char *text);

/* Gives the server all of them. */
void remote_register(struct server *s);

#endif
