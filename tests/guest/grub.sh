#!/bin/sh
# A CD made by grub-mkrescue boots: GRUB's shell comes up on the text screen, reads the CD through the
# firmware, and starts memtest86+ and Debian's kernel. program, source, firmware (own, seabios), engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
firmware=$1 engine=$2
need vmlinuz-amd64 initrd-amd64.gz memtest86+x64.bin
case $firmware in
own) bios= ;;
*)
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $firmware"
    ;;
esac

# Makes cd.iso with the commands $1 in its configuration.
make_cd() {
    mkdir -p cd/boot
    cp "$guests/vmlinuz-amd64" cd/boot/vmlinuz
    cp "$guests/initrd-amd64.gz" cd/boot/initrd.gz
    cp "$guests/memtest86+x64.bin" cd/boot/memtest
    echo "$1" | make_grub_cd
}

boot() {
    # shellcheck disable=SC2086 # $bios is two words or none
    run $bios -accel "$engine" -m 256 -cdrom cd.iso -boot d -timeout 250 "$@"
}

make_cd 'echo the configuration is read; ls (cd0)/boot/; sleep 1'
boot -until "grub> " -screendump screen.txt
cp screen.txt console
expect_code 0
expect 'GNU GRUB  version 2'
make_cd 'terminal_output console
ls /boot
echo -n "configuration: "
echo read
sleep 100'
boot -until "configuration: read" -screendump screen.txt
cp screen.txt console
expect_code 0
expect 'vmlinuz'

make_cd 'linux /boot/memtest console=ttyS0,115200
boot'
boot -until "#6  ["
expect_code 0
expect 'Memtest86+ v'
expect 'Errors: 0'

make_cd 'linux /boot/vmlinuz console=ttyS0 "plx.cmd=dmesg"
initrd /boot/initrd.gz
boot'
boot
expect_code 0
expect PARALLAX-GUEST-READY
expect 'BIOS-e820: \[mem 0x0000000000000000-0x000000000009fbff\] usable'
expect 'ACPI: RSDP 0x00000000000'
expect 'SMBIOS 2'
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup' console && fail "the kernel complains"
exit 0
