/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include "display/input.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { KEYS_MAX = 16, EVENTS_MAX = 64, HOLD_MAX_MS = 60000 };

static struct input *need_input(struct command_call *call, enum input_kind kind, struct err *e)
{
	struct input *in = call->target->input;

	if (in && input_takes(in, kind))
		return in;
	err_set(e, -ENODEV, "the machine has no %s that takes this",
		kind == INPUT_KEY ? "keyboard" : kind == INPUT_ABS ? "tablet" : "mouse");
	return NULL;
}

/* {"type": "qcode", "data": "ret"} or {"type": "number", "data": 28} */
static const struct key *parse_key(json_t *value, struct err *e)
{
	const char *type = json_string_value(json_object_get(value, "type"));
	json_t *data = json_object_get(value, "data");
	const struct key *key = NULL;

	if (type && !strcmp(type, "qcode") && json_is_string(data)) {
		key = key_by_name(json_string_value(data));
		if (!key)
			err_set(e, -EINVAL, "\"%s\" is not the name of a key", json_string_value(data));
	} else if (type && !strcmp(type, "number") && json_is_integer(data)) {
		json_int_t number = json_integer_value(data);

		key = number > 0 && number <= 0xff ? key_by_number((unsigned)number) : NULL;
		if (!key)
			err_set(e, -EINVAL, "%lld is not the number of a key", (long long)number);
	} else {
		err_set(e, -EINVAL, "a key is {\"type\": \"qcode\", \"data\": NAME} or "
			"{\"type\": \"number\", \"data\": CODE}");
	}
	return key;
}

/* keys: pressed together; hold-time: for so many milliseconds. */
json_t *cmd_send_key(struct command_call *call, struct err *e)
{
	json_t *list = json_object_get(call->arguments, "keys"), *hold = json_object_get(call->arguments, "hold-time");
	const struct key *keys[KEYS_MAX];
	size_t count = json_array_size(list);
	json_int_t hold_ms = hold ? json_integer_value(hold) : INPUT_HOLD_MS;
	struct input *in;

	if (count < 1 || count > KEYS_MAX) {
		err_set(e, -EINVAL, "send-key needs \"keys\": a list of 1 to %d keys", KEYS_MAX);
		return NULL;
	}
	if ((hold && !json_is_integer(hold)) || hold_ms < 1 || hold_ms > HOLD_MAX_MS) {
		err_set(e, -EINVAL, "\"hold-time\" goes from 1 to %d milliseconds", HOLD_MAX_MS);
		return NULL;
	}
	for (size_t n = 0; n < count; n++) {
		keys[n] = parse_key(json_array_get(list, n), e);
		if (!keys[n])
			return NULL;
	}
	in = need_input(call, INPUT_KEY, e);
	if (!in || input_send_keys(in, keys, (unsigned)count, (unsigned)hold_ms, e) < 0)
		return NULL;
	return json_object();
}

/* ---- input-send-event ---- */

static int parse_move(struct input_event *ev, json_t *data, struct err *e)
{
	const char *axis = json_string_value(json_object_get(data, "axis"));
	json_t *value = json_object_get(data, "value");
	json_int_t v = json_integer_value(value);
	int n = axis ? input_axis_by_name(axis) : -1;

	if (n < 0 || !json_is_integer(value))
		return err_set(e, -EINVAL, "a movement has \"axis\" (x or y) and \"value\" (a number)");
	if (ev->kind == INPUT_ABS ? v < 0 || v > INPUT_ABS_MAX : v < INT16_MIN || v > INT16_MAX)
		return err_set(e, -EINVAL, "a movement of %lld is not possible; positions go from 0 to %d",
			       (long long)v, INPUT_ABS_MAX);
	ev->axis = (enum input_axis)n;
	ev->value = (int32_t)v;
	return 0;
}

static int parse_press(struct input_event *ev, json_t *data, struct err *e)
{
	const char *button = json_string_value(json_object_get(data, "button"));
	json_t *down = json_object_get(data, "down");
	int n;

	if (!json_is_boolean(down))
		return err_set(e, -EINVAL, "a key or button has \"down\": true or false");
	ev->down = json_is_true(down);
	if (ev->kind == INPUT_KEY) {
		ev->key = parse_key(json_object_get(data, "key"), e);
		return ev->key ? 0 : -EINVAL;
	}
	n = button ? input_button_by_name(button) : -1;
	if (n < 0)
		return err_set(e, -EINVAL, "\"%s\" is not the name of a button", button ? button : "");
	ev->button = (enum input_button)n;
	return 0;
}

static int parse_event(struct input_event *ev, json_t *value, struct err *e)
{
	static const char *const kinds[INPUT_KINDS] = { "key", "btn", "rel", "abs" };
	const char *type = json_string_value(json_object_get(value, "type"));
	json_t *data = json_object_get(value, "data");
	unsigned kind = 0;

	while (type && kind < INPUT_KINDS && strcmp(kinds[kind], type))
		kind++;
	if (!type || kind == INPUT_KINDS)
		return err_set(e, -EINVAL, "an event has \"type\" (key, btn, rel or abs) and \"data\"");
	*ev = (struct input_event){ .kind = (enum input_kind)kind };
	return kind == INPUT_KEY || kind == INPUT_BUTTON ? parse_press(ev, data, e) : parse_move(ev, data, e);
}

/* events: a group that belongs together. All of them are right, or nothing is sent. */
json_t *cmd_input_send_event(struct command_call *call, struct err *e)
{
	json_t *list = json_object_get(call->arguments, "events");
	struct input_event ev[EVENTS_MAX];
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > EVENTS_MAX) {
		err_set(e, -EINVAL, "input-send-event needs \"events\": a list of at most %d", EVENTS_MAX);
		return NULL;
	}
	for (size_t n = 0; n < count; n++)
		if (parse_event(&ev[n], json_array_get(list, n), e) < 0 || !need_input(call, ev[n].kind, e))
			return NULL;
	if (count)
		input_send(call->target->input, ev, (unsigned)count);
	return json_object();
}
