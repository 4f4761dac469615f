"""info perf: where the host's time goes, of guests that do one thing. perf.py PROGRAM ENGINE"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM, ENGINE = sys.argv[1:3]
PATIENCE = 100
GUEST = "translated code" if ENGINE == "jit" else "interpreter"

# Multiboot kernels, entered at 100020h: mov ecx, 2^28 (2^27); dec ecx; jnz back; cli; power off. And jmp $.
HEAD = bytes.fromhex("02b0ad1b 00000100 fe4f51e4 00001000 00001000 00000000 00000000 20001000")
COUNT = bytes.fromhex("b9 %s 4975fd fa 66ba0406 66b80020 66ef" % ("00000010" if ENGINE == "jit" else "00000008"))
FOREVER = bytes.fromhex("ebfe")


def guest(name, code):
    with open(name, "wb") as f:
        f.write(HEAD + code)
    return name


def ask(commands, *options):
    """What the monitor says to commands of a machine that stands still at first, and the exit code."""
    path = os.path.join(os.getcwd(), "monitor")
    p = subprocess.Popen([PROGRAM, "-accel", ENGINE, "-display", "none", "-serial", "null", "-S",
                          "-monitor", "unix:" + path, *options])
    peer = socket.socket(socket.AF_UNIX)
    end = time.time() + PATIENCE
    while peer.connect_ex(path):
        if time.time() > end:
            sys.exit("nobody listens")
        time.sleep(0.02)
    peer.settimeout(PATIENCE)
    peer.sendall(commands.encode())
    said = b""
    while data := peer.recv(4096):
        said += data
    return said.decode(), p.wait(PATIENCE)


def shares(said):
    found = {name: float(percent) for name, percent in
             re.findall(r"^(?:\(parallax\) )*([a-z ]+?) +([0-9.]+) %  ", said, re.M)}
    if len(found) != 9 or not 99 < sum(found.values()) < 101:
        sys.exit(f"no table: {said}")
    return found


def expect(ok, said):
    if not ok:
        sys.exit(said)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    # It ends while it is sampled: the table comes all the same, and then the end. A vCPU that was not
    # started idles.
    said, code = ask("cont\ninfo perf 60\n", "-smp", "2", "-kernel", guest("ends", COUNT))
    found = shares(said)
    others = [v for k, v in found.items() if k not in (GUEST, "idle", "waiting")]
    expect(found[GUEST] > sum(others) and found["idle"] > 40, said)
    expect(code == 0, f"exit code {code}")

    said, code = ask("info perf\ninfo perf 0\ncont\ninfo perf\ninfo status\nquit\n",
                     "-kernel", guest("goes_on", FOREVER))
    expect("stands still" in said and "from 1 to 60" in said and "running" in said, said)
    found = shares(said)
    expect(found[GUEST] > 0 and found["idle"] < 1, said)
    expect(code == 0, f"exit code {code}")
