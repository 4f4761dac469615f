#!/bin/sh
# A file includes only headers of its own folder and of folders to its left, from the root.
cd "$1" || exit 2
rooms="base mmu cpu block devices pv bios machine frontends plugins"
status=0
allowed=
for room in $rooms; do
    allowed="$allowed $room"
    for f in $(find "$room" -name '*.[ch]' -o -name '*.def' | grep -v '^bios/guest/'); do
        awk -v file="$f" -v allowed="$allowed" '
            BEGIN { n = split(allowed, a, " "); for (i = 1; i <= n; i++) ok[a[i]] = 1 }
            /^[ \t]*#[ \t]*include[ \t]*"/ {
                split($0, q, "\""); split(q[2], p, "/")
                if (!(p[1] in ok)) {
                    printf "%s:%d: includes \"%s\": not its own folder or one to its left\n", file, FNR, q[2]
                    bad = 1
                }
            }
            END { exit bad }' "$f" || status=1
    done
done
exit $status
