#!/bin/sh
# boot.sh: CPU time of Debian's boot, against qemu-system-x86_64 -accel tcg
#
# CPU time (user and system) from start to user space and power-off, with the same kernel, initrd and
# memory, interleaved in pairs. Prints median and spread (half the distance of the quartiles) of each
# and of the ratio of the pairs. Argument: number of pairs (default 5). MEM: MiB of memory.
# `./px bench boot [N]` builds and fetches first.
set -u
runs=${1:-5}
mem=${MEM:-512}
guests=build/guests
program=build/release/parallax
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
append="console=ttyS0 plx.cmd=true"

command -v qemu-system-x86_64 >/dev/null || {
    echo "bench boot: no qemu-system-x86_64. Hint: apt-get install qemu-system-x86" >&2
    exit 3
}
case $runs in *[!0-9]* | '' | 0) echo "bench boot: '$runs' is not a number of runs" >&2; exit 2 ;; esac

# Both boot to user space and power off by themselves, so that nothing but the guest ends the time.
# Appends the CPU seconds of "$@" to file $1; checks the marker.
measure() {
    out=$1
    shift
    sh -c '"$@" >"$0" 2>&1 </dev/null; times' "$dir/console" "$@" >"$dir/times" || return 1
    grep -q PARALLAX-GUEST-READY "$dir/console" || { tail -n 5 "$dir/console" >&2; return 1; }
    # The second line of `times`: user and system time of the children, as 1m2.34s.
    sed -n 2p "$dir/times" | awk '{ for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += t[1] * 60 + t[2] } printf "%.3f\n", s }' >>"$out"
}

i=0
while [ "$i" -lt "$runs" ]; do
    i=$((i + 1))
    [ -t 2 ] && printf '\rpair %d of %d' "$i" "$runs" >&2
    measure "$dir/ours" "$program" -m "$mem" -kernel "$guests/vmlinuz-amd64" \
        -initrd "$guests/initrd-amd64.gz" -append "$append" -serial stdio -timeout 600 ||
        { echo "bench boot: Parallax did not reach user space" >&2; exit 1; }
    measure "$dir/qemu" qemu-system-x86_64 -accel tcg -m "$mem" -kernel "$guests/vmlinuz-amd64" \
        -initrd "$guests/initrd-amd64.gz" -append "$append" -display none -serial stdio -no-reboot ||
        { echo "bench boot: QEMU did not reach user space" >&2; exit 1; }
done
[ -t 2 ] && printf '\r\033[K' >&2

# "MEDIAN +- SPREAD" of the numbers on standard input.
median() {
    sort -n | awk '
        function q(p,  at, i) { at = (NR - 1) * p + 1; i = int(at); return i >= NR ? v[NR] : v[i] + (at - i) * (v[i + 1] - v[i]) }
        { v[NR] = $1 }
        END { printf "%.2f +- %.2f", q(0.5), (q(0.75) - q(0.25)) / 2 }'
}
"$program" -m "$mem" -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "$append" -serial null -timeout 600 -stats="json:$dir/stats.json"
insns=$(sed -n 's/.*"guest_instructions": \([0-9]*\).*/\1/p' "$dir/stats.json")
cpu=$(sed -n 's/.*"host_cpu_ns": \([0-9]*\).*/\1/p' "$dir/stats.json")
echo "Debian boot to user space and power-off, -m $mem, median of $runs interleaved pairs, CPU seconds:"
printf '  parallax           %s\n' "$(median <"$dir/ours")"
printf '  qemu -accel tcg    %s  (%s)\n' "$(median <"$dir/qemu")" "$(qemu-system-x86_64 --version | head -n 1)"
printf '  ratio of pairs     %s\n' "$(paste "$dir/ours" "$dir/qemu" | awk '{ print $1 / $2 }' | median)"
awk -v n="$insns" -v ns="$cpu" 'BEGIN { printf "  %.0f M guest instructions per second of CPU time\n", n / ns * 1000 }'
