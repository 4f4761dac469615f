#!/bin/sh
# -timeline: a boot with two CPUs gives a file that a trace viewer shows, with all kinds of events.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
engine=$1
kinds="exit hypercall interrupt idle"
[ "$engine" = jit ] && kinds="$kinds translation"

run -accel "$engine" -m 128 -smp 2 -pv xen -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0" -until PARALLAX-GUEST-READY -timeout 280 -timeline line.json -name 'a "name"'
expect_code 0
# shellcheck disable=SC2086
python3 "$source/tests/guest/timeline.py" line.json 2 $kinds || fail "no timeline"

# A full disk is said.
run -m 128 -kernel "$guests/vmlinuz-amd64" -append "console=ttyS0" -until BIOS-provided -timeout 280 \
    -timeline /dev/full
expect_code 3
grep -q "timeline: /dev/full could not be written" errors || fail "nothing said"
run -m 128 -kernel "$guests/vmlinuz-amd64" -timeline no/such/folder
expect_code 3
exit 0
