#!/bin/sh
# samples.sh PARALLAX SOURCE SAMPLES: the sample plugins on a boot of Debian's kernel: either engine
# says the same; the mix is -icount's number, the system calls are those of the shell, coverage is
# drcov's form and has the kernel's entry.
set -u
parallax=$1
guests=$2/build/guests
here=$2/tests/plugin
samples=$3
for f in vmlinuz-amd64 initrd-amd64.gz; do
    [ -s "$guests/$f" ] || { echo "no $f: run ./px fetch"; exit 77; }
done
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2

boot() { # engine, until, options
    engine=$1
    until=$2
    shift 2
    "$parallax" -accel "$engine" -m 128 -icount -kernel "$guests/vmlinuz-amd64" \
        -initrd "$guests/initrd-amd64.gz" -append console=ttyS0 -serial null -until "$until" -timeout 150 \
        -stats=json:report "$@" </dev/null || { echo "exit code $?: $*"; exit 1; }
}
engines=interp
"$parallax" -accel jit -explain >/dev/null 2>&1 && engines="interp jit"

for engine in $engines; do
    boot "$engine" "BIOS-provided" -plugin "$samples/insn_mix.so,out=mix.$engine" \
        -plugin "$samples/sensitive.so,out=sensitive.$engine" \
        -plugin "$samples/coverage.so,out=coverage.$engine,module=kernel:ffffffff81000000:2000000"
    number=$(sed -n 's/.*"guest_instructions": \([0-9]*\).*/\1/p' report)
    grep -qx "instructions $number" "mix.$engine" || { head -3 "mix.$engine"; echo "-icount: $number"; exit 1; }
    awk '/^instructions/ { all = $2; next } { sum += $2 } END { exit all != sum }' "mix.$engine" ||
        { echo "the mix is not the whole"; exit 1; }
    sed -i 's/ *[0-9.]* ms$//' "sensitive.$engine"
    grep -q " cpl 0 cli " "sensitive.$engine" && grep -q "^exits port  *[1-9]" "sensitive.$engine" ||
        { cat "sensitive.$engine"; exit 1; }
    python3 "$here/drcov.py" "coverage.$engine" || exit 1
    boot "$engine" PARALLAX-GUEST-READY -plugin "$samples/syscalls.so,out=calls.$engine"
    grep -q ' execve(0x' "calls.$engine" && grep -q ' write(0x1, .* = [1-9]' "calls.$engine" ||
        { tail "calls.$engine"; echo "no such calls"; exit 1; }
    boot "$engine" "BIOS-provided" -plugin "$samples/cache.so,out=cache.$engine,size=16K,ways=4"
    grep -q '^cpu 0 accesses [1-9][0-9]* misses [1-9]' "cache.$engine" || { cat "cache.$engine"; exit 1; }
done
for what in mix sensitive coverage calls cache; do
    for engine in $engines; do
        cmp "$what.interp" "$what.$engine" || { diff "$what.interp" "$what.$engine" | head; exit 1; }
    done
done
exit 0
