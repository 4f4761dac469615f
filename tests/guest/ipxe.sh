#!/bin/sh
# iPXE comes up from its CD, gathers its random numbers from the real-time clock's interrupts, and says what
# it can. program, source, firmware (own, seabios)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need ipxe.iso
bios=
if [ "$1" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $1"
fi
# shellcheck disable=SC2086 # $bios is two words or none
run $bios -m 64 -cdrom "$guests/ipxe.iso" -boot d -timeout 280 -until 'Features: DNS' -screendump screen.txt
cp screen.txt console
expect_code 0
expect 'iPXE initialising devices...ok'
