/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core of a virtio device (virtio 1.2, section 2): features, status, configuration, queues, reset; and its two
 * transports, PCI and MMIO.
 *
 * A device embeds struct virtio_dev as its FIRST member, fills features and config, calls virtio_init and then
 * dev_attach with a dev_type whose destroy ends in virtio_destroy, and whose reset and run_state are
 * virtio_dev_reset and virtio_dev_run_state. The functions of struct virtio_device_ops run with v->lock held, on the
 * device's loop thread (queue) or a vCPU's (the rest; with `direct`, queue too).
 */
#ifndef PANAL_DEVICES_VIRTIO_VIRTIO_H
#define PANAL_DEVICES_VIRTIO_VIRTIO_H

#include "base/err.h"
#include "base/log.h"
#include "core/irq.h"
#include "core/state.h"
#include "devices/virtio/virtqueue.h"
#include <pthread.h>

struct loop;
struct loop_fd;
struct pci_bus;
struct region_doorbell;
struct region_doorbell_handle;
struct virtio_dev;
struct virtio_transport;
struct vm;

enum { VIRTIO_QUEUE_MAX = 32, VIRTIO_CONFIG_MAX = 256, VIRTIO_NO_VECTOR = 0xffff };

enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_SCSI = 8,
	VIRTIO_ID_GPU = 16,
	VIRTIO_ID_INPUT = 18,
	VIRTIO_ID_VSOCK = 19,
};

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))
#define VIRTIO_F_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_BIT(29)
#define VIRTIO_F_VERSION_1 VIRTIO_BIT(32)

/* Where the device sits. */
struct virtio_place {
	struct pci_bus *bus; /* PCI when not NULL */
	uint8_t slot, function;
	uint64_t mmio_addr; /* else MMIO, 512 bytes here, with this wire */
	struct irq mmio_irq;
	/* Who handles queues; NULL: the machine's main loop. It outlives the device. */
	struct loop *loop;
	/* Notifications call the device on the vCPU's thread instead of waking the loop. */
	bool direct;
	const char *id; /* name in the machine, NULL: made from the type */
	const uint8_t *rom; /* PCI: an option ROM, borrowed as long as the device; NULL: none */
	size_t rom_size;
};

struct virtio_device_ops {
	enum virtio_id id;
	const char *name; /* "virtio-rng" */
	uint32_t pci_class;
	/* Buffers may wait in queue n. */
	void (*queue)(struct virtio_dev *v, unsigned n);
	/* The driver set FEATURES_OK (features are final) or DRIVER_OK. May be NULL. */
	void (*features)(struct virtio_dev *v);
	void (*driver_ok)(struct virtio_dev *v);
	/* The driver resets: forget what was negotiated. Queues are off already. True: done; false: requests are under
	 * way, the device calls virtio_reset_done later. May be NULL. */
	bool (*reset)(struct virtio_dev *v);
	/* The driver wrote config at [off, off + len); bytes that may not change are put back here. NULL: read-only. */
	void (*config_written)(struct virtio_dev *v, unsigned off, unsigned len);
	/* The driver is about to read config. May be NULL. */
	void (*config_read)(struct virtio_dev *v);
	/* The machine stops: WITHOUT the lock, on the main loop's thread; queues stand still already. Leaves nothing
	 * under way when it returns. May be NULL. */
	void (*stop)(struct virtio_dev *v);
	/* The machine goes on; queues are looked at afterwards. May be NULL. */
	void (*start)(struct virtio_dev *v);
};

/* State for saving, filled before a save; see VIRTIO_STATE_FIELDS. */
struct virtio_saved {
	uint16_t queue_size[VIRTIO_QUEUE_MAX], last_avail[VIRTIO_QUEUE_MAX], used_idx[VIRTIO_QUEUE_MAX];
	uint16_t vector[VIRTIO_QUEUE_MAX];
	uint8_t enabled[VIRTIO_QUEUE_MAX];
	uint64_t desc[VIRTIO_QUEUE_MAX], avail[VIRTIO_QUEUE_MAX], used[VIRTIO_QUEUE_MAX];
	uint8_t pci_config[256];
	uint8_t msix_table[64 * 16];
	uint64_t msix_pending;
	uint32_t select[4]; /* the transport's selectors */
};

struct virtio_queue {
	struct virtq q; /* first */
	struct virtio_dev *dev;
	unsigned index;
	uint16_t vector;
	int event_fd; /* doorbell */
	struct loop_fd *watch;
};

struct virtio_dev {
	/* constant after virtio_init */
	const struct virtio_device_ops *ops;
	struct vm *vm;
	struct loop *loop;
	struct virtio_transport *transport;
	uint64_t device_features; /* offered; the ring features are added */
	unsigned queue_count, config_size;
	bool direct;
	char name[32];

	pthread_mutex_t lock;
	struct virtio_queue queue[VIRTIO_QUEUE_MAX];
	uint64_t driver_features;
	uint8_t status;
	uint8_t isr;
	uint8_t generation; /* of config */
	bool resetting;     /* the driver asked; requests are still under way */
	bool stopped;       /* the machine stands */
	unsigned budget;    /* chains that the running round may still take */
	uint8_t config[VIRTIO_CONFIG_MAX];
	uint16_t config_vector;
	struct log_limit limit;
	struct virtio_saved saved;
};

/* What a transport does for the core; v->lock is held. */
struct virtio_transport_ops {
	void (*interrupt)(struct virtio_transport *t, uint8_t isr, uint16_t vector);
	void (*isr_read)(struct virtio_transport *t); /* lowers the line */
	void (*reset)(struct virtio_transport *t);    /* machine reset; may be NULL */
	void (*save)(struct virtio_transport *t, struct virtio_saved *s); /* may be NULL */
	int (*load)(struct virtio_transport *t, const struct virtio_saved *s, struct err *e);
	void (*destroy)(struct virtio_transport *t); /* without the lock */
};
struct virtio_transport {
	const struct virtio_transport_ops *ops;
	struct virtio_dev *dev;
	struct region_doorbell_handle *bell[VIRTIO_QUEUE_MAX]; /* the transport's own lock, if any */
	/* what the driver chose that the windows on features and queues show; the device's lock */
	uint32_t device_select, driver_select, queue_select;
};

/* Makes queues (sizes[n], powers of two), doorbells and the transport. features and config_size are set already.
 * On failure nothing stays behind but the struct itself. */
int virtio_init(struct virtio_dev *v, struct vm *vm, const struct virtio_device_ops *ops,
		const struct virtio_place *place, const uint16_t *sizes, unsigned queue_count,
		struct err *e) ATTR_MUST_USE;
void virtio_destroy(struct virtio_dev *v);

/* For dev_type: reset and run_state. impl is the struct virtio_dev. */
void virtio_dev_reset(void *impl);
void virtio_dev_run_state(void *impl, bool running);
/* For state_desc: before_save, and a part of after_load (the whole of it when the device has no state of its own). */
void virtio_before_save(void *obj);
int virtio_after_load(void *obj, uint16_t version, struct err *e);

static inline bool virtio_has(const struct virtio_dev *v, uint64_t feature)
{
	return v->driver_features & feature;
}

/* Takes a chain of queue n: true, or false when there is none or this round took enough; a broken queue puts the device
 * into "needs reset". */
bool virtio_pop(struct virtio_dev *v, unsigned n, struct virtq_elem *el);
/* After the last virtio_pop of a round: asks the driver for notifications again, and sees to buffers that came in
 * between. For queues that the device empties whenever it can. */
void virtio_rearm(struct virtio_dev *v, unsigned n);
/* Tells the driver of what was pushed to queue n, when it wants to know. */
void virtio_notify(struct virtio_dev *v, unsigned n);
/* Says that config changed. */
void virtio_config_changed(struct virtio_dev *v);
/* The driver broke a rule: one log line, NEEDS_RESET, queues stand still until the reset. */
void virtio_broken(struct virtio_dev *v, const char *why);
/* Ends a reset that ops->reset left pending. */
void virtio_reset_done(struct virtio_dev *v);
/* Has ops->queue called for queue n soon on the loop's thread. Any thread. */
void virtio_kick(struct virtio_dev *v, unsigned n);
/* May queues be worked on? Running, DRIVER_OK, not broken. */
bool virtio_active(const struct virtio_dev *v);

/* --- for the transports; v->lock is held, but for virtio_queue_run --- */
uint64_t virtio_offered(const struct virtio_dev *v);
/* Half n of features; 0 beyond. */
static inline uint32_t virtio_half(uint64_t features, uint32_t n) { return n < 2 ? (uint32_t)(features >> 32 * n) : 0; }
/* NULL: there is no such queue. */
static inline struct virtio_queue *virtio_selected(const struct virtio_transport *t)
{
	return t->queue_select < t->dev->queue_count ? &t->dev->queue[t->queue_select] : NULL;
}
/* One half of an address of a queue. */
static inline void virtio_half_set(uint64_t *field, bool high, uint32_t value)
{
	*field = high ? (*field & UINT32_MAX) | (uint64_t)value << 32 : (*field & ~(uint64_t)UINT32_MAX) | value;
}
void virtio_set_features(struct virtio_dev *v, uint32_t half, uint32_t value);
void virtio_set_status(struct virtio_dev *v, uint8_t status);
void virtio_queue_enable(struct virtio_dev *v, unsigned n);
uint64_t virtio_config_get(struct virtio_dev *v, unsigned off, unsigned width);
void virtio_config_put(struct virtio_dev *v, unsigned off, unsigned width, uint64_t value);
uint8_t virtio_isr_take(struct virtio_dev *v);
/* A doorbell of queue n where the transport says (address, width, value); space and signal are filled in. NULL where
 * none can be had or the device wants none: the write then reaches the transport's register. */
struct region_doorbell_handle *virtio_doorbell(struct virtio_dev *v, unsigned n, const struct region_doorbell *at);
/* Takes all doorbells away. */
void virtio_doorbells_detach(struct virtio_transport *t);
/* A notification that reached a register instead of the doorbell. */
void virtio_notified(struct virtio_dev *v, unsigned n);

int virtio_pci_create(struct virtio_dev *v, const struct virtio_place *place, struct err *e) ATTR_MUST_USE;
int virtio_mmio_create(struct virtio_dev *v, const struct virtio_place *place, struct err *e) ATTR_MUST_USE;

/* The common rows of a device's state table; `type` begins with `struct virtio_dev v`. */
#define VIRTIO_STATE_FIELDS(type)                                                               \
	STATE_FIELD(type, v.driver_features, STATE_U64), STATE_FIELD(type, v.status, STATE_U8), \
		STATE_FIELD(type, v.isr, STATE_U8), STATE_FIELD(type, v.generation, STATE_U8),  \
		STATE_FIELD(type, v.config_vector, STATE_U16),                                  \
		STATE_ARRAY(type, v.config, STATE_BYTES, VIRTIO_CONFIG_MAX),                    \
		STATE_ARRAY(type, v.saved.queue_size, STATE_U16, VIRTIO_QUEUE_MAX),             \
		STATE_ARRAY(type, v.saved.last_avail, STATE_U16, VIRTIO_QUEUE_MAX),             \
		STATE_ARRAY(type, v.saved.used_idx, STATE_U16, VIRTIO_QUEUE_MAX),               \
		STATE_ARRAY(type, v.saved.vector, STATE_U16, VIRTIO_QUEUE_MAX),                 \
		STATE_ARRAY(type, v.saved.enabled, STATE_U8, VIRTIO_QUEUE_MAX),                 \
		STATE_ARRAY(type, v.saved.desc, STATE_U64, VIRTIO_QUEUE_MAX),                   \
		STATE_ARRAY(type, v.saved.avail, STATE_U64, VIRTIO_QUEUE_MAX),                  \
		STATE_ARRAY(type, v.saved.used, STATE_U64, VIRTIO_QUEUE_MAX),                   \
		STATE_ARRAY(type, v.saved.pci_config, STATE_BYTES, 256),                        \
		STATE_ARRAY(type, v.saved.msix_table, STATE_BYTES, 64 * 16),                    \
		STATE_FIELD(type, v.saved.msix_pending, STATE_U64), STATE_ARRAY(type, v.saved.select, STATE_U32, 4)

#endif
