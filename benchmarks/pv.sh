#!/bin/sh
# pv.sh: what paravirtualization changes: operations, guest programs, disks and networks, by personality
#
# pv.sh [-r ROUNDS] [-json FILE] [-a ENGINE] [-g GROUP,...] [PERSONALITY...]: runs each group (default: all)
# under each personality (default: all), in rounds (default 3) that go over all of them, and prints one
# table of each group. Of times it is medians over the rounds, and of ratios to the first personality the
# medians of those within a round. `./px bench pv` builds and fetches first.
#
# nano: operations bare-metal, served in place and by exits; os: system calls, exceptions, processes,
# context switches, files; clock: the kernel's clock sources; compile: Debian's tcc; smp2, smp4: what 2 and
# 4 vCPUs ask of each other; disk, net: by each device; counts: what the guest did for one, by class.
# Environment: PARALLAX, the program; BENCH_OPTIONS, options of the guest programs (bench.c); MB, size of a
# network transfer.
set -u
here=$PWD/benchmarks
guests=$PWD/build/guests
out=$PWD/build/bench
program=${PARALLAX:-$PWD/build/release/parallax}
options=${BENCH_OPTIONS:-}
mb=${MB:-40}
rounds=3
json=
accel=jit
all="nano os clock compile smp2 smp4 disk net counts"
groups=$all
die() { echo "bench pv: $*" >&2; exit "${status:-1}"; }
while [ $# -gt 0 ]; do
    case $1 in
    -r | -json | -a | -g)
        [ $# -gt 1 ] || { status=2; die "$1 wants an argument"; }
        case $1 in -r) rounds=$2 ;; -json) json=$2 ;; -a) accel=$2 ;; -g) groups=$(echo "$2" | tr , ' ') ;; esac
        shift 2
        ;;
    -*) status=2; die "unknown option '$1'" ;;
    *) break ;;
    esac
done
case $rounds in *[!0-9]* | '' | 0) status=2; die "'$rounds' is not a number of rounds" ;; esac
for g in $groups; do
    case " $all " in *" $g "*) ;; *) status=2; die "no group '$g'. Hint: $all" ;; esac
done
[ $# -gt 0 ] || set -- none null kvm hyperv vmware xen
personalities=$*
[ -x "$program" ] || { status=3; die "no $program. Hint: ./px build"; }
[ -z "$json" ] || { : >"$json"; } 2>/dev/null || { status=3; die "$json cannot be written"; }
dir=$(mktemp -d) || exit 3
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
: >"$dir/results" >"$dir/nano" >"$dir/counts"
# shellcheck source=benchmarks/guest/build.sh
. "$here/guest/build.sh"
# shellcheck source=benchmarks/pv/guests.sh
. "$here/pv/guests.sh"

prepare
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for g in $groups; do
        [ "$g" != counts ] || [ "$round" = 1 ] || continue # they repeat
        for p in $personalities; do
            note "round $round of $rounds, $g, $p"
            "run_$g" "$p"
        done
    done
done
note ""

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
end="$accel, $rounds rounds. $cpu; $("$program" version 2>/dev/null | head -n 1)"
table() { awk -v columns="$personalities" -v rate="$rate" -v json="$dir/$1.json" -f "$here/pv/$1.awk" "$dir/$1"; }
[ ! -s "$dir/nano" ] || table nano
[ ! -s "$dir/results" ] || table results
[ ! -s "$dir/counts" ] || table counts
echo "$end"
[ -z "$json" ] || {
    printf '{"tsc_khz": %s, "rounds": %d, "engine": "%s", "host": "%s"' "$rate" "$rounds" "$accel" "$cpu"
    for part in nano results counts; do
        [ ! -s "$dir/$part.json" ] || { printf ',\n"%s": ' $part && cat "$dir/$part.json"; }
    done
    echo '}'
} >"$json"
