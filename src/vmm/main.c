/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal-vmm: one process, one machine. Options, back ends, board, run; what it all means is in the rooms. */
#include "accel/select.h"
#include "arch/x86/board.h"
#include "base/log.h"
#include "base/text.h"
#include "block/block.h"
#include "bootdisk/client.h"
#include "control/control.h"
#include "core/accel.h"
#include "core/chardev.h"
#include "core/clock.h"
#include "core/loop.h"
#include "core/vm.h"
#include "debug/gdb.h"
#include "net/net.h"
#include "sandbox/sandbox.h"
#include "vmm/balloon.h"
#include "vmm/disk.h"
#include "vmm/firmware.h"
#include "vmm/hotplug.h"
#include "vmm/notice.h"
#include "vmm/media.h"
#include "vmm/nics.h"
#include "vmm/options.h"
#include "vmm/order.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* EXIT_REBOOT is even, as no status of the debug port is. */
enum { EXIT_TROUBLE = 1, EXIT_USAGE = 2, EXIT_REBOOT = 4, EXIT_SIGNAL = 128 };
enum { SOCKETS_FIXED = 6, SOCKETS_MAX = SOCKETS_FIXED + BOARD_SERIAL_MAX + BOARD_CHANNEL_MAX };

struct vmm {
	struct options opt;
	struct loop *loop;
	struct chardev *serial[BOARD_SERIAL_MAX], *parallel, *firmware_log;
	uint8_t *video_rom;
	struct board_config board_config;
	struct boot_disk *boot_disk;
	struct board *board;
	struct media media;
	struct hotplug hotplug;
	struct notice clock_notice, balloon_notice;
	struct balloon balloon;
	struct control *control;
	struct gdb *gdb;
	struct vm *vm;
	struct loop_fd *signals;
	int signal_fd;
	bool panicked; /* the guest's kernel said so since the last reset */
	int killed_by; /* SIGTERM or SIGINT ended the machine; 0: neither */
	bool by_key;   /* panal run sent it by sigqueue: for the key at its terminal */
	char helper_dir[PATH_MAX];
	char accel_why[ACCEL_WHY_MAX]; /* why auto chose what it chose; empty: it was told */
};

static void tell_clock(void *opaque)
{
	struct vmm *m = opaque;

	if (m->control)
		control_event_clock(m->control, board_clock_offset(m->board));
}

static void tell_balloon(void *opaque)
{
	struct vmm *m = opaque;
	struct control_balloon b;

	if (m->control && balloon_get(&m->balloon, &b))
		control_event_balloon(m->control, b.bytes);
}

static void on_event(void *opaque, enum vm_event ev, enum vm_request why)
{
	struct vmm *m = opaque;

	if (ev == VM_EVENT_WATCHDOG)
		log_line(LOG_WARNING, _("the guest's watchdog timer ran out: the guest hangs"));
	if (ev == VM_EVENT_PANICKED)
		log_line(LOG_WARNING, _("the guest's kernel reports that it panicked; its console tells why"));
	if (ev == VM_EVENT_PANICKED || ev == VM_EVENT_RESET)
		m->panicked = ev == VM_EVENT_PANICKED;
	if (m->control)
		control_event(m->control, ev, why);
	if (m->gdb)
		gdb_event(m->gdb, ev, why);
	if (ev == VM_EVENT_RESET)
		hotplug_reset(&m->hotplug);
	if (ev == VM_EVENT_RESETTING)
		media_fail(&m->media);
	if (ev == VM_EVENT_RESUME)
		media_retry(&m->media);
	if (ev == VM_EVENT_CLOCK)
		notice_happened(&m->clock_notice);
	if (ev == VM_EVENT_BALLOON)
		notice_happened(&m->balloon_notice);
	if (ev == VM_EVENT_SHUTDOWN)
		loop_stop(m->loop);
}

static void press_power(void *opaque)
{
	board_power_button(((struct vmm *)opaque)->board);
}

static bool set_balloon(void *opaque, uint64_t bytes)
{
	return balloon_set(&((struct vmm *)opaque)->balloon, bytes);
}

static bool get_balloon(void *opaque, struct control_balloon *out)
{
	return balloon_get(&((struct vmm *)opaque)->balloon, out);
}

static bool ask_balloon(void *opaque, unsigned seconds)
{
	return balloon_period(&((struct vmm *)opaque)->balloon, seconds);
}

static bool disk_at(void *opaque, unsigned n, struct control_disk *out)
{
	return media_disk_at(&((struct vmm *)opaque)->media, n, out);
}

static bool nic_at(void *opaque, unsigned n, struct control_nic *out)
{
	return media_nic_at(&((struct vmm *)opaque)->media, n, out);
}

static bool channel_of(void *opaque, unsigned n, struct control_channel *out)
{
	return channel_at(&((struct vmm *)opaque)->opt.channels, n, out);
}

static int disk_threshold(void *opaque, const char *id, uint64_t offset, struct err *e)
{
	return media_threshold(&((struct vmm *)opaque)->media, id, offset, e);
}

static int change_medium(void *opaque, const struct control_medium *want, struct err *e)
{
	struct vmm *m = opaque;

	return media_change(&m->media, m->loop, want, e);
}

static int plug(void *opaque, const struct control_plug *want, char id[CONTROL_ID_MAX], struct err *e)
{
	return hotplug_add(&((struct vmm *)opaque)->hotplug, want, id, e);
}

static int unplug(void *opaque, const char *id, bool force, struct err *e)
{
	return hotplug_remove(&((struct vmm *)opaque)->hotplug, id, force, e);
}

static bool slot_at(void *opaque, unsigned n, struct control_slot *out)
{
	return hotplug_slot_at(&((struct vmm *)opaque)->hotplug, n, out);
}

static bool device_at(void *opaque, unsigned n, struct control_device *out)
{
	return hotplug_device_at(&((struct vmm *)opaque)->hotplug, n, out);
}

static bool generation(void *opaque, uint8_t id[16])
{
	return board_generation_get(((struct vmm *)opaque)->board, id);
}

static int generation_set(void *opaque, const char *text, uint8_t id[16], struct err *e)
{
	struct board *b = ((struct vmm *)opaque)->board;
	int ret = strcmp(text, "auto") ? uuid_parse(id, text, e) : uuid_random(id, e);

	if (ret == 0 && !board_generation_set(b, id))
		return err_set(e, -ENODEV, "the machine has no generation ID (--vmgenid)");
	return ret;
}

static void quit(void *opaque)
{
	vm_end(((struct vmm *)opaque)->vm, VM_REQUEST_HOST_QUIT);
}

/* SIGTERM and SIGINT end the machine at once, as pulling the plug does. */
static void on_signal(void *opaque, int fd, unsigned events)
{
	struct vmm *m = opaque;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	m->killed_by = (int)info.ssi_signo;
	m->by_key = m->opt.by_run && info.ssi_code == SI_QUEUE;
	vm_end(m->vm, VM_REQUEST_HOST_SIGNAL);
}

static int watch_signals(struct vmm *m, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(e, errno, "cannot block signals");
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return err_errno(e, errno, "cannot make a signal descriptor");
	return loop_fd_add(m->loop, m->signal_fd, LOOP_READ, on_signal, m, &m->signals, e);
}

/* Helpers lie beside this program, or where they were installed. */
static void find_helpers(struct vmm *m)
{
	char self[PATH_MAX], probe[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(m->helper_dir, sizeof(m->helper_dir), "%s", PANAL_LIBEXEC);
	if (len <= 0)
		return;
	self[len] = 0;
	snprintf(probe, sizeof(probe), "%s/panal-net-user", dirname(self));
	if (access(probe, X_OK) == 0)
		snprintf(m->helper_dir, sizeof(m->helper_dir), "%s", self);
}

static int open_disks(struct vmm *m, struct err *e)
{
	struct board_config *bc = &m->board_config;
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < m->opt.disk_count; n++) {
		struct disk d;

		ret = m->opt.disk_cdrom[n]  ? disk_open_cdrom(&d, m->opt.disk[n], m->loop, e) :
		      m->opt.disk_floppy[n] ? disk_open_floppy(&d, m->opt.disk[n], m->loop, e) :
					      disk_open(&d, m->opt.disk[n], m->loop, NULL, e);
		bc->disk[n] = d.blk;
		bc->disk_bus[n] = d.bus;
		bc->disk_port[n] = d.port;
		bc->disk_cdrom[n] = d.cdrom;
		bc->disk_boot[n] = d.boot;
		bc->disk_unit[n] = d.unit;
		memcpy(bc->disk_serial[n], d.serial, sizeof(d.serial));
		if (ret == 0 && d.bus != BOARD_VIRTIO && d.bus != BOARD_USB && !m->opt.board_pc)
			ret = err_set(e, -EINVAL, "%s: SATA, IDE, SCSI, NVMe and floppy drives need --board pc",
			              m->opt.disk[n]);
		if (ret == 0)
			ret = media_add_disk(&m->media, n, d.id, d.blk, d.cdrom, e);
		if (ret == 0)
			media_on_error(&m->media, n, d.read_error, d.write_error);
		bc->disk_count += d.blk || ret == 0;
	}
	return ret < 0 ? err_wrap(e, "--disk") : 0;
}

/* What to boot is on the first disk, which becomes the machine's after this. */
static int find_boot_on_disk(struct vmm *m, struct err *e)
{
	const struct boot_disk_config cfg = { .disk = m->board_config.disk[0], .helper_dir = m->helper_dir,
					      .append = m->opt.boot.cmdline, .sandbox = !m->opt.no_sandbox };
	bool decompress = m->opt.boot.guest_decompress;
	int ret;

	if (!m->opt.boot_from_disk)
		return 0;
	ret = boot_disk_open(&m->boot_disk, &cfg, e);
	if (ret == 0)
		ret = boot_disk_find(m->boot_disk, &m->opt.boot, e);
	m->opt.boot.guest_decompress = decompress;
	return ret;
}

static int open_chardevs(struct vmm *m, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; n < m->opt.serial_count; n++)
		if (chardev_open(&m->serial[n], m->opt.serial[n], m->loop, e) < 0)
			return err_wrap(e, "--serial");
	if (m->opt.parallel && chardev_open(&m->parallel, m->opt.parallel, m->loop, e) < 0)
		return err_wrap(e, "--parallel");
	if (m->opt.console) {
		ret = chardev_open(&m->board_config.console, m->opt.console, m->loop, e);
		if (ret < 0)
			return err_wrap(e, "--console");
	}
	ret = channels_open(&m->opt.channels, &m->board_config, m->loop, &m->control, e);
	if (ret < 0)
		return ret;
	if (m->opt.firmware_log) {
		ret = chardev_open(&m->firmware_log, m->opt.firmware_log, m->loop, e);
		if (ret < 0)
			return err_wrap(e, "--firmware-log");
	}
	return 0;
}

static int find_firmware(struct vmm *m, struct err *e)
{
	struct board_config *bc = &m->board_config;
	struct firmware fw;

	if (firmware_find(&fw, m->opt.firmware, e) < 0)
		return err_wrap(e, "--firmware");
	bc->firmware = fw.code;
	return firmware_open_vars(&fw, m->opt.firmware_vars, &bc->firmware_vars, e) < 0 ?
		       err_wrap(e, "--firmware-vars") : 0;
}

/* UEFI has drivers of its own for these cards, so there the ROM is not missed. */
static int find_video_rom(struct vmm *m, struct err *e)
{
	struct board_config *bc = &m->board_config;
	struct err none = { 0 };
	int ret;

	bc->video = m->opt.video;
	bc->video_slot = m->opt.video_slot;
	if (bc->video == BOARD_VIDEO_NONE || bc->video == BOARD_VIDEO_VIRTIO)
		return 0;
	ret = firmware_video_rom(bc->video == BOARD_VIDEO_STD ? "stdvga" : "bochs-display", &m->video_rom,
				 &bc->video_rom_size, &none);
	bc->video_rom = m->video_rom;
	if (ret < 0 && !m->opt.firmware)
		return err_set(e, ret, "--video: %s", none.text);
	return 0;
}

static int make_machine(struct vmm *m, struct err *e)
{
	struct vm_config vc = { .loop = m->loop, .policy = { .no_reboot = m->opt.no_reboot,
							   .watchdog = m->opt.watchdog_action } };
	struct board_config *bc = &m->board_config;
	int ret = accel_select(m->opt.accel, &vc.accel, &vc.accel_options, m->accel_why, e);

	if (ret == 0)
		ret = vm_create(&m->vm, &vc, e);
	if (ret < 0)
		return ret;
	m->vm->on_event = on_event;
	m->vm->on_event_opaque = m;
	bc->memory = m->opt.memory;
	/* A look-up of the software CPU's would be followed by the host's own. */
	bc->hugepages = m->opt.hugepages || vc.accel == &accel_soft;
	bc->cpu = &m->opt.cpu;
	bc->topology = m->opt.topology;
	bc->cpus = m->opt.cpus;
	bc->boot = m->opt.boot;
	m->opt.boot = (struct boot_source){ 0 }; /* its files in memory are the board's from here on */
	memcpy(bc->serial, m->serial, sizeof(bc->serial));
	bc->serial_count = m->opt.serial_count;
	bc->parallel = m->parallel;
	bc->transport = m->opt.transport;
	memcpy(bc->slot, m->opt.slot, sizeof(bc->slot));
	bc->slot_count = m->opt.slot_count;
	bc->rtc_offset_ns = m->opt.rtc_offset_ns;
	bc->watchdog = m->opt.watchdog;
	bc->watchdog_slot = m->opt.watchdog_slot;
	bc->root_ports = m->opt.root_ports;
	bc->no_s3 = m->opt.no_s3;
	bc->no_s4 = m->opt.no_s4;
	bc->no_hpet = m->opt.no_hpet;
	bc->pci_bridges = m->opt.pci_bridges;
	bc->rng = m->opt.rng;
	bc->virtio_input = m->opt.virtio_input;
	bc->usb = m->opt.usb.wanted;
	bc->usb_slot = m->opt.usb.slot;
	memcpy(bc->usb_dev, m->opt.usb.dev, sizeof(bc->usb_dev));
	bc->usb_count = m->opt.usb.count;
	bc->balloon = m->opt.balloon;
	bc->vsock_path = m->opt.vsock;
	bc->vsock_cid = m->opt.vsock_cid;
	memcpy(bc->uuid, m->opt.uuid, sizeof(bc->uuid));
	bc->vmgenid = m->opt.vmgenid;
	memcpy(bc->generation, m->opt.generation, sizeof(bc->generation));
	bc->numa = m->opt.numa.count ? &m->opt.numa : NULL;
	if (order_apply(bc, m->opt.boot_order, e) < 0)
		return -EINVAL;
	bc->boot_menu = m->opt.boot_menu_ms != 0;
	bc->boot_menu_ms = (unsigned)m->opt.boot_menu_ms;
	bc->firmware_log = m->firmware_log;
	if (!m->opt.board_pc)
		return board_micro_create(m->vm, bc, &m->board, e);
	ret = find_firmware(m, e);
	if (ret == 0)
		ret = find_video_rom(m, e);
	return ret < 0 ? ret : board_pc_create(m->vm, bc, &m->board, e);
}

static int open_control(struct vmm *m, struct err *e)
{
	const struct control_target target = {
		.vm = m->vm,
		.display = board_display(m->board),
		.input = board_input(m->board),
		.power_button = press_power,
		.quit = quit,
		.balloon_set = set_balloon,
		.balloon_get = get_balloon,
		.balloon_period = ask_balloon,
		.disk = disk_at,
		.nic = nic_at,
		.channel = channel_of,
		.disk_threshold = disk_threshold,
		.change_medium = change_medium,
		.plug = plug,
		.unplug = unplug,
		.slot = slot_at,
		.device = device_at,
		.generation = generation,
		.generation_set = generation_set,
		.opaque = m,
	};

	balloon_init(&m->balloon, m->board, m->vm->timers);
	notice_init(&m->clock_notice, m->vm->timers, tell_clock, m);
	notice_init(&m->balloon_notice, m->vm->timers, tell_balloon, m);
	media_drives(&m->media, &m->board_config, &m->control, m->vm);
	m->opt.names.usb = m->opt.usb.id;
	m->hotplug = (struct hotplug){ .names = &m->opt.names, .vm = m->vm, .board = m->board, .media = &m->media,
				       .helper = { .dir = m->helper_dir, .sandbox = !m->opt.no_sandbox },
				       .control = &m->control, .firmware = m->opt.board_pc };
	if (m->boot_disk) /* the machine reads it again at each reset */
		m->board_config.disk_place[0] = (struct board_seat){ 0 };
	if (hotplug_start(&m->hotplug, &m->board_config, e) < 0)
		return -ENFILE;
	return m->opt.control && !m->opt.dry_run ? control_create(&m->control, m->opt.control, m->loop, &target, e) : 0;
}

/* The path of the control socket, when it is this process that makes it. */
static const char *control_path(const char *spec)
{
	return spec && strncmp(spec, "fd:", 3) ? spec : NULL;
}

/* The path of a chardev that listens on a unix socket; NULL for others. */
static const char *socket_path(const char *spec)
{
	if (spec && !strncmp(spec, "unix:", 5))
		return spec + 5;
	return spec && !strncmp(spec, "pty:", 4) ? spec + 4 : NULL;
}

/* The sockets that this process made and removes at its end. */
static unsigned list_sockets(const struct options *o, const char *list[SOCKETS_MAX + 1])
{
	const char *const all[SOCKETS_FIXED] = {control_path(o->control), o->vsock, socket_path(o->parallel),
					      socket_path(o->console), socket_path(o->gdb),
					      socket_path(o->firmware_log)};
	unsigned count = 0;

	for (unsigned n = 0; n < SOCKETS_FIXED; n++)
		if (all[n])
			list[count++] = all[n];
	for (unsigned n = 0; n < o->serial_count; n++)
		if (socket_path(o->serial[n]))
			list[count++] = socket_path(o->serial[n]);
	for (unsigned n = 0; n < o->channels.count; n++)
		list[count++] = o->channels.item[n].path;
	list[count] = NULL;
	return count;
}

/* All files are open and all helpers run: from here on neither is possible any more. */
static int confine(struct vmm *m, struct err *e)
{
	const char *sockets[SOCKETS_MAX + 1];
	struct sandbox_config cfg = {
		.kind = SANDBOX_PROCESS,
		.violation = SANDBOX_DENY,
		.remove_paths = list_sockets(&m->opt, sockets) ? sockets : NULL,
		.unix_sockets = m->opt.vsock != NULL,
		.exec_memory = true, /* KVM too: the soft CPU helps it */
	};

	if (m->opt.no_sandbox || m->opt.dry_run)
		return 0;
	if (sandbox_enter(&cfg, e) < 0)
		return err_wrap(e, "cannot give up rights (--no-sandbox goes on without)");
	return 0;
}

/* A machine with as many processors as the host leaves none for the host's own work, nor for its devices. */
static void tell_of_processors(const struct vmm *m)
{
	cpu_set_t set;
	int host = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;

	if (m->opt.cpus > 1 && host > 0 && m->opt.cpus >= (unsigned)host)
		log_line(LOG_WARNING, _("--cpus %u: this host has %d; a busy guest leaves nothing for others"),
			 m->opt.cpus, host);
}

static int build(struct vmm *m, struct err *e)
{
	int ret = loop_create(&m->loop, NULL, e);

	if (ret == 0)
		ret = watch_signals(m, e);
	if (ret == 0)
		ret = open_chardevs(m, e);
	if (ret == 0)
		ret = open_disks(m, e);
	if (ret == 0)
		ret = find_boot_on_disk(m, e);
	if (ret == 0)
		ret = nics_open(&m->board_config, &m->opt, m->loop, m->helper_dir, &m->media, e);
	if (ret == 0)
		ret = make_machine(m, e);
	if (ret == 0)
		ret = open_control(m, e);
	if (ret == 0 && m->opt.gdb && !m->opt.dry_run && gdb_create(&m->gdb, m->opt.gdb, m->vm, e) < 0)
		ret = err_wrap(e, "--gdb");
	if (ret == 0)
		tell_of_processors(m);
	if (ret == 0)
		ret = confine(m, e);
	if (ret == 0)
		ret = vm_start(m->vm, m->opt.paused || m->opt.dry_run, e);
	/* when the rest is right: what is wrong is told in one line */
	if (ret == 0 && m->accel_why[0])
		log_line(LOG_INFO, "accelerator: %s", m->accel_why);
	return ret;
}

/* Back ends that no device took, because something failed before that. */
static void close_back_ends(struct board_config *bc)
{
	for (unsigned n = 0; n < bc->disk_count; n++)
		blk_close(bc->disk[n]);
	for (unsigned n = 0; n < bc->net_count; n++)
		net_close(bc->net[n]);
	for (unsigned n = 0; n < bc->channel_count; n++)
		chardev_close(bc->channel[n]);
	chardev_close(bc->console);
}

static void tear_down(struct vmm *m)
{
	control_destroy(m->control);
	gdb_destroy(m->gdb);
	balloon_stop(&m->balloon);
	notice_stop(&m->clock_notice);
	notice_stop(&m->balloon_notice);
	media_let_go(&m->media, NULL);
	vm_destroy(m->vm);
	hotplug_stop(&m->hotplug);
	boot_disk_close(m->boot_disk);
	boot_source_drop(&m->opt.boot);
	boot_source_drop(&m->board_config.boot);
	close_back_ends(&m->board_config);
	chardev_close(m->firmware_log);
	for (unsigned n = 0; n < BOARD_SERIAL_MAX; n++)
		chardev_close(m->serial[n]);
	chardev_close(m->parallel);
	loop_fd_remove(m->signals);
	loop_destroy(m->loop);
	nics_free(&m->board_config);
	free(m->video_rom);
}

/* For a person, in his language; a daemon and its clients are told in English. */
static void tell(const struct vmm *m, const char *error)
{
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "%s", error);
	if (m->opt.by_run)
		text_told(text, text, sizeof(text));
	log_line(LOG_ERROR, "%s", text);
}

/* A machine of panal run speaks its user's language. The texts' file is opened here: later the sandbox is around us. */
static void begin_texts(int argc, char **argv)
{
	if (argc > 0 && !strcmp(argv[0], "panal run"))
		text_begin(PANAL_LOCALEDIR);
	(void)_("print this");
	(void)strerror(EIO);
}

/* The exit status, with a line for what is not a plain power-off. */
static int end_status(const struct vmm *m)
{
	const struct vm *vm = m->vm;

	if (m->killed_by) {
		log_line(LOG_WARNING, _("the machine was switched off by %s"),
			 m->by_key		 ? "Ctrl-A x" :
			 m->killed_by == SIGTERM ? "SIGTERM" :
						   "SIGINT");
		return EXIT_SIGNAL + m->killed_by;
	}
	/* What a panicked guest does next of itself (power off, reboot) is not the end that was wanted. on_event has
	 * told of the panic. */
	if (m->panicked && (vm->end_reason == VM_REQUEST_POWEROFF || vm->end_reason == VM_REQUEST_RESET))
		return EXIT_TROUBLE;
	switch (vm->end_reason) {
	case VM_REQUEST_HOST_QUIT:
	case VM_REQUEST_POWEROFF: return 0;
	case VM_REQUEST_RESET: /* what a kernel does after a panic too, and no driver need have told of that */
		log_line(LOG_WARNING,
			 _("the guest rebooted, which ends the machine (--no-reboot); its console may tell why"));
		return EXIT_REBOOT;
	case VM_REQUEST_DEBUG_EXIT: return (int)(atomic_load(&vm->debug_exit) << 1 | 1) & 0xff;
	case VM_REQUEST_TRIPLE_FAULT:
		log_line(LOG_ERROR, _("the guest's processor shut down (triple fault): its kernel is broken or not "
				      "made for this machine"));
		return EXIT_TROUBLE;
	case VM_REQUEST_ERROR: tell(m, vm->fault.text); return EXIT_TROUBLE;
	default: return EXIT_TROUBLE;
	}
}

int main(int argc, char **argv)
{
	struct vmm m = { .signal_fd = -1 };
	struct err e = { 0 };
	int status = 0;

	host_tsc_begin();
	begin_texts(argc, argv);
	if (options_parse(&m.opt, argc, argv, &e) < 0) {
		tell(&m, e.text);
		return EXIT_USAGE;
	}
	if (m.opt.help || m.opt.version) {
		if (m.opt.help)
			options_help(m.opt.by_run ? "panal run" : "panal-vmm");
		else
			puts("panal-vmm " PANAL_VERSION);
		return 0;
	}
	find_helpers(&m);
	if (build(&m, &e) < 0) {
		tell(&m, e.text);
		status = EXIT_TROUBLE;
	} else if (!m.opt.dry_run) {
		loop_run(m.loop);
		status = end_status(&m);
	}
	tear_down(&m);
	return status;
}
