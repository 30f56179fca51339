/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/remote/remote.h"

#include <stdlib.h>

int remote_put_text(struct call *c, int from, char *text)
{
	if (!text)
		return fault_set(&c->fault, FAULT_NO_MEMORY, from, "no memory for the document");
	xdr_string(&c->out, text);
	free(text);
	return CALL_DONE;
}

void remote_register(struct server *s)
{
	server_handle(s, remote_connect, remote_connect_count);
	server_handle(s, remote_auth, remote_auth_count);
	server_handle(s, remote_node, remote_node_count);
	server_handle(s, remote_caps, remote_caps_count);
	server_handle(s, remote_events, remote_events_count);
	server_handle(s, remote_domain_info, remote_domain_info_count);
	server_handle(s, remote_domain_life, remote_domain_life_count);
	server_handle(s, remote_domain_config, remote_domain_config_count);
	server_handle(s, remote_domain_pin, remote_domain_pin_count);
	server_handle(s, remote_domain_tune, remote_domain_tune_count);
	server_handle(s, remote_domain_input, remote_domain_input_count);
	server_handle(s, remote_cpu, remote_cpu_count);
	server_handle(s, remote_screenshot, remote_screenshot_count);
	server_handle(s, remote_console, remote_console_count);
	server_handle(s, remote_device, remote_device_count);
	server_handle(s, remote_guest, remote_guest_count);
	server_handle(s, remote_stats, remote_stats_count);
	server_handle(s, remote_network_life, remote_network_life_count);
	server_handle(s, remote_network_info, remote_network_info_count);
	server_handle(s, remote_interfaces, remote_interfaces_count);
	server_handle(s, remote_nodedev, remote_nodedev_count);
	server_handle(s, remote_hostif, remote_hostif_count);
	server_handle(s, remote_storage_pool, remote_storage_pool_count);
	server_handle(s, remote_storage_volume, remote_storage_volume_count);
	server_handle(s, remote_storage_stream, remote_storage_stream_count);
	server_handle(s, remote_secret, remote_secret_count);
	server_handle(s, remote_domain_block, remote_domain_block_count);
}
