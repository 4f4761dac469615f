#!/bin/sh
# run.sh PARALLAX TEST.elf PLUGIN.so [OPTION...]: runs a bare-metal program with count.so in both
# engines: the numbers are the same, and the instructions are those of -icount.
set -u
parallax=$1
elf=$2
plugin=$3
shift 3
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT

once() { # name, options
    name=$1
    shift
    "$parallax" -kernel "$elf" -icount -device isa-debug-exit,iobase=0xf4 -debugcon null -display none \
        -timeout 100 -stats="json:$dir/$name.json" "$@"
    code=$?
    [ $code = 33 ] || { echo "$name: exit code $code instead of 33"; exit 1; }
    icount=$(sed -n 's/.*"guest_instructions": \([0-9]*\).*/\1/p' "$dir/$name.json")
    grep -qx "instructions $icount wrong 0" "$dir/$name.out" ||
        { cat "$dir/$name.out"; echo "$name: -icount has $icount"; exit 1; }
}
once interp "$@" -accel interp -plugin "$plugin,calls=on,out=$dir/interp.out"
"$parallax" -accel jit -explain >/dev/null 2>&1 || exit 0
for mode in hot=1 hot=1,cache=256K,flags-poison hot=4,no-bmi2; do
    once jit "$@" -accel jit -jit-test $mode -plugin "$plugin,calls=on,out=$dir/jit.out"
    cmp "$dir/interp.out" "$dir/jit.out" || { diff "$dir/interp.out" "$dir/jit.out"; exit 1; }
    once inline "$@" -accel jit -jit-test $mode -plugin "$plugin,out=$dir/inline.out"
    grep insns "$dir/interp.out" | sed 's/ calls.*//' >"$dir/a"
    grep insns "$dir/inline.out" | sed 's/ calls.*//' >"$dir/b"
    diff "$dir/a" "$dir/b" || exit 1
done
