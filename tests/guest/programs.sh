#!/bin/sh
# The guest programs of benchmarks/, each once, under both kernels: both engines compute what the host
# computes. How long they take is not looked at.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz vmlinuz-i386 initrd-i386.gz busybox-amd64
[ "$(uname -m)" = x86_64 ] || { echo "the host does not run the programs"; exit 77; }
cd "$source" || exit 2
PARALLAX=$program BENCH_OPTIONS="-n 1 -b 1" GUEST_SECONDS=120 \
    sh benchmarks/run.sh -r 1 -e native,jit,interp all >"$dir/table" 2>"$dir/errors" || {
    cat "$dir/table" "$dir/errors"
    echo "FAILED: a program computed something else, or did not end"
    exit 1
}
grep -qw avx2 /proc/cpuinfo && avx=avx/matrix
for row in ${avx:-} integer/compression i387/lu process/switch-ring exception/divide-error i386/quicksort; do
    grep -q "^$row " "$dir/table" || { cat "$dir/table"; echo "FAILED: no row $row"; exit 1; }
done
