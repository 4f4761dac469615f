#!/bin/sh
# boot.sh: CPU time of Debian's boot in both engines, against qemu-system-x86_64 -accel tcg
#
# CPU time (user and system) from start to user space and power-off, with the same kernel, initrd
# and memory, in interleaved rounds: jit, interp, QEMU. Prints median and spread (half the distance
# of the quartiles) of each, and of the ratios within the rounds. Arguments: number of rounds
# (default 5), and -json FILE. MEM: MiB of memory. `./px bench boot [N]` builds and fetches first.
set -u
runs=5
json=
while [ $# -gt 0 ]; do
    case $1 in
    -json) json=${2:?bench boot: -json wants a file}; shift ;;
    *) runs=$1 ;;
    esac
    shift
done
mem=${MEM:-512}
guests=build/guests
program=${PARALLAX:-build/release/parallax}
append="console=ttyS0 plx.cmd=true"

bench=boot
# shellcheck source=benchmarks/lib/paired.sh
. "${0%/*}/lib/paired.sh"

# All boot to user space and power off by themselves, so that nothing but the guest ends the time.
# Appends the CPU seconds of "$@" to file $1; checks the marker.
measure() {
    out=$dir/$1
    shift
    sh -c '"$@" >"$0" 2>&1 </dev/null; times' "$dir/console" timeout -s KILL 600 "$@" -m "$mem" \
        -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" -append "$append" \
        -serial stdio >"$dir/times"
    grep -q PARALLAX-GUEST-READY "$dir/console" || {
        tail -n 5 "$dir/console" >&2
        fail "$1 did not reach user space"
    }
    # The second line of `times`: user and system time of the children, as 1m2.34s.
    sed -n 2p "$dir/times" | awk '{
        for (i = 1; i <= 2; i++) {
            split($i, t, /[ms]/)
            s += t[1] * 60 + t[2]
        }
        printf "%.3f\n", s
    }' >>"$out"
}

i=0
while [ "$i" -lt "$runs" ]; do
    i=$((i + 1))
    [ ! -t 2 ] || printf '\rround %d of %d' "$i" "$runs" >&2
    for engine in jit interp; do
        measure $engine "$program" -accel $engine -stats="json:$dir/$engine.json"
    done
    measure qemu qemu-system-x86_64 -accel tcg,thread=single -display none -no-reboot
done
[ ! -t 2 ] || printf '\r\033[K' >&2

# "MEDIAN SPREAD" of the numbers on standard input.
median() {
    sort -n | awk '
        function q(p,  at, i) {
            at = (NR - 1) * p + 1
            i = int(at)
            return i >= NR ? v[NR] : v[i] + (at - i) * (v[i + 1] - v[i])
        }
        { v[NR] = $1 }
        END { printf "%.2f %.2f\n", q(0.5), (q(0.75) - q(0.25)) / 2 }'
}

# The ratio of file $1 to file $2, row by row.
by() { paste "$dir/$1" "$dir/$2" | awk '{ print $1 / $2 }' | median; }

# Guest instructions per second of CPU time, in millions, in the last run of engine $1.
speed() {
    awk -v n="$(sed -n 's/.*"guest_instructions": \([0-9]*\).*/\1/p' "$dir/$1.json")" \
        -v ns="$(sed -n 's/.*"host_cpu_ns": \([0-9]*\).*/\1/p' "$dir/$1.json")" \
        'BEGIN { printf "%.0f\n", n / ns * 1000 }'
}

row() { printf '  %-22s %8s +- %s\n' "$1" "$2" "$3"; }

echo "Debian's boot to user space and power-off, -m $mem: CPU seconds, median of $runs rounds"
# shellcheck disable=SC2046 # two words each
{
    row "parallax -accel jit" $(median <"$dir/jit")
    row "parallax -accel interp" $(median <"$dir/interp")
    row "qemu -accel tcg" $(median <"$dir/qemu")
    row "tcg / jit" $(by qemu jit)
    row "tcg / interp" $(by qemu interp)
}
echo "  guest instructions per second of CPU time: jit $(speed jit) M, interp $(speed interp) M"
echo "  $(qemu-system-x86_64 --version | head -n 1)"
[ -z "$json" ] || {
    # "NAME": VALUE; a spread after it is left out.
    field() { printf '  "%s": %s' "$1" "$2"; }
    # shellcheck disable=SC2046
    {
        echo "{"
        field jit_seconds $(median <"$dir/jit"); echo ,
        field interp_seconds $(median <"$dir/interp"); echo ,
        field tcg_seconds $(median <"$dir/qemu"); echo ,
        field tcg_by_jit $(by qemu jit); echo ,
        field tcg_by_interp $(by qemu interp); echo ,
        field rounds "$runs"
        echo
        echo "}"
    } >"$json"
}
