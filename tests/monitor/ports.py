"""Who may give the monitor commands: the guest's terminal (Ctrl-A c), a unix socket, telnet, and a machine
that runs while it is asked. ports.py PROGRAM IMAGE"""
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM, IMAGE = sys.argv[1:3]
PATIENCE = 100


class Peer:
    """A file descriptor that is read until a pattern has come."""

    def __init__(self, fd):
        self.fd = fd
        self.text = ""

    def expect(self, pattern):
        end = time.time() + PATIENCE
        while not re.search(pattern, self.text):
            if time.time() > end or not select.select([self.fd], [], [], end - time.time())[0]:
                sys.exit(f"never seen: {pattern}\n--- seen\n{self.text}")
            data = os.read(self.fd, 4096)
            if not data:
                sys.exit(f"it ended before: {pattern}\n--- seen\n{self.text}")
            self.text += data.decode(errors="replace")
        self.text = self.text[re.search(pattern, self.text).end():]

    def send(self, text):
        os.write(self.fd, text)


def on_the_terminal(command):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, command + ["-S"])
    p = Peer(fd)
    time.sleep(0.2)
    p.send(b"\x01c")
    p.expect(r"Parallax monitor\. Ctrl-A c leads back")
    p.send(b"inf\t reg\x08\x08\x08cpus\r")
    p.expect(r"CPU 0: 0xfffffff0: ")
    p.send(b"break 0x7d01\x1b[D0\x1b[C\x08\r")  # an edited line: 0x7d0 with a 0 before the 1, which goes
    p.expect(r"1: breakpoint 0x7d00\r")
    p.send(b"cont\r")
    p.expect(r"breakpoint 1\r")
    p.send(b"\x1b[A\x1b[A\x1b[A\r")  # the line before the last but one
    p.expect(r"CPU 0: 0x7d00: ")
    p.send(b"quit\r")
    end = time.time() + PATIENCE
    while time.time() < end:
        try:
            os.read(fd, 4096)
        except OSError:
            break
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("quit did not end the program in order")


def on_a_socket(command, spec, connect):
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command + ["-display", "none", "-monitor", spec], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=errors)
        s = connect(errors, child)
        p = Peer(s.fileno())
        p.expect(r"Parallax monitor\.")
        p.send(b"\xff\xfb\x01info status\r\n" if "telnet" in spec else b"info status\n")
        p.expect("running")
        p.send(b"stop\n")
        p.expect(r"\(parallax\) ")
        p.send(b"info status\n")
        p.expect("stopped")
        p.send(b"quit\n")
        if child.wait(PATIENCE) != 0:
            sys.exit(f"{spec}: exit code {child.returncode}")


def unix_at(path):
    def connect(errors, child):
        end = time.time() + PATIENCE
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except OSError:
                if time.time() > end or child.poll() is not None:
                    sys.exit("no unix socket")
                time.sleep(0.1)
    return connect


def told_port(errors, child):
    end = time.time() + PATIENCE
    while time.time() < end and child.poll() is None:
        errors.seek(0)
        m = re.search(r"monitor: 127\.0\.0\.1:(\d+)", errors.read().decode())
        if m:
            return socket.create_connection(("127.0.0.1", int(m.group(1))))
        time.sleep(0.1)
    sys.exit("no port was told")


directory = tempfile.mkdtemp()
try:
    image = os.path.join(directory, "disk.img")
    shutil.copy(IMAGE, image)
    # An endless guest for those that look at one that runs.
    endless = os.path.join(directory, "endless.img")
    with open(endless, "wb") as f:
        f.write(b"\xeb\xfe" + bytes(508) + b"\x55\xaa")
    on_the_terminal([PROGRAM, "-fda", image, "-m", "32", "-nographic"])
    command = [PROGRAM, "-fda", endless, "-m", "32", "-timeout", "250"]
    path = os.path.join(directory, "socket")
    on_a_socket(command, "unix:" + path, unix_at(path))
    on_a_socket(command, "telnet::0", told_port)
finally:
    shutil.rmtree(directory)
