"""Runs the command of its arguments with -vnc and is its client: see vnc.sh."""
import os
import re
import signal
import subprocess
import sys
import time

from picture import difference, read_png, write_png
from rfb import Client, Plain, WebSocket

PATIENCE = 60
# as files of vncpasswd: "secret", and another
PASSWORDS = {"right": "2e2dbf576eb06c9e", "wrong": "0123456789abcdef"}


def wait_for(what, ready):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = ready()
        if result:
            return result
        time.sleep(0.05)
    sys.exit("no " + what)


def said():
    return open("console").read() if os.path.exists("console") else ""


def expect(what, text):
    """The guest says this since the last time."""
    global seen
    wait_for("%s: %r in %r" % (what, text, said()[seen:]), lambda: len(said()) >= seen + len(text))
    if said()[seen:] != text:
        sys.exit("%s: %r, not %r" % (what, said()[seen:], text))
    seen = len(said())


class Machine:
    """Runs with -vnc at a free port."""

    def __init__(self, options):
        if os.path.exists("console"):
            os.remove("console")
        self.errors = open("vnc.errors", "w")
        self.running = subprocess.Popen(sys.argv[1:] + ["-vnc", ":0,to=999" + options],
                                        stderr=self.errors)

    def __enter__(self):
        global seen
        seen = 0
        found = wait_for("address", lambda: re.search(r"VNC is at (\S+):(\d+)",
                                                      open("vnc.errors").read()))
        self.address = found.group(1), int(found.group(2))
        wait_for("ready guest", lambda: "ready " in said())
        expect("the guest", "input16: ready ")
        return self

    def end(self):
        self.running.send_signal(signal.SIGTERM)
        if self.running.wait(PATIENCE) != 128 + signal.SIGTERM:
            sys.exit("exit code %d" % self.running.returncode)

    def __exit__(self, *_):
        self.running.kill()
        self.running.wait()


def keys(what, client, keysyms, codes):
    for keysym, down in keysyms:
        client.key(keysym, down)
    expect(what, "".join("k%s " % c for c in codes.split()))


def tap(keysym):
    return [(keysym, 1), (keysym, 0)]


SHIFT, ALT_GR, PAUSE, PRINT = 0xFFE1, 0xFE03, 0xFF13, 0xFF61


def type_and_point(client):
    keys("a letter", client, tap(ord("a")), "1e 9e")
    keys("Shift and a letter", client, [(SHIFT, 1)] + tap(ord("A")) + [(SHIFT, 0)], "2a 1e 9e aa")
    keys("a character that lacks Shift", client, tap(ord("!")), "2a 02 aa 82")
    keys("one that has Shift and must not", client, [(SHIFT, 1)] + tap(ord("/")) + [(SHIFT, 0)],
         "2a aa 35 2a b5 aa")
    keys("AltGr of another layout", client, [(ALT_GR, 1)] + tap(ord("@")) + [(ALT_GR, 0)],
         "e0 38 e0 b8 2a 03 aa e0 38 83 e0 b8")
    keys("Pause", client, tap(PAUSE), "e1 1d 45 e1 9d c5")
    keys("Print Screen", client, tap(PRINT), "e0 2a e0 37 e0 b7 e0 aa")
    client.pointer(0, 100, 100)
    client.pointer(0, 110, 95)
    expect("a movement", "m08 m0a m05 ")
    client.pointer(4, 110, 95)
    client.pointer(0, 110, 95)
    expect("a click", "m0a m00 m00 m08 m00 m00 ")


def see_changes(client):
    """A key that the guest shows changes some characters, not the screen."""
    client.update(0)
    client.key(ord("x"), 1)
    expect("a key that is held", "k2d ")
    rectangles = client.update(1)
    dots = sum(w * h for _, _, w, h in rectangles)
    if not 0 < dots < client.width * client.height // 10:
        sys.exit("changed: %r" % rectangles)
    client.close()
    expect("a client that leaves", "kad ")


def run_vncsnapshot(address, *options):
    command = ["vncsnapshot", "-quiet", "-nocursor", "-nojpeg", *options,
               "%s:%d" % (address[0], address[1] - 5900), "shot.jpg"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, timeout=PATIENCE).returncode


def snapshot(address):
    """The picture as vncsnapshot sees it, by way of JPEG."""
    if run_vncsnapshot(address):
        sys.exit("vncsnapshot fails")
    ppm = subprocess.run(["djpeg", "-pnm", "shot.jpg"], check=True, stdout=subprocess.PIPE).stdout
    magic, size, _, dots = ppm.split(b"\n", 3)
    width, height = map(int, size.split())
    assert magic == b"P6"
    return width, [dots[3 * width * y : 3 * width * (y + 1)] for y in range(height)]


def mean_error(a, b):
    if (a[0], len(a[1])) != (b[0], len(b[1])):
        return 255
    error = sum(abs(x - y) for p, q in zip(a[1], b[1]) for x, y in zip(p, q))
    return error / (3 * a[0] * len(a[1]))


def still_picture(client):
    """The picture when it has not changed for a second: what the guest wrote is drawn."""
    client.update(0)
    shot = client.picture()
    while True:
        time.sleep(1)
        client.update(0)
        before, shot = shot, client.picture()
        if not difference(before, shot):
            return shot


def open_server():
    with Machine(",websocket=on") as machine:
        client = Client(Plain(machine.address))
        if client.name != "served":
            sys.exit("name: " + client.name)
        type_and_point(client)
        see_changes(client)
        plain, web = Client(Plain(machine.address)), Client(WebSocket(machine.address))
        keys("a key by WebSocket", web, tap(0xFF52), "e0 48 e0 c8")
        shots = {"TCP": still_picture(plain), "WebSocket": still_picture(web)}
        photo = snapshot(machine.address)
        plain.close()
        machine.end()
    screen = read_png("screen.png")
    for name, shot in shots.items():
        where = difference(shot, screen)
        if where:
            write_png("shot.png", shot)
            sys.exit("%s and -screendump differ %s" % (name, where))
    error = mean_error(photo, screen)
    if error > 2:
        sys.exit("vncsnapshot and -screendump differ by %.1f of 255" % error)


def closed_server():
    with Machine(",password-file=password") as machine:
        client = Client(Plain(machine.address))
        if client.security != [2]:
            sys.exit("security types: %r" % client.security)
        try:
            WebSocket(machine.address).receive(13)  # more than the greeting
            sys.exit("a WebSocket that nobody asked for is served")
        except EOFError:
            pass
        for word, password in PASSWORDS.items():
            with open("vnc.passwd", "wb") as f:
                f.write(bytes.fromhex(password))
            if (run_vncsnapshot(machine.address, "-passwd", "vnc.passwd") == 0) != (word == "right"):
                sys.exit("%s password" % word)
        machine.end()


seen = 0
open_server()
closed_server()
