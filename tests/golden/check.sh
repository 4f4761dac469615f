#!/bin/sh
# Runs one golden case: $1 the program, $2 the case, $3 the source directory.
#
# A case: lines of '#' comment; `$ command` (evaluated by sh in a fresh directory, `parallax` is the
# program); `exit N`; then the expected output, standard output before standard error, line by line
# as shell patterns. A line `...` stands for any number of lines. A command gets $4 seconds, ten by
# default.
set -u
program=$1
case=$2
source=$3
patience=${4:-10}
guests=$source/build/guests
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
export NO_COLOR=1 TERM=dumb LC_ALL=C

command=$(sed -n 's/^\$ //p' "$case")
expected_code=$(sed -n 's/^exit //p' "$case")
sed '1,/^exit /d' "$case" >"$dir/expected"
mkdir "$dir/work"
cd "$dir/work" || exit 2

# Fixtures that a command may name.
case $command in
*vmlinuz*)
    [ -s "$guests/vmlinuz-amd64" ] || { echo "no guests: run ./px fetch"; exit 77; }
    ln -s "$guests/vmlinuz-amd64" vmlinuz
    head -c 100000 vmlinuz >truncated-vmlinuz
    ;;
esac
: >empty
mkdir directory
awk 'BEGIN { x = 1; for (i = 0; i < 20000; i++) { x = (x * 1103515245 + 12345) % 2147483648; printf "%c", 1 + int(x / 65536) % 255 } }' >random
cp random initrd

# A multiboot kernel ($1) of the given octal code ($2), entered at 100020h in 32-bit mode.
multiboot() {
    printf "\\002\\260\\255\\033\\000\\000\\001\\000\\376\\117\\121\\344" >"$1"
    printf "\\000\\000\\020\\000\\000\\000\\020\\000\\000\\000\\000\\000\\000\\000\\000\\000\\040\\000\\020\\000" >>"$1"
    printf "$2" >>"$1"
}

parallax() { timeout -s KILL "$patience" "$program" "$@"; }
(eval "$command") >"$dir/stdout" 2>"$dir/stderr" </dev/null
code=$?
# A build without the translator says so each time.
cat "$dir/stdout" "$dir/stderr" | sed '/no translator; the interpreter runs$/d' >"$dir/output"

fail() {
    echo "$1"
    echo "--- expected (exit $expected_code)"
    cat "$dir/expected"
    echo "--- got (exit $code)"
    cat "$dir/output"
    exit 1
}

case $code in
$expected_code) ;;
*) fail "exit code $code, not $expected_code" ;;
esac
sh "$source/tests/golden/match.sh" "$dir/expected" "$dir/output" || fail "the output differs"
[ -z "$(find . -name '*.tmp')" ] || fail "a partial file is left behind"
exit 0
