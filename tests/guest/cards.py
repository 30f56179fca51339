#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network cards with Debian's own drivers: an address by DHCP, some MiB both ways with equal checksums, a ping of any size.

    tests/guest/cards.py              the short selection of ./check
    tests/guest/cards.py --all        everything
    tests/guest/cards.py NAME...      those whose name contains one of these
"""

import hashlib
import http.server
import os
import socket
import sys
import tempfile
import threading

from linux import BOOT_S, PROMPT, SHELL, check, ends_well, kernel
from machine import Machine, prepared, run_tests
from pc import modules

SCRIPT = r"""printf '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip addr add $ip/24 dev $interface; ip route add default via $router; echo lease $ip\n' >/tmp/s; chmod +x /tmp/s"""


class Files(http.server.BaseHTTPRequestHandler):
    """Hands out random bytes."""
    body = os.urandom(4 << 20)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


def collect(listener, into):
    """One connection's bytes."""
    with listener.accept()[0] as c:
        while data := c.recv(65536):
            into.update(data)


def transfers(m, port):
    out, status = m.run(f"wget -q -O /tmp/f http://10.0.2.2:{port}/ && sha256sum /tmp/f", 120)
    check(hashlib.sha256(Files.body).hexdigest() in out, f"4 MiB arrived in the guest with another checksum: {out}")
    into = hashlib.sha256()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=collect, args=(listener, into), daemon=True)
        thread.start()
        m.run(f"nc 10.0.2.2 {listener.getsockname()[1]} </tmp/f", 120)
        thread.join(10)
    check(into.hexdigest() == hashlib.sha256(Files.body).hexdigest(), "4 MiB arrived at the host with another checksum")


def driver(model, module, *options, flavour="amd64", accel="soft"):
    def test():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as d:
            more = os.path.join(d, "modules.img")
            with open(more, "wb") as f:
                f.write(modules(d, flavour, "af_packet", module))
            with Machine("--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--initrd", more, "--memory", "512M",
                         "--append", "console=ttyS0 quiet", "--net", f"user,model={model},mac=52:54:00:12:34:56", *options, accel=accel) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, _ = m.run("for f in /m/*.ko; do insmod $f; done; sleep 1; cat /sys/class/net/eth0/address; "
                               f"readlink /sys/class/net/eth0/device/driver; {SCRIPT}; ip link set eth0 up; udhcpc -n -q -i eth0 -s /tmp/s 2>&1", 120)
                check("52:54:00:12:34:56" in out and f"drivers/{module}" in out, f"no card for {module}: {out}")
                check("lease 10.0.2.15" in out, f"no address by DHCP: {out}")
                transfers(m, server.server_address[1])
                out, status = m.run("ping -c 3 -s 1400 10.0.2.2; grep -E 'eth0|CPU' /proc/net/dev /proc/interrupts", 60)
                check(status == 0 and "3 packets received" in out, f"ping: {out}")
                if os.environ.get("PANAL_SHOW"):
                    print(m.run("dmesg | tail -n 30; cat /proc/net/dev /proc/interrupts", 60)[0])
                m.send("poweroff -f\n")
                ends_well(m)
        server.shutdown()
    return test


SHORT = [
    ("e1000", driver("e1000", "e1000")),
    ("e1000e", driver("e1000e", "e1000e")),
    ("rtl8139", driver("rtl8139", "8139cp")),
]
LONG = []

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))
