#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every command of virsh against panald: it works, it is cleanly refused, or it is not there yet; none hangs, none harms.

    tests/interop/virsh_matrix.py                 checks, and prints the sum
    tests/interop/virsh_matrix.py --write FILE    writes the table as Markdown too (docs/virsh.md)
    tests/interop/virsh_matrix.py NAME...         only these commands, with what they said

Each command runs with arguments that make sense, with a machine `defined` that does not run and a machine `running`. After each
the daemon must answer, and `running` must run; a command that ends or changes machines gets one of its own.
"""

import os
import re
import subprocess
import sys

from client import libvirt
from panald import PATIENCE, Failure, Panald, Skip, domain_xml, enter_namespace, expect, prepared


UUID = "11111111-2222-4333-8444-555555555555"
# Commands that never speak to a daemon, or only edit with a program of the user's.
NETWORKS = False  # whether networks may be started: in a namespace only
LOCAL = {"cd", "echo", "exit", "help", "pwd", "quit", "connect", "lxc-enter-namespace"}
DOMAIN = "running"

# Arguments; {d} is a directory with files, {v} a machine of the command's own that runs, {o} one that is only defined.
ARGUMENTS = {
    "attach-device": "{v} {d}/disk.xml --config", "attach-disk": "{v} {d}/disk.raw vdb --config",
    "attach-interface": "{v} bridge br0 --config", "autostart": "{o}", "console": None, "create": "{d}/transient.xml",
    "define": "{d}/defined.xml", "desc": "running", "destroy": "{v}", "detach-device": "{v} {d}/disk.xml --config",
    "detach-device-alias": "{v} nothing", "detach-disk": "{v} vdz --config", "detach-interface": "{v} bridge --config",
    "change-media": "running vdz --eject", "update-device": "{v} {d}/disk.xml --config", "domid": "running",
    "domname": UUID, "domrename": "{o} renamed-one", "dompmsuspend": "running mem", "edit": "{o}",
    "domxml-from-native": "qemu-argv {d}/text", "domxml-to-native": "qemu-argv --domain running",
    "dump": "running {d}/core", "get-user-sshkeys": "running root", "set-user-sshkeys": "running root --file {d}/text",
    "iothreadpin": "running 1 0", "iothreadadd": "running 1", "iothreadset": "running 1", "iothreaddel": "running 1",
    "inject-nmi": "{v}", "send-key": "running KEY_A", "send-process-signal": "running 1 term", "managedsave": "{v}",
    "managedsave-edit": "{o}",
    "managedsave-define": "{o} {d}/defined.xml", "metadata": "running http://example.org/x",
    "migrate": "running qemu+unix:///system?socket={d}/none", "migrate-setmaxdowntime": "running 100",
    "migrate-setspeed": "running 100", "qemu-attach": "1", "qemu-monitor-command": "running info",
    "qemu-monitor-event": "running --timeout 1", "qemu-agent-command": "running {{}}", "guest-agent-timeout": "running 5",
    "restore": "{d}/none", "save": "{v} {d}/saved", "save-image-define": "{d}/none {d}/defined.xml",
    "save-image-dumpxml": "{d}/none", "save-image-edit": "{d}/none", "screenshot": "running {d}/shot",
    "set-lifecycle-action": "{o} poweroff destroy", "set-user-password": "running root secret", "setmaxmem": "{o} 300M",
    "setmem": "{v} 32M", "setvcpus": "{o} 1 --config", "start": "{o}", "undefine": "{o}",
    "update-memory-device": "running --requested-size 1M --alias x", "vcpupin": "running 0 0", "setvcpu": "running 0 --enable",
    "domblkthreshold": "running vda 1", "dom-fd-associate": "running x --pass-fds 0", "domblkinfo": "running --all",
    "domblkstat": "running", "domif-getlink": "running vnet0", "domif-setlink": "running vnet0 up", "domiftune": "running vnet0",
    "domifstat": "running vnet0", "event": "--timeout 1 --all", "net-event": "--timeout 1 --event lifecycle",
    "nodedev-event": "--timeout 1 --event lifecycle", "secret-event": "--timeout 1 --event lifecycle",
    "pool-event": "--timeout 1 --event lifecycle", "allocpages": "2M 0", "cpu-baseline": "{d}/cpu.xml",
    "cpu-compare": "{d}/cpu.xml", "cpu-models": "x86_64", "hypervisor-cpu-baseline": "{d}/cpu.xml",
    "hypervisor-cpu-compare": "{d}/cpu.xml", "freepages": "--all", "nodesuspend": None, "uri": "", "shutdown": "{v}",
    "reboot": "{v}", "reset": "{v}", "suspend": "{v}", "resume": "{v}", "blkdeviotune": "running vda", "blockcommit": "running vda",
    "blockcopy": "running vda {d}/copy", "blockjob": "running vda", "blockpull": "running vda", "blockresize": "running vda 1G",
    "domstats": "", "list": "--all", "checkpoint-create": "running {d}/text", "checkpoint-create-as": "running c1",
    "checkpoint-delete": "running c1", "checkpoint-dumpxml": "running c1", "checkpoint-edit": "running c1",
    "checkpoint-info": "running c1", "checkpoint-parent": "running c1", "snapshot-create": "{v}",
    "snapshot-create-as": "{v} s1", "snapshot-delete": "running s1", "snapshot-dumpxml": "running s1",
    "snapshot-edit": "running s1", "snapshot-info": "running s1", "snapshot-parent": "running s1",
    "snapshot-revert": "running s1", "backup-begin": "running {d}/text", "iface-bridge": "lo br9", "iface-define": "{d}/text",
    "iface-unbridge": "br9", "nwfilter-define": "{d}/text", "nwfilter-binding-create": "{d}/text",
    "find-storage-pool-sources-as": "logical", "find-storage-pool-sources": "logical", "net-create": "{d}/net.xml",
    "net-define": "{d}/net2.xml", "net-update": "default add ip-dhcp-host {d}/host.xml --config", "net-uuid": "default",
    "net-destroy": "fleeting", "net-undefine": "spare", "net-start": "spare", "net-name": UUID,
    "net-port-list": "default", "net-port-create": "default {d}/text", "net-port-dumpxml": "default " + UUID,
    "net-port-delete": "default " + UUID, "nodedev-create": "{d}/text", "nodedev-define": "{d}/text",
    "secret-define": "{d}/secret.xml", "secret-set-value": UUID + " --base64 YQ==", "pool-create-as": "p dir --target {d}",
    "pool-create": "{d}/pool.xml", "pool-define-as": "p dir --target {d}", "pool-define": "{d}/pool.xml",
    "pool-uuid": "default", "pool-build": "{q}", "pool-start": "{q}", "pool-delete": "{q}", "pool-undefine": "{q}",
    "pool-destroy": "{p}", "pool-edit": "{q}", "pool-autostart": "{q}", "pool-name": "{u}", "vol-pool": "{i}/a", "vol-key": "a default",
    "vol-path": "a default", "vol-list": "default", "vol-name": "{i}/a",
    "vol-clone": "--pool default a b", "vol-create-as": "default v 1M",
    "vol-create": "default {d}/vol.xml", "vol-create-from": "default {d}/vol.xml a --inputpool default", "vol-download": "--pool default a {d}/down",
    "vol-resize": "--pool default a 2M", "vol-upload": "--pool default a {d}/text", "domlaunchsecinfo": "running",
    "domsetlaunchsecstate": "running --secret {d}/text", "guestvcpus": "running", "perf": "running",
    "domdirtyrate-calc": "running", "node-memory-tune": "", "numatune": "running", "memtune": "running",
}
# Without arguments, or with the one name that the object's kind has.
NAMES = {"net-": "default", "pool-": "default", "vol-": "--pool default a", "secret-": UUID, "nodedev-": "computer",
         "iface-": "lo", "nwfilter-": "f", "checkpoint-": "running", "snapshot-": "running"}
BARE = {"capabilities", "domcapabilities", "freecell", "hostname", "maxvcpus", "nodecpumap", "nodecpustats", "nodeinfo",
        "nodememstats", "nodesevinfo", "sysinfo", "version", "iface-begin", "iface-commit", "iface-rollback", "iface-list",
        "nwfilter-list", "nwfilter-binding-list", "net-list", "nodedev-list", "secret-list", "pool-list", "pool-capabilities"}

UNSUPPORTED = re.compile(r"not supported by the connection driver|unknown procedure|[Nn]ot supported")
FILES = {
    "disk.xml": "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{d}/disk.raw'/>"
                "<target dev='vdb' bus='virtio'/></disk>",
    "text": "text", "cpu.xml": "<cpu><arch>x86_64</arch><model>Nehalem</model></cpu>",
    "net.xml": "<network><name>n1</name></network>", "net2.xml": "<network><name>n2</name></network>",
    "host.xml": "<host mac='52:54:00:00:00:01' ip='192.168.122.9'/>",
    "pool.xml": "<pool type='dir'><name>p1</name><target><path>{d}</path></target></pool>",
    "vol.xml": "<volume><name>v2</name><capacity unit='M'>1</capacity></volume>",
    "secret.xml": "<secret ephemeral='no' private='no'><usage type='volume'><volume>/x</volume></usage></secret>",
}


def commands():
    out = subprocess.run(["virsh", "help"], capture_output=True, text=True, check=True).stdout
    group, found = "", []
    for line in out.splitlines():
        m = re.match(r" (\S.*) \(help keyword", line)
        if m:
            group = m.group(1)
        m = re.match(r"    (\S+) ", line)
        if m:
            found.append((group, m.group(1)))
    return found


def arguments(name):
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    if name in BARE:
        return ""
    for prefix, value in NAMES.items():
        if name.startswith(prefix):
            return value
    return DOMAIN


class Bed:
    """A daemon with the two machines that stay, and one more of each kind for commands that change them."""

    def __init__(self):
        prepared("kernel-cloud-amd64/vmlinuz")  # before there is a daemon to end
        self.p = Panald()
        self.files = self.p.path("files")
        os.mkdir(self.files)
        for name, text in FILES.items():
            self.write(name, text.replace("{d}", self.files))
        with open(os.path.join(self.files, "disk.raw"), "wb") as f:
            f.truncate(1 << 20)
        self.write("transient.xml", domain_xml("transient", memory=64))
        self.write("defined.xml", domain_xml("again", memory=64))
        self.connection = libvirt.open(self.p.uri())
        self.running = self.connection.defineXML(domain_xml(
            "running", UUID, memory=64,
            devices="<interface type='network'><source network='default'/></interface>" if NETWORKS else ""))
        self.running.create()
        self.connection.networkDefineXML(f"<network><name>spare</name><uuid>{UUID}</uuid></network>")
        if NETWORKS:
            self.connection.networkCreateXML("<network><name>fleeting</name></network>")
        self.count = 0

    def write(self, name, text):
        with open(os.path.join(self.files, name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, name):
        text, own = arguments(name), None
        if "{v}" in text or "{o}" in text:
            self.count += 1
            own = f"own{self.count}"
            d = self.connection.defineXML(domain_xml(own, memory=64))
            if "{v}" in text:
                d.create()
        self.storage()
        text = text.replace("{p}", "on").replace("{q}", "off").replace("{i}", self.p.path("images"))
        text = text.replace("{u}", self.connection.storagePoolLookupByName("default").UUIDString())
        text = text.replace("{v}", own or "").replace("{o}", own or "").replace("{d}", self.files).replace("{{}}", "{}")
        try:
            done = subprocess.run(["virsh", "-c", self.p.uri(), name, *text.split()], capture_output=True, text=True,
                                  timeout=20 * PATIENCE, stdin=subprocess.DEVNULL, env={**os.environ, "EDITOR": "true", "VISUAL": "true"})
        except subprocess.TimeoutExpired:
            return "hangs", ""
        said = (done.stdout + done.stderr).strip()
        self.check(name)
        self.clean()
        # the end of a wait in which nothing happened, for the commands that wait for events
        if done.returncode == 0 or "event loop timed out" in said:
            return "works", said
        errors = " ".join(line for line in said.splitlines() if line.startswith("error: "))
        return ("not there yet" if UNSUPPORTED.search(errors) else "refused"), errors

    def storage(self):
        """Volume `a` in pool `default`, a secret, a pool `on` and a pool `off`, new for each command."""
        c = self.connection
        for pool in c.listAllStoragePools():
            if pool.name() != "default":
                persistent = pool.isPersistent()
                if pool.isActive():
                    pool.destroy()
                if persistent:
                    pool.undefine()
        default = c.storagePoolLookupByName("default")
        for volume in default.listAllVolumes():
            volume.delete()
        for secret in c.listAllSecrets():
            secret.undefine()
        default.createXML("<volume><name>a</name><capacity unit='M'>1</capacity></volume>")
        secret = c.secretDefineXML(f"<secret private='no'><uuid>{UUID}</uuid><usage type='volume'><volume>/y</volume></usage>"
                                   "</secret>")
        secret.setValue(b"value")
        for name in ("on", "off"):
            path = self.p.path("pool-" + name)
            os.makedirs(path, exist_ok=True)
            pool = c.storagePoolDefineXML(f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>")
            if name == "on":
                pool.create()

    def clean(self):
        for d in self.connection.listAllDomains():
            if d.name() == "running":
                continue
            persistent = d.isPersistent()
            if d.isActive():
                d.destroy()
            if persistent:
                d.undefine()

    def end(self):
        for n in self.connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE):
            n.destroy()

    def check(self, name):
        expect(self.p.process.poll() is None, f"{name} ended the daemon: {self.p.log()}")
        try:
            state = self.running.state()[0]
        except libvirt.libvirtError as error:
            raise Failure(f"{name}: the daemon does not answer: {error}") from None
        expect(state == libvirt.VIR_DOMAIN_RUNNING, f"{name}: the machine that was to go on is in state {state}")


def table(results):
    sums = {}
    for _, _, result, _ in results:
        sums[result] = sums.get(result, 0) + 1
    yield "# virsh against panald"
    yield ""
    yield "Written by `tests/interop/virsh_matrix.py --write docs/virsh.md`: each command of Debian 12's virsh 9.0, once, with"
    yield "arguments that make sense, against a daemon with running and defined machines. *refused*: a clear error that is the"
    yield "right answer here, or the object that it is about does not exist. *not there yet*: answered as not supported."
    yield ""
    yield ", ".join(f"{count} {result}" for result, count in sorted(sums.items())) + "."
    group = None
    for g, name, result, said in results:
        if g != group:
            group = g
            yield ""
            yield f"## {g}"
            yield ""
            yield "| command | result | what it says |"
            yield "|---|---|---|"
        text = re.sub(r"/tmp/\S*/", "", said.replace("error: ", "").replace("|", "\\|"))
        yield f"| {name} | {result} | {'' if result == 'works' else text[:140]} |"


def main():
    args = sys.argv[1:]
    write = args[args.index("--write") + 1] if "--write" in args else None
    wanted = [] if write else args
    results = []
    if not NETWORKS:
        print("networks are not started here: no network namespaces")
    try:
        bed = Bed()
    except Skip as skip:
        print(skip)
        return 77
    with bed.p:
        for group, name in commands():
            if name in LOCAL or arguments(name) is None or (wanted and name not in wanted):
                continue
            try:
                result, said = bed.run(name)
            except Failure as failure:
                result, said = "harms", str(failure)
            results.append((group, name, result, said))
            if wanted:
                print(f"{name}: {result}: {said}")
            if result == "harms":
                break
        else:
            bed.end()
    if write:
        with open(write, "w", encoding="utf-8") as f:
            f.write("\n".join(table(results)) + "\n")
    bad = [r for r in results if r[2] in ("hangs", "harms")]
    for _, name, result, said in bad:
        print(f"FAILED {name} {result}: {said}")
    count = {k: sum(r[2] == k for r in results) for k in ("works", "refused", "not there yet")}
    print(", ".join(f"{v} {k}" for k, v in count.items()))
    print(f"{len(results) - len(bad)} passed, {len(bad)} failed, 0 skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    NETWORKS = enter_namespace(needed=False)
    if NETWORKS:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sys.exit(main())
