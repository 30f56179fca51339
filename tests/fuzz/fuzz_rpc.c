/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client of the daemon may send: arguments of every procedure, and their like as answers. */
#include "base/bytes.h"
#include "daemon/rpc/proc.h"
#include "daemon/rpc/xdr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every text ends and every value can be read. */
static size_t walk(const struct value *v, size_t count, unsigned depth)
{
	size_t sum = 0;

	for (size_t n = 0; n < count; n++) {
		if (v[n].items && (v[n].type == '[' || proc_reference(v[n].type)))
			sum += walk(v[n].items, (size_t)v[n].count * v[n].width, depth + 1);
		else if (v[n].s && (v[n].type == 's' || (v[n].type == 'v' && v[n].typed == TYPED_STRING)))
			sum += strlen(v[n].s);
		else if (v[n].x && v[n].count && strchr("xcmU", v[n].type))
			sum += v[n].x[0] + v[n].x[v[n].count - 1];
	}
	return sum;
}

static void one(const char *signature, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	bool good = xdr_matches(signature, data, size);
	struct values v;
	int ret;

	if (!copy)
		return;
	memcpy(copy, data, size);
	ret = values_decode(&v, signature, copy, size, NULL);
	if (good != (ret == 0)) /* looking and decoding agree, but for the limits */
		if (!good || ret != -7)
			__builtin_trap();
	if (ret == 0 && walk(v.item, v.count, 0) == SIZE_MAX)
		__builtin_trap();
	values_free(&v);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct proc *p = size >= 2 ? proc_by_number(load_be16(data) % PROC_COUNT + 1) : NULL;

	if (!p)
		return 0;
	one(p->args, data + 2, size - 2);
	one(p->ret, data + 2, size - 2);
	return 0;
}
