#!/bin/sh
# -display term: GRUB's shell in a terminal; what is typed arrives, Ctrl-F12 shows the rings, Ctrl-A x quits. program, source
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
make_grub_cd </dev/null
# "In-Capitals" in one piece with an escape sequence behind it: as printed, not as typed.
python3 "$source/tests/guest/term.py" wait 'grub>' type 'echo In-Capitals\r' wait 'In-Capitals\x1b' \
    type '\x1b[A' wait In-Capitals type '\x1b[24;5~' wait 'CPU 0  ' wait '  ring 0 #' \
    type '\x1b[24;5~' wait 'GNU GRUB' type '\x01x' \
    -- "$program" -m 64 -cdrom cd.iso -boot d -display term -timeout 100 >console 2>errors
code=$?
expect_code 0
