/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vcpu.h"

#include "core/accel.h"
#include "core/vm.h"
#include "core/vm_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vcpu_work {
	void (*fn)(struct vcpu *v, void *arg);
	void *arg;
	bool done;
	pthread_cond_t cond;
};

static _Thread_local struct vcpu *current;

struct vcpu *vcpu_current(void)
{
	return current;
}

void vcpu_attend(struct vcpu *v, unsigned bits)
{
	atomic_fetch_or(&v->attention, bits);
	if (v == current)
		return;
	v->vm->accel->vcpu_kick(v);
	pthread_mutex_lock(&v->lock);
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_send_init(struct vcpu *v)
{
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

/* Runs what others asked for. Lock held; dropped around the function. */
static void do_work(struct vcpu *v)
{
	struct vcpu_work *w = v->work;

	v->work = NULL;
	pthread_mutex_unlock(&v->lock);
	w->fn(v, w->arg);
	pthread_mutex_lock(&v->lock);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_cond_broadcast(&v->wake); /* the next one with work */
}

/* Outside guest code until nobody wants us here. False: the machine ends. */
static bool park(struct vcpu *v)
{
	struct vm_priv *p = v->vm->priv;

	pthread_mutex_lock(&v->lock);
	while (!atomic_load(&p->quit)) {
		if (v->work) {
			do_work(v);
			continue;
		}
		if (!atomic_load(&p->hold))
			break;
		if (!v->parked)
			pthread_cond_broadcast(&v->wake); /* whoever waits for the park */
		v->parked = true;
		pthread_cond_wait(&v->wake, &v->lock);
	}
	v->parked = false;
	/* A later wish to stop sets the bit again, after it set hold, quit or work under this lock. */
	atomic_fetch_and(&v->attention, ~(unsigned)VCPU_ATT_STOP);
	pthread_mutex_unlock(&v->lock);
	return !atomic_load(&p->quit);
}

static void halt(struct vcpu *v)
{
	atomic_fetch_add_explicit(&v->stats.halts, 1, memory_order_relaxed);
	pthread_mutex_lock(&v->lock);
	while (!atomic_load(&v->attention))
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

/* A vCPU that asked for an end waits here until it comes. */
static void await_stop(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	while (!(atomic_load(&v->attention) & VCPU_ATT_STOP))
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

static void *thread_main(void *arg)
{
	struct vcpu *v = arg;
	char name[16];

	current = v;
	/* by itself: from outside it would open a file, which the sandbox forbids */
	snprintf(name, sizeof(name), "vcpu%u", v->index);
	pthread_setname_np(pthread_self(), name);
	atomic_store(&v->tid, gettid());
	while (park(v)) {
		enum vcpu_exit why = VCPU_EXIT_ATTENTION;

		while (!(atomic_load(&v->attention) & VCPU_ATT_STOP)) {
			why = v->vm->accel->vcpu_run(v);
			if (why == VCPU_EXIT_HALTED)
				halt(v);
			else if (why != VCPU_EXIT_ATTENTION)
				break;
		}
		if (why == VCPU_EXIT_SHUTDOWN)
			vm_request(v->vm, VM_REQUEST_TRIPLE_FAULT);
		else if (why == VCPU_EXIT_ERROR)
			vm_request(v->vm, VM_REQUEST_ERROR);
		if (why == VCPU_EXIT_SHUTDOWN || why == VCPU_EXIT_ERROR)
			await_stop(v);
	}
	return NULL;
}

int vm_add_vcpu(struct vm *vm, uint32_t apic_id, struct vcpu **out, struct err *e)
{
	struct vcpu *v;
	int ret;

	if (vm->vcpu_count == VCPU_MAX)
		return err_set(e, -ENOSPC, "at most %d vCPUs are possible", VCPU_MAX);
	v = aligned_alloc(64, (sizeof(*v) + 63) & ~(size_t)63);
	if (!v)
		return err_set(e, -ENOMEM, "out of memory");
	*v = (struct vcpu){ .vm = vm, .index = vm->vcpu_count, .apic_id = apic_id };
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->wake, NULL);
	ret = vm->accel->vcpu_create(v, e);
	if (ret < 0) {
		free(v);
		return ret;
	}
	vm->vcpu[vm->vcpu_count++] = v;
	*out = v;
	return 0;
}

int vcpu_start_thread(struct vcpu *v, struct err *e)
{
	int ret = pthread_create(&v->thread, NULL, thread_main, v);

	if (ret)
		return err_errno(e, ret, "cannot start the thread of vCPU %u", v->index);
	v->thread_started = true;
	return 0;
}

void vcpu_join_and_free(struct vcpu *v)
{
	if (v->thread_started) {
		vcpu_attend(v, VCPU_ATT_STOP);
		pthread_join(v->thread, NULL);
	}
	v->vm->accel->vcpu_destroy(v);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

void vcpu_run_on(struct vcpu *v, void (*fn)(struct vcpu *v, void *arg), void *arg)
{
	struct vcpu_work w = { .fn = fn, .arg = arg };

	if (!v->thread_started || v == current) {
		fn(v, arg);
		return;
	}
	pthread_cond_init(&w.cond, NULL);
	pthread_mutex_lock(&v->lock);
	while (v->work)
		pthread_cond_wait(&v->wake, &v->lock);
	v->work = &w;
	atomic_fetch_or(&v->attention, VCPU_ATT_STOP);
	pthread_cond_broadcast(&v->wake);
	v->vm->accel->vcpu_kick(v);
	while (!w.done)
		pthread_cond_wait(&w.cond, &v->lock);
	pthread_mutex_unlock(&v->lock);
	pthread_cond_destroy(&w.cond);
}

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
	struct state_call c = { .get = s, .e = e };

	vcpu_run_on(v, state_on_thread, &c);
	return c.ret;
}

int vcpu_set_state(struct vcpu *v, const struct x86_state *s, struct err *e)
{
	struct state_call c = { .set = s, .e = e };

	vcpu_run_on(v, state_on_thread, &c);
	return c.ret;
}

const struct x86_cpuid *vcpu_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < v->cpuid_count; n++)
		if (v->cpuid[n].leaf == leaf && (!v->cpuid[n].subleaf_matters || v->cpuid[n].subleaf == subleaf))
			return &v->cpuid[n];
	return NULL;
}
