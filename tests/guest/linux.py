#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels as guests: boot, the self-checking workload, disks, networks, time, processor identity.

    tests/guest/linux.py              the short selection of ./check
    tests/guest/linux.py --all        everything (about half an hour)
    tests/guest/linux.py NAME...      those whose name contains one of these
    tests/guest/linux.py kvm          those under KVM (ten minutes where KVM runs user code alone)
"""

import ctypes
import http.server
import json
import mmap
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import apt_repository
from machine import BUILD, Failure, Machine, Skip, prepared, run_tests

BOOT_S = 180
SHELL = r"switches the machine off\."
PROMPT = r"/ # "


def kernel(flavour):
    return prepared(f"kernel-{flavour}/vmlinuz")


def boot(flavour, *args, initrd="quick", append="", accel="soft", memory="512M", program="panal-vmm"):
    return Machine("--kernel", kernel(flavour), "--initrd", prepared(f"{initrd}-{flavour}.img"), "--memory", memory,
                   "--append", f"console=ttyS0 quiet {append}".strip(), *args, accel=accel, program=program)


def archive(folder, *files):
    """A cpio archive with these files at its root: a second initrd."""
    for path in files:
        if os.path.dirname(path) != folder:
            shutil.copy(path, folder)
    names = "\n".join(os.path.basename(path) for path in files) + "\n"
    out = os.path.join(folder, "more.img")
    with open(out, "wb") as f:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=folder, input=names.encode(), stdout=f, check=True)
    return out


def check(condition, text):
    if not condition:
        raise Failure(text)


def ends_well(m, timeout=60):
    status = m.wait(timeout)
    check(status == 0, f"exit status {status} after power-off, 0 expected\n{m.tail()}")


def shell(flavour, cpus, accel="soft", timeout=BOOT_S):
    def test():
        with boot(flavour, "--cpus", str(cpus), accel=accel, program="panal") as m:
            m.expect(SHELL, timeout)
            m.expect(PROMPT, 60)
            out, status = m.run("grep -c ^processor /proc/cpuinfo", 60)
            check(out.split()[0] == str(cpus), f"the guest sees {out!r} processors, {cpus} given")
            m.send("poweroff -f\n")
            ends_well(m)
    return test


def workload(flavour, cpus, accel="soft", timeout=900, initrd="workload"):
    def test():
        with boot(flavour, "--cpus", str(cpus), initrd=initrd, append="panal.run=/workload/run", accel=accel) as m:
            found = m.expect(r"workload: (\d+) passed, (\d+) failed", timeout)
            check(found.group(2) == "0" and int(found.group(1)) >= 13, f"{found.group(0)}\n{m.tail(40)}")
            ends_well(m)
    return test


FILL = ("mke2fs -q /dev/vda 2>&1 && mount /dev/vda /mnt && cp -r /bin/busybox /init /mnt && "
        "dd if=/dev/urandom of=/mnt/r bs=64k count=200 2>/dev/null && sha256sum /mnt/r /mnt/busybox && sync")


def fsck(image):
    """The file system was unmounted: it is marked clean, and a whole check finds nothing to mend."""
    done = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
    check(done.returncode == 0, f"e2fsck on the host gives status {done.returncode}: {done.stdout}{done.stderr}")
    said = subprocess.run(["dumpe2fs", "-h", image], capture_output=True, text=True).stdout
    check(re.search(r"^Filesystem state: +clean$", said, re.M), f"the file system is not marked clean: {said}")


def allocated(image):
    """Bytes that a file takes on its disk."""
    return os.stat(image).st_blocks * 512


def disk(accel="soft"):
    """A file system made, written, synced, powered off and found intact, by the guest and by e2fsck here."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            image = os.path.join(d, "disk.raw")
            with open(image, "wb") as f:
                f.truncate(64 << 20)
            with boot("cloud-amd64", "--disk", image, accel=accel) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run(FILL + " && umount /mnt", 120)
                check(status == 0, f"making and filling the file system: {out}")
                sums = re.findall(r"[0-9a-f]{64}", out)
                m.send("poweroff -f\n")
                ends_well(m)
            fsck(image)
            with boot("cloud-amd64", "--disk", image + ",readonly", accel=accel) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run("mount -o ro /dev/vda /mnt && sha256sum /mnt/r /mnt/busybox", 60)
                check(re.findall(r"[0-9a-f]{64}", out) == sums, f"other contents after the restart: {out}, {sums} before")
                m.send("poweroff -f\n")
                ends_well(m)
    return test


class Pages(http.server.BaseHTTPRequestHandler):
    body = bytes(range(256)) * 8192

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


def network(accel="soft"):
    """The guest fetches 2 MiB from a server on this host, and this host reaches a port of the guest."""
    def test():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        try:
            with boot("cloud-amd64", "--net", f"user,forward=tcp:{port}:7", accel=accel) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2; "
                                    f"wget -q -O /tmp/f http://10.0.2.2:{server.server_address[1]}/ && wc -c </tmp/f", 120)
                check(status == 0 and str(len(Pages.body)) in out, f"wget in the guest: {out}")
                m.send("nc -l -p 7 -e cat\n")
                m.expect("cat", 10)
                for _ in range(40):
                    try:  # refused until the guest's nc listens
                        with socket.create_connection(("127.0.0.1", port), 10) as c:
                            c.settimeout(10)
                            c.sendall(b"hello guest\n")
                            if c.recv(100) == b"hello guest\n":
                                break
                    except OSError:
                        pass
                    time.sleep(0.5)
                else:
                    raise Failure("no echo from the guest through the forwarded port")
                m.expect(PROMPT, 30)
                m.send("poweroff -f\n")
                ends_well(m)
        finally:
            server.shutdown()
    return test


def time_keeps(accel="soft"):
    """sleep 5 takes as long as on this host, within 2 %, and sleep 1 too, starting the program not counted. Of several the one
    counts that a busy host disturbs least: a clock that runs wrong is wrong in each of them."""
    def test():
        with boot("cloud-amd64", accel=accel) as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            for seconds in (5, 1) if accel == "soft" else (5,):
                began = time.monotonic()
                subprocess.run(["sleep", str(seconds)], check=True)
                host, took = time.monotonic() - began, []
                while len(took) < 4 and not any(abs(s / host - 1) <= 0.02 for s in took):
                    m.send(f"sleep 0; echo be''gin; sleep 0; echo mid''dle; sleep {seconds}; echo e''nd\n")
                    a, b, c = (m.time_of(m.expect(word, 30).start()) for word in ("begin", "middle", "end"))
                    took.append(c - b - (b - a))
                check(host < 1.1 * seconds and abs(took[-1] / host - 1) <= 0.02, f"sleep {seconds}: {took} s; on the host {host} s")
            m.send("poweroff -f\n")
            ends_well(m)
    return test


def host_tsc_hz():
    """Of this host, by a few instructions of our own (RDTSC) against its clock."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; shl rdx, 32; or rax, rdx; ret
    view = ctypes.c_char.from_buffer(code)
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(view))
    best = []
    for _ in range(5):  # a busy host may take the processor away between clock and counter
        a, ta = time.monotonic_ns(), rdtsc()
        time.sleep(0.2)
        b, tb = time.monotonic_ns(), rdtsc()
        best.append((tb - ta) * 1e9 / (b - a))
    return sorted(best)[2]


def lscpu_archive(folder):
    """util-linux's lscpu with its libraries and loader, beside each other at the root of a second initrd."""
    program = shutil.which("lscpu")
    if not program:
        raise Skip("no lscpu on this host; install util-linux")
    found = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return archive(folder, program, *re.findall(r"(/\S+) \(", found))


def identity(accel="soft"):
    """What lscpu (util-linux) finds in the guest: vendor, model name, topology as asked for, SSE4 and other flags, L1 to L3; and
    the TSC's frequency within 1 %."""
    host = open("/proc/cpuinfo").read()
    with tempfile.TemporaryDirectory() as d:
        with boot("cloud-amd64", "--initrd", lscpu_archive(d), "--cpus", "8,sockets=2,cores=2,threads=2", accel=accel) as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, status = m.run("/ld-linux-x86-64.so.2 --library-path / /lscpu | cat", 60)
            check(status == 0, f"lscpu: {out}")
            said = dict(re.findall(r"^ *([^:\n]+?): +(.*?) *$", out, re.M))
            wanted = {name: re.search(rf"^{key}\s*: (.*)$", host, re.M).group(1)
                      for key, name in (("vendor_id", "Vendor ID"), ("model name", "Model name"), ("cpu family", "CPU family"))}
            wanted |= {"CPU(s)": "8", "Socket(s)": "2", "Core(s) per socket": "2", "Thread(s) per core": "2"}
            for key, value in wanted.items():
                check(said.get(key) == value, f"{key} is {said.get(key)!r}, not {value!r}:\n{out}")
            flags = said["Flags"].split()
            for flag in ("sse", "sse2", "pni", "ssse3", "sse4_1", "sse4_2", "nx", "smep", "smap"):
                check(flag in flags, f"flag {flag} is missing: {flags}")
            for flag in ("avx", "avx2", "fma", "aes", "bmi1", "bmi2"):
                check(flag in flags or not re.search(rf"\b{flag}\b", host), f"flag {flag} is missing: {flags}")
            for cache in ("L1d", "L1i", "L2", "L3"):
                check(re.match(r"[\d.]+ [KM]iB \(\d+ instance", said.get(f"{cache} cache", said.get(cache, ""))), f"no {cache}:\n{out}")
            out, _ = m.run("dmesg | grep 'tsc: Detected'; grep -m1 MHz /proc/cpuinfo", 30)
            host_mhz = host_tsc_hz() / 1e6
            for mhz in re.findall(r"([\d.]+) MHz|MHz\s*: ([\d.]+)", out):
                mhz = float(mhz[0] or mhz[1])
                check(abs(mhz / host_mhz - 1) < 0.01, f"{mhz} MHz in the guest, the host's TSC has {host_mhz:.1f}")
            check("MHz" in out, f"the guest does not tell its TSC's frequency: {out}")
            m.send("poweroff -f\n")
            ends_well(m)


def loop_device(image):
    """A loop device over this file."""
    done = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if done.returncode:
        raise Skip(f"no loop device to be had here: losetup: {done.stderr.strip()}; run as root on a kernel with loop devices")
    return done.stdout.strip()


def overlay(base, image):
    """An empty qcow2 image over a raw one."""
    subprocess.run([os.path.join(BUILD, "panal"), "image", "create", "-f", "qcow2", "-b", base, "-F", "raw", image], check=True)
    return image + ",format=qcow2"


DISK_FILE = 200 << 16  # what FILL writes to /mnt/r


def image_data(image):
    """Bytes of a qcow2 image's disk that are data of this image, as qemu-img sees it."""
    said = subprocess.run(["qemu-img", "map", "-f", "qcow2", "--output=json", image], capture_output=True, text=True)
    check(said.returncode == 0, f"qemu-img map: {said.stderr}")
    return sum(piece["length"] for piece in json.loads(said.stdout) if piece["data"] and piece["depth"] == 0)


def disk_qcow2():
    """As disk, in a qcow2 image over a raw one. A file that is deleted and trimmed gives its clusters back: they read as
    zeros and are no data of the image any more, and its file shrinks. panal image checks it, e2fsck its contents."""
    with tempfile.TemporaryDirectory() as d:
        base, image = os.path.join(d, "base.raw"), os.path.join(d, "disk.qcow2")
        panal = os.path.join(BUILD, "panal")
        with open(base, "wb") as f:
            f.truncate(64 << 20)
        with boot("cloud-amd64", "--disk", overlay(base, image)) as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, status = m.run(FILL, 120)
            check(status == 0, f"making and filling the file system: {out}")
            full = allocated(image)
            check(full > DISK_FILE, f"the image takes {full} bytes of its disk after {DISK_FILE} were written")
            out, status = m.run("rm /mnt/r && sync && fstrim -v /mnt", 60)
            trimmed = re.search(r"(\d+) bytes", out)
            check(status == 0 and trimmed and int(trimmed.group(1)) >= DISK_FILE, f"fstrim in the guest: {out}")
            out, status = m.run("cp /bin/busybox /mnt/again && cmp /bin/busybox /mnt/again && sync && umount /mnt", 60)
            check(status == 0, f"using the file system after the trim: {out}")
            m.send("poweroff -f\n")
            ends_well(m)
        check(image_data(image) < DISK_FILE * 3 // 4, f"{image_data(image)} bytes of data are in the image after the trim")
        check(allocated(image) < full - DISK_FILE // 2, f"the image takes {full} bytes of its disk, {allocated(image)} after the trim")
        subprocess.run([panal, "image", "check", image], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([panal, "image", "convert", "-f", "qcow2", "-O", "raw", image, base + ".out"], check=True)
        fsck(base + ".out")
        with open(base, "rb") as f:
            check(f.read() == bytes(64 << 20), "the backing file was written to")


def mounted_is_told(device, folder):
    """A device that the host has mounted is warned of, unless the guest only reads it."""
    point = os.path.join(folder, "point")
    os.mkdir(point)
    subprocess.run(["mke2fs", "-q", "-F", device], check=True, stdout=subprocess.DEVNULL)
    said = []
    for mounted in (False, True):
        if mounted and subprocess.run(["mount", device, point], stderr=subprocess.DEVNULL, check=False).returncode:
            return  # not in this container
        try:
            for more in ("", ",readonly"):
                said.append(subprocess.run([os.path.join(BUILD, "panal-vmm"), kernel("cloud-amd64"), "--disk", device + more, "--dry-run"],
                                           stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stderr)
        finally:
            subprocess.run(["umount", point], stderr=subprocess.DEVNULL, check=False)
    check(["in use by this host" in text for text in said] == [False, False, True, False], f"warnings: {said}")


def block_device():
    """A block device of the host as disk: a file system made in the guest, the lock, its size, and discards, which the loop
    device turns into holes of its file."""
    if not shutil.which("losetup"):
        raise Skip("no losetup; install mount")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
        image = os.path.join(d, "disk.raw")
        with open(image, "wb") as f:
            f.truncate(64 << 20)
        device = loop_device(image)
        try:
            with boot("cloud-amd64", "--disk", device) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run("cat /sys/block/vda/size; " + FILL + " && umount /mnt", 120)
                check(status == 0 and out.split()[0] == str((64 << 20) // 512), f"making and filling the file system: {out}")
                sums = re.findall(r"[0-9a-f]{64}", out)
                second = subprocess.run([os.path.join(BUILD, "panal-vmm"), kernel("cloud-amd64"), "--disk", device, "--dry-run"],
                                        capture_output=True, text=True)
                check(second.returncode == 1 and "in use" in second.stderr, f"the device in use: {second.returncode} {second.stderr}")
                m.send("poweroff -f\n")
                ends_well(m)
            fsck(device)
            full = allocated(image)
            with boot("cloud-amd64", "--disk", device) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run("mount /dev/vda /mnt && sha256sum /mnt/r /mnt/busybox && rm /mnt/r && sync && fstrim /mnt && umount /mnt", 60)
                check(status == 0 and re.findall(r"[0-9a-f]{64}", out) == sums, f"other contents after the restart, or no trim: {out}")
                left = allocated(image)
                check(left < full - DISK_FILE * 3 // 4, f"a trim does not reach the file: {left} of {full} bytes are left")
                out, status = m.run("blkdiscard /dev/vda", 60)
                check(status == 0, f"blkdiscard: {out}")
                check(allocated(image) < 1 << 20, f"discards do not reach the file: {allocated(image)} of {full} bytes are left")
                m.send("poweroff -f\n")
                ends_well(m)
            mounted_is_told(device, d)
        finally:
            subprocess.run(["losetup", "--detach", device], check=False)


def reboot(accel="soft"):
    def test():
        with boot("cloud-amd64", accel=accel) as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.send("reboot -f\n")
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.send("poweroff -f\n")
            ends_well(m)
    return test


def apt_works(m, repository):
    """apt-get update from the repository on this host, then a package of it, installed and run."""
    out, status = m.run("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; nproc; "
                        f"echo 'deb [trusted=yes] http://10.0.2.2:{repository.port}/ ./' >/etc/apt/sources.list; apt-get update", 300)
    check(status == 0 and re.search(rf"Get:\d+ http://10.0.2.2:{repository.port} ./ Packages", out), f"apt-get update in the guest: {out}")
    out, status = m.run(f"DEBIAN_FRONTEND=noninteractive apt-get install -y {apt_repository.NAME} && {apt_repository.NAME}", 300)
    check(status == 0 and apt_repository.WORD in out, f"apt-get install in the guest: {out}")


def debian(cpus, accel="soft", qcow2=False):
    """Debian 12 with systemd from a root disk to its login, apt-get update and install from a repository on this host, and
    a clean power-off: the root file system is marked clean and whole."""
    def test():
        source = prepared("debian.img")
        with tempfile.TemporaryDirectory() as d, apt_repository.Repository(d) as repository:
            image = os.path.join(d, "debian.img")
            if qcow2:
                spec = overlay(os.path.abspath(source), image)
            else:
                spec = image
                subprocess.run(["cp", "--sparse=always", source, image], check=True)
            with boot("cloud-amd64", "--disk", spec, "--net", "user", "--cpus", str(cpus), append="panal.root=/dev/vda",
                      memory="1G", accel=accel) as m:
                m.expect("debian login:", 600)
                m.expect(r"root@debian:~# ", 120)
                out, status = m.run("systemctl is-system-running --wait; systemctl --failed --no-legend", 300)
                check("running" in out, f"systemd says {out!r}")
                apt_works(m, repository)
                m.send("poweroff\n")
                ends_well(m, 180)
            if qcow2:
                subprocess.run([os.path.join(BUILD, "panal"), "image", "convert", "-f", "qcow2", "-O", "raw", image, image + ".out"], check=True)
                image += ".out"
            fsck(image)
    return test


def kvm_small():
    """A guest of a few instructions under KVM: from start to end in milliseconds."""
    times = []
    for _ in range(20):
        begin = time.monotonic()
        done = subprocess.run([os.path.join(BUILD, "panal-vmm"), os.path.join(BUILD, "tests/guest/system/exit.elf"), "--accel", "kvm,split=off",
                               "--memory", "128M", "--serial", "stdio"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        times.append(time.monotonic() - begin)
        check(done.returncode == 1 and done.stdout == b".", f"status {done.returncode}: {done.stdout} {done.stderr}")
    check(min(times) < 0.1, f"the quickest of {len(times)} took {min(times) * 1000:.0f} ms")


SHORT = [
    ("shell cloud-amd64 1 cpu", shell("cloud-amd64", 1)),
    ("workload cloud-amd64 2 cpus", workload("cloud-amd64", 2)),
    ("disk", disk()),
    ("disk qcow2", disk_qcow2),
    ("block device", block_device),
    ("network", network()),
    ("time", time_keeps()),
    ("identity", identity),
    ("kvm: small guests", kvm_small),
    ("kvm: shell cloud-amd64 1 cpu", shell("cloud-amd64", 1, accel="kvm")),
]
LONG = [
    *((f"shell {f} {n} cpus", shell(f, n)) for f in ("cloud-amd64", "amd64", "686-pae") for n in (1, 2, 4)),
    *((f"workload {f} {n} cpus", workload(f, n)) for f in ("cloud-amd64", "amd64", "686-pae") for n in (1, 2, 4)),
    *((f"workload of 32-bit programs {n} cpus", workload("cloud-amd64", n, initrd="workload32")) for n in (1, 2)),
    ("reboot", reboot()),
    ("debian 1 cpu", debian(1)),
    ("debian 2 cpus", debian(2)),
    ("debian 4 cpus", debian(4)),
    ("debian from qcow2", debian(1, qcow2=True)),
    *((f"kvm: shell {f} {n} cpus", shell(f, n, accel="kvm")) for f in ("cloud-amd64", "amd64", "686-pae") for n in (1, 4)),
    *((f"kvm: workload cloud-amd64 {n} cpus", workload("cloud-amd64", n, accel="kvm")) for n in (1, 2, 4)),
    ("kvm: disk", disk("kvm")),
    ("kvm: network", network("kvm")),
    ("kvm: time", time_keeps("kvm")),
    ("kvm: identity", lambda: identity("kvm")),
    ("kvm: reboot", reboot("kvm")),
    ("kvm,irqchip=off: shell cloud-amd64 2 cpus", shell("cloud-amd64", 2, accel="kvm,irqchip=off")),
]


def main():
    names = [a for a in sys.argv[1:] if a != "--all"]
    everything = SHORT + [t for t in LONG if t[0] not in dict(SHORT)]
    if names:
        tests = [t for t in everything if any(n in t[0] for n in names)]
    else:
        tests = everything if "--all" in sys.argv else SHORT
    if not os.access("/dev/kvm", os.W_OK):
        def no_kvm():
            raise Skip("/dev/kvm is missing or not accessible here")
        tests = [(n, no_kvm if "kvm" in n else f) for n, f in tests]
    return run_tests(tests)


if __name__ == "__main__":
    sys.exit(main())
