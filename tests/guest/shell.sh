#!/bin/sh
# An interactive shell on the serial line: what is typed runs, and Ctrl-A x quits.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
talk -m 128 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0" -timeout 280
wait_for PARALLAX-GUEST-READY
wait_for '^/ # '
say 'echo $((6 * 7))-is-the-answer'
wait_for '^42-is-the-answer'
printf '\001x' >&3
hear
expect_code 0
