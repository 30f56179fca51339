#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panald under load: many clients at once, connections and calls by the million, clients that do not read. Takes minutes.

    tests/interop/load.py                             200 clients, 10,000 connections, 1,000,000 calls
    tests/interop/load.py --connects N --calls N      other numbers
"""

import argparse
import select
import socket
import struct
import sys
import threading
import time

from panald import Failure, Panald, domain_xml, expect, expect_equal, run_tests, wait_for

CLIENTS, WARM_CONNECTS, WARM_CALLS, GROWTH_KIB, BATCH = 200, 1000, 20000, 1024, 50
UUID = bytes.fromhex("33333333444445558666777777777777")
CONNECT_OPEN, CONNECT_CLOSE, GET_HOSTNAME, GET_INFO, GET_XML, LIST_ALL, WATCH = 1, 2, 59, 16, 14, 273, 316


def packet(procedure, serial=0, body=b""):
    return struct.pack(">7I", 28 + len(body), 0x20008086, 1, procedure, 0, serial, 0) + body


def text(s):
    data = s.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


DOMAIN = text("asked") + UUID + struct.pack(">i", -1)
CALLS = (packet(GET_INFO, 0, DOMAIN), packet(GET_XML, 0, DOMAIN + struct.pack(">I", 0)), packet(GET_HOSTNAME),
         packet(LIST_ALL, 0, struct.pack(">iI", 1, 0)), packet(GET_INFO, 0, DOMAIN))


class Client:
    def __init__(self, p):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(p.socket())
        self.buffer = b""
        self.call(packet(CONNECT_OPEN, 0, struct.pack(">II", 0, 0)))

    def fill(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(1 << 18)
            if not data:
                raise Failure("the daemon closed the connection")
            self.buffer += data

    def answer(self):
        self.fill(4)
        length = struct.unpack(">I", self.buffer[:4])[0]
        self.fill(length)
        head, self.buffer = self.buffer[:28], self.buffer[length:]
        expect_equal(struct.unpack(">I", head[24:28])[0], 0, "status of an answer")

    def call(self, data, answers=1):
        self.socket.sendall(data)
        for _ in range(answers):
            self.answer()

    def close(self):
        self.call(packet(CONNECT_CLOSE))
        self.socket.close()


def rss_kib(p):
    with open(f"/proc/{p.process.pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def settled(p):
    time.sleep(2.5)  # what belongs to gone clients is freed by the second
    return rss_kib(p)


def daemon():
    p = Panald()
    with open(p.path("d.xml"), "w", encoding="utf-8") as f:
        f.write(domain_xml("asked", "33333333-4444-4555-8666-777777777777", kernel=False))
    p.virsh("define", p.path("d.xml"))
    return p


def all_at_once():
    """Every one of 200 clients gets all its answers while the others ask."""
    errors = []

    def work(client):
        try:
            for _ in range(100):
                client.call(b"".join(CALLS), len(CALLS))
        except (Failure, OSError) as error:
            errors.append(error)

    with daemon() as p:
        clients = [Client(p) for _ in range(CLIENTS)]
        threads = [threading.Thread(target=work, args=(c,)) for c in clients]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        expect(not errors, errors[:3])
        for c in clients:
            c.close()


def connects(count):
    with daemon() as p:
        for _ in range(WARM_CONNECTS):
            Client(p).close()
        before = settled(p)
        begin = time.monotonic()
        for n in range(count):
            c = Client(p)
            if n % 3:
                c.close()
            else:
                c.socket.close()  # without a farewell
        seconds = time.monotonic() - begin
        after = settled(p)
        print(f"{count} connections in {seconds:.1f} s; {before} KiB before, {after} KiB after")
        expect(after - before <= GROWTH_KIB, f"the daemon grew from {before} to {after} KiB")


def calls(count):
    with daemon() as p:
        c = Client(p)
        batch = b"".join(CALLS[n % len(CALLS)] for n in range(BATCH))
        for _ in range(WARM_CALLS // BATCH):
            c.call(batch, BATCH)
        before = settled(p)
        begin = time.monotonic()
        for _ in range(count // BATCH):
            c.call(batch, BATCH)
        seconds = time.monotonic() - begin
        after = settled(p)
        print(f"{count} calls in {seconds:.1f} s ({count / seconds:.0f} a second); {before} KiB before, {after} KiB after")
        expect(after - before <= GROWTH_KIB, f"the daemon grew from {before} to {after} KiB")


def unread_events():
    """Who registers for events and reads none is cut off at the limit; who reads gets all of them."""
    with daemon() as p:
        deaf, good = Client(p), Client(p)
        for c in (deaf, good):
            for _ in range(200):  # each event 200 times
                c.call(packet(WATCH, 0, struct.pack(">iI", 0, 0)))
        got = [0]

        def read():
            try:
                while True:
                    good.answer()
                    got[0] += 1
            except (Failure, OSError):
                pass

        threading.Thread(target=read, daemon=True).start()
        writer = Client(p)
        xml = domain_xml("asked", "33333333-4444-4555-8666-777777777777", kernel=False)
        define = packet(11, 0, text(xml))
        rounds = 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not cut_off(deaf):
            writer.call(define)
            rounds += 1
        expect(cut_off(deaf), f"still there after {rounds} rounds")
        wait_for("events", lambda: got[0] >= rounds * 200, 60)
        expect(rss_kib(p) < 128 << 10, f"the daemon uses {rss_kib(p)} KiB")
        good.socket.shutdown(socket.SHUT_RDWR)
        writer.close()


def cut_off(client):
    poll = select.poll()
    poll.register(client.socket, select.POLLHUP | select.POLLRDHUP)
    return bool(poll.poll(0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connects", type=int, default=10000)
    parser.add_argument("--calls", type=int, default=1000000)
    a = parser.parse_args()
    return run_tests([("200 clients at once", all_at_once), ("connections", lambda: connects(a.connects)),
                      ("calls", lambda: calls(a.calls)), ("events that nobody reads", unread_events)])


if __name__ == "__main__":
    sys.exit(main())
