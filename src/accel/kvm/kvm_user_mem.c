/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The private memory of kvm_user.h: what KVM takes for the kernel of the user code that it runs. */
#include "accel/kvm/kvm_user.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define USER_LINEAR 0xffffff8000000000ull /* the last entry of a top-level table */

enum {
	PTE_P = 1,
	PTE_W = 2,
	PTE_A = 1 << 5,
	PTE_LARGE = 1 << 7,
	LOWER = 256, /* entries of the lower half */
	TSS_AT = 0x800,
	STUB_BYTES = 8,
};

uint64_t kvm_user_linear(unsigned page)
{
	return USER_LINEAR + page * UINT64_C(4096);
}

static int slot_set(struct kvm_user_machine *um, unsigned n, uint64_t gpa, uint64_t size)
{
	struct kvm_userspace_memory_region slot = {
		.slot = n,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)um->pages,
	};
	return ioctl(um->m->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

/* In the upper half of the physical addresses, where boards have neither RAM nor devices. */
static uint64_t place(const struct kvm_machine *m)
{
	const struct x86_cpuid *row = vcpu_cpuid(m->vm->vcpu[0], 0x80000008, 0);
	unsigned bits = row ? row->eax & 0xff : 36;
	return UINT64_C(1) << ((bits < 36 ? 36 : bits > 46 ? 46 : bits) - 1);
}

int kvm_user_mem_create(struct kvm_user_machine *um, unsigned vcpus, struct err *e)
{
	um->gpa = place(um->m);
	um->size = (uint64_t)vcpus * KVM_USER_PAGES * 4096;
	um->slot = gmem_block_count(um->m->vm->mem) + KVM_SHADOW_SLOTS;
	if (gmem_find(um->m->vm->mem, um->gpa))
		return err_set(e, -ENOSPC, "guest memory reaches where KVM's private pages are; use --accel soft");
	um->pages = mmap(NULL, um->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (um->pages == MAP_FAILED) {
		um->pages = NULL;
		return err_errno(e, errno, "no memory for KVM's private pages");
	}
	int r = slot_set(um, um->slot, um->gpa, um->size);
	return r < 0 ? err_errno(e, -r, "KVM refuses its private pages") : 0;
}

void kvm_user_mem_destroy(struct kvm_user_machine *um)
{
	if (um->pages)
		munmap(um->pages, um->size);
}

/* An interrupt gate of ring 0, so that INT n in user code is #GP: SDM 3A 6.12.1.2. */
static void gate(uint8_t *at, uint64_t handler)
{
	store_le16(at, (uint16_t)handler);
	store_le16(at + 2, 8);
	at[4] = 0;
	at[5] = 0x8e;
	store_le16(at + 6, (uint16_t)(handler >> 16));
	store_le32(at + 8, (uint32_t)(handler >> 32));
	store_le32(at + 12, 0);
}

static uint8_t *page_of(struct kvm_user *u, unsigned page)
{
	return u->pages + page * 4096;
}

static void entry_set(struct kvm_user *u, unsigned table, unsigned n, unsigned page)
{
	store_le64(page_of(u, table) + n * 8, (u->gpa + page * UINT64_C(4096)) | PTE_P | PTE_W);
}

void kvm_user_mem_fill(struct kvm_user *u)
{
	uint8_t *stub = page_of(u, KVM_USER_STUB), *gdt = page_of(u, KVM_USER_GDT), *tss = gdt + TSS_AT;
	for (unsigned n = 0; n < 256; n++) {
		gate(page_of(u, KVM_USER_IDT) + n * 16, kvm_user_linear(KVM_USER_STUB) + n * STUB_BYTES);
		memcpy(stub + n * STUB_BYTES, "\xf4\xeb\xfd", 3); /* 1: hlt; jmp 1b */
	}
	store_le64(gdt + 8, 0x00af9b000000ffff);
	store_le64(gdt + 16, 0x00cf93000000ffff);
	store_le64(tss + 4, kvm_user_linear(KVM_USER_STACK) + 4096); /* RSP0 */
	store_le16(tss + 0x66, 0x68); /* the map of ports begins behind the limit: none is allowed */
	entry_set(u, KVM_USER_PDPT, 0, KVM_USER_PD);
	entry_set(u, KVM_USER_PD, 0, KVM_USER_PT);
	entry_set(u, KVM_USER_EMPTY, 511, KVM_USER_PDPT);
	for (unsigned n = 0; n < KVM_USER_MAPPED; n++)
		entry_set(u, KVM_USER_PT, n, n);
}

void kvm_user_forget(struct kvm_user *u)
{
	struct kvm_user_machine *um = u->um;
	uint64_t gpa = um->gpa + um->size;
	pthread_mutex_lock(&um->lock);
	int r = slot_set(um, um->slot + 1, gpa, 4096);
	if (r == 0)
		r = slot_set(um, um->slot + 1, gpa, 0);
	pthread_mutex_unlock(&um->lock);
	atomic_fetch_add_explicit(&u->forgets, 1, memory_order_relaxed);
	if (r < 0)
		log_limited(&um->m->log_limit, LOG_WARNING, "KVM refuses a memory slot (%s)", strerror(-r));
}

/* Takes over the lower half of the guest's table. Stale is what KVM may have derived from an entry that was there. */
static bool root_follow(uint64_t *mine, const _Atomic uint64_t *guest)
{
	bool stale = false;
	for (unsigned n = 0; n < LOWER; n++) {
		uint64_t entry = atomic_load_explicit(&guest[n], memory_order_relaxed);
		if (((entry ^ mine[n]) & ~(uint64_t)PTE_A) == 0)
			continue;
		stale |= mine[n] & PTE_P;
		mine[n] = entry;
	}
	return stale;
}

static unsigned root_pick(struct kvm_user *u, uint64_t cr3)
{
	unsigned best = 0;
	for (unsigned n = 0; n < KVM_USER_ROOTS; n++) {
		if (u->root[n].used && u->root[n].cr3 == cr3)
			return n;
		if (u->root[n].used < u->root[best].used)
			best = n;
	}
	u->root[best].cr3 = cr3;
	return best;
}

uint64_t kvm_user_root(struct kvm_user *u, uint64_t cr3)
{
	cr3 &= UINT64_C(0xffffffffff000);
	const _Atomic uint64_t *guest = gmem_at(u->k->m->vm->mem, cr3, 4096);
	if (!guest)
		return 0;
	unsigned n = root_pick(u, cr3);
	u->root[n].used = ++u->turn;
	uint64_t *mine = (uint64_t *)page_of(u, KVM_USER_ROOT + n);
	if (root_follow(mine, guest))
		kvm_user_forget(u);
	entry_set(u, KVM_USER_ROOT + n, 511, KVM_USER_PDPT);
	return u->gpa + (KVM_USER_ROOT + n) * UINT64_C(4096);
}

uint64_t kvm_user_empty(const struct kvm_user *u)
{
	return u->gpa + KVM_USER_EMPTY * UINT64_C(4096);
}

int kvm_user_byte(const struct kvm_user *u, uint64_t cr3, uint64_t linear)
{
	const uint64_t address = UINT64_C(0xffffffffff000);
	const struct gmem *mem = u->k->m->vm->mem;
	uint64_t entry = cr3;
	uint8_t byte;
	for (unsigned level = 4; level > 0; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		if (gmem_read(mem, (entry & address) + (linear >> shift & 511) * 8, &entry, 8) < 0 || !(entry & PTE_P))
			return -1;
		if (level < 4 && level > 1 && (entry & PTE_LARGE)) {
			uint64_t mask = (UINT64_C(1) << shift) - 1;
			entry = ((entry & address & ~mask) | (linear & mask)) & address;
			break;
		}
	}
	return gmem_read(mem, (entry & address) | (linear & 4095), &byte, 1) < 0 ? -1 : byte;
}
