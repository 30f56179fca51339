/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/rng.h"

#include "core/dev.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum { QUEUE_SIZE = 64, SEG_MAX = 64, RNG_PER_BUFFER = 4096, CLASS_OTHER = 0xff0000 };

struct virtio_rng {
	struct virtio_dev v; /* first */
	struct virtq_elem elem;
};

/* Bounded, and a smaller answer than was asked for is allowed (5.4.6.2). */
static uint32_t fill(const struct virtq_elem *el)
{
	uint8_t bytes[RNG_PER_BUFFER];
	size_t len = el->writable_len < sizeof(bytes) ? el->writable_len : sizeof(bytes);
	ssize_t got = getrandom(bytes, len, 0);
	return got > 0 ? virtq_copy_in(el, 0, bytes, got) : 0;
}

static void rng_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_rng *r = container_of(v, struct virtio_rng, v);
	while (virtio_pop(v, n, &r->elem))
		virtq_push(&v->queue[n].q, &r->elem, fill(&r->elem));
	virtio_rearm(v, n);
	virtio_notify(v, n);
}

static const struct virtio_device_ops rng_ops = {
	.id = VIRTIO_ID_RNG, .name = "virtio-rng", .pci_class = CLASS_OTHER, .queue = rng_queue,
};

static void rng_destroy(void *impl)
{
	struct virtio_rng *r = impl;
	virtio_destroy(&r->v);
	virtq_elem_free(&r->elem);
	free(r);
}

static const struct state_field rng_fields[] = {VIRTIO_STATE_FIELDS(struct virtio_rng), STATE_END};

static const struct state_desc rng_state = {
	.name = "virtio-rng", .version = 1, .fields = rng_fields, .before_save = virtio_before_save,
	.after_load = virtio_after_load,
};

static const struct dev_type rng_type = {
	.name = "virtio-rng", .destroy = rng_destroy, .reset = virtio_dev_reset, .run_state = virtio_dev_run_state,
	.state = &rng_state, .state_size = sizeof(struct virtio_rng),
};

int virtio_rng_create(struct vm *vm, const struct virtio_rng_config *cfg, struct err *e)
{
	const uint16_t sizes[] = {QUEUE_SIZE};
	struct virtio_rng *r = calloc(1, sizeof(*r));
	if (!r || virtq_elem_init(&r->elem, SEG_MAX) < 0) {
		free(r);
		return err_set(e, -ENOMEM, "no memory for virtio-rng");
	}
	int rc = virtio_init(&r->v, vm, &rng_ops, &cfg->place, sizes, 1, e);
	if (rc) {
		virtq_elem_free(&r->elem);
		free(r);
		return rc;
	}
	rc = dev_attach(vm, &rng_type, cfg->place.id, r, e);
	if (rc)
		rng_destroy(r);
	return rc;
}
