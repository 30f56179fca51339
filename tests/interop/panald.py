# SPDX-License-Identifier: GPL-2.0-or-later
"""A panald of its own in a temporary directory, and Debian's clients on it."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))

from machine import BUILD, PATIENCE, Failure, Skip, prepared, run_tests  # noqa: E402, F401

os.environ["LIBVIRT_AUTOSTART"] = "0"
WAIT_S = 60


def expect(condition, text):
    if not condition:
        raise Failure(str(text))


def expect_equal(got, wanted, what=""):
    if got != wanted:
        raise Failure(f"{what}: {got!r} instead of {wanted!r}")


def wait_for(what, condition, timeout=WAIT_S, every=0.02):
    deadline = time.monotonic() + timeout * PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"no {what} after {timeout * PATIENCE:.0f} s")
        time.sleep(every)


def domain_xml(name, uuid=None, more="", devices="", memory=192, flavour="cloud-amd64", kernel=True, append=""):
    """A small machine that boots to a shell on its serial console."""
    boot = ""
    if kernel:
        boot = (f"<kernel>{prepared(f'kernel-{flavour}/vmlinuz')}</kernel>"
                f"<initrd>{prepared(f'quick-{flavour}.img')}</initrd>"
                f"<cmdline>console=ttyS0 quiet panic=-1 {append}</cmdline>")
    return f"""<domain type='kvm'><name>{name}</name>{f'<uuid>{uuid}</uuid>' if uuid else ''}
  <memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os><features><acpi/><apic/></features>{more}
  <devices><serial type='pty'><target port='0'/></serial><console type='pty'/>{devices}</devices></domain>"""


def enter_namespace(needed=True):
    """Begins the program again in namespaces of its own for network and mounts, so that the host's stay as they are. Where
    that is not possible, the program ends if it is needed; the result is whether it was done."""
    if os.environ.get("PANAL_IN_NAMESPACE"):
        return True
    for program in ("unshare", "ip", "nft", "dnsmasq"):
        if not any(os.path.exists(f"{d}/{program}") for d in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
            if not needed:
                return False
            print(f"{program} is missing; tools/install-deps --test")
            sys.exit(77)
    probe = subprocess.run(["unshare", "-n", "-m", "ip", "link", "add", "probe", "type", "bridge"], capture_output=True,
                           text=True, check=False)
    if (probe.returncode or not os.path.exists("/dev/net/tun")) and not needed:
        return False
    if probe.returncode or not os.path.exists("/dev/net/tun"):
        print(f"SKIPPED: no network namespaces, bridges or taps here (root is needed): {probe.stderr}")
        sys.exit(77)
    os.environ["PANAL_IN_NAMESPACE"] = "1"
    # The folder of named namespaces is one of ours too: several runs at once do not meet.
    setup = "mount -t tmpfs run /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs run /run/netns; }; exec \"$@\""
    os.execvp("unshare", ["unshare", "-n", "-m", "sh", "-c", setup, "sh", sys.executable, *sys.argv])


class Panald:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="panald-")
        self.dir = self.directory.name
        self.process = None
        self.options = []
        self.env = {}
        self.start()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def start(self):
        with open(self.path("panald.log"), "ab") as log:
            self.process = subprocess.Popen(
                [*self.before(), os.path.join(BUILD, "panald"), "--config", self.path("config"), "--run", self.path("run"),
                 "--log", self.path("log"), "--sockets", self.path("sockets"), "--images",
                 self.path("images"), *self.arguments(), *self.options],
                stdout=log, stderr=log, env={**os.environ, **self.env}, **self.more())
        wait_for("socket", lambda: self.process.poll() is not None or self.answers(), 20)
        expect(self.process.poll() is None, f"panald ended: {self.log()}")

    def before(self):
        """What the daemon is run by."""
        return []

    def more(self):
        """More for Popen."""
        return {}

    def arguments(self):
        return []

    def answers(self):
        """Whether this daemon does: a child of the one before, killed, holds its sockets until its exec."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(self.socket())
                pid = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            if pid == self.process.pid:
                return True
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                return int(f.read().rsplit(")", 1)[1].split()[1]) == self.process.pid
        except OSError:
            return False

    def socket(self, name="libvirt-sock"):
        return self.path("sockets", name)

    def uri(self, name="libvirt-sock"):
        return f"qemu+unix:///system?socket={self.socket(name)}"

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(20)

    def restart(self):
        self.kill()
        self.start()

    def log(self):
        with open(self.path("panald.log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def engines(self):
        """The processes that run machines of this daemon."""
        found = []
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read()
                if b"panal-vmm\0" in line and self.dir.encode() in line:
                    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                        if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                            found.append(int(pid))
            except OSError:
                pass
        return found

    def virsh(self, *args, status=0, ro=False, timeout=60):
        command = ["virsh", "-c", self.uri("libvirt-sock-ro" if ro else "libvirt-sock"), *args]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout * PATIENCE, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failure(f"virsh {' '.join(args)} hangs") from None
        if status is not None and done.returncode != status:
            raise Failure(f"virsh {' '.join(args)}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        alive = self.process.poll() is None
        if alive:
            self.kill(signal.SIGTERM)
        for pid in self.engines():
            os.kill(pid, signal.SIGKILL)
        self.directory.cleanup()


class Loop:
    """libvirt's event loop on a thread; for the whole program."""

    started = False

    @classmethod
    def start(cls, libvirt):
        if cls.started:
            return
        cls.started = True
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=cls.run, args=(libvirt,), daemon=True).start()

    @staticmethod
    def run(libvirt):
        while True:
            libvirt.virEventRunDefaultImpl()


class Console:
    """A guest's console over a stream of the connection, with non-blocking reads by the event loop."""

    def __init__(self, libvirt, connection, domain, flags=0, device=None):
        self.libvirt = libvirt
        self.text = ""
        self.at = 0
        self.condition = threading.Condition()
        self.ended = False
        self.stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(device, self.stream, flags)
        self.stream.eventAddCallback(libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_HANGUP |
                                     libvirt.VIR_STREAM_EVENT_ERROR, self.readable, None)

    def readable(self, stream, events, _):
        with self.condition:
            try:
                data = stream.recv(65536)
            except self.libvirt.libvirtError:
                data = b""
            if data == -2:
                return
            if not data:
                self.ended = True
                try:
                    stream.eventRemoveCallback()
                except self.libvirt.libvirtError:
                    pass
            else:
                self.text += data.decode("utf-8", "replace")
            self.condition.notify_all()

    def expect(self, pattern, timeout=120):
        regex = re.compile(pattern)
        deadline = time.monotonic() + timeout * PATIENCE
        with self.condition:
            while True:
                found = regex.search(self.text, self.at)
                if found:
                    self.at = found.end()
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self.ended:
                    raise Failure(f"no {pattern!r} on the console{' before its end' if self.ended else ''}: {self.text[-500:]!r}")
                self.condition.wait(min(left, 1))

    def send(self, text):
        data = text.encode()
        while data:
            sent = self.stream.send(data)
            if sent == -2:
                time.sleep(0.01)
            else:
                data = data[sent:]

    def close(self):
        try:
            self.stream.eventRemoveCallback()
        except self.libvirt.libvirtError:
            pass
        try:
            self.stream.abort()
        except self.libvirt.libvirtError:
            pass
