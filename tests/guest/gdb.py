#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A real gdb on the stub of panal-vmm (--gdb): with the guest sys64 under soft and, where it works, KVM; and on a running
Debian kernel (where tools/guest/prepare has made one) over TCP: interrupted, stopped at an address of the kernel, left alone.

    tests/guest/gdb.py [soft|kvm]...
"""

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

from linux import BOOT_S, PROMPT, SHELL, boot
from machine import Failure, Skip

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PANAL_BUILD", os.path.join(ROOT, "build"))
GUEST = os.path.join(BUILD, "tests/guest/system/sys64.elf")
TIMEOUT_S = 90

# name, vCPUs, commands for gdb, what must be in its output in this order
CASES = (
    ("threads", 2, ["info threads", "thread 2", "printf \"mode %d\\n\", $cr0 & 1", "thread 1"],
     ["vCPU 0", "vCPU 1", "mode 0"]),
    ("breakpoint, registers, memory", 1,
     ["hbreak main", "continue", "backtrace 1", "set $rbx = 0x1234567", "printf \"rbx %x\\n\", $rbx",
      "set {int}0x600000 = 0x55aa", "printf \"memory %x\\n\", {int}0x600000", "set $xmm3.v4_int32[0] = 77",
      "printf \"xmm %d\\n\", $xmm3.v4_int32[0]", "printf \"cr0 %d\\n\", $cr0 & 1", "monitor info registers"],
     ["main", "#0", "rbx 1234567", "memory 55aa", "xmm 77", "cr0 1", "k_gs_base"]),
    ("software breakpoint, step, finish", 1,
     ["hbreak main", "continue", "delete", "break print", "continue", "stepi", "nexti",
      "printf \"here %lx\\n\", $rip", "x/i $rip", "finish", "printf \"after finish\\n\"", "detach"],
     ["main", "print", "here", "after finish", "detached"]),
    ("watchpoint", 1,
     ["hbreak main", "continue", "delete", "set $r12 = 0x1234", "set $here = (long)$rsp - 8", "eval \"watch *(long *)%ld\", $here", "continue",
      "printf \"watched\\n\""],
     ["main", "atchpoint", "Old value", "watched"]),
)


def gdb(accel, cpus, commands):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "gdb")
        vmm = subprocess.Popen(
            [os.path.join(BUILD, "panal-vmm"), GUEST, "--accel", accel, "--memory", "256M", "--cpus", str(cpus), "--net", "none",
             "--no-reboot", "--serial", "none", "--gdb", "unix:" + path, "--paused"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            while not os.path.exists(path) and vmm.poll() is None:
                pass
            if vmm.poll() is not None:
                return vmm.stdout.read().decode()
            args = ["gdb", "-nx", "-batch", GUEST, "-ex", "set confirm off", "-ex", "target remote " + path]
            for command in commands:
                args += ["-ex", command]
            done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TIMEOUT_S, check=False)
            return done.stdout.decode("utf-8", "replace")
        except subprocess.TimeoutExpired as e:
            return (e.stdout or b"").decode("utf-8", "replace") + f"\nno end after {TIMEOUT_S} s"
        finally:
            vmm.kill()
            vmm.wait()


def missing(text, wanted):
    at = 0
    for word in wanted:
        found = text.find(word, at)
        if found < 0:
            return word
        at = found + len(word)
    return None


class Gdb:
    """A gdb that is spoken to as from a terminal."""

    def __init__(self, *commands):
        args = ["gdb", "-nx", "-q", "-ex", "set confirm off", "-ex", "set pagination off", "-ex", "set height 0"]
        for command in commands:
            args += ["-ex", command]
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text, self.at = "", 0
        self.condition = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while data := os.read(self.process.stdout.fileno(), 4096):
            with self.condition:
                self.text += data.decode("utf-8", "replace")
                self.condition.notify_all()

    def say(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def expect(self, pattern, timeout=30):
        deadline = time.monotonic() + timeout
        with self.condition:
            while not (found := re.compile(pattern).search(self.text, self.at)):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"gdb: no {pattern!r} in:\n{self.text[-2000:]}")
                self.condition.wait(left)
            self.at = found.end()
            return found

    def close(self):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def kernel_at_work(accel):
    """Over TCP: connect to a running guest, interrupt it twice, stop in a system call of the kernel, detach; it goes on."""
    port = free_port()
    with boot("cloud-amd64", "--cpus", "2", "--gdb", f"tcp:127.0.0.1:{port}", append="nokaslr", accel=accel) as m:
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        out, _ = m.run("echo 0 >/proc/sys/kernel/kptr_restrict; grep ' __x64_sys_sethostname$' /proc/kallsyms", 60)
        address = int(re.search(r"([0-9a-f]{16}) T", out).group(1), 16)
        m.send("while :; do :; done &\n")
        m.expect(PROMPT, 30)
        g = Gdb("set architecture i386:x86-64", f"target remote 127.0.0.1:{port}")
        try:
            g.expect("0x[0-9a-f]+ in")
            for _ in range(2):
                g.say("continue")
                g.expect("Continuing")
                time.sleep(0.5)
                g.interrupt()
                g.expect("received signal SIGINT")
            g.say("info threads")
            g.expect("vCPU 0")
            g.expect("vCPU 1")
            g.say(f"hbreak *{address:#x}")
            g.expect("breakpoint 1")
            g.say("continue")
            g.expect("Continuing")
            m.send("hostname found; echo na''me $(hostname)\n")
            g.expect("Breakpoint 1, ")
            g.say('printf "stopped at %lx, user data at %lx\\n", $rip, $rdi')
            found = g.expect(r"stopped at ([0-9a-f]+), user data at ([0-9a-f]+)")
            if int(found[1], 16) != address:
                raise Failure(f"stopped at {found[1]}, not at {address:x}")
            g.say("stepi")
            g.expect(r"0x[0-9a-f]+ in")
            g.say("delete")
            g.say("detach")
            g.expect("detached")
            m.expect("name found", 60)  # it goes on
            g.say(f"target remote 127.0.0.1:{port}")  # and takes the next debugger
            g.expect("0x[0-9a-f]+ in")
            g.say("disconnect")
            g.expect("Ending remote debugging")
            m.run("true", 60)
        finally:
            g.close()


def names_of_translated_code():
    """A gdb on panal-vmm itself knows the translated blocks by their guest addresses, and so does perf's map."""
    # Faults that the guest brings about in generated code arrive as signals.
    commands = ("handle SIGFPE SIGSEGV nostop noprint pass", "set disable-randomization off", "break vm_end", "run",
                "info functions guest_", "info inferiors", "kill")
    args = ["gdb", "-nx", "-batch", "-ex", "set confirm off"]
    for command in commands:
        args += ["-ex", command]
    args += ["--args", os.path.join(BUILD, "panal-vmm"), GUEST, "--accel", "soft,translate=on,gdb-jit=on,perf-map=on", "--memory",
             "256M", "--no-reboot", "--serial", "none"]
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    text = done.stdout + done.stderr
    if "ptrace" in text or "Operation not permitted" in text:
        raise Skip("this host does not let gdb run programs")
    pid = re.search(r"process (\d+)", text)
    if not pid or "hit Breakpoint 1" not in text:
        raise Failure(f"the machine's end was not seen:\n{text[-2000:]}")
    path = f"/tmp/perf-{pid[1]}.map"
    with open(path, encoding="ascii") as f:
        lines = f.read().splitlines()
    os.unlink(path)
    places = dict(re.findall(r"0x0*([0-9a-f]+)  (guest_[0-9a-f]+)", text))
    known = {line.split()[0].lstrip("0"): line.split()[2] for line in lines}
    if len(places) < 20 or any(known.get(at) != name for at, name in places.items()):
        raise Failure(f"gdb has {len(places)} names, perf's map {len(lines)}, and they differ:\n{text[-1000:]}")


def main():
    if not shutil.which("gdb"):
        print("SKIPPED: gdb is not installed")
        return 77
    accels = sys.argv[1:] or ["soft", "kvm"]
    passed = failed = skipped = 0
    if "kvm" in accels and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        accels.remove("kvm")
        skipped += 1
        print("SKIPPED kvm: /dev/kvm is missing, or not for this user")
    for accel in accels:
        for name, cpus, commands, wanted in CASES:
            text = gdb(accel, cpus, commands)
            word = missing(text, wanted)
            passed, failed = passed + (word is None), failed + (word is not None)
            print(f"{'ok' if word is None else 'FAILED'} {accel}: {name}")
            if word is not None:
                print(f"no {word!r} in:\n{text}")
    more = [(f"{a}: a kernel at work", lambda a=a: kernel_at_work(a)) for name in accels
            for a in ((name, "soft,translate=on") if name == "soft" else (name,))]
    if "soft" in accels:
        more.append(("soft: names of translated code", names_of_translated_code))
    for name, test in more:
        try:
            test()
            passed += 1
            print(f"ok {name}")
        except Skip as skip:
            skipped += 1
            print(f"SKIPPED {name}: {skip}")
        except (Failure, subprocess.TimeoutExpired) as failure:
            failed += 1
            print(f"FAILED {name}: {failure}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
