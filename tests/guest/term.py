"""A terminal: runs a command on a pty, waits for texts and types; ends with the command's exit code.

    term.py wait TEXT type TEXT ... -- COMMAND...        escapes as in Python: \\r, \\x1b
"""
import os
import pty
import select
import sys
import time

steps = sys.argv[1:sys.argv.index("--")]
command = sys.argv[sys.argv.index("--") + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)
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


for verb, text in zip(steps[::2], steps[1::2]):
    text = text.encode().decode("unicode_escape").encode("latin-1")
    if verb == "wait":
        wait_for(text)
    else:
        os.write(fd, text)
status = os.waitpid(pid, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
