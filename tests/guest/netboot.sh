#!/bin/sh
# -boot n: iPXE in the controller's ROM gets an address, a script, a kernel and a RAM disk from the user
# network, and the kernel runs. program, source, firmware (own, seabios), engine, controller
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
[ -d /usr/lib/ipxe/qemu ] || { echo "no iPXE: apt-get install ipxe-qemu"; exit 77; }
bios=
if [ "$1" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $1"
fi
mkdir tftp
cp "$guests/vmlinuz-amd64" tftp/vmlinuz
cp "$guests/initrd-amd64.gz" tftp/initrd.gz
cat >tftp/boot.ipxe <<'END'
#!ipxe
kernel vmlinuz console=ttyS0
initrd initrd.gz
boot
END
# shellcheck disable=SC2086 # $bios is two words or none
run $bios -accel "$2" -m 256 -nic "user,model=$3,tftp=tftp,bootfile=boot.ipxe" -boot n -display none -timeout 120 \
    -until PARALLAX-GUEST-READY -screendump screen.txt
cat screen.txt >>console
expect_code 0
expect 'Linux version'
