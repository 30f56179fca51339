/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a vCPU thread: run guest code, wait in a halt, park, do work for others, end.
 *
 * No wake-up is lost because of one rule: whoever gives the thread something to do first sets bits in v->attention,
 * then kicks the accelerator, then signals v->wake under v->lock; and the thread looks at the bits under v->lock
 * before each wait. VCPU_ATT_STOP stays set until the thread finds, under v->lock, that nothing is left to stop for.
 */
#include "core/vcpu_priv.h"

#include "core/accel.h"
#include "core/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Work for the thread, on the stack of the one who waits for it. */
struct vcpu_work {
	struct vcpu_work *next;
	void (*fn)(struct vcpu *v, void *arg);
	void *arg;
	bool done;
};

/* Whose thread this is. It is the thread's identity, not state of a machine. */
static _Thread_local struct vcpu *current_vcpu;

struct vcpu *vcpu_current(void)
{
	return current_vcpu;
}

/* ---- attention ---- */

static void signal_wake(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_attend(struct vcpu *v, unsigned bits)
{
	unsigned old = atomic_fetch_or(&v->attention, bits);

	/* Bits that were all set are not yet seen: who set them kicks. The own thread looks before it enters guest
	 * code. */
	if ((old & bits) == bits || v == current_vcpu)
		return;
	v->vm->accel->vcpu_kick(v);
	signal_wake(v);
}

/* A SIPI that was not taken is void by INIT; one that follows may come before the thread has seen the INIT. */
void vcpu_send_init(struct vcpu *v)
{
	atomic_fetch_and(&v->attention, ~(unsigned)VCPU_ATT_SIPI);
	vcpu_attend(v, VCPU_ATT_INIT);
}

void vcpu_send_sipi(struct vcpu *v, uint8_t vector)
{
	atomic_store(&v->sipi_vector, vector);
	vcpu_attend(v, VCPU_ATT_SIPI);
}

void vcpu_send_nmi(struct vcpu *v)
{
	vcpu_attend(v, VCPU_ATT_NMI);
}

/* ---- the thread ---- */

static void finish_work(struct vcpu *v)
{
	struct vcpu_work *w = v->work;

	v->work = w->next;
	pthread_mutex_unlock(&v->lock);
	w->fn(v, w->arg);
	pthread_mutex_lock(&v->lock);
	w->done = true;
	pthread_cond_broadcast(&v->wake);
}

/* Serves what VCPU_ATT_STOP was set for. False: the thread ends. */
static bool serve_stop(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	for (;;) {
		if (v->work) {
			finish_work(v);
		} else if (v->want_exit) {
			break;
		} else if (v->want_park) {
			if (!v->parked) {
				v->parked = true;
				pthread_cond_broadcast(&v->wake);
			}
			pthread_cond_wait(&v->wake, &v->lock);
		} else {
			break;
		}
	}
	bool go_on = !v->want_exit;
	v->parked = !go_on;
	if (go_on)
		atomic_fetch_and(&v->attention, ~(unsigned)VCPU_ATT_STOP);
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
	return go_on;
}

/* Waits until one of these bits is set. */
static void wait_attention(struct vcpu *v, unsigned bits)
{
	pthread_mutex_lock(&v->lock);
	while (!(atomic_load(&v->attention) & bits))
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

static void run_once(struct vcpu *v)
{
	switch (v->vm->accel->vcpu_run(v)) {
	case VCPU_EXIT_ATTENTION:
		return;
	case VCPU_EXIT_HALTED:
		atomic_fetch_add_explicit(&v->stats.halts, 1, memory_order_relaxed);
		wait_attention(v, ~0u);
		return;
	case VCPU_EXIT_SHUTDOWN:
		vm_request(v->vm, VM_REQUEST_TRIPLE_FAULT);
		break;
	case VCPU_EXIT_ERROR:
		vm_request(v->vm, VM_REQUEST_ERROR);
		break;
	case VCPU_EXIT_DEBUG:
		vm_request(v->vm, VM_REQUEST_DEBUG);
		break;
	}
	/* There is nothing to run until the main loop has decided. */
	wait_attention(v, VCPU_ATT_STOP);
}

static void *thread_main(void *arg)
{
	struct vcpu *v = arg;
	char name[16];

	current_vcpu = v;
	/* By itself: from outside it would open a file, which the sandbox forbids. */
	snprintf(name, sizeof(name), "vcpu%u", v->index);
	pthread_setname_np(pthread_self(), name);
	atomic_store(&v->tid, (int)syscall(SYS_gettid));
	for (;;) {
		if (!(atomic_load(&v->attention) & VCPU_ATT_STOP))
			run_once(v);
		else if (!serve_stop(v))
			return NULL;
	}
}

/* ---- asking the thread ---- */

/* v->lock is held by the caller, so that the reason and the bit come together. */
static void set_stop(struct vcpu *v)
{
	atomic_fetch_or(&v->attention, VCPU_ATT_STOP);
	pthread_cond_broadcast(&v->wake);
}

void vcpu_run_on(struct vcpu *v, void (*fn)(struct vcpu *v, void *arg), void *arg)
{
	struct vcpu_work work = {.fn = fn, .arg = arg}, **at;

	if (v == current_vcpu || !v->thread_started) {
		fn(v, arg);
		return;
	}
	pthread_mutex_lock(&v->lock);
	for (at = &v->work; *at; at = &(*at)->next)
		;
	*at = &work;
	set_stop(v);
	pthread_mutex_unlock(&v->lock);
	v->vm->accel->vcpu_kick(v);
	pthread_mutex_lock(&v->lock);
	while (!work.done)
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_park(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->want_park = true;
	set_stop(v);
	pthread_mutex_unlock(&v->lock);
	v->vm->accel->vcpu_kick(v);
}

void vcpu_wait_parked(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	while (v->thread_started && !v->parked)
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_unpark(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->want_park = false;
	/* Parked no more from here on: a vcpu_wait_parked that follows must wait for the thread itself. */
	v->parked = false;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

/* ---- life ---- */

int vcpu_create(struct vcpu **out, struct vm *vm, unsigned index, uint32_t apic_id, struct err *e)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return err_set(e, -ENOMEM, "no memory for vCPU %u", index);
	v->vm = vm;
	v->index = index;
	v->apic_id = apic_id;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->wake, NULL);
	ret = vm->accel->vcpu_create(v, e);
	if (ret < 0) {
		pthread_cond_destroy(&v->wake);
		pthread_mutex_destroy(&v->lock);
		free(v);
		return ret;
	}
	*out = v;
	return 0;
}

/* Signals that end or steer the program belong to the main thread; those of accelerators stay open. */
static int start_thread(struct vcpu *v)
{
	static const int main_only[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE};
	sigset_t block, old;
	int ret;

	sigemptyset(&block);
	for (unsigned n = 0; n < COUNT_OF(main_only); n++)
		sigaddset(&block, main_only[n]);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	ret = pthread_create(&v->thread, NULL, thread_main, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

int vcpu_start(struct vcpu *v, struct err *e)
{
	int ret;

	v->want_park = true;
	atomic_fetch_or(&v->attention, VCPU_ATT_STOP);
	ret = start_thread(v);
	if (ret)
		return err_errno(e, ret, "cannot start the thread of vCPU %u", v->index);
	v->thread_started = true;
	return 0;
}

void vcpu_end(struct vcpu *v)
{
	if (!v->thread_started)
		return;
	pthread_mutex_lock(&v->lock);
	v->want_exit = true;
	set_stop(v);
	pthread_mutex_unlock(&v->lock);
	v->vm->accel->vcpu_kick(v);
	pthread_join(v->thread, NULL);
	v->thread_started = false;
}

void vcpu_destroy(struct vcpu *v)
{
	v->vm->accel->vcpu_destroy(v);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* ---- state ---- */

struct state_call {
	struct x86_state *get;
	const struct x86_state *set;
	struct err *e;
	int ret;
};

static void state_on_thread(struct vcpu *v, void *arg)
{
	struct state_call *c = arg;

	c->ret = c->get ? v->vm->accel->get_state(v, c->get, c->e) : v->vm->accel->set_state(v, c->set, c->e);
}

int vcpu_get_state(struct vcpu *v, struct x86_state *s, struct err *e)
{
	struct state_call c = {.get = s, .e = e};

	vcpu_run_on(v, state_on_thread, &c);
	return c.ret;
}

int vcpu_set_state(struct vcpu *v, const struct x86_state *s, struct err *e)
{
	struct state_call c = {.set = s, .e = e};

	vcpu_run_on(v, state_on_thread, &c);
	return c.ret;
}

struct debug_call {
	const struct vcpu_debug *debug;
	struct err *e;
	int ret;
};

static void debug_on_thread(struct vcpu *v, void *arg)
{
	struct debug_call *c = arg;

	c->ret = v->vm->accel->set_debug(v, c->debug, c->e);
	if (c->ret == 0)
		v->debug = *c->debug;
}

int vcpu_set_debug(struct vcpu *v, const struct vcpu_debug *d, struct err *e)
{
	struct debug_call c = {.debug = d, .e = e};

	if (!v->vm->accel->set_debug)
		return err_set(e, -ENOTSUP, "the accelerator %s cannot debug guests", v->vm->accel->name);
	vcpu_run_on(v, debug_on_thread, &c);
	return c.ret;
}

const struct x86_cpuid *vcpu_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < v->cpuid_count; n++) {
		const struct x86_cpuid *row = &v->cpuid[n];

		if (row->leaf == leaf && (!row->subleaf_matters || row->subleaf == subleaf))
			return row;
	}
	return NULL;
}
