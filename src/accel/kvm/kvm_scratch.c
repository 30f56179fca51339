/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/kvm/kvm_scratch.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

bool kvm_scratch_open(struct kvm_scratch *s, const struct kvm_machine *m)
{
	*s = (struct kvm_scratch){ .vm = -1, .vcpu = -1, .run = MAP_FAILED, .run_size = m->run_size };
	s->vm = ioctl(m->dev_fd, KVM_CREATE_VM, 0);
	s->ram = mmap(NULL, KVM_SCRATCH_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->vm < 0 || s->ram == MAP_FAILED)
		return false;
	struct kvm_userspace_memory_region slot = { .memory_size = KVM_SCRATCH_RAM,
						    .userspace_addr = (uintptr_t)s->ram };
	if (ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return false;
	s->vcpu = ioctl(s->vm, KVM_CREATE_VCPU, 0);
	if (s->vcpu < 0)
		return false;
	s->run = mmap(NULL, s->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->vcpu, 0);
	return s->run != MAP_FAILED;
}

void kvm_scratch_close(struct kvm_scratch *s)
{
	if (s->run != MAP_FAILED)
		munmap(s->run, s->run_size);
	if (s->vcpu >= 0)
		close(s->vcpu);
	if (s->vm >= 0)
		close(s->vm);
	if (s->ram != MAP_FAILED)
		munmap(s->ram, KVM_SCRATCH_RAM);
}

bool kvm_scratch_cpuid(struct kvm_scratch *s, const struct kvm_machine *m)
{
	enum { ROWS = 256 };
	struct kvm_cpuid2 *t = calloc(1, sizeof(*t) + ROWS * sizeof(t->entries[0]));
	if (!t)
		return false;
	t->nent = ROWS;
	bool done = ioctl(m->dev_fd, KVM_GET_SUPPORTED_CPUID, t) == 0 && ioctl(s->vcpu, KVM_SET_CPUID2, t) == 0;
	free(t);
	return done;
}
