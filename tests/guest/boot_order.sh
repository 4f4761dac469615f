#!/bin/sh
# -boot order= and menu= of our BIOS: what comes first boots, what cannot boot gives way to the next, and
# the menu boots the number that is pressed. program, source
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in xorriso python3; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done

# A boot sector that says letter $1 on COM1 and on the screen and halts: mov ax,0E00h+$1; int 10h;
# mov dx,3F8h; out dx,al; hlt; jmp to the hlt.
boot_sector() {
    printf "\270$1\016\315\020\272\370\003\356\364\353\375"
    head -c 498 /dev/zero
    printf '\125\252'
}
{ boot_sector F; head -c 1474048 /dev/zero; } >floppy.img
{ boot_sector H; head -c 1048064 /dev/zero; } >disk.img
head -c 1474560 /dev/zero >blank.img
mkdir cd
boot_sector C >cd/boot.bin
xorriso -as mkisofs -b boot.bin -no-emul-boot -boot-load-size 1 -o cd.iso cd >xorriso.log 2>&1 ||
    { cat xorriso.log; fail "xorriso"; }

# $1: floppy image, $2: -boot, $3: letter
boots() {
    run -m 16 -drive "file=$1,if=floppy,format=raw" -drive file=disk.img,format=raw -cdrom cd.iso -boot "$2" \
        -display none -timeout 60 -until "$3"
    [ "$code" = 0 ] || fail "$2 with $1 did not boot $3"
    [ "$(cat console)" = "$3" ] || fail "$2 with $1 booted $(cat console)"
}
boots floppy.img order=acd F
boots floppy.img order=ca H
boots floppy.img d C
boots blank.img order=acd H
boots blank.img order=adc C

python3 "$source/tests/guest/term.py" wait '3  CD-ROM' type 3 wait '1HC' \
    type '\x01x' -- "$program" -m 16 -fda floppy.img -hda disk.img -cdrom cd.iso \
    -boot order=acd,menu=on -display term -serial file:console -timeout 100 >term 2>errors
code=$?
expect_code 0
[ "$(cat console)" = C ] || fail "the menu booted $(cat console), not C"
exit 0
