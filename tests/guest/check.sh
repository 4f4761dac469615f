#!/bin/sh
# Both engines boot Debian's kernel to user space and power off in lockstep, with no difference.
# program, source, architecture (amd64, i386), modes of the translator, CPU model (default: ours), personality
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 modes=$2 model=${3:-x86-64-v2} pv=${4:-none}
need "vmlinuz-$arch" "initrd-$arch.gz"

run -cpu "$model" -pv "$pv" -check -jit-test "$modes" -m 256 -kernel "$guests/vmlinuz-$arch" \
    -initrd "$guests/initrd-$arch.gz" \
    -append "console=ttyS0 plx.cmd=echo user space is \$(uname -m); ls -lR /sys/devices | md5sum" \
    -timeout 280
grep -q 'the translator needs a host with' errors && exit 77
expect_code 0
expect PARALLAX-GUEST-READY
expect 'user space is'
grep -q 'no difference' errors || fail "nothing was checked"
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup' console && fail "the kernel complains"
exit 0
