/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"

#include "block/block.h"

#include <stdlib.h>
#include <unistd.h>

struct blk *fuzz_image(struct rig *r, uint64_t bytes)
{
	char path[] = "/tmp/panal-fuzz-XXXXXX";
	int fd = mkstemp(path);
	struct blk_open o = { .path = path, .loop = r->loop, .engine = "io_uring" };
	struct blk *b;

	must(fd >= 0 && ftruncate(fd, bytes) == 0);
	close(fd);
	int rc = blk_open(&b, &o, NULL);

	o.engine = "threads";
	must(rc == 0 || blk_open(&b, &o, NULL) == 0);
	unlink(path);
	return b;
}
