#!/bin/sh
# A course kernel's Makefile with QEMU=parallax: the console on a terminal, and gdb. program, source, engine,
# image, its ELF file
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in make python3; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
cp "$2" kernel.img
{ printf 'the second disk\n'; head -c 65536 /dev/zero; } | head -c 65536 >fs.img
engine=$1
elf=$3

for target in qemu-nox qemu-nox-serial; do
    python3 "$source/tests/guest/term.py" wait 'course...\r\nthe second disk\r\ncpu1: starting' \
        type a wait A type z wait Z type '\x01x' -- "$(command -v make)" -f "$source/tests/guest/course.mk" \
        QEMU="$program" QEMUEXTRA="-accel $engine -timeout 100" $target >console 2>errors ||
        fail "$target ended with $?"
done

command -v gdb >/dev/null || exit 0
# A port that nobody has: another run of this test may go on.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
make -f "$source/tests/guest/course.mk" QEMU="$program" QEMUEXTRA="-accel $engine -timeout 100" GDBPORT="$port" \
    qemu-nox-gdb <&- >console 2>errors &
pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$dir"' EXIT
cat >script <<END
set architecture i8086
set tcp auto-retry on
target remote 127.0.0.1:$port
hbreak *0x7c00
continue
info threads
symbol-file $elf
break enable_input
continue
print/x \$cs
kill
END
timeout 100 gdb -nx -batch -x script >said 2>&1 || { cat said; fail "gdb"; }
wait $pid
grep -q 'Breakpoint 1, 0x00007c00' said && grep -q 'CPU#1' said && grep -q '^\$1 = 0x8$' said ||
    { cat said; fail "gdb does not see the kernel"; }
