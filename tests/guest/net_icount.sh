#!/bin/sh
# With -icount a guest that gets its address and pings the user network ends with the same RAM in every run, by
# both engines: what that network answers by itself comes at the same instruction.
# program, source, peer, engines
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
peer=$1 engines=$2
# shellcheck source=tests/guest/netlib.sh
. "$source/tests/guest/netlib.sh"
need vmlinuz-full initrd-amd64.gz modules-full.gz

guest_initrd amd64 full >initrd <<'END'
udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease
ping -c 2 10.0.2.2
END
first=
for engine in $engines; do
    run -m 128 -accel "$engine" -icount -kernel "$guests/vmlinuz-full" -initrd initrd -nic user,model=e1000 \
        -append "console=ttyS0 panic=-1 plx.cmd=/job" -no-reboot -timeout 200 -stats=json:stats
    grep -q libslirp errors && { cat errors; exit 77; }
    expect_code 0
    expect '2 packets received'
    hash=$(sed -n 's/.*"ram_hash": "\(.*\)".*/\1/p' stats)
    [ -n "$hash" ] || fail "no hash of RAM"
    [ "${first:=$hash}" = "$hash" ] || fail "$engine: another RAM"
done
exit 0
