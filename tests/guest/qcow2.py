#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panal image and qemu-img on each other's images: every kind of image both ways, checks, snapshots, resizing, refusals.

    tests/guest/qcow2.py [--all]

--all adds the long runs of build/tests/unit/block/test_qcow2: 300 streams and 2,000 power cuts. PANAL_BUILD names
another build folder. Needs qemu-img (qemu-utils); without it the status is 77.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PANAL_BUILD", os.path.join(ROOT, "build"))
PANAL = os.path.join(BUILD, "panal")
MIB = 1 << 20
passed = failed = 0


def run(*args, status=0):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if r.returncode != status:
        raise AssertionError(f"{' '.join(map(str, args))}: status {r.returncode}, not {status}: {r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def image(*args, status=0):
    return run(PANAL, "image", *args, status=status)


def qemu(*args, status=0):
    return run("qemu-img", *args, status=status)


def qio(path, *commands):
    args = ["qemu-io", "-f", "qcow2"]
    for c in commands:
        args += ["-c", c]
    run(*args, path)


def make_raw(path, size, seed):
    r = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(size)
        for _ in range(60):
            f.seek(r.randrange(size // 512 - 300) * 512)
            piece = r.randbytes(512) if r.random() < 0.3 else bytes([r.randrange(256)]) * 512
            f.write(piece * r.randrange(1, 300))


def same(a, fa, b, fb):
    qemu("compare", "-f", fa, "-F", fb, a, b)


def both_check(path):
    image("check", path)
    qemu("check", "-f", "qcow2", path)


def test_from_qemu(at):
    for n, options in enumerate(["", "compat=0.10", "cluster_size=512", "cluster_size=2M", "refcount_bits=1",
                                 "refcount_bits=64", "lazy_refcounts=on", "preallocation=metadata"]):
        q, back = f"{at}/q{n}", f"{at}/back{n}"
        qemu("convert", "-f", "raw", "-O", "qcow2", *(["-o", options] if options else []), f"{at}/raw", q)
        both_check(q)
        image("convert", "-f", "qcow2", "-O", "raw", q, back)
        same(back, "raw", f"{at}/raw", "raw")
        with open(back, "rb") as x, open(f"{at}/raw", "rb") as y:
            assert x.read() == y.read()


def test_compressed_from_qemu(at):
    for how in ("zlib", "zstd"):
        q, back = f"{at}/c{how}", f"{at}/cback{how}"
        qemu("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", f"compression_type={how}", f"{at}/raw", q)
        both_check(q)
        image("convert", "-f", "qcow2", "-O", "raw", q, back)
        same(back, "raw", f"{at}/raw", "raw")


def test_to_qemu(at):
    for n, options in enumerate([[], ["-c"], ["-c", "--compression", "zstd"], ["--cluster-size", "512"],
                                 ["--cluster-size", "2M", "-c"], ["--cluster-size", "4K", "--lazy-refcounts"]]):
        q = f"{at}/p{n}"
        image("convert", "-f", "raw", "-O", "qcow2", *options, f"{at}/raw", q)
        both_check(q)
        same(q, "qcow2", f"{at}/raw", "raw")


def test_chain(at):
    base, mid, top, flat = (f"{at}/{n}" for n in ("raw", "mid", "top", "flat"))
    qemu("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", mid)
    qio(mid, "write -P 7 1M 300k", "write -z 2M 1M", "discard 5M 1M")
    image("create", "-f", "qcow2", "-b", "mid", "-F", "qcow2", top)
    qio(top, "write -P 9 1100k 30k")
    image("convert", "-f", "qcow2", "-O", "qcow2", top, flat)
    same(flat, "qcow2", top, "qcow2")
    image("resize", "-f", "qcow2", "--shrink", top, "3M")
    image("resize", "-f", "qcow2", top, "+1M")
    both_check(top)
    image("convert", "-f", "qcow2", "-O", "raw", top, f"{at}/topraw")
    same(f"{at}/topraw", "raw", top, "qcow2")
    with open(f"{at}/topraw", "rb") as f:
        f.seek(3 * MIB)
        assert f.read() == bytes(MIB), "what a shrink cut off came back"


def test_snapshots(at):
    q = f"{at}/snap"
    image("create", "-f", "qcow2", q, "8M")
    qio(q, "write -P 1 0 4M")
    qemu("snapshot", "-c", "first", q)
    qio(q, "write -P 2 1M 1M")
    qemu("snapshot", "-c", "second", q)
    qio(q, "write -P 3 0 8M")
    names = [s["name"] for s in json.loads(image("snapshot", "list", "--json", q))]
    assert names == ["first", "second"], names
    for name, at_1m in (("first", 1), ("second", 2)):
        image("convert", "-f", "qcow2", "-s", name, "-O", "raw", q, f"{at}/s-{name}")
        with open(f"{at}/s-{name}", "rb") as f:
            data = f.read()
        assert data == b"\1" * MIB + bytes([at_1m]) * MIB + b"\1" * 2 * MIB + bytes(4 * MIB)
    both_check(q)
    image("resize", "-f", "qcow2", q, "9M")
    both_check(q)


def test_repair(at):
    q = f"{at}/leaky"
    image("convert", "-f", "raw", "-O", "qcow2", f"{at}/raw", q)
    size = os.path.getsize(q) // 65536
    table = int.from_bytes(open(q, "rb").read(56)[48:56], "big")
    with open(q, "r+b") as f:
        f.seek(table)
        block = int.from_bytes(f.read(8), "big")
        f.seek(block + 2 * (size + 5))
        f.write(b"\0\1")
        f.seek(block + 2 * (size - 1))
        f.write(b"\0\0")
    image("check", q, status=2)
    image("check", "--repair", q)
    both_check(q)
    same(q, "qcow2", f"{at}/raw", "raw")
    dirty = f"{at}/dirty"
    qemu("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", dirty, "8M")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 5 1M 2M", "-c", "abort", dirty], capture_output=True)
    assert json.loads(image("info", "-f", "qcow2", "--json", dirty))["dirty"]
    image("resize", "-f", "qcow2", dirty, "9M")
    both_check(dirty)
    image("convert", "-f", "qcow2", "-O", "raw", dirty, f"{at}/dirtyraw")
    same(dirty, "qcow2", f"{at}/dirtyraw", "raw")


def test_refused(at):
    q = f"{at}/refused"
    image("create", "-f", "qcow2", q, "1M")
    with open(q, "r+b") as f:  # the header's crypt_method; making a true one takes seconds of key derivation
        f.seek(32)
        f.write((2).to_bytes(4, "big"))
    assert "encrypted (LUKS)" in image("info", "-f", "qcow2", q, status=1)
    qemu("create", "-q", "-f", "qcow2", "-o", f"data_file={at}/data", f"{at}/ext", "1M")
    assert "data_file" in image("info", "-f", "qcow2", f"{at}/ext", status=1)
    qemu("create", "-q", "-f", "qcow2", "-o", "extended_l2=on", f"{at}/l2", "1M")
    assert "extended_l2" in image("info", "-f", "qcow2", f"{at}/l2", status=1)
    assert "not a qcow2 image" in image("info", "-f", "qcow2", f"{at}/raw", status=1)
    assert "exists already" in image("create", "-f", "raw", f"{at}/raw", "1M", status=1)
    assert "never guessed" in image("info", f"{at}/raw", status=1)
    assert "--shrink" in image("resize", "-f", "raw", f"{at}/raw", "1M", status=1)
    image("info", status=2)


def long_runs(_at):
    run(os.path.join(BUILD, "tests/unit/block/test_qcow2"), 300, 2000)


def main():
    global passed, failed
    if not shutil.which("qemu-img"):
        print("qemu-img is missing")
        return 77
    tests = [test_from_qemu, test_compressed_from_qemu, test_to_qemu, test_chain, test_snapshots, test_repair,
             test_refused] + ([long_runs] if "--all" in sys.argv else [])
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="panal-qcow2-") as at:
            make_raw(f"{at}/raw", 24 * MIB, 5)
            try:
                test(at)
                passed += 1
            except AssertionError as error:
                failed += 1
                print(f"FAILED {test.__name__}: {error}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
