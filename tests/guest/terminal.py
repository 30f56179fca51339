#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panal run on a pseudo-terminal: raw while the guest has it and put back on every way out; the escape key; the exit
statuses; no process is left over.

    tests/guest/terminal.py [NAME...]
"""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

from machine import BUILD, Failure, run_tests

GUEST = os.path.join(BUILD, "tests/guest/system/multiboot.elf")
WAIT_S = 60  # on a busy host


def check(condition, text):
    if not condition:
        raise Failure(text)


def until(condition, text, seconds=WAIT_S):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(text)
        time.sleep(0.05)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            found = [int(c) for c in f.read().split()]
    except OSError:
        return []
    return found + [d for c in found for d in children(c)]


def alive(pid):
    """Zombies count too."""
    return os.path.exists(f"/proc/{pid}")


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Terminal:
    """panal run with a pseudo-terminal as its standard input, output and error."""

    def __init__(self, line, *args):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        flags = fcntl.fcntl(self.slave, fcntl.F_GETFL)
        command = [os.path.join(BUILD, "panal"), "run", GUEST, "--accel", "soft", "--memory", "16M", "--append", line, *args]
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.flags = flags
        self.text = ""
        self.at = 0

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536).decode("utf-8", "replace")

    def expect(self, pattern, seconds=WAIT_S):
        deadline = time.monotonic() + seconds
        while True:
            found = re.compile(pattern).search(self.text, self.at)
            if found:
                self.at = found.end()
                return found
            if time.monotonic() > deadline:
                raise Failure(f"no {pattern!r} on the terminal; it says {self.text[-600:]!r}")
            self.read(0.2)

    def type(self, keys):
        os.write(self.master, keys)

    def raw(self):
        lflag = termios.tcgetattr(self.slave)[3]
        return not lflag & (termios.ICANON | termios.ECHO | termios.ISIG)

    def engine(self):
        found = [c for c in children(self.process.pid) if os.path.basename(os.readlink(f"/proc/{c}/exe")) == "panal-vmm"]
        check(len(found) == 1, f"panal has the engines {found}")
        return found[0]

    def end(self, seconds=WAIT_S):
        """The exit status, after which nothing is left and the terminal is as before."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure(f"panal still runs after {seconds} s; the terminal says {self.text[-600:]!r}")
            self.read(0.1)
        self.read(0.1)
        check(termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was")
        check(fcntl.fcntl(self.slave, fcntl.F_GETFL) == self.flags, "the terminal was left non-blocking")
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            for pid in children(self.process.pid) + [self.process.pid]:
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def start(line="keys", *args):
    t = Terminal(line, *args)
    t.expect("Ctrl-A x quits")
    t.expect("guest: type")
    until(t.raw, "the terminal is not raw while the guest runs")
    t.family = children(t.process.pid)
    check(t.family, "panal has no child")
    return t


def gone(t, *others):
    for pid in [*t.family, *others]:
        until(lambda p=pid: not alive(p), f"process {pid} is left over")


def keys():
    """Every key reaches the guest but the escape key, which doubled is one Ctrl-A."""
    with start() as t:
        t.type(b"a\x03\x04\x1a\x1b\x7f\r")
        for code in ("61", "03", "04", "1a", "1b", "7f", "0d"):
            t.expect("key " + code)
        t.type(b"\x01\x01z")
        t.expect("key 01\r?\nkey 7a")
        t.type(b"\x01hy")
        t.expect("Ctrl-A Ctrl-A sends")
        t.expect("key 79")
        t.type(b"\x01qb")  # an unknown one is swallowed whole
        t.expect("key 62")
        check("key 71" not in t.text and t.text.count("key 01") == 1, t.text)
        t.type(b"q")
        check(t.end() == 0, "status after power-off is not 0")
        gone(t)


def ends():
    for key, status, what in ((b"q", 0, "power-off"), (b"e", 43, "debug exit 21"), (b"t", 1, "triple fault"), (b"\x01x", 143, "Ctrl-A x")):
        with start() as t:
            t.type(key)
            got = t.end()
            check(got == status, f"{what}: status {got}, {status} expected: {t.text}")
            check(status != 143 or "switched off by Ctrl-A x" in t.text, f"{what} is not told: {t.text}")
            gone(t)


def sigterm():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        with start() as t:
            t.process.send_signal(number)
            check(t.end() not in (0, None), f"{number.name} to panal: status 0")
            gone(t)


def engine_killed():
    with start("keys", "--net", "user") as t:
        os.kill(t.engine(), signal.SIGKILL)
        check(t.end() == 137, f"SIGKILL of panal-vmm: status {t.process.returncode}")
        t.expect("killed")
        for pid in t.family:
            until(lambda p=pid: not running(p), f"process {pid} is left over")


def panal_killed():
    """With SIGKILL: nobody can put the terminal back, but the machine and its helper end too."""
    with start("keys", "--net", "user") as t:
        check(len(t.family) >= 2, f"no network helper among {t.family}")
        t.process.kill()
        t.process.wait()
        for pid in t.family:
            until(lambda p=pid: not running(p), f"process {pid} is left over")


def helper_ends():
    for key in (b"q", b"\x01x", b"t"):
        with start("keys", "--net", "user") as t:
            check(len(t.family) >= 2, f"no network helper among {t.family}")
            t.type(key)
            t.end()
            gone(t)


def deaf():
    """A guest that never reads: what is typed fills every buffer, and the escape key works all the same."""
    with Terminal("deaf") as t:
        t.expect(r"\.\.\.")
        t.family = children(t.process.pid)
        os.set_blocking(t.master, False)
        sent, deadline = 0, time.monotonic() + WAIT_S
        while sent < 400 << 10 and time.monotonic() < deadline:
            try:
                sent += os.write(t.master, b"x" * 1024)
            except BlockingIOError:
                pass
            t.read(0)
        os.set_blocking(t.master, True)
        check(sent >= 400 << 10, f"only {sent} keys were taken")
        t.type(b"\x01x")
        check(t.end() == 143, f"status {t.process.returncode}")
        gone(t)


def refused():
    """What cannot start leaves the terminal alone and says why."""
    for args in (("--memory", "1M"), ("--initrd", "/nothing"), ("--nothing",)):
        with Terminal("keys", *args) as t:
            check(t.end() in (1, 2), f"{args}: status {t.process.returncode}")
            t.expect("panal run: error: ")


def plain():
    """Without a terminal the statuses pass through too."""
    for line, status in (("off", 0), ("exit=4", 9), ("triple", 1)):
        done = subprocess.run([os.path.join(BUILD, "panal"), "run", GUEST, "--accel", "soft", "--memory", "16M", "--append", line],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=WAIT_S, check=False)
        check(done.returncode == status, f"{line}: status {done.returncode}, {status} expected")


TESTS = [
    ("keys", keys),
    ("ends", ends),
    ("signals to panal", sigterm),
    ("engine killed", engine_killed),
    ("panal killed", panal_killed),
    ("network helper ends", helper_ends),
    ("deaf guest", deaf),
    ("refused", refused),
    ("no terminal", plain),
]

if __name__ == "__main__":
    sys.exit(run_tests([t for t in TESTS if not sys.argv[1:] or any(n in t[0] for n in sys.argv[1:])]))
