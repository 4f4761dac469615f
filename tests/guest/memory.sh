#!/bin/sh
# The program takes no more than what the guest touched of its RAM, and some MB. program, source,
# engine, MB
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
engine=$1 more=$2
need vmlinuz-amd64 initrd-amd64.gz
[ -r /proc/self/smaps ] || exit 77
mem=3500
: >console
"$program" -accel "$engine" -m $mem -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
    -append "console=ttyS0" -serial file:console -timeout 280 2>errors </dev/null &
pid=$!
until grep -q PARALLAX-GUEST-READY console; do
    kill -0 $pid 2>/dev/null || fail "it ended before user space"
    sleep 0.1
done
cp /proc/$pid/smaps smaps
kill $pid
wait $pid
# The guest's RAM is in mappings of a quarter of it and more; what is resident there, it touched.
awk -v least=$((mem * 1024 / 4)) -v more="$more" '
    /^Size:/ { size = $2 }
    /^Rss:/ { all += $2; if (size >= least) ram += $2 }
    END {
        printf "resident: %d kB, of which RAM of the guest: %d kB\n", all, ram
        exit !(ram > 0 && all - ram <= more * 1024)
    }' smaps >console || fail "more than $more MB beyond the RAM that the guest touched"
