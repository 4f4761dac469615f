#!/bin/sh
# `parallax compare` on a real kernel: the table, the sentence, the evidence and the JSON.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
"$program" compare -m 128 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0" -until PARALLAX-GUEST-READY -pv-list none,null,kvm,kvm,-pv-eoi,hyperv,vmware -runs 1 \
    -json out.json >console 2>errors </dev/null
code=$?
expect_code 0
expect 'time to text'
expect 'host CPU'
expect 'kvmclock'
expect '^kvm takes [0-9.]* times the host CPU time of none: '
expect '^kvm,-pv-eoi takes '
expect '^hyperv takes '
expect '^vmware takes '
expect 'lazy-eoi .*ref-tsc 1, .*stimer-direct .*(uses of features of hyperv, first run)'
expect 'gethz 1, .*(uses of features of vmware, first run)'
expect 'relaxed, .*(no evidence that the guest used these of hyperv, first run)'
grep -q '"personality": "kvm,-pv-eoi"' out.json || fail "no such personality in the JSON"
if command -v python3 >/dev/null; then
    python3 -c 'import json; json.load(open("out.json"))' || fail "the JSON is none"
fi
# Refused, not reported: the guest is stopped before it can choose its clock.
"$program" compare -m 128 -kernel "$guests/vmlinuz-amd64" -append "console=ttyS0 clocksource=tsc" \
    -until "Linux version" -pv-list kvm -runs 1 -json no.json >console 2>errors </dev/null
code=$?
expect_code 1
grep -q 'no evidence that the guest used it' errors || fail "no reason is given"
[ ! -e no.json ] || fail "a report of a refused comparison"
