/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every name of the domain document that is known, in the order of writing. */
#include "daemon/xml/domdef.h"

static const char *const switches[] = { "", "on", "off", NULL };
static const char *const types[] = { "", "kvm", "qemu", NULL };
static const char *const actions[] = { "", "destroy", "restart", "preserve", "rename-restart", "coredump-destroy",
				       "coredump-restart", NULL };
static const char *const sources[] = { "", "file", "block", "dir", "network", "volume", "nvme", "vhostuser", NULL };
static const char *const disk_kinds[] = { "", "disk", "cdrom", "floppy", "lun", NULL };
static const char *const buses[] = { "", "virtio", "sata", "scsi", "ide", "usb", "fdc", "sd", "ps2", "xen", NULL };
static const char *const nets[] = { "", "network", "bridge", "user", "direct", "ethernet", "hostdev", "vhostuser",
				    "server", "client", "mcast", "udp", "internal", "vdpa", "null", NULL };
static const char *const chrs[] = { "", "pty", "file", "unix", "tcp", "udp", "null", "vc", "stdio", "pipe", "dev",
				    "spicevmc", "spiceport", "nmdm", "qemu-vdagent", "dbus", NULL };
static const char *const controllers[] = { "", "ide", "fdc", "scsi", "sata", "virtio-serial", "ccid", "usb", "pci",
					   "xenbus", "isa", "nvme", NULL };
static const char *const addresses[] = { "", "pci", "drive", "virtio-serial", "ccid", "usb", "isa", "dimm",
					 "virtio-mmio", "unassigned", "spapr-vio", "ccw", "virtio-s390", "mdev", NULL };
static const char *const offsets[] = { "", "utc", "localtime", "timezone", "variable", "absolute", NULL };
static const char *const graphics_types[] = { "", "sdl", "vnc", "rdp", "desktop", "spice", "egl-headless", "dbus",
					      NULL };

#define EXTRA .extra = offsetof(T, extra)
#define DEV_EXTRA .extra = offsetof(T, dev) + offsetof(struct domdev, extra)

/* ---- what devices share ---- */

#define T struct domdev
static const struct xrow address_rows[] = {
	XENUM(ATTR, "type", address.type, addresses, .flags = XF_REQUIRED),
	XHEX(ATTR, "domain", address.domain, 4),
	XNUM(ATTR, "controller", address.controller),
	XNUM(ATTR, "bus", address.bus),
	XNUM(ATTR, "target", address.target),
	XNUM(ATTR, "unit", address.unit),
	XSTR(ATTR, "port", address.port),
	XNUM(ATTR, "slot", address.slot),
	XHEX(ATTR, "function", address.function, 1),
	XENUM(ATTR, "multifunction", address.multifunction, switches),
	XHEX(ATTR, "base", address.base, 8),
	XHEX(ATTR, "iobase", address.iobase, 1),
	XHEX(ATTR, "irq", address.irq, 1),
	XEND
};
static const struct xrow boot_order_rows[] = { XNUM(ATTR, "order", boot, .flags = XF_REQUIRED), XEND };
static const struct xrow alias_rows[] = { XSTR(ATTR, "name", alias), XEND };
static const struct xrow virtio_rows[] = {
	XSTR(ATTR, "iommu", iommu), XSTR(ATTR, "ats", ats), XSTR(ATTR, "packed", packed),
	XSTR(ATTR, "page_per_vq", page_per_vq), XEND
};
static const struct xrow dev_rows[] = {
	XGROUP("boot", boot_order_rows),
	XGROUP("alias", alias_rows),
	XGROUP("address", address_rows),
	XEND
};
#undef T

/* ---- disks ---- */

#define T struct domdef_disk
static const struct xrow disk_driver_rows[] = {
	XSTR(ATTR, "name", driver), XSTR(ATTR, "type", format), XSTR(ATTR, "cache", cache),
	XSTR(ATTR, "error_policy", error_policy), XSTR(ATTR, "rerror_policy", rerror_policy), XSTR(ATTR, "io", io),
	XSTR(ATTR, "ioeventfd", ioeventfd), XSTR(ATTR, "event_idx", event_idx),
	XSTR(ATTR, "copy_on_read", copy_on_read), XSTR(ATTR, "discard", discard), XNUM(ATTR, "iothread", iothread),
	XSTR(ATTR, "detect_zeroes", detect_zeroes), XNUM(ATTR, "queues", queues), XNUM(ATTR, "queue_size", queue_size),
	XRAW("metadata_cache", driver_parts), XEMBED(dev, virtio_rows), XEND
};
static const struct xrow source_rows[] = {
	XSTR(ATTR, "protocol", source.protocol), XSTR(ATTR, "name", source.name), XSTR(ATTR, "file", source.file),
	XSTR(ATTR, "dev", source.dev), XSTR(ATTR, "dir", source.dir), XSTR(ATTR, "pool", source.pool),
	XSTR(ATTR, "volume", source.volume), XSTR(ATTR, "mode", source.mode),
	XSTR(ATTR, "startupPolicy", source.startup_policy), XNUM(ATTR, "index", source.index, .flags = XF_LIVE),
	XRAW("host", source.parts), XRAW("auth", source.parts), XRAW("encryption", source.parts),
	XRAW("reservations", source.parts), XRAW("slices", source.parts), XRAW("seclabel", source.parts),
	XRAW("ssl", source.parts), XRAW("cookies", source.parts), XRAW("readahead", source.parts),
	XRAW("timeout", source.parts), XRAW("snapshot", source.parts), XRAW("config", source.parts),
	XRAW("initiator", source.parts), XRAW("reconnect", source.parts), XRAW("identity", source.parts),
	XEND
};
static const struct xrow disk_target_rows[] = {
	XSTR(ATTR, "dev", target, .flags = XF_REQUIRED), XENUM(ATTR, "bus", bus, buses), XSTR(ATTR, "tray", tray),
	XSTR(ATTR, "removable", removable), XSTR(ATTR, "rotation_rate", rotation_rate), XEND
};
static const struct xrow disk_rows[] = {
	XENUM(ATTR, "type", type, sources), XENUM(ATTR, "device", device, disk_kinds), XSTR(ATTR, "model", model),
	XSTR(ATTR, "rawio", rawio), XSTR(ATTR, "sgio", sgio), XSTR(ATTR, "snapshot", snapshot),
	XGROUP("driver", disk_driver_rows),
	XRAW("auth", auth),
	XGROUP("source", source_rows),
	XRAW("backingStore", backing),
	XRAW("geometry", geometry),
	XRAW("blockio", blockio),
	XRAW("mirror", mirror, .flags = XF_LIVE),
	XGROUP("target", disk_target_rows, .flags = XF_REQUIRED),
	XRAW("iotune", iotune),
	XFLAG("readonly", readonly), XFLAG("shareable", shareable), XFLAG("transient", transient),
	XSTR(ELEM, "serial", serial), XSTR(ELEM, "wwn", wwn), XSTR(ELEM, "vendor", vendor),
	XSTR(ELEM, "product", product),
	XRAW("encryption", encryption),
	XEMBED(dev, dev_rows),
	XEND
};
static const struct xmap disk_map = { "disk", sizeof(T), DEV_EXTRA, disk_rows };
#undef T

/* ---- controllers ---- */

#define T struct domdef_controller
static const struct xrow controller_driver_rows[] = {
	XNUM(ATTR, "queues", queues), XNUM(ATTR, "cmd_per_lun", cmd_per_lun), XNUM(ATTR, "max_sectors", max_sectors),
	XNUM(ATTR, "iothread", iothread), XSTR(ATTR, "ioeventfd", ioeventfd), XSTR(ATTR, "event_idx", event_idx),
	XRAW("iothreads", master), XEMBED(dev, virtio_rows), XEND
};
static const struct xrow controller_model_rows[] = { XSTR(ATTR, "name", model_name), XEND };
static const struct xrow controller_target_rows[] = {
	XNUM(ATTR, "chassisNr", chassis_nr), XNUM(ATTR, "chassis", chassis),
	XHEX(ATTR, "port", target_port, 1), XNUM(ATTR, "busNr", bus_nr), XSTR(ATTR, "hotplug", hotplug),
	XNUM(ELEM, "node", node), XEND
};
static const struct xrow controller_rows[] = {
	XENUM(ATTR, "type", type, controllers, .flags = XF_REQUIRED), XNUM(ATTR, "index", index),
	XSTR(ATTR, "model", model), XNUM(ATTR, "ports", ports), XNUM(ATTR, "vectors", vectors),
	XGROUP("driver", controller_driver_rows),
	XGROUP("model", controller_model_rows),
	XGROUP("target", controller_target_rows),
	XKIB(ELEM, "pcihole64", pcihole64),
	XRAW("master", master),
	XEMBED(dev, dev_rows),
	XEND
};
static const struct xmap controller_map = { "controller", sizeof(T), DEV_EXTRA, controller_rows };
#undef T

/* ---- interfaces ---- */

#define T struct domdef_interface
static const struct xrow mac_rows[] = {
	XMAC(ATTR, "address", mac, .flags = XF_REQUIRED), XSTR(ATTR, "type", mac_type), XSTR(ATTR, "check", mac_check),
	XEND
};
static const struct xrow net_source_rows[] = {
	XSTR(ATTR, "type", source_type), XSTR(ATTR, "path", path), XSTR(ATTR, "network", network),
	XSTR(ATTR, "portgroup", portgroup), XSTR(ATTR, "bridge", bridge), XSTR(ATTR, "dev", source_dev),
	XSTR(ATTR, "mode", mode), XSTR(ATTR, "portid", portid, .flags = XF_LIVE), XSTR(ATTR, "managed", managed),
	XSTR(ATTR, "address", source_address), XNUM(ATTR, "port", source_port), XRAW("address", source_parts),
	XRAW("reconnect", source_parts), XRAW("ip", source_parts), XRAW("route", source_parts),
	XRAW("local", source_parts), XEND
};
static const struct xrow net_target_rows[] = {
	XSTR(ATTR, "dev", target), XSTR(ATTR, "managed", target_managed), XEND
};
static const struct xrow net_model_rows[] = { XSTR(ATTR, "type", model), XEND };
static const struct xrow net_driver_rows[] = {
	XSTR(ATTR, "name", driver), XSTR(ATTR, "txmode", txmode), XSTR(ATTR, "ioeventfd", ioeventfd),
	XSTR(ATTR, "event_idx", event_idx), XNUM(ATTR, "queues", queues), XNUM(ATTR, "rx_queue_size", rx_queue_size),
	XNUM(ATTR, "tx_queue_size", tx_queue_size), XRAW("host", driver_parts), XRAW("guest", driver_parts),
	XSTR(ATTR, "rss", rss), XSTR(ATTR, "rss_hash_report", rss_hash_report), XEMBED(dev, virtio_rows), XEND
};
static const struct xrow link_rows[] = { XSTR(ATTR, "state", link), XEND };
static const struct xrow mtu_rows[] = { XNUM(ATTR, "size", mtu), XEND };
static const struct xrow rom_rows[] = {
	XSTR(ATTR, "bar", rom_bar), XSTR(ATTR, "file", rom_file), XSTR(ATTR, "enabled", rom_enabled), XEND
};
static const struct xrow interface_rows[] = {
	XENUM(ATTR, "type", type, nets, .flags = XF_REQUIRED), XSTR(ATTR, "managed", iface_managed),
	XSTR(ATTR, "trustGuestRxFilters", trust),
	XGROUP("mac", mac_rows),
	XGROUP("source", net_source_rows),
	XRAW("vlan", vlan), XRAW("virtualport", virtualport), XRAW("ip", ip), XRAW("route", route),
	XRAW("portForward", port_forward), XRAW("script", script),
	XGROUP("target", net_target_rows),
	XRAW("guest", guest),
	XGROUP("model", net_model_rows),
	XGROUP("driver", net_driver_rows),
	XRAW("backend", backend), XRAW("filterref", filterref), XRAW("tune", tune),
	XGROUP("link", link_rows),
	XRAW("bandwidth", bandwidth),
	XGROUP("mtu", mtu_rows),
	XRAW("coalesce", coalesce), XRAW("teaming", teaming), XRAW("port", port),
	XGROUP("rom", rom_rows), XEMBED(dev, dev_rows),
	XEND
};
static const struct xmap interface_map = { "interface", sizeof(T), DEV_EXTRA, interface_rows };
#undef T

/* ---- serial ports, consoles, channels ---- */

#define T struct domdef_chr
static const struct xrow chr_source_rows[] = {
	XSTR(ATTR, "mode", mode), XSTR(ATTR, "host", host), XSTR(ATTR, "service", service), XSTR(ATTR, "path", path),
	XSTR(ATTR, "channel", channel), XSTR(ATTR, "append", append), XSTR(ATTR, "tls", tls),
	XRAW("seclabel", source_parts), XRAW("reconnect", source_parts), XRAW("clipboard", source_parts),
	XRAW("mouse", source_parts), XEND
};
static const struct xrow protocol_rows[] = { XSTR(ATTR, "type", protocol), XEND };
static const struct xrow log_rows[] = { XSTR(ATTR, "file", log_file), XSTR(ATTR, "append", log_append), XEND };
static const struct xrow chr_target_model_rows[] = { XSTR(ATTR, "name", target_model), XEND };
static const struct xrow chr_target_rows[] = {
	XSTR(ATTR, "type", target_type), XSTR(ATTR, "name", target_name), XSTR(ATTR, "address", target_address),
	XNUM(ATTR, "port", target_port), XSTR(ATTR, "state", target_state, .flags = XF_LIVE),
	XGROUP("model", chr_target_model_rows), XEND
};
static const struct xrow chr_rows[] = {
	XENUM(ATTR, "type", type, chrs, .flags = XF_REQUIRED), XSTR(ATTR, "tty", tty, .flags = XF_LIVE),
	XGROUP("source", chr_source_rows, .flags = XF_FIRST), /* UDP has two */
	XGROUP("protocol", protocol_rows),
	XGROUP("log", log_rows),
	XGROUP("target", chr_target_rows),
	XEMBED(dev, dev_rows),
	XEND
};
static const struct xmap serial_map = { "serial", sizeof(T), DEV_EXTRA, chr_rows };
static const struct xmap parallel_map = { "parallel", sizeof(T), DEV_EXTRA, chr_rows };
static const struct xmap console_map = { "console", sizeof(T), DEV_EXTRA, chr_rows };
static const struct xmap channel_map = { "channel", sizeof(T), DEV_EXTRA, chr_rows };
#undef T

/* ---- what people see and touch ---- */

#define T struct domdef_input
static const struct xrow input_source_rows[] = {
	XSTR(ATTR, "dev", evdev), XSTR(ATTR, "grab", grab),
	XSTR(ATTR, "grabToggle", grab_toggle), XSTR(ATTR, "repeat", repeat), XEND
};
static const struct xrow input_rows[] = {
	XSTR(ATTR, "type", type, .flags = XF_REQUIRED), XSTR(ATTR, "bus", bus), XSTR(ATTR, "model", model),
	XRAW("driver", parts), XGROUP("source", input_source_rows), XEMBED(dev, dev_rows), XEND
};
static const struct xmap input_map = { "input", sizeof(T), DEV_EXTRA, input_rows };
#undef T

#define T struct domdef_listen
static const struct xrow listen_rows[] = {
	XSTR(ATTR, "type", type, .flags = XF_REQUIRED), XSTR(ATTR, "address", address), XSTR(ATTR, "network", network),
	XSTR(ATTR, "socket", socket), XEND
};
static const struct xmap listen_map = { "listen", sizeof(T), EXTRA, listen_rows };
#undef T

#define T struct domdef_graphics
static const struct xrow graphics_rows[] = {
	XENUM(ATTR, "type", type, graphics_types, .flags = XF_REQUIRED), XSTR(ATTR, "socket", socket),
	XSTR(ATTR, "port", port), XSTR(ATTR, "tlsPort", tls_port), XSTR(ATTR, "autoport", autoport),
	XSTR(ATTR, "websocket", websocket), XSTR(ATTR, "listen", listen), XSTR(ATTR, "keymap", keymap),
	XSTR(ATTR, "passwd", passwd, .flags = XF_SECRET),
	XSTR(ATTR, "passwdValidTo", passwd_valid_to, .flags = XF_SECRET), XSTR(ATTR, "connected", connected),
	XSTR(ATTR, "sharePolicy", share_policy), XSTR(ATTR, "powerControl", power_control),
	XSTR(ATTR, "display", display), XSTR(ATTR, "xauth", xauth), XSTR(ATTR, "fullscreen", fullscreen),
	XSTR(ATTR, "defaultMode", default_mode),
	XMANY("listen", listens, listen_map),
	XRAW("channel", parts), XRAW("image", parts), XRAW("jpeg", parts), XRAW("zlib", parts), XRAW("playback", parts),
	XRAW("streaming", parts), XRAW("mouse", parts), XRAW("clipboard", parts), XRAW("filetransfer", parts),
	XRAW("gl", parts), XRAW("audio", parts),
	XEMBED(dev, dev_rows),
	XEND
};
static const struct xmap graphics_map = { "graphics", sizeof(T), DEV_EXTRA, graphics_rows };
#undef T

#define T struct domdef_video
static const struct xrow video_driver_rows[] = { XSTR(ATTR, "name", driver), XEND };
static const struct xrow video_model_rows[] = {
	XSTR(ATTR, "type", model, .flags = XF_REQUIRED), XNUM(ATTR, "ram", ram), XNUM(ATTR, "vram", vram),
	XNUM(ATTR, "vram64", vram64), XNUM(ATTR, "vgamem", vgamem), XNUM(ATTR, "heads", heads),
	XSTR(ATTR, "primary", primary), XSTR(ATTR, "blob", blob), XSTR(ATTR, "edid", edid),
	XRAW("acceleration", parts), XRAW("resolution", parts), XEND
};
static const struct xrow video_rows[] = {
	XGROUP("driver", video_driver_rows), XGROUP("model", video_model_rows), XEMBED(dev, dev_rows), XEND
};
static const struct xmap video_map = { "video", sizeof(T), DEV_EXTRA, video_rows };
#undef T

/* ---- small devices ---- */

#define T struct domdef_memballoon
static const struct xrow balloon_stats_rows[] = { XNUM(ATTR, "period", stats_period), XEND };
static const struct xrow memballoon_rows[] = {
	XSTR(ATTR, "model", model, .flags = XF_REQUIRED), XSTR(ATTR, "autodeflate", autodeflate),
	XSTR(ATTR, "freePageReporting", free_page_reporting), XGROUP("stats", balloon_stats_rows),
	XEMBED(dev, dev_rows), XRAW("driver", driver), XEND
};
static const struct xmap memballoon_map = { "memballoon", sizeof(T), DEV_EXTRA, memballoon_rows };
#undef T

#define T struct domdef_rng
static const struct xrow rng_rate_rows[] = { XNUM(ATTR, "bytes", rate_bytes), XNUM(ATTR, "period", rate_period), XEND };
static const struct xrow rng_backend_rows[] = {
	XSTR(ATTR, "model", backend_model, .flags = XF_REQUIRED), XSTR(ATTR, "type", backend_type),
	XSTR(TEXT, "", backend_path), XRAW("source", backend_parts), XRAW("protocol", backend_parts), XEND
};
static const struct xrow rng_rows[] = {
	XSTR(ATTR, "model", model, .flags = XF_REQUIRED), XGROUP("rate", rng_rate_rows),
	XGROUP("backend", rng_backend_rows), XRAW("driver", driver), XEMBED(dev, dev_rows), XEND
};
static const struct xmap rng_map = { "rng", sizeof(T), DEV_EXTRA, rng_rows };
#undef T

#define T struct domdef_vsock
static const struct xrow cid_rows[] = { XSTR(ATTR, "auto", cid_auto), XNUM(ATTR, "address", cid), XEND };
static const struct xrow vsock_rows[] = {
	XSTR(ATTR, "model", model), XGROUP("cid", cid_rows), XRAW("driver", driver), XEMBED(dev, dev_rows), XEND
};
static const struct xmap vsock_map = { "vsock", sizeof(T), DEV_EXTRA, vsock_rows };
#undef T

#define T struct domdef_watchdog
static const struct xrow watchdog_rows[] = {
	XSTR(ATTR, "model", model, .flags = XF_REQUIRED), XSTR(ATTR, "action", action), XEMBED(dev, dev_rows), XEND
};
static const struct xmap watchdog_map = { "watchdog", sizeof(T), DEV_EXTRA, watchdog_rows };
#undef T

#define T struct domdef_tpm
static const struct xrow tpm_device_rows[] = { XSTR(ATTR, "path", device), XEND };
static const struct xrow tpm_backend_rows[] = {
	XSTR(ATTR, "type", backend_type, .flags = XF_REQUIRED), XSTR(ATTR, "version", backend_version),
	XSTR(ATTR, "persistent_state", persistent), XGROUP("device", tpm_device_rows),
	XRAW("encryption", backend_parts), XRAW("active_pcr_banks", backend_parts), XRAW("source", backend_parts), XEND
};
static const struct xrow tpm_rows[] = {
	XSTR(ATTR, "model", model), XGROUP("backend", tpm_backend_rows), XEMBED(dev, dev_rows), XEND
};
static const struct xmap tpm_map = { "tpm", sizeof(T), DEV_EXTRA, tpm_rows };
#undef T

#define T struct domdef_hostdev
static const struct xrow hostdev_rows[] = {
	XSTR(ATTR, "mode", mode), XSTR(ATTR, "type", type), XSTR(ATTR, "managed", managed), XSTR(ATTR, "sgio", sgio),
	XSTR(ATTR, "rawio", rawio), XSTR(ATTR, "model", model), XSTR(ATTR, "display", display),
	XSTR(ATTR, "ramfb", ramfb), XRAW("driver", driver), XRAW("source", source), XRAW("ip", capability),
	XRAW("teaming", teaming), XRAW("readonly", readonly), XRAW("shareable", shareable), XRAW("rom", rom),
	XEMBED(dev, dev_rows), XEND
};
static const struct xmap hostdev_map = { "hostdev", sizeof(T), DEV_EXTRA, hostdev_rows };
#undef T

#define T struct domdef_filesystem
static const struct xrow fs_driver_rows[] = {
	XSTR(ATTR, "type", driver), XSTR(ATTR, "format", format), XSTR(ATTR, "wrpolicy", wrpolicy),
	XNUM(ATTR, "queue", queue), XEMBED(dev, virtio_rows), XEND
};
static const struct xrow fs_source_rows[] = {
	XSTR(ATTR, "dir", source_dir), XSTR(ATTR, "file", source_file), XSTR(ATTR, "name", source_name),
	XSTR(ATTR, "dev", source_dev), XSTR(ATTR, "socket", source_socket), XEND
};
static const struct xrow fs_target_rows[] = { XSTR(ATTR, "dir", target, .flags = XF_REQUIRED), XEND };
static const struct xrow filesystem_rows[] = {
	XSTR(ATTR, "type", type), XSTR(ATTR, "accessmode", accessmode), XSTR(ATTR, "model", model),
	XSTR(ATTR, "multidevs", multidevs), XSTR(ATTR, "fmode", fmode), XSTR(ATTR, "dmode", dmode),
	XGROUP("driver", fs_driver_rows), XRAW("binary", binary), XGROUP("source", fs_source_rows),
	XGROUP("target", fs_target_rows), XFLAG("readonly", readonly), XRAW("space_hard_limit", space),
	XRAW("space_soft_limit", space), XEMBED(dev, dev_rows), XEND
};
static const struct xmap filesystem_map = { "filesystem", sizeof(T), DEV_EXTRA, filesystem_rows };
#undef T

#define T struct domdef_other
static const struct xrow other_rows[] = {
	XSTR(ATTR, "name", name), XSTR(ATTR, "id", id), XSTR(ATTR, "bus", bus), XSTR(ATTR, "mode", mode),
	XSTR(ATTR, "role", role), XSTR(ATTR, "type", type), XSTR(ATTR, "model", model), XSTR(ATTR, "access", access),
	XSTR(ATTR, "discard", discard), XSTR(ELEM, "uuid", uuid),
	XRAW("codec", parts), XRAW("audio", parts), XRAW("input", parts), XRAW("output", parts), XRAW("source", parts),
	XRAW("model", parts), XRAW("size", parts), XRAW("server", parts), XRAW("msi", parts), XRAW("target", parts),
	XRAW("driver", parts), XRAW("protocol", parts), XRAW("certificate", parts), XRAW("database", parts),
	XRAW("backend", parts),
	XEMBED(dev, dev_rows), XEND
};
#define OTHER(name) static const struct xmap name##_map = { #name, sizeof(T), DEV_EXTRA, other_rows }
OTHER(smartcard);
OTHER(sound);
OTHER(audio);
OTHER(redirdev);
OTHER(hub);
OTHER(nvram);
OTHER(panic);
OTHER(shmem);
OTHER(memory);
OTHER(iommu);
OTHER(crypto);
#undef T

/* ---- parts of the machine ---- */

#define T struct domdef_blkio_device
static const struct xrow blkio_device_rows[] = {
	XSTR(ELEM, "path", path, .flags = XF_REQUIRED), XNUM(ELEM, "weight", weight),
	XNUM(ELEM, "read_iops_sec", read_iops), XNUM(ELEM, "write_iops_sec", write_iops),
	XNUM(ELEM, "read_bytes_sec", read_bytes), XNUM(ELEM, "write_bytes_sec", write_bytes), XEND
};
static const struct xmap blkio_device_map = { "device", sizeof(T), EXTRA, blkio_device_rows };
#undef T

#define T struct domdef_hugepage
static const struct xrow hugepage_rows[] = {
	XSTR(ATTR, "size", size, .flags = XF_REQUIRED), XSTR(ATTR, "unit", unit), XSTR(ATTR, "nodeset", nodeset), XEND
};
static const struct xmap hugepage_map = { "page", sizeof(T), EXTRA, hugepage_rows };
#undef T

#define T struct domdef_vcpu
static const struct xrow vcpu_item_rows[] = {
	XNUM(ATTR, "id", id, .flags = XF_REQUIRED), XSTR(ATTR, "enabled", enabled),
	XSTR(ATTR, "hotpluggable", hotpluggable), XNUM(ATTR, "order", order), XEND
};
static const struct xmap vcpu_item_map = { "vcpu", sizeof(T), EXTRA, vcpu_item_rows };
#undef T

#define T struct domdef_iothread
static const struct xrow iothread_rows[] = {
	XNUM(ATTR, "id", id, .flags = XF_REQUIRED), XNUM(ATTR, "thread_pool_min", pool_min),
	XNUM(ATTR, "thread_pool_max", pool_max), XEND
};
static const struct xmap iothread_map = { "iothread", sizeof(T), EXTRA, iothread_rows };
#undef T

#define T struct domdef_pin
static const struct xrow pin_rows[] = {
	XNUM(ATTR, "vcpu", vcpu), XNUM(ATTR, "iothread", iothread), XSTR(ATTR, "cpuset", cpuset, .flags = XF_REQUIRED),
	XEND
};
static const struct xmap pin_map = { "pin", sizeof(T), EXTRA, pin_rows };
#undef T

#define T struct domdef_sched
static const struct xrow sched_rows[] = {
	XSTR(ATTR, "vcpus", vcpus), XSTR(ATTR, "iothreads", iothreads), XSTR(ATTR, "scheduler", scheduler),
	XNUM(ATTR, "priority", priority), XEND
};
static const struct xmap sched_map = { "sched", sizeof(T), EXTRA, sched_rows };
#undef T

#define T struct domdef_memnode
static const struct xrow memnode_rows[] = {
	XNUM(ATTR, "cellid", cell, .flags = XF_REQUIRED), XSTR(ATTR, "mode", mode), XSTR(ATTR, "nodeset", nodeset), XEND
};
static const struct xmap memnode_map = { "memnode", sizeof(T), EXTRA, memnode_rows };
#undef T

#define T struct domdef_boot
static const struct xrow boot_rows[] = { XSTR(ATTR, "dev", dev, .flags = XF_REQUIRED), XEND };
static const struct xmap boot_map = { "boot", sizeof(T), EXTRA, boot_rows };
#undef T

#define T struct domdef_cpu_feature
static const struct xrow cpu_feature_rows[] = {
	XSTR(ATTR, "policy", policy), XSTR(ATTR, "name", name, .flags = XF_REQUIRED), XEND
};
static const struct xmap cpu_feature_map = { "feature", sizeof(T), EXTRA, cpu_feature_rows };
#undef T

#define T struct domdef_sibling
static const struct xrow sibling_rows[] = {
	XNUM(ATTR, "id", id, .flags = XF_REQUIRED), XNUM(ATTR, "value", value, .flags = XF_REQUIRED), XEND
};
static const struct xmap sibling_map = { "sibling", sizeof(T), EXTRA, sibling_rows };
#undef T

#define T struct domdef_cell
static const struct xrow distances_rows[] = { XMANY("sibling", distances, sibling_map), XEND };
static const struct xrow cell_rows[] = {
	XNUM(ATTR, "id", id), XSTR(ATTR, "cpus", cpus), XNUM(ATTR, "memory", memory), XSTR(ATTR, "unit", unit),
	XSTR(ATTR, "memAccess", mem_access), XSTR(ATTR, "discard", discard), XGROUP("distances", distances_rows),
	XRAW("cache", parts), XEND
};
static const struct xmap cell_map = { "cell", sizeof(T), EXTRA, cell_rows };
#undef T

#define T struct domdef_cpu
static const struct xrow cpu_model_rows[] = {
	XSTR(ATTR, "fallback", fallback), XSTR(ATTR, "vendor_id", vendor_id), XSTR(TEXT, "", model), XEND
};
static const struct xrow topology_rows[] = {XNUM(ATTR, "sockets", sockets, .flags = XF_REQUIRED),
					    XNUM(ATTR, "dies", dies),
					    XNUM(ATTR, "clusters", clusters),
					    XNUM(ATTR, "cores", cores, .flags = XF_REQUIRED),
					    XNUM(ATTR, "threads", threads, .flags = XF_REQUIRED),
					    XEND};
static const struct xrow cache_rows[] = { XNUM(ATTR, "level", cache_level), XSTR(ATTR, "mode", cache_mode), XEND };
static const struct xrow numa_rows[] = {
	XMANY("cell", cells, cell_map), XRAW("interconnects", interconnects), XEND
};
static const struct xrow cpu_rows[] = {
	XSTR(ATTR, "mode", mode), XSTR(ATTR, "match", match), XSTR(ATTR, "check", check),
	XSTR(ATTR, "migratable", migratable),
	XGROUP("model", cpu_model_rows),
	XSTR(ELEM, "vendor", vendor),
	XRAW("microcode", microcode),
	XGROUP("topology", topology_rows),
	XGROUP("cache", cache_rows),
	XRAW("maxphysaddr", maxphysaddr),
	XMANY("feature", features, cpu_feature_map),
	XGROUP("numa", numa_rows),
	XEND
};
static const struct xmap cpu_map = { "cpu", sizeof(T), EXTRA, cpu_rows };
#undef T

#define T struct domdef_timer
static const struct xrow timer_rows[] = {
	XSTR(ATTR, "name", name, .flags = XF_REQUIRED), XSTR(ATTR, "present", present),
	XSTR(ATTR, "tickpolicy", tickpolicy), XSTR(ATTR, "track", track), XNUM(ATTR, "frequency", frequency),
	XSTR(ATTR, "mode", mode), XRAW("catchup", catchup), XEND
};
static const struct xmap timer_map = { "timer", sizeof(T), EXTRA, timer_rows };
#undef T

#define T struct domdef_seclabel
static const struct xrow seclabel_rows[] = {XSTR(ATTR, "type", type),
					    XSTR(ATTR, "model", model),
					    XSTR(ATTR, "relabel", relabel),
					    XSTR(ELEM, "label", label),
					    XSTR(ELEM, "imagelabel", imagelabel, .flags = XF_LIVE),
					    XSTR(ELEM, "baselabel", baselabel),
					    XEND};
static const struct xmap seclabel_map = { "seclabel", sizeof(T), EXTRA, seclabel_rows };
#undef T

/* ---- the machine ---- */

#define T struct domdef
static const struct xrow max_memory_rows[] = {
	XNUM(ATTR, "slots", max_memory_slots), XKIB(TEXT, "", max_memory), XEND
};
static const struct xrow memory_text_rows[] = { XSTR(ATTR, "dumpCore", dump_core), XKIB(TEXT, "", memory), XEND };
static const struct xrow metadata_rows[] = { XANY(metadata), XEND };
static const struct xrow blkiotune_rows[] = {
	XNUM(ELEM, "weight", blkio.weight), XMANY("device", blkio.device, blkio_device_map), XEND
};
static const struct xrow memtune_rows[] = {
	XKIB(ELEM, "hard_limit", hard_limit), XKIB(ELEM, "soft_limit", soft_limit),
	XKIB(ELEM, "min_guarantee", min_guarantee), XKIB(ELEM, "swap_hard_limit", swap_hard_limit), XEND
};
static const struct xrow hugepages_rows[] = {
	{ .name = "", .place = X_TEXT, .type = XV_FLAG, .offset = offsetof(T, backing.hugepages) },
	XMANY("page", backing.page, hugepage_map), XEND
};
static const struct xrow backing_source_rows[] = { XSTR(ATTR, "type", backing.source), XEND };
static const struct xrow backing_access_rows[] = { XSTR(ATTR, "mode", backing.access), XEND };
static const struct xrow backing_allocation_rows[] = {
	XSTR(ATTR, "mode", backing.allocation), XNUM(ATTR, "threads", backing.allocation_threads), XEND
};
static const struct xrow backing_rows[] = {
	XGROUP("hugepages", hugepages_rows), XFLAG("nosharepages", backing.nosharepages),
	XFLAG("locked", backing.locked), XGROUP("source", backing_source_rows), XGROUP("access", backing_access_rows),
	XGROUP("allocation", backing_allocation_rows), XFLAG("discard", backing.discard), XEND
};
static const struct xrow vcpu_rows[] = {
	XSTR(ATTR, "placement", vcpu_placement), XSTR(ATTR, "cpuset", cpuset), XNUM(ATTR, "current", vcpu_current),
	XNUM(TEXT, "", vcpu), XEND
};
static const struct xrow vcpus_rows[] = { XMANY("vcpu", vcpus, vcpu_item_map), XEND };
static const struct xrow iothreadids_rows[] = { XMANY("iothread", iothread, iothread_map), XEND };
static const struct xrow emulatorpin_rows[] = {
	XSTR(ATTR, "cpuset", cputune.emulatorpin, .flags = XF_REQUIRED), XEND
};
static const struct xrow cputune_rows[] = {
	XNUM(ELEM, "shares", cputune.shares), XNUM(ELEM, "period", cputune.period),
	XSTR(ELEM, "quota", cputune.quota), XNUM(ELEM, "global_period", cputune.global_period),
	XSTR(ELEM, "global_quota", cputune.global_quota), XNUM(ELEM, "emulator_period", cputune.emulator_period),
	XSTR(ELEM, "emulator_quota", cputune.emulator_quota), XNUM(ELEM, "iothread_period", cputune.iothread_period),
	XSTR(ELEM, "iothread_quota", cputune.iothread_quota), XMANY("vcpupin", cputune.vcpupin, pin_map),
	XGROUP("emulatorpin", emulatorpin_rows), XMANY("iothreadpin", cputune.iothreadpin, pin_map),
	XMANY("vcpusched", cputune.vcpusched, sched_map), XRAW("emulatorsched", cputune.others),
	XMANY("iothreadsched", cputune.iothreadsched, sched_map), XRAW("cachetune", cputune.others),
	XRAW("memorytune", cputune.others), XEND
};
static const struct xrow numatune_memory_rows[] = {
	XSTR(ATTR, "mode", numatune.mode), XSTR(ATTR, "nodeset", numatune.nodeset),
	XSTR(ATTR, "placement", numatune.placement), XEND
};
static const struct xrow numatune_rows[] = {
	XGROUP("memory", numatune_memory_rows), XMANY("memnode", numatune.node, memnode_map), XEND
};
static const struct xrow resource_rows[] = {
	XSTR(ELEM, "partition", partition), XRAW("fibrechannel", resource_parts), XEND
};
static const struct xrow os_type_rows[] = {
	XSTR(ATTR, "arch", os.arch), XSTR(ATTR, "machine", os.machine), XSTR(TEXT, "", os.type), XEND
};
static const struct xrow loader_rows[] = {XSTR(ATTR, "readonly", os.loader_readonly),
					  XSTR(ATTR, "secure", os.loader_secure),
					  XSTR(ATTR, "type", os.loader_type),
					  XSTR(ATTR, "stateless", os.loader_stateless),
					  XSTR(TEXT, "", os.loader),
					  XEND};
static const struct xrow nvram_rows[] = {
	XSTR(ATTR, "template", os.nvram_template), XSTR(TEXT, "", os.nvram), XEND
};
static const struct xrow bootmenu_rows[] = {
	XSTR(ATTR, "enable", os.bootmenu), XNUM(ATTR, "timeout", os.bootmenu_timeout), XEND
};
static const struct xrow smbios_rows[] = { XSTR(ATTR, "mode", os.smbios_mode), XEND };
static const struct xrow bios_rows[] = {
	XSTR(ATTR, "useserial", os.bios_useserial), XSTR(ATTR, "rebootTimeout", os.bios_reboot_timeout), XEND
};
static const struct xrow os_rows[] = {
	XSTR(ATTR, "firmware", os.firmware),
	XGROUP("type", os_type_rows),
	XRAW("init", os.init), XRAW("initarg", os.init), XRAW("initenv", os.init), XRAW("initdir", os.init),
	XRAW("inituser", os.init), XRAW("initgroup", os.init),
	XRAW("firmware", os.firmware_parts),
	XGROUP("loader", loader_rows),
	XGROUP("nvram", nvram_rows),
	XSTR(ELEM, "kernel", os.kernel), XSTR(ELEM, "initrd", os.initrd), XSTR(ELEM, "cmdline", os.cmdline),
	XSTR(ELEM, "dtb", os.dtb),
	XRAW("acpi", os.acpi),
	XMANY("boot", os.boot, boot_map),
	XGROUP("bootmenu", bootmenu_rows),
	XGROUP("smbios", smbios_rows),
	XGROUP("bios", bios_rows),
	XEND
};
#define STATE(name, member) static const struct xrow name[] = { XSTR(ATTR, "state", member), XEND }
STATE(pmu_rows, features.pmu);
STATE(vmport_rows, features.vmport);
static const struct xrow features_rows[] = {
	{ .name = "", .place = X_TEXT, .type = XV_FLAG, .offset = offsetof(T, features.present) },
	XFLAG("acpi", features.acpi), XRAW("apic", features.apic), XFLAG("pae", features.pae),
	XRAW("hap", features.others), XFLAG("viridian", features.viridian),
	XFLAG("privnet", features.privnet), XRAW("hyperv", features.hyperv), XRAW("kvm", features.kvm),
	XRAW("xen", features.xen), XRAW("pvspinlock", features.others), XGROUP("pmu", pmu_rows),
	XGROUP("vmport", vmport_rows), XRAW("gic", features.others), XRAW("smm", features.others),
	XRAW("capabilities", features.others), XRAW("ioapic", features.others), XRAW("hpt", features.others),
	XRAW("vmcoreinfo", features.others), XRAW("htm", features.others), XRAW("nested-hv", features.others),
	XRAW("msrs", features.others), XRAW("ccf-assist", features.others), XRAW("cfpc", features.others),
	XRAW("sbbc", features.others), XRAW("ibs", features.others), XRAW("tcg", features.others),
	XRAW("async-teardown", features.others), XEND
};
static const struct xrow clock_rows[] = {
	XENUM(ATTR, "offset", clock.offset, offsets), XSTR(ATTR, "adjustment", clock.adjustment),
	XSTR(ATTR, "basis", clock.basis), XSTR(ATTR, "timezone", clock.timezone), XSTR(ATTR, "start", clock.start),
	XMANY("timer", clock.timer, timer_map), XEND
};
#define PM_STATE(name, member) static const struct xrow name[] = { XSTR(ATTR, "enabled", member), XEND }
PM_STATE(suspend_mem_rows, suspend_to_mem);
PM_STATE(suspend_disk_rows, suspend_to_disk);
static const struct xrow pm_rows[] = {
	XGROUP("suspend-to-mem", suspend_mem_rows), XGROUP("suspend-to-disk", suspend_disk_rows), XEND
};
static const struct xrow devices_rows[] = {
	XSTR(ELEM, "emulator", emulator),
	XMANY("disk", disks, disk_map),
	XMANY("controller", controllers, controller_map),
	XRAW("lease", leases),
	XMANY("filesystem", filesystems, filesystem_map),
	XMANY("interface", interfaces, interface_map),
	XMANY("smartcard", smartcards, smartcard_map),
	XMANY("serial", serials, serial_map),
	XMANY("parallel", parallels, parallel_map),
	XMANY("console", consoles, console_map),
	XMANY("channel", channels, channel_map),
	XMANY("input", inputs, input_map),
	XMANY("tpm", tpms, tpm_map),
	XMANY("graphics", graphics, graphics_map),
	XMANY("sound", sounds, sound_map),
	XMANY("audio", audios, audio_map),
	XMANY("video", videos, video_map),
	XMANY("hostdev", hostdevs, hostdev_map),
	XMANY("redirdev", redirdevs, redirdev_map),
	XRAW("redirfilter", redirfilters),
	XMANY("hub", hubs, hub_map),
	XMANY("watchdog", watchdogs, watchdog_map),
	XMANY("memballoon", memballoons, memballoon_map),
	XMANY("rng", rngs, rng_map),
	XMANY("nvram", nvrams, nvram_map),
	XMANY("panic", panics, panic_map),
	XMANY("shmem", shmems, shmem_map),
	XMANY("memory", memories, memory_map),
	XMANY("iommu", iommus, iommu_map),
	XMANY("vsock", vsocks, vsock_map),
	XMANY("crypto", cryptos, crypto_map),
	XEND
};
static const struct xrow domain_rows[] = {
	XENUM(ATTR, "type", type, types, .flags = XF_REQUIRED),
	XNUM(ATTR, "id", id, .flags = XF_LIVE),
	XSTR(ELEM, "name", name),
	XUUID(ELEM, "uuid", uuid),
	XRAW("genid", genid),
	XSTR(ELEM, "title", title),
	XSTR(ELEM, "description", description),
	XGROUP("metadata", metadata_rows),
	XGROUP("maxMemory", max_memory_rows),
	XGROUP("memory", memory_text_rows),
	XKIB(ELEM, "currentMemory", current_memory),
	XGROUP("blkiotune", blkiotune_rows),
	XGROUP("memtune", memtune_rows),
	XGROUP("memoryBacking", backing_rows),
	XGROUP("vcpu", vcpu_rows),
	XGROUP("vcpus", vcpus_rows),
	XNUM(ELEM, "iothreads", iothreads),
	XGROUP("iothreadids", iothreadids_rows),
	XRAW("defaultiothread", iothread_parts),
	XGROUP("cputune", cputune_rows),
	XGROUP("numatune", numatune_rows),
	XGROUP("resource", resource_rows),
	XRAW("sysinfo", sysinfo),
	XSTR(ELEM, "bootloader", bootloader),
	XSTR(ELEM, "bootloader_args", bootloader_args),
	XGROUP("os", os_rows),
	XRAW("idmap", idmap),
	XGROUP("features", features_rows),
	XONE("cpu", cpu, cpu_map),
	XGROUP("clock", clock_rows),
	XENUM(ELEM, "on_poweroff", on_poweroff, actions),
	XENUM(ELEM, "on_reboot", on_reboot, actions),
	XENUM(ELEM, "on_crash", on_crash, actions),
	XSTR(ELEM, "on_lockfailure", on_lockfailure),
	XGROUP("pm", pm_rows),
	XRAW("perf", perf),
	XGROUP("devices", devices_rows),
	XMANY("seclabel", seclabels, seclabel_map),
	XRAW("keywrap", keywrap),
	XRAW("launchSecurity", launch_security),
	XRAW("throttlegroups", throttlegroups),
	XEND
};
const struct xmap domdef_map = { "domain", sizeof(T), EXTRA, domain_rows };

#define KIND(n, list, alias) { #n, &n##_map, offsetof(T, list), alias }
const struct domdef_kind domdef_kinds[] = {
	KIND(disk, disks, NULL), /* by bus and place */
	KIND(controller, controllers, NULL),
	KIND(filesystem, filesystems, "fs"),
	KIND(interface, interfaces, "net"),
	KIND(smartcard, smartcards, "smartcard"),
	KIND(serial, serials, "serial"),
	KIND(parallel, parallels, "parallel"),
	KIND(console, consoles, "console"),
	KIND(channel, channels, "channel"),
	KIND(input, inputs, "input"),
	KIND(tpm, tpms, "tpm"),
	KIND(graphics, graphics, NULL), /* has none */
	KIND(sound, sounds, "sound"),
	KIND(audio, audios, NULL),
	KIND(video, videos, "video"),
	KIND(hostdev, hostdevs, "hostdev"),
	KIND(redirdev, redirdevs, "redir"),
	KIND(hub, hubs, "hub"),
	KIND(watchdog, watchdogs, "watchdog"),
	KIND(memballoon, memballoons, "balloon"),
	KIND(rng, rngs, "rng"),
	KIND(nvram, nvrams, "nvram"),
	KIND(panic, panics, "panic"),
	KIND(shmem, shmems, "shmem"),
	KIND(memory, memories, "dimm"),
	KIND(iommu, iommus, "iommu"),
	KIND(vsock, vsocks, "vsock"),
	KIND(crypto, cryptos, "crypto"),
	{ NULL },
};
