#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's installer, unmodified, through a whole installation on the PC board; then the installed system by its own loader.

    tests/guest/installer.py              one installation: BIOS, a disk on SATA
    tests/guest/installer.py --all        every firmware with every kind of disk; from a CD, and as a kernel given to the firmware
    tests/guest/installer.py NAME...      those that are named so, or else whose name contains one of these
    --use                                 only the system that an earlier run installed (with the same PANAL_KEEP)

Kernel and initial ramdisk are those of the package debian-installer-12-netboot-amd64, with a preseed file joined to them;
packages come over HTTP from a mirror on this host (mirror.py), which takes them from the one of its apt; the installer's own
packages from where udebs.py finds them. An installation takes 10 to 15 minutes of a processor, half an hour and more of a busy
host. With PANAL_KEEP=FOLDER logs, disks and variable stores stay there.
"""

import contextlib
import gzip
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

import udebs
from linux import check, ends_well
from machine import Skip, prepared, run_tests
from mirror import Mirror
from pc import loader, package, pc

IMAGES = "usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"
PASSWORD = "a panal"
INSTALL_S, BOOT_S = 5400, 600
DISK_SIZE = 4 << 30
KEEP = os.environ.get("PANAL_KEEP")
STAGES = [("start", "Linux version"), ("partitions", "Starting up the partitioner"), ("base system", "Installing the base system"),
          ("apt", "Configuring apt"), ("software", "Select and install software"), ("boot loader", "Installing GRUB"),
          ("end", "Finishing the installation")]
PRESEED = """
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_hostname string installed
d-i netcfg/get_domain string example.org
d-i mirror/country string manual
d-i mirror/protocol string http
d-i mirror/http/hostname string {mirror}
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i mirror/suite string bookworm
d-i mirror/udeb/suite string {udebs}
d-i debian-installer/allow_unauthenticated boolean true
d-i partman/early_command string debconf-set debian-installer/allow_unauthenticated false
d-i hw-detect/firmware-lookup string never
d-i apt-setup/non-free-firmware boolean false
d-i apt-setup/services-select multiselect
d-i apt-setup/disable-cdrom-entries boolean true
d-i passwd/make-user boolean false
d-i passwd/root-password password {password}
d-i passwd/root-password-again password {password}
d-i clock-setup/utc boolean true
d-i clock-setup/ntp boolean false
d-i time/zone string UTC
d-i partman-auto/disk string {disk}
d-i partman-auto/method string regular
d-i partman-auto/choose_recipe select atomic
d-i partman-partitioning/confirm_write_new_label boolean true
d-i partman/choose_partition select finish
d-i partman/confirm boolean true
d-i partman/confirm_nooverwrite boolean true
d-i partman-basicfilesystems/no_swap boolean false
d-i base-installer/install-recommends boolean false
d-i base-installer/initramfs-tools/driver-policy select dep
d-i pkgsel/upgrade select none
d-i pkgsel/update-policy select none
tasksel tasksel/first multiselect
popularity-contest popularity-contest/participate boolean false
d-i grub-installer/only_debian boolean true
d-i grub-installer/with_other_os boolean true
d-i grub-installer/bootdev string {disk}
d-i finish-install/reboot_in_progress note
d-i debian-installer/exit/poweroff boolean true
"""
# What is behind the dashes is for the system that is installed, too.
ARGUMENTS = "auto=true priority=critical DEBIAN_FRONTEND=text console=ttyS0 --- console=ttyS0"
# The disk's name in the guest, by the way that it is attached.
DISKS = {"sata": "/dev/sda", "nvme": "/dev/nvme0n1", "ide": "/dev/sda", "virtio": "/dev/vda"}


def with_preseed(directory, initrd, text):
    """The installer's initial ramdisk, and a second one behind it with the answers."""
    with open(os.path.join(directory, "preseed.cfg"), "w", encoding="ascii") as f:
        f.write(text)
    made = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=directory, input=b"preseed.cfg\n", stdout=subprocess.PIPE, check=True)
    path = os.path.join(directory, "initrd.gz")
    shutil.copy(initrd, path)
    with open(path, "ab") as f:
        f.write(b"\0" * (-f.tell() % 4) + made.stdout)
    return path


def contents(initrd):
    """The release of the installer's kernel, and the packages that it has in itself."""
    with gzip.open(initrd) as f:
        got = subprocess.run(["cpio", "-i", "--to-stdout", "--quiet", "var/lib/dpkg/status"], input=f.read(), stdout=subprocess.PIPE, check=True)
    installed = re.findall(r"^Package: (\S+)", got.stdout.decode(), re.M)
    return next(re.fullmatch(r"kernel-image-(.+)-di", n).group(1) for n in installed if n.startswith("kernel-image-")), installed


def installer(directory, disk, mirror, media):
    """What a machine is to have besides its disk so that the installer starts: it is on a CD, or given to the firmware."""
    kernel = package(directory, "debian-installer-12-netboot-amd64", os.path.join(IMAGES, "linux"))
    plain = os.path.join(os.path.dirname(kernel), "initrd.gz")
    release, installed = contents(plain)
    suite = udebs.Suite(mirror.source, release, installed, os.path.join(mirror.folder, "udebs"))
    mirror.files = suite.files
    print("    the installer's packages: " + suite.origins(), flush=True)
    answers = PRESEED.format(udebs=udebs.SUITE, mirror=f"10.0.2.2:{mirror.server_port}", disk=disk, password=PASSWORD)
    initrd = with_preseed(directory, plain, answers)
    if media == "kernel":
        return ["--kernel", kernel, "--initrd", initrd, "--append", ARGUMENTS]
    return ["--cdrom", loader(directory, f"linux /boot/linux {ARGUMENTS}\ninitrd /boot/initrd.gz", kernel, initrd)]


def keep(name, m, more=""):
    if KEEP:
        with open(os.path.join(KEEP, name + ".log"), "w", encoding="utf-8") as f:
            f.write(m.text + more)


def stages(m):
    """How many seconds each stage of the installation took of the host's clock."""
    begins = [(title, m.time_of(m.text.index(said))) for title, said in STAGES if said in m.text]
    ends = [at for _, at in begins[1:]] + [m.times[-1][1]]
    return ", ".join(f"{title} {end - begin:.0f} s" for (title, begin), end in zip(begins, ends))


def used():
    """Seconds of processors that the children of this process took, which have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def install(name, options, source, mirror):
    before = used()
    with pc("--net", "user", "--cpus", "2", *source, *options, memory="1G") as m:
        try:
            if m.expect(r"Starting up the partitioner|Downloading a file failed", BOOT_S).group().startswith("Down"):
                raise Skip("the mirror of this host's apt has not all that the installer wants: " + " ".join(mirror.refused))
            # A question is one that the preseed file does not answer: trouble.
            check(m.expect(r"Prompt: '\?' for help|reboot: Power down", INSTALL_S).group().startswith("reboot"), "the installer asks:\n" + m.tail(40))
            ends_well(m)
            print(f"    installed in {m.times[-1][1]:.0f} s, {used() - before:.0f} s of processors: {stages(m)}", flush=True)
        finally:
            keep(name + "-install", m, "\nrefused: " + " ".join(mirror.refused))


def log_in(m):
    m.expect(r"installed login: ", BOOT_S)
    m.send("root\n")
    m.expect(r"Password: ", 60)
    m.send(PASSWORD + "\n")
    m.expect(r"root@installed:~# ", 120)


def use(name, options, disk, firmware):
    """The installed system: from its own loader, its root on the disk, its network up, its packages whole."""
    with pc("--net", "user", "--cpus", "2", *options, memory="1G") as m:
        try:
            m.expect(r"GNU GRUB|Welcome to GRUB|Loading Linux", 180)
            log_in(m)
            out, _ = m.run("findmnt -no SOURCE /; cat /etc/debian_version; [ -d /sys/firmware/efi ] && echo by uefi")
            check(out.startswith(disk) and re.search(r"^12\.", out, re.M), "the root is not on the disk installed to:\n" + out)
            check(("by uefi" in out) == (firmware == "uefi"), "booted by the wrong firmware")
            check(firmware == "bios" or re.search(r'starting Boot\w+ "debian"', m.text), "not by the boot entry that the installer made")
            out, status = m.run("dpkg --audit; systemctl is-system-running --wait", 300)
            check(status == 0 and out.strip() == "running", "the system is not whole:\n" + out)
            out, status = m.run("ip -4 -br addr show scope global; apt-get -q check", 120)
            check(status == 0 and "10.0.2." in out, "no network:\n" + out)
            out, _ = m.run("grep -E 'debootstrap: (/usr/sbin/|gpgv: Good)' /var/log/installer/syslog")
            check("--keyring=" in out and "Good signature" in out, "the base system's packages were taken without their signature:\n" + out)
            m.send("poweroff\n")
            ends_well(m, 300)
        finally:
            keep(name + "-use", m)


@contextlib.contextmanager
def place(name):
    """A folder for the disk, which stays where logs and disks are to be kept."""
    if KEEP:
        os.makedirs(os.path.join(KEEP, name), exist_ok=True)
        yield os.path.join(KEEP, name)
    else:
        with tempfile.TemporaryDirectory() as d:
            yield d


def installation(firmware, bus, media="cd"):
    def test():
        prepared("quick-amd64.img")
        name = f"{firmware}-{bus}-{media}"
        with place(name) as d:
            disk = os.path.join(d, "disk.raw")
            options = ["--disk", f"{disk},bus={bus}", "--firmware", firmware]
            if firmware == "uefi":
                options += ["--firmware-vars", os.path.join(d, "vars.fd")]
            if "--use" not in sys.argv:
                if os.path.exists(os.path.join(d, "vars.fd")):
                    os.remove(os.path.join(d, "vars.fd"))
                with tempfile.TemporaryDirectory() as t, Mirror() as mirror, open(disk, "wb") as f:
                    f.truncate(DISK_SIZE)
                    install(name, options, installer(t, DISKS[bus], mirror, media), mirror)
                    check(mirror.count > 100, "the packages did not come from the mirror")
            use(name, options, DISKS[bus], firmware)
    return test


ALL = [(f"{firmware} {bus}", installation(firmware, bus)) for bus in DISKS for firmware in ("bios", "uefi")]
ALL += [(f"{firmware} {bus} kernel", installation(firmware, bus, "kernel")) for firmware, bus in (("bios", "virtio"), ("uefi", "sata"))]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = ALL if names or "--all" in sys.argv else ALL[:1]
    exact = {t[0] for t in ALL}
    sys.exit(run_tests([t for t in tests if not names or any(n == t[0] or n not in exact and n in t[0] for n in names)]))
