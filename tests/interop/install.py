#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virt-install, virt-clone and virt-xml to running Debian guests, reached over the network "default" by ssh from the host.

    tests/interop/install.py

Minutes: not in ./check. The Debian is that of `panal launch`, $PANAL_GUEST/launch-debian, made from packages when it is missing.
"""

import functools
import http.server
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

from network import Bed, libvirt, make_world
from panald import PATIENCE, Console, Failure, Loop, Skip, enter_namespace, expect, expect_equal, prepared, run_tests, wait_for

from pc import package  # of tests/guest

NETBOOT = "usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
READY_S = 600
INSTALLER = "PANAL_TEST_INSTALLER"


def image():
    """The folder with root.img, vmlinuz and initrd.img."""
    try:
        return os.path.dirname(prepared("launch-debian/root.img"))
    except Skip:
        folder = os.path.join(os.environ.get("PANAL_GUEST", os.path.join(ROOT, "build", "guest")), "launch-debian")
        os.makedirs(folder, exist_ok=True)
        subprocess.run([os.path.join(ROOT, "src", "cli", "recipes", "debian"), folder], check=True, stdin=subprocess.DEVNULL)
        return folder


def seed(path, name, key):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("panal-seed/")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for file, text in (("instance-id", name), ("hostname", name), ("user", "tester"), ("authorized_keys", key)):
            info = tarfile.TarInfo(f"panal-seed/{file}")
            info.size, info.mode = len(text) + 1, 0o644
            tar.addfile(info, io.BytesIO(text.encode() + b"\n"))
    with open(path, "r+b") as f:
        f.truncate(1 << 20)


def run(*command, timeout=120):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout * PATIENCE, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


class Lab:
    """A pool with Debian's disk below overlays, and a key."""

    def __init__(self, p, folder):
        self.p, self.folder, self.image = p, folder, image()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key")
        with open(f"{folder}/key.pub", encoding="ascii") as f:
            self.key = f.read().strip()
        os.mkdir(f"{folder}/pool")
        for name, target in (("lab", f"{folder}/pool"), ("images", self.image)):
            p.virsh("pool-define-as", name, "dir", "--target", target)
            p.virsh("pool-start", name)

    def disks(self, name):
        p = self.p
        p.virsh("vol-create-as", "lab", f"{name}.qcow2", "6G", "--format", "qcow2", "--backing-vol",
                f"{self.image}/root.img", "--backing-vol-format", "raw")
        seed(f"{self.folder}/{name}.seed", name, self.key)
        p.virsh("vol-create-as", "lab", f"{name}.seed", "1M", "--format", "raw")
        p.virsh("vol-upload", "--pool", "lab", f"{name}.seed", f"{self.folder}/{name}.seed")

    def address(self, name):
        """By DHCP, as virsh tells it."""
        found = []

        def ask():
            found[:] = [w.split("/")[0] for w in self.p.virsh("domifaddr", name).split() if w.startswith("192.168.122.")]
            return found
        wait_for(f"address of {name}", ask, READY_S)
        return found[0]

    def ssh(self, address, command):
        done = subprocess.run(["ssh", "-i", f"{self.folder}/key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                               "-o", "ConnectTimeout=5", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"tester@{address}", command],
                              capture_output=True, text=True, timeout=60 * PATIENCE, stdin=subprocess.DEVNULL, check=False)
        return done.stdout if done.returncode == 0 else None

    def wait_ssh(self, name):
        address = self.address(name)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            out = self.ssh(address, "hostname; ip -4 route show default; df --output=size -B1G / | tail -1")
            if out is not None:
                return address, out.split()
            time.sleep(1)
        raise Failure(f"ssh to {name} at {address} does not answer")


def off(p, name):
    p.virsh("shutdown", name)
    wait_for(f"end of {name}", lambda: "shut off" in p.virsh("domstate", name), READY_S)


def virt_install():
    with Bed() as p, tempfile.TemporaryDirectory(prefix="panal-lab-") as folder:
        lab = Lab(p, folder)
        lab.disks("web1")
        boot = f"kernel={lab.image}/vmlinuz,initrd={lab.image}/initrd.img,kernel_args=root=/dev/vda console=ttyS0 quiet rw"
        run("virt-install", "--connect", p.uri(), "--name", "web1", "--memory", "1024", "--vcpus", "2", "--import",
            "--disk", "vol=lab/web1.qcow2,bus=virtio", "--disk", "vol=lab/web1.seed,bus=virtio", "--network", "network=default",
            "--osinfo", "debian11", "--graphics", "none", "--noautoconsole", "--boot", boot)
        address, words = lab.wait_ssh("web1")
        expect_equal((words[0], words[3], words[-1]), ("web1", "192.168.122.1", "6"), "name, router, disk")
        expect("web1" in p.virsh("net-dhcp-leases", "default") or "vm" in p.virsh("net-dhcp-leases", "default"), "lease")

        # The daemon goes and comes; the guest is reached all the while, and has its address after the next start.
        p.kill()
        expect_equal(lab.ssh(address, "echo still"), "still\n", "ssh without a daemon")
        p.start()
        expect_equal(lab.address("web1"), address, "address after kill -9")
        lab.ssh(address, "sync")
        off(p, "web1")
        run("virt-xml", "--connect", p.uri(), "web1", "--edit", "--vcpus", "1")

        # The clone has its original's machine-id, and so its DHCP client id: at once they would ask for one address.
        run("virt-clone", "--connect", p.uri(), "--original", "web1", "--name", "web2", "--auto-clone")
        p.virsh("start", "web2")
        other, _ = lab.wait_ssh("web2")
        expect_equal(lab.ssh(other, "nproc"), "1\n", "processors after virt-xml")
        p.virsh("destroy", "web2")
        for name in ("web1", "web2"):
            p.virsh("undefine", name)


def serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def virt_install_location():
    """Kernel and initrd from a web server, Debian from its disk: the kernel is the installation's alone."""
    with Bed() as p, tempfile.TemporaryDirectory(prefix="panal-lab-") as folder:
        lab = Lab(p, folder)
        lab.disks("loc1")
        run("virt-install", "--connect", p.uri(), "--name", "loc1", "--memory", "1024", "--disk", "vol=lab/loc1.qcow2,bus=virtio",
            "--disk", "vol=lab/loc1.seed,bus=virtio", "--network", "network=default", "--osinfo", "debian11", "--graphics", "none",
            "--noautoconsole", "--noreboot", "--location", f"{serve(lab.image)}/,kernel=vmlinuz,initrd=initrd.img", "--extra-args",
            "root=/dev/vda console=ttyS0 quiet rw")
        address, words = lab.wait_ssh("loc1")
        expect_equal((words[0], words[-1]), ("loc1", "6"), "name, disk")
        expect("root=/dev/vda" in lab.ssh(address, "cat /proc/cmdline"), "the kernel's arguments")
        expect("<kernel>" not in p.virsh("dumpxml", "loc1", "--inactive"), "the kernel of the installation stays")
        off(p, "loc1")


def installer(folder):
    """The folder of its kernel and initial ramdisk, or one without them."""
    try:
        return os.path.dirname(package(folder, "debian-installer-12-netboot-amd64", NETBOOT + "/linux"))
    except Skip:
        return folder


def debian_installer():
    """The tree of Debian's mirrors, with the installer of its package, to the installer's dialogs on the serial console."""
    files = os.environ[INSTALLER]
    if not os.path.exists(f"{files}/linux"):
        raise Skip("the package debian-installer-12-netboot-amd64 cannot be had")
    with Bed() as p, tempfile.TemporaryDirectory(prefix="panal-lab-") as folder:
        tree = f"{folder}/installer-amd64/current/images"
        os.makedirs(f"{tree}/netboot/debian-installer/amd64")
        for name in ("linux", "initrd.gz"):
            shutil.copy(f"{files}/{name}", f"{tree}/netboot/debian-installer/amd64/{name}")
        with open(f"{tree}/MANIFEST", "w", encoding="ascii") as f:
            f.write("netboot/mini.iso -- tiny CD image for netboot, Debian\n")
        run("virt-install", "--connect", p.uri(), "--name", "di", "--memory", "1024", "--disk", "size=4,pool=default", "--network",
            "network=default", "--osinfo", "debian11", "--graphics", "none", "--noautoconsole", "--location",
            serve(folder) + "/installer-amd64/", "--extra-args", "console=ttyS0,115200n8 TERM=dumb")
        Loop.start(libvirt)
        connection = libvirt.open(p.uri())
        console = Console(libvirt, connection, connection.lookupByName("di"))
        console.expect(r"Your terminal lacks the ability|Select a language", READY_S)  # of a dumb one, the installer's dialogs say so first
        p.virsh("destroy", "di")


def main():
    missing = [x for x in ("virt-install", "virt-clone", "virt-xml", "ssh") if not shutil.which(x)]
    if missing:
        print(f"{' '.join(missing)}: not here; apt install virtinst openssh-client")
        return 77
    image()
    if INSTALLER not in os.environ:  # before there is no network
        os.environ[INSTALLER] = installer(tempfile.mkdtemp(prefix="panal-di-"))
    enter_namespace()
    make_world()
    try:
        return run_tests([("virt-install", virt_install), ("virt-install --location", virt_install_location), ("Debian's installer", debian_installer)])
    finally:
        shutil.rmtree(os.environ[INSTALLER].split("/package")[0])


if __name__ == "__main__":
    sys.exit(main())
