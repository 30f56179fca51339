/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The domain document: libvirt's XML of a machine, as typed structs and back.
 *
 * domdef_rows.c is the one list of its names. What no row knows is kept and written again, so that a loop of define,
 * dumpxml and edit loses nothing. A document is complete after domdef_parse: identifiers, MAC addresses, controllers
 * and PCI addresses are filled in.
 *
 * Sizes are KiB where the document says KiB. Texts are UTF-8 and owned by the definition; numbers may be absent
 * (struct xnum), enums are 0 when absent. Not locked: one thread at a time per definition. Errors are negative errno
 * values with a text (without libvirt's beginning, as "XML error: "); domdef_fault gives libvirt's number for them.
 */
#ifndef PANAL_DAEMON_XML_DOMDEF_H
#define PANAL_DAEMON_XML_DOMDEF_H

#include "daemon/xml/xmap.h"

struct buf;

/* ---- values ---- */

enum dom_switch { DOM_SWITCH_ABSENT, DOM_ON, DOM_OFF }; /* "on", "off" */
enum dom_answer { DOM_ANSWER_ABSENT, DOM_YES, DOM_NO }; /* "yes", "no" */
enum dom_type { DOM_TYPE_NONE, DOM_TYPE_KVM, DOM_TYPE_QEMU };
enum dom_action { DOM_ACTION_NONE, DOM_ACTION_DESTROY, DOM_ACTION_RESTART, DOM_ACTION_PRESERVE,
		  DOM_ACTION_RENAME_RESTART, DOM_ACTION_COREDUMP_DESTROY, DOM_ACTION_COREDUMP_RESTART };
enum dom_source { DOM_SOURCE_NONE, DOM_SOURCE_FILE, DOM_SOURCE_BLOCK, DOM_SOURCE_DIR, DOM_SOURCE_NETWORK,
		  DOM_SOURCE_VOLUME, DOM_SOURCE_NVME, DOM_SOURCE_VHOSTUSER };
enum dom_disk_kind { DOM_DISK_NONE, DOM_DISK_DISK, DOM_DISK_CDROM, DOM_DISK_FLOPPY, DOM_DISK_LUN };
enum dom_bus { DOM_BUS_NONE, DOM_BUS_VIRTIO, DOM_BUS_SATA, DOM_BUS_SCSI, DOM_BUS_IDE, DOM_BUS_USB, DOM_BUS_FDC,
	       DOM_BUS_SD, DOM_BUS_PS2, DOM_BUS_XEN };
enum dom_net { DOM_NET_NONE, DOM_NET_NETWORK, DOM_NET_BRIDGE, DOM_NET_USER, DOM_NET_DIRECT, DOM_NET_ETHERNET,
	       DOM_NET_HOSTDEV, DOM_NET_VHOSTUSER, DOM_NET_SERVER, DOM_NET_CLIENT, DOM_NET_MCAST, DOM_NET_UDP,
	       DOM_NET_INTERNAL, DOM_NET_VDPA, DOM_NET_NULL };
enum dom_chr { DOM_CHR_NONE, DOM_CHR_PTY, DOM_CHR_FILE, DOM_CHR_UNIX, DOM_CHR_TCP, DOM_CHR_UDP, DOM_CHR_NULL,
	       DOM_CHR_VC, DOM_CHR_STDIO, DOM_CHR_PIPE, DOM_CHR_DEV, DOM_CHR_SPICEVMC, DOM_CHR_SPICEPORT,
	       DOM_CHR_NMDM, DOM_CHR_QEMU_VDAGENT, DOM_CHR_DBUS };
enum dom_controller { DOM_CONTROLLER_NONE, DOM_CONTROLLER_IDE, DOM_CONTROLLER_FDC, DOM_CONTROLLER_SCSI,
		      DOM_CONTROLLER_SATA, DOM_CONTROLLER_VIRTIO_SERIAL, DOM_CONTROLLER_CCID, DOM_CONTROLLER_USB,
		      DOM_CONTROLLER_PCI, DOM_CONTROLLER_XENBUS, DOM_CONTROLLER_ISA, DOM_CONTROLLER_NVME };
enum dom_address { DOM_ADDRESS_NONE, DOM_ADDRESS_PCI, DOM_ADDRESS_DRIVE, DOM_ADDRESS_VIRTIO_SERIAL, DOM_ADDRESS_CCID,
		   DOM_ADDRESS_USB, DOM_ADDRESS_ISA, DOM_ADDRESS_DIMM, DOM_ADDRESS_VIRTIO_MMIO, DOM_ADDRESS_UNASSIGNED,
		   DOM_ADDRESS_SPAPR_VIO, DOM_ADDRESS_CCW, DOM_ADDRESS_VIRTIO_S390, DOM_ADDRESS_MDEV };
enum dom_offset { DOM_OFFSET_NONE, DOM_OFFSET_UTC, DOM_OFFSET_LOCALTIME, DOM_OFFSET_TIMEZONE, DOM_OFFSET_VARIABLE,
		  DOM_OFFSET_ABSOLUTE };
enum dom_graphics { DOM_GRAPHICS_NONE, DOM_GRAPHICS_SDL, DOM_GRAPHICS_VNC, DOM_GRAPHICS_RDP, DOM_GRAPHICS_DESKTOP,
		    DOM_GRAPHICS_SPICE, DOM_GRAPHICS_EGL_HEADLESS, DOM_GRAPHICS_DBUS };

/* ---- parts ---- */

struct domdef_address {
	int type; /* enum dom_address */
	struct xnum domain, bus, slot, function; /* PCI; USB and drives use bus in decimal */
	int multifunction;                       /* enum dom_switch */
	struct xnum controller, target, unit;    /* drive */
	struct xnum base, irq, iobase;
	char *port; /* USB "1.2", virtio-serial "1" */
};

/* What every device has, at its beginning. */
struct domdev {
	XLIST(struct xraw) extra;
	char *alias; /* "net0" of a running machine, or the user's "ua-..." */
	struct xnum boot;
	struct domdef_address address;
	char *iommu, *ats, *packed, *page_per_vq; /* of a virtio device's <driver> */
};

struct domdef_source {
	char *file, *dev, *dir;               /* paths by type */
	char *protocol, *name;                /* network disk */
	char *pool, *volume, *mode;           /* volume */
	char *startup_policy;
	struct xnum index;
	XLIST(struct xraw) parts; /* hosts, auth, slices and so on, as they are */
};

struct domdef_disk {
	struct domdev dev;
	int type;   /* enum dom_source */
	int device; /* enum dom_disk_kind; filled in */
	char *model, *rawio, *sgio, *snapshot;
	char *driver, *format, *cache, *error_policy, *rerror_policy, *io, *ioeventfd, *event_idx, *copy_on_read,
		*discard, *detect_zeroes;
	struct xnum iothread, queues, queue_size;
	XLIST(struct xraw) driver_parts;
	struct domdef_source source;
	char *target; /* "vda" */
	int bus;      /* enum dom_bus; filled in from the target's name */
	char *tray, *removable, *rotation_rate;
	bool readonly, shareable, transient;
	char *serial, *wwn, *vendor, *product;
	XLIST(struct xraw) backing, mirror, geometry, blockio, iotune, encryption, auth;
};

struct domdef_controller {
	struct domdev dev;
	int type; /* enum dom_controller */
	struct xnum index;
	char *model, *model_name;
	struct xnum ports, vectors;
	struct xnum queues, cmd_per_lun, max_sectors, iothread;
	char *ioeventfd, *event_idx;
	struct xnum chassis_nr, chassis, target_port, bus_nr, node;
	char *hotplug;
	struct xnum pcihole64;
	XLIST(struct xraw) master;
};

struct domdef_interface {
	struct domdev dev;
	int type; /* enum dom_net */
	char *iface_managed, *trust;
	char *mac, *mac_type, *mac_check;
	char *network, *portgroup, *portid, *bridge, *source_dev, *mode, *path, *source_type, *source_address, *managed;
	struct xnum source_port;
	char *target, *target_managed; /* tap device on the host */
	char *model;
	char *driver, *txmode, *ioeventfd, *event_idx, *rss, *rss_hash_report;
	struct xnum queues, rx_queue_size, tx_queue_size;
	char *link; /* "up", "down" */
	char *rom_bar, *rom_file, *rom_enabled;
	struct xnum mtu;
	XLIST(struct xraw) source_parts, driver_parts, vlan, virtualport, bandwidth, ip, route, script, guest, backend,
		filterref, tune, coalesce, teaming, port, port_forward;
};

struct domdef_chr {
	struct domdev dev;
	int type; /* enum dom_chr */
	char *tty; /* consoles of a running machine */
	char *path, *mode, *host, *service, *append, *channel, *tls;
	XLIST(struct xraw) source_parts;
	char *protocol;
	char *log_file, *log_append;
	char *target_type, *target_name, *target_state, *target_address;
	struct xnum target_port;
	char *target_model;
};

struct domdef_input {
	struct domdev dev;
	char *type, *bus, *model, *evdev, *grab, *repeat, *grab_toggle;
	XLIST(struct xraw) parts;
};

struct domdef_listen {
	XLIST(struct xraw) extra;
	char *type, *address, *network, *socket;
};

struct domdef_graphics {
	struct domdev dev;
	int type; /* enum dom_graphics */
	char *port, *tls_port, *autoport, *websocket, *listen, *socket, *keymap, *passwd, *passwd_valid_to, *connected,
		*default_mode, *share_policy, *power_control, *display, *xauth, *fullscreen;
	XLIST(struct domdef_listen) listens;
	XLIST(struct xraw) parts; /* image, streaming, gl... */
};

struct domdef_video {
	struct domdev dev;
	char *driver;
	char *model, *primary, *blob, *edid;
	struct xnum ram, vram, vram64, vgamem, heads;
	XLIST(struct xraw) parts;
};

struct domdef_memballoon {
	struct domdev dev;
	char *model, *autodeflate, *free_page_reporting;
	struct xnum stats_period;
	XLIST(struct xraw) driver;
};

struct domdef_rng {
	struct domdev dev;
	char *model;
	struct xnum rate_bytes, rate_period;
	char *backend_model, *backend_type, *backend_path;
	XLIST(struct xraw) backend_parts, driver;
};

struct domdef_vsock {
	struct domdev dev;
	char *model, *cid_auto; /* "yes", "no" */
	struct xnum cid;
	XLIST(struct xraw) driver;
};

struct domdef_watchdog {
	struct domdev dev;
	char *model, *action;
};

struct domdef_tpm {
	struct domdev dev;
	char *model, *backend_type, *backend_version, *persistent, *device;
	XLIST(struct xraw) backend_parts;
};

struct domdef_hostdev {
	struct domdev dev;
	char *mode, *type, *managed, *model, *display, *ramfb, *sgio, *rawio;
	XLIST(struct xraw) source, driver, teaming, readonly, shareable, rom, capability;
};

struct domdef_filesystem {
	struct domdev dev;
	char *type, *accessmode, *model, *fmode, *dmode, *multidevs;
	char *driver, *format, *wrpolicy;
	struct xnum queue;
	char *source_dir, *source_file, *source_name, *source_dev, *source_socket;
	char *target;
	bool readonly;
	XLIST(struct xraw) binary, space;
};

/* Devices that are described by a type and model and by parts that are echoed: sound, panic, shmem, memory, audio,
 * redirdev, hub, iommu, smartcard... */
struct domdef_other {
	struct domdev dev;
	char *type, *model, *name, *id, *bus, *access, *mode, *role, *discard, *uuid;
	XLIST(struct xraw) parts;
};

struct domdef_vcpu {
	XLIST(struct xraw) extra;
	struct xnum id, order;
	char *enabled, *hotpluggable;
};

struct domdef_pin {
	XLIST(struct xraw) extra;
	struct xnum vcpu, iothread;
	char *cpuset;
};

struct domdef_sched {
	XLIST(struct xraw) extra;
	char *vcpus, *iothreads, *scheduler;
	struct xnum priority;
};

struct domdef_timer {
	XLIST(struct xraw) extra;
	char *name, *track, *tickpolicy, *mode, *present;
	struct xnum frequency;
	XLIST(struct xraw) catchup;
};

struct domdef_cpu_feature {
	XLIST(struct xraw) extra;
	char *name, *policy;
};

struct domdef_sibling {
	XLIST(struct xraw) extra;
	struct xnum id, value;
};

struct domdef_cell {
	XLIST(struct xraw) extra;
	struct xnum id;
	char *cpus;
	struct xnum memory;
	char *unit, *mem_access, *discard;
	XLIST(struct domdef_sibling) distances;
	XLIST(struct xraw) parts;
};

struct domdef_cpu {
	XLIST(struct xraw) extra;
	char *match, *mode, *check, *migratable;
	char *model, *fallback, *vendor_id;
	char *vendor;
	struct xnum sockets, dies, clusters, cores, threads;
	struct xnum cache_level;
	char *cache_mode;
	XLIST(struct domdef_cpu_feature) features;
	XLIST(struct domdef_cell) cells;
	XLIST(struct xraw) maxphysaddr, interconnects, microcode;
};

struct domdef_boot {
	XLIST(struct xraw) extra;
	char *dev; /* fd, hd, cdrom, network */
};

struct domdef_hugepage {
	XLIST(struct xraw) extra;
	char *size, *unit, *nodeset;
};

struct domdef_iothread {
	XLIST(struct xraw) extra;
	struct xnum id, pool_min, pool_max;
};

struct domdef_memnode {
	XLIST(struct xraw) extra;
	struct xnum cell;
	char *mode, *nodeset;
};

struct domdef_blkio_device {
	XLIST(struct xraw) extra;
	char *path;
	struct xnum weight, read_iops, write_iops, read_bytes, write_bytes;
};

struct domdef_seclabel {
	XLIST(struct xraw) extra;
	char *type, *model, *relabel, *label, *imagelabel, *baselabel;
};

struct domdef_os {
	char *firmware; /* "efi", "bios" */
	char *type, *arch, *machine;
	XLIST(struct xraw) firmware_parts;
	char *loader, *loader_readonly, *loader_type, *loader_secure, *loader_stateless;
	char *nvram, *nvram_template;
	XLIST(struct xraw) nvram_parts;
	char *kernel, *initrd, *cmdline, *dtb;
	XLIST(struct xraw) acpi;
	XLIST(struct domdef_boot) boot;
	char *bootmenu;
	struct xnum bootmenu_timeout;
	char *smbios_mode;
	char *bios_useserial, *bios_reboot_timeout;
	XLIST(struct xraw) init;
};

struct domdef_features {
	bool present;
	bool pae, acpi, viridian, privnet;
	char *pmu, *vmport;
	XLIST(struct xraw) apic, hyperv, kvm, xen, others;
};

struct domdef {
	XLIST(struct xraw) extra;
	int type;         /* enum dom_type */
	struct xnum id;   /* of a running machine */
	char *name;
	struct xuuid uuid;
	XLIST(struct xraw) genid;
	char *title, *description;
	char *bootloader, *bootloader_args; /* the kernel is the one on the first disk */
	XLIST(struct xraw) metadata; /* elements of any namespace, one for each */
	struct xnum memory, current_memory, max_memory; /* KiB */
	struct xnum max_memory_slots;
	char *dump_core;
	struct {
		struct xnum weight;
		XLIST(struct domdef_blkio_device) device;
	} blkio;
	struct xnum hard_limit, soft_limit, swap_hard_limit, min_guarantee; /* KiB */
	struct {
		bool hugepages, nosharepages, locked;
		XLIST(struct domdef_hugepage) page;
		char *source, *access, *allocation;
		struct xnum allocation_threads;
		bool discard;
	} backing;
	struct xnum vcpu, vcpu_current; /* maximum, and at start */
	char *vcpu_placement, *cpuset;
	XLIST(struct domdef_vcpu) vcpus;
	struct xnum iothreads;
	XLIST(struct domdef_iothread) iothread;
	XLIST(struct xraw) iothread_parts;
	struct {
		struct xnum shares, period, global_period, emulator_period, iothread_period;
		char *quota, *global_quota, *emulator_quota, *iothread_quota; /* -1: no limit */
		XLIST(struct domdef_pin) vcpupin, iothreadpin;
		char *emulatorpin;
		XLIST(struct domdef_sched) vcpusched, iothreadsched;
		XLIST(struct xraw) others;
	} cputune;
	struct {
		char *mode, *nodeset, *placement;
		XLIST(struct domdef_memnode) node;
	} numatune;
	char *partition;
	XLIST(struct xraw) resource_parts, sysinfo;
	struct domdef_os os;
	XLIST(struct xraw) idmap;
	struct domdef_features features;
	struct domdef_cpu *cpu; /* or NULL */
	struct {
		int offset; /* enum dom_offset */
		char *adjustment, *basis, *timezone, *start;
		XLIST(struct domdef_timer) timer;
	} clock;
	int on_poweroff, on_reboot, on_crash; /* enum dom_action */
	char *on_lockfailure;
	char *suspend_to_mem, *suspend_to_disk;
	XLIST(struct xraw) perf;
	char *emulator;
	XLIST(struct domdef_disk) disks;
	XLIST(struct domdef_controller) controllers;
	XLIST(struct xraw) leases;
	XLIST(struct domdef_filesystem) filesystems;
	XLIST(struct domdef_interface) interfaces;
	XLIST(struct domdef_other) smartcards;
	XLIST(struct domdef_chr) serials, parallels, consoles, channels;
	XLIST(struct domdef_input) inputs;
	XLIST(struct domdef_tpm) tpms;
	XLIST(struct domdef_graphics) graphics;
	XLIST(struct domdef_other) sounds, audios;
	XLIST(struct domdef_video) videos;
	XLIST(struct domdef_hostdev) hostdevs;
	XLIST(struct domdef_other) redirdevs;
	XLIST(struct xraw) redirfilters;
	XLIST(struct domdef_other) hubs;
	XLIST(struct domdef_watchdog) watchdogs;
	XLIST(struct domdef_memballoon) memballoons;
	XLIST(struct domdef_rng) rngs;
	XLIST(struct domdef_other) nvrams, panics, shmems, memories, iommus, cryptos;
	XLIST(struct domdef_vsock) vsocks;
	XLIST(struct domdef_seclabel) seclabels;
	XLIST(struct xraw) keywrap, launch_security, throttlegroups;
};

/* ---- whole documents ---- */

enum {
	/* With the live parts of a running machine (id, aliases, ports, tap names); else they are left out. */
	DOMDEF_PARSE_LIVE = 1,
	/* What no row knows is an error (libvirt's VIR_DOMAIN_DEFINE_VALIDATE). */
	DOMDEF_PARSE_VALIDATE = 2,
	/* As the document says; nothing is filled in or checked beyond single values. */
	DOMDEF_PARSE_RAW = 4,

	/* virDomainXMLFlags, as clients send them. */
	DOMDEF_FORMAT_SECURE = 1,
	DOMDEF_FORMAT_INACTIVE = 2,
	DOMDEF_FORMAT_UPDATE_CPU = 4,
	DOMDEF_FORMAT_MIGRATABLE = 8,
};

/* len bytes of text, no zero needed. *out is NULL after a failure. Errors: -EILSEQ, -EBADMSG, -EPROTO, -ENOTSUP,
 * -ENOMEM. */
int domdef_parse(struct domdef **out, const char *xml, size_t len, unsigned flags, struct err *e) ATTR_MUST_USE;
/* The document; free it. Unknown flags are ignored. NULL: out of memory. */
char *domdef_format(const struct domdef *d, unsigned flags) ATTR_MUST_USE;
/* NULL is allowed. */
void domdef_free(struct domdef *d);
/* A copy with everything, secrets and live parts too. NULL: out of memory. */
struct domdef *domdef_copy(const struct domdef *d) ATTR_MUST_USE;
/* libvirt's error number (virErrorNumber) for what a function of this room returned. */
int domdef_fault(int ret);

/* Fills in what a client leaves out; domdef_parse calls it. Repeating it changes nothing. Errors as domdef_parse. */
int domdef_fill(struct domdef *d, struct err *e) ATTR_MUST_USE;
/* Gives each device without one its alias of a running machine ("net0"). -ENOMEM. */
int domdef_assign_aliases(struct domdef *d) ATTR_MUST_USE;

/* ---- metadata (calls 264 and 265, of networks 444 and 445) ---- */

/* The same of any document's list of metadata, an XLIST(struct xraw). */
const char *metadata_get(const void *list, const char *uri);
int metadata_set(void *list, const char *key, const char *uri, const char *xml, struct err *e) ATTR_MUST_USE;

/* The element of the namespace, or NULL. Borrowed. */
const char *domdef_metadata(const struct domdef *d, const char *uri);
/* Sets the element of the namespace; prefix (key) and uri are declared on it when it does not. xml NULL removes.
 * Errors: -EILSEQ, -EINVAL (key missing). */
int domdef_metadata_set(struct domdef *d, const char *key, const char *uri, const char *xml,
			struct err *e) ATTR_MUST_USE;

/* ---- devices ---- */

/* A kind of device is the row of its list in <devices>. Lists of raw elements are no kinds. */
struct domdef_kind {
	const char *name;       /* of the element */
	const struct xmap *map; /* of the device */
	size_t list;            /* offset of the list in struct domdef */
	const char *alias;      /* what live aliases begin with */
};
/* Ended by name == NULL, in the order of the document. */
extern const struct domdef_kind domdef_kinds[];
const struct domdef_kind *domdef_kind_find(const char *name);
static inline struct xlist *domdef_list(const struct domdef *d, const struct domdef_kind *k)
{
	return (struct xlist *)((char *)d + k->list);
}
/* Calls f for each device until it returns what is not 0, which is returned. */
int domdef_each(struct domdef *d, int (*f)(void *opaque, const struct domdef_kind *k, struct domdev *dev),
		void *opaque);

/* A device by itself, as clients send it for attach, detach and update. */
struct domdef_device {
	const struct domdef_kind *kind;
	struct domdev *dev;
};
int domdef_device_parse(struct domdef_device *out, const char *xml, size_t len, unsigned flags, struct err *e)
	ATTR_MUST_USE;
char *domdef_device_format(const struct domdef_device *dev, unsigned flags);
void domdef_device_free(struct domdef_device *dev);
/* The device of d that the snippet means: alias, else target (disk), MAC or address (interface), and so on.
 * -1: none; -2: more than one could be meant. */
int domdef_device_find(const struct domdef *d, const struct domdef_device *dev);
/* Moves the device into d, and fills in what it lacks. On failure the caller keeps it. Errors: -EEXIST (target or
 * MAC in use), as domdef_fill. */
int domdef_device_attach(struct domdef *d, struct domdef_device *dev, struct err *e) ATTR_MUST_USE;
/* Removes the device that the snippet means. Errors: -ENODEV, -EBADMSG (more than one). */
int domdef_device_detach(struct domdef *d, const struct domdef_device *dev, struct err *e) ATTR_MUST_USE;
/* Puts the snippet in the place of the device that it means: libvirt lets an update change a CD's medium, a link's
 * state, a graphics password; what else differs is refused unless the definition is not running (live false).
 * Takes dev on success. Errors: -ENODEV, -ENOTSUP. */
int domdef_device_update(struct domdef *d, struct domdef_device *dev, bool live, struct err *e) ATTR_MUST_USE;

/* An address of our own for a card. -ENOMEM. */
int domdef_random_mac(char **mac) ATTR_MUST_USE;
/* A machine has root ports with a slot each for a device that comes and goes; the controllers of the document with the
 * index 1 and so on are they. It has at least so many, and so many that are free at its start, up to the last. */
enum { DOMDEF_PORTS = 8, DOMDEF_PORTS_FREE = 4, DOMDEF_PORTS_MAX = 16 };
unsigned domdef_ports(const struct domdef *d);
/* Names those that the document of a machine that is to run does not name. -ENOMEM. */
int domdef_name_ports(struct domdef *d, struct err *e) ATTR_MUST_USE;
/* Gives a device that is to come a port that is free, or checks the one that it asks for. What is not on PCI is left
 * alone. Errors: -ENOSPC (no port is free), -ENOTSUP (it cannot be where it asks for). */
int domdef_place_at_port(const struct domdef *d, struct domdef_device *dev, struct err *e) ATTR_MUST_USE;

/* ---- the machine that panal-vmm makes of it ---- */

/* What panal-vmm calls a disk and a card: by target and address, which are unique in a machine and stay. False: it has
 * none that will do. */
enum { DOMDEF_ID_MAX = 32 };
bool domdef_disk_id(const struct domdef_disk *k, char out[DOMDEF_ID_MAX]);
bool domdef_nic_id(const struct domdef_interface *i, char out[DOMDEF_ID_MAX]);

/* What the daemon prepared for this start. Strings are borrowed. */
struct domdef_place {
	const char *control;                     /* socket of the control protocol */
	const char *serial, *console;            /* chardev texts ("pty:PATH") for a serial and console of type pty;
						  * NULL: none is connected */
	const char *nvram;                       /* file for UEFI's variables where the document names none */
	const char *vsock;                       /* unix socket of the vsock's host side */
	const char *(*tap)(void *opaque, const struct domdef_interface *i); /* tap device of an interface, or NULL */
	const char *(*volume)(void *opaque, const struct domdef_disk *k);   /* path of a disk of type volume, or NULL */
	void *opaque;
	const char *file;   /* what a disk's path is instead; NULL: its own */
	const char *helper; /* where a user network's helper is that runs already; NULL: nowhere */
	const char *channel; /* what channels whose document names no socket will have; NULL: nothing */
	bool limits;         /* the daemon holds the machine to the document's limits */
	bool paused;
};

/* Takes out of the document of a machine that starts what clients would connect to and that is not served.
 * False: there was nothing. */
bool domdef_drop_displays(struct domdef *d);

/* Whether a channel is one that there can be: a named port of virtio-serial on a socket of ours. */
bool domdef_channel_possible(const struct domdef_chr *c);

struct domdef_args {
	char **argv; /* without the program itself; ended by NULL */
	unsigned argc;
	char **note; /* what the machine does not have although the document names it, a line each; ended by NULL */
	unsigned note_count;
};

/* The arguments of panal-vmm. Errors: -ENOTSUP (the text names the element and what is possible), -ENOMEM. */
int domdef_vmm_args(struct domdef_args *out, const struct domdef *d, const struct domdef_place *place, struct err *e)
	ATTR_MUST_USE;
void domdef_args_free(struct domdef_args *a);
/* Appends ",forward=PROTO:[ADDRESS:]HOST:GUEST" for each port that the card forwards. -ENOTSUP: not possible. */
int domdef_forwards(const struct domdef_interface *i, struct buf *out, struct err *e) ATTR_MUST_USE;

/* What panal-vmm calls the device in device_del: false: it has no name there. */
bool domdef_device_id(const struct domdef_kind *k, const struct domdev *dev, char out[DOMDEF_ID_MAX]);
/* The option of panal-vmm ("--disk=...") for a device of d that is to come while the machine runs; free it. *port: its
 * root port, from 1 on; 0: it is not on PCI. Errors: -ENOTSUP (such a device cannot come), -ENOMEM. */
int domdef_vmm_device(char **option, unsigned *port, const struct domdef *d, const struct domdef_kind *k,
		      const struct domdev *dev, const struct domdef_place *place, struct err *e) ATTR_MUST_USE;

extern const struct xmap domdef_map;

#endif
