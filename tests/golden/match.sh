#!/bin/sh
# Is the output $2 what $1 expects, line by line, as shell patterns? `...` is any number of lines.
set -u
fail() { echo "$1"; exit 1; }

exec 3<"$1" 4<"$2"
skip=no
while IFS= read -r pattern <&3; do
    if [ "$pattern" = ... ]; then
        skip=yes
        continue
    fi
    while :; do
        IFS= read -r line <&4 || [ -n "$line" ] || fail "missing: $pattern"
        # shellcheck disable=SC2254 # a pattern it is
        case $line in
        $pattern) break ;;
        esac
        [ $skip = yes ] || fail "unexpected: $line"
    done
    skip=no
done
[ $skip = yes ] && exit 0
IFS= read -r line <&4 && fail "unexpected: $line"
exit 0
