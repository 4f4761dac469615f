#!/bin/sh
# Our 16-bit program of BIOS calls passes. program, source, firmware (own, seabios), engine, image
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
bios=
if [ "$1" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $1"
fi
cp "$3" disk.img
# shellcheck disable=SC2086 # $bios is two words or none
run $bios -accel "$2" -m 32 -drive file=disk.img,format=raw -timeout 60 \
    -device isa-debug-exit,iobase=0xf4 -screendump screen.txt
cat screen.txt >>console
expect_code 33
expect 'bios16: passed'
