#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's Xen with a Linux as its first domain: what the hypervisor's tools say there, and a second Linux that they start.

    tests/guest/xen.py              all of it
    tests/guest/xen.py NAME...      those whose name contains one of these
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from linux import PROMPT, SHELL, check, ends_well, kernel
from machine import Skip, prepared, run_tests
from pc import BOOT_S, GRUB_S, loader, modules, package, pc

HYPERVISOR = "xen-hypervisor-4.17-amd64"
TOOLS = "usr/lib/xen-4.17/bin"
PROGRAMS = ["xl", "xenstored", "xen-init-dom0", "xenconsoled"]
LIBRARIES = """libxencall1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenmisc4.17 libxenstore4 libxentoollog1 libxentoolcore1
    libxendevicemodel1 libxenhypfs1 libyajl2 libfdt1""".split()
GUEST = """name = "second"
type = "pv"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/quick-amd64.img"
extra = "console=hvc0 panal.run=/bin/uname"
memory = 200
vcpus = 1
"""
SCRIPT = """for f in /m/*.ko; do insmod $f; done
mount -t xenfs xenfs /proc/xen
mkdir -p /etc/xen /run/xen /run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen/console /var/lock
touch /etc/xen/xl.conf
ln -sfn /run /var/run
xenstored && xen-init-dom0 && xenconsoled --log=guest --log-dir=/var/log/xen
"""


def put(root, path, data):
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w", encoding="ascii") as f:
        f.write(data)


def packages(directory, names):
    """What these Debian packages have, in one tree."""
    folder = os.path.join(directory, "packages")
    os.makedirs(folder)
    got = subprocess.run(["apt-get", "-q", "download", *names], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if got.returncode:
        raise Skip("Xen's tools cannot be had: " + got.stdout.decode("utf-8", "replace").strip()[-200:])
    tree = os.path.join(directory, "tools")
    for deb in sorted(os.listdir(folder)):
        subprocess.run(["dpkg-deb", "-x", os.path.join(folder, deb), tree], check=True)
    return tree


def libraries(tree, programs):
    """The shared libraries of these programs: from the packages, else the host's, which is a Debian of the same release."""
    folders = {os.path.dirname(os.path.join(d, f)) for d, _, files in os.walk(tree) for f in files if ".so." in f}
    said = subprocess.run(["ldd", *programs], env=dict(os.environ, LD_LIBRARY_PATH=":".join(sorted(folders))), stdout=subprocess.PIPE, check=True)
    text = said.stdout.decode()
    missing = re.findall(r"(\S+) => not found", text)
    if missing:
        raise Skip("Xen's tools need libraries that this host does not have: " + " ".join(missing))
    return set(re.findall(r"(/\S+\.so\S*) \(", text))


def tools(directory, flavour):
    """An initial ramdisk with Xen's tools, what they need of libraries and modules, and a second domain's kernel."""
    tree = packages(directory, ["xen-utils-4.17", *LIBRARIES])
    root = os.path.join(directory, "root")
    os.makedirs(os.path.join(root, "sbin"))
    programs = [os.path.join(tree, TOOLS, p) for p in PROGRAMS]
    for p in programs:
        shutil.copy(p, os.path.join(root, "sbin"))
    # what a thread's end loads at run time
    for path in libraries(tree, programs) | {"/lib/x86_64-linux-gnu/libgcc_s.so.1"}:
        place = os.path.join(root, "lib64" if "ld-linux" in path else "lib/x86_64-linux-gnu", os.path.basename(path))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy(path, place)
    os.makedirs(os.path.join(root, "boot"))
    shutil.copy(kernel(flavour), os.path.join(root, "boot/vmlinuz"))
    shutil.copy(prepared(f"quick-{flavour}.img"), os.path.join(root, "boot"))
    put(root, "second.cfg", GUEST)
    put(root, "start", SCRIPT)
    files = "".join(os.path.relpath(os.path.join(d, f), root) + "\n" for d, folders, names in os.walk(root) for f in folders + names)
    made = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=files.encode(), stdout=subprocess.PIPE, check=True)
    return made.stdout + modules(directory, flavour, "xen-privcmd", "xenfs", "xen-evtchn", "xen-gntdev")


def xen_cd(directory):
    hypervisor = package(directory, HYPERVISOR, "boot/xen-4.17-amd64.gz")
    initrd = os.path.join(directory, "initrd.img")
    shutil.copy(prepared("quick-amd64.img"), initrd)
    with open(initrd, "ab") as f:
        f.write(b"\0" * (-f.tell() % 4) + tools(directory, "amd64"))
    # --nounzip: GRUB takes the length of what is packed from the file's end, which here is not the packed part's
    entry = ("multiboot2 /boot/xen-4.17-amd64.gz com1=115200,8n1 console=com1 loglvl=all dom0_mem=700M\n"
             "module2 /boot/vmlinuz console=hvc0\nmodule2 --nounzip /boot/initrd.img")
    return loader(directory, entry, hypervisor, kernel("amd64"), initrd)


def dom0(firmware, cpus):
    """xl in the first domain sees the hypervisor and its processors; a second domain that it makes runs a program."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            with pc("--firmware", firmware, "--cpus", str(cpus), "--cdrom", xen_cd(d), memory="1280M") as m:
                m.expect(r"\(XEN\).*Xen version 4\.17|Xen 4\.17", GRUB_S)
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run("sh /start", 120)
                check(status == 0, "Xen's tools do not start:\n" + out)
                out, status = m.run("xl info", 60)
                check(status == 0 and re.search(r"xen_version +: 4\.17", out) and re.search(rf"nr_cpus +: {cpus}\b", out), "xl info:\n" + out)
                out, status = m.run("xl list", 60)
                check(status == 0 and re.search(rf"Domain-0 +0 +\d+ +{cpus} +r", out), "xl list:\n" + out)
                out, status = m.run("xl create /second.cfg", 240)
                check(status == 0, "the second domain was not made:\n" + out)
                out, status = m.run("for n in $(seq 60); do grep 'ended with' /var/log/xen/guest-second.log && break; sleep 5; done; dmesg | grep 'WARNING: CPU'", 330)
                check("/bin/uname ended with status 0" in out, "the second domain does not run:\n" + out)
                check("WARNING" not in out, "the first domain's kernel complains:\n" + out)
                m.send("poweroff -f\n")
                ends_well(m, 120)
    return test


ALL = [("dom0", dom0("bios", 1)), ("dom0 uefi 2 cpus", dom0("uefi", 2))]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    sys.exit(run_tests([t for t in ALL if not names or any(n in t[0] for n in names)]))
