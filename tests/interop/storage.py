#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Storage pools, volumes, secrets and a machine's disks, under Debian's virsh, python3-libvirt and qemu-img.

    tests/interop/storage.py            all but what takes long
    tests/interop/storage.py NAME...    those whose name contains one of these
    tests/interop/storage.py --slow     an upload of 1 GiB, and many more kills
"""

import os
import random
import subprocess
import sys
import threading
import time

from client import fails, libvirt
from panald import BUILD, PATIENCE, Console, Failure, Loop, Panald, Skip, domain_xml, expect, expect_equal, run_tests, wait_for

UUID = "11111111-2222-4333-8444-555555555555"
MIB = 1 << 20
INACTIVE, ACTIVE, PERSISTENT, TRANSIENT, AUTOSTART, NO_AUTOSTART, DIR, FS = (1 << n for n in range(8))


def pool_xml(name, path, uuid=None, more=""):
    return (f"<pool type='dir'><name>{name}</name>{f'<uuid>{uuid}</uuid>' if uuid else ''}"
            f"<target><path>{path}</path>{more}</target></pool>")


def volume_xml(name, size, kind="raw", allocation=0, more="", target=""):
    return (f"<volume><name>{name}</name><capacity unit='bytes'>{size}</capacity><allocation>{allocation}</allocation>"
            f"<target><format type='{kind}'/>{target}</target>{more}</volume>")


def names(objects):
    return sorted(o.name() for o in objects)


def qemu_img(*args):
    done = subprocess.run(["qemu-img", *args], capture_output=True, text=True, timeout=120 * PATIENCE)
    if done.returncode:
        raise Failure(f"qemu-img {' '.join(args)}: {done.stdout}{done.stderr}")
    return done.stdout


def validate(p, kind, xml):
    path = p.path("document.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(xml)
    done = subprocess.run(["virt-xml-validate", path, kind], capture_output=True, text=True, timeout=60 * PATIENCE)
    expect(done.returncode == 0, f"{done.stdout}{done.stderr}{xml}")


def leftovers(directory):
    return [name for name in os.listdir(directory) if name.startswith(".panal-new.")]


def default_pool():
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        expect_equal((pool.isActive(), pool.isPersistent(), pool.autostart()), (1, 1, 1), "default")
        expect_equal(os.stat(p.path("images")).st_mode & 0o777, 0o711, "mode")
        expect_equal(pool.info()[0], libvirt.VIR_STORAGE_POOL_RUNNING, "state")
        validate(p, "storagepool", pool.XMLDesc())
        uuid = pool.UUIDString()
        p.restart()
        pool = libvirt.open(p.uri()).storagePoolLookupByName("default")
        expect_equal((pool.UUIDString(), pool.isActive()), (uuid, 1), "after a restart")
        pool.destroy()
        p.restart()
        pool = libvirt.open(p.uri()).storagePoolLookupByName("default")
        expect_equal(pool.isActive(), 0, "what was stopped stays so")
        pool.undefine()
        p.restart()
        expect_equal(names(libvirt.open(p.uri()).listAllStoragePools()), [], "what was undefined does not come back")


def pool_life():
    with Panald() as p:
        c = libvirt.open(p.uri())
        path = p.path("deep", "er", "pool")
        pool = c.storagePoolDefineXML(pool_xml("one", path, UUID))
        expect_equal((pool.isActive(), pool.isPersistent(), pool.autostart()), (0, 1, 0), "defined")
        fails(libvirt.VIR_ERR_SYSTEM_ERROR, pool.create)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.refresh)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.destroy)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.listAllVolumes)
        pool.build()
        pool.create()
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.create)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.undefine)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.build)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, pool.delete)
        with open(path + "/there", "wb") as f:
            f.write(b"x" * 1000)
        expect_equal(pool.numOfVolumes(), 0, "before the refresh")
        pool.refresh()
        expect_equal(pool.listVolumes(), ["there"], "after the refresh")
        expect_equal(c.storagePoolLookupByTargetPath(path + "/").name(), "one", "by target")
        expect_equal(c.storagePoolLookupByUUIDString(UUID).name(), "one", "by UUID")
        expect_equal(c.storageVolLookupByPath(path + "/there").storagePoolLookupByVolume().name(), "one", "by volume")
        pool.setAutostart(1)
        lists = {0: ["default", "one"], ACTIVE: ["default", "one"], INACTIVE: [], PERSISTENT: ["default", "one"], TRANSIENT: [],
                 NO_AUTOSTART: [], AUTOSTART | DIR: ["default", "one"], FS: []}
        for flags, wanted in lists.items():
            expect_equal(names(c.listAllStoragePools(flags)), wanted, f"list with flags {flags:#x}")
        fails(libvirt.VIR_ERR_INVALID_ARG, c.listAllStoragePools, 1 << 30)
        capacity, allocation, available = pool.info()[1:]
        expect(capacity == allocation + available and available > 0, pool.info())
        pool.destroy()
        expect_equal(c.listDefinedStoragePools(), ["one"], "inactive")
        expect_equal(c.numOfStoragePools(), 1, "active")
        fails(libvirt.VIR_ERR_SYSTEM_ERROR, pool.delete)
        os.unlink(path + "/there")
        pool.delete()
        expect(not os.path.exists(path), "the directory is there")
        pool.undefine()
        fails(libvirt.VIR_ERR_NO_STORAGE_POOL, c.storagePoolLookupByName, "one")
        expect_equal(len(os.listdir(p.path("config", "storage"))), 3, "files of the default pool alone")


def pool_names():
    with Panald() as p:
        c = libvirt.open(p.uri())
        c.storagePoolDefineXML(pool_xml("one", p.path("a"), UUID, "<permissions><mode>0750</mode></permissions>"))
        failed = libvirt.VIR_ERR_OPERATION_FAILED
        fails(failed, c.storagePoolDefineXML, pool_xml("one", p.path("b")))
        fails(failed, c.storagePoolDefineXML, pool_xml("two", p.path("b"), UUID))
        expect("source conflict" in fails(failed, c.storagePoolDefineXML, pool_xml("two", p.path("a/"))), "text")
        fails(libvirt.VIR_ERR_XML_ERROR, c.storagePoolDefineXML, pool_xml("a/b", p.path("b")))
        fails(libvirt.VIR_ERR_XML_ERROR, c.storagePoolDefineXML, pool_xml("rel", "relative"))
        fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, c.storagePoolDefineXML,
              "<pool type='logical'><name>vg</name><source><name>vg</name></source></pool>")
        pool = c.storagePoolLookupByName("one")
        pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
        expect_equal(os.stat(p.path("a")).st_mode & 0o777, 0o750, "mode")
        c.storagePoolDefineXML(pool_xml("one", p.path("other"), UUID))
        expect(p.path("a") in pool.XMLDesc() and p.path("other") in pool.XMLDesc(1), "the next start's definition")
        p.restart()
        pool = libvirt.open(p.uri()).storagePoolLookupByName("one")
        expect(p.path("a") in pool.XMLDesc() and p.path("other") in pool.XMLDesc(1), "the same after a restart")
        pool.destroy()
        expect(p.path("other") in pool.XMLDesc(), "definition after the stop")
        expect_equal(pool.name(), "one", "name")


def transient_pool():
    with Panald() as p:
        c = libvirt.open(p.uri())
        fails(libvirt.VIR_ERR_SYSTEM_ERROR, c.storagePoolCreateXML, pool_xml("brief", p.path("t")))
        fails(libvirt.VIR_ERR_NO_STORAGE_POOL, c.storagePoolLookupByName, "brief")
        pool = c.storagePoolCreateXML(pool_xml("brief", p.path("t")), libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
        expect_equal((pool.isActive(), pool.isPersistent()), (1, 0), "transient")
        fails(libvirt.VIR_ERR_INVALID_ARG, pool.setAutostart, 1)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, c.storagePoolCreateXML, pool_xml("brief", p.path("t"), pool.UUIDString()))
        p.restart()
        c = libvirt.open(p.uri())
        c.storagePoolLookupByName("brief").destroy()
        fails(libvirt.VIR_ERR_NO_STORAGE_POOL, c.storagePoolLookupByName, "brief")
        expect(os.path.isdir(p.path("t")), "the directory is gone")


def events():
    Loop.start(libvirt)
    seen, values = [], []
    with Panald() as p:
        c = libvirt.open(p.uri())
        other = libvirt.open(p.uri())
        c.storagePoolEventRegisterAny(None, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
                                      lambda _c, o, event, _d, _o: seen.append((o.name(), event)), None)
        c.storagePoolEventRegisterAny(None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                                      lambda _c, o, _o: seen.append((o.name(), "refresh")), None)
        c.secretEventRegisterAny(None, libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE,
                                 lambda _c, s, event, _d, _o: values.append((s.usageID(), event)), None)
        c.secretEventRegisterAny(None, libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED,
                                 lambda _c, s, _o: values.append((s.usageID(), "value")), None)
        pool = other.storagePoolDefineXML(pool_xml("noisy", p.path("n")))
        pool.build()
        pool.create()
        pool.refresh()
        pool.destroy()
        pool.delete()
        pool.undefine()
        wanted = [0, 4, 2, "refresh", 3, 5, 1]
        wait_for("events", lambda: len(seen) >= len(wanted), 10)
        expect_equal(seen, [("noisy", event) for event in wanted], "events")
        secret = other.secretDefineXML("<secret><usage type='ceph'><name>n</name></usage></secret>")
        secret.setValue(b"v")
        secret.undefine()
        wait_for("secrets' events", lambda: len(values) >= 3, 10)
        expect_equal(values, [("n", 0), ("n", "value"), ("n", 1)], "secrets' events")


def volumes():
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        raw = pool.createXML(volume_xml("raw", 10 * MIB, target="<permissions><mode>0640</mode></permissions>"))
        full = pool.createXML(volume_xml("full", 3 * MIB, allocation=3 * MIB))
        image = pool.createXML(volume_xml("image", 64 * MIB, "qcow2"), libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA)
        old = pool.createXML(volume_xml("old", MIB, "qcow2", target="<compat>0.10</compat>"))
        above = pool.createXML(volume_xml("above", 128 * MIB, "qcow2",
                                          more=f"<backingStore><path>{image.path()}</path><format type='qcow2'/></backingStore>"))
        expect_equal(raw.info(), [libvirt.VIR_STORAGE_VOL_FILE, 10 * MIB, 0], "sparse")
        expect(full.info()[2] >= 3 * MIB, full.info())
        expect_equal(raw.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2], 10 * MIB, "physical")
        expect_equal(os.stat(raw.path()).st_mode & 0o777, 0o640, "mode")
        expect_equal(os.stat(full.path()).st_mode & 0o777, 0o600, "mode")
        expect_equal((raw.key(), raw.path()), (p.path("images", "raw"),) * 2, "key and path")
        expect_equal(c.storageVolLookupByKey(raw.key()).name(), "raw", "by key")
        expect("compat: 0.10" in qemu_img("info", old.path()), "compat")
        expect("1024/1024 = 100.00% allocated" in qemu_img("check", image.path()), "preallocation")
        expect(f"backing file: {image.path()}" in qemu_img("info", above.path()), "backing file")
        for volume in (raw, full, image, old, above):
            validate(p, "storagevol", volume.XMLDesc())
        expect(f"<path>{image.path()}</path>\n    <format type='qcow2'/>\n  </backingStore>" in above.XMLDesc(), above.XMLDesc())
        expect_equal(pool.numOfVolumes(), 5, "number")
        expect_equal(names(pool.listAllVolumes()), sorted(pool.listVolumes()), "lists")
        fails(libvirt.VIR_ERR_STORAGE_VOL_EXIST, pool.createXML, volume_xml("raw", MIB))
        with open(p.path("images", "hidden"), "wb") as f:
            f.write(b"what the pool has not seen")
        fails(libvirt.VIR_ERR_STORAGE_VOL_EXIST, pool.createXML, volume_xml("hidden", MIB))
        expect_equal(os.path.getsize(p.path("images", "hidden")), 26, "the file that was there")
        fails(libvirt.VIR_ERR_XML_ERROR, pool.createXML, volume_xml("../up", MIB))
        fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, pool.createXML, volume_xml("v", MIB, "vmdk"))
        fails(libvirt.VIR_ERR_INVALID_ARG, pool.createXML,
              volume_xml("v", MIB, "qcow2", more=f"<backingStore><path>{image.path()}</path></backingStore>"))
        fails(libvirt.VIR_ERR_SYSTEM_ERROR, pool.createXML, volume_xml("huge", 1 << 50, allocation=1 << 50))
        fails(libvirt.VIR_ERR_NO_STORAGE_VOL, pool.storageVolLookupByName, "huge")
        expect_equal(leftovers(p.path("images")), [], "leftovers")
        os.unlink(full.path())
        fails(libvirt.VIR_ERR_NO_STORAGE_VOL, full.info)
        path = raw.path()
        for volume in (raw, image, old, above):
            volume.delete()
        fails(libvirt.VIR_ERR_NO_STORAGE_VOL, c.storageVolLookupByPath, path)
        expect_equal(os.listdir(p.path("images")), ["hidden"], "files")


def pattern(path, size, seed=1):
    """A file with data and holes."""
    r = random.Random(seed)
    with open(path, "wb") as f:
        for at in range(0, size, MIB):
            if r.random() < 0.5:
                f.seek(at)
                f.write(r.randbytes(min(MIB, size - at)))
        f.truncate(size)


def copies():
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        pattern(p.path("images", "raw"), 20 * MIB)
        pool.refresh()
        raw = pool.storageVolLookupByName("raw")
        image = pool.createXMLFrom(volume_xml("image", 0, "qcow2"), raw)
        back = pool.createXMLFrom(volume_xml("back", 0), image)
        again = pool.createXMLFrom(volume_xml("again", 30 * MIB, "qcow2", target="<clusterSize unit='KiB'>4</clusterSize>"), image)
        qemu_img("compare", "-f", "raw", "-F", "qcow2", raw.path(), image.path())
        qemu_img("compare", "-s", "-f", "raw", "-F", "raw", raw.path(), back.path())
        qemu_img("compare", "-f", "raw", "-F", "qcow2", raw.path(), again.path())
        qemu_img("check", again.path())
        expect_equal((image.info()[1], again.info()[1]), (20 * MIB, 30 * MIB), "capacity")
        expect("cluster_size: 4096" in qemu_img("info", again.path()), "cluster size")
        expect(back.info()[2] < 20 * MIB, "holes were filled")
        above = pool.createXML(volume_xml("above", 20 * MIB, "qcow2",
                                          more=f"<backingStore><path>{image.path()}</path><format type='qcow2'/></backingStore>"))
        p.virsh("vol-clone", "above", "twin", "--pool", "default")
        expect(f"backing file: {image.path()}" in qemu_img("info", p.path("images", "twin")), "a twin has the backing file")
        flat = pool.createXMLFrom(volume_xml("flat", 0, "qcow2"), above)
        expect("backing file" not in qemu_img("info", flat.path()), "flat")
        qemu_img("compare", "-f", "raw", "-F", "qcow2", raw.path(), flat.path())
        # A header that names a file of the host, as a guest could write it.
        qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "/etc/hostname", "-F", "raw", p.path("images", "evil"), "1M")
        pool.refresh()
        evil = pool.storageVolLookupByName("evil")
        fails(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, pool.createXMLFrom, volume_xml("stolen", 0), evil)
        fails(libvirt.VIR_ERR_STORAGE_VOL_EXIST, pool.createXMLFrom, volume_xml("back", 0), raw)
        second = c.storagePoolCreateXML(pool_xml("second", p.path("s")), libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
        far = second.createXMLFrom(volume_xml("far", 0), image)
        qemu_img("compare", "-f", "raw", "-F", "raw", raw.path(), far.path())
        expect_equal(leftovers(p.path("images")) + leftovers(p.path("s")), [], "leftovers")


def sizes():
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        raw = pool.createXML(volume_xml("raw", 4 * MIB))
        image = pool.createXML(volume_xml("image", 4 * MIB, "qcow2"))
        for volume in (raw, image):
            volume.resize(8 * MIB)
            expect_equal(volume.info()[1], 8 * MIB, "grown")
            volume.resize(2 * MIB, libvirt.VIR_STORAGE_VOL_RESIZE_DELTA)
            expect_equal(volume.info()[1], 10 * MIB, "grown by")
            fails(libvirt.VIR_ERR_INVALID_ARG, volume.resize, MIB)
            volume.resize(5 * MIB, libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK)
            expect_equal(volume.info()[1], 5 * MIB, "shrunk")
            volume.resize(MIB, libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK | libvirt.VIR_STORAGE_VOL_RESIZE_DELTA)
            expect_equal(volume.info()[1], 4 * MIB, "shrunk by")
        raw.resize(6 * MIB, libvirt.VIR_STORAGE_VOL_RESIZE_ALLOCATE)
        expect(raw.info()[2] >= 6 * MIB, "allocated")
        fails(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, image.resize, 6 * MIB, libvirt.VIR_STORAGE_VOL_RESIZE_ALLOCATE)
        qemu_img("check", image.path())


def wiping():
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        pattern(p.path("images", "raw"), 5 * MIB)
        qemu_img("convert", "-f", "raw", "-O", "qcow2", p.path("images", "raw"), p.path("images", "image"))
        os.chmod(p.path("images", "image"), 0o640)
        os.link(p.path("images", "image"), p.path("old"))
        pool.refresh()
        raw, image = (pool.storageVolLookupByName(name) for name in ("raw", "image"))
        fails(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, raw.wipePattern, libvirt.VIR_STORAGE_VOL_WIPE_ALG_DOD)
        raw.wipe()
        image.wipePattern(libvirt.VIR_STORAGE_VOL_WIPE_ALG_ZERO)
        with open(raw.path(), "rb") as f:
            expect_equal(f.read().count(0), 5 * MIB, "zeros")
        qemu_img("compare", "-f", "raw", "-F", "qcow2", raw.path(), image.path())
        qemu_img("check", image.path())
        expect_equal(os.stat(image.path()).st_mode & 0o777, 0o640, "mode")
        with open(p.path("old"), "rb") as f:
            data = f.read()
        expect_equal(data.count(0), len(data), "the old file has something left")
        expect_equal(leftovers(p.path("images")), [], "leftovers")


def upload(c, volume, data, offset=0, length=0):
    stream = c.newStream()
    volume.upload(stream, offset, length)
    at = 0
    while at < len(data):
        at += stream.send(data[at:at + (1 << 18)])
    stream.finish()


def download(c, volume, offset=0, length=0):
    stream = c.newStream()
    volume.download(stream, offset, length)
    data = b""
    while True:
        piece = stream.recv(1 << 18)
        if not piece:
            break
        data += piece
    stream.finish()
    return data


def streams():
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        volume = pool.createXML(volume_xml("v", 10 * MIB))
        data = random.Random(2).randbytes(7 * MIB + 13)
        upload(c, volume, data)
        expect(download(c, volume) == data + bytes(3 * MIB - 13), "what came back")
        upload(c, volume, b"here", 5, 4)
        expect_equal(download(c, volume, 3, 8), data[3:5] + b"here" + data[9:11], "a part")
        expect_equal(download(c, volume, 20 * MIB), b"", "behind the end")
        try:
            upload(c, volume, b"x" * 100, 0, 99)
            raise Failure("more than the length was taken")
        except libvirt.libvirtError as error:
            expect("stream" in str(error), error)
        stream = c.newStream()
        volume.upload(stream, 0, 0)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, volume.delete)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, volume.resize, 20 * MIB)
        fails(libvirt.VIR_ERR_INTERNAL_ERROR, pool.destroy)
        stream.send(b"half")
        stream.abort()
        wait_for("end of the upload", lambda: not busy(volume), 10)
        fails(libvirt.VIR_ERR_INVALID_ARG, volume.upload, c.newStream(), 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        other = libvirt.open(p.uri())
        stream = other.newStream()
        other.storageVolLookupByPath(volume.path()).upload(stream, 0, 0)
        stream.send(b"and gone")
        del stream
        other.close()
        wait_for("end of the lost upload", lambda: not busy(volume), 10)
        with open(p.path("file"), "wb") as f:
            f.write(data)
        p.virsh("vol-upload", volume.path(), p.path("file"))
        p.virsh("vol-download", volume.path(), p.path("back"), "--length", str(len(data)))
        with open(p.path("back"), "rb") as f:
            expect(f.read() == data, "through virsh")


def busy(volume):
    try:
        volume.resize(volume.info()[1])
        return False
    except libvirt.libvirtError:
        return True


def served_meanwhile():
    """While a large copy is under way, calls are answered at once."""
    with Panald() as p:
        c, other = libvirt.open(p.uri()), libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        with open(p.path("images", "big"), "wb") as f:
            for _ in range(256):
                f.write(random.randbytes(MIB))
        pool.refresh()
        big = pool.storageVolLookupByName("big")
        copy = threading.Thread(target=lambda: pool.createXMLFrom(volume_xml("copy", 0, "qcow2"), big))
        copy.start()
        longest, count = 0, 0
        while copy.is_alive():
            begin = time.monotonic()
            names(other.listAllStoragePools())
            longest, count = max(longest, time.monotonic() - begin), count + 1
        copy.join()
        expect(count > 20 and longest < 1, f"{count} calls, the longest took {longest:.2f} s")


def kills(rounds=12):
    """kill -9 while volumes are made, copied, resized and wiped: each is there wholly or not at all, and nothing else."""
    r = random.Random(3)
    with Panald() as p:
        images = p.path("images")
        qemu_img("create", "-q", "-f", "raw", images + "/raw", "24M")
        pattern(images + "/raw", 24 * MIB)
        qemu_img("convert", "-f", "raw", "-O", "qcow2", images + "/raw", images + "/image")
        for n in range(rounds):
            c = libvirt.open(p.uri())
            pool = c.storagePoolLookupByName("default")
            pool.refresh()

            def work(pool=pool, n=n):
                try:
                    pool.createXML(volume_xml(f"new{n}", 16 * MIB, "qcow2"), libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA)
                    pool.createXMLFrom(volume_xml(f"copy{n}", 0, "qcow2"), pool.storageVolLookupByName("raw"))
                    pool.createXMLFrom(volume_xml(f"flat{n}", 0), pool.storageVolLookupByName("image"))
                    pool.createXMLFrom(volume_xml(f"wiped{n}", 0, "qcow2"), pool.storageVolLookupByName("image"))
                    pool.storageVolLookupByName(f"new{n}").resize(32 * MIB)
                    pool.storageVolLookupByName(f"wiped{n}").wipe()
                except libvirt.libvirtError:
                    pass

            t = threading.Thread(target=work)
            t.start()
            time.sleep(r.random() * 0.4)
            p.restart()
            t.join()
            pool = libvirt.open(p.uri()).storagePoolLookupByName("default")
            expect_equal(leftovers(images), [], "leftovers")
            found = set(pool.listVolumes())
            expect(found == set(os.listdir(images)), f"{found} and {os.listdir(images)}")
            if f"new{n}" in found:
                qemu_img("check", f"{images}/new{n}")
            if f"copy{n}" in found:
                qemu_img("compare", "-f", "raw", "-F", "qcow2", images + "/raw", f"{images}/copy{n}")
            if f"flat{n}" in found:
                qemu_img("compare", "-f", "raw", "-F", "raw", images + "/raw", f"{images}/flat{n}")
            if f"wiped{n}" in found:
                qemu_img("check", f"{images}/wiped{n}")
            for name in found - {"raw", "image"}:
                pool.storageVolLookupByName(name).delete()


def killed_pools(rounds=10):
    """kill -9 while pools are defined, started, stopped and undefined."""
    r = random.Random(4)
    with Panald() as p:
        for n in range(rounds):
            c = libvirt.open(p.uri())

            def work(c=c, n=n):
                try:
                    for k in range(100):
                        pool = c.storagePoolDefineXML(pool_xml(f"p{n}", p.path(f"dir{n}"), UUID))
                        pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
                        pool.setAutostart(k % 2)
                        pool.destroy()
                        pool.undefine()
                except libvirt.libvirtError:
                    pass

            t = threading.Thread(target=work)
            t.start()
            time.sleep(r.random() * 0.1)
            p.restart()
            t.join()
            c = libvirt.open(p.uri())
            pools = names(c.listAllStoragePools())
            expect(pools in (["default"], ["default", f"p{n}"]), pools)
            if len(pools) == 2:
                pool = c.storagePoolLookupByName(f"p{n}")
                if pool.isActive():
                    pool.destroy()
                if f"p{n}" in names(c.listAllStoragePools()):
                    pool.undefine()
            expect(not [f for f in os.listdir(p.path("config", "storage")) if f.endswith((".new", UUID + ".xml"))],
                   os.listdir(p.path("config", "storage")))


def secrets():
    with Panald() as p:
        c = libvirt.open(p.uri())
        open_xml = f"<secret private='no'><uuid>{UUID}</uuid><usage type='volume'><volume>/v</volume></usage></secret>"
        s = c.secretDefineXML(open_xml)
        hidden = c.secretDefineXML("<secret private='yes'><usage type='ceph'><name>key</name></usage></secret>")
        brief = c.secretDefineXML("<secret ephemeral='yes' private='no'><usage type='tls'><name>t</name></usage></secret>")
        fails(libvirt.VIR_ERR_NO_SECRET, s.value)
        value = bytes(range(256))
        for secret in (s, hidden, brief):
            secret.setValue(value)
            validate(p, "secret", secret.XMLDesc())
        expect_equal((s.value(), brief.value()), (value, value), "values")
        fails(65, hidden.value)
        fails(libvirt.VIR_ERR_INTERNAL_ERROR, c.secretDefineXML,
              f"<secret><uuid>{UUID}</uuid><usage type='volume'><volume>/other</volume></usage></secret>")
        fails(libvirt.VIR_ERR_INTERNAL_ERROR, c.secretDefineXML, "<secret><usage type='ceph'><name>key</name></usage></secret>")
        fails(libvirt.VIR_ERR_OPERATION_INVALID, c.secretDefineXML,
              f"<secret private='no'><uuid>{hidden.UUIDString()}</uuid><usage type='ceph'><name>key</name></usage></secret>")
        expect_equal(c.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "key").UUIDString(), hidden.UUIDString(), "by usage")
        expect_equal([len(c.listAllSecrets(1 << n)) for n in range(4)], [1, 2, 1, 2], "lists")
        expect_equal(len(c.listSecrets()), c.numOfSecrets(), "numbers")
        directory = p.path("config", "secrets")
        for name in os.listdir(directory):
            expect_equal(os.stat(os.path.join(directory, name)).st_mode & 0o777, 0o600, name)
        expect_equal(len(os.listdir(directory)), 4, "files")
        ro = libvirt.openReadOnly(p.uri("libvirt-sock-ro"))
        fails(libvirt.VIR_ERR_OPERATION_DENIED, ro.secretLookupByUUIDString(UUID).value)
        p.restart()
        c = libvirt.open(p.uri())
        expect_equal(c.numOfSecrets(), 2, "after a restart")
        s = c.secretLookupByUUIDString(UUID)
        expect_equal(s.value(), value, "value after a restart")
        fails(65, c.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "key").value)
        s.undefine()
        c.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "key").undefine()
        expect_equal(os.listdir(directory), [], "left behind")


def machine_disks():
    """A disk of type volume in a guest; its pool is started with the machine; blockPeek; what is in use stays as it is."""
    Loop.start(libvirt)
    disk = ("<disk type='volume' device='disk'><driver name='qemu' type='{}'/><source pool='default' volume='{}'/>"
            "<target dev='{}' bus='virtio'/></disk>")
    with Panald() as p:
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        raw = pool.createXML(volume_xml("raw", 2 * MIB))
        image = pool.createXML(volume_xml("image", 3 * MIB, "qcow2"))
        upload(c, raw, b"first bytes of the disk")
        d = c.defineXML(domain_xml("disky", devices=disk.format("raw", "raw", "vda") + disk.format("qcow2", "image", "vdb")))
        expect_equal(d.blockPeek("vda", 6, 5), b"bytes", "peek while off")
        pool.destroy()
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        expect_equal(pool.isActive(), 1, "the machine needs the pool")
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"/ # ")
        t.send("head -c 11 /dev/vda; echo; cat /sys/block/vdb/size; printf abc > /dev/vdb; sync; echo do''ne\n")
        t.expect(r"first bytes")
        t.expect(r"\n6144\r")
        t.expect(r"done")
        expect_equal(d.blockPeek(raw.path(), 0, 5), b"first", "peek while on")
        expect_equal((d.blockInfo("vda")[0], d.blockInfo("vdb")[0]), (2 * MIB, 3 * MIB), "blockInfo")
        fails(libvirt.VIR_ERR_INVALID_ARG, d.blockPeek, "/etc/hostname", 0, 1)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, image.resize, 8 * MIB)
        fails(libvirt.VIR_ERR_OPERATION_INVALID, image.wipe)
        stream = c.newStream()
        fails(libvirt.VIR_ERR_OPERATION_INVALID, raw.upload, stream, 0, 0)
        expect("image" in p.virsh("domblklist", "disky"), "domblklist")
        d.destroy()
        flat = pool.createXMLFrom(volume_xml("flat", 0), image)
        expect_equal(download(c, flat, 0, 3), b"abc", "what the guest wrote")
        d.undefine()
        d = c.defineXML(domain_xml("lost", devices=disk.format("raw", "nothing", "vda")))
        fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, d.create)


def strange_files():
    """What may lie in a pool: pipes, directories, links, names that are no text, headers that lie."""
    with Panald() as p:
        images = p.path("images")
        os.mkfifo(images + "/pipe")
        os.mkdir(images + "/folder")
        os.symlink("/nonexistent", images + "/broken")
        for name, data in ((b"caf\xff", b""), (b"line\nend", b""), (b"<&'\">", b"QFI\xfb" + b"\xff" * 200),
                           (b"short", b"QFI\xfb"), (b"cdrom.iso", bytes(0x8001) + b"CD001" + bytes(3000))):
            with open(images.encode() + b"/" + name, "wb") as f:
                f.write(data)
        c = libvirt.open(p.uri())
        pool = c.storagePoolLookupByName("default")
        pool.refresh()
        expect_equal(sorted(pool.listVolumes()), ["<&'\">", "cdrom.iso", "folder", "short"], "volumes")
        for volume in pool.listAllVolumes():
            validate(p, "storagevol", volume.XMLDesc())
        expect("<format type='iso'/>" in pool.storageVolLookupByName("cdrom.iso").XMLDesc(), "iso")
        folder = pool.storageVolLookupByName("folder")
        expect_equal(folder.info()[0], libvirt.VIR_STORAGE_VOL_DIR, "type")
        fails(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, folder.wipe)
        folder.delete()


def own_pool():
    """The session instance's own pool."""
    with Panald() as p:
        environment = {**os.environ, "XDG_DATA_HOME": p.path("data"), "HOME": p.path("home")}
        arguments = ["--session"] + [a for name in ("config", "run", "log", "sockets")
                                     for a in ("--" + name, p.path("own", name))]
        os.mkdir(p.path("own"))
        with open(p.path("own.log"), "wb") as log, subprocess.Popen([os.path.join(BUILD, "panald"), *arguments], env=environment,
                                                                    stdout=log, stderr=log) as daemon:
            path = p.path("own", "sockets", "libvirt-sock")
            wait_for("socket", lambda: os.path.exists(path), 10)
            pool = libvirt.open(f"qemu+unix:///session?socket={path}").storagePoolLookupByName("default")
            expect(p.path("data", "libvirt", "images") in pool.XMLDesc() and pool.isActive(), pool.XMLDesc())
            daemon.terminate()
            daemon.wait(10 * PATIENCE)


def gigabyte():
    """1 GiB up and down through virsh, byte-exact, with calls answered meanwhile."""
    with Panald() as p:
        c = libvirt.open(p.uri())
        source, back = p.path("source"), p.path("back")
        r = random.Random(5)
        with open(source, "wb") as f:
            for _ in range(1024):
                f.write(r.randbytes(MIB))
        p.virsh("vol-create-as", "default", "big", "1G", "--allocation", "0")
        t = threading.Thread(target=lambda: p.virsh("vol-upload", "big", source, "--pool", "default", timeout=300))
        t.start()
        longest = 0
        while t.is_alive():
            begin = time.monotonic()
            c.listAllStoragePools()
            longest = max(longest, time.monotonic() - begin)
            time.sleep(0.01)
        expect(longest < 2, f"a call took {longest:.1f} s")
        p.virsh("vol-download", "big", back, "--pool", "default", timeout=300)
        for path in (p.path("images", "big"), back):
            expect(subprocess.run(["cmp", source, path]).returncode == 0, path)


def all_at_once():
    """On one connection: a guest's console, an upload of 1 GiB and a stream of events, and nothing of them is lost."""
    Loop.start(libvirt)
    seen = []
    with Panald() as p:
        c, other = libvirt.open(p.uri()), libvirt.open(p.uri())
        c.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                 lambda _c, d, event, _d, _o: seen.append((d.name(), event)), None)
        d = c.createXML(domain_xml("talker"), libvirt.VIR_DOMAIN_START_PAUSED)
        t = Console(libvirt, c, d)
        d.resume()
        t.expect(r"/ # ")
        volume = c.storagePoolLookupByName("default").createXML(volume_xml("big", 1 << 30))
        source = p.path("source")
        r = random.Random(6)
        with open(source, "wb") as f:
            for _ in range(1024):
                f.write(r.randbytes(MIB))
        trouble = []

        def send():
            try:
                with open(source, "rb") as f:
                    stream = c.newStream()
                    volume.upload(stream, 0, 1 << 30)
                    while data := f.read(1 << 18):
                        at = 0
                        while at < len(data):
                            at += stream.send(data[at:])
                    stream.finish()
            except libvirt.libvirtError as error:
                trouble.append(str(error))

        def define():
            for n in range(200):
                other.defineXML(domain_xml(f"m{n}")).undefine()

        threads = [threading.Thread(target=f) for f in (send, define)]
        for thread in threads:
            thread.start()
        t.send("seq 1 30000; echo do''ne\n")
        t.expect(r"\n30000\r\ndone", 300)
        for thread in threads:
            thread.join(300)
        expect(not trouble and not any(thread.is_alive() for thread in threads), trouble)
        lines = [line for line in t.text.split("\r\n") if line.isdigit()]
        expect(lines[:30000] == [str(n) for n in range(1, 30001)], "bytes of the console were lost")
        wait_for("events", lambda: len([s for s in seen if s[0] != "talker"]) >= 400, 30)
        expect_equal([s for s in seen if s[0] != "talker"], [(f"m{n}", e) for n in range(200) for e in (0, 1)], "events")
        expect(subprocess.run(["cmp", source, volume.path()]).returncode == 0, "the volume's bytes")


def many_kills():
    kills(80)
    killed_pools(80)


def checked(function):
    """A libvirt error that no test expects is a failure of that test alone."""
    def run():
        try:
            function()
        except libvirt.libvirtError as error:
            raise Failure(f"line {error.__traceback__.tb_next.tb_lineno}: {error}") from error
    return run


TESTS = [(f.__name__.replace("_", " "), checked(f)) for f in (
    default_pool, pool_life, pool_names, transient_pool, events, volumes, copies, sizes, wiping, streams, served_meanwhile, kills,
    killed_pools, secrets, machine_disks, strange_files, own_pool)]
SLOW = [(f.__name__.replace("_", " "), checked(f)) for f in (gigabyte, all_at_once, many_kills)]


if __name__ == "__main__":
    slow = "--slow" in sys.argv
    wanted = [a for a in sys.argv[1:] if a != "--slow"]
    sys.exit(run_tests([t for t in (SLOW if slow else TESTS) if not wanted or any(w in t[0] for w in wanted)]))
