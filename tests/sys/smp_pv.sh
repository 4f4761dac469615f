#!/bin/sh
# smp_pv.sh "FEATURE..." "TEXT" PARALLAX TEST.elf [OPTION...]: as run.sh, and the counters say that each
# feature of the personality (an option) worked, and the user was told TEXT.
set -u
features=$1
text=$2
shift 2
out=$(sh "$(dirname "$0")/run.sh" "$@" -stats)
code=$?
printf '%s\n' "$out"
[ "$code" -eq 0 ] || exit "$code"
printf '%s\n' "$out" | grep -qF "$text" || { echo "the user was not told: $text"; exit 1; }
for feature in $features; do
    printf '%s\n' "$out" | grep -q "^feature $feature  *on  used [1-9]" ||
        { echo "feature $feature was not used"; exit 1; }
done
