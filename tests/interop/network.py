#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks of panald under Debian's virsh and python3-libvirt: definitions, bridges, DHCP, names, rules, guests on them.

    tests/interop/network.py            everything
    tests/interop/network.py NAME...    those whose name contains one of these

All of it happens in a network namespace of its own, with another one beside it for the world outside.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from client import fails, libvirt
from panald import BUILD, PATIENCE, Console, Failure, Loop, Panald, domain_xml, enter_namespace, expect, expect_equal, run_tests, wait_for

UUID = "11111111-2222-4333-8444-555555555555"
MAC = "52:54:00:aa:bb:01"
OUTSIDE = "10.99.0.2"


def run(*command, check=True, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30 * PATIENCE, stdin=subprocess.DEVNULL, **more)
    if check and done.returncode:
        raise Failure(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def net_xml(name, subnet=7, more="", forward="<forward mode='nat'/>", dhcp="", bridge="", uuid=""):
    return (f"<network><name>{name}</name>{f'<uuid>{uuid}</uuid>' if uuid else ''}{forward}{bridge}{more}"
            f"<ip address='192.168.{subnet}.1' netmask='255.255.255.0'><dhcp>"
            f"<range start='192.168.{subnet}.10' end='192.168.{subnet}.20'/>{dhcp}</dhcp></ip></network>")


def card(network="default", mac=MAC):
    return f"<interface type='network'><mac address='{mac}'/><source network='{network}'/><model type='virtio'/></interface>"


def links():
    return re.findall(r"^\d+: ([^:@]+)", run("ip", "-o", "link"), re.M)


def servers(p):
    """The dnsmasq processes of this daemon."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().startswith(f"dnsmasq\0--conf-file={p.dir}".encode()):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def clean(p):
    """Nothing of a network is left on this host."""
    expect_equal([x for x in links() if x.startswith(("virbr", "vnet"))], [], "interfaces left")
    expect_equal(servers(p), [], "dnsmasq left")
    expect("panal" not in run("nft", "list", "ruleset"), "rules left")
    expect_equal(os.listdir(p.path("run", "networks")), [], "left in the run directory")


class Bed(Panald):
    """Ends what its networks are, whatever the test left."""

    def __exit__(self, *args):
        if self.process.poll() is not None:
            self.start()
        for pid in self.engines():
            os.kill(pid, signal.SIGKILL)
        c = libvirt.open(self.uri())
        for n in c.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE):
            n.destroy()
        c.close()
        super().__exit__(*args)


# ---- definitions ----

def definitions():
    with Bed() as p:
        c = libvirt.open(p.uri())
        expect_equal([(n.name(), n.isActive(), n.isPersistent(), n.autostart()) for n in c.listAllNetworks()],
                     [("default", 0, 1, 0)], "at first")
        clean_xml = c.networkLookupByName("default").XMLDesc()
        expect("192.168.122.1" in clean_xml and "virbr0" in clean_xml and "mode='nat'" in clean_xml, clean_xml)
        n = c.networkDefineXML(net_xml("lab", uuid=UUID))
        expect_equal(n.bridgeName(), "virbr1", "bridge")
        expect_equal(n.UUIDString(), UUID, "uuid")
        fails(libvirt.VIR_ERR_OPERATION_FAILED, c.networkDefineXML, net_xml("lab"))
        fails(libvirt.VIR_ERR_OPERATION_FAILED, c.networkDefineXML, net_xml("other", uuid=UUID))
        fails(libvirt.VIR_ERR_OPERATION_FAILED, c.networkDefineXML, net_xml("x", bridge="<bridge name='virbr1'/>"))
        fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, c.networkDefineXML,
              "<network><name>v</name><forward mode='vepa'><interface dev='lo'/></forward></network>")
        fails(libvirt.VIR_ERR_XML_ERROR, c.networkDefineXML, net_xml("x", dhcp="<host mac='52:54:00:00:00:01' name='a b'/>"))
        fails(libvirt.VIR_ERR_XML_ERROR, c.networkDefineXML, net_xml("x", more="<domain name='a,b'/>"))
        fails(libvirt.VIR_ERR_NO_NETWORK, c.networkLookupByName, "x")
        fails(libvirt.VIR_ERR_OPERATION_INVALID, n.destroy)
        c.networkDefineXML(net_xml("lab", 8, uuid=UUID))
        n.setAutostart(True)
        expect_equal([x.name() for x in c.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART)], ["lab"], "autostart")
        expect_equal((c.numOfNetworks(), c.numOfDefinedNetworks(), sorted(c.listDefinedNetworks())), (0, 2, ["default", "lab"]), "")
        c.networkLookupByName("default").undefine()
        p.restart()
        c = libvirt.open(p.uri())
        expect_equal([n.name() for n in c.listAllNetworks()], ["lab"], "after a restart")
        expect("192.168.8.1" in c.networkLookupByName("lab").XMLDesc(), "the later definition")
        c.networkLookupByName("lab").undefine()
        clean(p)


def running():
    with Bed() as p:
        c = libvirt.open(p.uri())
        n = c.networkLookupByName("default")
        n.create()
        fails(libvirt.VIR_ERR_OPERATION_INVALID, n.create)
        expect("inet 192.168.122.1/24" in run("ip", "addr", "show", "virbr0"), "address")
        expect("table inet panal-virbr0" in run("nft", "list", "tables"), "rules")
        expect_equal(len(servers(p)), 1, "dnsmasq")
        with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as f:
            expect_equal(f.read(), "1\n", "forwarding")
        fails(libvirt.VIR_ERR_INTERNAL_ERROR, c.networkCreateXML, net_xml("clash", 122))
        fails(libvirt.VIR_ERR_OPERATION_INVALID, c.networkCreateXML, n.XMLDesc())
        t = c.networkCreateXML(net_xml("fleeting", 9, forward=""))
        expect_equal((t.isActive(), t.isPersistent(), t.bridgeName()), (1, 0, "virbr1"), "transient")
        fails(libvirt.VIR_ERR_OPERATION_INVALID, t.setAutostart, 1)
        n.undefine()
        expect_equal((n.isActive(), n.isPersistent()), (1, 0), "undefined while it runs")
        first = servers(p)
        p.restart()
        c = libvirt.open(p.uri())
        expect_equal(sorted(c.listNetworks()), ["default", "fleeting"], "after kill -9")
        expect_equal(servers(p), first, "dnsmasq after kill -9")
        for name in c.listNetworks():
            c.networkLookupByName(name).destroy()
        expect_equal(c.listAllNetworks(), [], "transient ones stopped")
        clean(p)


def six():
    with Bed() as p:
        c = libvirt.open(p.uri())
        n = c.networkCreateXML(
            "<network><name>six</name><forward mode='nat'><nat ipv6='yes'/></forward><mtu size='4000'/>"
            "<ip family='ipv6' address='fd00:7::1' prefix='64'><dhcp><range start='fd00:7::100' end='fd00:7::1ff'/></dhcp></ip>"
            "<ip address='192.168.9.1' prefix='24'/><route address='192.168.77.0' prefix='24' gateway='192.168.9.2'/>"
            "</network>")
        shown = run("ip", "addr", "show", n.bridgeName())
        expect("fd00:7::1/64" in shown and "mtu 4000" in shown, shown)
        expect("192.168.77.0/24 via 192.168.9.2" in run("ip", "route"), "route")
        expect("ip6 saddr fd00:7::/64 ip6 daddr != fd00:7::/64 masquerade" in run("nft", "list", "ruleset"), "rules")
        n.destroy()
        clean(p)


def updates():
    add, delete, modify = (libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
                           libvirt.VIR_NETWORK_UPDATE_COMMAND_MODIFY)
    host, dns = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, libvirt.VIR_NETWORK_SECTION_DNS_HOST
    both = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
    with Bed() as p:
        c = libvirt.open(p.uri())
        n = c.networkLookupByName("default")
        line = "<host mac='52:54:00:00:00:01' name='bob' ip='192.168.122.45'/>"
        fails(libvirt.VIR_ERR_OPERATION_INVALID, n.update, add, host, -1, line, libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        n.create()
        n.update(add, host, -1, line, both)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, n.update, add, host, -1, line, both)
        n.update(add, dns, -1, "<host ip='192.168.122.46'><hostname>alice</hostname></host>",
                 libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        n.update(modify, host, -1, line.replace("45", "47"), libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        live, config = n.XMLDesc(), n.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)
        expect("122.47" in live and "alice" in live and "122.45" in config and "alice" not in config, live + config)
        expect("192.168.122.46" in ask_name("alice"), "name after an update")
        p.restart()
        c = libvirt.open(p.uri())
        n = c.networkLookupByName("default")
        expect_equal(n.XMLDesc(), live, "live document after a restart")
        before = servers(p)
        n.update(delete, dns, -1, "<host ip='192.168.122.46'/>", libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        expect("192.168.122.46" not in ask_name("alice"), "name after its removal")
        expect(servers(p) != before, "dnsmasq was not started again")
        dead = servers(p)
        os.kill(dead[0], signal.SIGKILL)
        wait_for("dnsmasq again", lambda: servers(p) and servers(p) != dead, 10)
        n.destroy()
        expect_equal(n.XMLDesc(), config, "the definition after the stop")
        clean(p)


def ask_name(name, server="192.168.122.1"):
    """A question to the network's name server; the addresses in its answer."""
    import socket
    import struct
    question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0)
    question += b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        for _ in range(5):
            s.sendto(question, (server, 53))
            try:
                data = s.recv(2000)
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.2)
                continue
            count = struct.unpack(">H", data[6:8])[0]
            return [".".join(map(str, data[-4:]))] if count else []
    raise Failure("the name server does not answer")


def events():
    Loop.start(libvirt)
    seen = []
    with Bed() as p:
        c = libvirt.open(p.uri())
        c.networkEventRegisterAny(None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE,
                                  lambda _c, n, event, detail, _o: seen.append((n.name(), event, detail)), None)
        other = libvirt.open(p.uri())
        n = other.networkDefineXML(net_xml("noisy"))
        n.create()
        n.destroy()
        n.undefine()
        wanted = [("noisy", event, 0) for event in (0, 2, 3, 1)]
        wait_for("events", lambda: len(seen) >= 4, 5)
        expect_equal(seen, wanted, "events")


# ---- guests ----

SCRIPT = ("printf '#!/bin/sh\\nifconfig $interface up\\n[ \"$1\" = bound ] || exit 0\\nifconfig $interface $ip netmask $subnet\\n"
          "[ -z \"$router\" ] || route add default gw $router\\necho nameserver $dns >/etc/resolv.conf\\n"
          "echo BOUND $ip $domain $router END\\n' >/u; chmod +x /u")


class Guest:
    def __init__(self, p, c, name, devices):
        self.domain = c.createXML(domain_xml(name, devices=devices, memory=128))
        self.name, self.c = name, c
        self.console = Console(libvirt, c, self.domain)
        self.console.send("\n")
        self.console.expect(r"[#$] ")
        self.do(SCRIPT)

    def do(self, command, pattern="", timeout=60):
        self.console.send(f"{command}; echo DO''NE\n")
        found = self.console.expect(pattern + r"[\s\S]*?DONE\r?\n", timeout)
        return found

    def dhcp(self, host="web1"):
        return self.do(f"udhcpc -i eth0 -s /u -n -q -t 10 -x hostname:{host}", r"BOUND (\S+) [^\r\n]*END").group(1)


def guest_on_default():
    Loop.start(libvirt)
    with Bed() as p:
        c = libvirt.open(p.uri())
        g = Guest(p, c, "web", card())
        n = c.networkLookupByName("default")
        expect_equal(n.isActive(), 1, "the network that a machine needs")
        ip = g.dhcp()
        expect(ip.startswith("192.168.122."), ip)
        wait_for("ping's answer", lambda: ping(ip), 10)
        g.console.send("echo from the guest | nc -l -p 80\n")
        wait_for("the guest's answer", lambda: read_tcp(ip, 80) == b"from the guest\n", 20)
        lease = n.DHCPLeases()
        expect_equal([(x["ipaddr"], x["mac"], x["hostname"], x["prefix"], x["iface"]) for x in lease],
                     [(ip, MAC, "web1", 24, "virbr0")], "leases")
        expect_equal(n.DHCPLeases("52:54:00:00:00:00"), [], "leases of another")
        expect(ip in p.virsh("net-dhcp-leases", "default"), "virsh net-dhcp-leases")
        expect(f"{ip}/24" in p.virsh("domifaddr", "web"), "virsh domifaddr")
        expect(ip in p.virsh("domifaddr", "web", "--source", "arp"), "virsh domifaddr --source arp")
        expect_equal(ask_name("web1"), [ip], "the guest's name")
        shown = p.virsh("domiflist", "web")
        expect("vnet0" in shown and "default" in shown and MAC in shown, shown)
        expect(int(re.search(r"rx_bytes (\d+)", p.virsh("domifstat", "web", "vnet0")).group(1)) > 500, "domifstat")
        stats = p.virsh("domstats", "web", "--interface")
        expect(re.search(r"net.0.rx.bytes=\d{3}", stats) and "net.0.name=vnet0" in stats, stats)
        expect("connections='1'" in n.XMLDesc(), n.XMLDesc())
        port = n.listAllPorts()[0]
        expect("<name>web</name>" in port.XMLDesc() and MAC in port.XMLDesc(), port.XMLDesc())
        expect("bridge='virbr0'" in g.domain.XMLDesc() and port.UUIDString() in g.domain.XMLDesc(), g.domain.XMLDesc())
        # The world outside sees the host's address; it gets no way in; the guest speaks on after kill -9.
        expect_equal(outside_sees(g), "10.99.0.1", "source address outside")
        expect(run_outside("ping", "-c", "1", "-W", "1", ip, check=False) is False, "a way in")
        g.do("for n in 1 2 3 4 5 6 7 8; do sleep 1; nc -w 1 10.99.0.2 8000; done </dev/null >/dev/null 2>&1 & true")
        p.kill()
        expect_equal(outside_sees_after(g), "10.99.0.1", "without a daemon")
        p.start()
        c = libvirt.open(p.uri())
        n, d = c.networkLookupByName("default"), c.lookupByName("web")
        expect_equal((len(n.DHCPLeases()), len(n.listAllPorts())), (1, 1), "after kill -9")
        # A network that was stopped and started has its machines again.
        n.destroy()
        expect_equal([x for x in links() if x.startswith("virbr")], [], "bridges")
        n.create()
        wait_for("the guest again", lambda: ping(ip), 20)
        d.destroy()
        wait_for("end of the tap", lambda: "vnet0" not in links(), 5)
        n.destroy()
        clean(p)


def ping(ip):
    return subprocess.run(["ping", "-c", "1", "-W", "1", ip], capture_output=True, check=False).returncode == 0


def read_tcp(ip, port):
    import socket
    try:
        with socket.create_connection((ip, port), 2) as s:
            return s.recv(100)
    except OSError:
        return b""


def run_outside(*command, check=True):
    done = subprocess.run(["ip", "netns", "exec", "outside", *command], capture_output=True, text=True, timeout=20 * PATIENCE, check=False)
    if check and done.returncode:
        raise Failure(f"{command}: {done.stderr}")
    return done.returncode == 0


def outside_sees(g, say=None):
    """The guest connects to a server outside; whom that takes it for."""
    server = subprocess.Popen(
        ["ip", "netns", "exec", "outside", sys.executable, "-c",
         "import socket; s = socket.create_server(('10.99.0.2', 8000)); s.settimeout(20); print('up', flush=True)\n"
         "c, a = s.accept(); c.send(b'HELLO\\n'); print(a[0])"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        server.stdout.readline()
        (say or g.do)("nc -w 3 10.99.0.2 8000 </dev/null")
        return server.communicate(timeout=25 * PATIENCE)[0].strip()
    finally:
        server.kill()
        server.wait()


def outside_sees_after(g):
    """The same while nobody passes the console on: the guest was told before to connect a little later."""
    return outside_sees(g, lambda _: None)


def docker():
    """Beside tables that drop what is forwarded, as Docker's do."""
    Loop.start(libvirt)
    subprocess.run(["nft", "-f", "-"], input="table ip filter {\n chain DOCKER-USER {\n }\n chain FORWARD {\n"
                   " type filter hook forward priority filter; policy drop;\n counter jump DOCKER-USER\n }\n}\n",
                   text=True, check=True, timeout=10 * PATIENCE)
    try:
        with Bed() as p:
            c = libvirt.open(p.uri())
            g = Guest(p, c, "beside", card())
            g.dhcp()
            expect_equal(outside_sees(g), "10.99.0.1", "source address outside")
            listed = run("nft", "list", "chain", "ip", "filter", "DOCKER-USER")
            expect_equal(listed.count("panal:virbr0"), 2, "rules in Docker's chain")
            g.domain.destroy()
            c.networkLookupByName("default").destroy()
            expect("panal" not in run("nft", "list", "ruleset"), "rules left")
    finally:
        run("nft", "delete", "table", "ip", "filter")


def isolated_and_bridge():
    """Two cards: one on an isolated network with a fixed address, one on a bridge of the host's."""
    Loop.start(libvirt)
    run("ip", "link", "add", "br7", "type", "bridge")
    run("ip", "addr", "add", "10.7.0.1/24", "dev", "br7")
    run("ip", "link", "set", "br7", "up")
    try:
        with Bed() as p:
            c = libvirt.open(p.uri())
            n = c.networkDefineXML(net_xml("alone", 9, forward="", bridge="<bridge name='lonely' stp='off'/>",
                                           more="<domain name='lab'/>", dhcp=f"<host mac='{MAC}' ip='192.168.9.99' name='fixed'/>"))
            h = c.networkDefineXML("<network><name>hosts</name><forward mode='bridge'/><bridge name='br7'/></network>")
            g = Guest(p, c, "two", card("alone") + "<interface type='bridge'><mac address='52:54:00:aa:bb:02'/>"
                      "<source bridge='br7'/><target dev='mytap'/></interface>" + card("hosts", "52:54:00:aa:bb:03"))
            expect_equal((n.isActive(), h.isActive()), (1, 1), "networks")
            found = g.do("udhcpc -i eth0 -s /u -n -q -t 10", r"BOUND (\S+) ([^\r\n]*)END")
            expect_equal((found.group(1), found.group(2).split()), ("192.168.9.99", ["lab"]), "address, domain, no router")
            expect_equal(ask_name("fixed.lab", "192.168.9.1"), ["192.168.9.99"], "its name")
            expect("mytap" in links() and "master br7" in run("ip", "link", "show", "mytap"), "tap on the host's bridge")
            g.do("ifconfig eth1 10.7.0.2 netmask 255.255.255.0")
            wait_for("the guest on the host's bridge", lambda: ping("10.7.0.2"), 20)
            g.do("route add default gw 192.168.9.1; ping -c 1 -W 1 10.99.0.2 >/dev/null || echo NO WAY", "NO WAY")
            g.domain.destroy()
            n.destroy()
            h.destroy()
            expect("br7" in links(), "the host's bridge is gone")
            n.undefine()
            clean(p)
    finally:
        run("ip", "link", "del", "br7")


# ---- kill -9 ----

def killed_anywhere():
    """Killed at any moment of start and stop: afterwards a network runs wholly or not at all."""
    random.seed(7)
    with Bed() as p:
        for turn in range(24):
            c = libvirt.open(p.uri())
            n = c.networkLookupByName("default")
            was = n.isActive()
            client = subprocess.Popen(["virsh", "-c", p.uri(), "net-destroy" if was else "net-start", "default"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            time.sleep(random.random() * 0.16)
            p.kill()
            client.wait(10 * PATIENCE)
            p.start()
            c = libvirt.open(p.uri())
            n = c.networkLookupByName("default")
            if not n.isActive():
                clean(p)
            else:
                expect_equal(len(servers(p)), 1, f"dnsmasq, turn {turn}")
                expect("virbr0" in links(), "no bridge")
                expect("192.168.122.1/24" in run("ip", "addr", "show", "virbr0"), "no address")
                expect("panal-virbr0" in run("nft", "list", "tables"), "no rules")


# ---- a user's own instance ----

class Session(Panald):
    def arguments(self):
        return ["--session"]


def session():
    with Session() as p:
        c = libvirt.open(p.uri())
        expect_equal(c.listAllNetworks(), [], "networks of a session")
        n = c.networkDefineXML(net_xml("mine"))
        expect("qemu:///system" in fails(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, n.create), "no advice")
        d = c.defineXML(domain_xml("s", devices=card("mine")))
        expect("type='user'" in fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, d.create), "no advice")
        d = c.defineXML(domain_xml("t", devices="<interface type='user'/>"))
        d.create()
        d.destroy()


def refused():
    with Bed() as p:
        c = libvirt.open(p.uri())
        d = c.defineXML(domain_xml("r", devices=card("nowhere")))
        expect("nowhere" in fails(libvirt.VIR_ERR_NO_NETWORK, d.create), "which network")
        d = c.defineXML(domain_xml("b", devices="<interface type='bridge'><source bridge='nobridge'/></interface>"))
        expect("nobridge" in fails(libvirt.VIR_ERR_INTERNAL_ERROR, d.create), "which bridge")
        expect_equal([x for x in links() if x.startswith("vnet")], [], "taps")
        ro = libvirt.openReadOnly(p.uri("libvirt-sock-ro"))
        n = ro.networkLookupByName("default")
        expect_equal(n.DHCPLeases(), [], "leases, reading only")
        fails(libvirt.VIR_ERR_OPERATION_DENIED, n.create)


def host():
    """The host's devices and interfaces, to look at."""
    import xml.etree.ElementTree as tree
    run("ip", "link", "add", "br7", "type", "bridge")
    run("ip", "addr", "add", "10.7.0.1/24", "dev", "br7")
    run("ip", "link", "add", "port7", "master", "br7", "type", "veth", "peer", "name", "peer7")
    try:
        with Bed() as p:
            c = libvirt.openReadOnly(p.uri("libvirt-sock-ro"))
            names = c.listDevices(None, 0)
            expect("computer" in names, names)
            expect_equal(sorted(d.name() for d in c.listAllDevices()), sorted(names), "devices")
            for d in c.listAllDevices():
                root = tree.fromstring(d.XMLDesc())
                expect_equal((root.findtext("name"), root.findtext("parent")), (d.name(), d.parent()), "document")
                expect_equal([root.find("capability").get("type")], d.listCaps(), "capability")
            expect_equal(len(c.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET)), c.numOfDevices("net", 0), "net")
            fails(libvirt.VIR_ERR_NO_NODE_DEVICE, c.nodeDeviceLookupByName, "pci_none")
            expect_equal({i.name() for i in c.listAllInterfaces()}, {"lo", "br7"}, "interfaces")
            root = tree.fromstring(c.interfaceLookupByName("br7").XMLDesc())
            expect_equal([x.get("name") for x in root.findall("bridge/interface")], ["port7"], "ports")
            expect_equal(root.find("protocol/ip").get("address"), "10.7.0.1", "address")
            i = c.interfaceLookupByMACString(c.interfaceLookupByName("br7").MACString())
            expect_equal((i.name(), i.isActive()), ("br7", 0), "by address")
            fails(libvirt.VIR_ERR_NO_INTERFACE, c.interfaceLookupByName, "none")
    finally:
        run("ip", "link", "del", "br7")
        run("ip", "link", "del", "port7")


TESTS = [definitions, running, six, updates, events, guest_on_default, docker, isolated_and_bridge, killed_anywhere, session,
         refused, host]


def make_world():
    """A cable from here to the namespace `outside`."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "netns", "add", "outside")
    run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "eth0", "netns", "outside")
    run("ip", "addr", "add", "10.99.0.1/24", "dev", "cable")
    run("ip", "link", "set", "cable", "up")
    run("ip", "-n", "outside", "addr", "add", f"{OUTSIDE}/24", "dev", "eth0")
    run("ip", "-n", "outside", "link", "set", "eth0", "up")
    run("ip", "-n", "outside", "route", "add", "default", "via", "10.99.0.1")


def main():
    wanted = sys.argv[1:]
    enter_namespace()
    make_world()
    return run_tests([(t.__name__, t) for t in TESTS if not wanted or any(w in t.__name__ for w in wanted)])


if __name__ == "__main__":
    sys.exit(main())
