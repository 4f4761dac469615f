#!/bin/sh
# The guest programs of `./px bench pv`, each once, by personalities: every row has a time, and the JSON says the
# same as the table. How long they take is not looked at.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz vmlinuz-full modules-full.gz tcc/tcc
[ "$(uname -m)" = x86_64 ] || { echo "the host does not run the programs"; exit 77; }
command -v mke2fs >/dev/null || { echo "no mke2fs"; exit 77; }
grep -q constant_tsc /proc/cpuinfo || { echo "no steady time-stamp counter"; exit 77; }
cd "$source" || exit 2
PARALLAX=$program BENCH_OPTIONS="-n 1 -b 1" sh benchmarks/pv.sh -r 1 -a "$1" -g os,clock,compile,smp2,disk \
    -json "$dir/json" none kvm >"$dir/table" 2>"$dir/errors" || {
    cat "$dir/table" "$dir/errors"
    echo "FAILED: a program computed something else, or did not end"
    exit 1
}
python3 - "$dir/json" "$dir/table" <<'END' || { cat "$dir/table"; exit 1; }
import json, sys
rows = json.load(open(sys.argv[1]))['results']
table = open(sys.argv[2]).read()
names = {(r['group'], r['name'], r['personality']) for r in rows}
assert all(r['ns'] > 0 for r in rows)
both = ['syscall/null', 'syscall/sigaction', 'process/fork-exit', 'exception/signal', 'switch/16p-64K',
        'files/delete-10K', 'files/mix']
for p in 'none', 'kvm':
    assert all(('os', n, p) in names for n in both), p
    assert ('compile', 'tcc', p) in names and ('smp2', 'lock', p) in names
    assert ('disk', 'ide-read-64K', p) in names and ('disk', 'virtio-mix', p) in names
assert ('clock', 'kvm-clock', 'kvm') in names and ('clock', 'acpi_pm', 'none') in names
for r in rows:
    ns = r['ns']
    text = f'{ns:.1f} ns' if ns < 1e3 else f'{ns / 1e3:.2f} us' if ns < 1e6 else f'{ns / 1e6:.2f} ms'
    assert text in table, (r, text)
END
