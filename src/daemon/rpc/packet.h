/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A packet of libvirt's protocol: a length word that counts itself, a header of six words, the payload. */
#ifndef PANAL_DAEMON_RPC_PACKET_H
#define PANAL_DAEMON_RPC_PACKET_H

#include "base/bytes.h"
#include "daemon/rpc/xdr.h"

enum {
	PACKET_HEAD = 28, /* the length word and the header */
	PACKET_MAX = XDR_PAYLOAD_MAX + 4,
	PROGRAM_REMOTE = 0x20008086,
	PROGRAM_HYPERVISOR = 0x20008087,
	PROGRAM_LXC = 0x20008088,
	PROGRAM_KEEPALIVE = 0x6b656570,
	PROGRAM_VERSION = 1,
	KEEPALIVE_PING = 1,
	KEEPALIVE_PONG = 2,
};

enum packet_type {
	PACKET_CALL,
	PACKET_REPLY,
	PACKET_MESSAGE,
	PACKET_STREAM,
	PACKET_CALL_FDS,
	PACKET_REPLY_FDS,
	PACKET_HOLE,
};

enum packet_status { STATUS_OK, STATUS_ERROR, STATUS_CONTINUE };

struct packet {
	uint32_t program, version, procedure, type, serial, status;
};

/* The length word and the header of a packet with so much payload. */
static inline void packet_write(uint8_t head[PACKET_HEAD], const struct packet *p, size_t payload)
{
	store_be32(head, (uint32_t)(PACKET_HEAD + payload));
	store_be32(head + 4, p->program);
	store_be32(head + 8, p->version);
	store_be32(head + 12, p->procedure);
	store_be32(head + 16, p->type);
	store_be32(head + 20, p->serial);
	store_be32(head + 24, p->status);
}

/* The same the other way: the header, and the length of the whole packet as it says, which is to be checked. */
static inline uint32_t packet_read(const uint8_t head[PACKET_HEAD], struct packet *p)
{
	*p = (struct packet){ load_be32(head + 4), load_be32(head + 8), load_be32(head + 12), load_be32(head + 16),
		load_be32(head + 20), load_be32(head + 24) };
	return load_be32(head);
}

#endif
