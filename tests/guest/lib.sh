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
# Features of the personality that must have worked; needs -stats.
expect_used() {
    for feature in "$@"; do
        grep -q "^feature $feature  *on  used [1-9]" errors || fail "feature $feature was not used"
    done
}
expect() { grep -qe "$1" console || fail "the console lacks: $1"; }

# Makes initrd.gz: the RAM disk with a script /check of the standard input, for boot loaders that will not
# pass the quotes of plx.cmd="...". It runs by `plx.cmd=sh /check`.
make_initrd_with_check() {
    cat >check
    { cat "$guests/initrd-amd64.gz"; echo check | cpio --quiet -o -H newc -R 0:0 | gzip -9n; } >initrd.gz
}

# Makes cd.iso, which GRUB boots, of the folder cd and the commands on standard input.
make_grub_cd() {
    for tool in grub-mkrescue xorriso mformat; do
        command -v $tool >/dev/null || { echo "no $tool: apt-get install grub-pc-bin xorriso mtools"; exit 77; }
    done
    mkdir -p cd/boot/grub
    cat >cd/boot/grub/grub.cfg
    grub-mkrescue -d /usr/lib/grub/i386-pc -o cd.iso cd >mkrescue.log 2>&1 ||
        { cat mkrescue.log; fail "grub-mkrescue"; }
}

# A guest that one talks to on COM1: `talk` starts the program, wait_for waits for a line that it prints
# after what the last wait_for saw, say types a line, and hear waits for the end; $code is its exit code.
talk() {
    mkfifo keys
    : >console
    seen=0
    "$program" -serial mon:stdio "$@" <keys >console 2>errors &
    pid=$!
    trap 'kill $pid 2>/dev/null; rm -rf "$dir"' EXIT
    exec 3>keys
}

wait_for() {
    n=0
    until found=$(tail -c +$((seen + 1)) console | grep -abom1 -e "$1"); do
        kill -0 $pid 2>/dev/null || fail "it ended before: $1"
        n=$((n + 1))
        [ $n -lt "${patience:-2800}" ] || fail "never seen: $1"
        sleep 0.1
    done
    found=$(echo "$found" | head -n 1) # OFFSET:TEXT
    seen=$((seen + ${found%%:*} + $(printf %s "${found#*:}" | wc -c)))
}

say() { printf '%s\n' "$*" >&3; }

hear() {
    wait $pid
    code=$?
}
