#!/bin/sh
# Two VMs live in one process: no folder of the core has mutable globals, but for the trace switches,
# what signal handlers of the terminal must reach, the per-thread dump of BUG_ON, and the index of the
# opcode table that is built once and never changes. $1: build directory.
cd "$1" || exit 2
objdump=${OBJDUMP:-objdump}
command -v "$objdump" >/dev/null || exit 77
status=0
for room in base mmu cpu block devices pv bios machine; do
    [ -f "lib$room.a" ] || continue
    "$objdump" -t "lib$room.a" | awk -v room="$room" '
        /file format/ { object = $1; sub(/:$/, "", object) }
        $0 ~ / O / && $0 ~ / \.(data|bss|tdata|tbss|data\.rel\.local|data\.rel)\t/ {
            name = $NF
            sub(/\.[0-9]+$/, "", name)
            if (name ~ /^(trace_on|trace_file|bug_state|terminal|row_index|once)$/)
                next
            printf "%s: %s: a mutable global: %s\n", room, object, name
            bad = 1
        }
        END { exit bad }' || status=1
done
exit $status
