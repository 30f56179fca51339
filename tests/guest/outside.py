#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What joins a guest with the world outside: a tap interface, virtio sockets, the report of a panic; and what is left
of a machine that was ended in the middle of its start.

    tests/guest/outside.py [NAME...]   all, or those whose name contains one of these
"""

import glob
import hashlib
import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from control import Qmp
from linux import BOOT_S, PROMPT, SHELL, Pages, archive, boot, check, ends_well, kernel
from machine import BUILD, Failure, Machine, Skip, prepared, run_tests

HERE = os.path.dirname(os.path.abspath(__file__))


def shell(m):
    m.expect(SHELL, BOOT_S)
    m.expect(PROMPT, 60)


# ---- tap ----

TAP = "panal-test"


def in_own_network():
    """A network namespace of this test's own, with a tap interface in it; for the rest of this process."""
    import ctypes
    clone_newnet = 0x40000000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newnet) < 0:
        raise Skip(f"no right to make a network namespace ({os.strerror(ctypes.get_errno())}); run as root")
    for command in ("ip link set lo up", f"ip tuntap add dev {TAP} mode tap", f"ip addr add 10.9.0.1/24 dev {TAP}", f"ip link set {TAP} up"):
        done = subprocess.run(command.split(), capture_output=True, text=True)
        if done.returncode:
            raise Skip(f"{command}: {done.stderr.strip()}")


def echo(m, address, sent):
    """To a port of the guest, whose nc gives back what comes: segments larger than a frame go in, too."""
    for _ in range(60):
        try:  # refused until nc listens
            with socket.create_connection(address, 20) as c:
                sender = threading.Thread(target=lambda: (c.sendall(sent), c.shutdown(socket.SHUT_WR)))
                sender.start()
                back = b""
                while data := c.recv(65536):
                    back += data
                sender.join()
            check(back == sent, f"{len(sent)} bytes to the guest, {len(back)} came back, or others")
            return
        except ConnectionRefusedError:
            time.sleep(0.5)
    raise Failure(f"nobody answers at {address}:\n{m.tail()}")


def tap_in_child():
    in_own_network()
    server = http.server.ThreadingHTTPServer(("10.9.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with boot("cloud-amd64", "--net", f"tap={TAP}") as m:
        shell(m)
        out, status = m.run("ip link set eth0 up && ip addr add 10.9.0.2/24 dev eth0; ping -c 3 10.9.0.1", 60)
        check(status == 0 and " 0% packet loss" in out, f"ping from the guest: {out}")
        out, status = m.run(f"wget -q -O /tmp/f http://10.9.0.1:{server.server_address[1]}/ && sha256sum </tmp/f", 120)
        check(hashlib.sha256(Pages.body).hexdigest() in out, f"wget in the guest: {out}")
        m.send("nc -l -p 7 -e cat\n")
        echo(m, ("10.9.0.2", 7), os.urandom(300000))
        m.expect(PROMPT, 30)
        second = subprocess.run([os.path.join(BUILD, "panal-vmm"), kernel("cloud-amd64"), "--net", f"tap={TAP}", "--dry-run"],
                                capture_output=True, text=True)
        check(second.returncode == 1 and "another program" in second.stderr, f"a tap in use: {second.returncode} {second.stderr}")
        m.send("poweroff -f\n")
        ends_well(m)


def tap():
    """Frames through a tap interface in a network namespace, both ways, with the tap's offloads."""
    if not os.path.exists("/dev/net/tun"):
        raise Skip("/dev/net/tun is missing; modprobe tun")
    if not shutil.which("ip"):
        raise Skip("no ip command; install iproute2")
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--tap-in-child"], capture_output=True, text=True)
    found = re.search(r"^(SKIPPED|FAILED) .*?: (.*)", done.stdout, re.M | re.S)
    if found:
        raise (Skip if found.group(1) == "SKIPPED" else Failure)(found.group(2))
    check(done.returncode == 0, done.stdout + done.stderr)


# ---- vsock ----

def echo_server(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def serve():
        peer, _ = listener.accept()
        while data := peer.recv(65536):
            peer.sendall(data)
        peer.close()
    threading.Thread(target=serve, daemon=True).start()
    return listener


def vsock():
    """A megabyte from a guest's program to one on the host and back, then a connection from the host to the guest."""
    if not shutil.which("cc"):
        raise Skip("no C compiler for the guest's program")
    with tempfile.TemporaryDirectory() as d:
        path, program = os.path.join(d, "vs"), os.path.join(d, "vsock")
        subprocess.run(["cc", "-static", "-O1", "-o", program, os.path.join(HERE, "vsock.c")], check=True)
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(path)  # as a machine leaves it that was killed
        dead.close()
        with boot("cloud-amd64", "--vsock", path, "--initrd", archive(d, program)) as m, echo_server(path + "_77"):
            shell(m)
            out, status = m.run("/vsock connect 77", 120)
            check(status == 0 and "all came back" in out, f"from the guest: {out}")
            out, status = m.run("/vsock connect 78", 30)
            check(status != 0 and "connect:" in out, f"to a port where nobody listens: {out}")
            m.send("/vsock listen 5\n")
            m.expect("vsock: listening", 30)
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(path)
                s.sendall(b"CONNECT 5\n")
                f = s.makefile("rwb")
                check(f.readline().startswith(b"OK "), "no OK from the device")
                sent = os.urandom(50000)
                f.write(sent)
                f.flush()
                s.shutdown(socket.SHUT_WR)
                check(f.read() == sent, "other bytes came back from the guest")
                f.close()
            m.expect(PROMPT, 30)
            m.send("poweroff -f\n")
            ends_well(m)
        check(not os.path.exists(path), "the socket is left behind")


# ---- panic ----

def panic():
    """The guest's own driver reports its panic: the event, one line, the reset that the kernel does next, no status 0."""
    drivers = [glob.glob(os.path.join(prepared("kernel-cloud-amd64"), f"modules/*/kernel/drivers/misc/pvpanic/{n}.ko"))
               for n in ("pvpanic", "pvpanic-mmio")]
    if not all(drivers):
        raise Skip("the kernel's package has no pvpanic driver")
    with tempfile.TemporaryDirectory() as d:
        more = archive(d, *(found[0] for found in drivers))
        path = os.path.join(d, "control")
        with boot("cloud-amd64", "--no-reboot", "--initrd", more, "--control", path, append="panic=1") as m:
            shell(m)
            q = Qmp(path)
            q.execute("qmp_capabilities")
            out, status = m.run("grep -q ^pvpanic_mmio /proc/modules || { insmod /pvpanic.ko; insmod /pvpanic-mmio.ko; }", 30)
            check(status == 0, f"the guest does not find the device: {out}")
            m.send("echo c >/proc/sysrq-trigger\n")
            m.expect(r"reports that it panicked", 60)
            q.expect_event("GUEST_PANICKED")
            q.expect_event("SHUTDOWN")
            check(m.wait(60) == 1, "the status after a panic is not 1")
            check(m.text.count("panicked") == 1, f"the panic is not told once:\n{m.tail()}")


# ---- ends ----

def children(pid):
    try:
        return [int(n) for n in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def sudden_end():
    """SIGTERM at many moments of the start, SIGKILL at some: a status that says so, no helper process, no socket."""
    for step in range(24):
        how = signal.SIGKILL if step % 6 == 5 else signal.SIGTERM
        with tempfile.TemporaryDirectory() as d:
            paths = [os.path.join(d, n) for n in ("control", "vsock", "serial")]
            m = Machine("--kernel", kernel("cloud-amd64"), "--initrd", prepared("quick-cloud-amd64.img"), "--net", "user",
                        "--control", paths[0], "--vsock", paths[1], "--serial", "unix:" + paths[2])
            with m:
                time.sleep(step * 0.012)
                helpers = children(m.process.pid)
                m.process.send_signal(how)
                status = m.wait(20)
                # Before it heeds signals the process dies of one; later it ends as one that was switched off.
                check(status in (-how, 128 + how), f"step {step}: status {status} after signal {how.value}: {m.text}")
                deadline = time.monotonic() + 5
                while any(alive(h) for h in helpers):
                    check(time.monotonic() < deadline, f"step {step}: a helper process is left")
                    time.sleep(0.02)
                if status == 128 + how:
                    left = [p for p in paths if os.path.exists(p)]
                    check(not left, f"step {step}: left behind: {left}")


TESTS = [("tap", tap), ("vsock", vsock), ("panic", panic), ("sudden end", sudden_end)]


def main():
    if sys.argv[1:] == ["--tap-in-child"]:
        return run_tests([("tap", tap_in_child)])
    names = sys.argv[1:]
    return run_tests([t for t in TESTS if not names or any(n in t[0] for n in names)])


if __name__ == "__main__":
    sys.exit(main())
