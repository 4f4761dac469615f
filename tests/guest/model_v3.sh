#!/bin/sh
# Debian's kernel finds AVX2 and FMA with -cpu x86-64-v3 and saves their state by XSAVE, in one engine.
# What user programs compute with them is programs.sh's.
# program, source, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz

run -cpu x86-64-v3 -accel "$1" -m 256 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0 plx.cmd=grep -m1 -ow flags.* /proc/cpuinfo" -timeout 280
grep -q 'the translator needs a host with' errors && exit 77
expect_code 0
expect PARALLAX-GUEST-READY
expect "XSAVE feature 0x004: 'AVX registers'"
expect 'context size is 832 bytes'
for flag in avx avx2 fma f16c bmi1 bmi2 movbe abm xsaveopt fsrm erms; do
    expect "^flags.* $flag\( \|\$\|.\$\)"
done
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup' console && fail "the kernel complains"
exit 0
