/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue 0 takes task management, queue 1 carries events (a disk has another size), queue 2 requests. A command set
 * may end a command before it returns, so commands run without the device's lock: the request queue only takes them
 * from the ring, a posted function starts them. Disks run any number of commands at once, a CD-ROM drive one after the
 * other.
 */
#include "devices/virtio/scsi.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/loop.h"
#include "core/vm.h"
#include "devices/storage/scsi_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { Q_CONTROL, Q_EVENT, Q_REQUEST, QUEUES };
enum { QUEUE_SIZE = 128, ELEM_SEGS = QUEUE_SIZE + 8, CLASS_SCSI = 0x010000 };
enum { CDB_SIZE = 32, SENSE_SIZE = 96, REQUEST_HEADER = 19 + CDB_SIZE, RESPONSE = 12 + SENSE_SIZE, LUN = 8 };
enum { C_NUM_QUEUES = 0, C_SEG_MAX = 4, C_MAX_SECTORS = 8, C_CMD_PER_LUN = 12, C_EVENT_SIZE = 16, C_SENSE_SIZE = 20,
       C_CDB_SIZE = 24, C_MAX_CHANNEL = 28, C_MAX_TARGET = 30, C_MAX_LUN = 32, C_SIZE = 36 };
enum { S_OK = 0, S_OVERRUN = 1, S_BAD_TARGET = 3, S_FUNCTION_REJECTED = 11, S_INCORRECT_LUN = 12 };
#define F_CHANGE (UINT64_C(1) << 2)
enum { EVENT_SIZE = 16, EVENT_PARAM_CHANGE = 3, CAPACITY_CHANGED = 0x092a /* ASCQ, ASC */ };
enum { T_TASK_MANAGEMENT = 0, TMF_HEADER = 24, T_ASYNC_QUERY = 1, T_ASYNC_SUBSCRIBE = 2 };
enum { TMF_ABORT_TASK = 0, TMF_ABORT_SET = 1, TMF_CLEAR_SET = 3, TMF_NEXUS_RESET = 4, TMF_UNIT_RESET = 5,
       TMF_QUERY = 6, TMF_QUERY_SET = 7 };

struct virtio_scsi;

struct request {
	struct request *next; /* of the free ones, or of those that wait */
	struct virtio_scsi *dev;
	struct target *target;
	struct virtq_elem el;
	struct xfer x;
	struct scsi_command c;
	uint8_t cdb[CDB_SIZE];
	uint64_t asked; /* bytes that the driver gave room for */
	bool write;
};

struct target {
	struct virtio_scsi *dev;
	bool there, cdrom;
	struct scsi_disk disk;
	struct scsi_cd cd;
	struct request *busy; /* of a CD-ROM drive: the one under way */
	char serial[21];
};

struct virtio_scsi {
	struct virtio_dev v; /* first */
	unsigned target_count;
	struct target target[VIRTIO_SCSI_TARGETS];
	/* v.lock */
	struct request *free, *waiting, **waiting_end;
	unsigned made, under_way; /* under way: waiting ones too */
	bool posted;
	struct virtq_elem control;
	uint32_t to_tell; /* bit: target whose size the driver has not heard of yet */
	/* saved state only */
	uint8_t saved_unit[VIRTIO_SCSI_TARGETS * 8];
};

/* ---- requests ---- */

static struct request *request_get(struct virtio_scsi *s)
{
	struct request *r = s->free;

	if (r) {
		s->free = r->next;
		return r;
	}
	r = s->made < QUEUE_SIZE ? calloc(1, sizeof(*r)) : NULL;
	if (!r || virtq_elem_init(&r->el, ELEM_SEGS) < 0) {
		free(r);
		return NULL;
	}
	r->dev = s;
	s->made++;
	return r;
}

static void request_put(struct request *r)
{
	r->next = r->dev->free;
	r->dev->free = r;
}

static void respond(struct request *r, const uint8_t *response, uint64_t data)
{
	struct virtio_scsi *s = r->dev;

	virtq_copy_in(&r->el, 0, response, RESPONSE);
	virtq_push(&s->v.queue[Q_REQUEST].q, &r->el, (uint32_t)(RESPONSE + data));
	virtio_notify(&s->v, Q_REQUEST);
	request_put(r);
}

static void refuse(struct request *r, uint8_t why)
{
	uint8_t response[RESPONSE] = { [11] = why };

	store_le32(response + 4, (uint32_t)r->asked);
	respond(r, response, 0);
}

/* A command has ended; on the loop's thread, without the lock. */
static void ended(struct request *r, uint8_t status, const uint8_t sense[SCSI_SENSE])
{
	struct virtio_scsi *s = r->dev;
	uint8_t response[RESPONSE] = { 0 };
	uint64_t moved = r->x.moved < r->asked ? r->x.moved : r->asked;

	store_le32(response + 4, (uint32_t)(r->asked - moved));
	response[10] = status;
	if (status == SCSI_CHECK_CONDITION) {
		store_le32(response, SCSI_SENSE);
		memcpy(response + 12, sense, SCSI_SENSE);
	}
	pthread_mutex_lock(&s->v.lock);
	s->under_way--;
	if (r->target->busy == r)
		r->target->busy = NULL;
	if (s->v.resetting)
		request_put(r);
	else
		respond(r, response, r->write ? 0 : moved);
	if (s->v.resetting && !s->under_way)
		virtio_reset_done(&s->v);
	/* A request that there was no memory for, or whose drive was busy. */
	virtio_kick(&s->v, Q_REQUEST);
	pthread_mutex_unlock(&s->v.lock);
}

static void disk_ended(struct scsi_command *c, uint8_t status)
{
	uint8_t sense[SCSI_SENSE];

	scsi_sense(c, sense);
	ended(c->opaque, status, sense);
}

static void cd_ended(struct scsi_cd *cd, uint8_t status)
{
	uint8_t sense[SCSI_SENSE] = { [0] = 0x70, [2] = cd->key, [7] = SCSI_SENSE - 8, [12] = cd->asc,
				      [13] = cd->ascq };

	ended(cd->opaque, status, sense);
}

/* ---- starting ---- */

/* The next that can run: those of a CD-ROM drive wait for it. Lock held. */
static struct request *next_ready(struct virtio_scsi *s)
{
	for (struct request **p = &s->waiting; *p; p = &(*p)->next) {
		struct request *r = *p;

		if (r->target->busy)
			continue;
		*p = r->next;
		if (!r->next)
			s->waiting_end = p;
		if (r->target->cdrom)
			r->target->busy = r;
		return r;
	}
	return NULL;
}

static void execute(struct request *r)
{
	struct target *t = r->target;

	if (t->cdrom) {
		scsi_cd_execute(&t->cd, r->cdb, &r->x, cd_ended, r);
		return;
	}
	r->c = (struct scsi_command){ .x = &r->x, .done = disk_ended, .opaque = r };
	scsi_disk_execute(&t->disk, &r->c, r->cdb);
}

static void run_waiting(void *opaque)
{
	struct virtio_scsi *s = opaque;
	struct request *r;

	pthread_mutex_lock(&s->v.lock);
	s->posted = false;
	while ((r = next_ready(s))) {
		pthread_mutex_unlock(&s->v.lock);
		execute(r);
		pthread_mutex_lock(&s->v.lock);
	}
	pthread_mutex_unlock(&s->v.lock);
}

static void post(struct virtio_scsi *s)
{
	if (s->posted || !s->waiting)
		return;
	s->posted = loop_post(s->v.loop, run_waiting, s) == 0;
	if (!s->posted)
		log_limited(&s->v.limit, LOG_ERROR, "%s: no memory to start a command", s->v.name);
}

/* ---- the request queue ---- */

/* The target that a LUN field names: 1, the target, then 0 in the flat or peripheral form (5.6.6.1). NULL: none. */
static struct target *find(struct virtio_scsi *s, const uint8_t lun[LUN], uint8_t *why)
{
	*why = S_BAD_TARGET;
	if (lun[0] != 1 || lun[1] >= s->target_count || !s->target[lun[1]].there)
		return NULL;
	*why = S_INCORRECT_LUN;
	return (lun[2] & 0x3f) || lun[3] ? NULL : &s->target[lun[1]];
}

/* Data pieces of the chain: what follows the header, or the response. */
static bool map(struct request *r)
{
	struct virtq_elem *el = &r->el;
	bool in = el->writable_len > RESPONSE;
	uint64_t skip = in ? RESPONSE : REQUEST_HEADER;
	unsigned first = in ? el->readable : 0, last = in ? el->segs : el->readable;

	r->write = !in && el->readable_len > REQUEST_HEADER;
	r->asked = (in ? el->writable_len : el->readable_len) - skip;
	xfer_reset(&r->x, r->dev->v.vm->mem);
	for (unsigned n = first; n < last; n++) {
		uint64_t len = el->iov[n].iov_len, cut = skip < len ? skip : len;

		skip -= cut;
		if (len > cut && !xfer_add_host(&r->x, (uint8_t *)el->iov[n].iov_base + cut, len - cut))
			return false;
	}
	/* Data both ways are no command's that is known here. */
	return !(in && el->readable_len > REQUEST_HEADER);
}

static void begin(struct request *r)
{
	struct virtio_scsi *s = r->dev;
	uint8_t header[REQUEST_HEADER], why;

	if (r->el.writable_len < RESPONSE || virtq_copy_out(&r->el, 0, header, sizeof(header)) != sizeof(header)) {
		virtio_broken(&s->v, "a request without header or room for the response");
		request_put(r);
		return;
	}
	memcpy(r->cdb, header + 19, CDB_SIZE);
	if (!map(r)) {
		refuse(r, S_OVERRUN);
		return;
	}
	r->target = find(s, header, &why);
	if (!r->target) {
		refuse(r, why);
		return;
	}
	s->under_way++;
	r->next = NULL;
	*s->waiting_end = r;
	s->waiting_end = &r->next;
}

static void take_requests(struct virtio_scsi *s)
{
	for (;;) {
		/* Without memory for one more, a request that ends brings the next look at the queue. */
		struct request *r = request_get(s);

		if (!r)
			break;
		if (!virtio_pop(&s->v, Q_REQUEST, &r->el)) {
			request_put(r);
			break;
		}
		begin(r);
	}
	virtio_rearm(&s->v, Q_REQUEST);
	post(s);
}

/* ---- the control queue ---- */

/* Commands end by themselves and soon: there is nothing to abort, and a unit that is reset says so. */
static uint8_t manage(struct virtio_scsi *s, const uint8_t *header)
{
	uint8_t why;
	struct target *t = find(s, header + 8, &why);

	if (!t)
		return why;
	switch (load_le32(header + 4)) {
	case TMF_UNIT_RESET:
	case TMF_NEXUS_RESET:
		if (t->cdrom)
			t->cd.changed |= t->cd.blk != NULL;
		else
			scsi_disk_reset(&t->disk);
		return S_OK;
	case TMF_ABORT_TASK:
	case TMF_ABORT_SET:
	case TMF_CLEAR_SET:
	case TMF_QUERY:
	case TMF_QUERY_SET: return S_OK;
	}
	return S_FUNCTION_REJECTED;
}

static void control(struct virtio_scsi *s)
{
	struct virtq_elem *el = &s->control;

	while (virtio_pop(&s->v, Q_CONTROL, el)) {
		uint8_t header[TMF_HEADER], response[5] = { 0 };
		size_t got = virtq_copy_out(el, 0, header, sizeof(header)), len;

		if (got < 4 || !el->writable_len) {
			virtio_broken(&s->v, "a control request without type or room for the response");
			return;
		}
		if (load_le32(header) == T_TASK_MANAGEMENT) {
			response[0] = got < TMF_HEADER ? S_FUNCTION_REJECTED : manage(s, header);
			len = 1;
		} else {
			response[4] = load_le32(header) > T_ASYNC_SUBSCRIBE ? S_FUNCTION_REJECTED : S_OK;
			len = 5; /* no asynchronous event of those is ever reported */
		}
		virtq_push(&s->v.queue[Q_CONTROL].q, el, (uint32_t)virtq_copy_in(el, 0, response, len));
		virtio_notify(&s->v, Q_CONTROL);
	}
	virtio_rearm(&s->v, Q_CONTROL);
}

/* ---- the event queue ---- */

/* What finds no buffer there stays until the driver brings one. Lock held. */
static void tell_sizes(struct virtio_scsi *s)
{
	struct virtq_elem *el = &s->control;

	while (s->to_tell && virtio_has(&s->v, F_CHANGE) && virtio_pop(&s->v, Q_EVENT, el)) {
		unsigned t = (unsigned)__builtin_ctz(s->to_tell);
		uint8_t event[EVENT_SIZE] = { EVENT_PARAM_CHANGE, [4] = 1, [5] = (uint8_t)t };

		store_le32(event + 12, CAPACITY_CHANGED);
		s->to_tell &= ~(1u << t);
		virtq_push(&s->v.queue[Q_EVENT].q, el, (uint32_t)virtq_copy_in(el, 0, event, sizeof(event)));
		virtio_notify(&s->v, Q_EVENT);
	}
	if (s->to_tell)
		virtio_rearm(&s->v, Q_EVENT);
}

/* By event where the driver takes those, and at its next command. */
static void resized(void *opaque)
{
	struct target *t = opaque;
	struct virtio_scsi *s = t->dev;

	pthread_mutex_lock(&s->v.lock);
	t->disk.resized = true;
	s->to_tell |= 1u << (t - s->target);
	if (virtio_active(&s->v))
		tell_sizes(s);
	pthread_mutex_unlock(&s->v.lock);
}

static void scsi_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_scsi *s = container_of(v, struct virtio_scsi, v);

	if (n == Q_CONTROL)
		control(s);
	else if (n == Q_REQUEST)
		take_requests(s);
	else
		tell_sizes(s);
}

static bool scsi_reset(struct virtio_dev *v)
{
	struct virtio_scsi *s = container_of(v, struct virtio_scsi, v);

	s->to_tell = 0; /* a driver that begins asks for sizes itself */
	return s->under_way == 0;
}

/* Runs what waits, and then to the end of all. */
static void run_and_wait(void *opaque)
{
	struct virtio_scsi *s = opaque;

	run_waiting(s);
	for (unsigned n = 0; n < s->target_count; n++) {
		struct blk *b = s->target[n].cdrom ? s->target[n].cd.blk : s->target[n].disk.blk;

		if (b)
			blk_wait(b);
	}
}

static void scsi_stop(struct virtio_dev *v)
{
	struct virtio_scsi *s = container_of(v, struct virtio_scsi, v);
	bool more = true;

	for (unsigned n = 0; more && n < 2 * QUEUE_SIZE; n++) {
		if (loop_call(v->loop, run_and_wait, s) < 0)
			log_limited(&v->limit, LOG_ERROR, "%s: no memory to end what is under way", v->name);
		pthread_mutex_lock(&v->lock);
		more = s->under_way != 0;
		pthread_mutex_unlock(&v->lock);
	}
}

static const struct virtio_device_ops scsi_ops = {
	.id = VIRTIO_ID_SCSI, .name = "virtio-scsi", .pci_class = CLASS_SCSI, .queue = scsi_queue, .reset = scsi_reset,
	.stop = scsi_stop,
};

/* ---- life ---- */

static void virtio_scsi_reset(void *impl)
{
	struct virtio_scsi *s = impl;

	virtio_dev_reset(&s->v);
	s->to_tell = 0;
	for (unsigned n = 0; n < s->target_count; n++) {
		s->target[n].disk.attention = true;
		scsi_cd_reset(&s->target[n].cd);
	}
}

static void free_all(struct virtio_scsi *s)
{
	while (s->free) {
		struct request *r = s->free;

		s->free = r->next;
		virtq_elem_free(&r->el);
		free(r);
	}
	virtq_elem_free(&s->control);
	free(s);
}

static void virtio_scsi_destroy(void *impl)
{
	struct virtio_scsi *s = impl;

	virtio_dev_run_state(s, false);
	virtio_destroy(&s->v);
	for (unsigned n = 0; n < s->target_count; n++) {
		blk_close(s->target[n].disk.blk);
		blk_close(s->target[n].cd.blk);
	}
	free_all(s);
}

static void scsi_before_save(void *obj)
{
	struct virtio_scsi *s = obj;

	for (unsigned n = 0; n < VIRTIO_SCSI_TARGETS; n++) {
		const struct scsi_cd *cd = &s->target[n].cd;
		const struct scsi_disk *d = &s->target[n].disk;
		const uint8_t u[8] = { (uint8_t)(d->attention | d->resized << 1), cd->locked, cd->ejected,
				       cd->changed, cd->event, cd->key, cd->asc, cd->ascq };

		memcpy(s->saved_unit + n * sizeof(u), u, sizeof(u));
	}
	virtio_before_save(obj);
}

static void fill_config(struct virtio_scsi *s)
{
	uint8_t *c = s->v.config;

	memset(c, 0, C_SIZE);
	store_le32(c + C_NUM_QUEUES, 1);
	store_le32(c + C_SEG_MAX, QUEUE_SIZE - 2);
	store_le32(c + C_MAX_SECTORS, 0xffff);
	store_le32(c + C_CMD_PER_LUN, QUEUE_SIZE);
	store_le32(c + C_EVENT_SIZE, 16);
	store_le32(c + C_SENSE_SIZE, SENSE_SIZE);
	store_le32(c + C_CDB_SIZE, CDB_SIZE);
	store_le16(c + C_MAX_TARGET, VIRTIO_SCSI_TARGETS - 1);
}

static int scsi_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_scsi *s = obj;

	for (unsigned n = 0; n < s->target_count; n++) {
		const uint8_t *u = s->saved_unit + n * 8;
		struct scsi_cd *cd = &s->target[n].cd;

		s->target[n].disk.attention = u[0] & 1;
		s->target[n].disk.resized = u[0] & 2;
		cd->locked = u[1];
		cd->ejected = u[2];
		cd->changed = u[3];
		cd->event = u[4];
		cd->key = u[5];
		cd->asc = u[6];
		cd->ascq = u[7];
	}
	fill_config(s);
	return virtio_after_load(obj, version, e);
}

static const struct state_field scsi_fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_scsi),
	STATE_ARRAY(struct virtio_scsi, saved_unit, STATE_BYTES, VIRTIO_SCSI_TARGETS * 8),
	STATE_FIELD_SINCE(2, struct virtio_scsi, to_tell, STATE_U32),
	STATE_END,
};

static const struct state_desc scsi_state = {
	.name = "virtio-scsi", .version = 2, .fields = scsi_fields, .before_save = scsi_before_save,
	.after_load = scsi_loaded,
};

static const struct dev_type virtio_scsi_type = {
	.name = "virtio-scsi", .destroy = virtio_scsi_destroy, .reset = virtio_scsi_reset,
	.run_state = virtio_dev_run_state, .state = &scsi_state, .state_size = sizeof(struct virtio_scsi),
};

static void target_init(struct target *t, const struct virtio_scsi_config *cfg, unsigned n)
{
	struct blk *blk = cfg->target[n].blk;
	const char *serial = cfg->target[n].serial;

	t->there = blk || cfg->target[n].cdrom;
	if (!t->there)
		return;
	t->cdrom = cfg->target[n].cdrom;
	if (t->cdrom) {
		t->cd.blk = blk;
		scsi_cd_reset(&t->cd);
		return;
	}
	snprintf(t->serial, sizeof(t->serial), "PANALSCSI%u", n);
	if (serial || blk_info(blk)->serial[0])
		snprintf(t->serial, sizeof(t->serial), "%s", serial ? serial : blk_info(blk)->serial);
	t->disk = (struct scsi_disk){ .blk = blk, .serial = t->serial };
	scsi_disk_reset(&t->disk);
	blk_on_resize(blk, resized, t);
}

int virtio_scsi_create(struct vm *vm, const struct virtio_scsi_config *cfg, struct err *e)
{
	static const uint16_t sizes[QUEUES] = { 16, 16, QUEUE_SIZE };
	struct virtio_scsi *s = calloc(1, sizeof(*s));
	struct virtio_place place = cfg->place;
	int ret;

	if (!s || virtq_elem_init(&s->control, ELEM_SEGS) < 0) {
		free(s);
		return err_set(e, -ENOMEM, "no memory for virtio-scsi");
	}
	s->waiting_end = &s->waiting;
	s->target_count = cfg->target_count;
	place.direct = false;
	place.loop = NULL;
	for (unsigned n = 0; n < cfg->target_count; n++) {
		s->target[n].dev = s;
		target_init(&s->target[n], cfg, n);
		if (cfg->target[n].blk)
			place.loop = blk_loop(cfg->target[n].blk);
	}
	s->v.queue_count = QUEUES;
	s->v.device_features = F_CHANGE;
	s->v.config_size = C_SIZE;
	fill_config(s);
	ret = virtio_init(&s->v, vm, &scsi_ops, &place, sizes, QUEUES, e);
	if (ret == 0) {
		ret = dev_attach(vm, &virtio_scsi_type, cfg->place.id, s, e);
		if (ret < 0)
			virtio_destroy(&s->v);
	}
	if (ret < 0) {
		for (unsigned n = 0; n < cfg->target_count; n++)
			if (cfg->target[n].blk)
				blk_on_resize(cfg->target[n].blk, NULL, NULL);
		free_all(s);
		return ret;
	}
	for (unsigned n = 0; n < cfg->target_count; n++)
		if (cfg->target[n].cdrom && cfg->target[n].cd)
			*cfg->target[n].cd = &s->target[n].cd;
	return 0;
}
