#!/bin/sh
# Debian's kernel brings all CPUs up, runs on them and powers off; the kernel has nothing to complain.
# program, source, architecture (amd64, i386), CPUs, personality, engine, further options
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 cpus=$2 pv=$3 engine=$4
shift 4
need "vmlinuz-$arch" "initrd-$arch.gz"
# Linux broadcasts to "all but self" by shorthand, past KVM's hypercall, and whether a mask of some
# CPUs comes up is chance: without shorthands each IPI to more than one CPU is a mask.
masks=
[ "$pv" = kvm ] && masks=no_ipi_broadcast=1

run -m 512 -smp "$cpus" -accel "$engine" -pv "$pv" -stats "$@" \
    -kernel "$guests/vmlinuz-$arch" -initrd "$guests/initrd-$arch.gz" -timeout 280 \
    -append "console=ttyS0 $masks plx.cmd=eval \"echo cpus \$(nproc); cat /sys/devices/system/cpu/online;
sha256sum /bin/busybox >/1 & sha256sum /bin/busybox >/2 & sha256sum /bin/busybox >/3 &
sha256sum /bin/busybox >/4 & wait; cat /1 /2 /3 /4 | sort -u | wc -l; cat /proc/interrupts\""
expect_code 0
expect PARALLAX-GUEST-READY
expect "^cpus $cpus"
expect "^0-$((cpus - 1))"
expect '^1.$' # four times the same sum (and a carriage return)
expect "smp: Brought up 1 node, $cpus CPUs"
# every CPU takes timer interrupts, from its APIC or from the hypervisor
timer=LOC
[ "$pv" = hyperv ] && timer=HVS
grep "$timer:" console | awk -v n="$cpus" '{ for (i = 2; i < 2 + n; i++) if ($i + 0 == 0) exit 1 }' ||
    fail "a CPU without timer interrupts"
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup|RCU detected|self-detected stall' console &&
    fail "the kernel complains"
if [ "$pv" = kvm ]; then
    expect 'kvm-guest: KVM setup pv remote TLB flush'
    expect 'kvm-guest: setup PV sched yield'
    expect 'kvm-guest: setup PV IPIs'
    expect 'kvm-guest: PV spinlocks enabled'
    expect_used steal-time kvmclock2 pv-send-ipi pv-eoi
fi
if [ "$pv" = hyperv ]; then
    expect 'Hyper-V: Using hypercall for remote TLB flush'
    expect 'current_clocksource: hyperv_clocksource_tsc_page'
    expect_used hypercall ref-tsc stimer-direct
    if [ "$arch" = amd64 ]; then # not compiled for i386
        expect 'Hyper-V: PV spinlocks enabled'
        expect 'Hyper-V: Using IPI hypercalls'
        expect_used ipi lazy-eoi
    fi
fi
exit 0
