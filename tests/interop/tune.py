#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What administrators set and read of machines with Debian's virsh: pinning, limits, keys, what happens at the end, CPUs.

    tests/interop/tune.py            everything
    tests/interop/tune.py NAME...    those whose name contains one of these
"""

import os
import re
import sys
import tempfile

from client import libvirt
from panald import Console, Failure, Loop, Panald, Skip, domain_xml, expect, expect_equal, run_tests, wait_for

UUID = "22222222-3333-4444-8555-666666666666"


def write(p, name, text):
    with open(p.path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return p.path(name)


def started(p, name="tuned", **more):
    p.virsh("define", write(p, name + ".xml", domain_xml(name, UUID, **more)))
    p.virsh("start", name)
    return name


def threads(p):
    """The processors of each thread of the machine."""
    pid = p.engines()[0]
    return {int(tid): os.sched_getaffinity(int(tid)) for tid in os.listdir(f"/proc/{pid}/task")}


def pinning():
    cpus = sorted(os.sched_getaffinity(0))
    first, every = str(cpus[0]), set(cpus)
    with Panald() as p:
        name = started(p)
        wait_for("vCPU", lambda: "CPU time" in p.virsh("vcpuinfo", name), 20)
        p.virsh("vcpupin", name, "0", first)
        expect(re.search(rf"\b0\s+{first}\b", p.virsh("vcpupin", name)), p.virsh("vcpupin", name))
        expect_equal(sum(affinity == {cpus[0]} for affinity in threads(p).values()), 1 if len(every) > 1 else len(threads(p)),
                     "threads on the first processor")
        p.virsh("emulatorpin", name, first)
        expect(all(affinity == {cpus[0]} for affinity in threads(p).values()), threads(p))
        expect(first in p.virsh("emulatorpin", name), "emulatorpin")
        expect("cpuset='%s'" % first in p.virsh("dumpxml", name), "live XML")
        expect("vcpupin" not in p.virsh("dumpxml", "--inactive", name), "the next start's XML")
        p.virsh("vcpupin", name, "0", first, "--config")
        p.virsh("emulatorpin", name, first, "--config")
        expect("<vcpupin vcpu='0' cpuset='%s'/>" % first in p.virsh("dumpxml", "--inactive", name), "kept")
        p.virsh("vcpupin", name, "7", first, status=1)
        p.virsh("vcpupin", name, "0", "1000", status=1)
        p.virsh("destroy", name)
        p.virsh("start", name)  # where its document wants it
        wait_for("pinned threads", lambda: all(a == {cpus[0]} for a in threads(p).values()), 20)
        p.restart()
        expect(first in p.virsh("vcpupin", name), "after a restart")
        expect("IOThreads" in p.virsh("iothreadinfo", name), "I/O threads")
        expect("no I/O threads" in p.virsh("iothreadadd", name, "1", status=1), "iothreadadd")


def limits():
    with Panald() as p:
        p.virsh("define", write(p, "d.xml", domain_xml("limited", UUID)))
        expect("cpu_shares     : 100" in p.virsh("schedinfo", "limited"), p.virsh("schedinfo", "limited"))
        p.virsh("schedinfo", "limited", "--config", "--set", "cpu_shares=512", "--set", "vcpu_quota=20000")
        said = p.virsh("schedinfo", "limited")
        expect(re.search(r"cpu_shares\s*: 512", said) and re.search(r"vcpu_quota\s*: 20000", said), said)
        expect("hard_limit     : unlimited" in p.virsh("memtune", "limited"), p.virsh("memtune", "limited"))
        p.virsh("memtune", "limited", "--config", "--hard-limit", "1048576")
        expect("hard_limit     : 1048576" in p.virsh("memtune", "limited"), "memtune")
        p.virsh("memtune", "limited", "--config", "--hard-limit", "-1")
        expect("hard_limit     : unlimited" in p.virsh("memtune", "limited"), "no limit")
        p.virsh("blkiotune", "limited", "--config", "--weight", "300")
        expect("weight         : 300" in p.virsh("blkiotune", "limited"), "blkiotune")
        p.virsh("numatune", "limited", "--config", "--mode", "interleave", "--nodeset", "0")
        said = p.virsh("numatune", "limited", "--config")
        expect(re.search(r"numa_mode\s*: interleave", said) and re.search(r"numa_nodeset\s*: 0", said), said)
        p.virsh("numatune", "limited", "--config", "--nodeset", "a", status=1)
        xml = p.virsh("dumpxml", "limited")
        expect(re.search(r"<memory mode='interleave' nodeset='0'", xml), xml)
        expect("<shares>512</shares>" in xml and "<quota>20000</quota>" in xml and "<weight>300</weight>" in xml, xml)
        p.restart()
        expect("<shares>512</shares>" in p.virsh("dumpxml", "limited"), "kept")
        p.virsh("start", "limited")
        for command in ("schedinfo", "memtune", "blkiotune"):
            expect("is not mounted" in p.virsh(command, "limited", status=1), command)


def at_the_end():
    with Panald() as p:
        name = started(p)
        p.virsh("set-lifecycle-action", name, "poweroff", "restart", "--config")
        p.virsh("set-lifecycle-action", name, "crash", "preserve", "--config")
        xml = p.virsh("dumpxml", "--inactive", name)
        expect("<on_poweroff>restart<" in xml and "<on_crash>preserve<" in xml, xml)
        p.virsh("set-lifecycle-action", name, "poweroff", "destroy", "--live")
        expect("on_poweroff" in p.virsh("set-lifecycle-action", name, "reboot", "destroy", "--live", status=1), "reboot")


def refusals():
    """What machines have no part for: a clear error, and the machine goes on."""
    with Panald() as p:
        name = started(p)
        for words, says in ((["save", name, p.path("saved")], "cannot be saved"),
                            (["managedsave", name], "cannot be saved"), (["dump", name, p.path("core")], "cannot be saved"),
                            (["restore", p.path("none")], "cannot be read"), (["dompmwakeup", name], "sleep state"),
                            (["setvcpu", name, "0", "--disable"], "cannot be plugged"),
                            (["detach-device-alias", name, "x"], "no device found with alias x"),
                            (["managedsave-dumpxml", name], "managed save image"),
                            (["send-key", name, "--codeset", "usb", "4"], "not known")):
            said = p.virsh(*words, status=1)
            expect(says in said, f"{words}: {said}")
        expect("running" in p.virsh("domstate", name), "it ended")
        p.virsh("managedsave-remove", name)


def cpus():
    with Panald() as p:
        caps = p.virsh("capabilities")
        cpu = re.search(r"<cpu>.*?</cpu>", caps, re.S).group(0)
        said = p.virsh("cpu-compare", write(p, "cpu.xml", cpu))
        expect("identical" in said or "superset" in said, said)
        model = re.search(r"<model>(.*?)</model>", cpu).group(1)
        expect("superset" in p.virsh("cpu-compare", write(p, "less.xml", f"<cpu><model>{model}</model></cpu>")), "less")
        other = "<cpu><arch>x86_64</arch><model>pentium9</model></cpu>"
        expect("incompatible" in p.virsh("cpu-compare", write(p, "other.xml", other), status=1), "another model")
        more = cpu.replace("</cpu>", "<feature name='no-such-thing'/></cpu>")
        expect("incompatible" in p.virsh("hypervisor-cpu-compare", write(p, "more.xml", more), status=1), "a feature more")
        p.virsh("cpu-compare", write(p, "bad.xml", "<cpu/>"), status=1)
        p.virsh("cpu-compare", write(p, "bad.xml", "<cpu"), status=1)
        base = p.virsh("cpu-baseline", p.path("cpu.xml"))
        expect(f"<model>{model}</model>" in base and "<cpu mode='custom'" in base.replace('"', "'"), base)
        both = cpu + cpu.replace(re.search(r"<feature[^>]*/>", cpu).group(0), "", 1) if "<feature" in cpu else cpu * 2
        base2 = p.virsh("hypervisor-cpu-baseline", write(p, "two.xml", both))
        expect(base2.count("<feature") == max(0, base.count("<feature") - 1), base2)


def firmware_variables():
    xml = domain_xml("uefi", UUID, kernel=False, memory=256).replace("<os>", "<os firmware='efi'>")
    with Panald() as p:
        p.virsh("define", write(p, "uefi.xml", xml))
        kept = p.path("config", "nvram", UUID + ".fd")
        p.virsh("start", "uefi")
        expect(f"<nvram>{kept}</nvram>" in p.virsh("dumpxml", "uefi"), p.virsh("dumpxml", "uefi"))
        with open(f"/proc/{p.engines()[0]}/cmdline", encoding="ascii") as f:
            expect(f"--uuid={UUID}" in f.read(), "the machine's UUID")
        wait_for("variables", lambda: os.path.exists(kept) and os.path.getsize(kept) > 0, 20)
        p.virsh("destroy", "uefi")
        with open(kept, "r+b") as f:
            f.write(b"spoilt")
        p.virsh("start", "uefi", "--reset-nvram")
        with open(kept, "rb") as f:
            expect(f.read(6) != b"spoilt", "not reset")
        p.virsh("destroy", "uefi")
        expect("with nvram" in p.virsh("undefine", "uefi", status=1), "undefined with its variables there")
        p.virsh("undefine", "uefi", "--keep-nvram")
        expect(os.path.exists(kept), "not kept")
        p.virsh("define", p.path("uefi.xml"))
        p.virsh("undefine", "uefi", "--nvram")
        expect(not os.path.exists(kept), "not removed")


def screen():
    video = "<video><model type='vga'/></video>"
    with Panald() as p:
        name = started(p, kernel=False, memory=128, devices=video)
        picture = p.path("screen.png")
        p.virsh("screenshot", name, picture)
        with open(picture, "rb") as f:
            data = f.read()
        expect(data.startswith(b"\x89PNG") and data.rstrip().endswith(b"IEND\xaeB`\x82"), f"{len(data)} bytes, {data[:8]}")
        expect("no such screen" in p.virsh("screenshot", name, p.path("x"), "--screen", "3", status=1), "screen 3")
        p.virsh("send-key", name, "KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE")
        p.virsh("send-key", name, "KEY_HOME", "--holdtime", "50")
        p.virsh("screenshot", name, picture)
        p.virsh("destroy", name)
        expect("not running" in p.virsh("screenshot", name, picture, status=1), "of a machine that is off")


def two_consoles():
    more = "<console type='pty'><target type='virtio' port='1'/></console><vsock model='virtio'><cid auto='yes'/></vsock>"
    with Panald() as p:
        started(p, devices=more, append="console=hvc0")
        Loop.start(libvirt)
        connection = libvirt.open(p.uri())
        d = connection.lookupByName("tuned")
        serial, other = Console(libvirt, connection, d, device="serial0"), Console(libvirt, connection, d, device="console1")
        other.expect("[#$] ")
        other.send("echo by-$((40+2))-virtio\n")
        other.expect("by-42-virtio")
        expect("by-42" not in serial.text, "one console's words on the other")
        expect(os.path.exists(p.path("run", "machines", UUID, "vsock")), "vsock's socket")
        try:
            d.openConsole("nonsense", connection.newStream(0))
            raise Failure("a console of another name")
        except libvirt.libvirtError as error:
            expect("cannot find character device" in str(error), error)
        serial.close()
        other.close()


def memory_figures():
    """What the guest's balloon driver tells: by itself every second, and in statistics under libvirt's names."""
    def figures(p):
        return {k: int(v) for k, v in re.findall(r"^(\w+) (\d+)$", p.virsh("dommemstat", "told"), re.M)}

    balloon = "<memballoon model='virtio'><stats period='1'/></memballoon>"
    with Panald() as p:
        Loop.start(libvirt)
        c = libvirt.open(p.uri())
        d = c.defineXML(domain_xml("told", UUID, devices=balloon))
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"/ # ")
        wait_for("figures", lambda: "available" in figures(p), 20)
        first = figures(p)
        expect_equal(first["actual"], 192 << 10, "actual")
        expect(64 << 10 < first["available"] <= 192 << 10 and first["unused"] <= first["usable"] <= first["available"], first)
        expect(first["rss"] > 0 and "disk_caches" in first, first)
        t.send("dd if=/dev/zero of=/eaten bs=1M count=40; echo ea''ten\n")
        t.expect("eaten")
        wait_for("less that is free", lambda: figures(p)["unused"] < first["unused"] - (30 << 10), 20)
        wait_for("another answer", lambda: figures(p)["last_update"] > first["last_update"], 20)
        stats = c.listAllDomains()[0].memoryStats()
        expect("last_update" in stats and "minor_fault" in stats, stats)
        said = c.domainListGetStats([d], 0)[0][1] if hasattr(c, "domainListGetStats") else c.getAllDomainStats()[0][1]
        for name in ("balloon.unused", "balloon.usable", "balloon.last-update", "balloon.disk_caches", "vcpu.0.delay", "iothread.count"):
            expect(name in said, f"{name} is not in {sorted(said)}")
        p.virsh("dommemstat", "told", "--period", "3", "--live")
        expect("period='3'" in d.XMLDesc() and "period='1'" in d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), d.XMLDesc())
        p.virsh("dommemstat", "told", "--period", "0", "--config")
        expect("<stats" not in d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), "no period")
        p.virsh("setmem", "told", str(160 << 10), "--live")
        wait_for("the balloon", lambda: figures(p)["actual"] == 160 << 10, 30)
        t.close()


def read(*path):
    with open(os.path.join(*path), encoding="ascii") as f:
        return f.read().strip()


def likeness(root):
    """A tree of plain files, as the kernel would show it for a machine with one vCPU."""
    for folder, names in (("", ("cgroup.subtree_control",)), ("panal", ("cgroup.subtree_control",)),
                          ("panal/" + UUID, ("cgroup.procs", "cgroup.subtree_control", "cpu.weight", "cpu.max", "memory.max",
                                             "memory.high", "memory.swap.max", "io.weight", "cpuset.mems")),
                          (f"panal/{UUID}/vcpu0", ("cgroup.type", "cgroup.threads", "cpu.max")),
                          (f"panal/{UUID}/emulator", ("cgroup.type", "cgroup.threads", "cpu.max"))):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
        for name in names:
            with open(os.path.join(root, folder, name), "w", encoding="ascii"):
                pass


class InCgroup(Panald):
    """A daemon with a cgroup of its own, or the likeness of one."""

    def __init__(self, root):
        self.root = root
        super().__init__()

    def arguments(self):
        return ["--cgroup", self.root]


def cgroup_values():
    """What virsh sets of a running machine stands in the files of its cgroup."""
    with tempfile.TemporaryDirectory() as root:
        likeness(root)
        more = "<cputune><shares>200</shares></cputune><memtune><hard_limit unit='MiB'>900</hard_limit></memtune>"
        with InCgroup(root) as p:
            name = started(p, more=more)
            machine = os.path.join(root, "panal", UUID)
            expect_equal(read(machine, "cgroup.procs"), str(p.engines()[0]), "process")
            expect_equal((read(machine, "cpu.weight"), read(machine, "memory.max")), ("200", str(900 << 20)), "the document's")
            p.virsh("schedinfo", name, "--live", "--set", "cpu_shares=512", "--set", "vcpu_quota=20000", "--set", "emulator_quota=5000")
            p.virsh("schedinfo", name, "--live", "--set", "global_quota=50000")
            expect_equal([read(machine, f) for f in ("cpu.weight", "cpu.max", "vcpu0/cpu.max", "emulator/cpu.max")],
                         ["512", "50000 100000", "20000 100000", "5000 100000"], "processor")
            tid = int(read(machine, "vcpu0", "cgroup.threads"))
            expect(tid in threads(p) and read(machine, "vcpu0", "cgroup.type") == "threaded", "the vCPU's thread")
            p.virsh("memtune", name, "--live", "--hard-limit", "1048576", "--soft-limit", "524288", "--swap-hard-limit", "2097152")
            expect_equal([read(machine, f) for f in ("memory.max", "memory.high", "memory.swap.max")],
                         [str(1 << 30), str(512 << 20), str(1 << 30)], "memory")
            p.virsh("numatune", name, "--live", "--nodeset", "0")
            expect_equal(read(machine, "cpuset.mems"), "0", "nodes")
            p.virsh("blkiotune", name, "--live", "--weight", "300")
            expect_equal(read(machine, "io.weight"), "default 300", "weight")
            xml = p.virsh("dumpxml", name)
            expect("<shares>512</shares>" in xml and "<weight>300</weight>" in xml, xml)
            expect("<shares>200</shares>" in p.virsh("dumpxml", "--inactive", name), "the next start's")
            expect(re.search(r"vcpu_quota\s*: 20000", p.virsh("schedinfo", name)), "read back")
            p.restart()
            expect(re.search(r"vcpu_quota\s*: 20000", p.virsh("schedinfo", name)), "after a restart")
            os.unlink(os.path.join(machine, "memory.max"))
            p.virsh("memtune", name, "--live", "--hard-limit", "999999", status=1)


def unified():
    """Where cgroups of version 2 are, and may be made."""
    for line in open("/proc/self/mountinfo", encoding="ascii"):
        if " - cgroup2 " in line:
            root = os.path.join(line.split()[4], f"panal-test-{os.getpid()}")
            try:
                os.mkdir(root)
            except OSError as error:
                raise Skip(f"no cgroup can be made: {error}") from None
            return root
    raise Skip("no cgroups of version 2")


def cgroup_of_kernel():
    """A real one: the machine is in it and it goes with the machine; limits, where the host hands these controllers on."""
    root = unified()
    machine = os.path.join(root, "panal", UUID)
    try:
        with InCgroup(root) as p:
            name = started(p)
            expect(str(p.engines()[0]) in read(machine, "cgroup.procs").split(), "its process")
            here = read(machine, "cgroup.controllers").split()
            for controller, words, file, value in (
                    ("cpu", ["schedinfo", name, "--live", "--set", "cpu_shares=512"], "cpu.weight", "512"),
                    ("cpu", ["schedinfo", name, "--live", "--set", "vcpu_quota=50000"], "vcpu0/cpu.max", "50000 100000"),
                    ("memory", ["memtune", name, "--live", "--hard-limit", "1048576"], "memory.max", str(1 << 30))):
                if controller not in here:
                    print(f"    NOT TRIED: {file}: this host does not hand on the controller {controller} ({here})")
                    expect("is not mounted" in p.virsh(*words, status=1), words)
                else:
                    p.virsh(*words)
                    expect_equal(read(machine, file), value, file)
            p.restart()
            expect(os.path.isdir(machine), "gone with the daemon")
            p.virsh("destroy", name)
            wait_for("end of the cgroup", lambda: not os.path.exists(machine), 10)
            os.mkdir(machine)
            p.restart()
            expect(not os.path.exists(machine), "a cgroup without a machine was left")
    finally:
        for folder in (machine, os.path.join(root, "panal"), root):
            if os.path.isdir(folder):
                os.rmdir(folder)


TESTS = [(f.__name__.replace("_", " "), f) for f in (pinning, limits, at_the_end, refusals, cpus, firmware_variables, screen, two_consoles, memory_figures, cgroup_values,
                                                       cgroup_of_kernel)]


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))
