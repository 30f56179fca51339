/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client of the control socket may send: bytes into the framing, whole values into the commands. */
#include "control/control_priv.h"
#include "rig.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void nothing(void *opaque)
{
}

/* Every answer can be written as one line of JSON. */
static void answer(struct rig *r, bool *negotiated, const struct framing *f)
{
	const struct control_target target = {.vm = r->vm, .power_button = nothing, .quit = nothing};
	struct command_call call = {.target = &target, .negotiated = negotiated};
	json_t *msg = command_answer(&call, f->text, f->len);
	char *text = msg ? json_dumps(msg, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	if (!text)
		__builtin_trap();
	free(text);
	json_decref(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct framing *f = calloc(1, sizeof(*f));
	bool negotiated = false;
	struct rig r;
	if (!f)
		return 0;
	rig_up(&r, 0);
	if (vm_start(r.vm, false, NULL) < 0)
		__builtin_trap();
	for (size_t n = 0; n < size; n++) {
		int ret = framing_put(f, (char)data[n]);
		if (ret < 0)
			break;
		if (!ret)
			continue;
		answer(&r, &negotiated, f);
		framing_next(f);
	}
	rig_down(&r);
	free(f);
	return 0;
}
