#!/bin/sh
# A guest that stops feeding its watchdog is reset; one that panics ends as -action says. program, source
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-full initrd-amd64.gz modules-full.gz

# Boots with the script on standard input and the options given.
boot() {
    make_initrd_with_check
    cat "$guests/modules-full.gz" >>initrd.gz
    run -m 256 -kernel "$guests/vmlinuz-full" -initrd initrd.gz -timeout 250 \
        -append "console=ttyS0 plx.cmd=sh /check" "$@"
}

boot -device i6300esb -no-reboot <<'END'
modprobe i6300esb heartbeat=4 || poweroff -f
exec 3>/dev/watchdog
for i in 1 2 3; do sleep 2; echo >&3; done
echo FED
sleep 100
echo SURVIVED
END
expect_code 0
expect '^FED'
grep -q SURVIVED console && fail "the watchdog slept"
grep -q 'the watchdog expired' errors || fail "the user is not told"

boot -device pvpanic -action panic=exit-failure -trace post_code -D codes <<'END'
printf '\125' | dd of=/dev/port bs=1 seek=128 2>/dev/null
dd if=/dev/port bs=1 skip=1285 count=1 2>/dev/null | od -An -tx1
printf '\001' | dd of=/dev/port bs=1 seek=1285 2>/dev/null
sleep 100
echo SURVIVED
END
expect_code 1
expect '^ 03'
grep -q SURVIVED console && fail "a panic without end"
grep -q 'the guest says that it panicked' errors || fail "the user is not told"
grep -q 'code=0x55' codes || fail "the code of port 80h is not told"
exit 0
