#!/bin/sh
# A transcript of every monitor command, in one mode. $1 the program, $2 the source directory, $3 real,
# protected or long, $4 the boot sector; further arguments: options. A command of monitor.def that every.mon
# lacks fails.
set -u
program=$1 source=$2 mode=$3 guest=$4
shift 4
here=$source/tests/monitor
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
export LC_ALL=C
cd "$dir" || exit 2

sed -n 's/^CMD(\([a-z]*\), *"\([a-z]*\)".*/\1 \2/p; s/^INFO(\([a-z]*\),.*/info_\1/p' "$source/frontends/monitor.def" |
    while read -r name short; do
        grep -qE "^($(echo "$name" | tr _ ' ')${short:+|$short})([ /]|\$)" "$here/every.mon" || echo "$name"
    done >missing
[ ! -s missing ] || { echo "every.mon lacks:"; cat missing; exit 1; }

case $mode in
real) at=0x7c38 ahead=7c36 ;;
protected) at=0x7c80 ahead=7c94 ;;
long) at=0x7d20 ahead=7d40 ;;
esac
cp "$guest" disk.img
printf '000000000000%s T ahead\n' $ahead >System.map
echo 'p 1' >commands
{ printf 'tbreak %s\nc\n' $at; grep -v '^#' "$here/every.mon"; } >script
timeout -s KILL 100 "$program" -fda disk.img -m 32 -icount -display none -S -monitor stdio "$@" <script >output 2>errors
code=$?
[ $code -eq 0 ] || { cat output errors; echo "exit code $code"; exit 1; }
sh "$source/tests/golden/match.sh" "$here/every_$mode.out" output && exit 0
cat output errors
exit 1
