#!/bin/sh
# pv.sh: cost of each sensitive operation, by personality, served in place and by exits
#
# pv.sh [-r ROUNDS] [-json FILE] [-a ENGINE] [PERSONALITY...]: runs pv/nano.c bare-metal under each
# personality (default: none kvm), with -pv-inline on and off, in interleaved rounds (default 3), and
# prints for each operation the fastest round in cycles of the host's TSC. `./px bench pv` builds first.
# Environment: PARALLAX, the program.
set -u
here=$(dirname "$0")
harness=$here/../tests/sys
program=${PARALLAX:-build/release/parallax}
out=build/bench
rounds=3
json=
accel=jit
die() { echo "bench pv: $*" >&2; exit "${status:-1}"; }
while [ $# -gt 0 ]; do
    case $1 in
    -r | -json | -a)
        [ $# -gt 1 ] || { status=2; die "$1 wants an argument"; }
        case $1 in -r) rounds=$2 ;; -json) json=$2 ;; -a) accel=$2 ;; esac
        shift 2
        ;;
    -*) status=2; die "unknown option '$1'" ;;
    *) break ;;
    esac
done
case $rounds in *[!0-9]* | '' | 0) status=2; die "'$rounds' is not a number of rounds" ;; esac
[ $# -gt 0 ] || set -- none kvm
[ -x "$program" ] || { status=3; die "no $program. Hint: ./px build"; }
[ -z "$json" ] || { : >"$json"; } 2>/dev/null || { status=3; die "$json cannot be written"; }
dir=$(mktemp -d) || exit 3
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$out"

# As tests/sys/long.cmake does.
# shellcheck disable=SC2086 # a list of words
${CC:-cc} -m64 -ffreestanding -nostdlib -static -no-pie -fpie -mcmodel=small -mno-red-zone \
    -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
    -fno-strict-aliasing -std=gnu11 -O2 -Wl,--build-id=none -Wl,-z,noexecstack \
    -Wl,--no-warn-rwx-segments -Wl,-T,"$harness/long.ld" -I"$harness" -o "$out/nano.elf" \
    "$harness/long_start.S" "$harness/long_lib.c" "$here/pv/nano.c" || die "nano.c does not compile"
${CC:-cc} -O2 -o "$out/tsc_rate" "$here/pv/tsc_rate.c" || die "tsc_rate.c does not compile"
rate=$("$out/tsc_rate") || die "this host has no steady time-stamp counter"

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for p in "$@"; do
        for inline in on off; do
            [ ! -t 2 ] || printf '\r\033[Kround %d of %d, %s, -pv-inline %s' "$round" "$rounds" "$p" "$inline" >&2
            timeout -s KILL 120 "$program" -kernel "$out/nano.elf" -accel "$accel" -pv "$p" -pv-inline $inline \
                -device isa-debug-exit,iobase=0xf4 -debugcon stdio -display none >"$dir/console" 2>&1 </dev/null
            grep -q '^done ' "$dir/console" || {
                tail -n 3 "$dir/console" >&2
                die "$p, -pv-inline $inline: the program did not come to its end"
            }
            sed -n "s/^nano /$p $inline /p" "$dir/console" >>"$dir/results"
        done
    done
done
[ ! -t 2 ] || printf '\r\033[K' >&2

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
awk -v rate="$rate" -v columns="$*" -v json="$json" -v cpu="$cpu" -v rounds="$rounds" -v engine="$accel" \
    -v ours="$("$program" version 2>/dev/null | head -n 1)" '
    {
        if (!($3 in seen)) { seen[$3] = 1; name[++names] = $3 }
        k = $1 " " $2 " " $3
        if (!(k in best) || $4 < best[k]) best[k] = $4
    }
    function cycles(p, how, n) {
        k = p " " how " " n
        return k in best ? best[k] * rate / 1e9 : -1 # picoseconds by kHz
    }
    END {
        count = split(columns, column, " ")
        printf "%-24s", ""
        for (c = 1; c <= count; c++) printf " %10s %10s", column[c], "off"
        print ""
        for (i = 1; i <= names; i++) {
            printf "%-24s", name[i]
            for (c = 1; c <= count; c++) {
                on = cycles(column[c], "on", name[i])
                off = cycles(column[c], "off", name[i])
                if (on < 0) printf " %10s %10s", "-", "-"
                else printf " %10.0f %10.0f", on, off
                if (json && on >= 0)
                    rows = rows sprintf("%s{\"personality\":\"%s\",\"operation\":\"%s\",\"inline\":%.1f,\"exits\":%.1f}",
                                        rows ? ",\n  " : "", column[c], name[i], on, off)
            }
            print ""
        }
        printf "\nCycles of the TSC (%.3f GHz) for one; off: -pv-inline off. Fastest of %d rounds, %s. %s; %s\n",
            rate / 1e6, rounds, engine, cpu, ours
        if (json)
            printf "{\"tsc_khz\":%d,\"rounds\":%d,\"engine\":\"%s\",\"rows\":[\n  %s\n]}\n", rate, rounds, engine, rows >json
    }' "$dir/results"
