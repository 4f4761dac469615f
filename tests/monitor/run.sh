#!/bin/sh
# A transcript of the monitor. $1 the program, $2 the source directory, $3 the test (NAME.mon: commands,
# NAME.out: what is said, as in tests/golden), $4 the boot sector; further arguments: options.
set -u
program=$1 source=$2 test=$3 guest=$4
shift 4
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
export LC_ALL=C
cd "$dir" || exit 2
cp "$guest" disk.img
printf '0000000000007d00 T the_start\n0000000000007d20 T here\n' >System.map
printf 'p 1\np 2\n' >commands
timeout -s KILL 100 "$program" -fda disk.img -m 32 -icount -display none -S -monitor stdio "$@" \
    <"$source/tests/monitor/$test.mon" >output 2>errors
code=$?
[ $code -eq 0 ] || { cat output errors; echo "exit code $code"; exit 1; }
sh "$source/tests/golden/match.sh" "$source/tests/monitor/$test.out" output && exit 0
cat output errors
exit 1
