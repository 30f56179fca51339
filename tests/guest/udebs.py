# SPDX-License-Identifier: GPL-2.0-or-later
"""The installer's own packages (udebs) as a suite of a mirror, for the installer's netboot image of Debian 12.

Mirrors are not always whole: some hand on all of a release but for the larger part of its udebs. So each of those that an
installation needs is taken from the first of these that has it:
 1. the release's own udebs;
 2. programs and libraries: put together from the release's packages of the same source;
 3. the next release's udebs: these are scripts for the most part, and run with the older ones.
The suite's index names no others, and is not signed: the installer is told to take it so (allow_unauthenticated), and told
otherwise before it installs anything to the disk, since debootstrap and apt would go by the same answer: those packages come
from the release as it is, by its signature.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from machine import Skip

SUITE = "panal"
RELEASE, NEXT = "bookworm", "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What is needed to find disks, to partition them, to install the base system on them, and to leave.
WANTED = """disk-detect partman-base partman-utils partman-auto partman-basicfilesystems partman-basicmethods partman-ext3 partman-partitioning
    partman-target partman-efi libparted2-udeb libparted-fs-resize0-udeb e2fsprogs-udeb libdevmapper1.02.1-udeb dosfstools-udeb
    di-utils-mapdevfs debootstrap-udeb base-installer bootstrap-base user-setup-udeb clock-setup tzsetup-udeb rdate-udeb apt-setup-udeb
    apt-mirror-setup pkgsel grub-installer os-prober-udeb finish-install""".split()
MODULES = "ata cdrom-core efi ext4 isofs loop md pata sata scsi".split()
# A udeb of programs or libraries: the packages with the same files, and which of them.
PARTS = {
    "e2fsprogs-udeb": (["e2fsprogs", "libext2fs2", "libcom-err2", "libss2"], "sbin/ etc/mke2fs.conf lib/x86_64-linux-gnu/"),
    "dosfstools-udeb": (["dosfstools"], "sbin/"),
    "libparted2-udeb": (["libparted2"], "usr/lib/x86_64-linux-gnu/ lib/x86_64-linux-gnu/"),
    "libparted-fs-resize0-udeb": (["libparted-fs-resize0"], "usr/lib/x86_64-linux-gnu/ lib/x86_64-linux-gnu/"),
    "libdevmapper1.02.1-udeb": (["libdevmapper1.02.1"], "lib/x86_64-linux-gnu/"),
}


def records(text):
    """The paragraphs of an index as a name -> field -> value."""
    found = {}
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): ?(.*(?:\n .*)*)", paragraph, re.M))
        if "Package" in fields:
            found[fields["Package"]] = fields
    return found


class Apt:
    """The host's apt with a state of its own, in which it knows these releases and their udebs."""

    def __init__(self, folder, source):
        self.folder = folder
        for name in ("lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        with open(os.path.join(folder, "status"), "w", encoding="ascii"):
            pass
        with open(os.path.join(folder, "etc/sources.list"), "w", encoding="ascii") as f:
            for suite in (RELEASE, NEXT):
                f.write(f"deb [signed-by={KEYRING}] {source} {suite} main main/debian-installer\n")
        self.config = os.path.join(folder, "apt.conf")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(f'Dir::State "{folder}";\nDir::State::lists "{folder}/lists";\nDir::State::status "{folder}/status";\n'
                    f'Dir::Cache "{folder}/cache";\nDir::Etc "{folder}/etc";\nAPT::Architecture "amd64";\nAPT::Architectures {{ "amd64"; }};\n'
                    'APT::Sandbox::User "root";\nAPT::Get::Download-Only "true";\n')
        said = self.get("update")
        if said.returncode:
            raise Skip("no udebs: " + said.stdout.decode("utf-8", "replace")[-300:])

    def get(self, *args, cwd=None):
        return subprocess.run(["apt-get", "-q", *args], cwd=cwd, env=dict(os.environ, APT_CONFIG=self.config), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def index(self, suite):
        """The udebs that a release names."""
        wanted = ["indextargets", "--format", "$(FILENAME)", "Created-By: Packages", f"Codename: {suite}", "Component: main/debian-installer"]
        name = self.get(*wanted).stdout.decode().split()
        said = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", *name], stdout=subprocess.PIPE, check=True)
        return records(said.stdout.decode())

    def fetch(self, folder, wanted):
        """Of these NAME or NAME/SUITE those that can be had: name -> file."""
        os.makedirs(folder, exist_ok=True)
        self.get("download", *wanted, cwd=folder)
        return {f.split("_")[0]: os.path.join(folder, f) for f in sorted(os.listdir(folder))}


def put_together(apt, folder, name, record):
    """A udeb out of packages; nothing when these cannot be had either."""
    packages, chosen = PARTS[name]
    debs = apt.fetch(os.path.join(folder, "debs"), [f"{p}/{RELEASE}" for p in packages])
    if not all(p in debs for p in packages):
        return None
    whole, root = os.path.join(folder, "whole"), os.path.join(folder, name)
    for p in packages:
        subprocess.run(["dpkg-deb", "-x", debs[p], whole], check=True)
    for part in chosen.split():
        if os.path.exists(os.path.join(whole, part)):
            place = os.path.join(root, part.rstrip("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            subprocess.run(["cp", "-a", os.path.join(whole, part.rstrip("/")), place], check=True)
    os.makedirs(os.path.join(root, "DEBIAN"))
    with open(os.path.join(root, "DEBIAN/control"), "w", encoding="utf-8") as f:
        fields = ["Package", "Version", "Architecture", "Maintainer", "Section", "Priority", "Provides", "Depends", "Description"]
        f.write("".join(f"{k}: {record[k]}\n" for k in fields if record.get(k)))
    made = os.path.join(folder, name + ".udeb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(whole)
    return made


def gather(source, kernel, cache):
    """The udebs for an installer with this kernel: name -> file, what its index says, and where it is from."""
    with tempfile.TemporaryDirectory() as d:
        apt = Apt(d, source)
        old, new = apt.index(RELEASE), apt.index(NEXT)
        wanted = WANTED + [f"{m}-modules-{kernel}-di" for m in MODULES]
        got = {n: (f, old[n], RELEASE) for n, f in apt.fetch(os.path.join(d, "release"), [n + "/" + RELEASE for n in wanted if n in old]).items()}
        for name in (n for n in PARTS if n not in got):
            made = put_together(apt, os.path.join(d, name), name, old[name])
            if made:
                got[name] = (made, old[name], "packages")
        missing = [n for n in wanted if n not in got]
        more = apt.fetch(os.path.join(d, "next"), [n + "/" + NEXT for n in missing if n in new])
        got.update({n: (f, new[n], NEXT) for n, f in more.items()})
        missing = [n for n in wanted if n not in got]
        if missing:
            raise Skip("no mirror of this host's apt has what Debian's installer needs: " + " ".join(missing))
        os.makedirs(cache, exist_ok=True)
        return {n: (shutil.copy(f, os.path.join(cache, n + ".udeb")), record, origin) for n, (f, record, origin) in got.items()}


def without(depends, names):
    """A list of dependencies without those that nobody has, and without versions."""
    plain = [re.sub(r"\s*\(.*?\)", "", d).strip() for d in depends.split(",")]
    return ", ".join(d for d in plain if d and any(a.strip() in names for a in d.split("|")))


def provided(udebs):
    return {p.strip().split(" ")[0] for _, record, _ in udebs.values() for p in record.get("Provides", "").split(",")}


class Suite:
    """dists/panal and the files that its index names."""

    def __init__(self, source, kernel, installed, cache):
        self.udebs = gather(source, kernel, cache)
        names = set(self.udebs) | provided(self.udebs) | set(installed)
        self.files = {}
        index = "".join(self.paragraph(n, *entry, names) for n, entry in sorted(self.udebs.items()))
        packed = gzip.compress(index.encode(), mtime=0)
        name = "main/debian-installer/binary-amd64/Packages.gz"
        release = (f"Origin: Panal\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\n"
                   f"SHA256:\n {hashlib.sha256(packed).hexdigest()} {len(packed)} {name}\n")
        self.files[f"/dists/{SUITE}/Release"] = release.encode()
        self.files[f"/dists/{SUITE}/{name}"] = packed

    def paragraph(self, name, path, record, origin, names):
        with open(path, "rb") as f:
            data = f.read()
        place = f"pool/panal/{origin}/{name}.udeb"
        self.files["/" + place] = data
        fields = {k: v for k, v in record.items() if k not in ("MD5sum", "SHA256", "Filename", "Size", "Description-md5")}
        fields["Depends"] = without(record.get("Depends", ""), names)
        fields.update(Filename=place, Size=len(data), MD5sum=hashlib.md5(data).hexdigest(), SHA256=hashlib.sha256(data).hexdigest())
        return "".join(f"{k}: {v}\n" for k, v in fields.items() if v) + "\n"

    def origins(self):
        """What a log should say of them."""
        return "; ".join(f"from {o}: " + " ".join(sorted(n for n, e in self.udebs.items() if e[2] == o))
                         for o in sorted({e[2] for e in self.udebs.values()}))
