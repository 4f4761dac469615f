#!/bin/sh
# SeaBIOS comes up, finds the chips, ACPI and SMBIOS tables through fw_cfg, and its VGA BIOS shows what
# there is to boot: nothing. program, source, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
[ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
run -bios seabios -m 64 -accel "$1" -bios-debug file:debug -timeout 60 -until "No bootable device" \
    -screendump screen.txt
cp screen.txt console
expect_code 0
expect 'SeaBIOS (version'
cp debug console
expect 'QEMU fw_cfg DMA interface supported'
expect 'Found 1 cpu(s) max supported 1 cpu(s)'
expect 'Copying SMBIOS'
expect 'ACPI: parse DSDT'
expect 'VBE DISPI: lfb_addr='
expect 'PS2 keyboard initialized'
