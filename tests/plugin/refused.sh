#!/bin/sh
# refused.sh PARALLAX TEST-PLUGINS SAMPLES TEST.elf: what is no plugin, or wrong for one, is one line and exit
# code 2; a file that does not take what is printed, 3.
set -u
parallax=$1
tests=$2
samples=$3
elf=$4
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2

refused() { # exit code, pattern, options
    want=$1
    pattern=$2
    shift 2
    "$parallax" "$@" -kernel "$elf" -timeout 20 >out 2>err </dev/null
    code=$?
    [ $code = "$want" ] || { cat err; echo "exit code $code instead of $want: $*"; exit 1; }
    [ "$(wc -l <err)" = 1 ] && grep -q "^parallax: $pattern" err ||
        { cat err; echo "is not one line with '$pattern': $*"; exit 1; }
}
echo "no library" >text.so
refused 2 "-plugin: .*nosuch.so" -plugin nosuch.so
refused 2 "-plugin: .*text.so" -plugin text.so
refused 2 "-plugin: a file is missing" -plugin ,out=x
refused 2 "-plugin: .*is made for version 2 of the interface, this is version 1" -plugin "$tests/wrong_version.so"
refused 2 "-plugin: .*lacks a name" -plugin "$tests/wrong_parts.so"
refused 2 "-plugin: wrong: it says no" -plugin "$tests/wrong_create.so"
refused 2 "-plugin: 'cache' has no argument 'sise'. Hint: did you mean 'size'?" -plugin "$samples/cache.so,sise=1"
refused 2 "-plugin: cache: 'size' is given twice" -plugin "$samples/cache.so,size=1K,size=1K"
refused 2 "-plugin: cache: size=, ways= and line= are powers of two" -plugin "$samples/cache.so,size=3"
refused 2 "-plugin: cache: size=, ways= and line= are powers of two" -plugin "$samples/cache.so,line=18446744073709551616"
refused 2 "-plugin: 'x' is not KEY=VALUE" -plugin "$samples/cache.so,x"
refused 2 "-plugin: insn_mix: top= is a number" -plugin "$samples/insn_mix.so,top=many"
refused 2 "-plugin: coverage: module= is NAME:BASE:BYTES" -plugin "$samples/coverage.so,module=k:1"
refused 2 "-plugin: syscalls: counts= is on or off" -plugin "$samples/syscalls.so,counts=1"
refused 2 "-check has two machines" -check -plugin "$samples/cache.so"
refused 2 ".*'-plugin'" compare -plugin "$samples/cache.so"
refused 3 "-plugin: .*cannot be written" -plugin "$samples/cache.so,out=no/such/folder"

"$parallax" -plugin "$samples/cache.so,help" >out 2>err || exit 1
grep -q "^  ways " out && [ ! -s err ] || { cat out err; echo "no help"; exit 1; }
exit 0
