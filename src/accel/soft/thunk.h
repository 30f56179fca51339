/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host thunks: instructions that compute on registers alone (x87, MMX, SSE, AVX, BMI, ADX and the like) are executed
 * by the host's own instruction, wrapped in a few generated instructions that load the guest registers it reads and
 * store those it writes. Results and flags are therefore the silicon's.
 *
 * What the rest of the soft CPU has to know:
 * - XMM/YMM and MXCSR are always current in c->s.fpu.
 * - The x87/MMX registers live in the host's FPU from the first use on. While they do, c->s.fpu.fcw, fip, fdp, fcs,
 *   fds, fop and the bits ES and B of fsw are current; st, ftw and the rest of fsw are not. thunk_fpu_sync (system.h)
 *   makes all of c->s.fpu current and the host's copy stale: call it on the vCPU's thread before s.fpu is read or
 *   changed by anything else, and whenever the vCPU's thread leaves the run loop for good or for a pause.
 * - The vCPU's thread must not block SIGFPE: an unmasked SIMD exception of the guest arrives as that signal.
 * - Host code on a vCPU's thread must not use long double (the guest's x87 registers may be in the FPU).
 */
#ifndef PANAL_ACCEL_SOFT_THUNK_H
#define PANAL_ACCEL_SOFT_THUNK_H

#include "accel/soft/cpu.h"
#include "base/err.h"

/* The code of all thunks of one machine, shared by its vCPUs (struct soft_vm
 * thunk_shared). Bounded; when it is full, further instructions run
 * through a slow path that generates at each execution. Any thread. */
struct thunk_cache;
int thunk_cache_create(struct thunk_cache **out, struct err *e) ATTR_MUST_USE;
void thunk_cache_destroy(struct thunk_cache *tc); /* no decoded instruction may be executed afterwards */

/* Sets c->thunk_state. c->sv need not be set yet. -ENOMEM, -EINVAL when the signal handler cannot be installed. */
int thunk_vcpu_create(struct soft_cpu *c, struct err *e) ATTR_MUST_USE;
/* On the vCPU's thread, or after thunk_fpu_sync ran there. */
void thunk_vcpu_destroy(struct soft_cpu *c);

#endif
