# lib.sh: what the guest tests share. Sourced with: program, source directory.
program=$1
source=$2
guests=$source/build/guests
shift 2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2

need() {
    for f in "$@"; do
        [ -s "$guests/$f" ] || { echo "no $f: run ./px fetch"; exit 77; }
    done
}

fail() {
    echo "FAILED: $*"
    [ -f console ] && { echo "--- the end of the console"; tail -n 40 console; }
    [ -f errors ] && { echo "--- standard error"; tail -n 20 errors; }
    exit 1
}

# Runs the program with COM1 to the file `console`; the exit code is in $code.
run() {
    "$program" -serial file:console "$@" 2>errors </dev/null
    code=$?
}

expect_code() { [ "$code" = "$1" ] || fail "exit code $code, not $1"; }
expect() { grep -qe "$1" console || fail "the console lacks: $1"; }
