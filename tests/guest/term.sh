#!/bin/sh
# -display term: GRUB's shell in a terminal; what is typed arrives, Ctrl-A x quits. program, source
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in grub-mkrescue xorriso mformat python3; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
mkdir -p cd/boot/grub
: >cd/boot/grub/grub.cfg
grub-mkrescue -d /usr/lib/grub/i386-pc -o cd.iso cd >mkrescue.log 2>&1 || fail "grub-mkrescue"
python3 "$source/tests/guest/term.py" "$program" -m 64 -cdrom cd.iso -boot d -display term \
    -timeout 100 >console 2>errors
code=$?
expect_code 0
