#!/bin/sh
# Debian's kernel reaches user space, sees the hypervisor that it should, and powers off.
# program, source, architecture (amd64, i386), MiB, personality, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 mem=$2 pv=$3 engine=$4
need "vmlinuz-$arch" "initrd-$arch.gz"

run -stats -accel "$engine" -m "$mem" -pv "$pv" -kernel "$guests/vmlinuz-$arch" -initrd "$guests/initrd-$arch.gz" \
    -append "console=ttyS0 plx.cmd=echo user space is \$(uname -m); grep -c hypervisor /proc/cpuinfo; grep MemTotal /proc/meminfo; cat /proc/interrupts" \
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
hyperv)
    expect 'Hypervisor detected: Microsoft Hyper-V'
    expect 'Hyper-V: privilege flags low 0xeff, high 0x0, hints 0x438, misc 0xa0530'
    expect 'Hyper-V: Host Build 10.0.14393.0-0-0'
    expect 'Hyper-V: LAPIC Timer Frequency: 0x'
    expect 'Booting paravirtualized kernel on Hyper-V'
    expect 'current_clocksource: hyperv_clocksource_tsc_page'
    expect 'HVS: *[1-9]'
    if [ "$arch" = amd64 ]; then # not compiled for i386
        expect 'Hyper-V: Using enlightened APIC'
        expect 'Hyper-V: Using IPI hypercalls'
        expect 'Hyper-V: PV spinlocks enabled'
        expect_used lazy-eoi # so well that, on one CPU, the EOI register may stay unused
    fi
    expect_used hypercall vp-index ref-tsc frequencies stimer stimer-direct
    ;;
esac
total=$(sed -n 's/^MemTotal: *\([0-9]*\) kB.*/\1/p' console)
[ -n "$total" ] || fail "no MemTotal"
[ "$total" -gt $((mem * 1024 * 6 / 10)) ] && [ "$total" -le $((mem * 1024)) ] ||
    fail "MemTotal is $total kB with -m $mem"
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup' console && fail "the kernel complains"
exit 0
