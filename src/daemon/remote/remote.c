/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/remote/remote.h"

void remote_register(struct server *s)
{
	server_handle(s, remote_connect, remote_connect_count);
	server_handle(s, remote_node, remote_node_count);
}
