#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panald under Debian's virsh and python3-libvirt: a machine's life, its console, events, restarts of the daemon.

    tests/interop/daemon.py            everything
    tests/interop/daemon.py NAME...    those whose name contains one of these
"""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from client import fails, libvirt
from panald import BUILD, PATIENCE, Console, Loop, Panald, Skip, domain_xml, expect, expect_equal, run_tests, wait_for

UUID = "11111111-2222-4333-8444-555555555555"


def connect_and_look():
    with Panald() as p:
        for name in ("libvirt-sock", "virtqemud-sock", "virtpanald-sock"):
            c = libvirt.open(p.uri(name))
            expect_equal(c.getType(), "QEMU", "type")
            expect_equal(c.getHostname(), socket.gethostname(), "host name")
            expect(c.isAlive(), "not alive")
            c.close()
        info = p.virsh("nodeinfo")
        expect(f"CPU(s):              {len(os.sched_getaffinity(0))}" in info or "CPU(s):" in info, info)
        expect("Running hypervisor: QEMU" in p.virsh("version"), "version")
        expect("shut off" not in p.virsh("list", "--all"), "a machine from nowhere")
        expect("not supported" in p.virsh("nwfilter-list", status=1), "what is not there")


def life():
    with Panald() as p:
        c = libvirt.open(p.uri())
        d = c.defineXML(domain_xml("life", UUID))
        expect_equal((d.isActive(), d.isPersistent(), d.ID(), d.UUIDString()), (0, 1, -1, UUID), "defined")
        expect_equal(d.state(), [libvirt.VIR_DOMAIN_SHUTOFF, 0], "state")
        fails(libvirt.VIR_ERR_OPERATION_INVALID, d.destroy)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, d.shutdown)
        d.create()
        expect(d.ID() > 0 and d.isActive(), "not running")
        fails(libvirt.VIR_ERR_OPERATION_INVALID, d.create)
        expect_equal(d.state(), [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED], "state")
        expect("<domain type='kvm' id=" in d.XMLDesc() and " id=" not in d.XMLDesc(2).split("\n")[0], d.XMLDesc()[:100])
        d.suspend()
        expect_equal(d.state(), [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER], "state")
        d.resume()
        d.reset(0)
        d.destroy()
        expect_equal(d.state(), [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED], "state")
        first = d.ID()
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        expect_equal(d.state()[0], libvirt.VIR_DOMAIN_PAUSED, "started paused")
        expect(d.ID() != first, "the number came again")
        d.undefine()
        expect_equal(d.isPersistent(), 0, "persistent after undefine")
        d.destroy()
        fails(libvirt.VIR_ERR_NO_DOMAIN, c.lookupByName, "life")
        wait_for("end of the process", lambda: not p.engines(), 5)
        expect_equal(os.listdir(p.path("run", "machines")), [], "left in the run directory")
        left = set(os.listdir(p.path("config", "domains"))) - {"journal"}  # that stays until the daemon's end
        expect_equal(left, set(), "left in the definitions")


def names():
    with Panald() as p:
        c = libvirt.open(p.uri())
        d = c.defineXML(domain_xml("one", UUID))
        fails(libvirt.VIR_ERR_OPERATION_FAILED, c.defineXML, domain_xml("one"))
        fails(libvirt.VIR_ERR_OPERATION_FAILED, c.defineXML, domain_xml("two", UUID))
        fails(libvirt.VIR_ERR_XML_ERROR, c.defineXML, domain_xml("a/b"))
        c.defineXML(domain_xml("one", UUID, memory=200))
        expect_equal(d.maxMemory(), 200 << 10, "redefined memory")
        t = c.createXML(domain_xml("fleeting"), libvirt.VIR_DOMAIN_START_PAUSED)
        expect_equal(t.isPersistent(), 0, "transient")
        fails(libvirt.VIR_ERR_OPERATION_INVALID, t.setAutostart, 1)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, c.createXML, domain_xml("fleeting", t.UUIDString()))
        t.destroy()
        fails(libvirt.VIR_ERR_NO_DOMAIN, c.lookupByName, "fleeting")
        d.rename("other", 0)
        expect_equal([x.name() for x in c.listAllDomains()], ["other"], "names")
        fails(libvirt.VIR_ERR_NO_DOMAIN, c.lookupByName, "one")
        d = c.lookupByName("other")
        d.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "A title", None, None, 0)
        expect_equal(d.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None), "A title", "title")
        fails(libvirt.VIR_ERR_NO_DOMAIN_METADATA, d.metadata, libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, None)
        p.restart()
        c = libvirt.open(p.uri())
        d = c.lookupByName("other")
        expect_equal(d.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None), "A title", "title after a restart")
        expect_equal(d.maxMemory(), 200 << 10, "memory after a restart")


def events():
    Loop.start(libvirt)
    seen = []
    with Panald() as p:
        c = libvirt.open(p.uri())
        other = libvirt.open(p.uri())
        number = c.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                          lambda _c, d, event, detail, _o: seen.append((event, detail)), None)
        only = []
        d = other.defineXML(domain_xml("noisy"))
        quiet = other.defineXML(domain_xml("quiet"))
        c.domainEventRegisterAny(c.lookupByName("quiet"), libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                 lambda _c, x, event, detail, _o: only.append(x.name()), None)
        d.create()
        d.suspend()
        d.resume()
        d.destroy()
        d.undefine()
        quiet.undefine()
        defined, undefined, started, suspended, resumed, stopped, shutdown = range(7)
        wanted = [(defined, 0), (defined, 0), (resumed, 0), (started, 0), (suspended, 0), (resumed, 0), (shutdown, 0),
                  (stopped, 1), (undefined, 0), (undefined, 0)]
        wait_for("events", lambda: len(seen) >= len(wanted), 10)
        expect_equal(seen, wanted, "events")
        wait_for("filtered events", lambda: only, 10)
        expect_equal(only, ["quiet"], "filtered events")
        c.domainEventDeregisterAny(number)
        other.defineXML(domain_xml("late")).undefine()
        c.getHostname()
        expect_equal(len(seen), len(wanted), "events after deregistering")


def console():
    Loop.start(libvirt)
    with Panald() as p:
        c = libvirt.open(p.uri())
        d = c.createXML(domain_xml("talker"), libvirt.VIR_DOMAIN_START_PAUSED)
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"switches the machine off\.")
        t.expect(r"/ # ")
        t.send("echo $((6*7))x\n")
        t.expect(r"\n42x")
        fails(libvirt.VIR_ERR_OPERATION_FAILED, Console, libvirt, c, d)
        second = Console(libvirt, c, d, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        wait_for("end of the first console", lambda: t.ended, 10)
        second.send("seq 1 20000; echo done-$((1+1))\n")
        second.expect(r"\n1\r\n2\r\n3\r\n")
        second.expect(r"\n19999\r\n20000\r\ndone-2")
        lines = [line for line in second.text.split("\r\n") if line.isdigit()]
        expect(lines[:20000] == [str(n) for n in range(1, 20001)], "bytes were lost")
        second.close()
        third = Console(libvirt, c, d)
        third.send("poweroff -f\n")
        wait_for("end of the guest", lambda: not c.listAllDomains(), 30)
        wait_for("end of the console", lambda: third.ended, 10)


class Terminal:
    def __init__(self, path):
        self.fd, self.text = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK), ""

    def expect(self, wanted):
        def there():
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            return wanted in self.text
        wait_for(f"{wanted} on the terminal ({self.text[-200:]})", there)


def terminal():
    """The console is a terminal of the host, too, as scripts expect; who comes through the daemon has it meanwhile."""
    Loop.start(libvirt)
    with Panald() as p:
        c = libvirt.open(p.uri())
        d = c.createXML(domain_xml("tty"), libvirt.VIR_DOMAIN_START_PAUSED)
        path = p.virsh("ttyconsole", "tty").strip()
        expect(re.fullmatch(r"/dev/pts/[0-9]+", path), path)
        expect_equal(d.XMLDesc().count(f"<source path='{path}'/>"), 2, "serial port and console")
        expect(path not in d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), "in the definition")
        t = Terminal(path)
        d.resume()
        t.expect("/ # ")
        os.write(t.fd, b"echo $((6*7))x\n")
        t.expect("\n42x")
        p.restart()
        expect_equal(p.virsh("ttyconsole", "tty").strip(), path, "after a restart of the daemon")
        c = libvirt.open(p.uri())
        console = Console(libvirt, c, c.lookupByName("tty"))
        console.send("echo $((7*7))y\n")
        console.expect(r"\n49y")
        console.close()
        time.sleep(0.5)
        os.write(t.fd, b"seq 1 5000; echo done-$((1+1))\n")
        t.expect("\n5000\r\ndone-2")
        expect("49y" not in t.text and "\n4999\r\n" in t.text, t.text[-300:])
        os.close(t.fd)
        t = Terminal(path)
        os.write(t.fd, b"poweroff -f\n")
        wait_for("end of the guest", lambda: not c.listAllDomains(), 30)
        os.close(t.fd)


def bootloader():
    """<bootloader>: the kernel on the disk, at the start and, when the guest has put another there, at its reboot."""
    sys.path.insert(1, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest"))
    from bootdisk import mbr_disk
    Loop.start(libvirt)
    with Panald() as p, tempfile.TemporaryDirectory() as folder:
        disk = mbr_disk(folder, "others>second")
        xml = domain_xml("grubby", kernel=False, more="<bootloader>/usr/bin/pygrub</bootloader>",
                         devices=f"<disk type='file'><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>")
        c = libvirt.open(p.uri())
        d = c.defineXML(xml)
        expect("<bootloader>/usr/bin/pygrub</bootloader>" in d.XMLDesc(), "the document lost its <bootloader>")
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"/ # ")
        t.send("cat /proc/cmdline\n")
        t.expect(r"BOOT_IMAGE=/boot/vmlinuz-2 .*which=second")
        d.destroy()
        d.undefine()


def shutdown():
    Loop.start(libvirt)
    with Panald() as p:
        c = libvirt.open(p.uri())
        d = c.defineXML(domain_xml("button"))
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"/ # ")
        t.send("(head -c 1 /dev/input/event0 >/dev/null && poweroff -f) & echo wait''ing\n")
        t.expect("waiting")
        time.sleep(0.3)
        d.shutdown()
        wait_for("shutdown", lambda: not d.isActive(), 30)
        expect_equal(d.state(), [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN], "state")
        wait_for("end of the process", lambda: not p.engines(), 5)


def reboot():
    Loop.start(libvirt)
    reboots = []
    with Panald() as p:
        c = libvirt.open(p.uri())
        c.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, lambda *_: reboots.append(1), None)
        d = c.defineXML(domain_xml("again"))
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        number = d.ID()
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"/ # ")
        t.send("(head -c 1 /dev/input/event0 >/dev/null && poweroff -f) & echo wait''ing\n")
        t.expect("waiting")
        time.sleep(0.3)
        d.reboot()
        wait_for("reboot event", lambda: reboots, 30)
        wait_for("running again", lambda: d.state()[0] == libvirt.VIR_DOMAIN_RUNNING, 30)
        expect_equal(c.lookupByName("again").ID(), number, "number")
        t = Console(libvirt, c, d, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        t.send("\n")
        t.expect(r"/ # ")
        d.destroy()


def broken_start():
    with Panald() as p:
        c = libvirt.open(p.uri())
        d = c.defineXML(domain_xml("broken", devices="<disk type='file' device='disk'><source file='/nonexistent/x'/>"
                                                     "<target dev='vda' bus='virtio'/></disk>"))
        text = fails(libvirt.VIR_ERR_INTERNAL_ERROR, d.create)
        expect("/nonexistent/x" in text, f"the cause is not named: {text}")
        expect_equal(d.state(), [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED], "state")
        expect_equal(d.ID(), -1, "number")
        expect_equal(os.listdir(p.path("run", "machines")), [], "left in the run directory")
        fails(libvirt.VIR_ERR_INTERNAL_ERROR, c.createXML, d.XMLDesc().replace(d.UUIDString(), UUID).replace("broken", "b2"))
        expect_equal([x.name() for x in c.listAllDomains()], ["broken"], "domains")


def overlapping_calls():
    """Eight threads on one connection, each with a machine of its own."""
    with Panald() as p:
        c = libvirt.open(p.uri())
        trouble = []

        def live(name):
            try:
                d = c.defineXML(domain_xml(name, memory=64))
                for _ in range(3):
                    d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
                    d.destroy()
                d.undefine()
            except libvirt.libvirtError as error:
                trouble.append(str(error))

        threads = [threading.Thread(target=live, args=(f"m{n}",)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        expect(not trouble and not any(t.is_alive() for t in threads), trouble)
        expect_equal(c.listAllDomains(), [], "domains")


def survivors():
    """kill -9 of the daemon: machines go on, and the next daemon finds them with their numbers and states."""
    with Panald() as p:
        c = libvirt.open(p.uri())
        for name in ("keeps", "pauses"):
            c.defineXML(domain_xml(name))
        c.lookupByName("keeps").create()
        c.lookupByName("pauses").create()
        c.lookupByName("pauses").suspend()
        fleeting = c.createXML(domain_xml("fleeting"))
        fleeting.destroy()
        fleeting = c.createXML(domain_xml("fleeting"))
        c.lookupByName("keeps").setAutostart(1)
        before = {d.name(): (d.ID(), d.state(), d.isPersistent(), d.UUIDString()) for d in c.listAllDomains()}
        engines = p.engines()
        expect_equal(len(engines), 3, "engines")
        p.restart()
        c = libvirt.open(p.uri())
        after = {d.name(): (d.ID(), d.state(), d.isPersistent(), d.UUIDString()) for d in c.listAllDomains()}
        expect_equal(after, before, "after the restart")
        expect_equal(p.engines(), engines, "engines")
        c.lookupByName("pauses").resume()
        fresh = c.createXML(domain_xml("fresh"))
        expect(fresh.ID() not in [number for number, *_ in before.values()], "a number was used again")
        os.kill(p.engines()[0], signal.SIGKILL)
        wait_for("end of one", lambda: len(c.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)) == 3, 10)
        p.kill()
        os.kill(p.engines()[0], signal.SIGKILL)
        p.start()
        c = libvirt.open(p.uri())
        wait_for("two that run", lambda: len(c.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)) == 2, 10)
        for d in c.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            d.destroy()
        expect_equal(os.listdir(p.path("run", "machines")), [], "left in the run directory")


def killed_anywhere():
    """kill -9 at many moments of a start, a definition, an undefinition: the state before or the one after."""
    xml = domain_xml("victim", UUID, memory=64)
    with Panald() as p:
        for n in range(24):
            c = libvirt.open(p.uri())
            for d in c.listAllDomains():
                if d.isActive():
                    d.destroy()
                if d.isPersistent():
                    d.undefine()

            def work():
                try:
                    d = c.defineXML(xml)
                    d.create()
                    d.suspend()
                    d.destroy()
                    d.undefine()
                except libvirt.libvirtError:
                    pass

            t = threading.Thread(target=work)
            t.start()
            time.sleep(n * 0.008)
            p.kill()
            t.join(20)
            c.close()
            p.start()
            c = libvirt.open(p.uri())
            found = c.listAllDomains()
            expect(len(found) <= 1, "two domains")
            # A machine that is being ended is still in the list for a moment.
            wait_for("agreement", lambda: len(p.engines()) == len(c.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)), 15)
            for d in c.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
                state = d.state()
                expect(state[0] in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED) or
                       state == [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED], state)
            # Its folder goes a moment after the machine.
            wait_for("no folder without a machine", lambda: len(os.listdir(p.path("run", "machines"))) == len(p.engines()), 15)
            c.close()


def autostart():
    with Panald() as p:
        c = libvirt.open(p.uri())
        c.defineXML(domain_xml("early")).setAutostart(1)
        c.defineXML(domain_xml("not-early"))
        p.restart()
        c = libvirt.open(p.uri())
        expect_equal(c.numOfDomains(), 0, "running after the daemon's restart")
        p.kill(signal.SIGTERM)
        os.unlink(p.path("run", "autostarted"))  # as the host's restart does
        p.start()
        c = libvirt.open(p.uri())
        wait_for("autostart", lambda: [d.name() for d in c.listAllDomains(1)] == ["early"], 20)
        wait_for("running", lambda: c.lookupByName("early").state()[0] == libvirt.VIR_DOMAIN_RUNNING, 20)
        c.lookupByName("early").destroy()


def readers():
    with Panald() as p:
        rw = libvirt.open(p.uri())
        rw.defineXML(domain_xml("looked-at"))
        for c in (libvirt.openReadOnly(p.uri("libvirt-sock-ro")), libvirt.openReadOnly(p.uri()),
                  libvirt.open(p.uri("libvirt-sock-ro"))):
            d = c.lookupByName("looked-at")
            expect("<name>looked-at</name>" in d.XMLDesc(), "XML")
            fails(libvirt.VIR_ERR_OPERATION_DENIED, d.XMLDesc, libvirt.VIR_DOMAIN_XML_SECURE)
            text = fails(libvirt.VIR_ERR_OPERATION_DENIED, d.create)
            expect("read only access prevents virDomainCreate" in text, text)
            fails(libvirt.VIR_ERR_OPERATION_DENIED, d.undefine)
        expect(oct(os.stat(p.socket("libvirt-sock-ro")).st_mode & 0o777) == "0o777", "mode of the read-only socket")
        expect(os.stat(p.socket()).st_mode & 0o007 == 0, "mode of the socket")


def nobody(p, *args):
    """virsh as a user without rights; its status and what it said."""
    done = subprocess.run(["virsh", *args], capture_output=True, text=True, timeout=30 * PATIENCE, user=65534, group=65534,
                          extra_groups=[], env={**os.environ, "HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent"})
    return done.returncode, done.stdout + done.stderr


def unprivileged():
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    with Panald() as p:
        os.chmod(p.dir, 0o755)
        libvirt.open(p.uri()).defineXML(domain_xml("roots"))
        status, said = nobody(p, "-c", p.uri(), "list", "--all")
        expect(status != 0 and "Permission denied" in said, said)
        status, said = nobody(p, "-c", p.uri("libvirt-sock-ro"), "list", "--all")
        expect(status != 0 or "roots" in said, said)
        status, said = nobody(p, "-r", "-c", p.uri("libvirt-sock-ro"), "list", "--all")
        expect(status == 0 and "roots" in said, said)
        status, said = nobody(p, "-c", p.uri("libvirt-sock-ro"), "start", "roots")
        expect(status != 0 and "read only access prevents" in said, said)


def own_instance():
    """A user's own daemon, found where clients look for it, with no right that the user has not."""
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    xml = domain_xml("mine", memory=64)
    with tempfile.TemporaryDirectory() as d:
        os.chown(d, 65534, 65534)
        env = {**os.environ, "HOME": d, "XDG_RUNTIME_DIR": d + "/run"}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            env.pop(name, None)
        who = {"user": 65534, "group": 65534, "extra_groups": [], "env": env}
        with subprocess.Popen([os.path.join(BUILD, "panald")], stderr=subprocess.PIPE, **who) as daemon:
            try:
                wait_for("socket", lambda: os.path.exists(d + "/run/libvirt/virtqemud-sock") or daemon.poll() is not None, 10)
                expect(daemon.poll() is None, "the daemon ended: " + daemon.stderr.read().decode() if daemon.poll() else "")
                with open(d + "/mine.xml", "w", encoding="utf-8") as f:
                    f.write(xml)
                for words in (["define", d + "/mine.xml"], ["start", "mine"], ["domstate", "mine"], ["destroy", "mine"]):
                    done = subprocess.run(["virsh", "-c", "qemu:///session", *words], capture_output=True, text=True,
                                          timeout=60 * PATIENCE, **who)
                    expect(done.returncode == 0, f"{words}: {done.stdout}{done.stderr}")
                expect(os.path.isdir(d + "/.config/panal/domains"), "no definitions")
            finally:
                daemon.terminate()
                daemon.wait(10 * PATIENCE)


def activation():
    """As a service manager starts it: the sockets are there before the daemon, and stay after it."""
    with tempfile.TemporaryDirectory() as d:
        paths = [d + "/libvirt-sock", d + "/libvirt-sock-ro"]
        listeners = []
        for path in paths:
            s = socket.socket(socket.AF_UNIX)
            s.bind(path)
            s.listen(16)
            listeners.append(s)

        def pass_sockets():
            for n, s in enumerate(listeners):
                os.dup2(s.fileno(), 100 + n)
            for n in range(len(listeners)):
                os.dup2(100 + n, 3 + n)
                os.set_inheritable(3 + n, True)

        command = 'LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@"'
        with subprocess.Popen(["sh", "-c", command, os.path.join(BUILD, "panald"), "--config", d + "/c", "--run", d + "/r",
                               "--log", d + "/l", "--sockets", d + "/s", "--images", d + "/i"],
                              preexec_fn=pass_sockets, close_fds=False) as daemon:
            c = libvirt.open(f"qemu+unix:///system?socket={paths[0]}")
            c.defineXML(domain_xml("lit"))
            ro = libvirt.open(f"qemu+unix:///system?socket={paths[1]}")
            fails(libvirt.VIR_ERR_OPERATION_DENIED, ro.lookupByName("lit").create)
            expect(not os.path.exists(d + "/s/libvirt-sock"), "sockets of its own")
            daemon.terminate()
            daemon.wait(10 * PATIENCE)
        expect(all(os.path.exists(path) for path in paths), "the service manager's sockets were removed")
        for s in listeners:
            s.close()


def one_daemon():
    """A second daemon does not take the first one's sockets or machines."""
    with Panald() as p:
        second = [os.path.join(BUILD, "panald"), "--config", p.path("c2"), "--run", p.path("r2"), "--log", p.path("l2"),
                  "--images", p.path("images")]
        done = subprocess.run([*second, "--sockets", p.path("sockets")], capture_output=True, text=True, timeout=20 * PATIENCE)
        expect(done.returncode == 1 and "another daemon serves" in done.stderr, done.stderr)
        second[4] = p.path("run")
        done = subprocess.run([*second, "--sockets", p.path("s2")], capture_output=True, text=True, timeout=20 * PATIENCE)
        expect(done.returncode == 1 and "another panald runs" in done.stderr, done.stderr)
        expect_equal(libvirt.open(p.uri()).getType(), "QEMU", "the first")


HOLD = """import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
os.unlink(sys.argv[1])
s.bind(sys.argv[1])
s.listen(128)
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
os.close(1)
time.sleep(600)
"""


def orphaned_socket():
    """A child of a daemon that was killed still holds its socket, and connections to it succeed: the next one takes its place."""
    with Panald() as p:
        p.kill()
        held = subprocess.run([sys.executable, "-c", HOLD, p.socket()], stdout=subprocess.PIPE, timeout=60, check=True)
        try:
            raw(p).close()
            expect(not p.answers(), "the orphan is taken for the daemon")
            p.start()
            expect_equal(libvirt.open(p.uri()).getType(), "QEMU", "the next daemon")
        finally:
            os.kill(int(held.stdout), signal.SIGKILL)


def raw(p, data=b""):
    s = socket.socket(socket.AF_UNIX)
    s.connect(p.socket())
    try:
        s.sendall(data)
    except OSError:
        pass  # it was cut off before the end
    return s


def hostile_clients():
    """Half packets, silence, floods and nonsense: others are served meanwhile, and the daemon's memory does not grow."""
    with Panald() as p:
        c = libvirt.open(p.uri())
        head = struct.pack(">7I", 28, 0x20008086, 1, 66, 0, 0, 0)
        opened = struct.pack(">7I2I", 36, 0x20008086, 1, 1, 0, 1, 0, 0, 0)
        held = [raw(p, head[:n % 28]) for n in range(100)]
        held.append(raw(p, struct.pack(">I", 32 << 20) + b"x" * 100000))
        for junk in (b"\0" * 4096, b"\xff" * 4096, b"GET / HTTP/1.0\r\n\r\n", os.urandom(65536)):
            held.append(raw(p, junk))
        flood = raw(p, opened)
        flood.setblocking(False)
        ask = struct.pack(">7I", 28, 0x20008086, 1, 59, 0, 2, 0) * 1000
        for _ in range(300):
            try:
                flood.send(ask)
            except OSError:
                break
        for _ in range(20):
            c.getHostname()
        with open(f"/proc/{p.process.pid}/status", encoding="ascii") as f:
            rss = int(next(line for line in f if line.startswith("VmRSS")).split()[1])
        expect(rss < 64 << 10, f"the daemon uses {rss} KiB")
        for s in held:
            s.close()
        flood.close()
        expect(c.isAlive(), "the good client was cut off")


def many_clients():
    with Panald() as p:
        open_ones = [libvirt.open(p.uri()) for _ in range(200)]
        expect_equal({c.getType() for c in open_ones}, {"QEMU"}, "types")
        for c in open_ones:
            c.close()


def steady_memory():
    """Connections and calls in numbers: the daemon's memory stays where it was after the first."""
    def rss(p):
        with open(f"/proc/{p.process.pid}/status", encoding="ascii") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    with Panald() as p:
        with open(f"/proc/{p.process.pid}/maps", encoding="ascii", errors="replace") as f:
            if "libasan" in f.read():
                raise Skip("AddressSanitizer keeps what is freed")
        keep = libvirt.open(p.uri())
        keep.defineXML(domain_xml("asked"))
        d = keep.lookupByName("asked")
        for _ in range(100):
            libvirt.open(p.uri()).close()
        for _ in range(1000):
            d.XMLDesc()
        time.sleep(2.2)  # what belongs to gone clients is freed by the second
        before = rss(p)
        for _ in range(500):
            libvirt.open(p.uri()).close()
        for _ in range(10000):
            d.info()
        for _ in range(1000):
            d.XMLDesc()
        time.sleep(2.2)
        after = rss(p)
        expect(after - before < 1024, f"{before} KiB before, {after} KiB after")


TESTS = [(f.__name__.replace("_", " "), f) for f in (
    connect_and_look, life, names, events, console, terminal, bootloader, shutdown, reboot, broken_start, overlapping_calls, survivors,
    killed_anywhere, autostart, readers, unprivileged, own_instance, activation, one_daemon, orphaned_socket, hostile_clients, many_clients,
    steady_memory)]


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))
