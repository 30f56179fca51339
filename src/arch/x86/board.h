/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boards: straight-line functions that put concrete parts together into a machine.
 *
 * board_micro is for speed: direct kernel boot, virtio only, and no legacy part that a guest does not need.
 * board_pc is a Q35-style PC whose firmware (SeaBIOS, OVMF) boots what any PC boots.
 */
#ifndef PANAL_ARCH_X86_BOARD_H
#define PANAL_ARCH_X86_BOARD_H

#include "arch/x86/boot/boot.h"
#include "arch/x86/cpuid.h"
#include "base/err.h"

struct cpu_spec;

struct blk;
struct board;
struct chardev;
struct dev;
struct fdc_drive;
struct display;
struct input;
struct loop;
struct net;
struct numa;
struct pci_port;
struct virtio_balloon_info;
struct scsi_cd;
struct vm;

enum { BOARD_DISK_MAX = 16, BOARD_NET_MAX = 8, BOARD_CHANNEL_MAX = 8, BOARD_SERIAL_MAX = 4 };
enum { BOARD_SLOT_FIRST = 1, BOARD_SLOT_LAST = 30, BOARD_VIDEO_SLOT = 24 };
enum { BOARD_WATCHDOG_SLOT = 26 };
/* Places beside the slots of the root bus: a root port's slot (its number from 0 on), and a bridge's (number from
 * 0 on, times 32, and slot). */
enum { BOARD_BEHIND_PORT = 0x40, BOARD_BEHIND_BRIDGE = 0x80, BOARD_PORT_MAX = 16, BOARD_BRIDGE_MAX = 4 };
/* Below 1 MiB there is no room for a kernel; above 1 TiB the address bits of small CPU models end. */
#define BOARD_MEMORY_MIN (UINT64_C(2) << 20)
#define BOARD_MEMORY_MAX (UINT64_C(1) << 40)

enum board_bus { BOARD_VIRTIO, BOARD_SATA /* board_pc, six of them */, BOARD_USB, BOARD_NVME /* board_pc */,
		 BOARD_IDE /* board_pc, four of them */, BOARD_SCSI /* board_pc */,
		 BOARD_FLOPPY /* board_pc, two of them */ };
enum board_video { BOARD_VIDEO_NONE, BOARD_VIDEO_STD, BOARD_VIDEO_BOCHS, BOARD_VIDEO_VIRTIO };
enum board_usb_kind { BOARD_USB_KEYBOARD, BOARD_USB_MOUSE, BOARD_USB_TABLET, BOARD_USB_HUB, BOARD_USB_KINDS };
enum { BOARD_USB_MAX = 16, BOARD_USB_SLOT = 23 };
/* A USB device. port: four bits a tier, the controller's lowest ("1.3" is 0x31); 0: the first that is free. */
struct board_usb {
	enum board_usb_kind kind;
	uint32_t port;
};
enum board_nic { BOARD_NIC_VIRTIO, BOARD_NIC_E1000, BOARD_NIC_E1000E, BOARD_NIC_RTL8139 };
enum { BOARD_SERIAL = 20, BOARD_SATA_UNITS = 6, BOARD_IDE_UNITS = 4, BOARD_SCSI_UNITS = 16,
       BOARD_FLOPPY_UNITS = 2 };
enum board_transport { BOARD_PCI, BOARD_MMIO };

struct board_config {
	uint64_t memory; /* bytes, a multiple of 4 KiB */
	bool hugepages;
	const struct cpu_spec *cpu; /* what processor; NULL: all that the accelerator offers */
	struct x86_topology topology;
	unsigned cpus;
	const struct numa *numa; /* checked; lives as long as the machine; NULL: none */
	struct boot_source boot;
	struct chardev *serial[BOARD_SERIAL_MAX]; /* borrowed; NULL: nothing is connected to the port */
	unsigned serial_count; /* ports; the first is always there */
	struct chardev *parallel; /* borrowed; what a parallel port of board_pc prints to; NULL:
		there is no such port */
	enum board_transport transport;
	/* Back ends. When its device is made, each passes to the device, and so to the machine, and its pointer here
	 * becomes NULL. What is not NULL after a create function stays the caller's: it failed before that one. */
	struct blk *disk[BOARD_DISK_MAX]; /* NULL from the start: an empty CD-ROM or floppy drive */
	enum board_bus disk_bus[BOARD_DISK_MAX];
	bool disk_cdrom[BOARD_DISK_MAX]; /* BOARD_SATA */
	struct scsi_cd *disk_cd[BOARD_DISK_MAX]; /* set by the board: what changes a CD-ROM drive's medium */
	struct fdc_drive *disk_floppy[BOARD_DISK_MAX]; /* the same for a floppy drive's, BOARD_FLOPPY */
	unsigned disk_count;
	/* Set by the board: those that can be unplugged while the machine runs. */
	struct board_seat {
		struct dev *dev; /* NULL: it stays for ever */
		unsigned port;   /* its root port, from 1 on; 0: it is on USB */
	} disk_place[BOARD_DISK_MAX], net_place[BOARD_NET_MAX], rng_place, balloon_place, usb_place[BOARD_USB_MAX];
	unsigned disk_boot[BOARD_DISK_MAX]; /* place in the firmware's boot order from 1 on; 0: none */
	char disk_serial[BOARD_DISK_MAX][BOARD_SERIAL + 1]; /* what the guest reads; empty: the image's. Not USB */
	/* Its number on the controller and 1: SATA port, SCSI target, twice the IDE channel plus the drive. 0: any. */
	uint8_t disk_unit[BOARD_DISK_MAX];
	struct net *net[BOARD_NET_MAX];
	enum board_nic nic[BOARD_NET_MAX]; /* others than virtio need PCI */
	uint8_t *nic_rom[BOARD_NET_MAX];   /* option ROMs, which live longer than the machine; NULL: none */
	size_t nic_rom_size[BOARD_NET_MAX];
	uint8_t mac[BOARD_NET_MAX][6];
	unsigned net_count;
	unsigned net_boot[BOARD_NET_MAX]; /* as disk_boot */
	int64_t rtc_offset_ns; /* what the guest's clock is ahead of UTC */
	bool rng, balloon;
	struct chardev *console;  /* virtio console; NULL: none */
	struct chardev *channel[BOARD_CHANNEL_MAX]; /* ports of virtio-serial, with their names */
	const char *channel_name[BOARD_CHANNEL_MAX];
	unsigned channel_count;
	void (*channel_moved)(void *opaque, unsigned n, bool open); /* virtio_serial_config's */
	void *channel_opaque;
	const char *vsock_path;   /* unix socket of the host's side; NULL: no vsock */
	uint32_t vsock_cid;
	unsigned virtio_input;    /* bits: 0 keyboard, 1 mouse, 2 tablet */
	bool usb;         /* a USB controller; disks on BOARD_USB bring it too */
	uint8_t usb_slot; /* its PCI slot; 0: BOARD_USB_SLOT */
	struct board_usb usb_dev[BOARD_USB_MAX];
	unsigned usb_count;
	uint32_t disk_port[BOARD_DISK_MAX]; /* of those on BOARD_USB, as board_usb.port */
	/* PCI slots of the virtio devices in the order disks, cards, console, channels, rng, balloon, vsock, input;
	 * each once. Devices beyond get the lowest that are free. */
	uint8_t slot[BOARD_SLOT_LAST]; /* or places behind a port or bridge */
	unsigned slot_count;
	/* board_pc */
	bool no_s3, no_s4, no_hpet; /* the guest is offered no sleep to RAM, no hibernation, no HPET */
	bool watchdog;        /* an i6300esb */
	uint8_t watchdog_slot; /* 0: BOARD_WATCHDOG_SLOT */
	unsigned root_ports;  /* PCI Express root ports with a hot-plug slot; up to BOARD_PORT_MAX */
	unsigned pci_bridges; /* a chain of them behind the last port; up to BOARD_BRIDGE_MAX */
	enum board_video video;
	uint8_t video_slot; /* 0: BOARD_VIDEO_SLOT */
	const uint8_t *video_rom; /* its option ROM; NULL: none. Copied */
	size_t video_rom_size;
	const char *firmware;         /* path of the image; required */
	int firmware_vars;            /* file of its variables, from here on the board's; -1: none */
	struct chardev *firmware_log; /* borrowed; NULL: none */
	uint8_t uuid[16];             /* for SMBIOS, in the order of its text; all zeros: none */
	bool vmgenid;                 /* a VM generation ID: */
	uint8_t generation[16];       /* in the order of its text */
	bool boot_menu;               /* the firmware offers one */
	unsigned boot_menu_ms;        /* and waits so long */
};

/* The board is a device of the machine and goes with it. */
int board_micro_create(struct vm *vm, struct board_config *cfg, struct board **out, struct err *e) ATTR_MUST_USE;
int board_pc_create(struct vm *vm, struct board_config *cfg, struct board **out, struct err *e) ATTR_MUST_USE;
/* Someone presses the power button. Main loop. */
void board_power_button(struct board *b);
/* The VM generation ID: the one that is there, and a new one, which the guest is told of. False: there is none. */
bool board_generation_get(struct board *b, uint8_t id[16]);
bool board_generation_set(struct board *b, const uint8_t id[16]);
/* Seconds that the guest's clock is ahead of UTC. */
int64_t board_clock_offset(struct board *b);
/* What the machine's screens show; lives as long as the board. */
struct display *board_display(struct board *b);
/* Where keys and movement for the machine go; lives as long as the board. */
struct input *board_input(struct board *b);
/* Asks the guest to keep `bytes` of its memory and give the rest to the host. False: the board has no balloon. */
bool board_balloon_set(struct board *b, uint64_t bytes);
/* The memory that the guest has now, in bytes, and what else is known of it; asks the guest for newer statistics.
 * False: the board has no balloon. */
bool board_balloon_get(struct board *b, uint64_t *bytes, struct virtio_balloon_info *info);

#endif
