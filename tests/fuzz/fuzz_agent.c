/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program in the guest says that calls itself a guest agent. */
#include "daemon/domain/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in;
	bool more = true;

	buf_init(&in, DOMAIN_AGENT_ANSWER_MAX);
	if (buf_append(&in, data, size) < 0)
		more = false;
	while (more) {
		size_t before = in.len;
		json_t *msg = agent_take(&in, &more);

		if ((msg && !json_is_object(msg)) || (more && in.len >= before))
			__builtin_trap();
		json_decref(msg);
	}
	buf_free(&in);
	return 0;
}
