#!/bin/sh
# Two CPUs in turns: the same count, console and RAM in two runs and by both engines.
# program, source, engines
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
for engine in $1; do
    run -m 256 -smp 2 -icount -accel "$engine" -stats=json:stats \
        -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" -timeout 280 \
        -append "console=ttyS0 plx.cmd=nproc"
    expect_code 0
    expect '^2.$'
    { cat console; grep -E '"(ram_hash|guest_insns)"' stats; } >"now"
    [ -f first ] || cp now first
    cmp -s first now || { diff first now | head; fail "$engine: another run than the first"; }
done
exit 0
