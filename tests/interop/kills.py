#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panald killed at every step of what it does: the next daemon finds the state before or the one after, and nothing else.

    tests/interop/kills.py                     a sample: some steps of some operations
    tests/interop/kills.py --all [NAME...]     every step of each operation (whose name is, or contains, one of these)
    tests/interop/kills.py --again [NAME...]   besides, the daemon that clears up after some of the kills is killed at each
                                               step of its own start

A step is a system call that changes something outside the daemon (kill_step.c says which). Each operation is done
with the daemon killed just before its first step, its second, and so on until it comes to its end unharmed. After
each kill a daemon is started, and then objects, files of all the daemon's folders with their contents, processes, network
interfaces and firewall rules are those of before the operation or those of after it; those of after it, where the client
had been told of its success.
"""

import argparse
import collections
import ctypes
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from client import libvirt
from panald import BUILD, PATIENCE, Console, Failure, Loop, Panald, Skip, domain_xml, enter_namespace, expect, run_tests, wait_for

STEP = os.path.join(BUILD, "tests", "interop", "kill-step")
UUID = "11111111-2222-4333-8444-555555555555"
NET_UUID = "21111111-2222-4333-8444-555555555555"
SETTLE_S, OPERATION_S, FAILURES_MAX = 8 * PATIENCE, 40 * PATIENCE, 6
NOBODY = 65534
PR_SET_CHILD_SUBREAPER = 36
# Of these only the names count: their contents change by themselves, or with the time.
CONTENTS_VARY = re.compile(r"^run/machines/.*/note$|/dnsmasq\.pid$|/leases$|^images/|^pool/")
# Files that stay: messages, what says that something was done once, locks, the definitions' journal until the daemon's end.
STAYS = re.compile(r"^(log/|config/domains/journal$|panald\.log$|steps\.log$|run/panald\.lock$|.*autostarted$)")


class Folder:
    """The same directory for each daemon, with the same definitions "default" in it, so that states can be compared."""

    def __init__(self):
        self.parent = tempfile.TemporaryDirectory(prefix="kills-")
        os.chmod(self.parent.name, 0o755)
        self.path = os.path.join(self.parent.name, "bed")
        self.template = os.path.join(self.parent.name, "template")

    def renew(self, user):
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(os.path.join(self.path, "images"), 0o755)
        template = f"{self.template}-{user}"
        if os.path.isdir(template):
            shutil.copytree(template, os.path.join(self.path, "config"), copy_function=shutil.copy2)
        if user is not None:
            for folder, folders, names in os.walk(self.path):
                for name in (".", *folders, *names):
                    os.chown(os.path.join(folder, name), user, user)
        return self.path

    def keep(self, user):
        shutil.copytree(os.path.join(self.path, "config"), f"{self.template}-{user}", copy_function=shutil.copy2)

    def cleanup(self):
        shutil.rmtree(self.path, ignore_errors=True)


FOLDER = Folder()


class Steps(Panald):
    """A daemon that can be killed at a step: begun under kill-step, which counts from arm() on."""

    def __init__(self, folder, user=None):
        self.step = "0"
        self.user = user
        self.folder = folder
        super().__init__()

    def start(self):
        if self.dir != self.folder.path:
            self.directory.cleanup()
            self.directory, self.dir = self.folder, self.folder.renew(self.user)
        super().start()

    def before(self):
        return [STEP, self.step, self.path("steps.log")]

    def more(self):
        return {"user": self.user, "group": self.user, "extra_groups": []} if self.user is not None else {}

    def arm(self):
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.02)

    def disarm(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR2)
            wait_for("end of the counting", lambda: self.process.poll() is not None or self.said("counted"), 20)

    def said(self, word):
        with open(self.path("steps.log"), encoding="utf-8", errors="replace") as f:
            return any(line == word + "\n" for line in f)

    def killed(self):
        """Whether it died at its step; the steps up to there are in steps()."""
        if self.said("killed"):
            self.process.wait(20 * PATIENCE)
        return self.process.poll() == 128 + signal.SIGKILL

    def steps(self):
        with open(self.path("steps.log"), encoding="utf-8", errors="replace") as f:
            return [line.strip().replace(self.dir, "") for line in f if line[:1].isdigit()]

    def end(self):
        """Of the daemon alone, as an administrator does; its machines go on."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20 * PATIENCE)


def subreaper():
    """What a killed daemon leaves behind becomes a child of this program, so that none is overlooked."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise Skip("this program cannot become the parent of orphans")


def reap(p):
    for pid, parent, _, state in processes():
        if parent == os.getpid() and state == "Z" and pid != p.process.pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def processes():
    """(pid, parent, name, state) of all."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        found.append((int(pid), int(rest[1]), name, rest[0]))
    return found


def descendants(p):
    """The names of the processes below this one, without the daemon, its tracer and zombies."""
    everyone = processes()
    below, names = {os.getpid()}, []
    grown = True
    while grown:
        fresh = {pid for pid, parent, _, _ in everyone if parent in below} - below
        grown = bool(fresh)
        below |= fresh
    for pid, _, name, state in everyone:
        if pid in below and pid not in (os.getpid(), p.process.pid) and state != "Z" and name not in ("panald", "kill-step"):
            names.append(name)
    return sorted(names)


def stragglers():
    """Ends what a test that failed has left, so that the next one begins with nothing."""
    for pid, parent, name, state in processes():
        if parent == os.getpid() and state != "Z" and name not in ("panald", "kill-step"):
            os.kill(pid, signal.SIGKILL)


def files(p):
    found = {}
    for folder, folders, names in os.walk(p.dir):
        for name in folders + names:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, p.dir)
            if STAYS.search(short):
                continue
            try:
                state = os.lstat(path)
                content = oct(state.st_mode)
                if CONTENTS_VARY.search(short):
                    content = f"{oct(state.st_mode)} {state.st_size if short.startswith(('images', 'pool')) else ''}"
                elif os.path.isfile(path):
                    with open(path, "rb") as f:
                        content += " " + hashlib.sha256(f.read()).hexdigest()[:16]
            except FileNotFoundError:
                content = "gone"
            found[short] = content
    return found


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30 * PATIENCE, stdin=subprocess.DEVNULL, check=False).stdout


def network_of_host(p):
    if p.user is not None or not os.environ.get("PANAL_IN_NAMESPACE"):
        return {}
    return {"links": sorted(re.findall(r"^\d+: ([^:@]+)", output("ip", "-o", "link"), re.M)),
            "rules": re.sub(r"counter packets \d+ bytes \d+", "counter", output("nft", "list", "ruleset")),
            "addresses": sorted(re.findall(r"inet6? \S+", output("ip", "-o", "-4", "address")))}


# A terminal's number is the first that is free on the whole host, for whoever asks.
VARIES = re.compile(r" (port)?id='[0-9a-f-]+'|/dev/pts/\d+")


def objects(p):
    c = libvirt.open(p.uri())
    try:
        pools = {}
        for pool in c.listAllStoragePools():
            volumes = {}
            if pool.isActive():
                pool.refresh()
                volumes = {v.name(): v.info()[1] for v in pool.listAllVolumes()}
            pools[pool.name()] = (pool.isActive(), pool.isPersistent(), pool.autostart(), volumes)
        return {
            "domains": {d.name(): (d.UUIDString(), d.state()[0], d.isPersistent(), d.isPersistent() and d.autostart(),
                                   d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE),
                                   re.sub(VARIES, "", d.XMLDesc())) for d in c.listAllDomains()},
            "networks": {n.name(): (n.isActive(), n.isPersistent(), n.isPersistent() and n.autostart(),
                                    n.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)) for n in c.listAllNetworks()},
            "pools": pools,
            "secrets": sorted(s.UUIDString() for s in c.listAllSecrets()),
        }
    finally:
        c.close()


UNKNOWN = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL,
           libvirt.VIR_ERR_NO_SECRET)


def held(p):
    """Images that machines have open."""
    found = set()
    for pid, _, name, _ in processes():
        if name != "panal-vmm":
            continue
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith(p.dir) and not target.endswith(".log"):
                    found.add(os.path.relpath(target, p.dir))
        except OSError:
            pass
    return sorted(found)


def steady_objects(p):
    """An object that goes between the list and a question about it makes the question come to nothing: again."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            return objects(p)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in UNKNOWN or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def snapshot(p):
    return {"objects": steady_objects(p), "files": files(p), "processes": descendants(p), "held": held(p), "host": network_of_host(p)}


def differences(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for key in sorted(set(a) | set(b)) for d in differences(a.get(key), b.get(key), f"{path}/{key}")]
    if a == b:
        return []
    a, b = str(a), str(b)
    start = max(0, len(os.path.commonprefix((a, b))) - 100)  # documents are long
    return [f"{path}: {b[start:start + 300]} instead of {a[start:start + 300]}"]


def settled(p):
    """The state when it has stopped to move."""
    deadline = time.monotonic() + SETTLE_S
    last = snapshot(p)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = snapshot(p)
        reap(p)
        if now == last:
            return now
        last = now
    raise Failure("the state does not settle")


class Operation:
    """What is done, and the state it begins with: each function gets the connection and the bed."""

    def __init__(self, name, prepare, act, between=(), system=True, session=True, namespace=False, until=None):
        self.name, self.prepare, self.act, self.until = name, prepare, act, until
        self.between = between  # besides before and after, states that are right: functions that make them from "before"
        self.system, self.session, self.namespace = system, session, namespace


def gone(function, *args):
    try:
        function(*args)
    except libvirt.libvirtError:
        pass


def clean(p):
    """No machine, network, pool or definition of the tests is left."""
    c = libvirt.open(p.uri())
    for d in c.listAllDomains():
        if d.isActive():
            gone(d.destroy)
        gone(d.undefine)
    for n in c.listAllNetworks():
        if n.isActive():
            gone(n.destroy)
        if n.name() != "default":
            gone(n.undefine)
    for pool in c.listAllStoragePools():
        if pool.isActive():
            for v in pool.listAllVolumes():
                gone(v.delete)
        if pool.name() != "default":
            gone(pool.destroy)
            gone(pool.delete)
            gone(pool.undefine)
    for s in c.listAllSecrets():
        gone(s.undefine)
    c.close()


def do(operation, p, limit=OPERATION_S):
    """Whether the client was told of its success. A client of a daemon that is killed gets an error."""
    c = libvirt.open(p.uri())
    told, done = [], threading.Event()

    def act():
        try:
            operation.act(c, p)
            told.append(True)
        except libvirt.libvirtError as error:
            told.append(error)
        done.set()

    p.arm()
    threading.Thread(target=act, daemon=True).start()
    expect(done.wait(limit), f"{operation.name}: neither an answer nor an error")
    if operation.until and told[0] is True and not p.killed():
        # Seldom: each question is a step of the daemon, too, and a kill at it shows nothing new.
        wait_for("end of the operation", lambda: p.killed() or operation.until(c, p), limit, every=0.5)
    p.disarm()
    gone(c.close)
    if told[0] is not True and not p.killed():
        wait_for("its end", p.killed, 10) if isinstance(told[0], libvirt.libvirtError) and \
            told[0].get_error_code() in LOST else None
        expect(p.killed(), f"{operation.name}: {told[0]}")
    return told[0] is True


# What a client is told whose daemon goes: internal error (end of file), RPC, system, no connection.
LOST = (1, 7, 38, 39, 18, 85)


def fresh(operation, user):
    if not os.path.isdir(f"{FOLDER.template}-{user}"):
        with Steps(FOLDER, user):
            FOLDER.keep(user)
    stragglers()
    p = Steps(FOLDER, user)
    try:
        c = libvirt.open(p.uri())
        operation.prepare(c, p)
        c.close()
    except (Failure, libvirt.libvirtError):
        p.__exit__()
        raise
    return p


def reference(operation, user):
    """The states of before and after, and those between that are right."""
    with fresh(operation, user) as p:
        states = [settled(p)]
        expect(do(operation, p), f"{operation.name} without a kill")
        states.append(settled(p))
        steps = p.steps()
        clean(p)
    for between in operation.between:
        with fresh(operation, user) as p:
            c = libvirt.open(p.uri())
            between(c, p)
            c.close()
            states.append(settled(p))
            clean(p)
    return states, steps


def judge(states, told, p, where):
    """Waits until the state is one of the right ones."""
    wanted = states[1:2] if told else states
    deadline = time.monotonic() + SETTLE_S
    while True:
        now = snapshot(p)
        reap(p)
        if any(now == w for w in wanted):
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    worst = [differences(w, now) for w in wanted]
    text = "\n    ".join(min(worst, key=len)[:8])
    raise Failure(f"{where}{' (its success was told)' if told else ''}:\n    {text}\n    {p.log()[-400:]}")


def killed_at(operation, user, states, step, again=0):
    """False: the operation came to its end before that step. With `again`, the daemon after is killed at a step, too."""
    with fresh(operation, user) as p:
        try:
            return kill_and_judge(operation, p, states, step, again)
        except (Failure, libvirt.libvirtError) as error:
            status = p.process.poll()
            if status is not None:
                p.step = "0"
                p.start()
            clean(p)
            raise Failure(f"{operation.name}, step {step}, status {status}: {error}") from None


def kill_and_judge(operation, p, states, step, again):
    p.end()
    p.step = str(step)
    p.start()
    told = do(operation, p)
    if not p.killed():
        clean(p)
        return False
    where = f"{operation.name}: killed before step {p.steps()[-1]}"
    began = False
    if again:
        p.step = f"+{again}"
        try:
            p.start()
            began = not p.killed()
        except Failure:
            began = False
        if began:
            p.end()
        else:
            where += f", and then before step {p.steps()[-1]}"
    p.step = "0"
    p.start()
    judge(states, told, p, where)
    clean(p)
    return not began


def sample(steps):
    """First, last, and a few between, of different calls."""
    kinds = {}
    for n, line in enumerate(steps, 1):
        kinds.setdefault(re.sub(r"[0-9a-fA-F.]{4,}", "", line.split(" ", 1)[1]), n)
    chosen = sorted(set(kinds.values()) | {1, len(steps)})
    return chosen[::max(1, len(chosen) // 4)]


def enumerate_steps(operation, user, arguments):
    subreaper()
    states, steps = reference(operation, user)
    failures, done = [], 0

    def note(failure):
        print(f"    {failure}", flush=True)
        failures.append(failure)

    chosen = range(arguments.first, 2000) if arguments.all else sample(steps)
    for step in chosen:
        try:
            if not killed_at(operation, user, states, step):
                break
            done += 1
        except (Failure, libvirt.libvirtError) as failure:
            note(failure)
        if len(failures) > FAILURES_MAX:
            break
    if arguments.again:
        for step in sample(steps):
            for again in range(1, 500):
                try:
                    if not killed_at(operation, user, states, step, again):
                        break
                    done += 1
                except (Failure, libvirt.libvirtError) as failure:
                    note(failure)
    print(f"    {operation.name}: {len(steps)} steps, {done} kills", flush=True)
    expect(not failures, f"{len(failures)} of {done + len(failures)} kills")


# ---- the operations ----

def machine(name="victim", devices="", more="", kernel=True):
    return domain_xml(name, UUID, devices=devices, more=more, memory=192, kernel=kernel)


LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
USB = "<controller type='usb' model='qemu-xhci'/>"
USER_CARD = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>"
NET_CARD = "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='lab'/><model type='virtio'/></interface>"
CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
NET = (f"<network><name>lab</name><uuid>{NET_UUID}</uuid><forward mode='nat'/><mac address='52:54:00:0a:0b:0c'/>"
       "<bridge name='virbr7'/><ip address='192.168.77.1' netmask='255.255.255.0'><dhcp>"
       "<range start='192.168.77.10' end='192.168.77.20'/></dhcp></ip></network>")
SECRET = f"<secret ephemeral='no' private='no'><uuid>{UUID}</uuid><usage type='volume'><volume>/x</volume></usage></secret>"
POOL = "<pool type='dir'><name>more</name><uuid>{}</uuid><target><path>{}</path></target></pool>"


def volume(name, form="qcow2", mib=4):
    return (f"<volume><name>{name}</name><capacity unit='MiB'>{mib}</capacity><allocation>0</allocation>"
            f"<target><format type='{form}'/></target></volume>")


def nothing(c, p):
    pass


def defined(devices="", kernel=True):
    return lambda c, p: c.defineXML(machine(devices=devices, kernel=kernel))


def victim(c):
    return c.lookupByName("victim")


def images(c):
    return c.storagePoolLookupByName("default")


def started(devices="", net=False):
    def prepare(c, p):
        if net:
            c.networkDefineXML(NET).create()
        c.defineXML(machine(devices=devices)).create()
    return prepare


def disk(p, bus="virtio"):
    return (f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{p.path('disk.raw')}'/>"
            f"<target dev='{'sda' if bus == 'usb' else 'vdb'}' bus='{bus}'/></disk>")


def with_disk(before, attached=0, bus="virtio"):
    def prepare(c, p):
        with open(p.path("disk.raw"), "wb") as f:
            f.truncate(4 << 20)
        if p.user is not None:
            os.chown(p.path("disk.raw"), p.user, p.user)
        before(c, p)
        if attached:
            victim(c).attachDeviceFlags(disk(p, bus), attached)
            time.sleep(1 if attached & LIVE else 0)  # the guest's driver looks at it
    return prepare


def attach(flags):
    return lambda c, p: victim(c).attachDeviceFlags(disk(p), flags)


def detach(flags, bus="virtio"):
    return lambda c, p: victim(c).detachDeviceFlags(disk(p, bus), flags)


def is_detached(c, p):
    """The guest gives it up some seconds after it was asked."""
    try:
        xml = victim(c).XMLDesc()
    except libvirt.libvirtError:
        return p.killed()
    return "<target dev='vdb'" not in xml and "<interface" not in xml


def at_shell(c, p):
    d = c.defineXML(machine())
    d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    t = Console(libvirt, c, d)
    d.resume()
    t.expect(r"/ # ")
    t.close()


def at_shell_with_card(c, p):
    at_shell(c, p)
    victim(c).attachDeviceFlags(USER_CARD, LIVE | CONFIG)
    time.sleep(1)


def with_network(more):
    def prepare(c, p):
        n = c.networkDefineXML(NET)
        more(n, c)
    return prepare


def fully_defined(c, p):
    c.defineXML(machine()).setAutostart(1)


def uefi(c, p):
    """A machine with variables of its firmware in a file of the daemon's."""
    c.defineXML(f"<domain type='kvm'><name>victim</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory><os firmware='efi'>"
                "<type arch='x86_64' machine='q35'>hvm</type></os><devices><serial type='pty'/></devices></domain>")
    os.makedirs(p.path("config", "nvram"), 0o700, exist_ok=True)
    with open(p.path("config", "nvram", UUID + ".fd"), "w", encoding="ascii"):
        pass
    if p.user is not None:
        for path in (p.path("config", "nvram"), p.path("config", "nvram", UUID + ".fd")):
            os.chown(path, p.user, p.user)


def redefine(c, p):
    c.defineXML(machine(more="<description>a second time</description>"))


def waiting_for_button(c, p):
    """A guest that switches off at the power button."""
    d = c.defineXML(machine())
    d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    t = Console(libvirt, c, d)
    d.resume()
    t.expect(r"/ # ")
    t.send("(head -c 1 /dev/input/event0 >/dev/null && poweroff -f) & echo wait''ing\n")
    t.expect("waiting")
    time.sleep(0.3)
    t.close()


def is_off(c, p):
    try:
        return not victim(c).isActive()
    except libvirt.libvirtError:
        return p.killed()


def with_volume(form="qcow2"):
    return lambda c, p: images(c).createXML(volume("disk", form))


def new_pool(c, p):
    pool = c.storagePoolDefineXML(POOL.format(NET_UUID, p.path("pool")))
    return pool


OPERATIONS = [
    Operation("define", nothing, lambda c, p: c.defineXML(machine(devices=USER_CARD))),
    Operation("define again", defined(), redefine),
    Operation("undefine", fully_defined, lambda c, p: victim(c).undefine()),
    Operation("undefine with variables", uefi, lambda c, p: victim(c).undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)),
    Operation("autostart", defined(), lambda c, p: victim(c).setAutostart(1)),
    Operation("no autostart", fully_defined, lambda c, p: victim(c).setAutostart(0)),
    Operation("rename", defined(), lambda c, p: victim(c).rename("other")),
    Operation("start", defined(USER_CARD + CHANNEL), lambda c, p: victim(c).create()),
    Operation("start paused", defined(), lambda c, p: victim(c).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)),
    Operation("create", nothing, lambda c, p: c.createXML(machine(devices=USER_CARD))),
    Operation("suspend", started(), lambda c, p: victim(c).suspend()),
    Operation("destroy", started(USER_CARD), lambda c, p: victim(c).destroy()),
    Operation("destroy transient", lambda c, p: c.createXML(machine()), lambda c, p: victim(c).destroy()),
    Operation("undefine running", started(), lambda c, p: victim(c).undefine()),
    Operation("attach to definition", with_disk(defined()), lambda c, p: victim(c).attachDeviceFlags(
        disk(p), libvirt.VIR_DOMAIN_AFFECT_CONFIG)),
    Operation("detach from definition", with_disk(defined(), attached=CONFIG), lambda c, p: victim(c).detachDeviceFlags(
        disk(p), libvirt.VIR_DOMAIN_AFFECT_CONFIG)),
    Operation("attach live", with_disk(started()), attach(LIVE)),
    Operation("attach live and config", with_disk(started()), attach(LIVE | CONFIG)),
    Operation("attach a card", started(), lambda c, p: victim(c).attachDeviceFlags(USER_CARD, LIVE | CONFIG)),
    Operation("attach a card on a network", started(net=True), lambda c, p: victim(c).attachDeviceFlags(NET_CARD, LIVE | CONFIG),
              namespace=True, session=False),
    Operation("detach live", with_disk(at_shell, attached=LIVE), detach(LIVE), until=is_detached),
    Operation("detach live and config", with_disk(at_shell, attached=LIVE | CONFIG), detach(LIVE | CONFIG), until=is_detached),
    Operation("detach a card", at_shell_with_card, lambda c, p: victim(c).detachDeviceFlags(USER_CARD, LIVE | CONFIG),
              until=is_detached),
    Operation("detach from USB", with_disk(started(USB), attached=LIVE | CONFIG, bus="usb"), detach(LIVE | CONFIG, "usb"),
              until=is_detached),
    Operation("unplug a cable", started(USER_CARD), lambda c, p: victim(c).updateDeviceFlags(
        USER_CARD.replace("</int", "<link state='down'/></int"), LIVE | CONFIG)),
    Operation("shutdown", waiting_for_button, lambda c, p: victim(c).shutdown(), until=is_off),
    Operation("volume qcow2", nothing, lambda c, p: images(c).createXML(volume("disk"))),
    Operation("volume raw", nothing, lambda c, p: images(c).createXML(volume("disk", "raw"))),
    Operation("volume clone", with_volume(), lambda c, p: images(c).createXMLFrom(
        volume("copy"), images(c).storageVolLookupByName("disk"))),
    Operation("volume delete", with_volume(), lambda c, p: images(c).storageVolLookupByName("disk").delete()),
    Operation("volume resize", with_volume("raw"), lambda c, p: images(c).storageVolLookupByName("disk").resize(16 << 20)),
    Operation("volume wipe", with_volume(), lambda c, p: images(c).storageVolLookupByName("disk").wipe()),
    Operation("pool define", nothing, new_pool),
    Operation("pool build", new_pool, lambda c, p: c.storagePoolLookupByName("more").build()),
    Operation("pool start", lambda c, p: new_pool(c, p).build(), lambda c, p: c.storagePoolLookupByName("more").create()),
    Operation("pool undefine", lambda c, p: new_pool(c, p).setAutostart(1),
              lambda c, p: c.storagePoolLookupByName("more").undefine()),
    Operation("secret define", nothing, lambda c, p: c.secretDefineXML(SECRET)),
    Operation("secret value", lambda c, p: c.secretDefineXML(SECRET),
              lambda c, p: c.secretLookupByUUIDString(UUID).setValue(b"abc")),
    Operation("secret undefine", lambda c, p: c.secretDefineXML(SECRET).setValue(b"abc"),
              lambda c, p: c.secretLookupByUUIDString(UUID).undefine()),
    Operation("network define", nothing, lambda c, p: c.networkDefineXML(NET), namespace=True, session=False),
    Operation("network undefine", with_network(lambda n, c: n.setAutostart(1)),
              lambda c, p: c.networkLookupByName("lab").undefine(), namespace=True, session=False),
    Operation("network start", with_network(lambda n, c: None), lambda c, p: c.networkLookupByName("lab").create(),
              namespace=True, session=False),
    Operation("network create", nothing, lambda c, p: c.networkCreateXML(NET), namespace=True, session=False),
    Operation("network destroy", with_network(lambda n, c: n.create()), lambda c, p: c.networkLookupByName("lab").destroy(),
              namespace=True, session=False),
    Operation("start on a network", lambda c, p: (c.networkDefineXML(NET).create(), c.defineXML(machine(devices=NET_CARD))),
              lambda c, p: victim(c).create(), namespace=True, session=False),
    Operation("start with its network", lambda c, p: (c.networkDefineXML(NET), c.defineXML(machine(devices=NET_CARD))),
              lambda c, p: victim(c).create(), between=(lambda c, p: c.networkLookupByName("lab").create(),),
              namespace=True, session=False),
    Operation("destroy on a network", started(NET_CARD, net=True), lambda c, p: victim(c).destroy(),
              namespace=True, session=False),
]
SAMPLED = ("define", "start", "destroy", "undefine", "attach live and config", "volume qcow2", "network start")
SAMPLED_FOR_USERS = ("start", "undefine")


def tests_of(arguments):
    tests = []
    whole = {o.name for o in OPERATIONS}
    for o in OPERATIONS:
        if arguments.names and not any(n == o.name or (n in o.name and n not in whole) for n in arguments.names):
            continue
        if not (arguments.names or arguments.all or arguments.again or o.name in SAMPLED):
            continue

        def run(o=o, user=None):
            if o.namespace and not os.environ.get("PANAL_IN_NAMESPACE"):
                raise Skip("needs root, network namespaces, nft and dnsmasq")
            enumerate_steps(o, user, arguments)

        own = os.geteuid() != 0
        tests.append((o.name, run))
        if o.session and not own and (arguments.all or o.name in SAMPLED_FOR_USERS):
            tests.append((f"{o.name}, a user's", lambda o=o, run=run: run(o, NOBODY)))
    return tests


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--first", type=int, default=1, help="the step that --all begins with")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if os.geteuid() == 0:
        enter_namespace(needed=False)
    Loop.start(libvirt)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended, too
    try:
        return run_tests(tests_of(arguments))
    finally:
        stragglers()


if __name__ == "__main__":
    sys.exit(main())
