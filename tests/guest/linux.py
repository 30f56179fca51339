#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels as guests: boot, the self-checking workload, disks, networks, time, processor identity.

    tests/guest/linux.py              the short selection of ./check
    tests/guest/linux.py --all        everything (about half an hour)
    tests/guest/linux.py NAME...      those whose name contains one of these
"""

import http.server
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

from machine import Failure, Machine, Skip, prepared, run_tests

BOOT_S = 180
SHELL = r"switches the machine off\."
PROMPT = r"/ # "


def kernel(flavour):
    return prepared(f"kernel-{flavour}/vmlinuz")


def boot(flavour, *args, initrd="quick", append="", accel="soft", memory="512M"):
    return Machine("--kernel", kernel(flavour), "--initrd", prepared(f"{initrd}-{flavour}.img"), "--memory", memory,
                   "--append", f"console=ttyS0 quiet {append}".strip(), *args, accel=accel)


def check(condition, text):
    if not condition:
        raise Failure(text)


def ends_well(m, timeout=60):
    status = m.wait(timeout)
    check(status == 0, f"exit status {status} after power-off, 0 expected\n{m.tail()}")


def shell(flavour, cpus, accel="soft", timeout=BOOT_S):
    def test():
        with boot(flavour, "--cpus", str(cpus), accel=accel) as m:
            m.expect(SHELL, timeout)
            m.expect(PROMPT, 60)
            out, status = m.run("grep -c ^processor /proc/cpuinfo", 60)
            check(out.split()[0] == str(cpus), f"the guest sees {out!r} processors, {cpus} given")
            m.send("poweroff -f\n")
            ends_well(m)
    return test


def workload(flavour, cpus, accel="soft", timeout=900):
    def test():
        with boot(flavour, "--cpus", str(cpus), initrd="workload", append="panal.run=/workload/run", accel=accel) as m:
            found = m.expect(r"workload: (\d+) passed, (\d+) failed", timeout)
            check(found.group(2) == "0" and int(found.group(1)) >= 13, f"{found.group(0)}\n{m.tail(40)}")
            ends_well(m)
    return test


def disk():
    """A file system made, written, synced, powered off and found intact, by the guest and by e2fsck here."""
    with tempfile.TemporaryDirectory() as d:
        image = os.path.join(d, "disk.raw")
        with open(image, "wb") as f:
            f.truncate(64 << 20)
        with boot("cloud-amd64", "--disk", image) as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, status = m.run("mke2fs -q /dev/vda 2>&1 && mount /dev/vda /mnt && cp -r /bin/busybox /init /mnt && "
                                "dd if=/dev/urandom of=/mnt/r bs=64k count=200 2>/dev/null && sha256sum /mnt/r /mnt/busybox && sync", 120)
            check(status == 0, f"making and filling the file system: {out}")
            sums = re.findall(r"[0-9a-f]{64}", out)
            m.send("poweroff -f\n")
            ends_well(m)
        fsck = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
        check(fsck.returncode in (0, 1, 4) and "Inode" not in fsck.stdout, f"e2fsck on the host: {fsck.stdout}")
        with boot("cloud-amd64", "--disk", image + ",readonly") as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, status = m.run("mount -o ro /dev/vda /mnt && sha256sum /mnt/r /mnt/busybox", 60)
            check(re.findall(r"[0-9a-f]{64}", out) == sums, f"other contents after the restart: {out}, {sums} before")
            m.send("poweroff -f\n")
            ends_well(m)


class Pages(http.server.BaseHTTPRequestHandler):
    body = bytes(range(256)) * 8192

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


def network():
    """The guest fetches 2 MiB from a server on this host, and this host reaches a port of the guest."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    try:
        with boot("cloud-amd64", "--net", f"user,forward=tcp:{port}:7") as m:
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


def time_keeps():
    """sleep 5 takes five seconds of this host's time, within 2 %."""
    with boot("cloud-amd64") as m:
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        m.send("echo be''gin; sleep 5; echo e''nd\n")
        a = m.time_of(m.expect("begin", 30).start())
        b = m.time_of(m.expect("end", 30).start())
        check(4.9 <= b - a <= 5.1, f"sleep 5 took {b - a:.3f} s on the host's clock")
        m.send("poweroff -f\n")
        ends_well(m)


def identity():
    """Vendor, model name, topology, SSE4, caches and clock as asked for and as the host has them."""
    host = open("/proc/cpuinfo").read()
    with boot("cloud-amd64", "--cpus", "4,sockets=1,cores=2,threads=2") as m:
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        out, _ = m.run("cat /proc/cpuinfo", 60)
        for key in ("vendor_id", "model name", "cpu family"):
            want = re.search(rf"^{key}\s*: (.*)$", host, re.M).group(1)
            check(re.search(rf"{key}\s*: {re.escape(want)}", out), f"{key} is not {want!r}:\n{out[:800]}")
        for flag in ("sse4_1", "sse4_2", "avx2", "fma", "aes", "nx", "smep", "smap"):
            check(re.search(rf"\b{flag}\b", out) or not re.search(rf"\b{flag}\b", host), f"flag {flag} is missing")
        check("cpu cores\t: 2" in out and "siblings\t: 4" in out, "not 2 cores with 2 threads each")
        mhz = float(re.search(r"cpu MHz\s*: ([\d.]+)", out).group(1))
        host_mhz = float(re.search(r"cpu MHz\s*: ([\d.]+)", host).group(1))
        check(abs(mhz / host_mhz - 1) < 0.01, f"{mhz} MHz in the guest, {host_mhz} on the host")
        out, _ = m.run("cat /sys/devices/system/cpu/cpu0/cache/index*/level", 30)
        check(set(out.split()) >= {"1", "2", "3"}, f"cache levels {out!r}")
        m.send("poweroff -f\n")
        ends_well(m)


def reboot():
    with boot("cloud-amd64") as m:
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        m.send("reboot -f\n")
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        m.send("poweroff -f\n")
        ends_well(m)


def debian(cpus):
    """Debian 12 with systemd from a root disk to its login, network traffic, and a clean power-off."""
    def test():
        source = prepared("debian.img")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as d:
            image = os.path.join(d, "debian.img")
            subprocess.run(["cp", "--sparse=always", source, image], check=True)
            with boot("cloud-amd64", "--disk", image, "--net", "user", "--cpus", str(cpus), append="panal.root=/dev/vda", memory="1G") as m:
                m.expect("debian login:", 600)
                m.expect(r"root@debian:~# ", 120)
                out, status = m.run("systemctl is-system-running --wait; systemctl --failed --no-legend", 300)
                check("running" in out, f"systemd says {out!r}")
                out, status = m.run(f"wget -q -O - http://10.0.2.2:{server.server_address[1]}/ | wc -c", 120)
                check(str(len(Pages.body)) in out, f"wget in the guest: {out!r}")
                m.send("poweroff\n")
                ends_well(m, 180)
        server.shutdown()
    return test


SHORT = [
    ("shell cloud-amd64 1 cpu", shell("cloud-amd64", 1)),
    ("workload cloud-amd64 2 cpus", workload("cloud-amd64", 2)),
    ("disk", disk),
    ("network", network),
    ("time", time_keeps),
    ("identity", identity),
]
LONG = [
    *((f"shell {f} {n} cpus", shell(f, n)) for f in ("cloud-amd64", "amd64", "686-pae") for n in (1, 2, 4)),
    *((f"workload {f} {n} cpus", workload(f, n)) for f in ("cloud-amd64", "686-pae") for n in (1, 4)),
    ("reboot", reboot),
    ("debian 1 cpu", debian(1)),
    ("debian 2 cpus", debian(2)),
    ("shell cloud-amd64 under kvm", shell("cloud-amd64", 1, accel="kvm", timeout=1200)),
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
