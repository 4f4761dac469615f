#!/bin/sh
# The core neither prints, ends the program, nor looks at the world: it gets a FILE, an error, a clock.
# Nor does it compute with long double: the x87 may be the guest's (cpu/x87_host.h).
# Comments and strings are left out; what bug() must do stands in base/err.c.
cd "$1" || exit 2
status=0
for f in $(find base mmu cpu block devices pv bios machine -name '*.[ch]' | grep -v '^bios/guest/'); do
    awk -v file="$f" '
        { line = $0; gsub(/"([^"\\]|\\.)*"/, "\"\"", line); sub(/\/\/.*/, "", line) }
        incomment { if (!sub(/^.*\*\//, "", line)) next; incomment = 0 }
        { gsub(/\/\*.*\*\//, "", line) }
        line ~ /\/\*/ { sub(/\/\*.*/, "", line); incomment = 1 }
        line ~ /(^|[^A-Za-z0-9_.>])(printf|puts|putchar|exit|_exit|time|rand|srand|random|getenv|system|gets|sprintf|strcat)[ ]*\(/ {
            printf "%s:%d: %s\n", file, FNR, $0
            bad = 1
        }
        line ~ /long double/ { printf "%s:%d: %s\n", file, FNR, $0; bad = 1 }
        END { exit bad }' "$f" || status=1
done
exit $status
