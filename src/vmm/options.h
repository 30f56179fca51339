/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of panal-vmm, checked and in one struct. */
#ifndef PANAL_VMM_OPTIONS_H
#define PANAL_VMM_OPTIONS_H

#include "arch/x86/board.h"
#include "base/err.h"
#include "core/vm.h"
#include "arch/x86/numa.h"
#include "cpu/fit.h"
#include "vmm/channel.h"
#include "vmm/names.h"
#include "vmm/usb.h"

struct options {
	const char *image; /* the argument without a dash */
	const char *accel, *firmware, *firmware_vars, *firmware_log, *serial[BOARD_SERIAL_MAX], *parallel, *console,
	*control, *gdb;
	struct boot_source boot;
	uint64_t memory;
	struct cpu_spec cpu;
	unsigned serial_count;
	unsigned cpus;
	struct x86_topology topology;
	struct numa numa;
	const char *disk[BOARD_DISK_MAX];
	bool disk_cdrom[BOARD_DISK_MAX], disk_floppy[BOARD_DISK_MAX];
	unsigned disk_count;
	const char *net[BOARD_NET_MAX];
	unsigned net_count;
	struct channels channels;
	const char *vsock;
	uint32_t vsock_cid; /* 0: the default, 3 */
	enum board_transport transport;
	uint8_t slot[BOARD_SLOT_LAST];
	unsigned slot_count;
	bool board_pc;
	unsigned root_ports, pci_bridges;
	bool watchdog;
	enum vm_watchdog watchdog_action;
	uint8_t watchdog_slot;
	int64_t rtc_offset_ns; /* what the guest's clock is ahead of UTC */
	const char *boot_order; /* NULL: the firmware's own */
	enum board_video video;
	unsigned virtio_input; /* board_config's */
	struct usb_options usb;
	struct device_names names; /* its usb is those of the above, once they are set */
	uint8_t video_slot; /* 0: the board's choice */
	uint64_t boot_menu_ms; /* 0: no menu */
	uint8_t uuid[16];      /* all zeros: none */
	bool vmgenid;
	uint8_t generation[16];
	bool boot_from_disk, hugepages, rng, balloon, no_reboot, no_s3, no_s4, no_hpet, paused, dry_run, no_sandbox;
	bool by_run; /* "panal run" started this: what help calls the program */
	bool help, version;
};

/* Strings point into argv. The argument without a dash is the kernel, or the first disk when --kernel is
 * given too or the board has firmware. Errors name the option. */
int options_parse(struct options *o, int argc, char **argv, struct err *e) ATTR_MUST_USE;
/* 8-4-4-4-12 hexadecimal digits. */
int uuid_parse(uint8_t out[16], const char *value, struct err *e) ATTR_MUST_USE;
int uuid_random(uint8_t out[16], struct err *e) ATTR_MUST_USE;
/* One line an option, on standard output. */
void options_help(const char *program);

#endif
