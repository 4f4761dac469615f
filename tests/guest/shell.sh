#!/bin/sh
# An interactive shell on the serial line: what is typed runs, and Ctrl-A x quits.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
mkfifo keys
"$program" -m 128 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0" -serial mon:stdio -timeout 280 <keys >console 2>errors &
pid=$!
exec 3>keys

wait_for() {
    n=0
    until grep -qe "$1" console; do
        kill -0 $pid 2>/dev/null || fail "it ended before: $1"
        n=$((n + 1))
        [ $n -lt 2800 ] || fail "never seen: $1"
        sleep 0.1
    done
}
wait_for PARALLAX-GUEST-READY
wait_for '^/ # '
printf 'echo $((6 * 7))-is-the-answer\n' >&3
wait_for '^42-is-the-answer'
printf '\001x' >&3
wait $pid
code=$?
expect_code 0
