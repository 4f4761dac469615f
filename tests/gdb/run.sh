#!/bin/sh
# A debugged guest. $1 the program, $2 the source directory, $3 the test (NAME.gdb: what gdb is told,
# NAME.out: what it says, as in tests/golden), $4 the boot sector or kernel; further arguments: options.
#
# A script may have a second part, behind a line `# again`, for a gdb that connects after the first.
set -u
program=$1 source=$2 test=$3 guest=$4
shift 4
command -v gdb >/dev/null || { echo "no gdb: apt-get install gdb"; exit 77; }
dir=$(mktemp -d) || exit 2
emulator=
# shellcheck disable=SC2317 # the trap calls it
finish() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
export LC_ALL=C HOME="$dir"

case $guest in
*.elf) boot="-kernel $guest" ;;
*) cp "$guest" "$dir/disk.img"; boot="-fda $dir/disk.img" ;;
esac
# shellcheck disable=SC2086 # $boot is two words
timeout -s KILL 100 "$program" $boot -m 32 -display none -S -gdb "unix:$dir/socket" "$@" \
    >"$dir/console" 2>&1 </dev/null &
emulator=$!
tries=0
until [ -S "$dir/socket" ]; do
    kill -0 "$emulator" 2>/dev/null || { cat "$dir/console"; echo "the emulator is gone"; exit 1; }
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { echo "no socket"; exit 1; }
    sleep 0.1
done

sed '/^# again/,$d' "$source/tests/gdb/$test.gdb" >"$dir/script1"
sed '1,/^# again/d' "$source/tests/gdb/$test.gdb" >"$dir/script2"
for n in 1 2; do
    [ -s "$dir/script$n" ] || continue
    timeout -s KILL 90 gdb -nx -batch -ex "set confirm off" -ex "set width 0" \
        -ex "target remote $dir/socket" -x "$dir/script$n" 2>&1 </dev/null |
        sed '/^warning: No executable/d; /^determining executable/d; /^$/d' >>"$dir/output"
done
sh "$source/tests/golden/match.sh" "$source/tests/gdb/$test.out" "$dir/output" && exit 0
echo "--- gdb said"
cat "$dir/output"
echo "--- the guest said"
cat "$dir/console"
exit 1
