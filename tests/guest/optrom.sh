#!/bin/sh
# -option-rom: firmware starts a ROM, connects its disk and boots from that, or from its boot entry, in the
# order asked for; what comes back gives way to the next. program, source, firmware (own, seabios), ROM
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
bios=
if [ "$1" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $1"
fi
# A checksum for the ROM, in a byte that nobody reads.
python3 - "$2" rom.bin <<'END' || fail "no checksum"
import sys
rom = bytearray(open(sys.argv[1], 'rb').read())
rom[8] = -sum(rom) & 255
open(sys.argv[2], 'wb').write(rom)
END

# $1: -boot, $2: what is to be seen
boots() {
    # shellcheck disable=SC2086 # $bios is two words or none
    run $bios -m 16 -option-rom rom.bin -boot "$1" -debugcon file:said -display none -timeout 20 -until "$2" \
        -screendump screen.txt
    [ "$code" = 0 ] || fail "-boot $1: $(cat said), not $2: $(cat screen.txt)"
}
if [ "$1" = own ]; then
    boots cn SCD
    boots nc SCBD
    run -m 16 -option-rom rom.bin -boot n,menu=on -display none -timeout 20 -until 'entry of the test'
    expect_code 0
    # What is damaged is not started.
    printf X | dd of=rom.bin bs=1 seek=900 conv=notrunc 2>dd.log
    run -m 16 -option-rom rom.bin -boot n -display none -timeout 20 -until 'checksum is wrong'
    expect_code 0
else
    boots c SCBD
fi
exit 0
