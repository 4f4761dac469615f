"""Runs the command of its arguments on an X server of its own and looks at its window: see sdl.sh."""
import ctypes
import os
import subprocess
import sys
import time

from picture import difference, read_png, read_xwd, write_png

PATIENCE = 60
CURTAIN = (1280, 1024)


def wait_for(what, ready):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = ready()
        if result:
            return result
        time.sleep(0.05)
    sys.exit("no " + what)


def start_server():
    read, write = os.pipe()
    screen = "%dx%dx24" % CURTAIN
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", screen, "-nolisten", "tcp", "-fbdir", "."],
        pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    number = os.read(read, 16).decode().strip()
    if not number:
        sys.exit("Xvfb does not start")
    os.environ["DISPLAY"] = ":" + number
    return server


def xdotool(*args):
    result = subprocess.run(("xdotool",) + args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return result.stdout.decode()


def said():
    return open("console").read() if os.path.exists("console") else ""


def expect(what, text):
    """The guest says this since the last time."""
    global seen
    wait_for("%s: %r in %r" % (what, text, said()[seen:]), lambda: len(said()) >= seen + len(text))
    if said()[seen:] != text:
        sys.exit("%s: %r, not %r" % (what, said()[seen:], text))
    seen = len(said())


def keys(what, codes, *args):
    xdotool("key", *args)
    expect(what, "".join("k%s " % c for c in codes.split()))


def picture(window):
    place = dict(line.split("=") for line in xdotool("getwindowgeometry", "--shell", window).split())
    return read_xwd("Xvfb_screen0", *(int(place[k]) for k in ("X", "Y", "WIDTH", "HEIGHT")))


def still_picture(window):
    """The picture when it has not changed for a second: what the guest wrote has reached the window."""
    shot = picture(window)
    while True:
        time.sleep(1)
        before, shot = shot, picture(window)
        if not difference(before, shot):
            return shot


def top(picture):
    return picture[0], picture[1][:16]


class ClientMessage(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong),
                ("message", ctypes.c_ulong), ("format", ctypes.c_int), ("data", ctypes.c_long * 5),
                ("rest", ctypes.c_long * 24)]


def close(window):
    """As the button of a window manager does (ICCCM 4.2.8.1)."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x.XOpenDisplay(None))
    event = ClientMessage(type=33, window=int(window), format=32,
                          message=x.XInternAtom(display, b"WM_PROTOCOLS", 0))
    event.data[0] = x.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x.XSendEvent(display, ctypes.c_ulong(int(window)), 0, ctypes.c_long(0), ctypes.byref(event))
    x.XCloseDisplay(display)


def look(program):
    window = wait_for("window", lambda: xdotool("search", "--name", "^typed - Parallax").strip())
    wait_for("ready guest", lambda: "ready " in said())
    expect("the guest", "input16: ready ")
    xdotool("windowfocus", window)
    keys("a letter", "1e 9e", "a")
    keys("a capital", "2a 30 aa b0", "shift+b")
    keys("Pause", "e1 1d 45 e1 9d c5", "Pause")
    keys("Print Screen", "e0 2a e0 37 e0 b7 e0 aa", "Print")
    keys("a cursor key", "e0 48 e0 c8", "Up")
    keys("both Ctrl keys", "1d e0 1d 9d e0 9d", "Control_R")  # xdotool presses the left one, too

    keys("the keys that take the mouse", "1d 38 9d b8", "ctrl+alt+g")
    xdotool("mousemove_relative", "10", "5")
    expect("a movement", "m28 m0a mfb ")
    xdotool("click", "3")
    expect("a click", "m0a m00 m00 m08 m00 m00 ")
    title = xdotool("getwindowname", window)
    if "Ctrl-Alt-G releases the mouse" not in title or "MIPS" not in title:
        sys.exit("title: " + title)
    keys("the keys that release it", "1d 38 9d b8", "ctrl+alt+g")

    xdotool("mousemove", "0", "0")  # the server draws its pointer into the picture
    plain = still_picture(window)
    keys("the keys that show numbers", "1d e0 1d 9d e0 9d", "Control_R+F12")
    wait_for("numbers over the first line", lambda: difference(top(plain), top(picture(window))))
    keys("the keys that hide them", "1d e0 1d 9d e0 9d", "Control_R+F12")
    wait_for("first line", lambda: not difference(top(plain), top(picture(window))))
    shot = still_picture(window)
    close(window)
    if program.wait(PATIENCE):
        sys.exit("exit code %d" % program.returncode)
    where = difference(shot, read_png("screen.png"))
    if where:
        write_png("shot.png", shot)
        sys.exit("window and -screendump differ " + where)


seen = 0
server = start_server()
try:
    os.environ["SDL_RENDER_DRIVER"] = "software"
    with subprocess.Popen(sys.argv[1:]) as running:
        try:
            look(running)
        finally:
            running.kill()
finally:
    server.kill()
    server.wait()
