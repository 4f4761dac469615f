#!/bin/sh
# Linux's own x86 selftests under Debian's cloud kernel: what passes on this host passes in the guest.
# program, source, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
engine=$1
need vmlinuz-amd64 initrd-amd64.gz selftests/complete

# On this host first: a test counts in the guest where it passes here. sigreturn prints notes about
# 16-bit segments, which Debian's cloud kernel does not have (CONFIG_X86_16BIT), and passes.
for t in "$guests"/selftests/*_[36][24]; do
    name=$(basename "$t")
    timeout -s KILL 10 "$t" >/dev/null 2>&1 </dev/null && echo "$name" >>host
    [ "$name" = "$(tail -n 1 host 2>/dev/null)" ] || echo "$name" >>not_on_host
done
[ -s host ] || fail "nothing passes on this host"

mkdir -p root/selftests
cp "$guests"/selftests/*_[36][24] root/selftests
cat >root/run <<'END'
for t in /selftests/*; do
    timeout -s KILL 60 $t >/tmp/log 2>&1
    r=$?
    echo SELFTEST ${t##*/} $r
    [ $r = 0 ] || tail -n 5 /tmp/log
done
END
(cd root && find . | sort | cpio --quiet -o -H newc -R 0:0) | gzip -1n |
    cat "$guests/initrd-amd64.gz" - >initrd
run -accel "$engine" -m 512 -kernel "$guests/vmlinuz-amd64" -initrd initrd -timeout 200 \
    -append "console=ttyS0 quiet plx.cmd=sh /run"
expect_code 0
[ "$(grep -c '^SELFTEST' console)" -gt 30 ] || fail "they did not run"
while read -r name; do
    grep -q "^SELFTEST $name 0" console || { echo "$name passes here and fails in the guest"; bad=1; }
done <host
echo "$(wc -l <host) pass here; not: $(tr '\n' ' ' <not_on_host 2>/dev/null)"
[ -z "${bad:-}" ] || fail "selftests"
exit 0
