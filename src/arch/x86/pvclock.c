/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/pvclock.h"

#include "base/bytes.h"
#include "core/clock.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/state.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
	MSR_WALL_CLOCK_OLD = 0x11, MSR_SYSTEM_TIME_OLD = 0x12,
	MSR_WALL_CLOCK = 0x4b564d00, MSR_SYSTEM_TIME = 0x4b564d01,
};
enum { FLAG_TSC_STABLE = 1, FLAG_GUEST_STOPPED = 2 };
enum { TIME_INFO_SIZE = 32, WALL_CLOCK_SIZE = 12, SYSTEM_TIME_ON = 1 };

struct pvclock {
	struct pvclock_config cfg;
	struct vm *vm;
	pthread_mutex_t lock; /* guards all below */
	uint64_t wall_msr;
	uint64_t time_msr[VCPU_MAX]; /* bit 0: on */
	uint32_t version[VCPU_MAX];
	/* the pair that all vCPUs are given */
	bool pair_valid;
	uint64_t pair_tsc, pair_ns;
};

static uint64_t tsc_now(const struct pvclock *pc)
{
	if (pc->cfg.tsc_now)
		return pc->cfg.tsc_now(pc->cfg.tsc_opaque);
	return machine_clock_tsc(pc->vm->mclock);
}

static int64_t utc_now(const struct pvclock *pc)
{
	if (pc->cfg.utc_ns)
		return pc->cfg.utc_ns(pc->cfg.utc_opaque);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* time = ((tsc - stamp) << shift) * mul >> 32: the largest 32-bit mul gives the best precision. */
static void scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	/* 10^6 / khz nanoseconds a tick, as mul * 2^(shift - 32) with mul in [2^31, 2^32). */
	int s = 0;
	unsigned __int128 m = ((unsigned __int128)1000000 << 32) / khz;
	while (m >> 32) {
		m = ((unsigned __int128)1000000 << (32 - ++s)) / khz;
	}
	while (!(m >> 31)) {
		m = ((unsigned __int128)1000000 << (32 - --s)) / khz;
	}
	*mul = m;
	*shift = s;
}

static void put_version(struct pvclock *pc, uint64_t gpa, uint32_t version)
{
	/* An address that is not RAM is the guest's affair: nothing is written. */
	if (gmem_write(pc->cfg.mem, gpa, &version, 4) < 0)
		return;
	atomic_thread_fence(memory_order_seq_cst);
}

/* The layout of struct pvclock_vcpu_time_info; an odd version says that it is being written. */
static void write_time_info(struct pvclock *pc, unsigned index, uint8_t flags)
{
	uint64_t gpa = pc->time_msr[index] & ~UINT64_C(1);
	uint8_t buf[TIME_INFO_SIZE] = {0};
	uint32_t mul;
	int8_t shift;
	scale(pc->cfg.tsc_khz, &mul, &shift);
	store_le64(buf + 8, pc->pair_tsc + atomic_load(&pc->vm->vcpu[index]->tsc_offset));
	store_le64(buf + 16, pc->pair_ns);
	store_le32(buf + 24, mul);
	buf[28] = (uint8_t)shift;
	buf[29] = flags | FLAG_TSC_STABLE;
	pc->version[index] = (pc->version[index] | 1) + 2;
	put_version(pc, gpa, pc->version[index]);
	if (gmem_write(pc->cfg.mem, gpa + 4, buf + 4, TIME_INFO_SIZE - 4) < 0)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	put_version(pc, gpa, ++pc->version[index]);
}

static void take_pair(struct pvclock *pc)
{
	pc->pair_ns = clock_now(pc->cfg.clock);
	pc->pair_tsc = tsc_now(pc);
	pc->pair_valid = true;
}

/* struct pvclock_wall_clock: the time of day when the machine clock was zero. */
static void write_wall_clock(struct pvclock *pc)
{
	uint64_t gpa = pc->wall_msr;
	uint32_t version = 0;
	if (gmem_read(pc->cfg.mem, gpa, &version, 4) < 0)
		return;
	int64_t boot = utc_now(pc) - clock_now(pc->cfg.clock);
	uint8_t buf[WALL_CLOCK_SIZE];
	store_le32(buf + 4, boot / 1000000000);
	store_le32(buf + 8, boot % 1000000000);
	version |= 1;
	put_version(pc, gpa, version);
	if (gmem_write(pc->cfg.mem, gpa + 4, buf + 4, WALL_CLOCK_SIZE - 4) < 0)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	put_version(pc, gpa, version + 1);
}

int pvclock_msr_read(struct pvclock *pc, const struct vcpu *v, uint32_t msr, uint64_t *value)
{
	int rc = 0;
	pthread_mutex_lock(&pc->lock);
	if (msr == MSR_WALL_CLOCK || msr == MSR_WALL_CLOCK_OLD)
		*value = pc->wall_msr;
	else if (msr == MSR_SYSTEM_TIME || msr == MSR_SYSTEM_TIME_OLD)
		*value = pc->time_msr[v->index];
	else
		rc = -ENOENT;
	pthread_mutex_unlock(&pc->lock);
	return rc;
}

int pvclock_msr_write(struct pvclock *pc, const struct vcpu *v, uint32_t msr, uint64_t value)
{
	int rc = 0;
	pthread_mutex_lock(&pc->lock);
	if (msr == MSR_WALL_CLOCK || msr == MSR_WALL_CLOCK_OLD) {
		pc->wall_msr = value & ~UINT64_C(3);
		write_wall_clock(pc);
	} else if (msr == MSR_SYSTEM_TIME || msr == MSR_SYSTEM_TIME_OLD) {
		pc->time_msr[v->index] = value & ~UINT64_C(2);
		if (!pc->pair_valid)
			take_pair(pc);
		if (value & SYSTEM_TIME_ON)
			write_time_info(pc, v->index, 0);
	} else {
		rc = -ENOENT;
	}
	pthread_mutex_unlock(&pc->lock);
	return rc;
}

void pvclock_refresh(struct pvclock *pc, bool stopped)
{
	pthread_mutex_lock(&pc->lock);
	take_pair(pc);
	for (unsigned n = 0; n < VCPU_MAX; n++)
		if (n < pc->vm->vcpu_count && (pc->time_msr[n] & SYSTEM_TIME_ON))
			write_time_info(pc, n, stopped ? FLAG_GUEST_STOPPED : 0);
	pthread_mutex_unlock(&pc->lock);
}

static void pvclock_reset(void *impl)
{
	struct pvclock *pc = impl;
	pthread_mutex_lock(&pc->lock);
	pc->wall_msr = 0;
	memset(pc->time_msr, 0, sizeof(pc->time_msr));
	pc->pair_valid = false;
	pthread_mutex_unlock(&pc->lock);
}

static void pvclock_run_state(void *impl, bool running)
{
	if (running)
		pvclock_refresh(impl, true);
}

static int pvclock_after_load(void *obj, uint16_t version, struct err *e)
{
	struct pvclock *pc = obj;
	pc->pair_valid = false; /* a new one is taken when the machine goes on */
	pc->wall_msr &= ~UINT64_C(3);
	for (unsigned n = 0; n < VCPU_MAX; n++)
		pc->time_msr[n] &= ~UINT64_C(2);
	return 0;
}

static const struct state_field pvclock_fields[] = {
	STATE_FIELD(struct pvclock, wall_msr, STATE_U64),
	STATE_ARRAY(struct pvclock, time_msr, STATE_U64, VCPU_MAX),
	STATE_ARRAY(struct pvclock, version, STATE_U32, VCPU_MAX),
	STATE_END,
};

static const struct state_desc pvclock_state = {
	.name = "pvclock", .version = 1, .fields = pvclock_fields, .after_load = pvclock_after_load,
};

static void pvclock_destroy(void *impl)
{
	struct pvclock *pc = impl;
	pthread_mutex_destroy(&pc->lock);
	free(pc);
}

static const struct dev_type pvclock_type = {
	.name = "pvclock", .destroy = pvclock_destroy, .reset = pvclock_reset, .run_state = pvclock_run_state,
	.state = &pvclock_state, .state_size = sizeof(struct pvclock),
};

int pvclock_create(struct vm *vm, struct pvclock_config cfg, struct pvclock **out, struct err *e)
{
	struct pvclock *pc = calloc(1, sizeof(*pc));
	if (!pc)
		return err_set(e, -ENOMEM, "no memory for the paravirtual clock");
	pc->cfg = cfg;
	pc->vm = vm;
	if (!pc->cfg.tsc_khz)
		pc->cfg.tsc_khz = host_tsc_khz();
	pthread_mutex_init(&pc->lock, NULL);
	int rc = dev_attach(vm, &pvclock_type, NULL, pc, e);
	if (rc) {
		pvclock_destroy(pc);
		return rc;
	}
	*out = pc;
	return 0;
}
