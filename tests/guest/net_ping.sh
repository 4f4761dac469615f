#!/bin/sh
# Two guests, one with e1000 and one with virtio-net, at the two ends of a wire: they ping and send each other
# bytes, and when one is gone, the other sees a link that is down, and its user reads so.
# program, source, peer, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
peer=$1 accel=$2
# shellcheck source=tests/guest/netlib.sh
. "$source/tests/guest/netlib.sh"
need vmlinuz-full initrd-amd64.gz modules-full.gz

guest_initrd amd64 full >initrd.a <<'END'
ip addr add 10.1.0.1/24 dev eth0
until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done
echo "link is up"
echo "got $(nc -l -p 5000 | md5sum)"
until [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do sleep 0.1; done
echo "link is down"
END
guest_initrd amd64 full >initrd.b <<'END'
ip addr add 10.1.0.2/24 dev eth0
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    ping -c 1 -W 2 10.1.0.1 >/dev/null && break
    sleep 1
done
ping -c 3 -s 1400 10.1.0.1
dd if=/dev/urandom of=/bytes bs=64k count=32 2>/dev/null
echo "sent $(md5sum </bytes)"
for i in 1 2 3 4 5 6 7 8 9 10; do
    nc 10.1.0.1 5000 </bytes && break
    sleep 1
done
END
start() {
    name=$1 device=$2 netdev=$3
    shift 3
    exec "$program" -m 128 -accel "$accel" -kernel "$guests/vmlinuz-full" -initrd "initrd.$name" -serial "file:console.$name" \
        -netdev "socket,id=n0,$netdev" -device "$device,netdev=n0" "$@" \
        -append "console=ttyS0 panic=-1 plx.cmd=/job" -no-reboot -timeout 120 2>"errors.$name" </dev/null
}
start a e1000 listen=unix:wire -object filter-dump,id=d,netdev=n0,file=a.pcap &
a=$!
trap 'kill $a 2>/dev/null; rm -rf "$dir"' EXIT
i=0
until [ -S wire ] || [ $((i += 1)) -gt 100 ]; do sleep 0.1; done
(start b virtio-net-pci,mac=52:54:00:12:34:57 connect=unix:wire)
code=$?
cp console.b console
expect_code 0
expect '3 packets transmitted, 3 packets received'
sent=$(sed -n 's/^sent \([0-9a-f]*\).*/\1/p' console)
wait $a || fail "the listening machine ends with $?"
cp console.a console
cp errors.a errors
expect 'link is up'
expect "^got $sent"
expect 'link is down'
[ "$(wc -l <errors.a)" = 1 ] || fail "not one line"
grep -q 'parallax: n0: the peer is gone (it closed the connection): the guest.s link is down' errors.a ||
    fail "the user is not told"
[ "$(wc -c <a.pcap)" -gt 2000000 ] || fail "the dump lacks frames"
exit 0
