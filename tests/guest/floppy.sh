#!/bin/sh
# memtest86+'s own boot sector loads it from a 1.44 MB floppy (an image in a CD, by El Torito) through
# INT 13h, and its first tests pass on the text screen. program, source, firmware (own, seabios), engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need memtest86+ia32.bin
command -v xorriso >/dev/null || { echo "no xorriso: apt-get install xorriso"; exit 77; }
bios=
if [ "$1" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $1"
fi
mkdir cd
cp "$guests/memtest86+ia32.bin" cd/floppy.img
chmod u+w cd/floppy.img
truncate -s 1474560 cd/floppy.img
xorriso -as mkisofs -b floppy.img -o cd.iso cd >xorriso.log 2>&1 || { cat xorriso.log; fail "xorriso"; }
# shellcheck disable=SC2086 # $bios is two words or none
run $bios -accel "$2" -m 16 -cdrom cd.iso -boot d -timeout 250 -until "#4 " -screendump screen.txt
cp screen.txt console
expect_code 0
expect 'Memtest86+ v'
expect 'Errors: 0'
