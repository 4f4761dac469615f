"""Pictures of the tests: what -screendump writes and what an X server shows, as (width, rows of RGB)."""
import struct
import zlib


def read_png(path):
    """PNG as frontends/png.c writes it: RGB, filter Up."""
    data = open(path, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, rows, above = zlib.decompress(packed), [], bytes(3 * width)
    for y in range(height):
        line = raw[y * (3 * width + 1) :][: 3 * width + 1]
        assert line[0] == 2
        above = bytes((a + b) & 255 for a, b in zip(line[1:], above))
        rows.append(above)
    return width, rows


def read_xwd(path, x, y, width, height):
    """A part of a 24-bit true colour XWD file, as Xvfb's -fbdir keeps one."""
    data = open(path, "rb").read()
    head = struct.unpack(">25I", data[:100])
    assert head[11] == 32 and head[14:17] == (0xFF0000, 0xFF00, 0xFF), head
    first, pitch, rows = head[0] + 12 * head[19], head[12], []
    for line in range(y, y + height):
        at = first + line * pitch + 4 * x
        dots, rgb = data[at : at + 4 * width], bytearray(3 * width)
        step = -1 if head[7] else 1  # the order of bytes
        blue = 3 if head[7] else 0
        for i in range(3):
            rgb[2 - i :: 3] = dots[blue + step * i :: 4]
        rows.append(bytes(rgb))
    return width, rows


def write_png(path, picture):
    """For whoever looks at what went wrong."""
    width, rows = picture

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + r for r in rows))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def difference(a, b):
    """None, or where two pictures differ first, in words."""
    if (a[0], len(a[1])) != (b[0], len(b[1])):
        return "%d x %d, not %d x %d" % (a[0], len(a[1]), b[0], len(b[1]))
    for y, (p, q) in enumerate(zip(a[1], b[1])):
        if p != q:
            x = next(i for i in range(a[0]) if p[3 * i : 3 * i + 3] != q[3 * i : 3 * i + 3])
            return "at %d, %d" % (x, y)
    return None
