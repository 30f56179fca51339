/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about a machine's disks as files. */
#include "daemon/remote/remote_priv.h"

#include "base/fd.h"
#include "daemon/storage/probe.h"
#include "daemon/storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_PEEK_MAX = 4 << 20, BLOCK_RESIZE_BYTES = 1, BLOCK_STATS_STRINGS = 4 };

const char *remote_disk_path(const struct daemon *daemon, const struct domdef_disk *k)
{
	switch (k->type) {
	case DOM_SOURCE_FILE: return k->source.file;
	case DOM_SOURCE_BLOCK: return k->source.dev;
	case DOM_SOURCE_VOLUME: return volume_for_machine(daemon->storage, k->source.pool, k->source.volume);
	default: return NULL;
	}
}

/* By its target or its path. */
static const char *find_disk(struct call *c, const struct domain *d, const char *name, const struct domdef_disk **disk)
{
	for (unsigned n = 0; n < d->def->disks.n; n++) {
		const struct domdef_disk *k = d->def->disks.v[n];
		const char *path = remote_disk_path(c->opaque, k);

		if (path && (!strcmp(path, name) || (k->target && !strcmp(k->target, name)))) {
			*disk = k;
			return path;
		}
	}
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "invalid path '%.300s' not assigned to domain", name);
	return NULL;
}

static int peek(struct call *c)
{
	const struct domain *d = c->object;
	const struct domdef_disk *k;
	const char *path = find_disk(c, d, call_s(c, 1), &k);
	uint32_t size = call_u(c, 3);
	struct err e = {0};
	uint8_t *data;
	ssize_t got;
	int fd;

	if (!path)
		return CALL_FAILED;
	if (size > BLOCK_PEEK_MAX || call_H(c, 2) > INT64_MAX - size)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "size must be at most %d bytes",
				 BLOCK_PEEK_MAX);
	data = malloc(size ? size : 1);
	fd = fd_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &e);
	got = data && fd >= 0 ? pread(fd, data, size, (off_t)call_H(c, 2)) : -1;
	fd_close(&fd);
	if (got == (ssize_t)size)
		xdr_opaque(&c->out, data, size);
	else
		fault_set(&c->fault, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot read %u bytes of '%s'%s", size, path,
			  got >= 0 ? ": it ends before" : "");
	free(data);
	return got == (ssize_t)size ? CALL_DONE : CALL_FAILED;
}

/* The file's or device's own size, and where the document says that it is an image, what its header says of the disk.
 */
int remote_disk_measure(const char *path, const struct domdef_disk *k, uint64_t sizes[3])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), ret;
	struct probe p = {0};
	struct stat st;
	off_t end;

	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) < 0 ? -errno : 0;
	end = lseek(fd, 0, SEEK_END);
	if (ret == 0 && k->format && strcmp(k->format, "raw"))
		ret = probe_fd(&p, fd);
	close(fd);
	if (ret < 0)
		return ret;
	sizes[2] = end > 0 ? (uint64_t)end : 0;
	sizes[0] = S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : sizes[2];
	sizes[1] = p.capacity ? p.capacity : sizes[2];
	return 0;
}

static int info(struct call *c)
{
	const struct domain *d = c->object;
	const struct domdef_disk *k;
	const char *path = find_disk(c, d, call_s(c, 1), &k);
	uint64_t sizes[3];
	int ret;

	if (!path)
		return CALL_FAILED;
	ret = remote_disk_measure(path, k, sizes);
	if (ret < 0)
		return fault_set(&c->fault, FAULT_SYSTEM, FROM_STORAGE, "cannot look at the image %s: %s", path,
				 strerror(-ret));
	for (unsigned n = 0; n < COUNT_OF(sizes); n++)
		xdr_u64(&c->out, sizes[n]);
	return CALL_DONE;
}

/* ---- counters ---- */

/* The sum over the machine's disks where no name is given, as libvirt has it. */
static const struct domdef_disk *counted(struct call *c, const struct domain *d)
{
	const char *name = call_s(c, 1);

	for (unsigned n = 0; n < d->def->disks.n; n++) {
		const struct domdef_disk *k = d->def->disks.v[n];
		const char *path = remote_disk_path(c->opaque, k);

		if ((k->target && !strcmp(k->target, name)) || (path && !strcmp(path, name)))
			return k;
	}
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "invalid path: %.300s", name);
	return NULL;
}

static void add_count(struct domain_count *sum, const struct domain_count *c)
{
	sum->requests += c->requests;
	sum->bytes += c->bytes;
	sum->ns += c->ns;
}

static bool find_sample(struct call *c, struct domain_disk_sample *out)
{
	const struct domain *d = remote_domain(c, 0);
	const struct domdef_disk *k = NULL;
	const struct domain_disk_sample *one;

	*out = (struct domain_disk_sample){ 0 };
	if (!d)
		return false;
	if (call_s(c, 1)[0]) {
		k = counted(c, d);
		one = k ? domain_disk_sample(d, k) : NULL;
		if (one)
			*out = *one;
		else if (k)
			fault_set(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR, 
				  "the machine does not tell what disk '%s' does", k->target ? k->target : "");
		return one;
	}
	for (unsigned n = 0; d->sample && n < d->sample->disk_count; n++) {
		add_count(&out->read, &d->sample->disk[n].read);
		add_count(&out->write, &d->sample->disk[n].write);
		add_count(&out->flush, &d->sample->disk[n].flush);
		out->errors += d->sample->disk[n].errors;
	}
	return true;
}

static int sampled(struct call *c, int (*then)(struct call *c))
{
	struct domain *d = c->object;

	return d->machine ? gather_one(c, d, then) : remote_not_running(c);
}

static int put_stats(struct call *c)
{
	struct domain_disk_sample s;

	if (!find_sample(c, &s))
		return CALL_FAILED;
	xdr_i64(&c->out, (int64_t)s.read.requests);
	xdr_i64(&c->out, (int64_t)s.read.bytes);
	xdr_i64(&c->out, (int64_t)s.write.requests);
	xdr_i64(&c->out, (int64_t)s.write.bytes);
	xdr_i64(&c->out, (int64_t)s.errors);
	return CALL_DONE;
}

static int stats(struct call *c)
{
	return sampled(c, put_stats);
}

static int put_stats_flags(struct call *c)
{
	struct domain_disk_sample s;
	int room = call_i(c, 2);

	if (!find_sample(c, &s))
		return CALL_FAILED;
	const struct {
		const char *field;
		uint64_t value;
	} rows[] = {
		{ "wr_bytes", s.write.bytes }, { "wr_operations", s.write.requests }, { "rd_bytes", s.read.bytes },
		{ "rd_operations", s.read.requests }, { "flush_operations", s.flush.requests },
		{ "wr_total_times", s.write.ns }, { "rd_total_times", s.read.ns }, { "flush_total_times", s.flush.ns },
		{ "errs", s.errors },
	};
	unsigned count = room < 0 ? 0 : (unsigned)room < COUNT_OF(rows) ? (unsigned)room : COUNT_OF(rows);

	xdr_u32(&c->out, count);
	for (unsigned n = 0; n < count; n++)
		xdr_param_i64(&c->out, rows[n].field, (int64_t)rows[n].value);
	xdr_i32(&c->out, (int)(room ? count : COUNT_OF(rows)));
	return CALL_DONE;
}

static int stats_flags(struct call *c)
{
	return sampled(c, put_stats_flags);
}

/* The engine changes image and device; the size comes in KiB, or in bytes when the flag says so. */
static int resize(struct call *c)
{
	struct domain *d = c->object;
	const struct domdef_disk *k;
	uint64_t size = call_H(c, 2);
	char id[DOMDEF_ID_MAX];

	if (!domain_active(d))
		return remote_not_running(c);
	if (!find_disk(c, d, call_s(c, 1), &k))
		return CALL_FAILED;
	if (!(call_u(c, 3) & BLOCK_RESIZE_BYTES) && size > UINT64_MAX >> 10)
		return fault_set(&c->fault, FAULT_OVERFLOW, FROM_HYPERVISOR, "size must be less than %llu",
				 (unsigned long long)(UINT64_MAX >> 10));
	size = call_u(c, 3) & BLOCK_RESIZE_BYTES ? size : size << 10;
	if (!size || size > INT64_MAX - 511)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "a disk of %llu bytes is not possible",
				 (unsigned long long)size);
	if (!domdef_disk_id(k, id))
		return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
				 "disk '%s' cannot be named to the machine", k->target ? k->target : "");
	return remote_started(domain_command(d, "block_resize", json_pack("{s:s, s:I}", "device", id, "size",
					     (json_int_t)((size + 511) / 512 * 512)), remote_done, c, &c->fault));
}

/* ---- thresholds and failures ---- */

static int set_threshold(struct call *c)
{
	struct domain *d = c->object;
	const char *name = call_s(c, 1);
	char id[DOMDEF_ID_MAX];

	if (!domain_active(d))
		return remote_not_running(c);
	for (unsigned n = 0; n < d->def->disks.n; n++) {
		const struct domdef_disk *k = d->def->disks.v[n];

		if (k->target && !strcmp(k->target, name) && domdef_disk_id(k, id))
			return remote_started(domain_command(d, "block-set-write-threshold",
							     json_pack("{s:s, s:I}", "node-name", id,
								       "write-threshold", (json_int_t)call_H(c, 2)),
							     remote_done, c, &c->fault));
	}
	return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
			 "block device '%.100s' not found; thresholds are of disks, by their targets", name);
}

/* Without room for any the answer is how many there could be. */
static int get_errors(struct call *c)
{
	const struct domain *d = c->object;
	unsigned max = call_u(c, 1), count = (unsigned)json_object_size(d->disk_errors), left;
	const char *target;
	json_t *v;

	count = left = count > max ? max : count;
	xdr_u32(&c->out, count);
	json_object_foreach(d->disk_errors, target, v) {
		if (left-- == 0)
			break;
		xdr_string(&c->out, target);
		xdr_i32(&c->out, (int)json_integer_value(v));
	}
	xdr_i32(&c->out, max ? (int)count : (int)d->def->disks.n);
	return CALL_DONE;
}

/* ---- jobs, which there are none of ---- */

static int job_info(struct call *c)
{
	const struct domdef_disk *k;

	if (!find_disk(c, c->object, call_s(c, 1), &k))
		return CALL_FAILED;
	xdr_i32(&c->out, 0); /* found */
	xdr_i32(&c->out, 0);
	for (unsigned n = 0; n < 3; n++) /* bandwidth, how far, to where */
		xdr_u64(&c->out, 0);
	return CALL_DONE;
}

static int no_job(struct call *c)
{
	const struct domdef_disk *k;

	if (!find_disk(c, c->object, call_s(c, 1), &k))
		return CALL_FAILED;
	return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "disk %s does not have an active block job",
			 k->target ? k->target : "");
}

enum { JOB_INFO_BYTES = 1, JOB_ABORT_ASYNC = 1, JOB_ABORT_PIVOT = 2, JOB_SPEED_BYTES = 1 };

const struct handler remote_domain_block[] = {
	{"DOMAIN_GET_BLOCK_JOB_INFO", job_info, remote_find_domain, JOB_INFO_BYTES},
	{"DOMAIN_BLOCK_JOB_ABORT", no_job, remote_find_running, JOB_ABORT_ASYNC | JOB_ABORT_PIVOT},
	{"DOMAIN_BLOCK_JOB_SET_SPEED", no_job, remote_find_running, JOB_SPEED_BYTES},
	{"DOMAIN_GET_BLOCK_INFO", info, remote_find_domain},
	{"DOMAIN_BLOCK_STATS", stats, remote_find_domain},
	{"DOMAIN_BLOCK_STATS_FLAGS", stats_flags, remote_find_domain, BLOCK_STATS_STRINGS},
	{"DOMAIN_BLOCK_PEEK", peek, remote_find_domain},
	{"DOMAIN_BLOCK_RESIZE", resize, remote_find_idle, BLOCK_RESIZE_BYTES},
	{"DOMAIN_SET_BLOCK_THRESHOLD", set_threshold, remote_find_idle},
	{"DOMAIN_GET_DISK_ERRORS", get_errors, remote_find_running},
};
const unsigned remote_domain_block_count = COUNT_OF(remote_domain_block);
