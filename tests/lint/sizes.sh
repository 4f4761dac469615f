#!/bin/sh
# No file is longer than one long sitting (1200 lines), no function longer than 80 lines, no line
# wider than 120 columns (100 is the rule, a table may want more; .def files are free).
cd "$1" || exit 2
status=0
for f in $(find base mmu cpu block devices pv bios machine frontends plugins tests -name '*.[ch]' | grep -v '^bios/guest/'); do
    awk -v file="$f" '
        /^\{/ { start = FNR }
        /^\}/ && start {
            if (FNR - start - 1 > 80) {
                printf "%s:%d: a function of %d lines\n", file, start, FNR - start - 1
                bad = 1
            }
            start = 0
        }
        { line = $0; gsub(/[\200-\277]/, "", line) }
        length(line) > 120 { printf "%s:%d: %d columns\n", file, FNR, length(line); bad = 1 }
        END {
            if (FNR > 1200) { printf "%s: %d lines\n", file, FNR; bad = 1 }
            exit bad
        }' "$f" || status=1
done
exit $status
