"""A terminal for term.sh: runs a command on a pty, waits for texts and types. Arguments: the command."""
import os
import pty
import select
import sys
import time

pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""


def wait_for(text):
    global seen
    end = time.time() + 120
    while text not in seen:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                sys.exit("it ended: %r not in %r" % (text, seen[-400:]))
        if time.time() > end:
            sys.exit("never seen: %r in %r" % (text, seen[-400:]))
    seen = b""


wait_for(b"grub>")
os.write(fd, b"echo In-Capitals\r")
wait_for(b"In-Capitals\x1b")  # in one piece: as printed, not as typed
os.write(fd, b"\x1b[A")  # the last line again
wait_for(b"In-Capitals")
os.write(fd, b"\x01x")
status = os.waitpid(pid, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
