#!/bin/sh
# smp_kvm.sh PARALLAX TEST.elf [OPTION...]: as run.sh, and the counters say that each feature worked.
set -u
out=$(sh "$(dirname "$0")/run.sh" "$@" -pv kvm -stats)
code=$?
printf '%s\n' "$out"
[ "$code" -eq 0 ] || exit "$code"
for feature in pv-unhalt pv-tlb-flush pv-send-ipi pv-sched-yield steal-time; do
    printf '%s\n' "$out" | grep -q "^feature $feature  *on  used [1-9]" ||
        { echo "feature $feature was not used"; exit 1; }
done
