#!/usr/bin/env python3
"""drcov.py FILE [ADDRESS...]: checks a file of drcov version 2, and that a block begins at each address
(hexadecimal). Prints modules and blocks."""
import re
import struct
import sys

data = open(sys.argv[1], "rb").read()


def line():
    global data
    text, data = data.split(b"\n", 1)
    return text.decode("ascii")


def expect(pattern):
    text = line()
    found = re.fullmatch(pattern, text)
    if not found:
        sys.exit(f"'{text}' is not '{pattern}'")
    return found


expect("DRCOV VERSION: 2")
expect(r"DRCOV FLAVOR: \S+")
count = int(expect(r"Module Table: version 2, count (\d+)")[1])
expect("Columns: id, base, end, entry, path")
modules = []
for i in range(count):
    row = expect(r" *(\d+), 0x([0-9a-f]{16}), 0x([0-9a-f]{16}), 0x[0-9a-f]{16}, (.+)")
    base, end = int(row[2], 16), int(row[3], 16)
    if int(row[1]) != i or end <= base:
        sys.exit(f"module {i}: {row[0]}")
    modules.append((base, end))
blocks = int(expect(r"BB Table: (\d+) bbs")[1])
if len(data) != 8 * blocks:
    sys.exit(f"{len(data)} bytes are not {blocks} blocks of 8")
seen = set()
for start, size, module in struct.iter_unpack("<IHH", data):
    if module >= count or not size:
        sys.exit(f"block {start:#x} of {size} bytes in module {module}")
    base, end = modules[module]
    if base + start + size - 1 > end:
        sys.exit(f"block {start:#x} leaves its module")
    if (base + start, size) in seen:
        sys.exit(f"block {base + start:#x} is there twice")
    seen.add((base + start, size))
starts = {address for address, size in seen}
for wanted in sys.argv[2:]:
    if int(wanted, 16) not in starts:
        sys.exit(f"no block at {wanted}")
print(count, "modules", blocks, "blocks")
