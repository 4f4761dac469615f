#!/bin/sh
# The embedded guest finishes under both personalities, and kvm shows in its rows.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
"$program" demo -json out.json >console 2>errors </dev/null
code=$?
expect_code 0
for row in cli cpuid rdtsc iret syscall invlpg hlt; do
    grep -q "^[a-z_0-9]*$row" console || fail "no row of $row"
done
grep -q '"personality": "kvm"' out.json || fail "no kvm in the JSON"
