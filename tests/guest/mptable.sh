#!/bin/sh
# Without ACPI, Debian's kernel finds the CPUs and the I/O APIC's wiring in the MultiProcessor table, whoever
# made it; with ACPI it finds them in the MADT. program, source, firmware (none: -kernel; own, seabios: GRUB)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
firmware=$1
need vmlinuz-full initrd-amd64.gz
make_initrd_with_check <<'END'
echo cpus $(nproc)
cat /proc/interrupts
echo CHECKED
END

# boot OPTION CPUS
boot() {
    cpus=$2
    if [ "$firmware" = none ]; then
        set -- -kernel "$guests/vmlinuz-full" -initrd initrd.gz \
            -append "console=ttyS0 tsc=reliable $1 plx.cmd=sh /check"
    else
        mkdir -p cd/boot
        cp "$guests/vmlinuz-full" cd/boot/vmlinuz
        cp initrd.gz cd/boot/
        make_grub_cd <<END
linux /boot/vmlinuz console=ttyS0 tsc=reliable $1 plx.cmd=sh /check
initrd /boot/initrd.gz
boot '' 2
END
        set -- -cdrom cd.iso -boot d
        [ "$firmware" = own ] || set -- "$@" -bios "$firmware"
    fi
    run -m 256 -smp 2 "$@" -timeout 250 -until CHECKED
    expect_code 0
    expect "^cpus $cpus"
    expect 'IO-APIC.* timer' # not by the 8259
    expect 'IO-APIC.* ttyS0'
    grep -qE 'Oops|BUG:|Call Trace|\.\.MP-BIOS bug|timer doesn.t work|soft lockup' console &&
        fail "the kernel complains"
}
[ "$firmware" != seabios ] || [ -f /usr/share/seabios/bios-256k.bin ] ||
    { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
# SeaBIOS lists the first CPU of each package only.
case $firmware in seabios) boot acpi=off 1 ;; *) boot acpi=off 2 ;; esac
expect 'Intel MultiProcessor Specification v1.4'
boot '' 2
expect 'Using ACPI (MADT) for SMP configuration information'
exit 0
