#!/bin/sh
# `parallax compare` on a real kernel: the table, the sentence, the evidence and the JSON.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
"$program" bundle out.tar.gz -m 128 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0 plx.cmd=echo PARALLAX-BEGIN list; ls /bin >/dev/null; echo PARALLAX-END list" \
    -pv-list none,kvm,kvm,-pv-eoi,hyperv,vmware,xen -runs 2 \
    -json out.json -html out.html -csv out.csv >console 2>errors </dev/null
code=$?
expect_code 0
expect 'time to end'
expect '^list  *kvm '
expect 'executed, exactly'
expect 'host CPU'
expect 'kvmclock'
expect '^kvm takes [0-9.]* times the host CPU time of none'
expect '^kvm,-pv-eoi takes '
expect '^hyperv takes '
expect '^vmware takes '
expect '^xen takes '
expect 'lazy-eoi .*ref-tsc 1, .*stimer-direct .*(uses of features of hyperv, first run)'
expect 'gethz 1, .*(uses of features of vmware, first run)'
expect 'relaxed, .*(no evidence that the guest used these of hyperv, first run)'
grep -q '"personality": "kvm,-pv-eoi"' out.json || fail "no such personality in the JSON"
if command -v python3 >/dev/null; then
    python3 - <<'END' || fail "the page and the JSON differ"
import json, re
report, page = json.load(open('out.json')), open('out.html').read()
numbers = re.findall(r'data-key="([^"]*)" data-value="([^"]*)"', page)
for key, value in numbers:
    x = report
    for part in key.split('.'):
        x = x[int(part)] if isinstance(x, list) else x[part]
    assert float(value) == x, (key, value, x)
assert len(numbers) > 30 and '<script' not in page and 'http' not in page
side = report['sides'][1]
assert side['exact_run']['phases']['list']['times'] == 1
assert side['exact_run']['guest_instructions'] > side['exact_run']['phases']['list']['guest_instructions'] > 0
END
fi
[ "$(wc -l <out.csv)" = 13 ] || fail "the CSV has not a line per run"
tar xzf out.tar.gz || fail "the archive is none"
for f in report.json report.html report.csv command.sh configuration.txt console/001-kvm.log; do
    [ -s "parallax-bundle/$f" ] || fail "the archive lacks $f"
done
cmp -s out.json parallax-bundle/report.json || fail "the archive has another report"
sh -n parallax-bundle/command.sh || fail "the command is none"
# One by one: what KVM's clock does, and that a feature that was not used is said to be.
"$program" compare -m 128 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0" -until PARALLAX-GUEST-READY -runs 1 -each-feature \
    -pv-list none,kvm,-all,+kvmclock2,+clock-pairing >console 2>errors </dev/null
code=$?
expect_code 0
expect '^kvm,-all,+kvmclock2,+clock-pairing,-kvmclock2 '
expect 'clock-pairing has no effect here: the guest did not use it'
# Refused, not reported: the guest is stopped before it can choose its clock.
"$program" compare -m 128 -kernel "$guests/vmlinuz-amd64" -append "console=ttyS0 clocksource=tsc" \
    -until "Linux version" -pv-list kvm -runs 1 -json no.json >console 2>errors </dev/null
code=$?
expect_code 1
grep -q 'no evidence that the guest used it' errors || fail "no reason is given"
[ ! -e no.json ] || fail "a report of a refused comparison"
