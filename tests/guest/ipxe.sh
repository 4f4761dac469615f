#!/bin/sh
# iPXE comes up from its CD or as a kernel, gathers its random numbers from the real-time clock's interrupts,
# and gets an address. program, source, firmware (own, seabios; kernel: none, by -kernel)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need ipxe.iso ipxe.lkrn
firmware=$1
set -- -cdrom "$guests/ipxe.iso" -boot d
case $firmware in
kernel) set -- -kernel "$guests/ipxe.lkrn" ;;
own) ;;
*)
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    set -- "$@" -bios "$firmware"
    ;;
esac
run "$@" -m 64 -nic user -display none -timeout 280 -until 'net0: 10.0.2.15/255.255.255.0' -screendump screen.txt
cp screen.txt console
expect_code 0
expect 'iPXE initialising devices...ok'
