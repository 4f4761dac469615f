#!/bin/sh
# run.sh: the guest programs, in Parallax, in QEMU TCG and natively
#
# run.sh [-n] [-r ROUNDS] [-json FILE] [-e ENGINES] GROUP[/NAME]... | all | list
#
# One round runs the programs natively and then once in a guest for each engine; rounds follow
# each other, so that what slows the host for a while slows every engine. summary.awk makes the
# table: medians over the rounds of the ratios within each round. A wrong checksum, a missing row
# or a guest that does not end fails the run. `./px bench GROUP` builds and fetches first.
#
# -n: only check the arguments. ENGINES: some of native,jit,interp,tcg (default: all).
# Environment: PARALLAX, the program; BENCH_OPTIONS, options of the guest programs (bench.c);
# GUEST_SECONDS, limit for one guest.
set -u
here=$(dirname "$0")
guests=build/guests
out=build/bench
program=${PARALLAX:-build/release/parallax}
options=${BENCH_OPTIONS:-}
limit=${GUEST_SECONDS:-300}
rounds=3
cpus=1
threads=single
json=
check=
engines=native,jit,interp,tcg
under_amd64="integer sse x87 i387 memory code syscall process exception switch files"
under_v3="avx"
under_686="i386"
under_smp="smp" # with two CPUs

die() { echo "bench: $*" >&2; exit "${status:-1}"; }
# shellcheck source=benchmarks/guest/build.sh
. "$here/guest/build.sh"

list() {
    cat <<END
integer    integer code: sieve, SHA-256, sorting, big numbers, division, dispatch, compression ...
sse        SSE2: LU, FFT and Mandelbrot in doubles, packed singles, packed integers
avx        AVX2 and FMA: polynomial, matrices, integers, text (-cpu x86-64-v3)
x87        80-bit n-body and transcendental instructions
i387       32-bit code that uses x87 for doubles: LU, FFT, Mandelbrot
memory     pointer chases, page stride, copies
code       code that is patched or generated, and called
syscall    system calls that do little
process    fork, exec, context switches, threads, page faults, mappings, pipes, files
exception  signals, protection faults, divide errors
switch     context switches between 2 to 16 processes with 0 to 64 KiB of data each
files      files made and deleted, what clients of a file server do
smp        two CPUs: independent work, a locked counter, words passed between them
i386       the integer programs as 32-bit code, under a 32-bit kernel
END
}

while [ $# -gt 0 ]; do
    case $1 in
    -r | -json | -e)
        [ $# -gt 1 ] || { status=2; die "$1 wants an argument"; }
        case $1 in -r) rounds=$2 ;; -json) json=$2 ;; -e) engines=$2 ;; esac
        shift 2
        ;;
    -n) check=1; shift ;;
    list) list; exit 0 ;;
    -*) status=2; die "unknown option '$1'" ;;
    *) break ;;
    esac
done
case $rounds in *[!0-9]* | '' | 0) status=2; die "'$rounds' is not a number of rounds" ;; esac
for e in $(echo "$engines" | tr , ' '); do
    case $e in native | jit | interp | tcg) ;; *) status=2; die "no such engine: '$e'" ;; esac
done
[ $# -gt 0 ] || { list >&2; status=2; die "which group?"; }
# shellcheck disable=SC2086 # lists of words
[ "$1" != all ] || set -- $under_amd64 $under_v3 $under_686 $under_smp

# What runs under which kernel: GROUP or GROUP/NAME.
amd64=
v3=
i686=
smp=
for g in "$@"; do
    case " $under_amd64 " in
    *" ${g%%/*} "*) amd64="$amd64 $g" ;;
    *)
        case " $under_v3 / $under_686 , $under_smp " in
        *" ${g%%/*} "*/*) v3="$v3 $g" ;;
        */*" ${g%%/*} "*,*) i686="$i686 $g" ;;
        *,*" ${g%%/*} "*) smp="$smp $g" ;;
        *) list >&2; status=2; die "no such group: '$g'" ;;
        esac
        ;;
    esac
done

if [ -n "$v3" ] && ! grep -qw avx2 /proc/cpuinfo; then
    note "no avx: this host has no AVX2"
    v3=
fi
[ -z "$check" ] || exit 0

# ---- what runs in a guest ---------------------------------------------------------------------

# Shell commands that run groups $2... with the programs in directory $1, one process for each:
# what one group leaves behind does not slow the next.
commands() {
    at=$1
    shift
    for g in "$@"; do
        case $g in i38*) p=bench32 ;; *) p=bench64 ;; esac
        printf '%s/%s%s %s; ' "$at" "$p" "${options:+ $options}" "$g"
    done
    echo echo bench-done
}

# ---- one run ---------------------------------------------------------------------------------

# Keeps what the programs said on console $1, for round $2 and engine $3.
keep() {
    tr -d '\r' <"$1" | sed -n "s/^bench /$2 $3 /p" >>"$dir/results"
    tr -d '\r' <"$1" | grep -qx bench-done && return 0
    tail -n 5 "$1" >&2
    die "$3: the programs did not come to their end"
}

# $1 round, then groups. A host's kernel need not run 32-bit programs: the summary knows by SKIP.
run_native() {
    round=$1
    shift
    if ! "$out/bench32" nothing 2>/dev/null; then
        for g in "$@"; do
            shift
            case $g in
            i38*) echo "$round native ${g%%/*} - SKIP" >>"$dir/results" ;;
            *) set -- "$@" "$g" ;;
            esac
        done
    fi
    scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || die "no directory for files"
    text=$(commands "$PWD/$out" "$@")
    (cd "$scratch" && BENCH_BUSYBOX=$busybox timeout -s KILL "$limit" sh -c "$text") \
        >"$dir/console" 2>&1
    rm -rf "$scratch"
    keep "$dir/console" "$round" native
}

# $1 round, $2 engine, $3 suffix of the guest, $4 our model, then groups. Both guests get the same command line:
# without the mitigations that the kernel would choose by the model of the CPU.
run_guest() {
    round=$1 engine=$2 suffix=$3 model=$4
    shift 4
    append="console=ttyS0 panic=-1 mitigations=off"
    # One quoted word: the kernel panics when it finds more than 32 that it does not know.
    append="$append plx.cmd=eval \"mount -t tmpfs t /tmp; cd /tmp; $(commands /bench "$@")\""
    case $engine in
    jit | interp)
        set -- "$program" -accel "$engine" -cpu "$model" -smp "$cpus"
        ;;
    tcg-*)
        set -- qemu-system-x86_64 -accel "tcg,thread=$threads" -smp "$cpus" -cpu "${engine#tcg-}" -display none
        ;;
    esac
    timeout -s KILL "$limit" "$@" -m 512 -no-reboot -kernel "$guests/vmlinuz-$suffix" \
        -initrd "$out/initrd-$suffix.gz" -append "$append" -serial stdio \
        >"$dir/console" 2>&1 </dev/null
    keep "$dir/console" "$round" "$engine"
}

# $1 round, $2 suffix, $3 our model, then groups.
one_round() {
    round_nr=$1 guest=$2 cpu=$3
    shift 3
    [ $# -gt 0 ] || return 0
    for e in $(echo "$engines" | sed 's/,/ /g; s/tcg/tcg-max tcg-qemu64/'); do
        note "round $round_nr of $rounds, $guest, $e"
        if [ "$e" = native ]; then run_native "$round_nr" "$@"
        elif [ "$e$cpu" = tcg-qemu64x86-64-v3 ]; then :
        else run_guest "$round_nr" "$e" "$guest" "$cpu" "$@"
        fi
    done
}

case ,$engines, in
*,jit,* | *,interp,*) [ -x "$program" ] || die "no $program. Hint: ./px build" ;;
esac
case ,$engines, in
*,tcg,*)
    command -v qemu-system-x86_64 >/dev/null || {
        status=3
        die "no qemu-system-x86_64. Hint: apt-get install qemu-system-x86, or -e native,jit,interp"
    }
    ;;
esac
[ -z "$json" ] || { : >"$json"; } 2>/dev/null || { status=3; die "$json cannot be written"; }
dir=$(mktemp -d) || exit 3
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
compile
[ -z "$amd64$v3$smp" ] || make_initrd amd64
[ -z "$i686" ] || make_initrd i386
busybox=$PWD/$guests/busybox-amd64
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    nr=$round
    # shellcheck disable=SC2086 # lists of words
    {
        one_round "$nr" amd64 x86-64-v2 $amd64
        one_round "$nr" amd64 x86-64-v3 $v3
        one_round "$nr" i386 x86-64-v2 $i686
        cpus=2 threads=multi
        one_round "$nr" amd64 x86-64-v2 $smp
        cpus=1 threads=single
    }
    round=$nr
done
note ""

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
qemu=$(qemu-system-x86_64 --version 2>/dev/null | head -n 1)
awk -f "$here/summary.awk" -v engines="$engines" -v rounds="$rounds" -v json="$json" \
    -v cpu="$cpu" -v qemu="$qemu" -v ours="$("$program" version 2>/dev/null | head -n 1)" \
    -v kernel="$(uname -sr)" "$dir/results"
