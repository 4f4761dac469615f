#!/bin/sh
# Xen with Debian's kernel as its paravirtual dom0: a deprivileged kernel in ring 3 under a hypervisor
# that itself sees a bare machine. Both CPUs run, dom0 reaches its user space and powers off.
# program, source, way (direct: multiboot 1 by us; grub: multiboot 2 by GRUB), engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
way=$1 engine=$2
need xen.gz vmlinuz-full initrd-amd64.gz
make_initrd_with_check <<'END'
echo type $(cat /sys/hypervisor/type)
echo cpus $(nproc)
taskset 1 sha256sum /bin/busybox >/1 & taskset 2 sha256sum /bin/busybox >/2 & wait
echo sums $(cat /1 /2 | sort -u | wc -l) of $(cat /1 /2 | wc -l)
cat /proc/interrupts
END
xen="com1=115200,8n1 console=com1 dom0_mem=256M loglvl=all noreboot"
dom0="console=hvc0 plx.cmd=sh /check"
case $way in
direct)
    set -- -kernel "$guests/xen.gz" -append "$xen" \
        -initrd "$guests/vmlinuz-full $dom0,initrd.gz"
    ;;
grub)
    mkdir -p cd/boot
    cp "$guests/xen.gz" initrd.gz cd/boot/
    cp "$guests/vmlinuz-full" cd/boot/vmlinuz
    make_grub_cd <<END
multiboot2 /boot/xen.gz $xen
module2 /boot/vmlinuz $dom0
module2 --nounzip /boot/initrd.gz
boot
END
    set -- -cdrom cd.iso -boot d
    ;;
esac

run -accel "$engine" -pv none -m 512 -smp 2 "$@" -timeout 280
expect_code 0
expect '^(XEN) Brought up 2 CPUs'
expect '^(XEN) \*\*\* Building a PV Dom0'
[ "$way" = direct ] || expect '^(XEN) Bootloader: GRUB 2'
expect 'Booting kernel on Xen'
expect PARALLAX-GUEST-READY
expect '^type xen'
expect '^cpus 2'
expect '^sums 1 of 2'
expect '^(XEN) Entering ACPI S5 state'
# both virtual CPUs take the hypervisor's timer and each other's calls
grep -E ' timer[01]' console | awk '{ n += $2 + $3 > 0 } END { exit n != 2 }' ||
    fail "a virtual CPU without timer events"
grep -qE 'Oops|BUG:|Call Trace|soft lockup|self-detected stall|Xen BUG|Assertion|Panic on CPU|d0v[01] Unhandled' \
    console && fail "Xen or the kernel complains"
exit 0
