/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The time of day is the host's plus a difference that the guest makes when it sets its clock. While the machine
 * runs it advances with the machine clock, so that it agrees with the guest's other clocks. Flags of register C are
 * worked out when they are read or when an interrupt for them is on.
 */
#include "arch/x86/rtc.h"

#include "core/clock.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	R_SEC = 0, R_SEC_ALARM = 1, R_MIN = 2, R_MIN_ALARM = 3, R_HOUR = 4, R_HOUR_ALARM = 5, R_WDAY = 6, R_MDAY = 7,
	R_MONTH = 8, R_YEAR = 9, R_A = 10, R_B = 11, R_C = 12, R_D = 13, R_SHUTDOWN = 0x0f, R_CENTURY = 0x32,
};
enum { A_UIP = 0x80, A_RATE = 0x0f, A_DIVIDER = 0x70, A_DIVIDER_ON = 0x20 };
enum { B_SET = 0x80, B_24H = 0x02, B_BINARY = 0x04 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10, C_SOURCES = C_PF | C_AF | C_UF };
enum { UIP_NS = 244000, TICK_HZ = 32768 };
#define SECOND_NS INT64_C(1000000000)
#define SECONDS_MAX INT64_C(7258118400) /* the year 2200 */

struct rtc {
	struct rtc_config cfg;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards all below; held while irq is driven */
	struct timer timer;
	uint8_t index;
	uint8_t cmos[RTC_CMOS_SIZE]; /* the time registers hold the time only while B_SET is on */
	int64_t delta_ns;  /* the guest's time less the host's */
	int64_t offset_ns; /* the guest's time less the machine clock */
	int64_t told_s;    /* what the guest's clock was ahead of UTC when that was told */
	struct vm *vm;
	int64_t seen_ns;   /* guest time up to which register C's flags are worked out */
};

static int64_t clock_ns(const struct rtc *r) { return clock_now(timerq_clock(r->cfg.timers)); }

static int64_t utc_ns(const struct rtc *r)
{
	if (r->cfg.utc_ns)
		return r->cfg.utc_ns(r->cfg.utc_opaque);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static int64_t guest_ns(const struct rtc *r) { return clock_ns(r) + r->offset_ns; }

static bool ticking(const struct rtc *r)
{
	return !(r->cmos[R_B] & B_SET) && (r->cmos[R_A] & A_DIVIDER) == A_DIVIDER_ON;
}

/* Takes the time from the host anew, keeping the guest's difference. */
static void follow_host(struct rtc *r)
{
	r->offset_ns = utc_ns(r) + r->delta_ns - clock_ns(r);
	r->seen_ns = guest_ns(r);
}

static uint8_t encode(const struct rtc *r, unsigned v)
{
	return r->cmos[R_B] & B_BINARY ? v : (v / 10 % 10) << 4 | v % 10;
}

static unsigned decode(const struct rtc *r, uint8_t v)
{
	return r->cmos[R_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, unsigned hour)
{
	if (r->cmos[R_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->cmos[R_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static void time_to_registers(struct rtc *r)
{
	time_t t = guest_ns(r) / SECOND_NS;
	struct tm tm;
	if (!gmtime_r(&t, &tm))
		return;
	unsigned year = tm.tm_year + 1900;
	r->cmos[R_SEC] = encode(r, tm.tm_sec);
	r->cmos[R_MIN] = encode(r, tm.tm_min);
	r->cmos[R_HOUR] = encode_hour(r, tm.tm_hour);
	r->cmos[R_WDAY] = encode(r, tm.tm_wday + 1);
	r->cmos[R_MDAY] = encode(r, tm.tm_mday);
	r->cmos[R_MONTH] = encode(r, tm.tm_mon + 1);
	r->cmos[R_YEAR] = encode(r, year % 100);
	/* The century byte is BCD in either mode: that is how firmware and kernels read it. */
	r->cmos[R_CENTURY] = (year / 1000 % 10) << 4 | year / 100 % 10;
}

static void registers_to_time(struct rtc *r)
{
	unsigned century = (r->cmos[R_CENTURY] >> 4) * 10 + (r->cmos[R_CENTURY] & 15);
	struct tm tm = {
		.tm_sec = decode(r, r->cmos[R_SEC]), .tm_min = decode(r, r->cmos[R_MIN]),
		.tm_hour = decode_hour(r, r->cmos[R_HOUR]), .tm_mday = decode(r, r->cmos[R_MDAY]),
		.tm_mon = (int)decode(r, r->cmos[R_MONTH]) - 1,
		.tm_year = (int)(century * 100 + decode(r, r->cmos[R_YEAR])) - 1900,
	};
	/* Before 1970 and past what 64 bits of nanoseconds hold with room to go on: 1970, for no guest means it. */
	int64_t seconds = timegm(&tm);
	if (seconds < 0 || seconds > SECONDS_MAX)
		seconds = 0;
	r->offset_ns = seconds * SECOND_NS - clock_ns(r);
	r->delta_ns = seconds * SECOND_NS - utc_ns(r);
	r->seen_ns = guest_ns(r);
}

/* Seconds, to the nearest: what lies between two looks at the host's clock is no change. */
static int64_t ahead_s(const struct rtc *r)
{
	int64_t ns = r->delta_ns + SECOND_NS / 2;

	return ns / SECOND_NS - (ns % SECOND_NS < 0);
}

/* The guest has set the time. */
static void time_set(struct rtc *r)
{
	registers_to_time(r);
	if (ahead_s(r) - r->told_s >= -1 && ahead_s(r) - r->told_s <= 1)
		return;
	r->told_s = ahead_s(r);
	vm_request(r->vm, VM_REQUEST_CLOCK);
}

/* ---- flags and interrupts ---- */

static bool alarm_match(const struct rtc *r, unsigned reg, unsigned value)
{
	uint8_t v = r->cmos[reg];
	if (v >= 0xc0)
		return true; /* "don't care" */
	return (reg == R_HOUR_ALARM ? decode_hour(r, v) : decode(r, v)) == value;
}

/* The first second after t at which the alarm matches, or INT64_MAX. At most 24 + 60 + 60 steps. */
static int64_t next_alarm(const struct rtc *r, int64_t t)
{
	int64_t s = t + 1, end = s + 86400;
	while (s <= end) {
		int64_t tod = s % 86400;
		if (!alarm_match(r, R_HOUR_ALARM, tod / 3600))
			s += 3600 - tod % 3600;
		else if (!alarm_match(r, R_MIN_ALARM, tod / 60 % 60))
			s += 60 - tod % 60;
		else if (!alarm_match(r, R_SEC_ALARM, tod % 60))
			s++;
		else
			return s;
	}
	return INT64_MAX;
}

/* The period of the periodic interrupt in ticks of 32768 Hz; 0: off. Rates 1 and 2 repeat 8 and 9. */
static unsigned periodic_ticks(const struct rtc *r)
{
	unsigned rate = r->cmos[R_A] & A_RATE;
	if (!rate || (r->cmos[R_A] & A_DIVIDER) != A_DIVIDER_ON)
		return 0;
	return 1u << ((rate < 3 ? rate + 7 : rate) - 1);
}

static uint64_t ticks_of(int64_t ns) { return muldiv64(ns, TICK_HZ, SECOND_NS); }

/* Sets the flags of what happened since they were last worked out. */
static void catch_up(struct rtc *r)
{
	int64_t now = guest_ns(r), before = r->seen_ns;
	if (now <= before || before < 0)
		return;
	unsigned period = periodic_ticks(r);
	if (period && ticks_of(now) / period != ticks_of(before) / period)
		r->cmos[R_C] |= C_PF;
	int64_t s = now / SECOND_NS;
	if (ticking(r) && s != before / SECOND_NS) {
		r->cmos[R_C] |= C_UF;
		if (next_alarm(r, before / SECOND_NS) <= s)
			r->cmos[R_C] |= C_AF;
	}
	r->seen_ns = now;
}

static void update_irq(struct rtc *r)
{
	bool on = r->cmos[R_C] & r->cmos[R_B] & C_SOURCES;
	r->cmos[R_C] = (r->cmos[R_C] & C_SOURCES) | (on ? C_IRQF : 0);
	irq_set(&r->cfg.irq, on);
	irq_set(&r->cfg.alarm, r->cmos[R_C] & r->cmos[R_B] & C_AF);
}

/* A host timer for the next event that would interrupt; a flag that is up already cannot. */
static void rearm(struct rtc *r)
{
	uint8_t want = r->cmos[R_B] & C_SOURCES & ~r->cmos[R_C];
	int64_t now = guest_ns(r), at = INT64_MAX;
	unsigned period = periodic_ticks(r);
	if ((want & C_PF) && period && now >= 0) {
		uint64_t tick = (ticks_of(now) / period + 1) * period;
		at = (int64_t)muldiv64(tick, SECOND_NS, TICK_HZ) + 1;
	}
	int64_t s = now / SECOND_NS, event = INT64_MAX;
	if ((want & C_AF) && ticking(r))
		event = next_alarm(r, s);
	if ((want & C_UF) && ticking(r))
		event = s + 1;
	if (event != INT64_MAX && event * SECOND_NS < at)
		at = event * SECOND_NS;
	if (at == INT64_MAX)
		timer_cancel(&r->timer);
	else
		timer_arm(&r->timer, at - r->offset_ns);
}

static void event_due(void *opaque)
{
	struct rtc *r = opaque;
	pthread_mutex_lock(&r->lock);
	catch_up(r);
	update_irq(r);
	rearm(r);
	pthread_mutex_unlock(&r->lock);
}

/* ---- registers ---- */

static bool is_time(unsigned n)
{
	return n == R_SEC || n == R_MIN || n == R_HOUR || (n >= R_WDAY && n <= R_YEAR) || n == R_CENTURY;
}

static uint8_t read_a(const struct rtc *r)
{
	bool uip = ticking(r) && guest_ns(r) % SECOND_NS >= SECOND_NS - UIP_NS;
	return r->cmos[R_A] | (uip ? A_UIP : 0);
}

static uint8_t read_c(struct rtc *r)
{
	catch_up(r);
	update_irq(r);
	uint8_t v = r->cmos[R_C];
	r->cmos[R_C] = 0;
	update_irq(r);
	rearm(r);
	return v;
}

static uint8_t register_read(struct rtc *r, unsigned n)
{
	if (is_time(n) && ticking(r))
		time_to_registers(r);
	if (n == R_A)
		return read_a(r);
	return n == R_C ? read_c(r) : r->cmos[n];
}

static void write_control(struct rtc *r, unsigned n, uint8_t value)
{
	catch_up(r);
	bool was = ticking(r);
	if (was)
		time_to_registers(r);
	r->cmos[n] = n == R_A ? value & ~A_UIP : value;
	if (n == R_B && (value & B_SET))
		r->cmos[R_B] &= ~C_UF; /* SET clears the update-ended interrupt's enable */
	if (!was && ticking(r))
		time_set(r);
	update_irq(r);
	rearm(r);
}

static void register_write(struct rtc *r, unsigned n, uint8_t value)
{
	if (n == R_A || n == R_B) {
		write_control(r, n, value);
	} else if (n == R_C || n == R_D) {
		return;
	} else if (is_time(n)) {
		bool running = ticking(r);
		if (running)
			time_to_registers(r);
		r->cmos[n] = value;
		if (running) {
			time_set(r);
			rearm(r);
		}
	} else {
		catch_up(r);
		r->cmos[n] = value;
		rearm(r);
	}
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct rtc *r = opaque;
	return off ? register_read(r, r->index) : 0xff;
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct rtc *r = opaque;
	if (off)
		register_write(r, r->index, value);
	else
		r->index = value & (RTC_CMOS_SIZE - 1); /* bit 7 masks NMI, which nothing here raises */
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 1};

/* ---- CMOS contents, saved state, life ---- */

static void cmos16(struct rtc *r, unsigned at, uint64_t v)
{
	r->cmos[at] = v > 0xffff ? 0xff : v;
	r->cmos[at + 1] = v > 0xffff ? 0xff : v >> 8;
}

/* Where PC firmware looks for the size of memory and the number of processors. */
static void fill_cmos(struct rtc *r)
{
	uint64_t low = r->cfg.mem_below_4g, high = r->cfg.mem_above_4g >> 16;
	uint64_t above_1m = low > 0x100000 ? (low - 0x100000) >> 10 : 0;
	uint64_t above_16m = low > 0x1000000 ? (low - 0x1000000) >> 16 : 0;
	cmos16(r, 0x15, 640);
	cmos16(r, 0x17, above_1m);
	cmos16(r, 0x30, above_1m);
	cmos16(r, 0x34, above_16m);
	r->cmos[0x5b] = high;
	r->cmos[0x5c] = high >> 8;
	r->cmos[0x5d] = high >> 16;
	r->cmos[0x5f] = r->cfg.cpus ? r->cfg.cpus - 1 : 0;
	r->cmos[0x14] = 0x02; /* equipment: a coprocessor */
}

/* The battery keeps time and memory over a reset; the interrupt enables and flags go. */
static void rtc_reset(void *impl)
{
	struct rtc *r = impl;
	pthread_mutex_lock(&r->lock);
	r->cmos[R_B] &= ~(C_SOURCES | 0x08);
	r->cmos[R_C] = 0;
	r->index = 0;
	update_irq(r);
	rearm(r);
	pthread_mutex_unlock(&r->lock);
}

static void rtc_run_state(void *impl, bool running)
{
	struct rtc *r = impl;
	if (!running)
		return;
	pthread_mutex_lock(&r->lock);
	follow_host(r);
	rearm(r);
	pthread_mutex_unlock(&r->lock);
}

int64_t rtc_offset_ns(struct rtc *r)
{
	pthread_mutex_lock(&r->lock);
	int64_t ns = r->delta_ns;
	pthread_mutex_unlock(&r->lock);
	return ns;
}

void rtc_cmos_set(struct rtc *r, unsigned index, uint8_t value)
{
	assert(index > R_D && index < RTC_CMOS_SIZE);
	pthread_mutex_lock(&r->lock);
	r->cmos[index] = value;
	pthread_mutex_unlock(&r->lock);
}

static void rtc_before_save(void *obj)
{
	struct rtc *r = obj;
	catch_up(r);
}

static int rtc_after_load(void *obj, uint16_t version, struct err *e)
{
	struct rtc *r = obj;
	const int64_t far = INT64_MAX / 4;
	if (r->delta_ns > far || r->delta_ns < -far)
		return err_set(e, -EINVAL, "the saved real-time clock is set to a time that it cannot show");
	r->index &= RTC_CMOS_SIZE - 1;
	r->cmos[R_A] &= ~A_UIP;
	r->cmos[R_C] &= C_SOURCES;
	r->cmos[R_D] = 0x80;
	follow_host(r);
	update_irq(r);
	rearm(r);
	return 0;
}

static const struct state_field rtc_fields[] = {
	STATE_FIELD(struct rtc, index, STATE_U8),
	STATE_ARRAY(struct rtc, cmos, STATE_BYTES, RTC_CMOS_SIZE),
	STATE_FIELD(struct rtc, delta_ns, STATE_U64),
	STATE_END,
};

static const struct state_desc rtc_state = {
	.name = "rtc", .version = 1, .fields = rtc_fields, .before_save = rtc_before_save, .after_load = rtc_after_load,
};

static void rtc_destroy(void *impl)
{
	struct rtc *r = impl;
	timer_cancel(&r->timer);
	region_detach(r->region);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct dev_type rtc_type = {
	.name = "rtc", .destroy = rtc_destroy, .reset = rtc_reset, .run_state = rtc_run_state,
	.state = &rtc_state, .state_size = sizeof(struct rtc),
};

int rtc_create(struct vm *vm, struct rtc_config cfg, struct rtc **out, struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(e, -ENOMEM, "no memory for the real-time clock");
	r->cfg = cfg;
	pthread_mutex_init(&r->lock, NULL);
	timer_init(&r->timer, cfg.timers, event_due, r);
	r->cmos[R_A] = A_DIVIDER_ON | 6; /* 32.768 kHz, periodic rate 1024 Hz: what firmware leaves */
	r->cmos[R_B] = B_24H;
	r->cmos[R_D] = 0x80;
	r->delta_ns = cfg.offset_ns;
	r->told_s = ahead_s(r);
	r->vm = vm;
	fill_cmos(r);
	follow_host(r);
	struct region g = {.space = REGION_PORT, .addr = 0x70, .size = 2, .name = "rtc", .ops = &port_ops, .opaque = r,
			   .lock = &r->lock};
	int rc = region_attach(vm->regions, &g, &r->region, e);
	if (!rc)
		rc = dev_attach(vm, &rtc_type, NULL, r, e);
	if (rc) {
		rtc_destroy(r);
		return rc;
	}
	*out = r;
	return 0;
}
