/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/options.h"

#include "base/opt.h"
#include "base/text.h"
#include "core/vm.h"
#include "vmm/numa_option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/random.h>

enum { MEMORY_DEFAULT_MIB = 1024 };

static int set_kernel(struct options *o, const char *value, struct err *e)
{
	if (o->boot.kernel)
		return err_set(e, -EINVAL, "two kernels given: %s and %s", o->boot.kernel, value);
	o->boot.kernel = value;
	return 0;
}

static int set_unpack(struct options *o, const char *value, struct err *e)
{
	if (strcmp(value, "host") && strcmp(value, "guest"))
		return err_set(e, -EINVAL, "\"%s\" is neither host nor guest", value);
	o->boot.guest_decompress = !strcmp(value, "guest");
	return 0;
}

static int add(const char **list, unsigned *count, unsigned max, const char *value, struct err *e)
{
	if (*count == max)
		return err_set(e, -E2BIG, "at most %u are possible", max);
	list[(*count)++] = value;
	return 0;
}

static int add_initrd(struct options *o, const char *value, struct err *e)
{
	return add(o->boot.initrd, &o->boot.initrd_count, BOOT_INITRD_MAX, value, e);
}

static int add_disk(struct options *o, const char *value, struct err *e)
{
	return add(o->disk, &o->disk_count, BOARD_DISK_MAX, value, e);
}

static int add_cdrom(struct options *o, const char *value, struct err *e)
{
	int ret = add_disk(o, value, e);

	if (ret == 0)
		o->disk_cdrom[o->disk_count - 1] = true;
	return ret;
}

static int add_floppy(struct options *o, const char *value, struct err *e)
{
	int ret = add_disk(o, value, e);

	if (ret == 0)
		o->disk_floppy[o->disk_count - 1] = true;
	return ret;
}

static int add_net(struct options *o, const char *value, struct err *e)
{
	return add(o->net, &o->net_count, BOARD_NET_MAX, value, e);
}

static int set_append(struct options *o, const char *value, struct err *e)
{
	o->boot.cmdline = value;
	return 0;
}

static int set_memory(struct options *o, const char *value, struct err *e)
{
	int ret = parse_size(value, &o->memory, e);

	if (ret == 0 && (o->memory < BOARD_MEMORY_MIN || o->memory > BOARD_MEMORY_MAX || o->memory % 4096))
		return err_set(e, -EINVAL, "%s is not possible; from 2M to 1T in steps of 4K is", value);
	return ret;
}

static int set_cpu(struct options *o, const char *value, struct err *e)
{
	return cpu_spec_parse(&o->cpu, value, e);
}

static const struct opt_desc cpu_keys[] = {
	{ .key = "count", .kind = OPT_NUMBER, .positional = true },
	{ .key = "sockets", .kind = OPT_NUMBER },
	{ .key = "dies", .kind = OPT_NUMBER },
	{ .key = "cores", .kind = OPT_NUMBER },
	{ .key = "threads", .kind = OPT_NUMBER },
	{ 0 },
};

/* What is left out follows from the count: first cores, then sockets. */
static int set_cpus(struct options *o, const char *value, struct err *e)
{
	struct opts k;
	uint64_t count, sockets, dies, cores, threads;
	int ret = opts_parse(&k, cpu_keys, value, e);

	if (ret < 0)
		return ret;
	threads = opts_number(&k, "threads", 1);
	sockets = opts_number(&k, "sockets", 1);
	dies = opts_number(&k, "dies", 1);
	cores = opts_number(&k, "cores", 0);
	count = opts_number(&k, "count", sockets * dies * (cores ? cores : 1) * threads);
	opts_free(&k);
	if (count < 1 || count > VCPU_MAX)
		return err_set(e, -EINVAL, "%llu vCPUs are not possible; 1 to %d are", (unsigned long long)count,
			       VCPU_MAX);
	if (sockets < 1 || sockets > VCPU_MAX || dies < 1 || dies > VCPU_MAX || threads < 1 || threads > VCPU_MAX ||
	    cores > VCPU_MAX)
		return err_set(e, -EINVAL, "sockets, dies, cores and threads go from 1 to %d", VCPU_MAX);
	if (!cores)
		cores = (count + sockets * dies * threads - 1) / (sockets * dies * threads);
	if (sockets * dies * cores * threads != count)
		return err_set(e, -EINVAL, "%llu sockets x %llu dies x %llu cores x %llu threads are not %llu vCPUs",
			       (unsigned long long)sockets, (unsigned long long)dies, (unsigned long long)cores,
			       (unsigned long long)threads,
			       (unsigned long long)count);
	o->cpus = (unsigned)count;
	o->topology = (struct x86_topology){ (unsigned)sockets, (unsigned)cores, (unsigned)threads,
					    (unsigned)dies };
	return 0;
}

/* 0 to 2 and the highest are not a guest's (virtio 1.2, 5.10.4). */
static int set_vsock_cid(struct options *o, const char *value, struct err *e)
{
	uint64_t cid;
	int ret = parse_number(value, &cid, e);

	if (ret == 0 && (cid < 3 || cid >= UINT32_MAX))
		return err_set(e, -EINVAL, "%s is not possible; 3 to 4294967294 are", value);
	o->vsock_cid = ret == 0 ? (uint32_t)cid : 0;
	return ret;
}

static int set_transport(struct options *o, const char *value, struct err *e)
{
	if (strcmp(value, "pci") && strcmp(value, "mmio"))
		return err_set(e, -EINVAL, "\"%s\" is neither pci nor mmio", value);
	o->transport = strcmp(value, "pci") ? BOARD_MMIO : BOARD_PCI;
	return 0;
}

/* N, portN, or bridgeN.SLOT; 0: none of these. */
static unsigned parse_place(const char *text, size_t len)
{
	unsigned bridge = 0, slot = 0;
	char part[24], rest;

	if (len >= sizeof(part))
		return 0;
	memcpy(part, text, len);
	part[len] = 0;
	if (sscanf(part, "port%2u%c", &slot, &rest) == 1 && slot >= 1 && slot <= BOARD_PORT_MAX)
		return BOARD_BEHIND_PORT + slot - 1;
	if (sscanf(part, "bridge%1u.%2u%c", &bridge, &slot, &rest) == 2 && bridge >= 1 && bridge <= BOARD_BRIDGE_MAX &&
	    slot < 32)
		return BOARD_BEHIND_BRIDGE + (bridge - 1) * 32 + slot;
	if (sscanf(part, "%2u%c", &slot, &rest) == 1 && slot >= BOARD_SLOT_FIRST && slot <= BOARD_SLOT_LAST)
		return slot;
	return 0;
}

static int set_slots(struct options *o, const char *value, struct err *e)
{
	bool used[256] = { 0 };

	o->slot_count = 0;
	for (const char *at = value;; at += strcspn(at, ",") + 1) {
		size_t len = strcspn(at, ",");
		unsigned place = parse_place(at, len);

		if (!place || used[place] || o->slot_count == COUNT_OF(o->slot))
			return err_set(e, -EINVAL,
				       "%s is not possible; a list of different slots from %d to %d is, as 2,3,5, and "
				       "of port1, bridge1.2 and the like",
				       value, BOARD_SLOT_FIRST, BOARD_SLOT_LAST);
		used[place] = true;
		o->slot[o->slot_count++] = (uint8_t)place;
		if (!at[len])
			return 0;
	}
}

static int set_count(unsigned *out, const char *value, unsigned max, struct err *e)
{
	uint64_t n;
	int ret = parse_number(value, &n, e);

	if (ret == 0 && n > max)
		return err_set(e, -EINVAL, "%s is not possible; 0 to %u are", value, max);
	*out = ret == 0 ? (unsigned)n : 0;
	return ret;
}

static int set_root_ports(struct options *o, const char *value, struct err *e)
{
	return set_count(&o->root_ports, value, BOARD_PORT_MAX, e);
}

static int set_bridges(struct options *o, const char *value, struct err *e)
{
	return set_count(&o->pci_bridges, value, BOARD_BRIDGE_MAX, e);
}

static int set_board(struct options *o, const char *value, struct err *e)
{
	if (strcmp(value, "micro") && strcmp(value, "pc"))
		return err_set(e, -EINVAL, "\"%s\" is unknown; the boards are micro and pc", value);
	o->board_pc = !strcmp(value, "pc");
	return 0;
}

/* Only a PC has firmware. */
static int set_firmware(struct options *o, const char *value, struct err *e)
{
	o->firmware = value;
	o->board_pc = true;
	return 0;
}

int uuid_parse(uint8_t out[16], const char *value, struct err *e)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	unsigned digits = 0;

	memset(out, 0, 16);
	for (unsigned n = 0; n < sizeof(form); n++) {
		char c = value[n];
		unsigned v = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;

		if (form[n] != 'x' ? c != form[n] : v > 15)
			return err_set(e, -EINVAL, "%s is no UUID, which is %s in hexadecimal digits", value, form);
		if (form[n] == 'x') {
			out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | v);
			digits++;
		}
	}
	return 0;
}

static int set_uuid(struct options *o, const char *value, struct err *e)
{
	return uuid_parse(o->uuid, value, e);
}

int uuid_random(uint8_t out[16], struct err *e)
{
	if (getrandom(out, 16, 0) != 16)
		return err_errno(e, errno, "the host gives no random numbers");
	out[6] = 0x40 | (out[6] & 0x0f); /* RFC 4122: version 4, variant 1 */
	out[8] = 0x80 | (out[8] & 0x3f);
	return 0;
}

static int set_vmgenid(struct options *o, const char *value, struct err *e)
{
	o->vmgenid = true;
	return strcmp(value, "auto") ? uuid_parse(o->generation, value, e) : uuid_random(o->generation, e);
}

static int add_serial(struct options *o, const char *value, struct err *e)
{
	return add(o->serial, &o->serial_count, BOARD_SERIAL_MAX, value, e);
}

static int add_numa(struct options *o, const char *value, struct err *e)
{
	return numa_add(&o->numa, value, e);
}

enum { MENU_SECONDS_MAX = 600 };

static int set_boot_menu(struct options *o, const char *value, struct err *e)
{
	uint64_t seconds;
	int ret = parse_number(value, &seconds, e);

	if (ret == 0 && (seconds < 1 || seconds > MENU_SECONDS_MAX))
		return err_set(e, -EINVAL, "%s is not possible; 1 to %d seconds are", value, MENU_SECONDS_MAX);
	o->boot_menu_ms = ret == 0 ? seconds * 1000 : 0;
	return ret;
}

static const struct opt_desc video_keys[] = {
	{ .key = "kind", .kind = OPT_STRING, .positional = true },
	{ .key = "slot", .kind = OPT_NUMBER },
	{ 0 },
};

static int set_video(struct options *o, const char *value, struct err *e)
{
	static const char *const names[] = { [BOARD_VIDEO_NONE] = "none", [BOARD_VIDEO_STD] = "std",
					     [BOARD_VIDEO_BOCHS] = "bochs", [BOARD_VIDEO_VIRTIO] = "virtio" };
	struct opts k;
	unsigned kind = 0;
	uint64_t slot;
	int ret = opts_parse(&k, video_keys, value, e);

	if (ret < 0)
		return ret;
	while (kind < COUNT_OF(names) && strcmp(names[kind], opts_string(&k, "kind", "std")))
		kind++;
	slot = opts_number(&k, "slot", 0);
	opts_free(&k);
	if (kind == COUNT_OF(names))
		return err_set(e, -EINVAL, "%s is unknown; the graphics cards are std, bochs and virtio, or none",
			       value);
	if (slot > BOARD_SLOT_LAST)
		return err_set(e, -EINVAL, "slot %llu is not possible; %d to %d are", (unsigned long long)slot,
			       BOARD_SLOT_FIRST, BOARD_SLOT_LAST);
	o->video = (enum board_video)kind;
	o->video_slot = (uint8_t)slot;
	return 0;
}

/* The host's zone at the start: a change of summer time meanwhile is the guest's to make. */
static int set_rtc(struct options *o, const char *value, struct err *e)
{
	enum { DAYS_MAX = 36525, DAY_S = 86400 };
	long long seconds = 0;
	char *end = NULL;

	if (!strcmp(value, "localtime")) {
		time_t now = time(NULL);
		struct tm tm;

		seconds = localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
	} else if (strcmp(value, "utc")) {
		seconds = strtoll(value, &end, 10);
	}
	if ((end && (*end || end == value)) ||
	    (*value != '+' && *value != '-' && strcmp(value, "utc") && strcmp(value, "localtime")))
		return err_set(e, -EINVAL, "%s is not possible; utc, localtime, +SECONDS and -SECONDS are", value);
	if (seconds > (long long)DAYS_MAX * DAY_S || seconds < -(long long)DAYS_MAX * DAY_S)
		return err_set(e, -EINVAL, "%s is more than a hundred years", value);
	o->rtc_offset_ns = seconds * 1000000000;
	return 0;
}

static const struct opt_desc watchdog_keys[] = {
	{ .key = "action", .kind = OPT_STRING, .positional = true },
	{ .key = "slot", .kind = OPT_NUMBER },
	{ 0 },
};

static int set_watchdog(struct options *o, const char *value, struct err *e)
{
	static const char *const names[] = { [VM_WATCHDOG_RESET] = "reset", [VM_WATCHDOG_POWEROFF] = "poweroff",
					     [VM_WATCHDOG_PAUSE] = "pause", [VM_WATCHDOG_NMI] = "inject-nmi",
					     [VM_WATCHDOG_NONE] = "none" };
	unsigned action = 0;
	struct opts k;
	uint64_t slot;
	int ret = opts_parse(&k, watchdog_keys, value, e);

	if (ret < 0)
		return ret;
	while (action < COUNT_OF(names) && strcmp(names[action], opts_string(&k, "action", "reset")))
		action++;
	slot = opts_number(&k, "slot", 0);
	opts_free(&k);
	if (action == COUNT_OF(names))
		return err_set(e, -EINVAL, "%s is unknown; reset, poweroff, pause, inject-nmi and none are possible",
			       value);
	if (slot > BOARD_SLOT_LAST)
		return err_set(e, -EINVAL, "slot %llu is not possible; %d to %d are", (unsigned long long)slot,
			       BOARD_SLOT_FIRST, BOARD_SLOT_LAST);
	o->watchdog = true;
	o->watchdog_action = (enum vm_watchdog)action;
	o->watchdog_slot = (uint8_t)slot;
	return 0;
}

static int add_input(struct options *o, const char *value, struct err *e)
{
	static const char *const names[] = { "keyboard", "mouse", "tablet" };
	unsigned kind = 0;

	while (kind < COUNT_OF(names) && strcmp(names[kind], value))
		kind++;
	if (kind == COUNT_OF(names))
		return err_set(e, -EINVAL, "%s is unknown; keyboard, mouse and tablet are possible", value);
	o->virtio_input |= 1u << kind;
	return 0;
}

static int add_channel(struct options *o, const char *value, struct err *e)
{
	return channel_add(&o->channels, value, e);
}

/* "--rng", or "--rng=NAME". */
static int set_rng(struct options *o, const char *name, struct err *e)
{
	o->rng = true;
	return name ? device_name(o->names.rng, name, e) : 0;
}

static int set_balloon(struct options *o, const char *name, struct err *e)
{
	o->balloon = true;
	return name ? device_name(o->names.balloon, name, e) : 0;
}

static int add_usb(struct options *o, const char *value, struct err *e)
{
	return usb_add(&o->usb, value, e);
}

/* An option stores a string at `text`, sets the flag at `flag`, or calls set. */
struct option {
	const char *name, *value; /* value: what to write after it; NULL: a switch, whose set may take a value */
	size_t text, flag;
	int (*set)(struct options *o, const char *value, struct err *e);
	const char *help;
};
#define TEXT(member) .text = offsetof(struct options, member) + 1
#define FLAG(member) .flag = offsetof(struct options, member) + 1

static const struct option table[] = {
	{ "--kernel", "FILE", .set = set_kernel,
	  .help = N_("kernel: Linux bzImage, ELF, PVH or Multiboot 1") },
	{ "--initrd", "FILE", .set = add_initrd, .help = N_("initial ramdisk; may be repeated, they are joined") },
	{ "--append", "TEXT", .set = set_append, .help = N_("kernel command line") },
	{ "--unpack", "host|guest", .set = set_unpack, .help = N_("who decompresses a bzImage (host: faster)") },
	{ "--boot-from-disk", NULL, FLAG(boot_from_disk),
	  .help = N_("kernel, initrd and command line are those that the first disk's own boot loader would take") },
	{ "--memory", "SIZE", .set = set_memory, .help = N_("guest memory, K/M/G/T (1G)") },
	{ "--cpu", "MODEL[,+FEATURE][,-FEATURE]", .set = set_cpu,
	  .help = N_("the processor: host, max, x86-64-v1 to v4, or one of panal cpu list (host)") },
	{ "--cpus", "N[,sockets=,dies=,cores=,threads=]", .set = set_cpus, .help = N_("vCPUs (1)") },
	{ "--numa", "node[,cpus=N[-N]][,mem=SIZE][,initiator=N]|dist,...|hmat-lb,...|hmat-cache,...", .set = add_numa,
	  .help = N_("nodes of memory and vCPUs, and what lies between them; may be repeated") },
	{ "--disk", "PATH[,format=raw|qcow2][,readonly][,bus=virtio|sata|ide|scsi|nvme|usb]", .set = add_disk,
	  .help = N_("disk; may be repeated") },
	{ "--cdrom", "PATH|none", .set = add_cdrom, .help = N_("CD-ROM drive of a pc; may be repeated") },
	{ "--floppy", "PATH|none[,readonly]", .set = add_floppy,
	  .help = N_("floppy drive of a pc, 160K to 2.88M; may be repeated (two)") },
	{ "--net", "user[,forward=tcp:HOST:GUEST][,model=virtio|e1000|e1000e|rtl8139]|tap=NAME|none", .set = add_net,
	  .help = N_("network card; may be repeated") },
	{ "--accel", "auto|kvm|soft", TEXT(accel),
	  .help = N_("what runs the guest's code (auto: the faster, by measurement)") },
	{ "--board", "micro|pc", .set = set_board,
	  .help = N_("the machine: micro boots a kernel, pc what its firmware finds") },
	{ "--firmware", "bios|uefi|PATH", .set = set_firmware,
	  .help = N_("firmware of a pc (bios: SeaBIOS, uefi: OVMF); implies --board pc") },
	{ "--firmware-vars", "PATH", TEXT(firmware_vars),
	  .help = N_("the machine's UEFI variables; made when missing (none: lost at the end)") },
	{ "--firmware-log", "stdio|file:PATH|unix:PATH|none", TEXT(firmware_log),
	  .help = N_("where the firmware's log goes (none)") },
	{ "--uuid", "UUID", .set = set_uuid, .help = N_("the machine's own, in the guest's SMBIOS tables (board pc)") },
	{ "--vmgenid", "auto|UUID", .set = set_vmgenid,
	  .help = N_("a generation ID, which tells the guest when it is a copy or goes back in time (board pc)") },
	{ "--boot-menu", "SECONDS", .set = set_boot_menu, .help = N_("the firmware offers its boot menu for so long") },
	{ "--boot-order", "disk|cdrom|floppy|net[N],...", TEXT(boot_order),
	  .help = N_("what the firmware tries to boot, in this order; N: one of them (disk0 is the first)") },
	{ "--video", "std|bochs|virtio|none[,slot=N]", .set = set_video, .help = N_("graphics card of a pc (none)") },
	{ "--rtc", "utc|localtime|+SECONDS|-SECONDS", .set = set_rtc,
	  .help = N_("what the guest's clock shows at the start (utc)") },
	{ "--watchdog", "reset|poweroff|pause|inject-nmi|none[,slot=N]", .set = set_watchdog,
	  .help = N_("watchdog timer of a pc (i6300esb), and what happens when it runs out") },
	{ "--input", "keyboard|mouse|tablet", .set = add_input, .help = N_("virtio input device; may be repeated") },
	{ "--usb", "keyboard|mouse|tablet|hub|controller[,port=N[.N]][,slot=N][,id=NAME]", .set = add_usb,
	  .help = N_("USB device at a USB 3 controller (xHCI), or the controller alone; may be repeated") },
	{ "--virtio", "pci|mmio", .set = set_transport, .help = N_("how virtio devices are attached (pci)") },
	{ "--root-ports", "N", .set = set_root_ports,
	  .help = N_("PCI Express root ports, a slot each for devices that come and go while the machine runs (0)") },
	{ "--pci-bridges", "N", .set = set_bridges,
	  .help = N_("a chain of PCI bridges behind the last root port (0)") },
	{ "--pci-slots", "N|portN|bridgeN.SLOT,...", .set = set_slots,
	  .help = N_("PCI slots of disks, cards, console, channels, rng, balloon, vsock, input, in order (from 1)") },
	{ "--serial", "stdio|file:PATH|unix:PATH|pty:PATH|none", .set = add_serial,
	  .help = N_("serial port; may be repeated, up to four (one, on stdio)") },
	{ "--parallel", "file:PATH|unix:PATH|none", TEXT(parallel),
	  .help = N_("a pc's parallel port, and where what it prints goes") },
	{ "--channel", "name=NAME,socket=PATH", .set = add_channel,
	  .help = N_("a virtio-serial port and the unix socket that it leads to; may be repeated") },
	{ "--console", "stdio|file:PATH|unix:PATH|pty:PATH|none", TEXT(console), .help = N_("virtio console") },
	{ "--vsock-cid", "N", .set = set_vsock_cid, .help = N_("the guest's vsock address (3)") },
	{ "--vsock", "PATH", TEXT(vsock), .help = N_("vsock device; PATH is the host's unix socket") },
	{ "--rng", NULL, .set = set_rng, .help = N_("virtio random number source") },
	{ "--balloon", NULL, .set = set_balloon, .help = N_("virtio memory balloon") },
	{ "--hugepages", NULL, FLAG(hugepages), .help = N_("back memory with huge pages where the host gives them") },
	{ "--control", "SOCKET|fd:N", TEXT(control), .help = N_("control socket, JSON with QMP framing") },
	{ "--gdb", "PORT|tcp:127.0.0.1:PORT|unix:PATH", TEXT(gdb),
		.help = N_("wait for a debugger: GDB's remote protocol") },
	{ "--no-s3", NULL, FLAG(no_s3), .help = N_("a pc does not offer sleep to RAM") },
	{ "--no-s4", NULL, FLAG(no_s4), .help = N_("a pc does not offer hibernation") },
	{ "--no-hpet", NULL, FLAG(no_hpet), .help = N_("a pc has no HPET") },
	{ "--no-reboot", NULL, FLAG(no_reboot), .help = N_("a reboot of the guest ends the machine") },
	{ "--paused", NULL, FLAG(paused),
	  .help = N_("wait for the command cont, or a debugger, before the first instruction") },
	{ "--no-sandbox", NULL, FLAG(no_sandbox), .help = N_("do not give up rights after start (for debugging)") },
	{ "--dry-run", NULL, FLAG(dry_run), .help = N_("check everything, run nothing") },
	{ "--version", NULL, FLAG(version), .help = N_("print the version") },
	{ "--help", NULL, FLAG(help), .help = N_("print this") },
};

static const struct option *find(const char *arg, size_t len)
{
	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (strlen(table[n].name) == len && !memcmp(table[n].name, arg, len))
			return &table[n];
	return NULL;
}

static int apply(struct options *o, const struct option *opt, const char *value, struct err *e)
{
	int ret = 0;

	if (opt->set)
		ret = opt->set(o, value, e);
	else if (opt->text)
		*(const char **)((char *)o + opt->text - 1) = value;
	else
		*((bool *)o + opt->flag - 1) = true;
	return ret < 0 ? err_wrap(e, "%s", opt->name) : 0;
}

static int set_image(struct options *o, const char *value, struct err *e)
{
	if (o->image)
		return err_set(e, -EINVAL, "two images given: %s and %s", o->image, value);
	o->image = value;
	return 0;
}

/* IMAGE alone is the kernel; beside --kernel it is the first disk. */
static int place_image(struct options *o, struct err *e)
{
	if (!o->image)
		return 0;
	if (!o->boot.kernel && !o->board_pc && !o->boot_from_disk)
		return set_kernel(o, o->image, e);
	if (o->disk_count == BOARD_DISK_MAX)
		return err_set(e, -E2BIG, "%s: at most %d disks are possible", o->image, BOARD_DISK_MAX);
	memmove(&o->disk[1], &o->disk[0], o->disk_count * sizeof(o->disk[0]));
	memmove(&o->disk_cdrom[1], &o->disk_cdrom[0], o->disk_count * sizeof(o->disk_cdrom[0]));
	memmove(&o->disk_floppy[1], &o->disk_floppy[0], o->disk_count * sizeof(o->disk_floppy[0]));
	o->disk_cdrom[0] = o->disk_floppy[0] = false;
	o->disk[0] = o->image;
	o->disk_count++;
	return 0;
}

static int parse_one(struct options *o, int argc, char **argv, int *n, struct err *e)
{
	const char *arg = argv[*n], *eq = strchr(arg, '='), *value = NULL;
	const struct option *opt;

	if (arg[0] != '-')
		return set_image(o, arg, e);
	if (!strcmp(arg, "-h"))
		arg = "--help";
	opt = find(arg, eq ? (size_t)(eq - arg) : strlen(arg));
	if (!opt)
		return err_set(e, -EINVAL, "unknown option %s; --help lists them", arg);
	if (!opt->value && !opt->set && eq)
		return err_set(e, -EINVAL, "%s takes no value", opt->name);
	if (!opt->value && eq)
		value = eq + 1;
	if (opt->value) {
		if (!eq && *n + 1 >= argc)
			return err_set(e, -EINVAL, "%s needs a value: %s", opt->name, opt->value);
		value = eq ? eq + 1 : argv[++*n];
	}
	return apply(o, opt, value, e);
}

static int check_together(const struct options *o, struct err *e)
{
	if (o->boot_from_disk && (o->boot.kernel || o->boot.initrd_count))
		return err_set(e, -EINVAL, "--boot-from-disk: kernel and initrd come from the disk; leave --kernel and "
					   "--initrd out");
	if (o->boot_from_disk && o->board_pc)
		return err_set(e, -EINVAL, "--boot-from-disk: a pc boots its disks by its firmware anyway; leave the "
					   "option, or --board pc, out");
	if (o->boot_from_disk && !o->disk_count)
		return err_set(e, -EINVAL, "--boot-from-disk: no disk given");
	if (!o->board_pc && !o->boot.kernel && !o->boot_from_disk)
		return err_set(e, -EINVAL, "no kernel given: --kernel FILE, --boot-from-disk for the one on "
					   "the disk, or --board pc to boot a disk by its own loader");
	if (o->boot_order && !o->board_pc)
		return err_set(e, -EINVAL, "--boot-order: only the firmware of --board pc looks for what to boot");
	if (!o->board_pc && o->watchdog)
		return err_set(e, -EINVAL, "--watchdog: the timer needs --board pc");
	if (!o->board_pc && o->pci_bridges)
		return err_set(e, -EINVAL, "--pci-bridges: PCI bridges need --board pc");
	if (o->root_ports && o->transport == BOARD_MMIO)
		return err_set(e, -EINVAL, "--root-ports: there is no PCI with --virtio mmio");
	if (!o->board_pc && o->video != BOARD_VIDEO_NONE)
		return err_set(e, -EINVAL, "--video: graphics cards need --board pc");
	if (o->board_pc && o->transport == BOARD_MMIO)
		return err_set(e, -EINVAL, "--virtio mmio: a pc has PCI");
	for (unsigned n = 1; n < o->serial_count; n++)
		if (!strcmp(o->serial[n], "stdio"))
			return err_set(e, -EINVAL, "--serial: only the first port can be on stdio");
	if (!o->board_pc && o->parallel)
		return err_set(e, -EINVAL, "--parallel: the parallel port needs --board pc");
	if (!o->board_pc && o->vmgenid)
		return err_set(e, -EINVAL, "--vmgenid: the generation ID needs --board pc");
	if (o->usb.wanted && o->transport == BOARD_MMIO)
		return err_set(e, -EINVAL, "--usb: there is no PCI with --virtio mmio");
	if (o->slot_count && o->transport == BOARD_MMIO)
		return err_set(e, -EINVAL, "--pci-slots: there is no PCI with --virtio mmio");
	if (o->paused && !o->control && !o->gdb)
		return err_set(e, -EINVAL, "--paused: nobody could let the machine go on; give --control or --gdb too");
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	int ret = 0;

	*o = (struct options){
		.accel = "auto",
		.memory = (uint64_t)MEMORY_DEFAULT_MIB << 20,
		.cpus = 1,
		.topology = { 1, 1, 1 },
	};
	o->by_run = argc > 0 && !strcmp(argv[0], "panal run");
	for (int n = 1; ret == 0 && n < argc; n++)
		ret = parse_one(o, argc, argv, &n, e);
	if (!o->serial_count)
		o->serial[o->serial_count++] = "stdio";
	if (ret == 0)
		ret = place_image(o, e);
	if (ret == 0 && !o->help && !o->version)
		ret = check_together(o, e);
	if (ret == 0 && o->numa.count && numa_check(&o->numa, o->cpus, o->memory, e) < 0)
		ret = err_wrap(e, "--numa");
	return ret;
}

void options_help(const char *program)
{
	printf(_("usage: %s [IMAGE] [options]\n\n"), program);
	puts(_("IMAGE is the kernel, or the first disk when --kernel is given too or the board is a pc.\n"));
	for (size_t n = 0; n < COUNT_OF(table); n++)
		printf("  %s%s%s\n        %s\n", table[n].name, table[n].value ? " " : "",
		       table[n].value ? table[n].value : "", _(table[n].help));
}
