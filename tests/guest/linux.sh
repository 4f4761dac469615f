#!/bin/sh
# Debian's kernel reaches user space, sees the hypervisor that it should, and powers off.
# program, source, architecture (amd64, i386), MiB, personality, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 mem=$2 pv=$3 engine=$4
need "vmlinuz-$arch" "initrd-$arch.gz"

run -accel "$engine" -m "$mem" -pv "$pv" -kernel "$guests/vmlinuz-$arch" -initrd "$guests/initrd-$arch.gz" \
    -append "console=ttyS0 plx.cmd=echo user space is \$(uname -m); grep -c hypervisor /proc/cpuinfo; grep MemTotal /proc/meminfo" \
    -timeout 280
expect_code 0
expect PARALLAX-GUEST-READY
case $arch in
amd64) expect 'user space is x86_64' ;;
i386) expect 'user space is i686' ;;
esac
case $pv in
none)
    grep -qi 'Hypervisor detected' console && fail "it detected a hypervisor under none"
    ;;
kvm)
    expect 'Hypervisor detected: KVM'
    expect 'current_clocksource: kvm-clock'
    ;;
esac
total=$(sed -n 's/^MemTotal: *\([0-9]*\) kB.*/\1/p' console)
[ -n "$total" ] || fail "no MemTotal"
[ "$total" -gt $((mem * 1024 * 6 / 10)) ] && [ "$total" -le $((mem * 1024)) ] ||
    fail "MemTotal is $total kB with -m $mem"
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup' console && fail "the kernel complains"
exit 0
