# shellcheck shell=sh disable=SC2154 # bench, runs: the sourcing script's
# paired.sh: what the comparisons with QEMU share. Sourced with `bench`, the verb, and `runs`, how many rounds.
# Sets `dir`, a folder that goes with the script.
command -v qemu-system-x86_64 >/dev/null || {
    echo "bench $bench: no qemu-system-x86_64. Hint: apt-get install qemu-system-x86" >&2
    exit 3
}
case $runs in
*[!0-9]* | '' | 0) echo "bench $bench: '$runs' is not a number of runs" >&2; exit 2 ;;
esac
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
fail() { echo "bench $bench: $*" >&2; exit 1; }

# How often the run of file $1 (-stats=json) did what the classes after it count, together.
counts() {
    stats=$1
    shift
    for class in "$@"; do
        awk -v class="\"$class\": {" 'index($0, class) { found = 1 }
            found && /"count":/ { gsub(/[^0-9]/, ""); print; exit }' "$stats"
    done | awk '{ n += $1 } END { printf "%d\n", n }'
}

# What a transfer adds per megabyte to accesses of ports, of devices' memory and of the APIC, interrupts and
# halts: what would leave a guest under a hypervisor, and their sum. In translated code they are calls.
exits_head() {
    printf '\n%-16s %-9s' "exits per MB" ""
    printf ' %9s' ports memory APIC interrupts HLT sum
    echo
}

# A row of that: name, way, the files of a run with and one without, megabytes.
exits_row() {
    printf '%-16s %-9s' "$1" "$2"
    for classes in "in out" mmio "apic-read apic-write apic-eoi apic-icr apic-tpr apic-timer" irq hlt; do
        # shellcheck disable=SC2086 # several words
        echo "$(counts "$3" $classes) $(counts "$4" $classes)"
    done | awk -v mb="$5" '{ n = ($1 - $2) / mb; sum += n; printf " %9.1f", n } END { printf " %9.1f\n", sum }'
}
