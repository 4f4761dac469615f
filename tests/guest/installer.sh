#!/bin/sh
# Debian's installer comes to its first question, started by GRUB from a CD or from a disk with GRUB in
# its master boot record. program, source, architecture, medium (cd, disk), firmware, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/grub_disk.sh
. "$source/tests/guest/grub_disk.sh"
arch=$1 medium=$2 firmware=$3 engine=$4
need "installer-$arch" "installer-$arch.gz"
bios=
if [ "$firmware" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $firmware"
fi
mkdir -p tree/boot/grub
cp "$guests/installer-$arch" tree/boot/linux
cp "$guests/installer-$arch.gz" tree/boot/initrd.gz
# On the text screen: the kernel's own driver for Bochs' VBE would switch it to graphics.
cat >tree/boot/grub/grub.cfg <<'END'
linux /boot/linux vga=normal fb=false nomodeset
initrd /boot/initrd.gz
boot
END
case $medium in
cd)
    for tool in grub-mkrescue xorriso mformat; do
        command -v $tool >/dev/null || { echo "no $tool: apt-get install grub-pc-bin xorriso mtools"; exit 77; }
    done
    grub-mkrescue -d /usr/lib/grub/i386-pc -o cd.iso tree >log 2>&1 || { cat log; fail grub-mkrescue; }
    set -- -cdrom cd.iso -boot d
    ;;
disk)
    need_grub_disk
    make_grub_disk disk.raw 96 tree
    set -- -drive file=disk.raw,format=raw -boot c
    ;;
esac
rm -r tree
# With less memory it asks for swap space first.
# shellcheck disable=SC2086 # $bios is two words or none
run $bios -accel "$engine" -m 1024 "$@" -timeout 1500 -until "<Go Back>" -screendump screen
cp screen console
expect_code 0
expect 'Select a language'
expect 'English'
exit 0
