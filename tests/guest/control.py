#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket of panal-vmm, on a machine that boots Debian's kernel: commands, events, and broken messages."""

import json
import os
import socket
import sys
import tempfile
import time

from linux import boot
from machine import PATIENCE, Failure, run_tests


class Qmp:
    def __init__(self, path):
        deadline = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Failure(f"no control socket at {path}") from None
                time.sleep(0.05)
        self.socket.settimeout(30 * PATIENCE)
        self.file = self.socket.makefile("rb")
        self.events = []
        self.greeting = json.loads(self.file.readline())

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def send(self, raw):
        self.socket.sendall(raw)

    def answer(self):
        while True:
            msg = self.read()
            if "event" not in msg:
                return msg
            self.events.append(msg["event"])

    def execute(self, name, **arguments):
        self.send(json.dumps({"execute": name, "arguments": arguments, "id": 7}).encode() + b"\n")
        msg = self.answer()
        if msg.get("id") != 7:
            raise Failure(f"{name}: the id is missing: {msg}")
        return msg

    def expect_event(self, name):
        while name not in self.events:
            msg = self.read()
            if "event" in msg:
                self.events.append(msg["event"])
        self.events.remove(name)


def expect(condition, text):
    if not condition:
        raise Failure(str(text))


def life():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "qmp")
        with boot("cloud-amd64", "--control", path, "--cpus", "2") as m:
            q = Qmp(path)
            expect("QMP" in q.greeting, q.greeting)
            expect(q.execute("query-status")["error"]["class"] == "CommandNotFound", "a command before qmp_capabilities was taken")
            expect(q.execute("qmp_capabilities") == {"return": {}, "id": 7}, "qmp_capabilities")
            m.expect(r"switches the machine off", 180)
            expect(q.execute("query-status")["return"]["status"] == "running", "not running")
            cpus = q.execute("query-cpus-fast")["return"]
            expect([c["cpu-index"] for c in cpus] == [0, 1] and all(os.path.exists(f"/proc/{c['thread-id']}") for c in cpus), cpus)
            q.execute("stop")
            q.expect_event("STOP")
            expect(q.execute("query-status")["return"] == {"status": "paused", "running": False, "singlestep": False}, "not paused")
            before = counters(q)
            time.sleep(0.3)
            expect(counters(q) == before, "a paused machine executed something")
            q.execute("cont")
            q.expect_event("RESUME")
            m.run("true", 30)
            q.execute("system_reset")
            q.expect_event("RESET")
            m.expect(r"switches the machine off", 180)
            q.execute("quit")
            expect(m.wait(30) == 0, "quit: status is not 0")


def counters(q):
    """query-stats without what the process takes of the host, which pausing does not freeze."""
    return [s for s in q.execute("query-stats")["return"] if s["target"] != "process"]


def numbers(q, target):
    (stats,) = [s["stats"] for s in q.execute("query-stats")["return"] if s["target"] == target]
    return {s["name"]: s["value"] for s in stats}


def tiers():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "qmp")
        with boot("cloud-amd64", "--control", path, "--cpus", "1", accel="soft,translate=on") as m:
            q = Qmp(path)
            q.execute("qmp_capabilities")
            m.expect(r"switches the machine off", 180)
            first = numbers(q, "vm")
            m.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done", 120)
            now = numbers(q, "vm")
            for name in ("interpreted", "translated"):
                expect(now["soft-instructions-" + name] > first["soft-instructions-" + name] > 0, (name, first, now))
            more = {n: now["soft-instructions-" + n] - first["soft-instructions-" + n] for n in ("interpreted", "translated")}
            expect(more["translated"] > more["interpreted"], f"a loop was interpreted: {more}")
            for name in ("soft-tlb-misses", "soft-tlb-flushes", "soft-translated-entries"):
                expect(now[name] > first[name] > 0, (name, first, now))
            expect(now["soft-translation-flushes"] == first["soft-translation-flushes"] == 0, "a small guest's code did not fit")
            cpu = numbers(q, "vcpu")
            expect(cpu["exits"] > 0 and cpu["instructions"] > first["soft-instructions-translated"], cpu)
            expect(0 < now["soft-code-memory"] <= 40 << 20 and now["soft-translated-blocks"] > 0, now)
            with open(f"/proc/{m.process.pid}/maps", encoding="utf-8") as f:
                both = [line for line in f if line.split()[1][1:3] == "wx"]
            expect(not both, f"writable and executable: {both}")
            process = numbers(q, "process")
            expect(1 << 20 < process["memory-beyond-guest"] < 512 << 20, process)
            expect(process["memory-beyond-guest"] > process["memory-anonymous"] > 0, process)
            q.execute("quit")


def power_button():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "qmp")
        with boot("cloud-amd64", "--control", path) as m:
            m.expect(r"switches the machine off", 180)
            q = Qmp(path)
            q.execute("qmp_capabilities")
            q.execute("system_powerdown")
            q.expect_event("POWERDOWN")
            out, _ = m.run("sleep 1; cat /proc/interrupts", 30)
            found = [line for line in out.splitlines() if line.split() and line.split()[-1] == "acpi"]
            expect(found and int(found[0].split()[1]) >= 1, f"the guest got no ACPI interrupt: {out}")
            m.send("poweroff -f\n")
            q.expect_event("SHUTDOWN")
            expect(m.wait(30) == 0, "power-off: status is not 0")


def balloon():
    """The guest gives memory to the host when asked, and takes it back."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "qmp")
        with boot("cloud-amd64", "--control", path, "--balloon") as m:
            m.expect(r"switches the machine off", 180)
            m.expect(r"/ # ", 60)
            q = Qmp(path)
            q.execute("qmp_capabilities")
            for size in (256 << 20, 512 << 20):
                expect(q.execute("balloon", value=size) == {"return": {}, "id": 7}, "balloon")
                deadline = time.monotonic() + 60
                while (actual := q.execute("query-balloon")["return"]["actual"]) != size:
                    expect(time.monotonic() < deadline, f"the guest has {actual} bytes, asked for {size}")
                    time.sleep(0.2)
                # MemTotal stays: the guest may take the memory back before it runs out (deflate on OOM).
                out, _ = m.run("grep MemAvailable /proc/meminfo", 30)
                kib = int(out.split()[1])
                expect(kib < size >> 10 and kib > (size >> 10) - (150 << 10), f"MemAvailable {kib} KiB at {size} bytes")
            expect("error" in q.execute("balloon", value="much"), "a size that is no number was taken")
            q.execute("quit")
            expect(m.wait(30) == 0, "quit: status is not 0")


def broken_messages():
    bad = [b"{\n", b"]]]\n", b"nonsense\n", b"{\"execute\": 5}\n", b"{\"execute\": \"nothing\"}\n", b"[" * 100, b"\"" + b"a" * 70000,
           b"{\"execute\": \"stop\", \"arguments\": []}\n", b"\x00\xff\xfe\n", b"{\"execute\":\"stop\",\"execute\":\"cont\"}\n", b""]
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "qmp")
        with boot("cloud-amd64", "--control", path, "--paused") as m:
            for raw in bad:
                q = Qmp(path)
                q.execute("qmp_capabilities")
                q.send(raw)
                q.socket.shutdown(socket.SHUT_WR)
                try:
                    while True:
                        msg = q.read()
                        expect("error" in msg or "event" in msg, f"{raw[:40]!r} was answered with {msg}")
                except (EOFError, ConnectionError):
                    pass
                q.file.close()
                q.socket.close()
            many = [Qmp(path) for _ in range(16)]
            for q in many:
                expect(q.execute("qmp_capabilities").get("return") == {}, "a client among sixteen was refused")
            many[3].execute("quit")
            expect(m.wait(30) == 0, "quit: status is not 0")


if __name__ == "__main__":
    sys.exit(run_tests([("life", life), ("counters by tier", tiers), ("power button", power_button), ("balloon", balloon),
                        ("broken messages", broken_messages)]))
