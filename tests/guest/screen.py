# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine shows: pictures by screendump, and the text in them, recognised by the glyphs of fonts that others made."""

import os
import socket
import struct
import tempfile
import time
import zlib

from control import Qmp
from machine import PATIENCE, Failure, Skip

VGA_BIOS = "/usr/share/seabios/vgabios-stdvga.bin"
CELL = 16
# The second glyph of code page 437, the white face: with it the table of 8x16 glyphs is found in the VGA BIOS.
FACE = bytes.fromhex("00007e81a58181bd9981817e00000000")
ASCII = range(32, 127)


def paeth(a, b, c):
    p = a + b - c
    d = (abs(p - a), abs(p - b), abs(p - c))
    return (a, b, c)[d.index(min(d))]


def unfilter(kind, row, above):
    if kind == 2:  # the one that matters here: fast
        return bytearray((x + y) & 255 for x, y in zip(row, above))
    out = bytearray(row)
    for n in range(len(out)):
        left, corner = (out[n - 3], above[n - 3]) if n >= 3 else (0, 0)
        out[n] = (out[n] + (0, left, above[n], (left + above[n]) // 2, paeth(left, above[n], corner))[kind]) & 255
    return out


class Picture:
    """A PNG of 8-bit RGB (PNG specification, second edition)."""

    def __init__(self, data):
        if data[:8] != b"\x89PNG\r\n\x1a\n":
            raise Failure("the picture is no PNG")
        at, packed = 8, b""
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            chunk = data[at + 8:at + 8 + length]
            if zlib.crc32(kind + chunk) != struct.unpack_from(">I", data, at + 8 + length)[0]:
                raise Failure("a chunk of the picture is damaged")
            if kind == b"IHDR":
                self.width, self.height, depth, color = struct.unpack_from(">IIBB", chunk)
                if (depth, color) != (8, 2):
                    raise Failure("the picture is not of 8-bit RGB")
            elif kind == b"IDAT":
                packed += chunk
            at += 12 + length
        raw = zlib.decompress(packed)
        stride, above, self.rows = self.width * 3, bytearray(self.width * 3), []
        for y in range(self.height):
            line = raw[y * (stride + 1):(y + 1) * (stride + 1)]
            above = unfilter(line[0], line[1:], above)
            self.rows.append(bytes(above))

    def pixel(self, x, y):
        return tuple(self.rows[y][3 * x:3 * x + 3])

    def colors(self):
        """Each colour and how often it comes."""
        count = {}
        for row in self.rows:
            for n in range(0, len(row), 3):
                count[row[n:n + 3]] = count.get(row[n:n + 3], 0) + 1
        return {tuple(k): v for k, v in count.items()}

    def cell(self, x, y, width, height=CELL):
        """The lines of a cell as bits that differ from its background, which is the colour of its last column's top."""
        back = self.rows[y][3 * (x + width - 1):3 * (x + width)]
        lines = bytearray()
        for row in self.rows[y:y + height]:
            part = row[3 * x:3 * (x + 8)]
            lines.append(sum(0x80 >> n for n in range(8) if part[3 * n:3 * n + 3] != back))
        return bytes(lines)

    def text(self, font, width=9, left=0, top=0, height=CELL):
        """Lines of text: a cell that no glyph fits becomes a dot."""
        lines = []
        for y in range(top, self.height - height + 1, height):
            line = "".join(font.get(self.cell(x, y, width, height), "\N{MIDDLE DOT}") for x in range(left, self.width - width + 1, width))
            lines.append(line.rstrip())
        return "\n".join(lines)


def vga_font():
    """The glyphs of the VGA BIOS (Debian's package seabios)."""
    try:
        with open(VGA_BIOS, "rb") as f:
            rom = f.read()
    except OSError:
        raise Skip(f"{VGA_BIOS} is missing; the package seabios has it") from None
    at = rom.index(FACE) - CELL
    return {rom[at + n * CELL:at + (n + 1) * CELL]: chr(n) for n in ASCII}


class Screen:
    """The screen, keyboard and mouse of a machine behind its control socket."""

    def __init__(self, path, directory):
        self.qmp = Qmp(path)
        self.directory = directory
        self.qmp.execute("qmp_capabilities")

    def say(self, command, **arguments):
        answer = self.qmp.execute(command, **arguments)
        if "return" not in answer:
            raise Failure(f"{command}: {answer}")
        return answer["return"]

    def dump(self, keep=None):
        """keep: a name under which the picture stays in PANAL_PICTURES, when that folder is given."""
        with tempfile.TemporaryFile() as f:
            message = b'{"execute": "add-fd"}\n'
            socket.send_fds(self.qmp.socket, [message], [f.fileno()])
            number = self.qmp.answer()["return"]["fdset-id"]
            self.say("screendump", filename=f"/dev/fdset/{number}", format="png")
            self.say("remove-fd", **{"fdset-id": number})
            f.seek(0)
            data = f.read()
        folder = os.environ.get("PANAL_PICTURES")
        if keep and folder:
            with open(os.path.join(folder, keep + ".png"), "wb") as f:
                f.write(data)
        return Picture(data)

    def keys(self, *names):
        self.say("send-key", keys=[{"type": "qcode", "data": n} for n in names], **{"hold-time": 20})

    def type(self, text):
        names = {" ": "spc", "\n": "ret", ".": "dot", "/": "slash", "-": "minus", "=": "equal", ",": "comma"}
        for c in text:
            self.keys(*(["shift", c.lower()] if c.isupper() else [names.get(c, c)]))
            time.sleep(0.06)

    def expect(self, wanted, timeout, font, width=9, left=0, top=0, keep=None):
        """Waits until the text is on the screen; gives the picture."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            picture = self.dump(keep)
            text = picture.text(font, width, left, top)
            if wanted in text:
                return picture
            if time.monotonic() > deadline:
                raise Failure(f"{wanted!r} is not on the screen of {picture.width}x{picture.height} after {timeout} s, but\n{text}")
            time.sleep(0.3)
