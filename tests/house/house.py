#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the house that a machine can check, over every C file of the source tree.

    tests/house/house.py [SOURCE_ROOT]

Checked: which room may include which (ARCHITECTURE.md, "Source layout"), the SPDX line, lines of at most 120 columns
(a tab is 8), functions of at most FUNCTION_MAX lines, no mutable variables at file scope. Prints one line for each
breach, "path:line: what", and a last line with the counts; the status is 1 when there was a breach.
"""
import os
import re
import sys

COLUMNS = 120
FUNCTION_MAX = 70  # aim at 8 to 40
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"

# room: rooms (or single headers) that it may include, beside itself. The longest matching prefix is a file's room.
ROOMS = {
    "base": [],
    "sandbox": ["base"],
    "core": ["base", "arch/x86/regs.h"],
    "accel/soft": ["base", "core", "arch/x86/regs.h"],
    # KVM is helped by the soft CPU, through this one header.
    # Processor models: names and bits, nothing of a machine.
    "cpu": ["base", "arch/x86/regs.h"],
    "accel/kvm": ["base", "core", "arch/x86/regs.h", "accel/soft/step.h", "accel/soft/user.h"],
    "accel": ["base", "core", "arch/x86/regs.h", "accel/soft", "accel/kvm"],
    "block": ["base", "core"],
    "net": ["base", "core"],
    # The helper is a program of its own, which confines itself.
    "net/helper": ["base", "net", "sandbox"],
    "display": ["base", "core"],
    "migrate": ["base", "core"],
    "devices": ["base", "core", "block", "net", "display"],
    "arch/x86/state": ["arch/x86/regs.h"],
    "arch/x86": ["base", "cpu", "core", "block", "net", "display", "devices", "arch/x86/state"],
    "control": ["base", "core", "block", "net", "display", "migrate", "arch/x86/board.h"],
    "debug": ["base", "core", "arch/x86/regs.h"],
    "bootdisk": ["base", "sandbox", "block", "arch/x86/boot/boot.h"],
    "vmm": ["base", "cpu", "sandbox", "core", "accel", "block", "net", "display", "migrate", "devices", "arch/x86", "control", "debug", "bootdisk"],
    # Our own programs' way to the daemon: the protocol's tables and nothing else of it.
    "client": ["base", "daemon/rpc/packet.h", "daemon/rpc/proc.h", "daemon/rpc/xdr.h"],
    "cli": ["base", "client", "cpu", "control/client", "daemon/rpc/proc.h", "daemon/rpc/xdr.h"],
    # The daemon shares the VMM's event loop and its timers, and the images as files for tools; nothing else of it.
    "daemon": ["base", "cpu", "control/client", "core/loop.h", "core/clock.h", "block/disk_image.h"],
    "web": ["base", "control/client"],
}

# Single includes against the direction, each with its reason.
INCLUDES = {
    "cli/image.c": ["block/disk_image.h"],  # works on image files itself, without a machine
    "cli/disk.c": ["block/disk_image.h"],  # works on image files itself, without a machine
    "cli/doctor_probe.c": ["accel/bench.h", "accel/select.h", "core/accel.h"],  # doctor judges accelerators by running them
    "cli/cpu.c": ["core/accel.h"],  # what the software CPU carries is what it says itself
}

# Mutable file-scope variables that are no state of a machine, each with its reason.
VARIABLES = {
    "src/core/vcpu.c:current_vcpu": "which vCPU this thread is: the thread's identity",
    "src/accel/soft/thunk_signal.c:under_way": "of the thread: what the signal handler is told",
    "src/accel/soft/thunk_signal.c:previous": "signal dispositions belong to the process",
    "src/accel/soft/thunk_signal.c:install_error": "signal dispositions belong to the process",
    "src/accel/soft/xlate_sight.c:__jit_debug_descriptor": "GDB looks for this name: one a process",
    "src/accel/soft/xlate_sight.c:jit_lock": "guards that list",
    "src/accel/soft/thunk_x87.c:owner": "of the thread: whose x87 registers the processor holds",
}

# Folders that still have wider lines: columns are not checked there. A folder leaves this list once it is wrapped.
WIDE = ("src/accel/soft/", "tests/oracle/")

# Functions that are longer for a reason: "path:function".
LONG = set()


def room_of(path, rooms):
    """The room of a path below src/, or None."""
    best = None
    for room in rooms:
        if (path == room or path.startswith(room + "/")) and (best is None or len(room) > len(best)):
            best = room
    return best


def may_include(path, header):
    room = room_of(path, ROOMS)
    if room is None:
        return False
    target = room_of(header, ROOMS)
    if target == room or header in INCLUDES.get(path, []):
        return True
    for allowed in ROOMS[room]:
        if header == allowed or (not allowed.endswith(".h") and (header.startswith(allowed + "/"))):
            return True
    return False


def strip(text):
    """The text with comments, strings and character constants blanked out, line by line as long as before."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def functions(lines):
    """(name, first line, last line) of each function: a '{' in column 0 ends its head, a '}' in column 0 its body."""
    start = None
    for n, line in enumerate(lines):
        if line.startswith("{"):
            start = n
        elif line.startswith("}") and start is not None:
            head = " ".join(lines[max(0, start - 4):start])
            names = re.findall(r"(\w+)\s*\(", head)
            yield (names[-1] if names else "?"), start + 1, n + 1
            start = None


def file_scope(text):
    """Each declaration outside braces and preprocessor lines, as (line number, text)."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.M)
    depth, begin, out = 0, None, []
    line = 1
    piece = []
    for c in text:
        if c == "\n":
            line += 1
        if c == "{":
            depth += 1
            if depth == 1:
                piece.append("{")
        elif c == "}":
            depth -= 1
            if depth == 0:
                piece.append("}")
                if re.search(r"\)\s*\{\}$", "".join(piece)):
                    piece, begin = [], None  # a function
        elif depth == 0:
            if c == ";":
                if begin:
                    out.append((begin, re.sub(r"\s+", " ", "".join(piece)).strip()))
                piece, begin = [], None
            else:
                if not c.isspace() and begin is None:
                    begin = line
                piece.append(c)
    return out


def mutable_variable(decl):
    """The name of the variable that the declaration makes, when it can be changed; else None."""
    decl = re.sub(r"__attribute__\s*\(\(.*?\)\)|\bATTR_\w+(\([^)]*\))?", "", decl).strip()
    if re.match(r"(typedef|extern|enum\b[^=]*\}?$|struct\s+\w+(\s*\{\})?$|union \w+|_Static_assert|static_assert)", decl):
        return None
    head = decl.split("=")[0].replace("{}", " ")
    if re.search(r"^\s*[^()]*\w\s*\(", head) and "(*" not in head:
        return None  # a function's declaration, or a macro's use
    m = re.match(r"(.*?)(\w+)\s*(\[[^\]]*\]\s*)*$", head)
    if not m or not m.group(1).strip():
        return None
    kind = m.group(1)
    if "*" in kind:
        return None if re.search(r"\*\s*const\s*$", kind) else m.group(2)
    return None if re.search(r"\bconst\b", kind) else m.group(2)


def check_file(root, path):
    full = os.path.join(root, path)
    with open(full, encoding="utf-8") as f:
        text = f.read()
    raw = text.split("\n")
    if SPDX not in raw[0]:
        yield 1, "the first line must hold " + SPDX
    for n, line in enumerate(raw, 1):
        width = len(line.expandtabs(8))
        if width > COLUMNS and not path.startswith(WIDE):
            yield n, "%d columns; at most %d" % (width, COLUMNS)
    stripped = strip(text)
    lines = stripped.split("\n")
    if path.startswith("src/"):
        for n, line in enumerate(raw, 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if m and not may_include(path[4:], m.group(1)):
                yield n, "may not include %s (direction of includes)" % m.group(1)
    for name, first, last in functions(lines):
        if last - first + 1 > FUNCTION_MAX and "%s:%s" % (path, name) not in LONG:
            yield first, "function %s has %d lines; at most %d" % (name, last - first + 1, FUNCTION_MAX)
    if path.startswith("src/") and path.endswith(".c"):
        for n, decl in file_scope(stripped):
            name = mutable_variable(decl)
            if name and "%s:%s" % (path, name) not in VARIABLES:
                yield n, "%s is a mutable variable at file scope" % name


def sources(root):
    for top in ("src", "tests", "bench"):
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def self_test():
    """A checker that sees nothing passes everything: known breaches must be seen."""
    good = ["static const int a = 1", "static const char *const names[] = {}", "struct foo {}", "int f(void)",
            "static const struct { int a; } t[] = {}", "typedef int x", "enum {}", "enum name {}", "extern int y"]
    bad = ["static int count", "int table[4] = {}", "static const char *name", "static _Thread_local struct v *cur",
           "static _Atomic unsigned n", "struct foo bar", "static struct { int a; } s = {}"]
    assert [d for d in good if mutable_variable(d)] == []
    assert [d for d in bad if not mutable_variable(d)] == []
    assert may_include("core/vm.c", "base/err.h") and not may_include("base/err.c", "core/vm.h")
    assert not may_include("devices/a.c", "arch/x86/lapic.h") and not may_include("devices/a.c", "accel/soft/cpu.h")
    assert not may_include("arch/x86/board_micro.c", "accel/kvm/kvm.h")
    assert list(functions(["int f(void)", "{", "\tx;", "}"])) == [("f", 2, 4)]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    self_test()
    files = breaches = 0
    for path in sources(root):
        files += 1
        for line, what in check_file(root, path):
            print("%s:%d: %s" % (path, line, what))
            breaches += 1
    print("house: %d files, %d breaches" % (files, breaches))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
