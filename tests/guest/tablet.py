"""Runs the command of its arguments with -vnc and moves the pointer: see tablet.sh."""
import os
import re
import subprocess
import sys
import time

from rfb import Client, Plain

PATIENCE = 100
LEFT, RIGHT = 1, 4  # of RFB
KEY, ABS = 1, 3  # types of Linux's events
BTN_LEFT, BTN_RIGHT = 0x110, 0x111


def wait_for(what, ready):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and running.poll() is None:
        result = ready()
        if result:
            return result
        time.sleep(0.1)
    sys.exit("no " + what)


def text(path):
    return open(path).read() if os.path.exists(path) else ""


def events():
    """(type, code, value) of all that the guest has read, without SYN and MSC."""
    lines = re.findall(r"^(?:[0-9a-f]{4} ?){8}\r?$", text("console"), re.M)
    words = [[int(w, 16) for w in line.split()] for line in lines]
    return [(w[4], w[5], w[6] | w[7] << 16) for w in words if w[4] in (KEY, ABS)]


def expect(what, wanted):
    wait_for("%s: %r, but %r" % (what, wanted, events()), lambda: events()[-len(wanted):] == wanted)


def place(client, x, y):
    client.pointer(0, x, y)
    expect("place", [(ABS, 0, x * 0x7FFF // (client.width - 1)),
                     (ABS, 1, y * 0x7FFF // (client.height - 1))])


with subprocess.Popen(sys.argv[1:] + ["-vnc", ":0,to=999"], stderr=open("vnc.errors", "w")) as running:
    try:
        found = wait_for("address", lambda: re.search(r"VNC is at (\S+):(\d+)", text("vnc.errors")))
        wait_for("tablet", lambda: re.search(r"^reading event\d", text("console"), re.M))
        if "Vendor=0627 Product=0001" not in text("console"):
            sys.exit("another tablet")
        client = Client(Plain((found.group(1), int(found.group(2)))))
        for x in range(PATIENCE):  # until the file is open
            client.pointer(0, x, 0)
            time.sleep(1)
            if events():
                break
        place(client, 100, 50)
        place(client, client.width - 1, client.height - 1)
        place(client, 1, 2)
        client.pointer(LEFT, 1, 2)
        client.pointer(0, 1, 2)
        client.pointer(RIGHT, 1, 2)
        client.pointer(0, 1, 2)
        expect("clicks", [(KEY, BTN_LEFT, 1), (KEY, BTN_LEFT, 0), (KEY, BTN_RIGHT, 1), (KEY, BTN_RIGHT, 0)])
    finally:
        running.kill()
